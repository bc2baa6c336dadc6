// Package executortest is the contract that every engine.Executor keeps, as a test: the
// semantics of AWS Batch as far as flow relies on them.
//
//	func TestContract(t *testing.T) { executortest.Run(t, open) }
//
// The jobs are one-liners of sh. Nothing is assumed about the size of what they run on
// but that one of them fits, nor about how soon anything happens: states are polled
// until a deadline.
package executortest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// Patience is how long the suite waits for anything to happen.
const Patience = 2 * time.Minute

// Run runs the contract against the executors that open returns, one for each sub-test.
// open registers whatever is to be done at the end with t.Cleanup.
//
// change is applied to each job that the suite makes: it gives what the executor wants and
// the suite does not know, such as a queue and an image.
func Run(t *testing.T, open func(t *testing.T) engine.Executor, change ...func(*engine.JobSpec)) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"PlainSucceeds", plainSucceeds},
		{"PlainFails", plainFails},
		{"ExitCodes", exitCodes},
		{"CannotStart", cannotStart},
		{"Environment", environment},
		{"StatusesOnlyMoveOn", statusesOnlyMoveOn},

		{"ArrayIndices", arrayIndices},
		{"ArrayWithFailure", arrayWithFailure},
		{"ChildrenByStatus", childrenByStatus},

		{"DependsOnPlain", dependsOnPlain},
		{"DependsOnWholeArray", dependsOnWholeArray},
		{"DependsOnFailure", dependsOnFailure},
		{"DependsOnEnded", dependsOnEnded},
		{"NToN", nToN},
		{"Sequential", sequential},
		{"SequentialWithFailure", sequentialWithFailure},
		{"JobAndSequential", jobAndSequential},

		{"RetryUntilSuccess", retryUntilSuccess},
		{"RetryUntilSpent", retryUntilSpent},
		{"RetryEvaluatesExit", retryEvaluatesExit},
		{"RetryOfChildren", retryOfChildren},
		{"Timeout", timeout},

		{"TerminateRunning", terminateRunning},
		{"TerminatePending", terminatePending},
		{"TerminateArray", terminateArray},
		{"TerminateChild", terminateChild},
		{"TerminateEndedAndUnknown", terminateEndedAndUnknown},

		{"FindByName", findByName},
		{"DescribeUnknown", describeUnknown},
		{"Logs", logs},
		{"LogsOfAttempts", logsOfAttempts},
		{"LogsFollowed", logsFollowed},
		{"Refused", refused},
		{"Notifies", notifies},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), Patience)
			defer cancel()
			test.run(&suite{T: t, x: open(t), ctx: ctx, work: t.TempDir(), change: change})
		})
	}
}

// A suite is one sub-test.
type suite struct {
	*testing.T
	x    engine.Executor
	ctx  context.Context
	work string
	n    int

	change []func(*engine.JobSpec)
}

// An option changes a job before it is submitted.
type option func(*engine.JobSpec)

func array(n int) option {
	return func(s *engine.JobSpec) { s.ArraySize, s.Tasks = n, engine.Upto(n) }
}

func after(id engine.JobID) option { return depends(id, engine.DependAll) }

func depends(id engine.JobID, kind engine.DependencyType) option {
	return func(s *engine.JobSpec) {
		s.DependsOn = append(s.DependsOn, engine.Dependency{Job: id, Type: kind})
	}
}

func attempts(n int, evaluate ...engine.EvaluateOn) option {
	return func(s *engine.JobSpec) { s.Attempts, s.Evaluate = n, evaluate }
}

// job returns a job that runs a script.
func (s *suite) job(name, script string, options ...option) *engine.JobSpec {
	s.n++
	spec := &engine.JobSpec{
		Name: fmt.Sprintf("flow-contract-%s-%d", name, s.n),
		Run:  "01jcontract00000000000000", Step: engine.StepName(fmt.Sprintf("%s%d", name, s.n)), FanOut: true,
		Task:  &engine.TaskSpec{Script: script, Shell: []string{"sh", "-c"}},
		Tasks: engine.Upto(1), WorkDir: s.work, Attempt: 1, Attempts: 1,
		Resources: engine.Resources{VCPUs: 1, MemoryMiB: 128},
	}
	for _, o := range options {
		o(spec)
	}
	for _, c := range s.change {
		c(spec)
	}
	return spec
}

