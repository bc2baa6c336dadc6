package main

import (
	"os"
	"path/filepath"
	"testing"

	"flow/engine"
	"flow/state"
)

// TestCancelWhenAllHasEnded cancels a run whose driver was killed when all steps had
// succeeded, before it said that the run has: there is nothing left to cancel, and the
// run succeeds with its outputs.
func TestCancelWhenAllHasEnded(t *testing.T) {
	b := &killBench{t: t, dir: t.TempDir()}
	const workflow = `
variable "x" { type = string }
step "a" { command = ["true"] }
output "o" { value = "${var.x}!" }
`
	if err := makeStateDir(filepath.Join(b.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "w.hcl"), []byte(workflow), 0o644); err != nil {
		t.Fatal(err)
	}
	b.output("run", "w.hcl", "-var", "x=1")
	id := b.withoutEnd(engine.RunID(b.newest()))
	b.output("cancel", string(id))
	var status runJSON
	b.decode(&status, "status", "-json", string(id))
	if status.Status != engine.Succeeded {
		t.Errorf("the run is %s: %s", status.Status, status.Reason)
	}
	if got := string(b.output("outputs", "-raw", "o", string(id))); got != "1!" {
		t.Errorf("the output is %q, want 1!", got)
	}
}

// withoutEnd makes a copy of a run that lacks its last event.
func (b *killBench) withoutEnd(id engine.RunID) engine.RunID {
	b.t.Helper()
	check := func(err error) {
		if err != nil {
			b.t.Helper()
			b.t.Fatal(err)
		}
	}
	db, err := state.Open(filepath.Join(b.dir, stateDir, "flow.db"), state.Options{})
	check(err)
	defer db.Close()
	row, err := db.Run(b.t.Context(), id)
	check(err)
	sources, err := db.Sources(b.t.Context(), id)
	check(err)
	var events []engine.Event
	for e, err := range db.Events(b.t.Context(), id, 0) {
		check(err)
		events = append(events, e)
	}
	if last := events[len(events)-1]; last.Kind != engine.RunEnded {
		b.t.Fatalf("the last event of run %s is %s", id, last.Kind)
	}
	info := *events[0].Info
	info.Run = newApp().newRunID()
	check(db.CreateRun(b.t.Context(), state.NewRun{Info: info, Dir: row.Dir, Sources: sources, Steps: []state.StepInfo{{Name: "a"}}}))
	check(db.Append(b.t.Context(), info.Run, 1, events[1:len(events)-1]...))
	return info.Run
}
