package model

import (
	"time"

	"flow/engine"
)

// maxSubmitted is how many jobs may be SUBMITTED (Batch User Guide, service_limits).
const maxSubmitted = 1_000_000

// Submit accepts a job under an id that nobody has used before, or refuses it with an
// executor.Refusal. The job is SUBMITTED until the next Tick, or for Config.Submitting.
func (m *Model) Submit(now time.Time, id engine.JobID, r *Request) error {
	m.clock(now)
	if err := m.Check(r); err != nil {
		return err
	}
	if _, index := id.Split(); id == "" || index >= 0 || m.jobs[id] != nil {
		return refuse("Job id %q is in use or is not an id", id)
	}
	m.seq++
	q := m.queue(r.Queue)
	j := &job{id: id, req: r, seq: m.seq, created: m.now, flags: submitted, queue: q}
	if r.ArraySize > 0 {
		j.array = &array{summarized: m.now}
		j.array.summary[engine.JobSubmitted] = r.ArraySize
	}
	m.depend(j)
	m.jobs[id] = j
	q.add(j)
	m.fresh.push(j)
	return nil
}

// Check returns the executor.Refusal that Submit would answer a request with, or nil.
func (m *Model) Check(r *Request) error {
	if err := r.check(m.cfg.Strict || m.cfg.Declared); err != nil {
		return err
	}
	for _, d := range r.DependsOn {
		if err := r.checkDependency(d, m.find(d.Job)); err != nil {
			return err
		}
	}
	if err := m.checkNeeds(r.Consumables); err != nil || !m.cfg.Declared {
		return err
	}
	if m.fresh.len() >= maxSubmitted {
		return refuse("No more than %d jobs can be in SUBMITTED state", maxSubmitted)
	}
	return m.checkQueue(r)
}

// checkQueue reports why a queue that was declared does not take a job.
func (m *Model) checkQueue(r *Request) error {
	q := m.byQueue[r.Queue]
	switch {
	case q == nil:
		return refuse("JobQueue %s not found.", r.Queue)
	case q.Disabled: // whatever is DELETING is that as well
		return refuse("Job Queue %s is DISABLED and accepts no jobs", r.Queue)
	case r.Fargate && !q.fargate:
		return refuse("%s FARGATE", wrongCapability)
	case !r.Fargate && q.fargate:
		return refuse("%s EC2", wrongCapability)
	}
	return q.checkShare(r)
}

const wrongCapability = "Job Queue is attached to Compute Environment that can not run Jobs with capability"

// A fifo gives its elements in the order in which they came.
type fifo[T any] struct {
	all  []T
	from int
}

func (f *fifo[T]) len() int { return len(f.all) - f.from }
func (f *fifo[T]) push(x T) { f.all = append(f.all, x) }

func (f *fifo[T]) first() T { return f.all[f.from] }

func (f *fifo[T]) pop() T {
	var none T
	x := f.all[f.from]
	f.all[f.from] = none // lets go of what it pointed to
	f.from++
	switch {
	case f.from == len(f.all):
		f.all, f.from = f.all[:0], 0
	case f.from > 1024 && f.from > len(f.all)/2:
		n := copy(f.all, f.all[f.from:])
		clear(f.all[n:])
		f.all, f.from = f.all[:n], 0
	}
	return x
}
