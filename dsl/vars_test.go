package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"
)

const variables = `
variable "text" { type = string }
variable "n" {
  type    = number
  default = 3
}
variable "flag" {
  type    = bool
  default = false
}
variable "list" {
  type    = list(string)
  default = ["d"]
}
variable "samples" {
  type = list(object({
    id = string
    r2 = optional(string, "none")
    n  = optional(number)
  }))
  default = []
}
variable "any" { default = null }
variable "token" {
  type      = string
  default   = "t0"
  sensitive = true
}
variable "strict" {
  type     = string
  default  = "s"
  nullable = false
}
variable "fq" {
  type    = string
  default = "a.fq"
  validation {
    condition     = endswith(var.fq, ".fq")
    error_message = "fq must end in .fq, and is ${var.fq}"
  }
}
`

// program loads a workflow of variables in a directory of its own, with other files.
func program(t testing.TB, src string, files map[string]string) *Program {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, diags := Load(dir, []Source{{Name: "main.hcl", Bytes: []byte(src)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

func set(args ...string) []VarArg {
	var list []VarArg
	for _, a := range args {
		list = append(list, VarArg{Set: a})
	}
	return list
}

func TestVariableOrder(t *testing.T) {
	auto := map[string]string{
		"flow.vars.hcl":     "text = \"from flow.vars\"\nn = 10\n",
		"b.auto.vars.hcl":   "n = 12\n",
		"a.auto.vars.hcl":   "n = 11\nflag = true\n",
		"c.auto.vars.json":  `{"list": ["c"]}`,
		"other.vars.hcl":    "n = 99\n",
		"given.hcl":         "n = 20\n",
		"given.json":        `{"n": 21}`,
		".hidden.vars.hcl~": "n = 98",
	}
	for _, c := range []struct {
		name string
		in   VarInput
		want map[string]string
	}{
		{"defaults", VarInput{Args: set("text=x")}, map[string]string{"n": "3", "flag": "false", "list": `["d"]`, "samples": "[]", "any": "null"}},
		{"environment", VarInput{Env: []string{"FLOW_VAR_n=7", "FLOW_VAR_text=a=b c", "FLOW_VAR_nosuch=1", "n=8", "FLOW_VARx=1", "FLOW_VAR_list=[\"e\"]"}}, map[string]string{"n": "7", "text": `"a=b c"`, "list": `["e"]`}},
		{"files over environment", VarInput{Env: []string{"FLOW_VAR_n=7"}, AutoFiles: true}, map[string]string{"n": "12", "text": `"from flow.vars"`, "flag": "true", "list": `["c"]`}},
		{"no files unless asked", VarInput{Env: []string{"FLOW_VAR_text=x"}}, map[string]string{"n": "3"}},
		{"arguments over files", VarInput{AutoFiles: true, Args: set("n=1")}, map[string]string{"n": "1"}},
		{"the later argument", VarInput{AutoFiles: true, Args: []VarArg{{Set: "n=1"}, {File: "given.hcl"}}}, map[string]string{"n": "20"}},
		{"the later argument, other order", VarInput{AutoFiles: true, Args: []VarArg{{File: "given.json"}, {Set: "n=1"}}}, map[string]string{"n": "1"}},
		{"json", VarInput{AutoFiles: true, Args: []VarArg{{File: "given.hcl"}, {File: "given.json"}}}, map[string]string{"n": "21"}},
		{"stored over files and environment", VarInput{AutoFiles: true, Env: []string{"FLOW_VAR_flag=true"}, Stored: map[string]string{"n": "5", "text": `"s"`, "flag": "false", "gone": "1"}}, map[string]string{"n": "5", "text": `"s"`, "flag": "false"}},
		{"arguments over stored", VarInput{Stored: map[string]string{"n": "5", "text": `"s"`}, Args: set("n=6")}, map[string]string{"n": "6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := program(t, variables, auto)
			for i, a := range c.in.Args {
				if a.File != "" {
					c.in.Args[i].File = filepath.Join(p.dir, a.File)
				}
			}
			vals, diags := p.values(c.in)
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			for name, want := range c.want {
				if got := jsonOfValue(t, vals[name]); got != want {
					t.Errorf("%s = %s, want %s", name, got, want)
				}
			}
		})
	}
}

func TestVariableText(t *testing.T) {
	p := program(t, variables, nil)
	for _, c := range []struct{ arg, want string }{
		{"text=3", `"3"`}, {"text=[\"a\"]", `"[\"a\"]"`}, {"text=", `""`}, {"text=a=b", `"a=b"`}, {"text= ${x} ", `" ${x} "`}, {"text=null", `"null"`},
		{"n=3", `3`}, {"n=-1.5e2", `-150`}, {"n=\"4\"", `4`}, {"n=1 + 1", `2`}, {"n=null", `null`},
		{"flag=true", `true`}, {"flag=\"true\"", `true`},
		{"list=[\"a\", \"b\"]", `["a","b"]`}, {"list=[]", `[]`}, {"list=[1, true]", `["1","true"]`},
		{"samples=[{id = \"x\"}]", `[{"id":"x","n":null,"r2":"none"}]`},
		{"any=3", `3`}, {"any=data/x.fq", `"data/x.fq"`}, {"any=a b", `"a b"`}, {"any={a = [1]}", `{"a":[1]}`}, {"any=", `""`},
	} {
		vals, diags := p.values(VarInput{Args: set("text=x", c.arg)})
		name, _, _ := strings.Cut(c.arg, "=")
		if diags.HasErrors() {
			t.Errorf("-var %q: %v", c.arg, diags)
		} else if got := jsonOfValue(t, vals[name]); got != c.want {
			t.Errorf("-var %q gives %s, want %s", c.arg, got, c.want)
		}
	}
}

func TestVariableErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		src   string // "": variables
		files map[string]string
		in    VarInput
		want  []string
	}{
		{"required", "", nil, VarInput{}, []string{`Variable "text" (string) has no default`, `-var 'text=...'`, "flow.vars.hcl", "FLOW_VAR_text"}},
		{"no value", "", nil, VarInput{Args: set("text=x", "n")}, []string{`-var takes name=value, and "n" is not`}},
		{"undeclared", "", nil, VarInput{Args: set("text=x", "samplees=1")}, []string{`no variable "samplees"`, `Did you mean "samples"?`}},
		{"undeclared, nothing near", "", nil, VarInput{Args: set("text=x", "zzzzzzzz=1")}, []string{"It has: any, flag,"}},
		{"no number", "", nil, VarInput{Args: set("text=x", "n=abc")}, []string{`-var n gives variable "n" a value that is not of its type, number (declared in main.hcl, line 3).`, `"abc"`}},
		{"number in quotes", "", nil, VarInput{Args: set("text=x", "n=\"abc\"")}, []string{`"abc" is no number`}},
		{"no bool", "", nil, VarInput{Env: []string{"FLOW_VAR_text=x", "FLOW_VAR_flag=maybe"}}, []string{"FLOW_VAR_flag gives variable", "bool"}},
		{"bare list", "", nil, VarInput{Args: set("text=x", "list=a,b")}, []string{`-var 'list=["a", "b"]'`}},
		{"bad list", "", nil, VarInput{Args: set("text=x", "list=[a]")}, []string{`has the name "a" in it`}},
		{"bad expression", "", nil, VarInput{Args: set("text=x", "n=1 +")}, []string{`"1 +" is no valid expression`}},
		{"call", "", nil, VarInput{Args: set("text=x", "n=abs(1)")}, []string{"Function"}},
		{"bomb", "", nil, VarInput{Args: set("text=x", "n="+rep("(", 100_000))}, []string{"too deeply nested"}},
		{"large number", "", nil, VarInput{Args: set("text=x", "n=\"1e99999999\"")}, []string{"number is too large"}},
		{"in a list", "", nil, VarInput{Args: set("text=x", "samples=[{id = \"a\"}, {r2 = \"b\"}]")}, []string{"samples", `"id" is required`}},
		{"null", "", nil, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "v.hcl"}}}, nil},
		{"sensitive", "variable \"token\" {\n  type      = number\n  sensitive = true\n}\n", nil, VarInput{Args: set("token=canary")}, []string{"sensitive and not shown"}},
		{"validation", "", nil, VarInput{Args: set("text=x", "fq=a.bam")}, []string{"Fq must end in .fq, and is a.bam.", "comes from -var fq"}},
		{"file, undeclared", "", map[string]string{"v.hcl": "text = \"x\"\nsamplees = 1\n"}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"warning", "v.hcl:2", `Did you mean "samples"?`}},
		{"file, reference", "", map[string]string{"v.hcl": "text = x\n"}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"v.hcl:1,8-9", "cannot refer to anything"}},
		{"file, block", "", map[string]string{"v.hcl": "text = \"x\"\nfoo {\n}\n"}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"v.hcl:2", "arguments only"}},
		{"file, syntax", "", map[string]string{"v.hcl": "text = \"x\n\""}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"v.hcl:1"}},
		{"file, type", "", map[string]string{"v.hcl": "text = \"x\"\nn = \"abc\"\n"}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"v.hcl:2,5-10", `"abc" is no number`}},
		{"file, bomb", "", map[string]string{"v.hcl": "text = " + rep("(", 1000)}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"v.hcl:1", "deep in one another"}},
		{"json", "", map[string]string{"v.json": "{\"text\": \"x\",\n\"n\": []}"}, VarInput{Args: []VarArg{{File: "v.json"}}}, []string{"v.json:2", "number"}},
		{"json, syntax", "", map[string]string{"v.json": "{"}, VarInput{Args: []VarArg{{File: "v.json"}}}, []string{"v.json:1"}},
		{"no file", "", nil, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "none.hcl"}}}, []string{"none.hcl: there is no such file"}},
		{"directory", "", nil, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "."}}}, []string{"directory"}},
		{"yaml", "", map[string]string{"v.yaml": ""}, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "v.yaml"}}}, []string{"must end in .hcl, .json or .csv"}},
		{"csv, undeclared", "", map[string]string{"samplees.csv": "id\na\n"}, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "samplees.csv"}}}, []string{`Did you mean "samples"?`, "name="}},
		{"csv, missing column", "", map[string]string{"samples.csv": "r2\nb\n"}, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "samples.csv"}}}, []string{`"id" is required`, "samples.csv"}},
		{"csv, no number", "", map[string]string{"samples.csv": "id,n\na,1\nb,x\n"}, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "samples.csv"}}}, []string{"[1].n", "number"}},
		{"csv, ragged", "", map[string]string{"samples.csv": "id,n\na\n"}, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "samples.csv"}}}, []string{"Line 2"}},
		{"csv, no text", "", map[string]string{"samples.csv": "id\n\xff\n"}, VarInput{Args: []VarArg{{Set: "text=x"}, {File: "samples.csv"}}}, []string{"UTF-8"}},
		{"not nullable", "variable \"a\" {\n  type     = string\n  nullable = false\n}\n", map[string]string{"v.hcl": "a = null\n"}, VarInput{Args: []VarArg{{File: "v.hcl"}}}, []string{"not nullable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := c.src
			if src == "" {
				src = variables
			}
			if c.name == "null" {
				c.files = map[string]string{"v.hcl": "strict = null\n"} // its default holds
			}
			p := program(t, src, c.files)
			for i, a := range c.in.Args {
				if a.File != "" {
					c.in.Args[i].File = filepath.Join(p.dir, a.File)
				}
			}
			vals, diags := p.values(c.in)
			if len(vals) != len(p.Variables) {
				t.Errorf("%d values of %d variables", len(vals), len(p.Variables))
			}
			if c.want == nil {
				if len(diags) > 0 {
					t.Error(diags)
				}
				return
			}
			if len(diags) != 1 {
				t.Errorf("%d diagnostics for one mistake: %v", len(diags), diags)
			}
			var b strings.Builder
			for _, d := range diags {
				if d.Severity == hcl.DiagWarning {
					b.WriteString("warning ")
				}
				b.WriteString(d.Error() + "\n")
				if d.Subject != nil && sourceOf(d, p.Files) == nil {
					t.Errorf("no source to show for %v", d)
				}
			}
			for _, want := range c.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("got %s\nwant %q", b.String(), want)
				}
			}
			if strings.Contains(b.String(), "canary") {
				t.Errorf("shows a sensitive value: %s", b.String())
			}
		})
	}
}

