package model

import (
	"slices"
	"time"

	"flow/engine"
)

// ended keeps the order in which jobs ended.
func (m *Model) ended(j *job) {
	m.past = append(m.past, j)
	m.kept += j.req.size()
	q := j.queue
	if q.policy != nil {
		q.byShare[j.req.ShareID].open--
	}
	if q.open--; q.health == Deleting && q.until == 0 {
		m.removeQueue(q)
	}
}

// forget drops the jobs that ended longer ago than Config.Retention, or before the
// last Config.KeepEnded tasks; asked for, they are unknown from then on, as with Batch
// (job_states: "at least 7 days").
func (m *Model) forget() {
	for len(m.past) > 0 {
		j := m.past[0]
		if !j.is(forgotten) {
			if j.pins > 0 || !m.old(j) {
				break
			}
			m.drop(j)
		}
		m.past[0] = nil
		m.past = m.past[1:]
		m.pastGone--
	}
	if len(m.vanished) > 0 {
		m.vanished = slices.DeleteFunc(m.vanished, func(j *job) bool {
			if j.is(ended) && j.pins == 0 && !j.is(forgotten) {
				m.drop(j)
			}
			return j.is(forgotten)
		})
	}
	if m.pastGone > 64 && m.pastGone > len(m.past)/2 {
		m.past = slices.DeleteFunc(slices.Clone(m.past), func(j *job) bool { return j.is(forgotten) })
		m.pastGone = 0
	}
}

// old reports whether an ended job need not be known any more.
func (m *Model) old(j *job) bool {
	if keep := m.cfg.Retention.Milliseconds(); keep > 0 && j.stoppedAt()+keep <= m.now {
		return true
	}
	return m.cfg.KeepEnded > 0 && m.kept > m.cfg.KeepEnded && len(m.past)-m.pastGone > 1
}

// nextForget returns when the job that ended first will have been known for
// Config.Retention; 0: never, or it is kept for what is to wait for it.
func (m *Model) nextForget() int64 {
	keep := m.cfg.Retention.Milliseconds()
	if keep == 0 || len(m.past) == 0 || m.past[0].pins > 0 {
		return 0
	}
	return m.past[0].stoppedAt() + keep
}

// Retain changes Config.Retention and Config.KeepEnded from now on.
func (m *Model) Retain(now time.Time, retention time.Duration, keepEnded int) {
	m.begin(now)
	m.cfg.Retention, m.cfg.KeepEnded = retention, keepEnded
}

// Retains returns Config.Retention and Config.KeepEnded as they are now.
func (m *Model) Retains() (retention time.Duration, keepEnded int) {
	return m.cfg.Retention, m.cfg.KeepEnded
}

func (j *job) stoppedAt() int64 {
	if j.array != nil {
		return j.array.stopped
	}
	return j.one.stopped
}

// drop lets an ended job go. It stays in past until its turn comes there.
func (m *Model) drop(j *job) {
	j.flags |= forgotten
	m.pastGone++
	m.kept -= j.req.size()
	delete(m.jobs, j.id)
	if !j.is(vanished) {
		j.hide()
	}
	j.queue.drop(j)
	if m.cfg.Forgotten != nil {
		m.cfg.Forgotten(j.req, j.tasks)
	}
}

// tasks yields the ids of the ECS tasks of all tries.
func (j *job) tasks(yield func(string) bool) {
	for i := range j.req.size() {
		for attempt := range int(j.kid(i).attempt) {
			if !yield(taskID(j.logStream(i, attempt+1))) {
				return
			}
		}
	}
}

// Forget lets a plain job or an array job vanish: it is unknown from now on, as if it
// had aged out. What of it has not ended is terminated, and what waits for it fails. It
// is false, and nothing changes, if there is no such job.
func (m *Model) Forget(now time.Time, id engine.JobID) bool {
	m.begin(now)
	j := m.find(id)
	if j == nil {
		return false
	}
	if !j.is(ended) {
		m.stopAll(j, "Job vanished", terminated, m.terminate)
		m.settle()
	}
	j.hide()
	j.flags |= vanished
	m.vanished = append(m.vanished, j)
	return true
}
