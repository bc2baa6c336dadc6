package model

import "flow/engine"

// depend ties a new job to the jobs it waits for as a whole. What it waits for child
// by child is looked up when it is spawned.
func (m *Model) depend(j *job) {
	for _, d := range j.req.DependsOn {
		on := m.find(d.Job)
		switch {
		case d.Type == engine.DependSequential:
		case d.Type == engine.DependNToN:
			j.sub = append(j.sub, on)
			on.pins++
		case !on.is(ended):
			on.whole = append(on.whole, j)
			j.waiting++
		case on.status() == engine.JobFailed:
			j.flags |= doomed
		}
	}
}

// evaluate is the scheduler's first look at jobs: SUBMITTED to PENDING, or to RUNNABLE
// where nothing is waited for.
func (m *Model) evaluate() {
	wait := m.cfg.Submitting.Milliseconds()
	for m.fresh.len() > 0 && m.fresh.first().created+wait <= m.now {
		m.spawn(m.fresh.pop())
		m.settle()
	}
}

// spawn makes the children of an array job; they are born PENDING (JobDetail.createdAt).
func (m *Model) spawn(j *job) {
	j.flags &^= submitted
	j.list(engine.JobSubmitted, engine.JobPending)
	n := j.req.size()
	if a := j.array; a != nil {
		j.spawned()
		a.spawned, a.summarized = m.now, m.now
		a.summary[engine.JobPending] = n
	}
	sequential := j.req.sequential()
	for i := range n {
		c := j.kid(i)
		c.status = engine.JobPending
		if sequential && i > 0 {
			c.waiting++
		}
	}
	for _, on := range j.sub {
		on.pins--
		if !on.is(ended) {
			on.array.each = append(on.array.each, j)
		}
		for i := range n {
			switch on.kid(i).status {
			case engine.JobSucceeded:
			case engine.JobFailed:
				m.dependencyFailed(j, i, j.kid(i))
			default:
				j.kid(i).waiting++
			}
		}
	}
	j.sub = nil
	m.stopSpawned(j)
	if j.is(doomed) {
		m.failAll(j)
	} else if j.waiting == 0 {
		m.releaseAll(j)
	}
}

// spawned makes room for the children of an array job.
func (j *job) spawned() {
	a, n := j.array, j.req.size()
	a.kids = make([]child, n)
	a.ready = make([]uint64, (n+63)/64)
	a.summary[engine.JobSubmitted] = 0
}

// stopSpawned ends a job that was terminated or cancelled while it was SUBMITTED.
func (m *Model) stopSpawned(j *job) {
	for i := range j.req.size() {
		switch c := j.kid(i); {
		case !j.is(terminated | cancelled):
			return
		case c.status.Ended():
		case j.is(terminated):
			c.flags |= isTerminated
			m.end(j, i, c, engine.JobFailed, whyStop)
		default:
			c.flags |= isCancelled
		}
	}
}

// end gives a child its final status. What depends on it is told by settle.
func (m *Model) end(j *job, i int, c *child, s engine.JobStatus, w why) {
	if c.status == engine.JobRunnable {
		j.unready(i, c)
	}
	m.set(j, c, s)
	m.giveBack(j, c)
	c.why = w
	c.stopped = m.now
	m.settling = append(m.settling, ref{j, i})
}

// settle tells of ended children to what depends on them, and of the ends that follow
// from that, however long the chain.
func (m *Model) settle() {
	for k := 0; k < len(m.settling); k++ {
		m.tell(m.settling[k])
		m.settling[k] = ref{}
	}
	m.settling = m.settling[:0]
}

// tell passes on that a child has ended, to what waits for it alone and, with the last
// child, to what waits for its whole job.
func (m *Model) tell(r ref) {
	j := r.job
	ok := j.kid(r.index).status == engine.JobSucceeded
	if a := j.array; a != nil {
		if next := r.index + 1; next < len(a.kids) && j.req.sequential() {
			m.tellChild(j, next, ok)
		}
		for _, d := range a.each {
			m.tellChild(d, r.index, ok)
		}
		if a.told++; a.told < len(a.kids) {
			return // FAILED only when all children have ended (array_jobs)
		}
		ok = a.summary[engine.JobFailed] == 0
		a.stopped = m.now
		a.each = nil
	}
	j.flags |= ended
	if j.array != nil {
		j.list(engine.JobPending, j.status())
	}
	m.ended(j)
	for _, d := range j.whole {
		d.waiting--
		switch {
		case d.is(ended): // by something else
		case !ok && !d.is(doomed):
			d.flags |= doomed
			if !d.is(submitted) {
				m.failAll(d)
			}
		case ok && d.waiting == 0 && !d.is(submitted):
			m.releaseAll(d)
		}
	}
	j.whole = nil
}

// tellChild passes the end of one of its dependencies on to child i of an array.
func (m *Model) tellChild(j *job, i int, ok bool) {
	c := j.kid(i)
	switch {
	case c.status.Ended():
	case !ok:
		m.dependencyFailed(j, i, c)
	default:
		c.waiting--
		m.release(j, i, c)
	}
}

// dependencyFailed ends a child that waits in vain: PENDING to FAILED (job_dependencies).
func (m *Model) dependencyFailed(j *job, i int, c *child) {
	if c.status.Ended() {
		return
	}
	w := whyDependency
	if c.is(isCancelled) {
		w = whyStop
	}
	m.end(j, i, c, engine.JobFailed, w)
}

func (m *Model) failAll(j *job) {
	for i := range j.req.size() {
		m.dependencyFailed(j, i, j.kid(i))
	}
}

func (m *Model) releaseAll(j *job) {
	for i := range j.req.size() {
		m.release(j, i, j.kid(i))
	}
}

// release moves a child on from PENDING once it waits for nothing any more.
func (m *Model) release(j *job, i int, c *child) {
	switch {
	case c.status != engine.JobPending || c.waiting > 0 || j.waiting > 0:
	case c.is(isCancelled): // cancelled while PENDING: now its dependencies have ended
		m.end(j, i, c, engine.JobFailed, whyStop)
	default:
		m.enqueue(j, i, c, false)
	}
}
