package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"flow/engine"
)

// tryOf is an ended try of so many seconds.
func tryOf(seconds int, reason string) engine.JobAttempt {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return engine.JobAttempt{Started: began, Stopped: began.Add(time.Duration(seconds) * time.Second), StatusReason: reason}
}

const hostLost = engine.ReasonHostLost + " (instance i-1) terminated."

func perSecond(milli int64) engine.Pricer {
	return func(*engine.TaskSpec, string, engine.Resources) *engine.Rate {
		return &engine.Rate{Hour: engine.Money(milli) * 3_600_000, Of: "x"}
	}
}

// Of 10,000 children nobody is asked for but the four whose manifests say that they were
// tried more than once: then what their earlier tries took is known.
func TestEarlierTriesAreAskedFor(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	d.Price = perSecond(1)
	spec := &engine.TaskSpec{Command: []string{"x"}, Outputs: []engine.Output{{Name: "v", Kind: engine.OutputJSON, Path: "v.json"}}, NoCache: true}
	s.tasks("a", 10_000, spec)
	run := s.load(t, d)
	s.tick(t, d, 0)
	for i := range 10_000 {
		s.files[s.specs[0].TaskDir(i)] = &engine.Manifest{Version: 1, Attempt: 1, Outputs: engine.Values{}}
	}
	s.tries = map[engine.JobID][]engine.JobAttempt{
		"j1:3":    {tryOf(40, hostLost), tryOf(10, engine.ReasonExited)},
		"j1:2":    {tryOf(7, hostLost), tryOf(9, hostLost), tryOf(10, engine.ReasonExited)},
		"j1:9999": {tryOf(5, hostLost), tryOf(10, engine.ReasonExited)},
		"j1:1":    {tryOf(6, engine.ReasonExited), tryOf(10, engine.ReasonExited)}, // as nobody asked for
	}
	for id, tries := range s.tries {
		_, k := id.Split()
		s.files[s.specs[0].TaskDir(k)].Attempt = len(tries)
	}
	s.ends(1, engine.Upto(10_000), engine.JobSucceeded, "", 0)
	s.did()
	s.tick(t, d, time.Minute)
	calls := s.did()
	if n := len(slices.DeleteFunc(calls, func(c string) bool { return c != "describe 4" })); n != 1 {
		t.Errorf("described %d times: %q", n, calls)
	}
	if run.Status() != engine.Succeeded {
		t.Fatal(run)
	}
	u := run.Usage()[0]
	if u.Usage.Lost != 61_000 || u.Usage.Retried != 6_000 || u.Unknown != 0 || u.Lost != 61_000 {
		t.Errorf("usage %+v", u)
	}
	for i, want := range map[int][2]int{2: {3, 2}, 3: {2, 1}, 4: {1, 0}, 1: {2, 0}, 9999: {2, 1}} {
		if task := run.Task("a", i); task.Attempts != want[0] || task.Infra != want[1] {
			t.Errorf("%s: %d attempts, %d lost", task.Name, task.Attempts, task.Infra)
		}
	}
}

// What fails is described anyway: tries that failed and tries that were lost are apart, and
// the last one counts by how it ended.
func TestTriesThatFailed(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	d.Price = perSecond(1)
	s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, Retry: engine.Retry{Attempts: 9}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.tries = map[engine.JobID][]engine.JobAttempt{
		"j1:0": {tryOf(1, engine.ReasonExited), tryOf(20, hostLost), tryOf(300, engine.ReasonExited)},
		"j1:1": {tryOf(4000, hostLost)},
		"j1:2": {tryOf(50_000, engine.ReasonExited), tryOf(600_000, engine.ReasonExited)},
	}
	s.ends(1, engine.RangesOf(1), engine.JobFailed, hostLost, 1)
	s.ends(1, engine.RangesOf(2), engine.JobFailed, engine.ReasonExited, 1)
	s.ends(1, engine.RangesOf(0), engine.JobSucceeded, "", 0)
	s.tick(t, d, time.Minute)
	want := engine.Usage{Retried: 650_001_000, Lost: 4_020_000} // the child that succeeded has its times from the listing
	got := run.Usage()[0].Usage
	got.Work = 0
	same(t, "usage", want, got)
}

