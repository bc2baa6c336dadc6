package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// AWS Batch tried children again whose host was lost, and the listing does not say so. When
// they are made to run anew, whether they had succeeded or were cancelled, they are numbered
// on behind the tries that they had, or, if nobody tells, behind all that they may have had.
func TestNumberedOnBehindUntoldTries(t *testing.T) {
	type test struct {
		status   engine.Status
		redo     engine.Redo
		asks     bool
		gone     bool // the executor has forgotten the job
		attempts []int
		again    []string
	}
	from, failed := engine.Redo{From: "a"}, engine.Redo{Failed: true}
	for name, tc := range map[string]test{
		"succeeded":            {status: engine.Succeeded, redo: from, asks: true, attempts: []int{2}, again: []string{"submit a[0-2] 3 of 3"}},
		"succeeded, forgotten": {status: engine.Succeeded, redo: from, asks: true, gone: true, attempts: []int{10}, again: []string{"submit a[0-2] 3 of 11"}},
		"succeeded, not asked": {status: engine.Succeeded, redo: from, attempts: []int{10}, again: []string{"submit a[0-2] 3 of 11"}},
		"cancelled":            {status: engine.Cancelled, redo: failed, asks: true, attempts: []int{1, 2, 1}, again: []string{"submit a[0,2] 2 of 2", "submit a[1] 0 of 3"}},
		"cancelled, forgotten": {status: engine.Cancelled, redo: failed, asks: true, gone: true, attempts: []int{10}, again: []string{"submit a[0-2] 3 of 11"}},
		"cancelled, not asked": {status: engine.Cancelled, redo: failed, attempts: []int{10}, again: []string{"submit a[0-2] 3 of 11"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newScript(&engine.Step{Name: "a", FanOut: true})
			s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
			run := s.load(t, d)
			s.tick(t, d, 0)
			s.tries = map[engine.JobID][]engine.JobAttempt{"j1:1": {tryOf(40, hostLost), tryOf(10, engine.ReasonExited)}}
			if tc.status == engine.Cancelled {
				s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
				s.tick(t, d, time.Second)
				s.ends(1, engine.Upto(3), engine.JobFailed, "flow: enough", 143)
			} else {
				s.ends(1, engine.Upto(3), engine.JobSucceeded, "", 0)
			}
			for range 3 {
				s.tick(t, d, time.Minute)
			}
			if run.Status() != tc.status {
				t.Fatal(run)
			}
			if tc.gone {
				s.jobs[0].ID = "gone"
			}
			redo := run.Redo
			if tc.asks {
				redo = func(o engine.Redo) ([]engine.Event, error) { return d.Redo(context.Background(), o) }
			}
			events, err := redo(tc.redo)
			if err != nil || len(events) != 2 {
				t.Fatal(events, err)
			}
			same(t, "attempts", tc.attempts, events[1].Attempts)
			if err := d.Record(context.Background(), events...); err != nil {
				t.Fatal(err)
			}
			s.did()
			s.tick(t, d, time.Second)
			if diff := cmp.Diff(tc.again, submits(s.did())); diff != "" {
				t.Errorf("submitted (-want +got):\n%s", diff)
			}
		})
	}
}

// On this machine it is asked at once how often a child was tried that was cancelled.
func TestTriesOfTheCancelledNearBy(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	s.log[0].Info.Executor, d.Executor = engine.ExecutorLocal, nearby{s}
	s.tasks("a", 2, &engine.TaskSpec{Command: []string{"x"}, NoCache: true, Retry: engine.Retry{Attempts: 3}})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.tries = map[engine.JobID][]engine.JobAttempt{"j1:1": {tryOf(40, engine.ReasonExited), tryOf(10, "flow: enough")}}
	s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
	s.tick(t, d, time.Second)
	s.ends(1, engine.Upto(2), engine.JobFailed, "flow: enough", 143)
	for _, c := range s.status {
		c.Terminated = true
	}
	for range 3 {
		s.tick(t, d, time.Minute)
	}
	same(t, "tries", []int{1, 2}, []int{run.Task("a", 0).Attempts, run.Task("a", 1).Attempts})
	events, err := run.Redo(engine.Redo{Failed: true})
	if err != nil || len(events) != 2 || events[1].Attempts != nil {
		t.Error(events, err)
	}
}
