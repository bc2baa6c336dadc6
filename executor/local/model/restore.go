package model

import (
	"encoding/json"
	"errors"
	"fmt"

	"flow/engine"
	"flow/executor"
)

// Decoders read what the model only keeps: Request.Payload, and the Detail of what is
// declared. Without one it is a json.RawMessage.
type Decoders struct {
	Payload, Environment, Queue, Policy, Consumable func(json.RawMessage) (any, error)
}

func (k kept) decode(by func(json.RawMessage) (any, error)) (any, error) {
	switch {
	case k.raw == nil:
		return k.value, nil
	case by == nil:
		return k.raw, nil
	default:
		return by(k.raw)
	}
}

var errSaved = errors.New("what was saved of Batch makes no sense")

// Restore returns a model that knows what was saved, and goes on as the one it was saved
// from would have. Capacity and Instance of cfg are those that were saved. What makes no
// sense, or does not decode, is an error.
func Restore(cfg Config, s *Saved, d Decoders) (*Model, error) {
	if s.Version != savedVersion {
		return nil, fmt.Errorf("what was saved of Batch has version %d, want %d", s.Version, savedVersion)
	}
	cfg.Capacity, cfg.Instance = s.Capacity, s.Instance
	r := &restorer{m: New(cfg), s: s, d: d}
	r.m.now, r.m.seq = s.Now, s.Seq
	for _, step := range []func() error{r.resources, r.queueing, r.jobbing, r.linking, r.ordering} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r.m, nil
}

type restorer struct {
	m      *Model
	s      *Saved
	d      Decoders
	queues []*queue
	jobs   []*job
}

func (r *restorer) resources() (err error) {
	m := r.m
	m.places = nil
	for _, name := range r.s.Places {
		m.addPlace(name)
	}
	if !m.cfg.Declared && len(m.places) != 1 {
		return errSaved
	}
	for i := range r.s.Environments {
		from := &r.s.Environments[i]
		e := m.addPlace(from.Name)
		e.set(from.Environment)
		r.life(&e.life, from.savedLife)
		e.fault = from.Fault
		if e.Detail, err = from.Detail.decode(r.d.Environment); err != nil {
			return fmt.Errorf("compute environment %s: %w", e.Name, err)
		}
		m.environments[e.Name] = e
	}
	for i := range r.s.Policies {
		p := r.s.Policies[i].Policy
		if p.Detail, err = r.s.Policies[i].Detail.decode(r.d.Policy); err != nil {
			return fmt.Errorf("scheduling policy %s: %w", p.Name, err)
		}
		m.policies[p.Name] = &p
	}
	for i := range r.s.Consumables {
		from := &r.s.Consumables[i]
		c := &consumable{Consumable: from.Consumable, created: from.Created, inUse: from.InUse, gone: from.Gone}
		if c.Detail, err = from.Detail.decode(r.d.Consumable); err != nil {
			return fmt.Errorf("consumable resource %s: %w", c.Name, err)
		}
		m.consumables[c.Name] = c
	}
	return nil
}

func (r *restorer) life(l *life, from savedLife) {
	*l = life{from.Health, from.Until, from.Created, from.Trouble}
	r.m.nextChange = earliest(r.m.nextChange, l.until)
}

func (r *restorer) queueing() (err error) {
	m := r.m
	for i := range r.s.Queues {
		from := &r.s.Queues[i]
		q := newQueue(from.Name)
		q.Queue, q.blocked = from.Queue, from.Blocked
		r.life(&q.life, from.savedLife)
		if q.Detail, err = from.Detail.decode(r.d.Queue); err != nil {
			return fmt.Errorf("job queue %s: %w", q.Name, err)
		}
		r.queues = append(r.queues, q)
		if from.Gone {
			continue
		}
		if err := r.attach(q, from); err != nil {
			return err
		}
		m.byQueue[q.Name] = q
		m.queues = append(m.queues, q)
	}
	m.retier()
	for i, name := range r.s.Turns {
		if i >= len(m.tiers) {
			return errSaved
		}
		for k, q := range m.tiers[i].queues {
			if q.Name == name {
				m.tiers[i].turn = k
			}
		}
	}
	return nil
}