func TestVariableTable(t *testing.T) {
	for _, c := range []struct{ name, ty, file, text, arg, want string }{
		{"by name", `list(object({ id = string, n = optional(number) }))`, "s.csv", "id,n,extra\na,1,x\nb,,y\n", "s.csv", `[{"id":"a","n":1},{"id":"b","n":null}]`},
		{"named", `list(object({ id = string }))`, "sheet-1.csv", "\xef\xbb\xbfid\r\n\"a, b\"\r\n", "s=sheet-1.csv", `[{"id":"a, b"}]`},
		{"empty text", `list(object({ id = string, x = string }))`, "s.csv", "id,x\na,\n", "s.csv", `[{"id":"a","x":""}]`},
		{"defaults", `list(object({ id = string, n = optional(number, 7) }))`, "s.csv", "id,n\na,\n", "s.csv", `[{"id":"a","n":7}]`},
		{"one column", `list(string)`, "s.csv", "id\na\nb\n", "s.csv", `["a","b"]`},
		{"numbers", `set(number)`, "s.csv", "n\n2\n1\n2\n", "s.csv", `[1,2]`},
		{"maps", `list(map(string))`, "s.csv", "a,b\n1,2\n", "s.csv", `[{"a":"1","b":"2"}]`},
		{"no rows", `list(object({ id = string }))`, "s.csv", "id\n", "s.csv", `[]`},
		{"any", `any`, "s.csv", "id\na\n", "s.csv", `[{"id":"a"}]`},
	} {
		p := program(t, "variable \"s\" { type = "+c.ty+" }\n", map[string]string{c.file: c.text})
		arg := filepath.Join(p.dir, c.arg)
		if name, file, ok := strings.Cut(c.arg, "="); ok {
			arg = name + "=" + filepath.Join(p.dir, file)
		}
		vals, diags := p.values(VarInput{Args: []VarArg{{File: arg}}})
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.name, diags)
		} else if got := jsonOfValue(t, vals["s"]); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A sample sheet of 10,000 lines is no matter.
