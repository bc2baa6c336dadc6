package model

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"flow/engine"
)

// A queue is a job queue: its jobs, and those of them that wait for a place. Whatever
// is at its head blocks the rest until it fits (job_scheduling, job_stuck_in_runnable).
type queue struct {
	Queue
	life
	jobList
	on      []*environment // in order
	fargate bool           // what they are

	policy  *Policy           // nil: FIFO
	line    line              // unless there is a policy
	shares  []*share          // else; in order of their first use
	byShare map[string]*share // by share identifier
	pooled  []*pooled         // what needs pools, unless there is a policy; in order of their first use

	open    int    // jobs that have not ended
	used    int64  // thousandths of vCPUs
	blocked string // see Block
	stuck   stuck
}

// stuck is what a queue's head waits for, if that is more than its turn.
type stuck struct {
	ref
	reason string
	since  int64
	was    why // what its reason was before
}

// A tier is the queues of one priority. They take turns.
type tier struct {
	priority int
	queues   []*queue
	turn     int // the queue that is next to start a job
}

const (
	maxQueues            = 50 // Batch User Guide, service_limits
	maxQueueEnvironments = 3
)

func (q *queue) add(j *job) {
	q.jobList.add(j)
	q.open++
	if q.policy != nil {
		q.share(j.req.ShareID, j.created).open++
	}
}

// queue returns the queue of a name. Unless queues are declared, it is there when it is
// named.
func (m *Model) queue(name string) *queue {
	q := m.byQueue[name]
	if q == nil {
		q = m.addQueue(name)
		q.health = Valid
		q.on = slices.Clone(m.places)
		m.retier()
	}
	return q
}

func newQueue(name string) *queue {
	q := &queue{line: newLine(older), byShare: map[string]*share{}}
	q.Name = name
	return q
}

func (m *Model) addQueue(name string) *queue {
	q := newQueue(name)
	q.created = m.now
	m.byQueue[name] = q
	m.queues = append(m.queues, q)
	return q
}

// retier puts the queues in order of priority, and keeps whose turn it is.
func (m *Model) retier() {
	next := map[*queue]bool{}
	for _, t := range m.tiers {
		next[t.queues[t.turn]] = true
	}
	byPriority := slices.Clone(m.queues)
	slices.SortStableFunc(byPriority, func(a, b *queue) int { return cmp.Compare(b.Priority, a.Priority) })
	m.tiers = m.tiers[:0]
	for _, q := range byPriority {
		if n := len(m.tiers); n == 0 || m.tiers[n-1].priority != q.Priority {
			m.tiers = append(m.tiers, &tier{priority: q.Priority})
		}
		t := m.tiers[len(m.tiers)-1]
		if next[q] {
			t.turn = len(t.queues)
		}
		t.queues = append(t.queues, q)
	}
}

// CreateQueue creates a job queue. It is CREATING for Config.Settle and then VALID; it
// takes jobs at once, and starts them when it is VALID.
func (m *Model) CreateQueue(now time.Time, q Queue) error {
	m.begin(now)
	switch {
	case !m.cfg.Declared:
		return errUndeclared
	case !goodName(q.Name):
		return refuse("Job Queue name should match a valid pattern.")
	case m.byQueue[q.Name] != nil:
		return refuse(objectExists)
	case len(m.queues) >= maxQueues:
		return refuse("Cannot have more than %d job queues", maxQueues)
	}
	on, err := m.checkDeclared(&q, nil)
	if err != nil {
		return err
	}
	made := m.addQueue(q.Name)
	m.declare(made, q, on)
	m.change(&made.life, Creating)
	return nil
}

// declare gives a queue the fields it was created or updated with.
func (m *Model) declare(q *queue, to Queue, on []*environment) {
	q.Queue, q.on, q.fargate = to, on, on[0].Fargate
	if p := m.policies[to.Policy]; p != nil {
		q.adopt(p, m.now)
	}
	m.retier()
}

