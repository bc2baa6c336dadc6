package model

import (
	"math"
	"time"

	"flow/engine"
)

// EffectKind is what an effect asks for.
type EffectKind uint8

const (
	Start EffectKind = iota // run a try
	Stop                    // end a try: SIGTERM, and after Grace SIGKILL
)

// An Effect is what the caller of Tick has to do.
type Effect struct {
	Kind    EffectKind
	Job     engine.JobID // the plain job, or the array parent
	Index   int          // of the child; -1: a plain job
	Attempt int          // from 1
	Request *Request
	Granted engine.Resources // what it may use

	Environment string // where it was placed
	TaskID      string // of the ECS task, new for every try: 32 hexadecimal digits
	LogStream   string // the name of its log, if it has one container

	Grace time.Duration // of a Stop
	Lost  bool          // of a Stop: the host is gone, so kill it; see Lose
}

// ID returns the id of the plain job or of the child.
func (e *Effect) ID() engine.JobID {
	if e.Index < 0 {
		return e.Job
	}
	return e.Job.Child(e.Index)
}

func (m *Model) effect(k EffectKind, j *job, i int, c *child) {
	m.effects = append(m.effects, Effect{})
	e := &m.effects[len(m.effects)-1]
	e.Kind, e.Job, e.Index, e.Attempt, e.Request = k, j.id, j.outer(i), int(c.attempt), j.req
	switch {
	case k == Start:
		m.started(e, j, i, c)
	case c.is(isLost):
		e.Lost = true
	default:
		e.Grace = m.cfg.Grace
	}
}

// started fills in what only a Start has.
func (m *Model) started(e *Effect, j *job, i int, c *child) {
	e.Granted, e.Environment = m.granted(j.req), m.places[c.place].Name
	e.LogStream = j.logStream(i, e.Attempt)
	e.TaskID = taskID(e.LogStream)
}

// Tick lets the scheduler work: it looks at new jobs, stops the tries whose timeout
// has passed, starts what fits, and forgets what ended long ago. What it returns is to
// be done in that order, and is valid until the next call of Tick. Tick is cheap when
// there is nothing to do.
func (m *Model) Tick(now time.Time) []Effect {
	m.begin(now)
	m.overdue()
	for m.dispatch(); m.expire(); m.dispatch() {
	}
	m.forget()
	out := m.effects
	clear(m.spare)
	m.effects, m.spare = m.spare[:0], out
	return out
}

// Active returns how many tries are STARTING or RUNNING.
func (m *Model) Active() int { return m.active }

// Known returns how many jobs are known, of whatever status; children are not counted.
func (m *Model) Known() int { return len(m.jobs) }

// An amount is resources, in whole numbers: vCPUs in thousandths.
type amount struct{ cpu, memory, gpu int64 }

func (a amount) plus(b amount) amount {
	return amount{a.cpu + b.cpu, a.memory + b.memory, a.gpu + b.gpu}
}

func (a amount) minus(b amount) amount {
	return amount{a.cpu - b.cpu, a.memory - b.memory, a.gpu - b.gpu}
}

func (a amount) within(b amount) bool {
	return a.cpu <= b.cpu && a.memory <= b.memory && a.gpu <= b.gpu
}

func thousandths(vcpus float64) int64 { return int64(math.Ceil(vcpus*1000 - 1e-6)) }

func (c Capacity) amount() amount {
	return amount{int64(c.VCPUs*1000 + 1e-6), int64(c.MemoryMiB), int64(c.GPUs)}
}

// limit is the amount of a capacity of which a zero field is no limit, and a negative one
// is none at all.
func (c Capacity) limit() amount {
	a := c.amount()
	for _, n := range []*int64{&a.cpu, &a.memory, &a.gpu} {
		switch {
		case *n == 0:
			*n = noLimit
		case *n < 0:
			*n = 0
		}
	}
	return a
}

// want is what a job asks for.
func (r *Request) want() amount {
	return amount{thousandths(r.VCPUs), int64(r.MemoryMiB), int64(r.GPUs)}
}

// cuts reports whether jobs are cut down to the machine.
func (m *Model) cuts() bool { return !m.cfg.Strict || m.cfg.Declared }

// grant is what a job that wants so much takes of the machine.
func (m *Model) grant(a amount) amount {
	if m.cuts() {
		a = amount{min(a.cpu, m.size.cpu), min(a.memory, m.size.memory), min(a.gpu, m.size.gpu)}
	}
	return a
}

func (m *Model) granted(r *Request) engine.Resources {
	out, c := r.Resources, m.cfg.Capacity
	if !m.cuts() {
		return out
	}
	all := m.cfg.Declared // a zero field is no limit then
	if !all || c.VCPUs > 0 {
		out.VCPUs = min(out.VCPUs, c.VCPUs)
	}
	if !all || c.MemoryMiB > 0 {
		out.MemoryMiB = min(out.MemoryMiB, c.MemoryMiB)
	}
	if !all || c.GPUs > 0 {
		out.GPUs = min(out.GPUs, c.GPUs)
	}
	return out
}

// A timeout is when a try has run too long (job_timeouts).
type timeout struct {
	at int64
	ref
	attempt uint8
}

// watch sets the timeout of a try that runs.
func (m *Model) watch(j *job, i int, c *child) {
	if t := j.req.Timeout; t > 0 && c.status == engine.JobRunning {
		m.timeouts.push(timeout{at: c.started + t.Milliseconds(), ref: ref{j, i}, attempt: c.attempt})
	}
}

func (t timeout) before(o timeout) bool {
	if t.at != o.at {
		return t.at < o.at
	}
	if t.job != o.job {
		return t.job.seq < o.job.seq
	}
	return t.index < o.index
}

// pending reports whether the try still runs, and nobody has told it to stop.
func (t timeout) pending() bool {
	c := t.job.kid(t.index)
	return c.status == engine.JobRunning && c.attempt == t.attempt && !c.is(isOverdue|isTerminated|isLost)
}

// overdue stops the tries that have run too long.
func (m *Model) overdue() {
	for len(m.timeouts.all) > 0 && m.timeouts.all[0].at <= m.now {
		t := m.timeouts.pop()
		if !t.pending() {
			m.stale--
			continue
		}
		c := t.job.kid(t.index)
		c.flags |= isOverdue
		m.effect(Stop, t.job, t.index, c)
	}
}

// staleTimeout counts a timeout that is not needed any more, and drops all such once
// they are most of what is kept.
func (m *Model) staleTimeout() {
	m.stale++
	if m.stale > 64 && m.stale > len(m.timeouts.all)/2 {
		m.timeouts.keep(timeout.pending)
		m.stale = 0
	}
}

// Wake returns when Tick has something to do though nothing happened: a timeout, the
// end of a change of an environment or queue, a job that has been SUBMITTED for long
// enough, one that has been at the head of its queue, or has ended, for too long. Zero:
// never.
func (m *Model) Wake() time.Time {
	at := earliest(m.nextTimeout(), m.nextChange)
	at = earliest(at, m.nextExpiry())
	at = earliest(at, m.nextForget())
	if wait := m.cfg.Submitting.Milliseconds(); wait > 0 && m.fresh.len() > 0 {
		at = earliest(at, m.fresh.first().created+wait)
	}
	return timeOf(at)
}

// earliest returns the earlier of two times, of which 0 is never.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (m *Model) nextTimeout() int64 {
	for len(m.timeouts.all) > 0 {
		if t := m.timeouts.all[0]; t.pending() {
			return t.at
		}
		m.timeouts.pop()
		m.stale--
	}
	return 0
}
