package engine

import (
	"testing"
)

// TestAttempt: an attempt is found in the job that made it, whichever of several that was.
func TestAttempt(t *testing.T) {
	r, err := NewRun(&Workflow{Name: "w", Steps: []*Step{{Name: "s", FanOut: true}}})
	if err != nil {
		t.Fatal(err)
	}
	seq := int64(0)
	apply := func(events ...Event) {
		t.Helper()
		for _, e := range events {
			seq++
			e.Seq, e.Step = seq, "s"
			if err := r.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	code := 3
	apply(
		Event{Kind: RunStarted, Info: &RunInfo{Run: "01k2", Executor: "batch"}},
		Event{Kind: StepExpanded, Expanded: &Expanded{Size: 4, Groups: []*TaskSpec{{Command: []string{"x"}, Retry: Retry{Attempts: 5}}}}},
		Event{Kind: JobPlanned, Job: 1, Tasks: Upto(4), Plan: &JobPlan{Name: "one", Attempt: 1, Attempts: 2}},
	)
	if jobs, tasks := r.Alive(); jobs != 0 || tasks != 0 {
		t.Errorf("%d jobs and %d tasks are alive before any was accepted", jobs, tasks)
	}
	apply(
		Event{Kind: JobAccepted, Job: 1, JobID: "a"},
		Event{Kind: TasksEnded, Job: 1, Tasks: RangesOf(0, 1), Outcome: TaskSucceeded, Attempts: []int{1}},
		Event{Kind: TasksEnded, Job: 1, Tasks: RangesOf(2), Outcome: TaskRetrying, Attempts: []int{2}, ExitCode: &code},
	)
	if jobs, tasks := r.Alive(); jobs != 1 || tasks != 1 {
		t.Errorf("%d jobs and %d tasks are alive, want 1 and 1", jobs, tasks)
	}
	apply(
		Event{Kind: TasksEnded, Job: 1, Tasks: RangesOf(3), Outcome: TaskRetrying, Attempts: []int{2}, ExitCode: &code},
		Event{Kind: JobEnded, Job: 1},
		Event{Kind: JobPlanned, Job: 2, Tasks: RangesOf(2, 3), Plan: &JobPlan{Name: "two", Attempt: 3, Attempts: 2}},
		Event{Kind: JobAccepted, Job: 2, JobID: "b"},
		Event{Kind: TasksEnded, Job: 2, Tasks: RangesOf(3), Outcome: TaskRetrying, Attempts: []int{4}, ExitCode: &code},
		Event{Kind: TasksEnded, Job: 2, Tasks: RangesOf(2), Outcome: TaskSucceeded, Attempts: []int{3}},
		Event{Kind: JobEnded, Job: 2},
		Event{Kind: JobPlanned, Job: 3, Tasks: RangesOf(3), Plan: &JobPlan{Name: "three", Attempt: 5}},
	)
	tests := []struct {
		task, attempt int
		id            JobID
		inJob         int
	}{
		{0, 1, "a:0", 1}, {1, 1, "a:1", 1}, {3, 1, "a:3", 1}, {3, 2, "a:3", 2},
		{2, 3, "b:0", 1}, {3, 3, "b:1", 1}, {3, 4, "b:1", 2},
		{3, 5, "b:1", 3}, // not accepted yet: nobody knows its job
		{0, 0, "", 0}, {0, -1, "", 0},
	}
	for _, test := range tests {
		id, n, ok := r.Attempt("s", test.task, test.attempt)
		if id != test.id || n != test.inJob || ok != (test.id != "") {
			t.Errorf("Attempt(%d, %d) = %s, %d, %v, want %s, %d", test.task, test.attempt, id, n, ok, test.id, test.inJob)
		}
	}
	apply(Event{Kind: JobAccepted, Job: 3, JobID: "c"})
	if id, n, _ := r.Attempt("s", 3, 5); id != "c" || n != 1 {
		t.Errorf("Attempt(3, 5) = %s, %d, want c, 1", id, n)
	}
	if jobs, tasks := r.Alive(); jobs != 1 || tasks != 1 {
		t.Errorf("%d jobs and %d tasks are alive, want 1 and 1", jobs, tasks)
	}
}
