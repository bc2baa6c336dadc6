package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// inDoubt returns a run of one job that was accepted, which nobody knows, since the answer
// was lost and no listing shows it.
func inDoubt(t *testing.T) (*script, *engine.Driver, *engine.Run) {
	t.Helper()
	s, d := newScript(&engine.Step{Name: "a"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.answer = func(*engine.JobSpec) error { return errors.New("accepted, but the answer is lost") }
	s.hidden = true
	run := s.load(t, d)
	s.tick(t, d, 0)
	same(t, "at first", []string{"submit a[0] 0 of 1"}, submits(s.did()))
	if d.Handed() {
		t.Error("a job in doubt is handed over")
	}
	return s, d, run
}

// A job in doubt of a run that is cancelled meanwhile is looked for as long, and never
// submitted again.
func TestDoubtWhenCancelled(t *testing.T) {
	s, d, run := inDoubt(t)
	for range 2 {
		s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
		s.tick(t, d, 5*time.Second)
	}
	if run.Ended() {
		t.Error("the run has ended, and a job of it may be alive")
	}
	for range 10 {
		s.tick(t, d, 10*time.Second)
	}
	if calls := s.did(); len(submits(calls)) > 0 || run.Status() != engine.Cancelled {
		t.Errorf("%s after %q", run, calls)
	}
	wishes := 0
	for _, e := range s.log {
		if e.Kind == engine.CancelRequested {
			wishes++
		}
	}
	same(t, "wishes recorded", 1, wishes)
}

// A job that was submitted again is found twice when the executor shows the first one late,
// later than the quiet period: a listing is made soon after, and the one that the run does
// not know is ended.
func TestDoubtTooSoon(t *testing.T) {
	s, d, run := inDoubt(t)
	s.answer = nil
	s.tick(t, d, 31*time.Second)
	if got := submits(s.did()); len(got) != 1 || run.Jobs()[0].ID != "j2" {
		t.Fatalf("%q, %+v", got, run.Jobs()[0])
	}
	s.hidden = false
	for range 12 {
		s.tick(t, d, 10*time.Second)
	}
	want := "terminate j1: flow: run " + string(simRun) + " knows nothing of this job"
	if calls := s.did(); !slices.Contains(calls, want) || slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "terminate j2") }) {
		t.Errorf("%q", calls)
	}
}

// Jobs of one wave that a queue does not take are one reason to leave it alone, not many.
func TestLaterInWaves(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"}, &engine.Step{Name: "b"}, &engine.Step{Name: "c"})
	for _, name := range []engine.StepName{"a", "b", "c"} {
		s.tasks(name, 1, &engine.TaskSpec{Command: []string{"x"}, Queue: "q", NoCache: true})
	}
	s.answer = func(*engine.JobSpec) error { return fmt.Errorf("throttled: %w", engine.ErrLater) }
	d.Executor = bulkScript{s}
	s.load(t, d)
	for _, c := range []struct {
		after time.Duration
		asked int
	}{{0, 3}, {time.Second, 0}, {time.Second, 3}, {3 * time.Second, 0}, {time.Second, 3}} {
		s.tick(t, d, c.after)
		if got := len(submits(s.did())); got != c.asked {
			t.Errorf("%s: %d jobs were submitted, want %d", s.now, got, c.asked)
		}
	}
}

// A job that was never accepted, for certain, goes as soon as its queue takes jobs again:
// nobody looks for it once more.
func TestDoubtThenLater(t *testing.T) {
	s, d, run := inDoubt(t)
	s.answer = func(*engine.JobSpec) error { return fmt.Errorf("throttled: %w", engine.ErrLater) }
	s.tick(t, d, 31*time.Second)
	same(t, "again", 1, len(submits(s.did())))
	s.answer = nil
	s.tick(t, d, 3*time.Second)
	if calls := s.did(); len(submits(calls)) != 1 || slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "find a") }) {
		t.Errorf("%q", calls)
	}
	same(t, "accepted", engine.JobID("j2"), run.Jobs()[0].ID)
}
