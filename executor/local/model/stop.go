package model

import (
	"time"
	"unicode/utf8"

	"flow/engine"
	"flow/executor"
)

// Terminate ends a job, or a child, or all children of an array parent (Batch API,
// TerminateJob): what has not begun is FAILED at once, what is under way is stopped.
// An unknown or ended job is no error; a reason that Batch would refuse is.
func (m *Model) Terminate(now time.Time, id engine.JobID, reason string) error {
	return m.stop(now, id, reason, terminated, m.terminate)
}

func (m *Model) terminate(j *job, i int, c *child, reason string) {
	if c.status.Ended() || c.is(isOverdue|isTerminated) {
		return // who comes first gives the reason
	}
	c.flags |= isTerminated
	j.setStop(c, reason)
	switch {
	case !c.live():
		m.end(j, i, c, engine.JobFailed, whyStop)
	case !c.is(isLost): // that one is being killed already
		m.effect(Stop, j, i, c)
	}
}

// Cancel ends what has not begun (Batch API, CancelJob): a RUNNABLE job at once, a
// PENDING one when its dependencies have ended. It does nothing to what is STARTING or
// RUNNING.
func (m *Model) Cancel(now time.Time, id engine.JobID, reason string) error {
	return m.stop(now, id, reason, cancelled, m.cancel)
}

func (m *Model) cancel(j *job, i int, c *child, reason string) {
	if c.status.Ended() || c.live() || c.is(isCancelled|isTerminated) {
		return
	}
	c.flags |= isCancelled
	j.setStop(c, reason)
	if c.status == engine.JobRunnable {
		m.end(j, i, c, engine.JobFailed, whyStop)
	}
}

// stop applies one to a child, or to all tasks of a job.
func (m *Model) stop(now time.Time, id engine.JobID, reason string, flag jobFlags, one func(*job, int, *child, string)) error {
	m.begin(now)
	switch {
	case id == "":
		return refuse("JobId cannot be empty")
	case reason == "" || utf8.RuneCountInString(reason) > executor.MaxReasonLength:
		return refuse("Reason should have 1 to %d characters, got %d", executor.MaxReasonLength, utf8.RuneCountInString(reason))
	}
	parent, index := id.Split()
	j := m.find(parent)
	switch {
	case j == nil || j.is(ended) || index >= j.req.ArraySize:
		return nil
	case index < 0:
		m.stopAll(j, reason, flag, one)
	case !j.is(submitted): // else nobody knows that child yet
		one(j, index, j.kid(index), reason)
	}
	m.settle()
	return nil
}

// stopAll applies one to all tasks of a job; of one that is SUBMITTED, when the
// scheduler has looked at it.
func (m *Model) stopAll(j *job, reason string, flag jobFlags, one func(*job, int, *child, string)) {
	j.flags |= flag
	if j.stop == "" {
		j.stop = reason
	}
	if j.is(submitted) {
		return
	}
	for i := range j.req.size() {
		one(j, i, j.kid(i), reason)
	}
}

// setStop keeps the reason a child is ended with: with the job if it is the same.
func (j *job) setStop(c *child, reason string) {
	if j.stop != reason || c.more != nil && c.more.stop != "" {
		c.details().stop = reason
	}
}
