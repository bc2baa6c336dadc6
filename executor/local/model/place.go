package model

import (
	"strings"
	"time"

	"flow/engine"
)

// dispatch starts what fits: queues of higher priority first, those of the same in
// turns, each with its head.
func (m *Model) dispatch() {
	for _, t := range m.tiers {
		for _, q := range t.queues {
			q.reopen()
		}
		for blocked := 0; blocked < len(t.queues); t.turn = (t.turn + 1) % len(t.queues) {
			if m.startHead(t.queues[t.turn]) {
				blocked = 0
			} else {
				blocked++
			}
		}
	}
}

// startHead starts the head of a queue if there is one and it fits.
func (m *Model) startHead(q *queue) bool {
	line, pooled := q.next(m.now)
	if line == nil {
		m.unstick(q)
		return false
	}
	r, ok := line.head()
	if !ok {
		m.unstick(q)
		return false
	}
	e, reason := m.choose(q, r)
	if e == nil {
		m.stick(q, r, reason)
		return false
	}
	m.unstick(q)
	if why := r.job.req.Undispatchable; why != "" {
		m.refuseStart(r, why)
		return true
	}
	switch m.ask(r.job) {
	case NoRoom:
		return false
	case NoPool:
		if pooled == nil { // its queue has a policy: it waits as for a consumable resource
			return false
		}
		pooled.shut = true
		return m.startHead(q)
	}
	m.place(r, e)
	return true
}

// refuseStart ends a child that cannot be started at all: RUNNABLE to FAILED.
func (m *Model) refuseStart(r ref, reason string) {
	c := r.job.kid(r.index)
	c.details().statusReason = reason
	m.end(r.job, r.index, c, engine.JobFailed, whyOther)
	m.settle()
}

// choose returns where the head of a queue is to run now, or why it is to run nowhere
// as long as nothing but the jobs before it ends; "": it waits for those.
func (m *Model) choose(q *queue, r ref) (e *environment, reason string) {
	req, want := r.job.req, r.job.req.want()
	switch {
	case q.blocked != "":
		return nil, q.blocked
	case !m.cfg.Declared:
		e, reason = m.chooseOnly(q, want)
	case q.works():
		e, reason = q.choose(req, want)
	}
	switch {
	case e == nil:
	case m.cfg.Declared && (q.reserved(want.cpu) || !m.used.plus(m.grant(want)).within(m.size)):
		e = nil
	case len(req.Consumables) > 0 && !r.job.kid(r.index).is(holds) && !m.available(req.Consumables):
		e = nil // no document gives it a reason of its own
	}
	return e, reason
}

// chooseOnly is choose where there is but one environment, as large as the machine.
func (m *Model) chooseOnly(q *queue, want amount) (*environment, string) {
	want = m.grant(want)
	switch {
	case m.used.plus(want).within(m.size):
		return q.on[0], ""
	case want.cpu > m.size.cpu:
		return nil, ReasonMaxVCPUs
	case !want.within(m.size):
		return nil, ReasonTooLarge
	}
	return nil, ""
}

// choose returns the first environment of a queue, in order, that has room, or why none
// will ever have. What is DISABLED or INVALID does not count for that.
func (q *queue) choose(r *Request, want amount) (*environment, string) {
	var disabled, invalid, busy, small int
	for _, e := range q.on {
		switch {
		case e.Disabled:
			disabled++
		case e.fault != "":
			invalid++
		case e.Fargate != r.Fargate:
			small++
		case want.cpu > e.max:
		case !want.within(e.most):
			small++
		case e.used+want.cpu > e.max:
			busy++
		default:
			return e, ""
		}
	}
	switch {
	case invalid > 0 && invalid+disabled == len(q.on):
		return nil, ReasonInvalid
	case busy > 0 || disabled == len(q.on):
		return nil, ""
	case small > 0:
		return nil, ReasonTooLarge
	}
	return nil, ReasonMaxVCPUs
}

