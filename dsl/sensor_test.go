package dsl

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/engine"
)

// gate evaluates what a step waits for.
func (w *world) gate(name engine.StepName) *engine.Gate {
	w.tb.Helper()
	g, err := w.tmpl.Gate(name, w)
	if err != nil {
		w.tb.Fatalf("gate of %s: %v", name, err)
	}
	return g
}

// A gate has values of variables, of the run and of steps before; those are what it depends on.
func TestGate(t *testing.T) {
	w := bind(t, `
variable "day" { type = string }
locals { bucket = "inbox" }
step "first" {
  command = ["x"]
  output "names" { json = "n.json" }
}
step "a" {
  command = ["x"]
  wait_for "s3" {
    prefix     = "s3://${local.bucket}/${var.day}/"
    count      = length(step.first.outputs.names)
    every      = "5m"
    timeout    = "1d"
    on_timeout = "skip"
  }
  wait_for "s3" { object = "s3://inbox/${formatdate("YYYY", run.time)}.csv" }
  wait_for "file" { path = "in/${var.day}.csv" }
  wait_for "file" {
    path  = "in/*.csv"
    count = 2
    every = "1s"
  }
  wait_for "file" { path = "/data/**/{x,y}" }
}
`, "day=2001-01-02")
	step := w.tmpl.Workflow().Step("a")
	if !step.Gated || len(step.Deps) != 1 || step.Deps[0].Step != "first" || step.Deps[0].Need != engine.NeedValues {
		t.Errorf("%+v", step)
	}
	w.expand("first")
	w.ends("first", 0, engine.Succeeded, `{"names": ["p", "q", "r"]}`)
	dir := w.tmpl.p.dir
	want := &engine.Gate{Sensors: []engine.Sensor{
		{Kind: engine.SensorS3, Target: "s3://inbox/2001-01-02/", Prefix: true, Count: 3, Every: 5 * time.Minute, Timeout: 24 * time.Hour, Skip: true},
		{Kind: engine.SensorS3, Target: "s3://inbox/2026.csv", Count: 1, Every: time.Minute},
		{Kind: engine.SensorFile, Target: dir + "/in/2001-01-02.csv", Count: 1, Every: 10 * time.Second},
		{Kind: engine.SensorFile, Target: dir + "/in/*.csv", Pattern: true, Count: 2, Every: time.Second},
		{Kind: engine.SensorFile, Target: "/data/**/{x,y}", Pattern: true, Count: 1, Every: 10 * time.Second},
	}}
	if diff := cmp.Diff(want, w.gate("a"), cmpopts.IgnoreTypes(engine.Pos{})); diff != "" {
		t.Errorf("gate (-want +got):\n%s", diff)
	}
}

// There is nothing to wait for if the step will not run.
func TestGateOfNothing(t *testing.T) {
	w := bind(t, `
variable "on" { type = bool }
step "first" {
  command = ["x"]
  when    = var.on
  output "text" { text = "t" }
}
step "off" {
  command = ["x"]
  when    = !true
  wait_for "file" { path = "x" }
}
step "some" {
  for_each = [1, 2]
  command  = ["x"]
  when     = each.value > 1
  wait_for "file" { path = "x" }
}
step "lacks" {
  command = ["x"]
  wait_for "file" { path = "in/${step.first.outputs.text}" }
}
step "null" {
  command = ["x"]
  wait_for "file" { path = var.on ? "x" : null }
}
`, "on=false")
	w.expand("first")
	w.ends("first", 0, engine.Skipped, "")
	for name, want := range map[engine.StepName]bool{"off": false, "some": true, "lacks": false} {
		if got := w.gate(name) != nil; got != want {
			t.Errorf("%s waits: %v", name, got)
		}
	}
	if _, err := w.tmpl.Gate("null", w); err == nil || !strings.Contains(err.Error(), "is null") {
		t.Errorf("null: %v", err)
	}
}

// The name of the workflow's directory is no pattern.
func TestWaitPath(t *testing.T) {
	p := &Program{dir: "/data/[1] {x}"}
	for path, want := range map[string]string{
		"a.csv": "/data/[1] {x}/a.csv", "*.csv": `/data/\[1\] \{x\}/*.csv`, "/x/*": "/x/*", `\[a\]`: `/data/\[1\] \{x\}/\[a\]`,
	} {
		target, pattern := p.waitPath(path)
		if target != want || pattern != strings.ContainsAny(path, `*[\`) {
			t.Errorf("%s is %s (a pattern: %v)", path, target, pattern)
		}
	}
}
