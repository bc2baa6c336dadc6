package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

var (
	simSeeds = flag.Int("sim.seeds", 300, "how many random worlds to simulate")
	simAt    = flag.Int("sim.at", -1, "with -sim.seed: let the driver die at this boundary only")
	simSeed  = flag.Uint64("sim.seed", 0, "simulate this one world only, and tell what happens in it")
)

const simRun = engine.RunID("01jd0000000000000000000000")

// simulate runs the world of a seed to its end, dying crashes times at random places,
// or once after the given number of boundaries. It returns what went wrong.
func simulate(w *world, crashes int, at int) (run *engine.Run, problems []string) {
	info := &engine.RunInfo{Run: simRun, Workflow: "sim", WorkDir: "/w", Executor: w.place()}
	w.distance()
	info.Limits = w.limits()
	w.lateness(info)
	w.log, w.synced = []engine.Event{{Seq: 1, At: w.now, Kind: engine.RunStarted, Info: info}}, 1
	w.crashAt = at
	for life := 0; ; life++ {
		if life < crashes && at < 0 {
			w.crashAt = w.rng.IntN(40)
		}
		r, err := w.live()
		var died crash
		if errors.As(err, &died) {
			if died.at == endless {
				return r, w.problems
			}
			fmt.Fprintln(w.trace, "died at", died.at)
			w.dies()
			continue
		}
		if err != nil {
			w.problem("the driver gave up: %v", err)
		}
		if p, paused := r.Paused(); paused && err == nil {
			w.pauses++
			w.granted(r, p)
			continue
		}
		return r, w.problems
	}
}

func (c crash) Error() string { return "died at " + c.at }

// live is one life of a driver: until the run has ended, or the driver dies.
func (w *world) live() (run *engine.Run, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crash)
			if !ok {
				panic(r)
			}
			err = c
		}
	}()
	d := w.driver()
	run, err = d.Drive(context.Background(), simRun)
	return run, err
}

func (w *world) place() string {
	if w.local {
		return engine.ExecutorLocal
	}
	return engine.ExecutorBatch
}

func (w *world) driver() *engine.Driver {
	clear(w.probed)
	quiet := 2 * time.Minute
	if w.bug == "jobs in doubt are submitted again at once" {
		quiet = 0
	}
	d := &engine.Driver{
		Workflow: w.wf, Template: w, Executor: w.executor(), Log: w, Files: w, Clock: w,
		Quiet: quiet, Poll: 10 * time.Second,
	}
	if w.files != nil {
		d.Files, d.Cache = remote{w}, remote{w}
	}
	if w.wf.Budget != nil {
		d.Price = func(*engine.TaskSpec, string, engine.Resources) *engine.Rate {
			return &engine.Rate{Hour: simHour, Least: 60}
		}
	}
	if w.seed%11 == 0 {
		d.Requests = func(context.Context) ([]engine.Request, error) {
			if w.now.Sub(w.log[0].At) < 30*time.Minute {
				return nil, nil
			}
			w.cancelled = true
			return []engine.Request{{Kind: "cancel", Reason: "enough"}}, nil
		}
	}
	return d
}

// expect says how each task and step ends if everything is right, by the plain rules.
func (w *world) expect() map[string]engine.Status {
	want := map[string]engine.Status{}
	for _, s := range w.steps {
		if w.vain(s, want) {
			w.expectNone(s, want)
			continue
		}
		failed, hurt, ran, off := 0, 0, 0, 0
		for i := range s.size {
			id := taskID(s.Name, i)
			want[id] = w.expectTask(s, i, want)
			switch want[id] {
			case engine.Failed:
				failed++
			case engine.Skipped:
				if s.when > 0 && i%s.when == 0 {
					off++
				} else if !w.excused(s, i, want) {
					hurt++
				}
			default:
				ran++
			}
		}
		switch {
		case !w.wholeOK(s, want):
			want[string(s.Name)] = engine.Skipped
		case failed > 0 && !s.Tolerate.Allows(failed, s.size):
			want[string(s.Name)] = engine.Failed
		case hurt > 0, off > 0 && off == s.size:
			want[string(s.Name)] = engine.Skipped
		default:
			want[string(s.Name)] = engine.Succeeded
		}
	}
	return want
}

// wholeOK reports whether all that the whole of s needs has succeeded.
func (w *world) wholeOK(s *simStep, want map[string]engine.Status) bool {
	for _, d := range s.Deps {
		if (d.Kind == engine.Whole || s.size == 0) && want[string(d.Step)] != engine.Succeeded && !w.off(d.Step, want) {
			return false
		}
	}
	return true
}