// Tasks that ended alike are told in one event, with what all of them took; those whose last
// try was lost are not like others, though their reason is the same.
func TestTriesTogether(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	d.Price = perSecond(1)
	s.tasks("a", 4, &engine.TaskSpec{Command: []string{"x"}, Retry: engine.Retry{Attempts: 9}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	lost := func(seconds int, reason string) engine.JobAttempt {
		a := tryOf(seconds, reason)
		a.Reason = "the same"
		return a
	}
	s.tries = map[engine.JobID][]engine.JobAttempt{
		"j1:0": {tryOf(1, engine.ReasonExited), lost(10, engine.ReasonExited)},
		"j1:1": {tryOf(2, engine.ReasonExited), lost(20, engine.ReasonExited)},
		"j1:2": {tryOf(4, hostLost), lost(40, engine.ReasonExited)},
		"j1:3": {tryOf(400, engine.ReasonExited), lost(4000, hostLost)},
	}
	s.ends(1, engine.Upto(3), engine.JobFailed, engine.ReasonExited, 1)
	s.ends(1, engine.RangesOf(3), engine.JobFailed, hostLost, 1)
	s.tick(t, d, time.Minute)
	same(t, "usage", engine.Usage{Retried: 473_000, Lost: 4_004_000}, run.Usage()[0].Usage)
}

// A run that is over its budget submits nothing more, and its driver comes back when what
// runs has ended. Another driver does not change that; a grant does.
func TestPause(t *testing.T) {
	a := &engine.Step{Name: "a", FanOut: true}
	b := &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a", Kind: engine.Whole, Need: engine.NeedValues}}}
	s, d := newScript(a, b)
	d.Workflow.Budget = &engine.Budget{Max: engine.USD}
	d.Price = perSecond(100)
	s.tasks("a", 2, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.jobs[0].Summary = [engine.NumJobStatuses]int{engine.JobRunning: 2}
	for range 4 { // two tasks, 10 cents a second each
		s.tick(t, d, 2*time.Second)
	}
	if spent := run.Spent(); spent < 1_200_000 || spent > 1_700_000 {
		t.Errorf("spent %v while they run", spent)
	}
	if _, paused := run.Paused(); paused {
		t.Error("paused, though there is nothing to submit")
	}
	s.jobs[0].Summary = [engine.NumJobStatuses]int{engine.JobPending: 2}
	s.tries = map[engine.JobID][]engine.JobAttempt{"j1:0": {tryOf(8, engine.ReasonExited)}, "j1:1": {tryOf(8, engine.ReasonExited)}}
	d.Workflow.Steps[0].Tolerate.Count = 2 // they fail, so that what they took is asked for
	s.ends(1, engine.Upto(2), engine.JobFailed, engine.ReasonExited, 1)
	s.did()
	driven, err := d.Drive(context.Background(), simRun)
	if err != nil {
		t.Fatal(err)
	}
	p, paused := driven.Paused()
	if !paused || p.Spent != 1_600_000 || p.Reason != "spent $1.60 of the budget of $1.00" {
		t.Errorf("paused %v: %+v", paused, p)
	}
	if again, err := d.Drive(context.Background(), simRun); err != nil || again.Ended() {
		t.Errorf("driven again: %v %v", again, err)
	}
	same(t, "submitted while it is paused", []string(nil), submits(s.did()))
	run = s.load(t, d)
	if w := run.Holds(s.now); len(w) != 1 || w[0].Hold.Reason != "the run is paused" {
		t.Errorf("holds %+v", w)
	}
	events, err := run.Allow(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Record(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	s.tick(t, d, time.Second)
	same(t, "submitted then", []string{"submit b[0] 0 of 1"}, submits(s.did()))
	if run.Allowance() != 2_600_000 {
		t.Errorf("it may cost %v", run.Allowance())
	}
}

// overBudget returns a run that has spent ten dollars of one in a job that runs, of a, and
// whose other step b is as given.
func overBudget(t *testing.T, b *engine.Step, answer func(*engine.JobSpec) error) (*script, *engine.Driver, *engine.Run) {
	t.Helper()
	s, d := newScript(&engine.Step{Name: "a", FanOut: true}, b)
	d.Workflow.Budget = &engine.Budget{Max: engine.USD}
	d.Workflow.Timeout = time.Hour
	d.Price = perSecond(100)
	s.answer = answer
	s.tasks("a", 2, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.jobs[0].Summary = [engine.NumJobStatuses]int{engine.JobRunning: 2}
	for range 12 {
		s.tick(t, d, 5*time.Second)
	}
	if spent := run.Spent(); spent < 5*engine.USD {
		t.Fatalf("spent %v", spent)
	}
	return s, d, run
}

// A job that is planned when the run pauses, since its queue took none, is given up, so that
// the run can rest; its tasks are sent in another one when the run goes on.
func TestPauseOfPlanned(t *testing.T) {
	full := true
	s, d, run := overBudget(t, &engine.Step{Name: "b"}, func(spec *engine.JobSpec) error {
		if full && spec.Step == "b" {
			return engine.ErrLater
		}
		return nil
	})
	full = false
	s.did()
	s.ends(1, engine.Upto(2), engine.JobSucceeded, "", 0)
	s.jobs[0].Status, s.jobs[0].Summary[engine.JobRunning] = engine.JobSucceeded, 0
	s.tick(t, d, time.Minute)
	if _, paused := run.Paused(); !paused || !run.Rests() {
		t.Errorf("paused %v, rests %v", paused, run.Rests())
	}
	same(t, "submitted while it is paused", []string(nil), submits(s.did()))
	if err := d.Record(context.Background(), engine.Event{Kind: engine.RunResumed, Allowance: 100 * engine.USD}); err != nil {
		t.Fatal(err)
	}
	s.tick(t, d, time.Second)
	same(t, "submitted then", []string{"submit b[0] 0 of 1"}, submits(s.did()))
}

// A run that turns out to have cost more than its budget when its last job has ended is not
// cancelled: there is nothing to save.
func TestBudgetAfterTheEnd(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"})
	d.Workflow.Budget = &engine.Budget{Max: engine.USD, Cancel: true}
	d.Price = perSecond(100)
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.jobs[0].Started, s.jobs[0].Stopped = s.now, s.now.Add(time.Minute)
	s.ends(1, nil, engine.JobSucceeded, "", 0)
	s.tick(t, d, time.Minute)
	if _, cancelling := run.Cancelling(); cancelling || run.Status() != engine.Succeeded || run.Spent() != 6*engine.USD {
		t.Errorf("%s, cancelling %v, spent %v", run, cancelling, run.Spent())
	}
}

// A job in doubt that was never accepted is not submitted once the run is over its budget:
// the run pauses.
func TestPauseOfDoubt(t *testing.T) {
	s, _, run := overBudget(t, &engine.Step{Name: "b"}, func(spec *engine.JobSpec) error {
		if spec.Step == "b" {
			return errors.New("no answer")
		}
		return nil
	})
	same(t, "submitted", []string{"submit a[0-1] 2 of 1", "submit b[0] 0 of 1"}, submits(s.did()))
	if _, paused := run.Paused(); !paused || run.InDoubt() > 0 {
		t.Errorf("paused %v, %d in doubt", paused, run.InDoubt())
	}
}

// A run that is paused while jobs of it run is not late, however long they do; and it is
// observed to their end.
func TestPauseIsNotLate(t *testing.T) {
	s, d, run := overBudget(t, &engine.Step{Name: "b", MaxParallel: 1, Deps: []engine.Dep{{Step: "a", Kind: engine.Whole}}}, nil)
	s.did()
	s.ends(1, engine.RangesOf(0), engine.JobSucceeded, "", 0) // counts of the other are left as they are
	s.tick(t, d, 0)
	if err := d.Record(context.Background(), engine.Event{Kind: engine.RunPaused, Reason: "over", Spent: 2 * engine.USD}); err != nil {
		t.Fatal(err)
	}
	s.tick(t, d, 24*time.Hour)
	if _, cancelling := run.Cancelling(); cancelling || run.Rests() {
		t.Errorf("cancelling %v, rests %v", cancelling, run.Rests())
	}
	s.jobs[0].Summary[engine.JobRunning], s.jobs[0].Summary[engine.JobPending] = 0, 1
	s.ends(1, engine.RangesOf(1), engine.JobSucceeded, "", 0)
	s.tick(t, d, time.Minute)
	if jobs, _ := run.Alive(); jobs > 0 || !run.Rests() || run.StepStatus("a").Status != engine.Succeeded {
		t.Errorf("%d jobs, rests %v, a is %s", jobs, run.Rests(), run.StepStatus("a").Status)
	}
	if again := s.load(t, d); again.Spent() != run.Spent() {
		t.Errorf("spent %v, and by its events %v", run.Spent(), again.Spent())
	}
	same(t, "submitted", []string(nil), submits(s.did()))
}

// A paused run of which nothing is left to run, since it was skipped, ends: nobody has to
// let it go on. A job of it was in doubt, so that a listing comes before its end.
func TestPauseWithoutNeed(t *testing.T) {
	s, d, _ := overBudget(t, &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a", Kind: engine.Whole, Need: engine.NeedValues}}}, func(*engine.JobSpec) error {
		return errors.New("accepted, but the answer is lost")
	})
	if err := d.Record(context.Background(), engine.Event{Kind: engine.RunPaused, Reason: "over", Spent: 2 * engine.USD}); err != nil {
		t.Fatal(err)
	}
	s.jobs[0].Summary = [engine.NumJobStatuses]int{engine.JobPending: 2}
	s.ends(1, engine.Upto(2), engine.JobFailed, engine.ReasonExited, 1)
	run, err := d.Drive(context.Background(), simRun)
	if err != nil || run.Status() != engine.Failed {
		t.Errorf("%v %v", run, err)
	}
}

// A paused run that was cancelled and is opened again is paused no more; what it may cost is
// looked at anew.
func TestPauseIsOverWhenReopened(t *testing.T) {
	_, d, run := overBudget(t, &engine.Step{Name: "b"}, nil)
	for _, e := range []engine.Event{
		{Kind: engine.RunPaused, Reason: "over", Spent: 2 * engine.USD},
		{Kind: engine.CancelRequested, Reason: "enough", Cause: engine.CauseUser},
		{Kind: engine.RunEnded, Status: engine.Cancelled},
		{Kind: engine.RunReopened},
	} {
		if err := d.Record(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		_, paused := run.Paused()
		if want := e.Kind == engine.RunPaused; paused != want {
			t.Errorf("after %s: paused %v", e.Kind, paused)
		}
	}
}

// What a job is reckoned with is where it goes and what it gets, as a retry rule changes
// both; and a plain job costs while it runs.
func TestPriceOfRetries(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", EngineRetries: true})
	var asked []string
	d.Price = func(_ *engine.TaskSpec, queue string, r engine.Resources) *engine.Rate {
		asked = append(asked, fmt.Sprintf("%s %d MiB", queue, r.MemoryMiB))
		return &engine.Rate{Hour: 36 * engine.USD}
	}
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true, Queue: "q", Resources: []engine.Resources{{VCPUs: 1, MemoryMiB: 100}, {VCPUs: 1, MemoryMiB: 300}},
		Retry: engine.Retry{Attempts: 3, Rules: []engine.RetryRule{{Class: "large", ExitCode: "1", Queue: "big"}}}})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.jobs[0].Status, s.jobs[0].Started = engine.JobRunning, s.now
	s.tick(t, d, 5*time.Second)
	s.tick(t, d, 5*time.Second)
	if spent := run.Spent(); spent <= 0 {
		t.Errorf("spent %v while it runs", spent)
	}
	s.ends(1, nil, engine.JobFailed, engine.ReasonExited, 1)
	for range 5 {
		s.tick(t, d, time.Minute)
	}
	same(t, "asked for", []string{"q 100 MiB", "big 300 MiB"}, asked)
}

// Tries that nobody looks at any more are counted: of a job that is not known any more, and
// of one whose step was reset.
func TestUnknownTries(t *testing.T) {
	s, d, run := overBudget(t, &engine.Step{Name: "b"}, nil)
	if err := d.Record(context.Background(), engine.Event{Kind: engine.StepReset, Step: "a", Reason: "asked for"}); err != nil {
		t.Fatal(err)
	}
	if got := run.Usage()[0].Unknown; got != 2 {
		t.Errorf("%d tries unknown after the reset, want 2", got)
	}
	s.jobs[1].ID = "gone"
	for range 30 {
		s.tick(t, d, time.Minute)
	}
	if got := run.Usage()[1].Unknown; got != 1 {
		t.Errorf("%d tries unknown after the loss, want 1", got)
	}
	s, d, run = overBudget(t, &engine.Step{Name: "b"}, nil)
	d.Workflow.OnLost = engine.LostRetries
	s.jobs[1].ID = "gone"
	for range 30 {
		s.tick(t, d, time.Minute)
	}
	if got := run.Usage()[1].Unknown; got != 1 {
		t.Errorf("%d tries unknown after a loss that is tried again, want 1", got)
	}
}
