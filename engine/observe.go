package engine

import (
	"context"
	"errors"
	"time"
)

// seen is what the driver last saw of a job, to look again only at what changed.
type seen struct {
	summary   counts
	status    JobStatus
	mine      bool      // this driver has seen it accepted
	known     bool      // the executor has described it
	listed    bool      // nothing of its children is left to be listed
	good, bad int32     // children SUCCEEDED and FAILED that were listed
	goodAt    time.Time // when those were
	looked    time.Time
	missing   time.Time // not shown since; zero: it is
	starting  time.Time // since when its first child, or it, was seen STARTING; zero: not
	upstream  int32     // children that had ended then of the jobs it waits for child by child
}

// observe records what the jobs of the run did since the last look, and what other
// processes want.
func (d *Driver) observe(ctx context.Context) error {
	var events []Event
	if err := d.requests(ctx, &events); err != nil {
		return err
	}
	now := d.Clock.Now()
	if d.far && now.Before(d.pace.next) {
		return d.commit(ctx, events)
	}
	err := d.look(ctx, now, &events)
	return errors.Join(err, d.commit(ctx, events))
}

// look adds to events what the jobs of the run did since the last look.
func (d *Driver) look(ctx context.Context, now time.Time, events *[]Event) error {
	var ids []JobID
	var jobs []*jobState
	for _, j := range d.run.liveJobs() {
		if j.state == jobAccepted && !d.idle(j, now) {
			ids = append(ids, j.id)
			jobs = append(jobs, j)
		}
	}
	defer d.looked()
	if len(ids) == 0 {
		return nil
	}
	found, err := d.Executor.Describe(ctx, ids)
	if err := d.noted(ctx, opDescribe, err); err != nil {
		return err
	}
	if err != nil {
		return nil // no news; asked again
	}
	byID := make(map[JobID]*Job, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	before, counted := d.run.seq, false
	var missing []*jobState
	for _, j := range jobs {
		if byID[j.id] == nil {
			missing = append(missing, j)
		}
		changed, err := d.observeJob(ctx, j, byID[j.id], events)
		if err != nil {
			return err
		}
		counted = counted || changed
		if err := d.commitMany(ctx, events); err != nil {
			return err
		}
	}
	d.tellMissing(missing, now)
	d.pace.news = d.pace.news || counted || d.run.seq != before
	if counted && d.run.seq == before && d.OnCounts != nil {
		d.OnCounts(d.run)
	}
	return nil
}

// tasksAtOnce is from how many tasks on events are made durable before more are gathered:
// when a hundred arrays end at the same time, they need not all be in memory.
const tasksAtOnce = 2 * MaxArraySize

// commitMany makes events durable if they tell of many tasks, and empties them.
func (d *Driver) commitMany(ctx context.Context, events *[]Event) error {
	tasks := 0
	for i := range *events {
		tasks += (*events)[i].Tasks.Len()
	}
	if tasks < tasksAtOnce {
		return nil
	}
	err := d.commit(ctx, *events)
	*events = nil
	return err
}

// idle reports whether a job that is far away need not be looked at now: what it waits for
// as a whole is not over, or none of what it waits for child by child has ended since.
func (d *Driver) idle(j *jobState, now time.Time) bool {
	was := d.seen[j.n]
	if !d.far || j.stray || d.run.cancel != nil || !was.known || now.Sub(was.looked) >= d.pollMax() {
		return false
	}
	whole, children := false, false
	for _, dep := range j.plan.DependsOn {
		if dep.Job > 0 && d.run.jobs[dep.Job-1].state != jobOver {
			children = children || dep.Type == DependNToN
			whole = whole || dep.Type != DependNToN
		}
	}
	return whole || children && d.upstream(j) == was.upstream
}

// upstream counts the children that have ended of the jobs that j waits for child by child.
func (d *Driver) upstream(j *jobState) (ended int32) {
	for _, dep := range j.plan.DependsOn {
		if dep.Type == DependNToN {
			if on := d.run.jobs[dep.Job-1]; on.state == jobOver {
				ended += int32(on.tasks.Len())
			} else {
				c := d.seen[dep.Job].summary
				ended += c[JobSucceeded] + c[JobFailed]
			}
		}
	}
	return ended
}

// observeJob adds to events what a job did. It reports whether what is shown of the job
// has changed.
func (d *Driver) observeJob(ctx context.Context, j *jobState, job *Job, events *[]Event) (changed bool, err error) {
	now := d.Clock.Now()
	is := d.seen[j.n]
	if job == nil {
		return false, d.unknown(ctx, j, now, events)
	}
	summary := countsOf(job.Summary)
	changed = !is.known || is.status != job.Status || is.summary != summary
	is.summary, is.status, is.known, is.looked, is.upstream = summary, job.Status, true, now, d.upstream(j)
	if !job.Status.Ended() || j.open == 0 {
		is.missing = time.Time{}
	}
	if err := d.observeStart(j, job, &is, now, events); err != nil {
		return changed, err
	}
	if d.far && j.tasks.Len() > 1 {
		j.shown = summary
		j.burn(job.Summary[JobRunning], now)
	} else if d.far {
		j.burn(running(job), now)
	}
	defer func() {
		if j.state == jobOver {
			delete(d.seen, j.n)
		} else {
			d.seen[j.n] = is
		}
	}()
	switch {
	case j.stray && !job.Status.Ended():
		return changed, nil
	case j.stray:
		return changed, d.apply(events, Event{Kind: JobEnded, Job: j.n, Reason: job.StatusReason})
	case !changed && is.listed && !job.Status.Ended():
		return false, nil
	case j.tasks.Len() == 1:
		is.listed = true
		err = d.observePlain(ctx, j, job, events)
	default:
		err = d.observeArray(ctx, j, job, &is, events)
	}
	if err == nil && job.Status.Ended() && j.open == 0 {
		err = d.apply(events, Event{Kind: JobEnded, Job: j.n, Reason: job.StatusReason})
	}
	return changed, err
}

// startSeen is how long a job near by must have been STARTING to be told of: most are for
// a moment only, and each event costs a transaction.
const startSeen = time.Second

// observeStart adds to events that a job, or the first of its children, is STARTING, once
// for each job: where nothing of it has run yet, and it takes a while.
func (d *Driver) observeStart(j *jobState, job *Job, is *seen, now time.Time, events *[]Event) error {
	if j.starting != 0 || j.stray || !starts(job) {
		return nil
	}
	if is.starting.IsZero() {
		is.starting = now
	}
	if due := is.starting.Add(startSeen); !d.far && now.Before(due) {
		d.wakeAt(due)
		return nil
	}
	return d.apply(events, Event{Kind: JobStarts, Job: j.n, Started: Times{ms(is.starting)}})
}

// starts reports whether a plain job is STARTING, or children of an array are and none has
// got further.
func starts(job *Job) bool {
	n := &job.Summary
	return job.Status == JobStarting || n[JobStarting] > 0 && n[JobRunning]+n[JobSucceeded]+n[JobFailed] == 0
}

// running counts the tasks of a plain job that run.
func running(job *Job) int {
	if job.Status == JobRunning {
		return 1
	}
	return 0
}

func (d *Driver) observePlain(ctx context.Context, j *jobState, job *Job, events *[]Event) error {
	i := j.tasks[0].From
	switch {
	case job.Status.Ended():
		g := gathered{d: d, j: j}
		if err := g.add(ctx, i, job); err != nil {
			return err
		}
		return d.apply(events, g.events...)
	case job.Status == JobRunning && j.step.task[i] != Running:
		return d.apply(events, Event{Kind: TasksRunning, Step: j.step.Name, Job: j.n, Tasks: j.tasks})
	}
	return nil
}