// off reports whether a step was skipped as its `when` says, and all that it depends on
// is well.
func (w *world) off(name engine.StepName, want map[string]engine.Status) bool {
	s := w.step(name)
	switch {
	case w.vain(s, want) && !w.skips(s):
		return false
	case !w.skips(s) && (s.when == 0 || s.size != 1):
		return false
	}
	for _, d := range s.Deps {
		if want[string(d.Step)] != engine.Succeeded && !w.off(d.Step, want) {
			return false
		}
	}
	return true
}

// excused reports whether task i of s, skipped because of another task, does not make s
// fail: that one failed in a step that succeeded all the same.
func (w *world) excused(s *simStep, i int, want map[string]engine.Status) bool {
	for _, d := range s.Deps {
		up := w.step(d.Step)
		switch {
		case d.Kind != engine.Element, want[taskID(d.Step, i)] == engine.Succeeded, w.passable(up, i, want):
		case up.when > 0 && i%up.when == 0: // it would not have run, but it waits like any other
			return w.wholeOK(up, want) && !w.vain(up, want) && w.excused(up, i, want)
		default:
			return want[string(d.Step)] == engine.Succeeded
		}
	}
	return false
}

// passable reports whether task i of up is skipped by its own `when`, and all that it
// would have waited for is well: what follows it goes on.
func (w *world) passable(up *simStep, i int, want map[string]engine.Status) bool {
	if up.when == 0 || i%up.when != 0 || !w.wholeOK(up, want) || w.vain(up, want) {
		return false
	}
	for _, d := range up.Deps {
		if d.Kind == engine.Element && want[taskID(d.Step, i)] != engine.Succeeded && !w.passable(w.step(d.Step), i, want) {
			return false
		}
	}
	return true
}

func (w *world) expectTask(s *simStep, i int, want map[string]engine.Status) engine.Status {
	if !w.wholeOK(s, want) {
		return engine.Skipped
	}
	for _, d := range s.Deps {
		if d.Kind == engine.Element {
			if want[taskID(d.Step, i)] != engine.Succeeded && !w.passable(w.step(d.Step), i, want) {
				return engine.Skipped
			}
		}
	}
	if s.when > 0 && i%s.when == 0 {
		return engine.Skipped
	}
	if s.Sequential && i > 0 && want[taskID(s.Name, i-1)] != engine.Succeeded {
		return engine.Skipped
	}
	for n := 1; n <= s.attempts; n++ {
		if w.succeeds(taskID(s.Name, i), n) {
			return engine.Succeeded
		}
	}
	return engine.Failed
}