func TestVariableTableLarge(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,n,path\n")
	for range 10_000 {
		b.WriteString("sample,1,data/x.fq\n")
	}
	p := program(t, "variable \"s\" { type = list(object({ id = string, n = number, path = optional(string, \"x\") })) }\n", map[string]string{"s.csv": b.String()})
	var vals map[string]cty.Value
	var diags hcl.Diagnostics
	checkCheap(t, func() { vals, diags = p.values(VarInput{Args: []VarArg{{File: filepath.Join(p.dir, "s.csv")}}}) })
	if diags.HasErrors() || vals["s"].LengthInt() != 10_000 {
		t.Error(diags)
	}
}

func TestVariableSensitive(t *testing.T) {
	p := program(t, variables, nil)
	vals, diags := p.values(VarInput{Args: set("text=x", "token=canary")})
	if diags.HasErrors() || !vals["token"].HasMark(sensitive) || vals["text"].IsMarked() {
		t.Errorf("%#v, %v", vals, diags)
	}
	// The default of a sensitive variable is no less so.
	vals, _ = p.values(VarInput{Args: set("text=x")})
	if !vals["token"].HasMark(sensitive) {
		t.Errorf("%#v", vals["token"])
	}
	// A validation must not show it.
	p = program(t, "variable \"token\" {\n  type      = string\n  sensitive = true\n  validation {\n    condition     = length(var.token) > 100\n    error_message = \"too short: ${var.token}\"\n  }\n}\n", nil)
	_, diags = p.values(VarInput{Args: set("token=canary")})
	var b strings.Builder
	if err := WriteText(&b, p.Files, diags, 80, false); err != nil {
		t.Fatal(err)
	}
	report, _ := JSON(p.Files, diags)
	if !diags.HasErrors() || strings.Contains(b.String()+string(report), "canary") || !strings.Contains(b.String(), "sensitive") {
		t.Errorf("%s\n%s", b.String(), report)
	}
}

