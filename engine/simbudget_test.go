package engine_test

import (
	"context"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// Budgets in the simulation: some worlds have one, and their runs pause, rest, and go on.

// simHour is the price of an hour of any task, where there is a budget.
const simHour = 36 * engine.USD / 10

// toEnd drives a run to its end, and lets it go on whenever it is paused.
func (w *world) toEnd() (*engine.Run, error) {
	for {
		run, err := w.driver().Drive(context.Background(), simRun)
		p, paused := engine.Pause{}, false
		if err == nil {
			p, paused = run.Paused()
		}
		if !paused {
			return run, err
		}
		w.granted(run, p)
	}
}

// granted checks a run that rests since it is over its budget, and lets it go on.
func (w *world) granted(run *engine.Run, p engine.Pause) {
	if p.Spent <= p.Allowance {
		w.problem("paused with %v spent of %v", p.Spent, p.Allowance)
	}
	if jobs, tasks := run.Alive(); jobs+tasks > 0 {
		w.problem("it rests with %d jobs and %d tasks alive", jobs, tasks)
	}
	d := w.driver()
	again, err := d.Load(context.Background(), simRun)
	if err != nil {
		w.problem("loading a paused run: %v", err)
		return
	}
	if diff := cmp.Diff(outline(run), outline(again)); diff != "" {
		w.problem("replaying the log of a paused run gives another (-live +replayed):\n%s", diff)
	}
	events, err := again.Allow(0)
	if err != nil || len(events) != 1 {
		w.problem("a paused run may not go on: %v %v", events, err)
		return
	}
	at := w.crashAt
	w.crashAt = -1
	err = d.Record(context.Background(), events...)
	w.crashAt = at
	if err != nil {
		w.problem("resuming a paused run: %v", err)
	}
}

// isPaused reports whether the log says so.
func (w *world) isPaused() bool {
	for i := len(w.log) - 1; i >= 0; i-- {
		switch e := &w.log[i]; {
		case e.Kind == engine.RunPaused:
			return true
		case e.Kind == engine.RunResumed && e.Allowance > 0, e.Kind == engine.RunReopened:
			return false
		}
	}
	return false
}
