package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/notice"
	"flow/engine"
	"flow/state"
)

// TestMessages looks at what is told on each occasion: of the run as it was then, and what to call
// next.
func TestMessages(t *testing.T) {
	created := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return created.Add(time.Duration(seconds) * time.Second) }
	one := 1
	ends := func(o engine.Outcome, tasks ...int) engine.Event {
		e := engine.Event{Kind: engine.TasksEnded, At: at(5), Step: "a", Job: 1, Tasks: engine.RangesOf(tasks...), Outcome: o, Attempts: []int{1}}
		if o == engine.TaskFailed {
			e.ExitCode = &one
		}
		return e
	}
	begins := []engine.Event{
		{Kind: engine.RunStarted, At: at(0), Info: &engine.RunInfo{Run: "01r", Workflow: "w", Executor: localExecutor}},
		{Kind: engine.StepExpanded, At: at(1), Step: "a", Expanded: &engine.Expanded{Size: 4, Groups: []*engine.TaskSpec{{Command: []string{"x"}}}, Cached: engine.RangesOf(3), Hits: []engine.Hit{{Run: "01old"}}}},
		{Kind: engine.JobPlanned, At: at(2), Step: "a", Job: 1, Tasks: engine.Upto(3), Plan: &engine.JobPlan{Name: "j", Attempt: 1}},
		{Kind: engine.JobAccepted, At: at(3), Job: 1, JobID: "j1"},
	}
	skipped := engine.Event{Kind: engine.TasksSkipped, At: at(6), Step: "a", Tasks: engine.RangesOf(2), Status: engine.Cancelled, Reason: "stop", Cause: "user"}
	for _, test := range []struct {
		on                    engine.Occasion
		before                []engine.Event
		last                  engine.Event
		status, next          string
		tasks                 notice.Tasks
		failures, moreFailure int
	}{
		{engine.OnSucceeded, []engine.Event{ends(engine.TaskSucceeded, 0, 1, 2)}, engine.Event{Kind: engine.RunEnded, Status: engine.Succeeded}, "SUCCEEDED", "flow status 01r", notice.Tasks{Total: 4, Succeeded: 4}, 0, 0},
		{engine.OnRecovered, []engine.Event{ends(engine.TaskSucceeded, 0, 1, 2)}, engine.Event{Kind: engine.RunEnded, Status: engine.Succeeded}, "SUCCEEDED", "flow status 01r", notice.Tasks{Total: 4, Succeeded: 4}, 0, 0},
		{
			engine.OnFailed, []engine.Event{ends(engine.TaskFailed, 0), ends(engine.TaskSucceeded, 1, 2)}, engine.Event{Kind: engine.RunEnded, Status: engine.Failed, Reason: "step a failed", Cause: "a"},
			"FAILED", "flow resume 01r --failed", notice.Tasks{Total: 4, Succeeded: 3, Failed: 1}, 1, 0,
		},
		{
			engine.OnTimedOut, []engine.Event{ends(engine.TaskFailed, 0), ends(engine.TaskCancelled, 1, 2)}, engine.Event{Kind: engine.RunEnded, Status: engine.Failed, Reason: "too long", Cause: engine.CauseTimeout},
			"FAILED", "flow resume 01r --failed", notice.Tasks{Total: 4, Succeeded: 1, Failed: 1, Cancelled: 2}, 1, 0,
		},
		{
			engine.OnCancelled, []engine.Event{ends(engine.TaskSucceeded, 0, 1), {Kind: engine.JobLost, At: at(5), Job: 1, Reason: "ended"}, skipped}, engine.Event{Kind: engine.RunEnded, Status: engine.Cancelled, Reason: "stop", Cause: "user"},
			"CANCELLED", "flow resume 01r --failed", notice.Tasks{Total: 4, Succeeded: 3, Cancelled: 1}, 0, 0,
		},
		{engine.OnPaused, []engine.Event{ends(engine.TaskSucceeded, 0)}, engine.Event{Kind: engine.RunPaused, Reason: "spent $2"}, "PAUSED", "flow resume 01r", notice.Tasks{Total: 4, Succeeded: 2}, 0, 0},
		{engine.OnLate, []engine.Event{ends(engine.TaskSucceeded, 0)}, engine.Event{Kind: engine.RunLate, Reason: "should be over by 06:00 (UTC)"}, "RUNNING", "flow status 01r", notice.Tasks{Total: 4, Succeeded: 2}, 0, 0},
	} {
		t.Run(string(test.on), func(t *testing.T) {
			run, err := engine.NewRun(&engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "a", FanOut: true}}})
			if err != nil {
				t.Fatal(err)
			}
			test.last.At = at(90)
			for _, e := range append(append(begins[:len(begins):len(begins)], test.before...), test.last) {
				if err := run.Apply(e); err != nil {
					t.Fatal(err)
				}
			}
			row := state.Run{ID: "01r", Workflow: "w", Created: created}
			m := messageOf(run, row, &test.last, &state.Notice{ID: "01r-9-1", Name: "n", Occasion: test.on}, "/lab/flow.db")
			if len(m.Failures) != test.failures {
				t.Errorf("failures: %+v", m.Failures)
			}
			want := &notice.Message{
				ID: "01r-9-1", Type: "run." + string(test.on), At: at(90), Notice: "n", Workflow: "w", Run: "01r", Status: test.status, Reason: test.last.Reason, Cause: test.last.Cause,
				Created: created, Seconds: 90, Tasks: test.tasks, Failures: m.Failures, Command: test.next, Host: m.Host, State: "/lab/flow.db",
			}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLogUntil has a log end with an event, whatever comes behind it.
func TestLogUntil(t *testing.T) {
	t.Parallel()
	path, _ := noticed(t, 1, engine.NoticeWay{Kind: engine.WayCommand, Argv: []string{"true"}})
	db := openNoticed(t, path)
	if err := db.Append(t.Context(), "01notices", 2, engine.Event{Kind: engine.RunReopened}, engine.Event{Kind: engine.RunEnded, Status: engine.Succeeded}); err != nil {
		t.Fatal(err)
	}
	var got []engine.Kind
	for e, err := range (logUntil{db, 2}).Events(t.Context(), "01notices", 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Kind)
	}
	if diff := cmp.Diff([]engine.Kind{engine.RunStarted, engine.RunEnded}, got); diff != "" {
		t.Error(diff)
	}
}
