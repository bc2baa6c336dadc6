package engine

import (
	"context"
	"slices"
	"strings"
	"time"
)

// observeArray adds to events what the children of an array job did, as far as that is to
// be known now, and notes in is what was listed.
func (d *Driver) observeArray(ctx context.Context, j *jobState, job *Job, is *seen, events *[]Event) error {
	is.listed = true
	g := gathered{d: d, j: j}
	now := d.Clock.Now()
	for _, status := range []JobStatus{JobSucceeded, JobFailed} {
		if !d.wanted(j, job, is, status, now) {
			continue
		}
		n, err := d.listEnded(ctx, &g, status)
		if err := d.noted(ctx, opList, err); err != nil {
			return err
		}
		switch {
		case err != nil:
			is.listed = false
		case status == JobSucceeded:
			is.good, is.goodAt = n, now
		default:
			is.bad = n
		}
	}
	// A listing may be older than the summary, or left for later.
	is.listed = is.listed && is.good >= is.summary[JobSucceeded] && is.bad >= is.summary[JobFailed]
	if err := d.apply(events, g.events...); err != nil {
		return err
	}
	if job.Status.Ended() && j.open > 0 && is.bad >= is.summary[JobFailed] && is.good >= is.summary[JobSucceeded] {
		return d.rest(ctx, j, job, is, now, events)
	}
	if d.far || job.Summary[JobRunning] == 0 {
		return nil
	}
	return d.listRunning(ctx, j, is, events)
}

// wanted reports whether the children of a job in a final status are to be listed now. Those
// that failed always are, since something is to be done. Far away, those that succeeded are
// when something waits for them, when all have ended, or once in a while to show how far
// the step is, the more seldom the more tasks the run has.
func (d *Driver) wanted(j *jobState, job *Job, is *seen, status JobStatus, now time.Time) bool {
	switch {
	case job.Status.Ended():
		return true
	case status == JobFailed:
		return is.summary[JobFailed] > is.bad
	case is.summary[JobSucceeded] <= is.good:
		return false
	}
	every := d.patience() * time.Duration(1+d.run.flight/MaxArraySize)
	return !d.far || now.Sub(is.goodAt) >= every || d.run.awaited(j.step)
}

// awaited reports whether it matters now which tasks of s have succeeded: others are held
// until some have, or until there is room for them.
func (r *Run) awaited(s *stepState) bool {
	if r.limit() > 0 || s.MaxParallel > 0 && s.waiting > 0 {
		return true
	}
	for _, next := range s.next {
		for k := range next.deps {
			if dep := &next.deps[k]; dep.stepState == s && dep.Kind == Element && next.exp != nil && next.waiting > 0 {
				return true
			}
		}
	}
	return false
}

// listEnded adds to g how children ended that are in a final status, and returns how many
// are in it.
func (d *Driver) listEnded(ctx context.Context, g *gathered, status JobStatus) (n int32, err error) {
	j, s := g.j, g.j.step
	at := newRanker(j.tasks)
	var ask []JobID // those whose attempts only Describe has
	g.ask = &ask
	l := listing{g: g}
	for child, err := range d.Executor.Children(ctx, j.id, status) {
		if err != nil {
			return 0, err
		}
		n++
		_, k := child.ID.Split()
		i, ok := at.task(k)
		if !ok || !s.inJob[i] || int(s.job[i]) != j.n {
			continue
		}
		if d.run.cancel != nil && strings.HasPrefix(child.StatusReason, d.run.cancelText()) {
			child.Terminated = true
		}
		if child.Attempts == nil && g.counts(&child) {
			ask = append(ask, child.ID)
			continue
		}
		if err := l.add(ctx, i, &child); err != nil {
			return 0, err
		}
	}
	if err := l.flush(ctx); err != nil {
		return 0, err
	}
	g.ask = nil
	g.flush() // those that are described come in an order of their own
	for part := range slices.Chunk(ask, 100) {
		if err := d.addDescribed(ctx, g, part); err != nil {
			return 0, err
		}
	}
	g.flush()
	return n, nil
}

// counts reports whether it matters how often a child was tried that has ended: where
// Batch may have tried again after other failures than losses, and where it failed, unless
// it never began or was ended by us: to ask then costs, unless it is near; see untold.
func (g *gathered) counts(child *Job) bool {
	switch {
	case child.Status != JobFailed:
		return g.j.plan.Attempts > 1 && !g.j.plan.Losses
	case child.Terminated:
		return g.d.run.near() && g.j.plan.Attempts > 1 && !child.Started.IsZero()
	}
	return child.StatusReason != ReasonDependency
}

func (d *Driver) addDescribed(ctx context.Context, g *gathered, ids []JobID) error {
	children, err := d.Executor.Describe(ctx, ids)
	if err != nil {
		return err
	}
	at := newRanker(g.j.tasks)
	slices.SortFunc(children, func(a, b Job) int { _, x := a.ID.Split(); _, y := b.ID.Split(); return x - y })
	l := listing{g: g}
	for c := range children {
		_, k := children[c].ID.Split()
		if i, ok := at.task(k); ok && children[c].Status.Ended() {
			if err := l.add(ctx, i, &children[c]); err != nil {
				return err
			}
		}
	}
	return l.flush(ctx)
}

// listRunning adds to events which children of a job near by have begun.
func (d *Driver) listRunning(ctx context.Context, j *jobState, is *seen, events *[]Event) error {
	s, at := j.step, newRanker(j.tasks)
	var running Ranges
	for child, err := range d.Executor.Children(ctx, j.id, JobRunning) {
		if err != nil {
			is.listed = false
			return d.noted(ctx, opList, err)
		}
		_, k := child.ID.Split()
		if i, ok := at.task(k); ok && s.inJob[i] && s.task[i] == Pending {
			running = running.Add(i)
		}
	}
	if len(running) == 0 {
		return nil
	}
	return d.apply(events, Event{Kind: TasksRunning, Step: s.Name, Job: j.n, Tasks: running})
}
