package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sweeping is what the driver remembers of its listings of the run's jobs.
type sweeping struct {
	next  time.Time // when the next one is due
	last  time.Time // when the last one was made
	total int       // tasks that were alive when the run was cancelled, or more if a listing shows more
}

// sweepEvery is how often the run's jobs are compared with its ledger while nothing gives
// reason to.
const sweepEvery = time.Hour

// sweepBy makes the next listing come by a time.
func (d *Driver) sweepBy(at time.Time) {
	if at.Before(d.sweeping.next) {
		d.sweeping.next = at
	}
}

// sweepIfDue compares the jobs that the executor has of the run with those that the run
// knows: when it is taken up, every hour, while it is being cancelled, some time after a
// job was submitted again, and, asked, before the run ends; see [Run.unswept].
func (d *Driver) sweepIfDue(ctx context.Context, asked bool) error {
	now := d.Clock.Now()
	if d.run.Ended() || ctx.Err() != nil {
		return ctx.Err()
	}
	if d.run.cancel != nil && d.sweeping.total == 0 && d.run.flight > 0 {
		d.sweeping.total = d.run.flight
		d.sweepBy(now)
	}
	if asked && (d.sweeping.last.IsZero() || !d.far) {
		d.sweepBy(now)
	} else if asked {
		d.sweepBy(d.sweeping.last.Add(d.poll()))
	}
	if now.Before(d.sweeping.next) {
		d.wakeAt(d.sweeping.next)
		return nil
	}
	d.sweeping.last, d.sweeping.next = now, now.Add(sweepEvery)
	alive, err := d.sweep(ctx)
	switch {
	case errors.Is(err, ErrConflict):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // no answer
		d.sweepBy(now.Add(max(d.poll(), d.pace.interval)))
	case d.run.cancel != nil:
		d.sweepBy(now.Add(max(d.poll(), d.pace.interval)))
		d.sweeping.total = max(d.sweeping.total, alive)
		if d.OnAlive != nil {
			d.OnAlive(alive, d.run.InDoubt(), d.sweeping.total)
		}
	}
	if asked && err == nil && alive == 0 {
		d.run.swept = true
		d.wakeAt(now)
		return nil
	}
	d.wakeAt(d.sweeping.next)
	return nil
}

// sweep lists the jobs of the run in every queue that it has used, ends those that are
// alive and that the run does not know or thinks over, and returns how many tasks are
// alive. Those of a name that is planned or in doubt are left for [Driver.resolve] to find.
func (d *Driver) sweep(ctx context.Context) (alive int, err error) {
	byID := make(map[JobID]*jobState, len(d.run.jobs))
	open := map[string]bool{} // names that are planned or in doubt
	var queues []string
	for _, j := range d.run.jobs {
		if j.id != "" {
			byID[j.id] = j
		}
		if j.state == jobPlanned || j.state == jobInDoubt {
			open[j.plan.Name] = true
		}
		if !slices.Contains(queues, j.plan.Queue) {
			queues = append(queues, j.plan.Queue)
		}
	}
	for _, s := range d.run.steps {
		if d.run.recovered() && s.exp != nil { // jobs of before may be there
			queues = append(queues, s.queues()...)
		}
	}
	slices.Sort(queues)
	for _, queue := range slices.Compact(queues) {
		found, failed := d.Executor.Find(ctx, queue, RunPrefix(d.run.ID())+"*")
		if err := d.noted(ctx, opFind, failed); err != nil {
			return 0, err
		}
		if failed != nil {
			err = failed
			continue
		}
		for i := range found {
			job := &found[i]
			if job.Status.Ended() {
				continue
			}
			j := byID[job.ID]
			alive += d.aliveIn(job, j)
			if (j == nil || j.state == jobOver) && !open[strings.ToLower(job.Name)] {
				if err := d.alone(ctx); err != nil {
					return alive, err
				}
				d.terminate(ctx, job.ID, "flow: run "+string(d.run.ID())+" knows nothing of this job")
			}
		}
	}
	return alive, err
}

// alone returns ErrConflict, wrapped, if the log has events that this driver has not read or
// written: another one drives the run, and the jobs that are unknown here are its jobs. A
// process that was suspended for a while does not know that it was replaced.
func (d *Driver) alone(ctx context.Context) error {
	for _, err := range d.Log.Events(ctx, d.run.ID(), d.run.Seq()) {
		if err == nil {
			err = ErrConflict
		}
		return fmt.Errorf("before ending jobs that run %s does not know: %w", d.run.ID(), err)
	}
	return nil
}

// aliveIn returns how many tasks of a job, which has not ended, are alive: one at least,
// since it is the job that says so, and its summary may be older.
func (d *Driver) aliveIn(job *Job, j *jobState) int {
	summary := job.Summary
	if j != nil && summary == ([NumJobStatuses]int{}) {
		for i, n := range d.seen[j.n].summary {
			summary[i] = int(n)
		}
	}
	n := 0
	for status, k := range summary {
		if !JobStatus(status).Ended() {
			n += k
		}
	}
	if summary == ([NumJobStatuses]int{}) {
		n = job.Size
	}
	return max(n, 1)
}

// unswept reports whether a listing is to show that nothing of the run is alive before it
// ends: there was any doubt about a job since the run was begun or reopened, or one was
// lost, or the run is being cancelled. A run without any doubt ends without.
func (r *Run) unswept() bool { return (r.doubted || r.cancel != nil) && !r.swept && len(r.jobs) > 0 }
