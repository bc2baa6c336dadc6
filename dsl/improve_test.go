package dsl

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func TestSuggest(t *testing.T) {
	names := []string{"align", "shards", "merge", "reads", "genome", "x", "shard"}
	for _, c := range []struct{ got, want string }{
		{"shrad", ` Did you mean "shard"?`},
		{"shard", ` Did you mean "shards"?`}, // of the others
		{"aling", ` Did you mean "align"?`},
		{"alignn", ` Did you mean "align"?`},
		{"genmoe", ` Did you mean "genome"?`},
		{"mrege", ` Did you mean "merge"?`},
		{"y", ""}, // nothing would be left of it
		{"xyz", ""},
		{"", ""},
		{"completely", ""},
	} {
		if got := suggest(c.got, names); got != c.want {
			t.Errorf("suggest(%q) = %q, want %q", c.got, got, c.want)
		}
	}
}

func TestImprove(t *testing.T) {
	vars := map[string]cty.Value{
		"each": cty.ObjectVal(map[string]cty.Value{
			"key":   cty.StringVal("a"),
			"value": cty.ObjectVal(map[string]cty.Value{"mb": cty.NumberIntVal(3), "region": cty.StringVal("x")}),
		}),
		"local": cty.ObjectVal(map[string]cty.Value{
			"results": cty.StringVal("r"),
			"list":    cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")}),
			"map":     cty.MapVal(map[string]cty.Value{"chr1": cty.True, "chr2": cty.True}),
			"secret":  cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("x")}).Mark(sensitive),
			"objects": cty.ListVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal("x")})}),
		}),
		"var": cty.ObjectVal(map[string]cty.Value{"n": cty.NumberIntVal(1)}),
	}
	for _, c := range []struct{ expr, want string }{
		{`each.value.mbs`, `Did you mean "mb"?`},
		{`each.vlaue`, `Did you mean "value"?`},
		{`each.value.zzz`, `It has: mb, region.`},
		{`local.resutls`, `Did you mean "results"?`},
		{`[for x in [1] : local.resutls]`, `Did you mean "results"?`},
		{`"a ${each.value.mbs}"`, `Did you mean "mb"?`},
		{`local.secret.tokne`, `Did you mean "token"?`},
		{`local.objects[0].idd`, `Did you mean "id"?`},
		{`merge(each.value, {}).mbs`, `Did you mean "mb"?`},
		{`local.list[7]`, `it has 2 elements, counted from 0`},
		{`local.list[var.n + 1]`, `it has 2 elements, counted from 0`},
		{`local.map["chr3"]`, `there is no key "chr3". Did you mean "chr1"?`},
		{`local.map["c${"hr3"}"]`, `there is no key "chr3". Did you mean "chr1"?`},
		{`local.map.chr3`, `Did you mean "chr1"?`},
		{`lcoal.results`, `Did you mean "local"?`},
		{`arr[0]`, `There is no variable named "arr".`},
		{`flaten([])`, `Did you mean "flatten"?`},
		{`[for x in [1] : flaten([x])]`, `Did you mean "flatten"?`},
		{`yamldecode("")`, `Write the file as JSON`},
		{`getenv("HOME")`, `FLOW_VAR_`},
		{`uuid()`, `uuid() failed: it would be another value`},
		{`upper()`, `expects 1 argument`},
	} {
		b := newBudget(0)
		expr, diags := hclsyntax.ParseExpression([]byte(c.expr), "x.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		root := &hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}
		b.meterNode(root)
		outer := &hcl.EvalContext{Variables: vars, Functions: functions("", b)}
		_, diags = b.value(root, outer)
		diags = improve(diags, nil)
		if len(diags) != 1 || !strings.Contains(diags[0].Detail, c.want) {
			t.Errorf("%s: %v\nwant %q", c.expr, diags, c.want)
		}
		if strings.Count(diags.Error(), "Did you mean") > 1 {
			t.Errorf("%s: two guesses: %v", c.expr, diags)
		}
	}
}

func TestImproveTypes(t *testing.T) {
	for ty, want := range map[string]string{"strng": `Did you mean "string"?`, "file": "Types are string, number,", "list(nubmer)": `Did you mean "number"?`} {
		expr, diags := hclsyntax.ParseExpression([]byte(ty), "x.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		_, diags = typeexpr.TypeConstraint(expr)
		if diags = improve(diags, nil); len(diags) != 1 || !strings.Contains(diags[0].Detail, want) {
			t.Errorf("%s: %v, want %q", ty, diags, want)
		}
	}
}

// A mistake in a loop is one error, and the diagnostics that are given are not changed.
func TestImproveCopies(t *testing.T) {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Variables not allowed", Detail: "x", Subject: &hcl.Range{Filename: "a", Start: hcl.InitialPos}}
	out := improve(hcl.Diagnostics{d, d, d}, nil)
	if len(out) != 1 || d.Detail != "x" || out[0].Detail == "x" {
		t.Errorf("got %v, and the original %v", out, d)
	}
}
