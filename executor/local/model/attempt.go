package model

import (
	"time"

	"flow/engine"
	"flow/executor"
)

// Started reports that the program of a try runs: STARTING to RUNNING. index is -1 for
// a plain job. It is false, and nothing changes, if that try is not STARTING.
func (m *Model) Started(now time.Time, id engine.JobID, index, attempt int) bool {
	m.begin(now)
	j, i, c := m.try(id, index, attempt)
	if c == nil || c.status != engine.JobStarting {
		return false
	}
	m.run(j, i, c)
	return true
}

func (m *Model) run(j *job, i int, c *child) {
	m.set(j, c, engine.JobRunning)
	c.started = m.now
	m.watch(j, i, c)
}

// An Exit is how a try ended.
type Exit struct {
	ExitCode     *int                     // nil: the container never reported one
	Reason       string                   // of the container
	StatusReason string                   // "": engine.ReasonExited
	Used         engine.Used              // by the program; zeros: not known
	Containers   []engine.ContainerResult // of a job of several containers; else nil
}

// Exited reports that a try has ended: exit code 0 is success, everything else is a
// failure that may be tried again (Batch User Guide, job_retries). It is false, and
// nothing changes, if that try is not under way.
func (m *Model) Exited(now time.Time, id engine.JobID, index, attempt int, e Exit) bool {
	m.begin(now)
	j, i, c := m.try(id, index, attempt)
	if c == nil || !c.live() {
		return false
	}
	if c.is(isLost) { // whatever its host reported, nobody has heard it
		e = Exit{StatusReason: m.lostHost(j, i, c)}
	}
	if c.status == engine.JobStarting && e.ExitCode != nil {
		m.run(j, i, c) // it must have run to have an exit code
	}
	m.exit(j, i, c, e)
	m.settle()
	return true
}

// maxContainerReason is how much Batch keeps of a container's reason (AttemptContainerDetail).
const maxContainerReason = 255

func (m *Model) exit(j *job, i int, c *child, e Exit) {
	m.unplace(j, c)
	if c.started > 0 && j.req.Timeout > 0 {
		m.staleTimeout()
	}
	c.stopped = m.now
	if e.ExitCode != nil {
		c.exit = int32(*e.ExitCode)
		c.flags |= hasExit
	}
	c.memory, c.cpu = e.Used.Pack()
	if e.Reason != "" {
		c.details().reason = cut(e.Reason, maxContainerReason)
	}
	if len(e.Containers) > 0 {
		c.details().containers = e.Containers
	}
	c.why = whyExited
	switch {
	case c.is(isOverdue):
		c.why = whyTimeout
	case c.is(isTerminated):
		c.why = whyStop
	case e.StatusReason != "" && e.StatusReason != engine.ReasonExited:
		c.why = whyOther
		c.details().statusReason = e.StatusReason
	}
	switch {
	case c.is(isOverdue | isTerminated): // even a program that exits 0 when told to stop
		m.end(j, i, c, engine.JobFailed, c.why)
	case e.ExitCode != nil && *e.ExitCode == 0:
		m.end(j, i, c, engine.JobSucceeded, c.why)
	case m.retries(j, c, e):
		d := c.details()
		d.attempts = append(d.attempts, j.lastAttempt(i, c))
		m.enqueue(j, i, c, true)
	default:
		m.end(j, i, c, engine.JobFailed, c.why)
	}
}

func (m *Model) retries(j *job, c *child, e Exit) bool {
	return executor.Retries(int(c.attempt), j.req.Attempts, j.req.Evaluate, &engine.JobAttempt{
		ExitCode:     e.ExitCode,
		Reason:       e.Reason,
		StatusReason: j.statusReason(c),
	})
}

// HostLost is the statusReason of a try whose instance has gone (Batch User Guide,
// bestpractice6).
func HostLost(instance string) string {
	return engine.ReasonHostLost + " (instance " + instance + ") terminated."
}

// Lose reports that the host of a try is gone: what is left of it is to be killed (a
// Stop effect), and however it then ends, it has no exit code and the statusReason of a
// lost host, and is tried again if the job's retry strategy says so. It is false, and
// nothing changes, if that try is not under way.
func (m *Model) Lose(now time.Time, id engine.JobID, index, attempt int) bool {
	m.begin(now)
	j, i, c := m.try(id, index, attempt)
	if c == nil || !c.live() || c.is(isLost) {
		return false
	}
	m.lose(j, i, c)
	return true
}

func (m *Model) lose(j *job, i int, c *child) {
	c.flags |= isLost
	m.effect(Stop, j, i, c)
}

// lostHost returns the statusReason of a try whose host is gone. Each such try had an
// instance of its own; what runs on others goes on. On Fargate it was interrupted
// (ECS, fargate-capacity-providers).
func (m *Model) lostHost(j *job, i int, c *child) string {
	if m.places[c.place].Fargate {
		return engine.ReasonSpotFargate + "."
	}
	return HostLost("i-" + taskID(j.logStream(i, int(c.attempt)))[:17])
}

// Restart replaces the instance: whatever is under way on it is lost, and tried again
// if the job's retry strategy says so.
func (m *Model) Restart(now time.Time, size Capacity, instance string) {
	m.begin(now)
	lost := Exit{StatusReason: HostLost(m.cfg.Instance)}
	for _, j := range m.liveJobs() {
		for i := range j.req.size() {
			if c := j.kid(i); c.live() {
				m.exit(j, i, c, lost)
			}
		}
	}
	m.cfg.Instance = instance
	m.resize(size)
	m.settle()
}

// try returns the child whose try is the one of that number, or nil.
func (m *Model) try(id engine.JobID, index, attempt int) (*job, int, *child) {
	j := m.jobs[id]
	if j == nil || index >= j.req.size() || (index < 0) != (j.array == nil) {
		return nil, 0, nil
	}
	i := max(index, 0)
	c := j.kid(i)
	if int(c.attempt) != attempt {
		return nil, 0, nil
	}
	return j, i, c
}
