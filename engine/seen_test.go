package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// A person is told once of a job that is not known any more, before it counts as lost; of
// one that was just submitted, not at once.
func TestMissingIsTold(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	var told []string
	d.OnTrouble = func(op string, err error) {
		missing := (*engine.MissingError)(nil)
		if !errors.As(err, &missing) || op != "missing" {
			t.Errorf("%s: %v", op, err)
		}
		told = append(told, err.Error())
	}
	s.load(t, d)
	s.tick(t, d, 0)
	s.tick(t, d, 2*time.Second)
	s.jobs[0].ID = "gone"
	s.tick(t, d, 2*time.Second)
	s.tick(t, d, 5*time.Second)
	same(t, "told at once", []string(nil), told)
	for range 5 {
		s.tick(t, d, 4*time.Second)
	}
	want := []string{"job j1 of step a is not known any more; after 30s without it, it counts as lost"}
	same(t, "told", want, told)

	// Another driver does not know that it was there a moment ago.
	other := &engine.Driver{Workflow: d.Workflow, Template: s, Executor: s, Log: s, Files: s, Clock: s, Quiet: d.Quiet, OnTrouble: d.OnTrouble}
	s.load(t, other)
	if err := other.Look(context.Background()); err != nil {
		t.Fatal(err)
	}
	same(t, "told by a look", append(want, "job j1 of step a is not known any more; after 1m0s without it, it counts as lost"), told)
}

// What somebody else has ended says so, in the step and the run.
func TestEndedByOthers(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.ends(1, engine.Upto(3), engine.JobSucceeded, "", 0)
	s.jobs[0].Status = engine.JobFailed
	s.jobs[0].Summary[engine.JobSucceeded], s.jobs[0].Summary[engine.JobFailed] = 2, 1
	code := 143
	s.status["j1:1"] = &engine.Job{Status: engine.JobFailed, StatusReason: "boss said so", ExitCode: &code, Terminated: true}
	s.tick(t, d, 10*time.Second)
	if why := run.StepStatus("a").Reason; run.Status() != engine.Cancelled || why != `a["1"]: boss said so` || run.Reason() != why {
		t.Errorf("%s: %s: %q", run.StepStatus("a").Status, why, run.Reason())
	}
}

// A step ended when its last task did, not when somebody looked.
func TestStepEndedBeforeItWasSeen(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	j := s.jobs[0]
	j.Started, j.Stopped = s.now.Add(time.Second), s.now.Add(4*time.Second)
	s.ends(1, nil, engine.JobSucceeded, "", 0)
	s.tick(t, d, time.Hour)
	v := run.StepStatus("a")
	if took := v.Ended.Sub(v.Started); v.Status != engine.Succeeded || took != 3*time.Second {
		t.Errorf("%s after %s", v.Status, took)
	}
}

// A wave has SubmitAll of a script, which is throttled for every other job.
type wave struct{ *script }

func (w wave) SubmitAll(ctx context.Context, specs []*engine.JobSpec) (out []engine.Submission) {
	for i, spec := range specs {
		if i%2 == 1 {
			out = append(out, engine.Submission{Err: fmt.Errorf("%w: too many", engine.ErrLater)})
			continue
		}
		id, err := w.Submit(ctx, spec)
		out = append(out, engine.Submission{ID: id, Err: err})
	}
	return out
}

// Trouble with some of the jobs of a wave is told once, and its end when all are accepted.
func TestTroubleInAWave(t *testing.T) {
	var steps []*engine.Step
	for i := range 20 {
		steps = append(steps, &engine.Step{Name: engine.StepName(fmt.Sprint("s", i))})
	}
	s, d := newScript(steps...)
	d.Executor = wave{s}
	for _, step := range steps {
		s.tasks(step.Name, 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	}
	var told []string
	d.OnTrouble = func(op string, err error) { told = append(told, fmt.Sprint(op, ": ", err)) }
	s.load(t, d)
	for range 20 {
		s.tick(t, d, 20*time.Second)
	}
	same(t, "jobs", len(steps), len(s.jobs))
	same(t, "told", []string{"submit: " + engine.ErrLater.Error() + ": too many", "submit: <nil>"}, told)
}

// Somebody who only reads the log can see how many tasks run, and writes nothing.
func TestPeek(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true}, &engine.Step{Name: "b"})
	s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.load(t, d)
	s.tick(t, d, 0)
	s.jobs[0].Summary[engine.JobPending], s.jobs[0].Summary[engine.JobRunning] = 1, 2
	reader := &engine.Driver{Workflow: d.Workflow, Log: s}
	run := s.load(t, reader)
	events := len(s.log)
	s.did()
	if err := run.Peek(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	same(t, "counts", [7]int{engine.Pending: 1, engine.Running: 2}, run.StepStatus("a").Counts)
	same(t, "calls", "describe 1", strings.Join(s.did(), ", "))
	same(t, "events", events, len(s.log))
}
