package dsl

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// A step has the names that it had, the last one first.
func TestMoved(t *testing.T) {
	p := loadText(t, `
moved {
  from = step.a
  to   = step.b
}
step "c" { command = ["x"] }
step "d" { command = ["x"] }
moved {
  from = step.b
  to   = step.c
}
`)
	if diff := cmp.Diff([]engine.StepName{"b", "a"}, p.Workflow.Step("c").Was); diff != "" {
		t.Errorf("the names of c (-want +got):\n%s", diff)
	}
	if was := p.Workflow.Step("d").Was; was != nil {
		t.Errorf("d had the names %v", was)
	}
}
