package model

import (
	"math"
	"math/bits"
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
	Kind      EffectKind
	Job       engine.JobID // the plain job, or the array parent
	Index     int          // of the child; -1: a plain job
	Attempt   int          // from 1
	Request   *Request
	Granted   engine.Resources // what it may use
	LogStream string
	Grace     time.Duration // of a Stop
}

// ID returns the id of the plain job or of the child.
func (e *Effect) ID() engine.JobID {
	if e.Index < 0 {
		return e.Job
	}
	return e.Job.Child(e.Index)
}

func (m *Model) effect(k EffectKind, j *job, i int, c *child) {
	e := Effect{Kind: k, Job: j.id, Index: j.outer(i), Attempt: int(c.attempt), Request: j.req}
	if k == Start {
		e.Granted = m.granted(j.req)
		e.LogStream = j.logStream(i, int(c.attempt))
	} else {
		e.Grace = m.cfg.Grace
	}
	m.effects = append(m.effects, e)
}

// Tick lets the scheduler work: it looks at new jobs, stops the tries whose timeout
// has passed, starts what fits, and forgets what ended long ago. What it returns is to
// be done in that order, and is valid until the next call of Tick. Tick is cheap when
// there is nothing to do.
func (m *Model) Tick(now time.Time) []Effect {
	m.begin(now)
	m.overdue()
	m.dispatch()
	m.forget()
	out := m.effects
	clear(m.spare)
	m.effects, m.spare = m.spare[:0], out
	return out
}

// Active returns how many tries are STARTING or RUNNING.
func (m *Model) Active() int { return m.active }

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

// grant is what a job takes of the instance.
func (m *Model) grant(r *Request) amount {
	a := amount{thousandths(r.VCPUs), int64(r.MemoryMiB), int64(r.GPUs)}
	if !m.cfg.Strict {
		a = amount{min(a.cpu, m.size.cpu), min(a.memory, m.size.memory), min(a.gpu, m.size.gpu)}
	}
	return a
}

func (m *Model) granted(r *Request) engine.Resources {
	out := r.Resources
	if !m.cfg.Strict {
		out.VCPUs = min(out.VCPUs, m.cfg.Capacity.VCPUs)
		out.MemoryMiB = min(out.MemoryMiB, m.cfg.Capacity.MemoryMiB)
		out.GPUs = min(out.GPUs, m.cfg.Capacity.GPUs)
	}
	return out
}

// A queue gives its RUNNABLE children out in the order in which their jobs were
// submitted, children by index; retries go first. Whatever is at its head blocks the
// rest until it fits (job_scheduling, job_stuck_in_runnable).
type queue struct {
	name  string
	front []ref      // retries, the last one first
	jobs  heap[*job] // that have RUNNABLE children
}

func (m *Model) queue(name string) *queue {
	q := m.byQueue[name]
	if q == nil {
		q = &queue{name: name, jobs: heap[*job]{less: func(a, b *job) bool { return a.seq < b.seq }}}
		m.byQueue[name] = q
		m.queues = append(m.queues, q)
	}
	return q
}

// enqueue makes a child RUNNABLE.
func (m *Model) enqueue(j *job, i int, c *child, front bool) {
	m.set(j, c, engine.JobRunnable)
	q := j.queue
	if front {
		c.flags |= atFront
		q.front = append(q.front, ref{j, i})
		return
	}
	if a := j.array; a != nil {
		word := i / 64
		a.ready[word] |= 1 << (i % 64)
		a.readyFrom = min(a.readyFrom, word)
		a.readyCount++
	}
	if !j.is(queued) {
		j.flags |= queued
		q.jobs.push(j)
	}
}

// unready takes a child that is about to leave RUNNABLE out of its queue. The queue's
// own entries for it are dropped when they come up.
func (j *job) unready(i int, c *child) {
	if c.is(atFront) {
		c.flags &^= atFront
	} else if a := j.array; a != nil {
		a.ready[i/64] &^= 1 << (i % 64)
		a.readyCount--
	}
}

// head returns the child that is next in q.
func (q *queue) head() (ref, bool) {
	for n := len(q.front); n > 0; n = len(q.front) {
		if r := q.front[n-1]; r.job.kid(r.index).is(atFront) {
			return r, true
		}
		q.front[n-1] = ref{}
		q.front = q.front[:n-1]
	}
	for len(q.jobs.all) > 0 {
		j := q.jobs.all[0]
		if i := j.firstReady(); i >= 0 {
			return ref{j, i}, true
		}
		q.jobs.pop()
		j.flags &^= queued
	}
	return ref{}, false
}

// firstReady returns the first RUNNABLE child that is not at the front, or -1.
func (j *job) firstReady() int {
	a := j.array
	if a == nil {
		if j.one.status == engine.JobRunnable && !j.one.is(atFront) {
			return 0
		}
		return -1
	}
	if a.readyCount == 0 {
		return -1
	}
	for a.ready[a.readyFrom] == 0 {
		a.readyFrom++
	}
	return a.readyFrom*64 + bits.TrailingZeros64(a.ready[a.readyFrom])
}

// dispatch starts what fits. The queues take turns, each with its head.
func (m *Model) dispatch() {
	for blocked := 0; blocked < len(m.queues); m.turn = (m.turn + 1) % len(m.queues) {
		r, ok := m.queues[m.turn].head()
		if ok && m.place(r) {
			blocked = 0
		} else {
			blocked++
		}
	}
}

// place starts a child if it fits: RUNNABLE to STARTING.
func (m *Model) place(r ref) bool {
	j, c := r.job, r.job.kid(r.index)
	want := m.grant(j.req)
	if !m.used.plus(want).within(m.size) {
		switch { // what can never fit says so, at the head of its queue only
		case want.cpu > m.size.cpu:
			c.why = whyMaxVCPUs
		case !want.within(m.size):
			c.why = whyTooLarge
		}
		return false
	}
	m.used = m.used.plus(want)
	j.unready(r.index, c)
	m.set(j, c, engine.JobStarting)
	c.attempt++
	c.flags &^= hasExit
	c.why, c.started, c.stopped = whyNothing, 0, 0
	if c.more != nil {
		c.more.reason = ""
	}
	m.effect(Start, j, r.index, c)
	return true
}

// A timeout is when a try has run too long (job_timeouts).
type timeout struct {
	at int64
	ref
	attempt uint8
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
	return c.status == engine.JobRunning && c.attempt == t.attempt && !c.is(isOverdue|isTerminated)
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

// Wake returns when Tick has something to do though nothing happened: the next
// timeout. Zero: never.
func (m *Model) Wake() time.Time {
	for len(m.timeouts.all) > 0 {
		if t := m.timeouts.all[0]; t.pending() {
			return timeOf(t.at)
		}
		m.timeouts.pop()
		m.stale--
	}
	return time.Time{}
}