// checkDeclared reports what is wrong with a queue, and finds its environments. Those
// that it had before need not be VALID now.
func (m *Model) checkDeclared(q *Queue, before []*environment) ([]*environment, error) {
	var on []*environment
	if n := len(q.Environments); n < 1 || n > maxQueueEnvironments {
		return nil, refuse("A job queue needs 1 to %d compute environments, got %d", maxQueueEnvironments, n)
	}
	for _, name := range q.Environments {
		e := m.environments[name]
		switch {
		case e == nil || e.health != Valid && !slices.Contains(before, e):
			return nil, refuse("Compute Environments must be created and valid before attaching them to a job queue")
		case slices.Contains(on, e):
			return nil, refuse("Compute environment %s is named twice", name)
		case len(on) > 0 && e.Fargate != on[0].Fargate:
			return nil, refuse("Fargate and EC2 compute environments can not be mixed.")
		}
		on = append(on, e)
	}
	switch {
	case q.Priority < 0:
		return nil, refuse("Priority must not be negative, got %d", q.Priority)
	case q.Policy != "" && m.policies[q.Policy] == nil:
		return nil, refuse("SchedulingPolicy %s not found.", q.Policy)
	}
	return on, checkLimits(q.Limits)
}

// UpdateQueue replaces all fields of a job queue. It is UPDATING for Config.Settle, and
// works meanwhile.
func (m *Model) UpdateQueue(now time.Time, q Queue) error {
	m.begin(now)
	old := m.byQueue[q.Name]
	switch {
	case !m.cfg.Declared:
		return errUndeclared
	case old == nil:
		return refuse("job-queue/%s does not exist", q.Name)
	case !old.settled():
		return refuse(beingUpdated)
	case (old.Policy == "") != (q.Policy == ""):
		return refuse("Scheduling policy of a job queue can be replaced, but not added or removed")
	}
	on, err := m.checkDeclared(&q, old.on)
	if err != nil {
		return err
	}
	m.declare(old, q, on)
	m.change(&old.life, Updating)
	return nil
}

// reasonQueueDeleted is the statusReason of the jobs of a deleted queue (seen).
const reasonQueueDeleted = "JobQueue deleted"

// DeleteQueue deletes a job queue that is DISABLED, and terminates its jobs (Batch API,
// DeleteJobQueue). It is DELETING for Config.Settle, and until the last of them has
// ended.
func (m *Model) DeleteQueue(now time.Time, name string) error {
	m.begin(now)
	q := m.byQueue[name]
	switch {
	case !m.cfg.Declared:
		return errUndeclared
	case q == nil:
		return refuse("job-queue/%s does not exist", name)
	case !q.settled():
		return refuse(beingDeleted)
	case !q.Disabled:
		return refuse("Cannot delete, job queue %s must be DISABLED", name)
	}
	for s := range engine.JobSucceeded {
		q.each(s, func(j *job) { m.stopAll(j, reasonQueueDeleted, terminated, m.terminate) })
	}
	m.settle()
	m.change(&q.life, Deleting)
	return nil
}

// removeQueue removes a queue that is DELETING as soon as its jobs have ended. They are
// still known by their ids.
func (m *Model) removeQueue(q *queue) {
	if q.open > 0 {
		return
	}
	q.Detail = nil
	delete(m.byQueue, q.Name)
	m.queues = slices.DeleteFunc(m.queues, func(o *queue) bool { return o == q })
	m.retier()
}

// JobQueue returns a job queue by its name.
func (m *Model) JobQueue(name string) (Queue, Life, bool) {
	q := m.byQueue[name]
	if q == nil {
		return Queue{}, Life{}, false
	}
	return q.Queue, q.view("JobQueue Healthy"), true
}

// JobQueues yields the job queues, by name.
func (m *Model) JobQueues() iter.Seq2[Queue, Life] {
	return func(yield func(Queue, Life) bool) {
		for _, name := range slices.Sorted(maps.Keys(m.byQueue)) {
			if q, life, ok := m.JobQueue(name); ok && !yield(q, life) {
				return
			}
		}
	}
}

// Block keeps a queue from starting jobs for as long as reason is not ""; the job at its
// head has it as its statusReason, as on AWS when there is no capacity.
func (m *Model) Block(now time.Time, queue, reason string) error {
	m.begin(now)
	if m.cfg.Declared && m.byQueue[queue] == nil {
		return refuse("job-queue/%s does not exist", queue)
	}
	m.queue(queue).blocked = reason
	return nil
}