// check compares the end of a run with what is expected.
func (w *world) check(run *engine.Run) {
	for _, v := range w.jobs() {
		if !v.Status.Ended() && !w.local && !w.now.Before(w.listed[v.ID]) {
			w.problem("the run has ended, and job %s (%s) is %s", v.ID, v.Name, v.Status)
		}
	}
	again, err := engine.NewRun(w.wf)
	if err != nil {
		w.problem("%v", err)
		return
	}
	for _, e := range w.log {
		if err := again.Apply(e); err != nil {
			w.problem("replay: %v", err)
			return
		}
	}
	if diff := cmp.Diff(outline(run), outline(again)); diff != "" {
		w.problem("replaying the log gives another run (-live +replayed):\n%s", diff)
	}
	if w.bug == "" && run.Cause() == engine.CauseBudget && (w.wf.Budget == nil || !w.wf.Budget.Cancel) {
		w.problem("cancelled with %v spent", run.Spent())
	}
	w.checkKnown(run)
	w.checkLate(run)
	w.checkStarts(run)
	if w.cancelled || run.Cause() == engine.CauseBudget || w.wf.OnFailure == engine.CancelOnErr {
		return
	}
	if w.forget && w.wf.OnLost != engine.LostRetries {
		w.checkLost(run)
		return
	}
	want, got := w.expect(), map[string]engine.Status{}
	for _, s := range run.Steps() {
		got[string(s.Step.Name)] = counted(s.Status)
		for i := range w.step(s.Step.Name).size {
			got[taskID(s.Step.Name, i)] = counted(s.Status)
			if s.Size > 0 {
				got[taskID(s.Step.Name, i)] = counted(run.Task(s.Step.Name, i).Status)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.problem("it ended otherwise (-want +got):\n%s", diff)
	}
}

// checkLost checks what became of tasks in a world that forgets jobs.
func (w *world) checkLost(run *engine.Run) {
	for _, j := range run.Jobs() {
		for i := range j.Tasks.All() {
			t := run.Task(j.Step, i)
			lost := strings.HasPrefix(t.Reason, "lost: ")
			switch {
			case t.Job != j.ID || w.step(j.Step).retry.Attempts > 1:
			case lost && (!w.lost[j.Name] || t.Status != engine.Failed):
				w.problem("%s is %s: %s", t.Name, t.Status, t.Reason)
			case lost && w.step(j.Step).values && w.done[taskID(j.Step, i)]:
				w.problem("%s is lost, and its result is there", t.Name)
			}
		}
	}
}

// report fails the test with all that can be known of a seed.
func report(t *testing.T, w *world, problems []string, how string) {
	t.Helper()
	for _, p := range problems[:min(len(problems), 5)] {
		t.Errorf("seed %d, %s: %s", w.seed, how, p)
	}
	if len(problems) > 0 {
		t.Fatalf("to see it again: go test ./engine -run TestSimulation -sim.seed=%d", w.seed)
	}
}

// TestSimulation drives random workflows through random worlds, in which the driver
// dies, answers are lost, listings lag and hosts vanish. After every effect the
// invariants of the submit protocol hold; in the end, every task has ended as it must.
func TestSimulation(t *testing.T) {
	pauses, removed, again, started, measured := 0, 0, 0, 0, 0
	opened, timeouts, lates := 0, 0, 0
	from, to := uint64(1), uint64(*simSeeds)
	if *simSeed > 0 {
		from, to = *simSeed, *simSeed
	}
	for seed := from; seed <= to; seed++ {
		var sums [2]uint64
		for k := range sums {
			w := newWorld(seed)
			if *simSeed > 0 && k == 0 {
				w.trace = logWriter{t}
				for _, s := range w.steps {
					t.Logf("%+v deps %+v", *s, s.Deps)
				}
			}
			crashes := int(seed % 7)
			if *simAt >= 0 {
				crashes = 1
			}
			run, problems := simulate(w, crashes, *simAt)
			if len(problems) == 0 {
				w.check(run)
			}
			report(t, w, w.problems, "random crashes")
			opened, timeouts, lates = opened+w.opened, timeouts+w.timeouts, lates+w.lates
			pauses, started, measured = pauses+w.pauses, started+w.started, measured+w.measured
			if w.files != nil {
				removed, again = removed+w.files.removed, again+w.files.again
			}
			sums[k] = w.hash.Sum64()
		}
		if sums[0] != sums[1] && *simSeed == 0 {
			t.Fatalf("seed %d: two runs of the same world differ", seed)
		}
	}
	if *simSeed == 0 && min(opened, timeouts, lates) == 0 {
		t.Errorf("%d gates opened, %d steps waited in vain, %d runs were late: not all was tested", opened, timeouts, lates)
	}
	if *simSeed == 0 && min(pauses, removed, again, started, measured) == 0 {
		t.Errorf("%d runs were paused, %d temporary files removed, and %d made again, %d jobs seen to start, %d tasks measured: not all was tested",
			pauses, removed, again, started, measured)
	}
}

// TestSimulationEveryBoundary lets the driver die at every single place between two
// effects, once each, in worlds that do not have too many.
func TestSimulationEveryBoundary(t *testing.T) {
	left := max(*simSeeds/20, 1)
	for seed := uint64(1); left > 0; seed++ {
		whole := newWorld(seed)
		if _, problems := simulate(whole, 0, -1); len(problems) > 0 {
			report(t, whole, problems, "no crash")
		}
		if whole.passed > 250 {
			continue
		}
		left--
		for k := range whole.passed {
			w := newWorld(seed)
			run, problems := simulate(w, 1, k)
			if len(problems) == 0 {
				w.check(run)
			}
			report(t, w, w.problems, fmt.Sprintf("crash at boundary %d", k))
		}
	}
}

// TestSimulationRedo lets failed runs go on with what failed, once the cause is mended:
// they succeed, and nothing that had succeeded runs again.
func TestSimulationRedo(t *testing.T) {
	redone := 0
	from, to := uint64(1), uint64(*simSeeds)
	if *simSeed > 0 {
		from, to = *simSeed, *simSeed
	}
	for seed := from; seed <= to; seed++ {
		w := newWorld(seed)
		if *simSeed > 0 {
			w.trace = logWriter{t}
		}
		run, problems := simulate(w, 0, -1)
		report(t, w, problems, "before the redo")
		if run.Status() != engine.Failed || run.Cause() == engine.CauseBudget {
			continue
		}
		redone++
		w.repaired = true
		if w.wf.Budget != nil {
			w.wf.Budget.Cancel = false
		}
		d := w.driver()
		d.Requests = nil
		if _, err := d.Load(context.Background(), simRun); err != nil {
			t.Fatal(err)
		}
		events, err := w.redo(d, run, engine.Redo{Failed: true})
		if err != nil || len(events) == 0 {
			t.Fatalf("seed %d: Redo: %d events, %v", seed, len(events), err)
		}
		if err := d.Record(context.Background(), events...); err != nil {
			t.Fatal(err)
		}
		if run, err = w.toEnd(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if run.Status() != engine.Succeeded && !w.cancelled {
			w.problem("%s: %s", run, run.Reason())
		}
		report(t, w, w.problems, "after the redo")
	}
	if redone == 0 && *simSeed == 0 {
		t.Error("no run failed: nothing was tested")
	}
}

// TestSimulationRedoMidway makes a step, and perhaps what follows, run anew while jobs of
// it are under way: those are ended first, and no attempt is numbered twice.
func TestSimulationRedoMidway(t *testing.T) {
	from, to := uint64(1), uint64(*simSeeds)
	if *simSeed > 0 {
		from, to = *simSeed, *simSeed
	}
	midway := 0
	for seed := from; seed <= to; seed++ {
		w := newWorld(seed)
		if *simSeed > 0 {
			w.trace = logWriter{t}
		}
		w.wf.OnFailure = engine.Finish
		info := &engine.RunInfo{Run: simRun, Workflow: "sim", WorkDir: "/w", Executor: w.place()}
		w.distance()
		w.log, w.synced = []engine.Event{{Seq: 1, At: w.now, Kind: engine.RunStarted, Info: info}}, 1
		w.crashAt = 5 + w.rng.IntN(60)
		if _, err := w.live(); err == nil {
			continue // it ended before
		}
		midway++
		w.dies()
		w.crashAt = -1
		d := w.driver()
		run, err := d.Load(context.Background(), simRun)
		if err != nil {
			t.Fatal(err)
		}
		redo := engine.Redo{From: w.steps[w.rng.IntN(len(w.steps))].Name}
		if w.rng.IntN(2) == 0 {
			redo = engine.Redo{Only: redo.From}
		}
		events, err := w.redo(d, run, redo)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Record(context.Background(), events...); err != nil {
			t.Fatal(err)
		}
		if _, err = w.toEnd(); err != nil {
			w.problem("the driver gave up: %v", err)
		}
		report(t, w, w.problems, fmt.Sprintf("%+v midway", redo))
	}
	if midway == 0 && *simSeed == 0 {
		t.Error("no run was caught midway: nothing was tested")
	}
}

// redo returns what makes parts of a run go again. Half of the worlds are not asked how
// often tasks were tried.
func (w *world) redo(d *engine.Driver, run *engine.Run, o engine.Redo) ([]engine.Event, error) {
	if w.seed%2 == 0 {
		return d.Redo(context.Background(), o)
	}
	return run.Redo(o)
}

// TestSimulationFindsPlantedBugs shows that the simulation has teeth: each of these
// mistakes in what surrounds the core breaks an invariant in one of a few worlds.
func TestSimulationFindsPlantedBugs(t *testing.T) {
	for _, bug := range []string{
		"jobs in doubt are submitted again at once", "intents are not durable", "the client retries by itself", "jobs are not looked for",
		"acknowledges what it has not kept", "manifests are not found", "dependencies are dropped", "one try too many",
		"strays are not listed", "a pause is forgotten", "not now is taken for never", "what is sent again has the wrong indices",
		"nobody is said to read anything", "what is to be replaced is forgotten", "not now is taken for not there", "what is gone is not told",
		"what was removed is said to be there", "files are seen too early", "not now is taken for there",
		"that a gate opened is forgotten", "that it was told to be late is forgotten",
	} {
		t.Run(bug, func(t *testing.T) {
			for seed := uint64(1); seed <= 300; seed++ {
				w := newWorld(seed)
				w.bug = bug
				run, problems := simulate(w, int(seed%7), -1)
				if len(problems) == 0 {
					w.check(run)
				}
				if len(w.problems) > 0 {
					return
				}
			}
			t.Error("300 worlds went by, and nobody noticed")
		})
	}
}

type logWriter struct{ t *testing.T }

func (l logWriter) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}
