// Package export writes runs for other programs: as a trace of tasks, as events, as an RO-Crate
// with its provenance, and as spans of OpenTelemetry.
package export

import (
	"iter"
	"time"

	"flow/cmd/flow/internal/runstat"
	"flow/engine"
)

// A Run is a run to be exported.
type Run struct {
	*engine.Run
	Log   *runstat.Log
	Tries []runstat.Try // as they ended, the oldest first
	Flow  string        // version of the flow that exports it
	Now   time.Time

	Sources    []Source // the files of its workflow, the one with its workflow block first
	Variables  []Variable
	Containers bool // its tasks ran in containers of their images
	// Manifest returns what a task left of which a result is in a task directory; nil: it is not
	// known. It is asked by one goroutine.
	Manifest func(taskDir string) *engine.Manifest
	// Directory reports whether a path that an input names is that of a directory, as far as that
	// can be told.
	Directory func(path string) bool

	jobs []engine.JobView
}

// A Source is a file of a workflow.
type Source struct {
	Name  string // relative to the workflow's directory, with slashes
	Bytes []byte
}

// A Variable is a variable of a workflow. What the run had for it is in the run's info.
type Variable struct {
	Name, Type, Description string
}

// Gather returns a run with what its events say.
func Gather(run *engine.Run, events iter.Seq2[engine.Event, error]) (*Run, error) {
	r := &Run{Run: run, Log: &runstat.Log{}, jobs: run.Jobs(),
		Manifest: func(string) *engine.Manifest { return nil }, Directory: func(string) bool { return false }}
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		if e.Seq > run.Seq() {
			break // the run knows nothing of it yet
		}
		r.Log.Add(&e)
		for t := range runstat.Tries(&e) {
			if r.task(&t) {
				r.Tries = append(r.Tries, t)
			}
		}
	}
	return r, nil
}

// task reports whether the task of a try is there: its step may have been expanded anew, with
// fewer tasks.
func (r *Run) task(t *runstat.Try) bool {
	return t.Index < r.StepStatus(t.Step).Size
}

// job returns a job of the run; nil: there is none of that number.
func (r *Run) job(n int) *engine.JobView {
	if n < 1 || n > len(r.jobs) {
		return nil
	}
	return &r.jobs[n-1]
}

// jobID returns the id of the job of a task that is in it, for its executor; "": it has none.
func (r *Run) jobID(n, task int) engine.JobID {
	j := r.job(n)
	switch {
	case j == nil || j.ID == "":
		return ""
	case j.Tasks.Len() > 1:
		return j.ID.Child(j.Tasks.Rank(task))
	}
	return j.ID
}

// image returns the image that a task ran in; "": none.
func (r *Run) image(step engine.StepName, task int) string {
	spec := r.Spec(step, task)
	if spec == nil || !r.Containers {
		return ""
	}
	return spec.Image
}

// eachTask yields the tasks of the run that are known, step by step.
func (r *Run) eachTask() iter.Seq[engine.TaskStatus] {
	return func(yield func(engine.TaskStatus) bool) {
		for _, v := range r.Steps() {
			for i := range max(v.Size, 0) {
				if !yield(r.Task(v.Step.Name, i)) {
					return
				}
			}
		}
	}
}

// ok reports whether a try succeeded.
func ok(t *runstat.Try) bool { return t.Outcome == engine.TaskSucceeded }
