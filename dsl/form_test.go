package dsl

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const formSource = `
workflow "w" {}
variable "reads" {
  type    = string
  default = "a.fq"
  validation {
    condition     = endswith(var.reads, ".fq")
    error_message = "reads must be a .fq file."
  }
}
variable "mode" {
  type = string
  validation {
    condition     = contains(["fast", "exact"], var.mode)
    error_message = "There is no such mode: ${var.mode}."
  }
}
variable "n" {
  type    = number
  default = 3
}
variable "names" {
  type    = list(string)
  default = ["a", "$${b}"]
}
variable "dry" {
  type    = bool
  default = false
}
variable "password" {
  type      = string
  default   = "secret"
  sensitive = true
}
step "s" { command = ["true"] }
`

func formProgram(t *testing.T) *Program {
	t.Helper()
	p, diags := Load(t.TempDir(), []Source{{Name: "w.hcl", Bytes: []byte(formSource)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

func TestForm(t *testing.T) {
	type field struct {
		Name, Value string
		Kind        FieldKind
		Choices     []string
		Rules       []string
	}
	var got []field
	for _, f := range formProgram(t).Form(VarInput{}) {
		got = append(got, field{f.Name, f.Value, f.Kind, f.Choices, f.Rules})
	}
	want := []field{
		{Name: "reads", Value: "a.fq", Kind: FieldText, Rules: []string{"reads must be a .fq file."}},
		{Name: "mode", Kind: FieldText, Choices: []string{"fast", "exact"}},
		{Name: "n", Value: "3", Kind: FieldNumber},
		{Name: "names", Value: `["a", "$${b}"]`, Kind: FieldExpr},
		{Name: "dry", Value: "false", Kind: FieldBool},
		{Name: "password", Kind: FieldText},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTry(t *testing.T) {
	ok := []VarArg{{Set: "mode=fast"}}
	for name, tt := range map[string]struct {
		args []VarArg
		want map[string]string
	}{
		"good":         {ok, map[string]string{}},
		"nothing":      {nil, map[string]string{"mode": "It needs a value."}},
		"no choice":    {[]VarArg{{Set: "mode=slow"}}, map[string]string{"mode": "There is no such mode: slow."}},
		"type":         {append(ok, VarArg{Set: "n=three"}), map[string]string{"n": `"three" has the name "three" in it, which means nothing here; strings stand in quotes.`}},
		"two":          {append(ok, VarArg{Set: "reads=x.bam"}, VarArg{Set: `names="x"`}), map[string]string{"reads": "Reads must be a .fq file.", "names": "List of string required, but have string."}},
		"undeclared":   {append(ok, VarArg{Set: "x=1"}), map[string]string{"": `Value for undeclared variable. -var x=...: there is no variable "x" in the workflow. It has: dry, mode, n, names, password, reads.`}},
		"value is fit": {append(ok, VarArg{Set: `names=["a", "$${b}"]`}, VarArg{Set: "dry=true"}), map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, formProgram(t).Try(VarInput{Args: tt.args})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestVarFile(t *testing.T) {
	p := formProgram(t)
	in := VarInput{Args: []VarArg{{Set: `reads=$HOME "%{x}".fq`}, {Set: "mode=exact"}, {Set: "n=12345678901234567890"}, {Set: `names=["a b", "$${c}"]`}, {Set: "password=p"}}}
	path := filepath.Join(t.TempDir(), "v.hcl")
	if err := os.WriteFile(path, p.VarFile(in, []string{"reads", "mode", "n", "names", "password", "nothing"}), 0o600); err != nil {
		t.Fatal(err)
	}
	want, diags := p.values(in)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got, diags := p.values(VarInput{Args: []VarArg{{File: path}}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for name, w := range want {
		if !got[name].RawEquals(w) {
			t.Errorf("%s is %#v, want %#v", name, got[name], w)
		}
	}
}
