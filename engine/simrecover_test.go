package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// Traces makes the world an engine.Tracer: of each try that was begun, something is left.
func (w *world) Traces(_ context.Context, _ string, _ engine.RunID, step engine.StepName) (map[string]int, error) {
	if w.now.Before(w.faultsEnd) && w.rng.Float64() < w.lose {
		return nil, fmt.Errorf("no answer: %w", engine.ErrLater)
	}
	out := map[string]int{}
	for try := range w.begun {
		task, number, ok := strings.Cut(try, "#")
		name, key, _ := strings.Cut(task, "/")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || name != string(step) || w.bug == "traces are not seen" {
			continue
		}
		dir := engine.KeyDir(w.step(step).FanOut, key)
		out[dir] = max(out[dir], n)
	}
	return out, nil
}

// forgets is what the loss of the state file does: all that is left of the log is when the
// run was created. It is recovered some time later.
func (w *world) forgets() {
	info := *w.log[0].Info
	w.advance(w.now.Add(time.Duration(1+w.rng.IntN(30)) * time.Second))
	if info.Recovered = w.now; w.bug == "the names of jobs are those of before" {
		info.Recovered = w.log[0].At.Add(time.Nanosecond)
	}
	w.log = []engine.Event{{Seq: 1, At: w.log[0].At, Kind: engine.RunStarted, Info: &info}}
	w.synced = 1
}

// recoverWorld makes the world of a seed one in which nothing fails for good, so that all
// ends well however often the state is lost.
func recoverWorld(seed uint64) *world {
	w := newWorld(seed)
	w.repaired, w.forget, w.slow, w.wf.Budget = true, false, false, nil
	w.wf.OnFailure, w.wf.OnLost = engine.Finish, ""
	if w.local { // which lists jobs at once
		w.lag = 0
	}
	return w
}

// simulateLoss runs a world whose driver dies and whose state is lost, both several times.
func simulateLoss(w *world) (losses int) {
	info := &engine.RunInfo{Run: simRun, Workflow: "sim", WorkDir: "/w", Executor: w.place()}
	w.log, w.synced = []engine.Event{{Seq: 1, At: w.now, Kind: engine.RunStarted, Info: info}}, 1
	for life := 0; ; life++ {
		w.crashAt = -1
		if life < 5 {
			w.crashAt = w.rng.IntN(40)
		}
		d := w.driver()
		d.Requests = nil
		run, err := w.driven(d)
		var died crash
		if !errors.As(err, &died) {
			if err != nil {
				w.problem("the driver gave up: %v", err)
				return losses
			}
			w.check(run)
			if run.Status() != engine.Succeeded {
				w.problem("it ended %s: %s", run.Status(), run.Reason())
			}
			return losses
		}
		if died.at == endless {
			return losses
		}
		if w.rng.IntN(2) == 0 {
			w.dies()
			continue
		}
		losses++
		if w.local || w.rng.IntN(2) == 0 {
			w.dies()
		}
		w.forgets()
	}
}

// driven drives the run until it has ended, or the driver dies.
func (w *world) driven(d *engine.Driver) (run *engine.Run, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crash)
			if !ok {
				panic(r)
			}
			err = c
		}
	}()
	return d.Drive(context.Background(), simRun)
}

// TestSimulationRecover loses the whole log of runs, at random moments, and recovers them
// from what their tasks have left: no attempt runs twice, what has succeeded does not run
// again, jobs of before are ended, and the run ends as it would have.
func TestSimulationRecover(t *testing.T) {
	losses := 0
	from, to := uint64(1), uint64(*simSeeds)
	if *simSeed > 0 {
		from, to = *simSeed, *simSeed
	}
	for seed := from; seed <= to; seed++ {
		w := recoverWorld(seed)
		if *simSeed > 0 {
			w.trace = logWriter{t}
		}
		losses += simulateLoss(w)
		report(t, w, w.problems, "state lost")
	}
	if losses == 0 && *simSeed == 0 {
		t.Error("no state was lost: nothing was tested")
	}
}

func TestSimulationRecoverFindsPlantedBugs(t *testing.T) {
	for _, bug := range []string{"traces are not seen", "manifests are not found", "jobs are not looked for", "the names of jobs are those of before"} {
		t.Run(bug, func(t *testing.T) {
			for seed := uint64(1); seed <= 300; seed++ {
				w := recoverWorld(seed)
				w.bug = bug
				simulateLoss(w)
				if len(w.problems) > 0 {
					return
				}
			}
			t.Error("300 worlds went by, and nobody noticed")
		})
	}
}

// TestRecoverThenRedo: of a step that somebody wants to run again, what it did before the
// run was recovered does not count, even if nobody has looked at that yet.
func TestRecoverThenRedo(t *testing.T) {
	for seed := uint64(1); seed < 20; seed++ {
		w := recoverWorld(seed)
		first := w.steps[0]
		if first.size == 0 || first.when > 0 || first.Gated || seed%11 == 0 { // of the last somebody cancels the run
			continue
		}
		w.lose, w.hostLoss = 0, 0
		if run, problems := simulate(w, 0, -1); len(problems) > 0 || run.Status() != engine.Succeeded {
			t.Fatal(run, problems)
		}
		ran := len(w.begun)
		w.forgets()
		w.crashAt = 1 // when it is known which tasks there are, and no more
		d := w.driver()
		d.Requests = nil
		if _, err := w.driven(d); !errors.As(err, new(crash)) {
			t.Fatal(err)
		}
		w.crashAt = -1
		d = w.driver()
		d.Requests = nil
		run, err := d.Load(context.Background(), simRun)
		if err != nil {
			t.Fatal(err)
		}
		events, err := run.Redo(engine.Redo{Only: first.Name})
		if err != nil || len(events) == 0 {
			t.Fatal(events, err)
		}
		if err := d.Record(context.Background(), events...); err != nil {
			t.Fatal(err)
		}
		if run, err = w.toEnd(); err != nil || run.Status() != engine.Succeeded {
			t.Fatal(run, err)
		}
		if n := len(w.begun) - ran; n < first.size {
			t.Errorf("seed %d: %d tries were made anew, of %d tasks", seed, n, first.size)
		}
		report(t, w, w.problems, "run again")
	}
}