// attach gives a queue its environments and its shares.
func (r *restorer) attach(q *queue, from *savedQueue) error {
	m := r.m
	for _, name := range q.Environments {
		e := m.environments[name]
		if e == nil {
			return errSaved
		}
		q.on, q.fargate = append(q.on, e), e.Fargate
	}
	if !m.cfg.Declared {
		q.on = append(q.on, m.places...)
	}
	if q.policy = m.policies[q.Policy]; len(q.on) == 0 || (q.policy == nil) != (q.Policy == "") {
		return errSaved
	}
	for _, l := range from.Shares {
		if q.policy == nil {
			return errSaved
		}
		s := q.addShare(l.Name)
		s.recent, s.at = l.Recent, l.At
	}
	return nil
}

func (r *restorer) jobbing() error {
	for i := range r.s.Jobs {
		from := &r.s.Jobs[i]
		if from.Queue < 0 || from.Queue >= len(r.queues) || r.m.jobs[from.ID] != nil {
			return errSaved
		}
		j, err := r.job(from)
		if err != nil {
			return fmt.Errorf("job %s: %w", from.ID, err)
		}
		r.m.jobs[j.id] = j
		r.jobs = append(r.jobs, j)
	}
	return nil
}

func (r *restorer) job(from *savedJob) (*job, error) {
	req := from.Request.Request
	if err := executor.CheckArraySize(req.ArraySize); err != nil {
		return nil, err
	}
	var err error
	if req.Payload, err = from.Request.Payload.decode(r.d.Payload); err != nil {
		return nil, err
	}
	j := &job{
		id: from.ID, req: &req, queue: r.queues[from.Queue], seq: from.Seq, created: from.Created,
		flags: from.Flags &^ (queued | forgotten), stop: from.Stop,
	}
	if req.ArraySize > 0 {
		j.array = &array{spawned: from.Spawned, summarized: from.Summarized, stopped: from.Stopped, told: from.Told}
		j.array.summary[engine.JobSubmitted] = req.ArraySize
	}
	if !j.is(submitted) {
		if err := r.kids(j, from.Kids); err != nil {
			return nil, err
		}
	}
	q := j.queue
	if q.policy != nil && q.byShare[req.ShareID] == nil && !j.is(ended) {
		return nil, errSaved
	}
	q.jobList.add(j)
	if j.is(vanished) {
		q.jobList.chunks[len(q.chunks)-1].mark(j.slot, engine.JobSubmitted, 0)
		r.m.vanished = append(r.m.vanished, j)
	} else {
		j.list(engine.JobSubmitted, j.status())
	}
	if !j.is(ended) {
		q.open++
		if q.policy != nil {
			q.byShare[req.ShareID].open++
		}
		r.count(j)
	}
	return j, nil
}

// kids restores the tasks of a job.
func (r *restorer) kids(j *job, from []savedKid) error {
	i, n := 0, j.req.size()
	if j.array != nil {
		j.spawned()
	}
	for k := range from {
		for range max(from[k].Count, 1) {
			if i == n || from[k].Status >= engine.NumJobStatuses || int(from[k].Place) >= len(r.m.places) || from[k].Place < 0 {
				return errSaved
			}
			c := j.kid(i)
			j.restoreKid(i, c, &from[k])
			if a := j.array; a != nil {
				a.summary[c.status]++
				if c.status == engine.JobRunnable && !c.is(atFront) {
					a.ready[i/64] |= 1 << (i % 64)
					a.readyCount++
				}
			}
			i++
		}
	}
	if i < n {
		return errSaved
	}
	return nil
}

func (j *job) restoreKid(i int, c *child, from *savedKid) {
	*c = child{
		status: engine.JobStatus(from.Status), why: from.Why, flags: from.Flags, attempt: from.Attempt, waiting: from.Waiting,
		exit: from.Exit, place: from.Place, started: from.Started, stopped: from.Stopped,
		memory: from.Memory, cpu: from.CPU,
	}
	if m := from.More; m != nil {
		c.more = &more{reason: m.Reason, statusReason: m.StatusReason, stop: m.Stop, containers: m.Containers}
		for k, a := range m.Attempts {
			log := j.logStream(i, k+1)
			c.more.attempts = append(c.more.attempts, engine.JobAttempt{
				Started: timeOf(a.Started), Stopped: timeOf(a.Stopped), ExitCode: a.ExitCode, Reason: a.Reason,
				StatusReason: a.StatusReason, LogStream: log, TaskID: taskID(log), Containers: a.Containers,
				Used: engine.UsedOf(a.Memory, a.CPU),
			})
		}
	}
}

