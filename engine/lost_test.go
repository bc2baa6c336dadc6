package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"flow/engine"
)

// A job that is not known any more has succeeded if the results of its own try are there,
// and not by those of an earlier one.
func TestLostAfterAnEarlierTry(t *testing.T) {
	for attempt, want := range map[int]engine.Status{1: engine.Failed, 2: engine.Succeeded} {
		s, d := newScript(&engine.Step{Name: "a", EngineRetries: true})
		s.tasks("a", 1, &engine.TaskSpec{
			Command: []string{"x"}, NoCache: true, Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}},
			Retry: engine.Retry{Attempts: 2, Rules: []engine.RetryRule{{Class: "one", ExitCode: "1", Delay: time.Second}}},
		})
		run := s.load(t, d)
		s.tick(t, d, 0)
		s.jobs[0].Started = s.now
		s.ends(1, nil, engine.JobFailed, engine.ReasonExited, 1)
		for range 10 {
			s.tick(t, d, 5*time.Second)
		}
		if len(s.specs) != 2 || s.specs[1].Attempt != 2 {
			t.Fatalf("%d jobs were submitted", len(s.specs))
		}
		s.jobs[1].ID = "gone"
		s.files[s.specs[1].TaskDir(0)] = &engine.Manifest{Attempt: attempt}
		for range 20 {
			s.tick(t, d, 10*time.Second)
		}
		same(t, "with the results of a try", want, run.StepStatus("a").Status)
	}
}

// What is not known any more of a run that is cancelled has not failed.
func TestLostWhenCancelled(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.tick(t, d, 2*time.Second)
	s.jobs[0].ID = "gone"
	s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
	s.hidden = true
	for range 20 {
		s.tick(t, d, 10*time.Second)
	}
	same(t, "a", [7]int{engine.Cancelled: 1}, run.StepStatus("a").Counts)
}

// deafScript does not end jobs at first.
type deafScript struct {
	*script
	asked int
}

func (b *deafScript) Terminate(context.Context, engine.JobID, string) error {
	if b.asked++; b.asked == 1 {
		return errors.New("no answer")
	}
	return nil
}

// A job is asked to end again soon if there was no answer, and else when it had its time.
func TestTerminateAgain(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	deaf := &deafScript{script: s}
	d.Executor = deaf
	s.load(t, d)
	s.tick(t, d, 0)
	s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
	var asked []int
	for range 5 {
		s.tick(t, d, 10*time.Second)
		asked = append(asked, deaf.asked)
	}
	same(t, "asked", []int{1, 2, 2, 2, 3}, asked)
}

// An array has ended, and no listing shows its children. They are waited for, and are lost
// then, or were ended with the array if that was ended.
func TestChildrenThatAreNotShown(t *testing.T) {
	for _, c := range []struct {
		terminated  bool
		soon, later [7]int
	}{
		{false, [7]int{engine.Pending: 2}, [7]int{engine.Failed: 2}},
		{true, [7]int{engine.Cancelled: 2}, [7]int{engine.Cancelled: 2}},
	} {
		s, d := newScript(&engine.Step{Name: "a", FanOut: true})
		s.tasks("a", 2, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
		run := s.load(t, d)
		s.tick(t, d, 0)
		j := s.jobs[0]
		j.Status, j.Terminated, j.Summary = engine.JobFailed, c.terminated, [engine.NumJobStatuses]int{}
		for k := range 2 {
			s.status[j.ID.Child(k)] = &engine.Job{Status: engine.JobPending}
		}
		for range 3 {
			s.tick(t, d, 5*time.Second)
		}
		same(t, "soon", c.soon, run.StepStatus("a").Counts)
		for range 10 {
			s.tick(t, d, 10*time.Second)
		}
		same(t, "later", c.later, run.StepStatus("a").Counts)
	}
}

// A listing that is older than the summary is made again, though nothing changes.
func TestListingBehindTheSummary(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	j := s.jobs[0]
	j.Summary[engine.JobFailed], j.Summary[engine.JobPending] = 1, 2
	for range 3 {
		s.tick(t, d, 10*time.Second)
	}
	same(t, "before it is listed", 0, run.StepStatus("a").Counts[engine.Failed])
	code := 1
	s.status[j.ID.Child(1)] = &engine.Job{Status: engine.JobFailed, StatusReason: engine.ReasonExited, ExitCode: &code}
	for range 3 {
		s.tick(t, d, 10*time.Second)
	}
	same(t, "after", 1, run.StepStatus("a").Counts[engine.Failed])
}

// What of a sequential step is lost runs again one after the other, though what stood
// between has succeeded.
func TestLostInSequence(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true, Sequential: true})
	d.Workflow.OnLost = engine.LostRetries
	s.tasks("a", 4, &engine.TaskSpec{Command: []string{"x"}, NoCache: true, Outputs: []engine.Output{{Name: "v", Kind: engine.OutputFile, Path: "v"}}})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.tick(t, d, 2*time.Second)
	s.did()
	s.jobs[0].ID, s.jobs[0].Status = "gone", engine.JobSucceeded
	for _, task := range []string{"1", "3"} {
		s.files["/w/"+string(simRun)+"/a/"+task] = &engine.Manifest{Attempt: 1}
	}
	for range 10 {
		s.tick(t, d, 10*time.Second)
	}
	same(t, "first", []string{"submit a[0]"}, first(submits(s.did()), len("submit a[0]")))
	same(t, "counts", [7]int{engine.Pending: 2, engine.Succeeded: 2}, run.StepStatus("a").Counts)
	s.files["/w/"+string(simRun)+"/a/0"] = &engine.Manifest{Attempt: 11}
	s.ends(2, nil, engine.JobSucceeded, "", 0)
	for range 10 {
		s.tick(t, d, 10*time.Second)
	}
	same(t, "then", []string{"submit a[2]"}, first(submits(s.did()), len("submit a[2]")))
}

// first cuts calls to n bytes.
func first(calls []string, n int) []string {
	for i := range calls {
		calls[i] = calls[i][:min(n, len(calls[i]))]
	}
	return calls
}