// place starts a child: RUNNABLE to STARTING.
func (m *Model) place(r ref, e *environment) {
	j, c, q := r.job, r.job.kid(r.index), r.job.queue
	want := j.req.want()
	m.used = m.used.plus(m.grant(want))
	e.used += want.cpu
	e.live++
	q.take(j, m.now, want.cpu)
	m.take(j, c)
	if c.is(atFront) {
		q.of(j).popFront(r)
	}
	j.unready(r.index, c)
	m.set(j, c, engine.JobStarting)
	c.attempt++
	c.place = e.number
	c.flags &^= hasExit | isLost
	c.why, c.started, c.stopped = whyNothing, 0, 0
	if c.more != nil {
		c.more.reason, c.more.containers = "", nil
	}
	m.effect(Start, j, r.index, c)
}

// take changes what the jobs of a queue have in use.
func (q *queue) take(j *job, now, cpu int64) {
	q.used += cpu
	if q.policy != nil {
		q.use(q.byShare[j.req.ShareID], now, cpu)
	}
}

// unplace gives back what a try took.
func (m *Model) unplace(j *job, c *child) {
	want := j.req.want()
	m.used = m.used.minus(m.grant(want))
	if m.cfg.Room != nil {
		m.cfg.Room.Give(m.use(j))
	}
	e := m.places[c.place]
	e.used -= want.cpu
	j.queue.take(j, m.now, -want.cpu)
	if e.live--; e.health == Deleting && e.until == 0 {
		m.removeEnvironment(e)
	}
}

// stick notes what the head of a queue waits for: its statusReason, which jobs behind
// it do not have (job_stuck_in_runnable).
func (m *Model) stick(q *queue, r ref, reason string) {
	if q.stuck.ref == r && q.stuck.reason == reason {
		return
	}
	m.unstick(q)
	if reason != "" {
		c := r.job.kid(r.index)
		q.stuck = stuck{ref: r, reason: reason, since: m.now, was: c.why}
		c.why = whyBlocked
	}
}

// unstick takes the note away again.
func (m *Model) unstick(q *queue) {
	if q.stuck.job == nil {
		return
	}
	if c := q.stuck.job.kid(q.stuck.index); c.status == engine.JobRunnable && c.why == whyBlocked {
		c.why = q.stuck.was
	}
	q.stuck = stuck{}
}

// checkLimits reports what is wrong with jobStateTimeLimitActions (Batch API,
// JobStateTimeLimitAction).
func checkLimits(limits []StateLimit) error {
	seen := map[string]bool{}
	for _, l := range limits {
		switch l.Reason {
		case "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
			"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED":
		default:
			return refuse("Invalid job reason %q", l.Reason)
		}
		if seen[l.Reason] {
			return refuse("Duplicate job state limit actions are not allowed.")
		}
		if l.After < 10*time.Minute || l.After > 24*time.Hour {
			return refuse("maxTimeSeconds should be between 600 and 86400, got %.0f", l.After.Seconds())
		}
		seen[l.Reason] = true
	}
	return nil
}

// expiry returns when the head of a queue has been stuck for too long, and for which
// code; 0: never.
func (q *queue) expiry() (at int64, code string) {
	if q.stuck.job == nil {
		return 0, ""
	}
	for _, l := range q.Limits {
		if strings.HasPrefix(q.stuck.reason, l.Reason) {
			return q.stuck.since + l.After.Milliseconds(), l.Reason
		}
	}
	return 0, ""
}

// expire cancels the heads that have been stuck for too long (Batch User Guide,
// job_stuck_in_runnable_time_limit_actions). The time runs from when the job has been at
// the head with that reason. It reports whether there were any.
func (m *Model) expire() bool {
	some := false
	for _, q := range m.queues {
		at, code := q.expiry()
		if at == 0 || at > m.now {
			continue
		}
		some = true
		j, i := q.stuck.job, q.stuck.index
		m.cancel(j, i, j.kid(i), "Canceled by JobStateTimeLimit action due to reason: "+code)
	}
	m.settle()
	return some
}

func (m *Model) nextExpiry() int64 {
	next := int64(0)
	for _, q := range m.queues {
		at, _ := q.expiry()
		next = earliest(next, at)
	}
	return next
}
