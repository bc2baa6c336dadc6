package dsl

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSensitiveEnv: values that go through an environment are the same there, whatever is
// in them; what is not sensitive does not go.
func TestSensitiveEnv(t *testing.T) {
	const text = `
variable "text" {
  type      = string
  sensitive = true
}
variable "any" { sensitive = true }
variable "list" {
  type      = list(string)
  sensitive = true
}
variable "object" {
  type      = object({ a = number, b = optional(string) })
  sensitive = true
}
variable "none" {
  type      = string
  default   = null
  sensitive = true
}
variable "open" { default = "x" }
`
	bind := func(in VarInput) (values, env []string) {
		p := loadText(t, text)
		tmpl, diags := p.Bind(in, RunContext{ID: "01run"})
		if len(diags) > 0 {
			t.Fatal(show(p, diags))
		}
		for _, v := range p.Variables {
			val, _ := tmpl.vars.GetAttr(v.Name).UnmarkDeep()
			raw, err := v.encode(val)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v.Name+"="+string(raw))
		}
		return values, tmpl.SensitiveEnv()
	}
	want, env := bind(VarInput{Args: []VarArg{
		{Set: "text=a=\"${b}\"\n%{c} $${d} "}, {Set: `any="5"`},
		{Set: `list=["$${x}", "a\\b\n", "%%{if}"]`}, {Set: `object={ a = 0.1, b = "ü" }`},
	}})
	if len(env) != 4 {
		t.Errorf("the environment is %q, want the four that have a value", env)
	}
	got, _ := bind(VarInput{Env: env})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("through the environment (-want +got):\n%s", diff)
	}
	if raw, _ := json.Marshal("a=\"${b}\"\n%{c} $${d} "); got[0] != "text="+string(raw) {
		t.Errorf("got %s", got[0])
	}
}
