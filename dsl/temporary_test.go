package dsl

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// What an output of the workflow names is not removed, though it be temporary.
func TestTemporaryOutputs(t *testing.T) {
	for name, tc := range map[string]struct {
		value string
		want  []string // outputs that are temporary
	}{
		"none":        {`"x"`, []string{"a", "b"}},
		"by name":     {"step.s.outputs.a", []string{"b"}},
		"of a task":   {`step.s.each["1"].outputs.b`, []string{"a"}},
		"all":         {"step.s.outputs", nil},
		"by a local":  {"local.l", []string{"b"}},
		"by an item":  {`step.u.each["0"].value`, []string{"b"}},
		"of another":  {"step.u.outputs.c", []string{"a", "b"}},
		"only a key":  {`step.s.each["1"].key`, []string{"a", "b"}},
		"interpolate": {`"${step.s.outputs.b[0]}"`, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := bind(t, `
locals { l = step.s.outputs.a }
step "s" {
  for_each = ["1", "2"]
  script   = "true"
  output "a" {
    file      = "a"
    temporary = true
  }
  output "b" {
    directory = "b"
    temporary = true
  }
  output "kept" { file = "k" }
}
step "u" {
  for_each = [for a in step.s.outputs.a : a]
  script   = "true"
  output "c" { file = "c" }
}
output "o" { value = `+tc.value+` }
`)
			var got []string
			for _, o := range w.expand("s").Specs[0].Outputs {
				if o.Temporary {
					got = append(got, o.Name)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("temporary (-want +got):\n%s", diff)
			}
		})
	}
}

// Files that are gone are named where they will be, should their task run again; the others
// where they are.
func TestGoneOutputs(t *testing.T) {
	w := bind(t, `
step "s" {
  script = "true"
  output "a" {
    file      = "a"
    temporary = true
  }
  output "m" {
    files     = "*"
    temporary = true
  }
  output "kept" { file = "k" }
}
step "u" {
  command = ["cat", step.s.outputs.a, step.s.outputs.kept, step.s.outputs.m[0]]
}
`)
	w.expand("s")
	w.ends("s", 0, engine.Cached, `{"m": ["m1"]}`)
	w.steps["s"].gone = []string{"a", "m"}
	want := []string{"cat", "/again/result/a", "/work/01run/s/_/result/k", "/again/result/m1"}
	if diff := cmp.Diff(want, w.expand("u").Specs[0].Command); diff != "" {
		t.Errorf("the command (-want +got):\n%s", diff)
	}
}
