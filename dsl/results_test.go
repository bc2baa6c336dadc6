package dsl

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func TestJSONTypes(t *testing.T) {
	text := `
step "a" {
  command = ["x"]
  output "j" {
    json = "j"
    type = list(object({ id = string, n = optional(number, 5) }))
  }
}
step "b" {
  for_each = step.a.outputs.j
  each_key = each.value.id
  command  = ["x", each.value.n]
}
`
	w := bind(t, text)
	w.expand("a")
	w.ends("a", 0, engine.Succeeded, `{"j": [{"id": "p"}, {"id": "q", "n": 6, "more": true}]}`)
	exp := w.expand("b")
	if exp.Specs[0].Command[1] != "5" || exp.Specs[1].Command[1] != "6" || exp.Keys[1] != "q" {
		t.Errorf("%v %q %q", exp.Keys, exp.Specs[0].Command, exp.Specs[1].Command)
	}
	w.ends("a", 0, engine.Succeeded, `{"j": {"id": "p"}}`)
	if got := w.fails("b"); !strings.Contains(got, `Output "j" of task a`) {
		t.Error(got)
	}
}

func TestShared(t *testing.T) {
	w := bind(t, `
step "x" {
  for_each = range(10000)
  command  = ["true"]
}
step "y" {
  for_each = range(3)
  command  = ["x", each.key]
  env      = { A = "b" }
}
`)
	exp := w.expand("x")
	if len(exp.Specs) != 10000 || exp.Keys != nil || exp.Each != nil {
		t.Fatalf("%d tasks, keys %v", len(exp.Specs), exp.Keys != nil)
	}
	for _, s := range exp.Specs {
		if s != exp.Specs[0] {
			t.Fatal("specs are not shared")
		}
	}
	if y := w.expand("y"); y.Specs[1].Command[1] != "1" || y.Specs[0].Command[1] != "0" {
		t.Errorf("own commands: %v %v", y.Specs[0], y.Specs[1])
	}
}

func TestExpandErrors(t *testing.T) {
	w := bind(t, `
variable "l" {
  type    = any
  default = null
}
step "null" {
  for_each = step.a.outputs.j
  command  = ["x"]
}
step "a" {
  command = ["x"]
  output "j" { json = "j" }
}
step "twice" {
  for_each = step.a.outputs.j
  each_key = "same"
  command  = ["x"]
}
step "bad" {
  for_each = step.a.outputs.j
  timeout  = each.value
  command  = ["x"]
}
`)
	w.expand("a")
	w.ends("a", 0, engine.Succeeded, `{"j": null}`)
	if got := w.fails("null"); !strings.Contains(got, "for_each is null") {
		t.Error(got)
	}
	w.ends("a", 0, engine.Succeeded, `{"j": ["2h", "never"]}`)
	if got := w.fails("twice"); !strings.Contains(got, `Items 0 and 1`) || !strings.Contains(got, `twice["same"]`) {
		t.Error(got)
	}
	if got := w.fails("bad"); !strings.Contains(got, `bad["never"]`) {
		t.Error(got)
	}
	w.ends("a", 0, engine.Succeeded, `{"j": "text"}`)
	if got := w.fails("null"); !strings.Contains(got, "this is a text") {
		t.Error(got)
	}
}

func TestResults(t *testing.T) {
	w := bind(t, `
step "a" {
  for_each = ["x", "y"]
  command  = ["x"]
  output "f" { file = each.key }
  output "t" { text = "t" }
}
step "skip" {
  command = ["x"]
  when    = false
  output "f" { file = "f" }
}
output "files" {
  value   = step.a.outputs.f
  publish = "out/"
}
output "texts" { value = { n = length(step.a.outputs.t), id = run.id, t = run.time } }
output "skipped" { value = step.skip.outputs.f }
`)
	w.expand("a")
	w.expand("skip")
	w.ends("a", 0, engine.Succeeded, `{"t": "1"}`)
	w.ends("a", 1, engine.Succeeded, `{"t": "2"}`)
	got, err := w.tmpl.Results(w)
	if err != nil {
		t.Fatal(err)
	}
	f := []string{"/work/01run/a/x/result/x", "/work/01run/a/y/result/y"}
	want := []engine.Result{
		{Name: "files", Value: json.RawMessage(`["` + f[0] + `","` + f[1] + `"]`), Files: f, Publish: w.tmpl.p.abs("out/")},
		{Name: "texts", Value: json.RawMessage(`{"id":"01run","n":2,"t":"2026-01-02T03:04:05Z"}`)},
		{Name: "skipped", Value: json.RawMessage(`null`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestUnicodePaths: a name that is not in Unicode normal form C is another file.
func TestUnicodePaths(t *testing.T) {
	w := bind(t, `
step "a" {
  command = ["x"]
  output "fs" { files = "*" }
}
step "b" {
  for_each = step.a.outputs.fs
  inputs   = { f = each.value }
  command  = ["x"]
}
output "fs" { value = step.a.outputs.fs }
`)
	const name = "e\u0301 $(touch PWNED)\n'\".txt"
	raw, err := json.Marshal([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	w.expand("a")
	w.ends("a", 0, engine.Succeeded, `{"fs": `+string(raw)+`}`)
	want := "/work/01run/a/_/result/" + name
	if got := paths(w.expand("b").Specs[0], "f"); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	res, err := w.tmpl.Results(w)
	if err != nil || len(res[0].Files) != 1 || res[0].Files[0] != want {
		t.Errorf("results %+v, %v", res, err)
	}
}

func TestJSONTwin(t *testing.T) {
	native, diags := loadFile(t, "testdata/valid-files/twin.hcl")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	twin, diags := loadFile(t, "testdata/valid-files/twin.hcl.json")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	a, b := bindProgram(t, native), bindProgram(t, twin)
	for _, s := range native.Workflow.Steps {
		if got, want := deps(t, twin, string(s.Name)), deps(t, native, string(s.Name)); got != want {
			t.Errorf("%s: deps %q in JSON, %q in HCL", s.Name, got, want)
		}
	}
	for _, name := range []engine.StepName{"a", "c", "b", "d"} {
		if diff := cmp.Diff(a.expand(name), b.expand(name)); diff != "" {
			t.Errorf("%s (-hcl +json):\n%s", name, diff)
		}
	}
	a.ends("d", 0, engine.Succeeded, `{"j": ["q"]}`)
	b.ends("d", 0, engine.Succeeded, `{"j": ["q"]}`)
	x, err1 := a.tmpl.Results(a)
	y, err2 := b.tmpl.Results(b)
	if diff := cmp.Diff(x, y); diff != "" || err1 != nil || err2 != nil {
		t.Error(diff, err1, err2)
	}
}