// submit submits a job that runs a script.
func (s *suite) submit(name, script string, options ...option) engine.JobID {
	s.Helper()
	return s.send(s.job(name, script, options...))
}

func (s *suite) send(spec *engine.JobSpec) engine.JobID {
	s.Helper()
	id, err := s.x.Submit(s.ctx, spec)
	if err != nil {
		s.Fatalf("Submit(%s): %v", spec.Name, err)
	}
	return id
}

func (s *suite) terminate(id engine.JobID, reason string) {
	s.Helper()
	if err := s.x.Terminate(s.ctx, id, reason); err != nil {
		s.Fatalf("Terminate(%s): %v", id, err)
	}
}

// describe returns what is known of a job; false: nothing.
func (s *suite) describe(id engine.JobID) (engine.Job, bool) {
	s.Helper()
	jobs, err := s.x.Describe(s.ctx, []engine.JobID{id})
	if err != nil {
		s.Fatalf("Describe(%s): %v", id, err)
	}
	if len(jobs) == 0 {
		return engine.Job{}, false
	}
	if len(jobs) > 1 || jobs[0].ID != id {
		s.Fatalf("Describe(%s) = %v", id, jobs)
	}
	return jobs[0], true
}

// until polls a job until it is as wanted, and returns it.
func (s *suite) until(id engine.JobID, what string, wanted func(*engine.Job) bool) engine.Job {
	s.Helper()
	var changed <-chan struct{}
	every := time.Second
	if n, ok := s.x.(engine.Notifier); ok {
		changed = n.Changed()
	} else {
		every = 50 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last engine.Job
	for {
		if job, ok := s.describe(id); ok {
			if wanted(&job) {
				return job
			}
			last = job
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatalf("job %s is not %s after %v: %+v", id, what, Patience, last)
		}
	}
}

func (s *suite) ended(id engine.JobID) engine.Job {
	s.Helper()
	return s.until(id, "ended", func(j *engine.Job) bool { return j.Status.Ended() })
}

// running waits for a job to run, and not to have ended.
func (s *suite) running(id engine.JobID) {
	s.Helper()
	j := s.until(id, "running", func(j *engine.Job) bool { return j.Status >= engine.JobRunning })
	if j.Status != engine.JobRunning {
		s.Fatalf("job %s is %v, want RUNNING", id, j.Status)
	}
}

func (s *suite) succeeded(id engine.JobID) engine.Job {
	s.Helper()
	j := s.ended(id)
	if j.Status != engine.JobSucceeded {
		s.Fatalf("job %s is %v: %s: %s", id, j.Status, j.StatusReason, j.Reason)
	}
	return j
}

// failed waits for a job to fail with a statusReason.
func (s *suite) failed(id engine.JobID, reason string) engine.Job {
	s.Helper()
	j := s.ended(id)
	if j.Status != engine.JobFailed || j.StatusReason != reason {
		s.Fatalf("job %s is %v with reason %q, want FAILED with %q", id, j.Status, j.StatusReason, reason)
	}
	return j
}

// lines returns a log.
func (s *suite) lines(id engine.JobID, o engine.LogOptions) []string {
	s.Helper()
	var out []string
	for l, err := range s.x.Logs(s.ctx, id, o) {
		if err != nil {
			s.Fatalf("Logs(%s): %v", id, err)
		}
		out = append(out, l.Text)
	}
	return out
}

// children returns the indices of the children in a status.
func (s *suite) children(id engine.JobID, status engine.JobStatus) []int {
	s.Helper()
	var out []int
	for j, err := range s.x.Children(s.ctx, id, status) {
		if err != nil {
			s.Fatalf("Children(%s): %v", id, err)
		}
		parent, index := j.ID.Split()
		if parent != id || j.Status != status {
			s.Fatalf("Children(%s, %v) has %s, which is %v", id, status, j.ID, j.Status)
		}
		out = append(out, index)
	}
	return out
}

func (s *suite) refuses(what string, spec *engine.JobSpec, text string) {
	s.Helper()
	id, err := s.x.Submit(s.ctx, spec)
	if !errors.Is(err, engine.ErrRefused) {
		s.Errorf("%s: Submit = %q, %v, want engine.ErrRefused", what, id, err)
	} else if !strings.Contains(err.Error(), text) {
		s.Errorf("%s: the error is %q, want something with %q", what, err, text)
	}
}

func code(p *int) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprint(*p)
}
