package engine

// Columns are some of what can be seen of the tasks of a step, one element a task. They are
// the run's own: they must not be changed, and change with the run.
type Columns struct {
	Status   []Status
	Attempts []uint16 // ended tries
	Started  []int64  // of the last try, in milliseconds since 1970; 0: it has not begun
	Stopped  []int64  // likewise
	Job      []int32  // number of the last job; 0: the task never had one

	step *stepState
}

// Used returns what the last try of task i used that ended.
func (c *Columns) Used(i int) Used { return c.step.used(i) }

// Keys returns the keys of the tasks; nil: each is its index as a decimal number, or the step
// has no fan-out.
func (c *Columns) Keys() []string {
	if c.step.exp == nil {
		return nil
	}
	return c.step.exp.Keys
}

// Columns returns what can be seen of all tasks of a step, none if they are not known yet. It
// panics if there is no such step.
func (r *Run) Columns(name StepName) Columns {
	s := r.step(name)
	return Columns{Status: s.task, Attempts: s.tries, Started: s.begun, Stopped: s.stopped, Job: s.job, step: s}
}

// Asked returns what each task of a job asked for. It is not ok if there is no such job, or if
// its step was expanded anew since.
func (r *Run) Asked(job int) (res Resources, ok bool) {
	if job < 1 || job > len(r.jobs) || r.jobs[job-1].stray {
		return Resources{}, false
	}
	j := r.jobs[job-1]
	if j.step.exp == nil || j.plan.Group >= len(j.step.exp.Groups) {
		return Resources{}, false // it was over when its step was reset
	}
	return j.step.resources(j.plan), true
}
