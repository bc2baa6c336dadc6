package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// unknown is called when the executor does not know a job that it had accepted. It may
// show a job late; after the quiet period the job is lost.
func (d *Driver) unknown(ctx context.Context, j *jobState, now time.Time, events *[]Event) error {
	is := d.seen[j.n]
	if is.missing.IsZero() {
		is.missing = now
		d.seen[j.n] = is
	}
	if left := is.missing.Add(d.grace(is)); now.Before(left) {
		d.wakeAt(left)
		return nil
	}
	lost, err := d.lost(ctx, j, events)
	if err != nil || !lost {
		return err
	}
	delete(d.seen, j.n)
	e := Event{Kind: JobLost, Job: j.n, Reason: "unknown to the executor"}
	if d.far && !j.stray {
		e.Attempts = []int{j.lastAttempt()}
	}
	return d.apply(events, e)
}

// grace is how long a job may be unknown before it is lost.
func (d *Driver) grace(is seen) time.Duration {
	if d.far && !is.known {
		return max(d.Quiet, 2*d.patience())
	}
	return d.Quiet
}

// tellMissing tells once of jobs that the executor does not know, until it knows all again.
// One that was submitted just now may only be late.
func (d *Driver) tellMissing(jobs []*jobState, now time.Time) {
	e := &MissingError{}
	for _, j := range jobs {
		is := d.seen[j.n]
		if !d.far || is.missing.IsZero() || is.mine && now.Sub(is.missing) < missingLate {
			continue
		}
		if e.Jobs++; e.Jobs == 1 {
			e.Job, e.Step, e.Grace = j.id, j.step.Name, d.grace(is)
		}
	}
	if e.Jobs > 0 && !d.toldMissing && d.OnTrouble != nil {
		d.OnTrouble(opMissing, e)
	}
	d.toldMissing = e.Jobs > 0
}

// missingLate is how long nobody is told of a job that was submitted and is not shown.
const missingLate = 10 * time.Second

// A MissingError says that the executor does not know jobs that it had accepted. It is for
// people: see Driver.OnTrouble.
type MissingError struct {
	Job   JobID // the first of them
	Step  StepName
	Jobs  int           // how many there are
	Grace time.Duration // how long that may last
}

func (e *MissingError) Error() string {
	more := ""
	if e.Jobs > 1 {
		more = fmt.Sprintf(" (nor %d more)", e.Jobs-1)
	}
	return fmt.Sprintf("job %s of step %s is not known any more%s; after %s without it, it counts as lost", e.Job, e.Step, more, e.Grace)
}

// lastAttempt is the highest number that a try of a task in the job may have.
func (j *jobState) lastAttempt() int { return j.plan.Attempt - 1 + max(j.plan.Attempts, 1) }

// onLost is what becomes of tasks of which nobody can tell whether they ran.
func (r *Run) onLost() OnLost {
	switch {
	case r.cancel != nil: // they are not wanted any more
		return LostRetries
	case r.wf.OnLost != "":
		return r.wf.OnLost
	case r.near():
		return LostRetries
	}
	return LostFails
}

// ReasonLost is how the reason begins of a task of which nobody can tell whether it ran.
// How often it was tried, then, is not known either.
const ReasonLost = "lost: "

// lost settles the tasks of a job that the executor does not know any more: those whose
// results are there have succeeded, and the others have failed, or are left without a job,
// as on_lost says. It is false if that cannot be told now.
func (d *Driver) lost(ctx context.Context, j *jobState, events *[]Event) (bool, error) {
	if j.stray {
		return true, nil
	}
	s := j.step
	g := gathered{d: d, j: j}
	var gone Ranges
	left := d.unended(j)
	for k, i := range left {
		if k%manifestsAtOnce == 0 {
			g.fetch(ctx, left[k:min(k+manifestsAtOnce, len(left))])
		}
		if len(s.spec(i).Outputs) > 0 {
			m, err := g.manifest(ctx, i)
			switch {
			case err == nil && m.Attempt >= j.plan.Attempt:
				g.succeed(i, &Job{}, m.Attempt, 0, m, nil)
				continue
			case err != nil && !errors.Is(err, ErrNotFound):
				return false, ctx.Err()
			}
		}
		gone = gone.Add(i)
	}
	g.flush()
	if len(gone) > 0 && d.run.onLost() == LostFails {
		g.events = append(g.events, Event{
			Kind: TasksEnded, Step: s.Name, Job: j.n, Tasks: gone, Outcome: TaskLost, Attempts: []int{j.lastAttempt()},
			Reason: ReasonLost + "the executor does not know job " + string(j.id) + " any more, and nobody can tell whether it ran",
		})
	}
	return true, d.apply(events, g.events...)
}

// unended returns the tasks of a job that have not ended in it.
func (d *Driver) unended(j *jobState) (left []int) {
	for i := range j.tasks.All() {
		if j.step.inJob[i] && int(j.step.job[i]) == j.n {
			left = append(left, i)
		}
	}
	return left
}

// rest settles the children of an array job that has ended which are in no listing: those
// of one that never began may never have been made. A listing may be late, so they are
// asked for one by one, at the second look, and given the quiet period to appear.
func (d *Driver) rest(ctx context.Context, j *jobState, job *Job, is *seen, now time.Time, events *[]Event) error {
	if is.missing.IsZero() {
		is.missing = now
		return nil
	}
	s := j.step
	g := gathered{d: d, j: j}
	var ids []JobID
	k := 0
	for i := range j.tasks.All() {
		if s.inJob[i] && int(s.job[i]) == j.n {
			ids = append(ids, j.id.Child(k))
		}
		k++
	}
	for part := range slices.Chunk(ids, 100) {
		if err := d.addDescribed(ctx, &g, part); err != nil {
			return d.noted(ctx, opDescribe, err)
		}
	}
	g.flush()
	if err := d.apply(events, g.events...); err != nil {
		return err
	}
	if j.open == 0 {
		return nil
	}
	var left Ranges
	for i := range j.tasks.All() {
		if s.inJob[i] && int(s.job[i]) == j.n {
			left = left.Add(i)
		}
	}
	e := Event{Kind: TasksEnded, Step: s.Name, Job: j.n, Tasks: left, Reason: job.StatusReason}
	switch {
	case job.StatusReason == ReasonDependency:
		e.Outcome = TaskUnstarted
	case job.Terminated:
		e.Outcome = TaskCancelled
	case now.Sub(is.missing) < d.Quiet:
		return nil
	default:
		_, err := d.lost(ctx, j, events)
		if err == nil && j.open > 0 { // they are without a job again
			err = d.apply(events, Event{Kind: JobLost, Job: j.n, Reason: "its children are unknown to the executor", Attempts: []int{j.lastAttempt()}})
		}
		return err
	}
	return d.apply(events, e)
}