// What was stored comes back the same.
func TestVariableStored(t *testing.T) {
	p := program(t, "variable \"s\" { type = string }\nvariable \"n\" { type = number }\nvariable \"l\" { type = list(object({ a = string, b = optional(number) })) }\nvariable \"x\" {}\n", nil)
	rapid.Check(t, func(t *rapid.T) {
		str := func(label string) cty.Value { return cty.StringVal(rapid.String().Draw(t, label)) }
		num := func(label string) cty.Value { return cty.NumberFloatVal(rapid.Float64Range(-1e9, 1e9).Draw(t, label)) }
		ety := cty.Object(map[string]cty.Type{"a": cty.String, "b": cty.Number})
		list := cty.ListValEmpty(ety)
		if n := rapid.IntRange(0, 3).Draw(t, "len"); n > 0 {
			var vals []cty.Value
			for range n {
				b := cty.NullVal(cty.Number)
				if rapid.Bool().Draw(t, "null") {
					b = num("b")
				}
				vals = append(vals, cty.ObjectVal(map[string]cty.Value{"a": str("a"), "b": b}))
			}
			list = cty.ListVal(vals)
		}
		want := map[string]cty.Value{"s": str("s"), "n": num("n"), "l": list, "x": str("x")}
		stored := map[string]string{}
		for _, v := range p.Variables {
			text, err := v.encode(want[v.Name])
			if err != nil {
				t.Fatal(err)
			}
			stored[v.Name] = string(text)
		}
		got, diags := p.values(VarInput{Stored: stored})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for name, w := range want {
			if !got[name].RawEquals(w) {
				t.Errorf("%s: %#v, want %#v", name, got[name], w)
			}
		}
	})
}

