package main

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

// loadWorkflow has many tasks that do nothing. They begin when the file go is there.
const loadWorkflow = `
workflow "load" {}
step "work" {
  wait_for "file" {
    path    = %q
    every   = "1s"
    timeout = "1h"
  }
  for_each = range(%d)
  command  = ["true"]
}
`

// A try is one task of a run, while it ran.
type try struct {
	run            engine.RunID
	begun, stopped time.Time
}

// tries returns when the tasks of a step of runs ran, in the order in which they began.
func (b *fleetBench) tries(ids []engine.RunID, step engine.StepName) (all []try) {
	b.t.Helper()
	for _, id := range ids {
		row := b.row(id)
		run, err := b.a.runAt(b.t.Context(), b.db, row, row.Seq)
		if err != nil {
			b.t.Fatal(err)
		}
		for i := range run.StepStatus(step).Size {
			t := run.Task(step, i)
			all = append(all, try{id, t.Started, t.Stopped})
		}
	}
	slices.SortFunc(all, func(x, y try) int { return cmp.Or(x.begun.Compare(y.begun), cmp.Compare(x.run, y.run)) })
	return all
}

// longestWait returns how many tasks of other runs have begun at most between two of a run that
// had one to begin.
func longestWait(all []try) (most int) {
	last := map[engine.RunID]int{}
	for i, t := range all {
		if before, ok := last[t.run]; ok {
			most = max(most, i-before-1)
		}
		last[t.run] = i
	}
	return most
}

// triesAtOnce returns how many tasks ran at a time at most.
func triesAtOnce(all []try) (most int) {
	type edge struct {
		at time.Time
		by int
	}
	var edges []edge
	for _, t := range all {
		edges = append(edges, edge{t.begun, 1}, edge{t.stopped, -1})
	}
	slices.SortFunc(edges, func(x, y edge) int { return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.by, y.by)) })
	n := 0
	for _, e := range edges {
		n += e.by
		most = max(most, n)
	}
	return most
}

// TestFleetShares drives a hundred runs at once, all of which have more to do than the machine
// can: they share it, and none of them starves.
func TestFleetShares(t *testing.T) {
	t.Parallel()
	const runs, tasks = 100, 12
	b := newFleetBench(t)
	b.flags.noCache = true
	var ids []engine.RunID
	for range runs {
		ids = append(ids, b.create(fmt.Sprintf(loadWorkflow, b.dir+"/go", tasks)))
	}
	b.start()
	b.until("all runs wait for the file", func() bool {
		all, err := b.db.Runs(t.Context(), state.RunFilter{})
		return err == nil && !slices.ContainsFunc(all, func(r state.Run) bool { return r.Seq < 2 })
	})
	write(t, b.dir+"/go", "")
	b.ended(runs)
	for _, id := range ids {
		if row := b.row(id); row.Status != engine.Succeeded {
			t.Errorf("run %s is %s: %s", id, row.Status, row.Reason)
		}
	}
	all := b.tries(ids, "work")
	if n := triesAtOnce(all); n > runtime.NumCPU() {
		t.Errorf("%d tasks ran at once on %d CPUs", n, runtime.NumCPU())
	}
	// Round and round: what begins within a millisecond has no order.
	most := longestWait(all)
	t.Logf("between two tasks of a run at most %d of others have begun", most)
	if most > 4*runs {
		t.Errorf("a run waited while %d tasks of others began; with %d runs at once, a fair share is one in %[2]d", most, runs)
	}
}
