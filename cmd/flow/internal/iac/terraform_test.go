package iac_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"flow/cmd/flow/internal/iac"
	"flow/executor/batch/infra"
)

// kinds are the types of resources in Terraform, by kind.
var kinds = map[string]infra.Kind{
	"aws_batch_compute_environment": infra.KindEnvironment, "aws_batch_job_queue": infra.KindQueue, "aws_batch_job_definition": infra.KindDefinition,
	"aws_batch_scheduling_policy": infra.KindPolicy, "awscc_batch_consumable_resource": infra.KindConsumable, "aws_iam_role": infra.KindRole,
}

// A module is a file of Terraform, evaluated.
type module struct {
	t         testing.TB
	resources []*hclsyntax.Block
	imports   []*hclsyntax.Block
	context   *hcl.EvalContext
}

// arns are those of resources, by their types in Terraform.
var arns = map[string]string{
	"aws_batch_compute_environment": "batch:us-east-1:123456789012:compute-environment/", "aws_batch_scheduling_policy": "batch:us-east-1:123456789012:scheduling-policy/",
	"aws_iam_role": "iam::123456789012:role/", "aws_iam_instance_profile": "iam::123456789012:instance-profile/",
}

func parse(t testing.TB, text []byte) *module {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL(text, "main.tf")
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text)
	}
	m := &module{t: t, context: &hcl.EvalContext{Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc}}}
	all := map[string]map[string]cty.Value{}
	data := map[string]map[string]cty.Value{
		"aws_caller_identity": {"current": cty.ObjectVal(map[string]cty.Value{"account_id": cty.StringVal(account)})},
		"aws_partition":       {"current": cty.ObjectVal(map[string]cty.Value{"partition": cty.StringVal("aws")})},
	}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		switch b.Type {
		case "resource":
			m.resources = append(m.resources, b)
			m.know(all, b)
		case "data":
			m.know(data, b)
		case "import":
			m.imports = append(m.imports, b)
		}
	}
	m.context.Variables = map[string]cty.Value{"data": objects(data)}
	for kind, of := range all {
		m.context.Variables[kind] = cty.ObjectVal(of)
	}
	return m
}

func objects(m map[string]map[string]cty.Value) cty.Value {
	out := map[string]cty.Value{}
	for k, v := range m {
		out[k] = cty.ObjectVal(v)
	}
	return cty.ObjectVal(out)
}

// know notes the name and the ARN of a resource or a data source.
func (m *module) know(all map[string]map[string]cty.Value, b *hclsyntax.Block) {
	kind, label := b.Labels[0], b.Labels[1]
	if !hclsyntax.ValidIdentifier(label) || all[kind][label] != cty.NilVal && b.Type == "resource" {
		m.t.Errorf("%s: the label %q is not valid, or there twice", kind, label)
	}
	if all[kind] == nil {
		all[kind] = map[string]cty.Value{}
	}
	for _, attr := range []string{"name", "compute_environment_name"} {
		if a := b.Body.Attributes[attr]; a != nil {
			v, diags := a.Expr.Value(nil)
			if diags.HasErrors() {
				m.t.Fatal(diags)
			}
			all[kind][label] = cty.ObjectVal(map[string]cty.Value{"name": v, "arn": cty.StringVal("arn:aws:" + arns[kind] + v.AsString())})
		}
	}
}

// body returns attributes and blocks: a block is a list of one.
func (m *module) body(b *hclsyntax.Body) map[string]any {
	m.t.Helper()
	out := map[string]any{}
	for name, a := range b.Attributes {
		if name == "depends_on" {
			continue
		}
		v, diags := a.Expr.Value(m.context)
		if diags.HasErrors() {
			m.t.Fatal(diags)
		}
		text, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			m.t.Fatal(err)
		}
		out[name] = decode(m.t, text)
	}
	for _, c := range b.Blocks {
		list, _ := out[c.Type].([]any)
		out[c.Type] = append(list, m.body(c.Body))
	}
	return out
}

func decode(t testing.TB, text []byte) any {
	t.Helper()
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

// blocked returns what AWS says as it is in HCL: structures are blocks, of which there may
// be many, or JSON.
func blocked(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if o, ok := e.(map[string]any); ok && !slices.Contains([]string{"tags", "parameters", "container_properties"}, k) {
				e = []any{o}
			}
			v[k] = blocked(e)
		}
	case []any:
		for i := range v {
			v[i] = blocked(v[i])
		}
	}
	return v
}

// What is written is, field by field, what flow infra apply has made.
func TestAgreesWithApply(t *testing.T) {
	t.Parallel()
	s := stack(t, full())
	aws := newServer(t, full())
	t.Run("CloudFormation", func(t *testing.T) { formationAgrees(t, s, aws) })
	for _, p := range []iac.Provider{iac.Provider5, iac.Provider6} {
		t.Run(fmt.Sprint("Terraform ", p), func(t *testing.T) {
			text, notes, err := iac.Terraform(s, iac.TerraformOptions{Provider: p})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]map[string]any{}
			m := parse(t, text)
			for _, b := range m.resources {
				kind, ok := kinds[b.Labels[0]]
				if !ok || kind == infra.KindRole {
					continue
				}
				r := m.body(b.Body)
				rename(r, "compute_environment_name", "name")
				rename(r, "consumable_resource_name", "name")
				if text, ok := r["container_properties"].(string); ok {
					r["container_properties"] = decode(t, []byte(text))
				}
				got[string(kind)+" "+r["name"].(string)] = r
			}
			want := wanted(t, aws, notes)
			for id := range want {
				forgive(want[id], got[id])
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("what AWS has (-) and what is written (+):\n%s\n%s", d, text)
			}
		})
	}
}

// byARN gives the instance profile of an environment by its ARN: AWS takes the name as
// well, and the provider does not.
func byARN(r map[string]any) {
	list, _ := r["compute_resources"].([]any)
	for _, e := range list {
		if name, ok := e.(map[string]any)["instance_role"].(string); ok && !strings.HasPrefix(name, "arn:") {
			e.(map[string]any)["instance_role"] = "arn:aws:" + arns["aws_iam_instance_profile"] + name
		}
	}
}

func rename(m map[string]any, from, to string) {
	if v, ok := m[from]; ok {
		delete(m, from)
		m[to] = v
	}
}

// wanted returns what AWS has, as HCL has it, without what notes say is not written.
func wanted(t testing.TB, aws *server, notes []iac.Note) map[string]map[string]any {
	t.Helper()
	out := aws.described(snake)
	properties := aws.described(camel)
	for id, r := range out {
		rename(r, "consumable_resource_name", "name")
		blocked(r)
		byARN(r)
		if _, ok := r["container_properties"]; ok {
			r["container_properties"] = properties[id]["containerProperties"]
		}
	}
	for _, n := range notes {
		o := out[string(n.Kind)+" "+n.Name]
		path := strings.Split(n.Member, ".")
		for _, m := range path[:len(path)-1] {
			o = o[snake(m)].([]any)[0].(map[string]any)
		}
		if _, ok := o[snake(path[len(path)-1])]; !ok {
			t.Errorf("%s: AWS has no such thing", n)
		}
		delete(o, snake(path[len(path)-1]))
	}
	return out
}
