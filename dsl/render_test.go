package dsl

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata/render.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "render", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: want (-), got (+); go test -update writes it anew:\n%s", path, diff)
	}
}

const rendered = `workflow "genome" {}

step "align" {
  scriptt_file = "x"
	command     = ["bwa", upper(local.tool), each.value.mbs] # tab first
  resources {
    memory = "${local.memory * 2} GiB" # é 漢字 👩‍👩‍👧 and more
  }
  env = {
    TOKEN = length(local.token)
    LIST  = tonumber(local.list)
  }
}
`

// renderedDiags evaluates the text above with values in scope, one of them sensitive.
func renderedDiags(t *testing.T) (map[string]*hcl.File, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(rendered), "align.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	b := newBudget(0)
	b.meter(file)
	ctx := &hcl.EvalContext{
		Functions: functions("", b),
		Variables: map[string]cty.Value{
			"each": cty.ObjectVal(map[string]cty.Value{"value": cty.ObjectVal(map[string]cty.Value{"mb": cty.NumberIntVal(2)})}),
			"local": cty.ObjectVal(map[string]cty.Value{
				"tool":   cty.NullVal(cty.String),
				"memory": cty.StringVal("lots"),
				"token":  cty.NumberIntVal(4711).Mark(sensitive),
				"list":   cty.ListVal([]cty.Value{cty.StringVal("a")}),
			}),
		},
	}
	step := file.Body.(*hclsyntax.Body).Blocks[1].Body
	out := hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Unsupported argument", Subject: step.Attributes["scriptt_file"].NameRange.Ptr(),
		Detail: `An argument named "scriptt_file" is not expected here. Did you mean "script_file"?`,
	}}
	for _, expr := range []hclsyntax.Expression{step.Attributes["command"].Expr, step.Blocks[0].Body.Attributes["memory"].Expr, step.Attributes["env"].Expr} {
		_, more := b.value(expr, ctx)
		out = append(out, more...)
	}
	out = append(out, &hcl.Diagnostic{
		Severity: hcl.DiagWarning, Summary: "Empty block", Subject: file.Body.(*hclsyntax.Body).Blocks[0].Range().Ptr(), Detail: "It says nothing.",
	}, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "No place", Detail: "This one is about the command line.\n  shown as it is\nA long explanation that has to be wrapped, since it has more columns than there are.",
	}, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Elsewhere", Detail: "The file is not at hand.", Subject: &hcl.Range{Filename: "zz.hcl", Start: hcl.Pos{Line: 3, Column: 1, Byte: 30}, End: hcl.Pos{Line: 3, Column: 2, Byte: 31}},
	})
	files := map[string]*hcl.File{"align.hcl": file}
	return files, improve(out, files)
}

func TestWriteText(t *testing.T) {
	files, diags := renderedDiags(t)
	for name, c := range map[string]struct {
		width int
		color bool
	}{"plain.txt": {60, false}, "color.txt": {60, true}, "unwrapped.txt": {0, false}} {
		var b bytes.Buffer
		if err := WriteText(&b, files, diags, c.width, c.color); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "4711") {
			t.Errorf("%s shows a sensitive value", name)
		}
		golden(t, name, b.Bytes())
	}
}

func TestWriteTextNothing(t *testing.T) {
	var b bytes.Buffer
	if err := WriteText(&b, nil, nil, 80, true); err != nil || b.Len() != 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// What a hostile file has in it does not reach the terminal as a command to it.
func TestWriteTextEscapes(t *testing.T) {
	src := []byte("a = \"\x1b[2J\x1b]0;owned\x07\" \u009b31m x\n")
	rng := rangeAt("e\x1b[31m.hcl", src, 4, 9)
	diags := hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Bad \x1b[2J", Detail: "Detail \x1b[2J", Subject: &rng}}
	var b bytes.Buffer
	if err := WriteText(&b, map[string]*hcl.File{rng.Filename: {Bytes: src}}, diags, 80, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\x07\u009b") {
		t.Errorf("%q", b.String())
	}
}

// The mark stands under what is marked, and in a long line it can be seen.
func TestWriteTextMark(t *testing.T) {
	for _, c := range []struct {
		src, word string
		width     int
	}{
		{"a = foo", "foo", 80},
		{"\t\ta = foo + 1", "foo", 80},
		{"é漢 = foo", "foo", 80},
		{"a = " + rep("x, ", 100) + "foo" + rep(", y", 100), "foo", 80},
		{"a = " + rep("x, ", 100) + "foo" + rep(", y", 100), "foo", 0},
		{"a = " + rep("foo", 100), rep("foo", 100), 80},
		{"foo", "foo", 1},
	} {
		src := []byte("b = 1\n" + c.src + "\nc = 1\n")
		at := bytes.Index(src, []byte(c.word))
		rng := rangeAt("x.hcl", src, at, at+len(c.word))
		var b bytes.Buffer
		if err := WriteText(&b, map[string]*hcl.File{"x.hcl": {Bytes: src}}, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "x", Subject: &rng}}, c.width, false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		source, mark := lines[2], lines[3]
		if !strings.HasPrefix(source, "    2: ") {
			t.Fatalf("%q", lines)
		}
		before := mark[:strings.Index(mark, "^")]
		at = strings.Index(source, "foo")
		if strings.Count(before, "\t") != strings.Count(source[:at], "\t") || columns(before) != columns(source[:at]) {
			t.Errorf("the mark stands at %q:\n%s\n%s", source[at:], source, mark)
		}
		if c.width > 40 && columns(source) > c.width {
			t.Errorf("%d columns, more than %d:\n%s", columns(source), c.width, source)
		}
	}
}

func TestWriteTextMany(t *testing.T) {
	var diags hcl.Diagnostics
	for range 250 {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "x"})
	}
	var b bytes.Buffer
	if err := WriteText(&b, nil, diags, 80, false); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "Error: x"); n != maxShown || !strings.Contains(b.String(), "(150 more are not shown.)") || !strings.HasSuffix(b.String(), "250 errors\n") {
		t.Errorf("%d shown, ends %q", n, b.String()[b.Len()-100:])
	}
}

func TestJSON(t *testing.T) {
	files, diags := renderedDiags(t)
	got, err := JSON(files, diags)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(got, []byte("4711")) {
		t.Error("shows a sensitive value")
	}
	golden(t, "report.json", got)

	// The highlight is what the range is.
	var report struct {
		Valid       bool
		ErrorCount  int `json:"error_count"`
		Diagnostics []struct {
			Range *struct {
				Start, End struct{ Byte int }
			}
			Snippet *struct {
				Code  string
				Start int `json:"highlight_start_offset"`
				End   int `json:"highlight_end_offset"`
			}
		}
	}
	if err := json.Unmarshal(got, &report); err != nil {
		t.Fatal(err)
	}
	for _, d := range report.Diagnostics {
		if d.Snippet != nil && d.Snippet.Code[d.Snippet.Start:d.Snippet.End] != rendered[d.Range.Start.Byte:d.Range.End.Byte] {
			t.Errorf("highlights %q of %q", d.Snippet.Code[d.Snippet.Start:d.Snippet.End], rendered[d.Range.Start.Byte:d.Range.End.Byte])
		}
	}
	if report.Valid || report.ErrorCount == 0 {
		t.Errorf("%+v", report)
	}

	got, err = JSON(nil, nil)
	want := "{\n  \"format_version\": \"1.0\",\n  \"valid\": true,\n  \"error_count\": 0,\n  \"warning_count\": 0,\n  \"diagnostics\": []\n}\n"
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