func FuzzVars(f *testing.F) {
	for _, s := range []string{"text=x", "n=3", "list=[\"a\"]", "any={", "samples=[{id=1}]", "n=1e999", "", "=", "any=\x00", "list=[for x in [1] : x]", "fq=\xff"} {
		f.Add(s, "id\na\n", "n = 1\n")
	}
	p := program(f, variables, nil)
	f.Fuzz(func(t *testing.T, arg, table, file string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"samples.csv": table, "v.hcl": file, "v.json": file} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		vals, diags := p.values(VarInput{Args: []VarArg{{Set: arg}, {File: filepath.Join(dir, "samples.csv")}, {File: filepath.Join(dir, "v.hcl")}, {File: filepath.Join(dir, "v.json")}}})
		for _, v := range p.Variables {
			val, ok := vals[v.Name]
			if !ok || val == cty.NilVal || v.Sensitive != val.HasMark(sensitive) {
				t.Errorf("%s: %#v", v.Name, val)
			}
			if plain, _ := val.Unmark(); !plain.IsKnown() && !diags.HasErrors() {
				t.Errorf("%s is unknown, without an error", v.Name)
			}
		}
		var b strings.Builder
		if err := WriteText(&b, p.Files, diags, 80, false); err != nil {
			t.Error(err)
		}
	})
}

// TestAutoFilePipe: a pipe beside the workflow makes nobody wait for its writer.
func TestAutoFilePipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "x.auto.vars.hcl"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := Load(dir, []Source{{Name: "w.hcl", Bytes: []byte("variable \"n\" { default = 1 }\nstep \"s\" { command = [\"true\"] }\n")}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if _, diags = p.Bind(VarInput{AutoFiles: true}, RunContext{}); !diags.HasErrors() || !strings.Contains(diags.Error(), "no regular file") {
		t.Errorf("%v", diags)
	}
}
