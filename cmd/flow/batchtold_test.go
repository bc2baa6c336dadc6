package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// batchRun returns a run of one task on AWS Batch, and what happens to it.
func batchRun(t *testing.T) (run *engine.Run, apply func(engine.Event)) {
	t.Helper()
	run, err := engine.NewRun(&engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	apply = func(e engine.Event) {
		t.Helper()
		e.Seq = run.Seq() + 1
		if err := run.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	apply(engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "r", WorkDir: "/w", Executor: engine.ExecutorBatch}})
	apply(engine.Event{Kind: engine.StepExpanded, Step: "a", Expanded: &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{{Command: []string{"x"}}}}})
	return run, apply
}

// TestInterrupted: who stops watching a run is told what of it is in AWS Batch, or may be,
// and how to go on.
func TestInterrupted(t *testing.T) {
	s := &session{a: &app{now: time.Now}, executor: batchExecutor, id: "r"}
	run, apply := batchRun(t)
	for _, test := range []struct {
		event engine.Event
		want  string
	}{
		{engine.Event{Kind: engine.JobPlanned, Step: "a", Job: 1, Tasks: engine.Upto(1), Plan: &engine.JobPlan{Name: "j", Attempt: 1}},
			"stopped watching; nothing of the run is in AWS Batch now. Go on with: flow resume r"},
		{engine.Event{Kind: engine.JobInDoubt, Job: 1},
			"stopped watching; nothing of the run is in AWS Batch now, as far as is known: of 1 task nobody knows whether they were submitted. " +
				"Follow them again: flow resume r. End them: flow cancel r"},
		{engine.Event{Kind: engine.JobAccepted, Job: 1, JobID: "id"},
			"stopped watching; 1 job (1 task) goes on in AWS Batch. Follow them again: flow resume r. End them: flow cancel r"},
		{engine.Event{Kind: engine.CancelRequested, Reason: "enough", Cause: engine.CauseUser},
			"stopped watching; 1 job (1 task) goes on in AWS Batch. The run is not cancelled yet; go on with: flow cancel r"},
	} {
		apply(test.event)
		if diff := cmp.Diff(test.want, s.interrupted(run)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", test.event.Kind, diff)
		}
	}
}

// TestWithTries: tries that AWS Batch made by itself, and of which flow has recorded only
// the last, are told one by one; what other jobs tried before stays.
func TestWithTries(t *testing.T) {
	run, apply := batchRun(t)
	for n, attempt := range []int{1, 2} {
		apply(engine.Event{Kind: engine.JobPlanned, Step: "a", Job: n + 1, Tasks: engine.Upto(1), Plan: &engine.JobPlan{Name: fmt.Sprint("j", n), Attempt: attempt, Attempts: 10}})
		apply(engine.Event{Kind: engine.JobAccepted, Job: n + 1, JobID: engine.JobID(fmt.Sprint("id", n))})
		if n == 0 {
			apply(engine.Event{Kind: engine.TasksEnded, Step: "a", Job: 1, Tasks: engine.Upto(1), Outcome: engine.TaskRetrying, Attempts: []int{1}})
			apply(engine.Event{Kind: engine.JobEnded, Job: 1})
		}
	}
	before := attemptInfo{Attempt: 1, Outcome: engine.TaskRetrying, Rule: "spot"}
	good := attemptInfo{Attempt: 2, Outcome: engine.TaskSucceeded}
	lost := engine.JobAttempt{StatusReason: "Host EC2 (instance i-1) terminated."}
	for _, test := range []struct {
		name    string
		history []attemptInfo
		status  engine.JobStatus
		tries   []engine.JobAttempt
		want    []string
	}{
		{"recorded at its end", []attemptInfo{before, good}, engine.JobSucceeded, []engine.JobAttempt{lost, {}}, []string{"1 retrying spot", "2 retrying Host EC2 (instance i-1) terminated.", "3 succeeded "}},
		{"runs again", []attemptInfo{before}, engine.JobRunning, []engine.JobAttempt{lost}, []string{"1 retrying spot", "2 retrying Host EC2 (instance i-1) terminated."}},
		{"not recorded yet", []attemptInfo{before}, engine.JobFailed, []engine.JobAttempt{{}}, []string{"1 retrying spot", "2 failed "}},
		{"all is recorded", []attemptInfo{before, good}, engine.JobSucceeded, []engine.JobAttempt{{}}, []string{"1 retrying spot", "2 succeeded "}},
		{"nothing is known", []attemptInfo{before, good}, engine.JobSucceeded, nil, []string{"1 retrying spot", "2 succeeded "}},
	} {
		task := run.Task("a", 0)
		var got []string
		for _, h := range withTries(run, &task, test.history, &engine.Job{ID: "id1", Status: test.status, Attempts: test.tries}) {
			got = append(got, fmt.Sprint(h.Attempt, " ", h.Outcome, " ", h.Reason+h.Rule))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
