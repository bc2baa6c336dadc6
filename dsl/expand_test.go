package dsl

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// A world is a run that a test makes up: an engine.Scope.
type world struct {
	tb    testing.TB
	tmpl  *Template
	steps map[engine.StepName]*fakeStep
}

type fakeStep struct {
	exp    *engine.Expansion
	fan    bool
	status []engine.Status
	values []engine.Values
	gone   []string // files of tasks that are not there any more
}

func (w *world) RunID() engine.RunID { return "01run" }
func (w *world) RunTime() time.Time  { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func (w *world) Step(name engine.StepName) *engine.StepView {
	f := w.steps[name]
	if f == nil {
		return nil
	}
	return &engine.StepView{FanOut: f.fan, Keys: f.exp.Keys, Size: len(f.exp.Specs), Task: func(i int) engine.TaskView {
		key := ""
		if f.fan {
			if key = fmt.Sprint(i); f.exp.Keys != nil {
				key = f.exp.Keys[i]
			}
		}
		v := engine.TaskView{Status: f.status[i], Dir: engine.TaskDir("/work", "01run", name, engine.KeyDir(f.fan, key)), Values: f.values[i], Gone: f.gone, Again: "/again"}
		if spec := f.exp.Specs[i]; spec != nil {
			for _, o := range spec.Outputs {
				if o.Kind.Static() {
					if v.Static == nil {
						v.Static = map[string]string{}
					}
					v.Static[o.Name] = o.Path
				}
			}
		}
		return v
	}}
}

// bind binds a workflow without mistakes.
func bind(tb testing.TB, text string, sets ...string) *world {
	tb.Helper()
	return bindProgram(tb, loadText(tb, text), sets...)
}

func bindProgram(tb testing.TB, p *Program, sets ...string) *world {
	tb.Helper()
	var in VarInput
	for _, s := range sets {
		in.Args = append(in.Args, VarArg{Set: s})
	}
	tmpl, diags := p.Bind(in, RunContext{ID: "01run"})
	if diags.HasErrors() {
		tb.Fatalf("bind:\n%s", show(p, diags))
	}
	return &world{tb: tb, tmpl: tmpl, steps: map[engine.StepName]*fakeStep{}}
}

// expand expands a step; its tasks are pending then, or skipped.
func (w *world) expand(name engine.StepName) *engine.Expansion {
	w.tb.Helper()
	exp, err := w.tmpl.Expand(name, w)
	if err != nil {
		w.tb.Fatalf("expand %s: %v", name, err)
	}
	f := &fakeStep{exp: exp, fan: w.tmpl.Workflow().Step(name).FanOut}
	for _, spec := range exp.Specs {
		status := engine.Pending
		if spec == nil {
			status = engine.Skipped
		}
		f.status = append(f.status, status)
		f.values = append(f.values, nil)
	}
	w.steps[name] = f
	return exp
}

// ends ends task i of a step; values is JSON of its values, or "".
func (w *world) ends(name engine.StepName, i int, s engine.Status, values string) {
	w.tb.Helper()
	f := w.steps[name]
	f.status[i] = s
	if values != "" {
		if err := json.Unmarshal([]byte(values), &f.values[i]); err != nil {
			w.tb.Fatal(err)
		}
	}
}

// fails expands a step that cannot be, and returns the message.
func (w *world) fails(name engine.StepName) string {
	w.tb.Helper()
	exp, err := w.tmpl.Expand(name, w)
	if err == nil {
		w.tb.Fatalf("expand %s: got %+v, want an error", name, exp)
	}
	return err.Error()
}

func paths(spec *engine.TaskSpec, input string) []string {
	for _, in := range spec.Inputs {
		if in.Name == input {
			return in.Paths
		}
	}
	return nil
}

func TestSpec(t *testing.T) {
	p, diags := loadFile(t, "testdata/valid-files/everything.hcl")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	p.dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(p.dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "scripts", "x.sh"), []byte("echo ${x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.functions = functions(p.dir, p.budget)
	w := bindProgram(t, p, "token=hush", "day=2026-01-31")
	wf := w.tmpl.Workflow()
	if wf.WorkDir != p.abs("work") || wf.MaxParallel != 10 || wf.OnFailure != engine.CancelOnErr || wf.Executor != "batch" || wf.OnLost != engine.LostRetries || wf.Timeout != 36*time.Hour || wf.Tags["run"] != "01run" {
		t.Errorf("workflow: %+v", wf)
	}
	if _, ok := w.tmpl.StoredVariables()["token"]; ok {
		t.Error("a sensitive variable is stored")
	}

	exp := w.expand("depth")
	if diff := cmp.Diff([]string{"a", "b"}, exp.Keys); diff != "" {
		t.Error(diff)
	}
	mem := func(n int) engine.Resources { return engine.Resources{VCPUs: 2, MemoryMiB: n, GPUs: 1, DiskGiB: 100} }
	want := &engine.TaskSpec{
		Script: "for f in \"$reads\"/*; do cat \"$f\"; done > $text\nn=$(wc -l < \"$text\"); echo \"${n##* } b\" > depth.json\n",
		Shell:  []string{"bash", "-c"},
		Image:  "debian:13", Queue: "spot", Priority: 3, CacheVersion: "2", Timeout: 2 * time.Hour,
		Env:     map[string]string{"LANG": "C.UTF-8", "ID": "b", "N": "1"},
		Secrets: map[string]string{"TOKEN": "var:token", "OTHER": "env:OTHER", "F": "file:" + p.abs("key.txt"), "A": "arn:aws:ssm:us-east-1:123456789012:parameter/x"},
		Inputs:  []engine.Input{{Name: "reads", List: true, Paths: []string{p.abs("b_1.fq"), p.abs("b_2.fq")}}},
		Outputs: []engine.Output{
			{Name: "depth", Kind: "json", Path: "depth.json"},
			{Name: "text", Kind: "file", Path: "b.txt", Optional: true, Publish: p.abs("results/everything/01run/b.txt")},
			{Name: "parts", Kind: "files", Path: "parts/**/*.txt"},
			{Name: "dir", Kind: "directory", Path: "d"},
			{Name: "note", Kind: "text", Path: "note.txt"},
		},
		Resources: []engine.Resources{mem(4096)},
		Retry: engine.Retry{Attempts: 3, Rules: []engine.RetryRule{
			{Class: "spot", StatusReason: "Host EC2*"},
			{Class: "oom", ExitCode: "137", Delay: 30 * time.Second, MemoryMiB: []int{4096, 8192, 12288}, VCPUs: []float64{1, 2, 3}, Queue: "big"},
			{Class: "oom", ExitCode: "139", Delay: 30 * time.Second, MemoryMiB: []int{4096, 8192, 12288}, VCPUs: []float64{1, 2, 3}, Queue: "big"},
			{Class: "bad", ExitCode: "2", Exit: true},
		}},
		Tags: map[string]string{"project": "x", "run": "01run", "team": "a", "sample": "b"},
		Container: &engine.Container{
			User: "1000", JobRole: "arn:aws:iam::123456789012:role/x", ExecutionRole: "arn:aws:iam::123456789012:role/y", InitProcess: true,
			Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 65536, Hard: 65536}, {Name: "nproc", Soft: 1024, Hard: 4096}},
			Volumes: []engine.Volume{
				{Name: "ref", HostPath: "/data/ref", Path: "/ref", ReadOnly: true},
				{Name: "efs", EFS: "fs-12345678", Path: "/efs", EFSRoot: "/a", EFSAccess: "fsap-1"},
			},
			LogDriver: "awslogs", LogOptions: map[string]string{"awslogs-group": "/flow"}, Network: "private",
			Architecture: "ARM64", Platform: "FARGATE", SharedMemoryMiB: 64, EphemeralStorage: 50,
		},
	}
	if diff := cmp.Diff(want, exp.Specs[1]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if got := exp.Specs[0].Inputs[0].Paths; len(got) != 1 {
		t.Errorf("inputs of a: %v", got)
	}
	if !strings.Contains(string(exp.Each[1]), `"r2":"b_2.fq"`) {
		t.Errorf("each: %s", exp.Each[1])
	}
	if step := wf.Step("depth"); !step.Sequential || step.Tolerate.Percent != 1.5 || step.MaxParallel != 4 || !step.EngineRetries || !step.Partial || !step.Reads {
		t.Errorf("step: %+v", step)
	}
	if got := w.fails("cells"); !strings.Contains(got, `cells["copy"]`) || !strings.Contains(got, "null") {
		t.Errorf("the null height of the included cell: %s", got)
	}
	if file := w.expand("file").Specs[0]; file.Script != "echo ${x}\n" || file.Shell[0] != "bash" {
		t.Errorf("file: %+v", file)
	}
	if spec := w.expand("existing").Specs[0]; spec.JobDefinition != "qc:3" || spec.Parameters["input"] != "s3://bucket/2026-01-31" || spec.Command != nil {
		t.Errorf("existing: %+v", spec)
	}
}

func TestMatrix(t *testing.T) {
	w := bind(t, `
step "cells" {
  matrix {
    codec  = ["h264", "av1"]
    height = [480, 720, 1080]
    exclude {
      codec  = "av1"
      height = 480
    }
    include { codec = "copy" }
  }
  command = ["encode", each.value.codec, each.value.height == null ? "-" : tostring(each.value.height)]
  output "video" { file = "${each.key}.mp4" }
}
step "h264" {
  inputs  = { v = [for t in step.cells.each : t.outputs.video if t.value.codec == "h264"] }
  command = ["join"]
}
step "probe" {
  for_each = step.cells.each
  command  = ["probe", each.value.outputs.video, each.value.value.codec, each.key]
}
step "again" {
  for_each = step.probe.each
  command  = ["again", each.value.value.outputs.video, each.value.value.value.codec]
}
`)
	cells := w.expand("cells")
	if diff := cmp.Diff([]string{"h264-480", "h264-720", "h264-1080", "av1-720", "av1-1080", "copy"}, cells.Keys); diff != "" {
		t.Error(diff)
	}
	if got := cells.Specs[5].Command; got[2] != "-" {
		t.Errorf("included cell: %q", got)
	}
	want := []string{
		"/work/01run/cells/h264-1080/result/h264-1080.mp4", "/work/01run/cells/h264-480/result/h264-480.mp4", "/work/01run/cells/h264-720/result/h264-720.mp4",
	}
	if diff := cmp.Diff(want, paths(w.expand("h264").Specs[0], "v")); diff != "" {
		t.Error(diff)
	}
	probe := w.expand("probe")
	if diff := cmp.Diff(cells.Keys, probe.Keys); diff != "" {
		t.Error(diff)
	}
	if got := probe.Specs[3].Command; got[1] != "/work/01run/cells/av1-720/result/av1-720.mp4" || got[2] != "av1" || got[3] != "av1-720" {
		t.Errorf("probe: %q", got)
	}
	if got := w.expand("again").Specs[3].Command; got[1] != "/work/01run/cells/av1-720/result/av1-720.mp4" || got[2] != "av1" {
		t.Errorf("again: %q", got)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct{ forEach, eachKey, want string }{
		{`["b", "a"]`, "", "b a"},
		{`["x/b.fq", "y/a.fq"]`, "", "b.fq a.fq"},
		{`["x/a.fq", "y/a.fq"]`, "", "nil"},
		{`["a", "a"]`, "", "nil"},
		{`[480, 720]`, "", "nil"},
		{`range(3)`, "", "nil"},
		{`toset(["b", "a"])`, "", "a b"},
		{`{ z = 1, b = 2 }`, "", "b z"},
		{`{ "0" = 1, "1" = 2 }`, "", "nil"},
		{`[{ id = "p" }, { id = "q" }]`, "each.value.id", "p q"},
		{`[5, 6]`, "each.value * 2", "10 12"},
		{`["a", "b"]`, `"${each.index}-${each.key}"`, "0-a 1-b"},
		{`["0", "1"]`, "", "nil"},
		{`[]`, "", "nil"},
	} {
		text := "step \"s\" {\n  for_each = " + tt.forEach + "\n  command = [\"x\"]\n"
		if tt.eachKey != "" {
			text += "  each_key = " + tt.eachKey + "\n"
		}
		exp := bind(t, text+"}\n").expand("s")
		got := "nil"
		if exp.Keys != nil {
			got = strings.Join(exp.Keys, " ")
		}
		if got != tt.want {
			t.Errorf("for_each = %s, each_key = %q: keys %s, want %s", tt.forEach, tt.eachKey, got, tt.want)
		}
	}
}

func TestGather(t *testing.T) {
	w := bind(t, `
step "x" {
  for_each = ["a", "b", "c"]
  script   = "true"
  when     = each.key != "b"
  output "f" { file = "f" }
}
step "y" {
  for_each = ["a", "b", "c"]
  script   = "true"
  tolerate { failed = 1 }
  output "f" { file = "f" }
  output "n" { json = "n.json" }
  output "parts" { files = "p*" }
}
step "g" {
  inputs  = { x = step.x.outputs.f, y = step.y.outputs.f, parts = flatten(step.y.outputs.parts) }
  command = ["g", jsonencode(step.y.outputs.n)]
}
`)
	w.expand("x")
	w.expand("y")
	w.ends("y", 0, engine.Succeeded, `{"n": {"k": 1}, "parts": ["p 1", "p2"]}`)
	w.ends("y", 1, engine.Failed, "")
	w.ends("y", 2, engine.Cached, `{"n": 7, "parts": []}`)
	g := w.expand("g").Specs[0]
	dir := func(s, k string) string { return "/work/01run/" + s + "/" + k + "/result/" }
	if diff := cmp.Diff([]string{dir("x", "a") + "f", dir("x", "c") + "f"}, paths(g, "x")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{dir("y", "a") + "f", dir("y", "c") + "f"}, paths(g, "y")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{dir("y", "a") + "p 1", dir("y", "a") + "p2"}, paths(g, "parts")); diff != "" {
		t.Error(diff)
	}
	if g.Command[1] != `[{"k":1},7]` {
		t.Errorf("json: %s", g.Command[1])
	}
}

func TestAbsent(t *testing.T) {
	w := bind(t, `
variable "on" {
  type    = bool
  default = false
}
step "maybe" {
  command = ["x"]
  when    = var.on
  output "f" { file = "f" }
  output "list" { files = "*" }
}
step "consumer" {
  inputs  = { f = step.maybe.outputs.f }
  command = ["x"]
}
step "text" { command = ["x", "--in=${step.maybe.outputs.f}"] }
step "handles" {
  inputs  = { f = step.maybe.outputs.f == null ? "other" : step.maybe.outputs.f }
  command = ["x"]
}
step "fan" {
  for_each = step.maybe.outputs.list
  command  = ["x"]
}
step "src" {
  for_each = ["a", "b", "c"]
  command  = ["x"]
  when     = each.key != "c"
  output "f" { file = "f" }
  output "t" { text = "t" }
}
step "static" {
  for_each = step.src.each
  command  = ["x", each.value.outputs.f]
}
step "known" {
  for_each = step.src.each
  command  = ["x", each.value.outputs.t]
}
`)
	w.expand("maybe")
	for _, name := range []engine.StepName{"consumer", "text"} {
		exp := w.expand(name)
		if exp.Specs[0] != nil || exp.Absent[0] != "maybe" {
			t.Errorf("%s: %+v", name, exp)
		}
	}
	if got := paths(w.expand("handles").Specs[0], "f"); !strings.HasSuffix(got[0], "/other") {
		t.Errorf("handles: %v", got)
	}
	if got := w.expand("fan"); len(got.Specs) != 0 {
		t.Errorf("fan: %+v", got)
	}
	if got := w.expand("src").Absent; got[2] != "when" || len(got) != 1 {
		t.Errorf("src: %v", got)
	}
	static := w.expand("static")
	if static.Specs[0] == nil || static.Specs[1] == nil || static.Absent[2] != `src["c"]` {
		t.Errorf("static: %+v", static)
	}
	w.ends("src", 0, engine.Succeeded, `{"t": "hello"}`)
	w.ends("src", 1, engine.Failed, "")
	known := w.expand("known")
	if known.Specs[0].Command[1] != "hello" || known.Absent[1] != `src["b"]` || known.Absent[2] != `src["c"]` {
		t.Errorf("known: %+v", known)
	}
}

// TestForEachOfRange: the tasks of a range are those of its list, which is not made.
func TestForEachOfRange(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`range(3)`, "0=0 1=1 2=2"},
		{`range(0)`, ""},
		{`range(5, 8)`, "0=5 1=6 2=7"},
		{`range(var.n, 0)`, "0=3 1=2 2=1"},
		{`range(1, 10, 4)`, "0=1 1=5 2=9"},
		{`range(0, 1, 0.5)`, "0=0 1=0.5"},
		{`range(([4])...)`, "0=0 1=1 2=2 3=3"},
		{`[for i in range(2) : 10 * i]`, "0=0 1=10"},
	} {
		w := bind(t, "variable \"n\" { default = 3 }\nstep \"s\" {\n  for_each = "+c.expr+"\n  script = \"${each.key}=${each.value}\"\n}\n")
		exp := w.expand("s")
		var got []string
		for _, spec := range exp.Specs {
			got = append(got, spec.Script)
		}
		if text := strings.Join(got, " "); text != c.want || exp.Keys != nil {
			t.Errorf("%s: %q with keys %v, want %q", c.expr, text, exp.Keys, c.want)
		}
	}
	w := bind(t, "step \"s\" {\n  for_each = range(1000000)\n  script = \"echo $FLOW_KEY\"\n}\nstep \"t\" {\n  for_each = step.s.each\n  script = \"date\"\n}\n")
	for _, name := range []engine.StepName{"s", "t"} {
		if exp := w.expand(name); len(exp.Specs) != 1_000_000 || exp.Specs[0] != exp.Specs[999_999] || exp.Each != nil {
			t.Errorf("%s has %d tasks, the first and the last %p %p", name, len(exp.Specs), exp.Specs[0], exp.Specs[999_999])
		}
	}
	_, diags := Load(t.TempDir(), []Source{{Name: "w.hcl", Bytes: []byte("variable \"n\" {\n  default   = 3\n  sensitive = true\n}\nstep \"s\" {\n  for_each = range(var.n)\n  script = \"x\"\n}\n")}})
	if !strings.Contains(diags.Error(), "sensitive") {
		t.Errorf("a secret number of tasks: %v", diags)
	}
}