// count restores what is counted of the tasks of a job that has not ended.
func (r *restorer) count(j *job) {
	if j.is(submitted) {
		return
	}
	m, q := r.m, j.queue
	want := j.req.want()
	for i := range j.req.size() {
		switch c := j.kid(i); {
		case c.status == engine.JobRunnable:
			q.of(j).ready++
		case c.live():
			m.active++
			m.used = m.used.plus(m.grant(want))
			m.places[c.place].used += want.cpu
			m.places[c.place].live++
			q.used += want.cpu
			if q.policy != nil {
				q.byShare[j.req.ShareID].used += want.cpu
			}
			m.watch(j, i, c)
		}
	}
	if j.nextReady(0) >= 0 {
		j.flags |= queued
		q.of(j).jobs.push(j)
	}
}

// linking ties the jobs that wait to those they wait for, in the order in which they
// were tied.
func (r *restorer) linking() error {
	for _, j := range r.jobs {
		if j.is(submitted) {
			r.m.fresh.push(j)
		}
		for _, d := range j.req.DependsOn {
			on := r.m.jobs[d.Job]
			switch {
			case j.is(ended) || d.Type == engine.DependSequential:
			case d.Type == engine.DependNToN && (on == nil && j.is(submitted) || on != nil && on.req.ArraySize != j.req.ArraySize):
				return errSaved
			case d.Type == engine.DependNToN && j.is(submitted):
				j.sub = append(j.sub, on)
				on.pins++
			case on == nil || on.is(ended):
			case d.Type == engine.DependNToN:
				on.array.each = append(on.array.each, j)
			default:
				on.whole = append(on.whole, j)
				j.waiting++
			}
		}
	}
	return nil
}

// ordering restores the orders that do not follow from the jobs themselves.
func (r *restorer) ordering() error {
	m := r.m
	for _, i := range r.s.Past {
		if i < 0 || i >= len(r.jobs) {
			return errSaved
		}
		m.past = append(m.past, r.jobs[i])
		m.kept += r.jobs[i].req.size()
	}
	for i, q := range r.queues {
		from := &r.s.Queues[i]
		if err := r.front(&q.line, from.Front); err != nil {
			return err
		}
		for k, s := range q.shares {
			if err := r.front(&s.line, from.Shares[k].Front); err != nil {
				return err
			}
		}
		if from.Stuck != nil {
			at, err := r.ref(from.Stuck.savedRef)
			if err != nil {
				return err
			}
			q.stuck = stuck{at, from.Stuck.Reason, from.Stuck.Since, from.Stuck.Was}
		}
	}
	return r.stops()
}

func (r *restorer) front(l *line, refs []savedRef) error {
	for _, at := range refs {
		front, err := r.ref(at)
		if err != nil {
			return err
		}
		l.front = append(l.front, front)
	}
	return nil
}

func (r *restorer) stops() error {
	for _, s := range r.s.Stops {
		at, err := r.ref(s)
		if err != nil {
			return err
		}
		e := Effect{Kind: Stop, Job: at.job.id, Index: at.job.outer(at.index), Attempt: s.Attempt, Request: at.job.req, Lost: s.Lost}
		if !s.Lost {
			e.Grace = r.m.cfg.Grace
		}
		r.m.effects = append(r.m.effects, e)
	}
	return nil
}

// ref finds a child of a job that has been looked at by the scheduler.
func (r *restorer) ref(s savedRef) (ref, error) {
	if s.Job < 0 || s.Job >= len(r.jobs) {
		return ref{}, errSaved
	}
	j := r.jobs[s.Job]
	if s.Index < 0 || s.Index >= j.req.size() || j.is(submitted) {
		return ref{}, errSaved
	}
	return ref{j, s.Index}, nil
}
