package engine

import (
	"context"
	"errors"
	"slices"
	"time"
)

// maxWave is how many jobs are handed to a BulkSubmitter at once: one transaction has
// their answers, and so many are in doubt at most if the driver dies.
const maxWave = 64

// pause is a queue that takes no jobs now.
type pause struct {
	queue string
	until time.Time
	step  int // how often in a row
}

// submitAll submits jobs, in waves of those that depend on none of each other.
func (d *Driver) submitAll(ctx context.Context, jobs []int, until time.Time) error {
	if bulk, ok := d.Executor.(BulkSubmitter); ok {
		return d.submitWaves(ctx, bulk, jobs, until)
	}
	var events []Event
	for _, n := range jobs {
		stop, err := d.stops(ctx, until)
		if err != nil || stop {
			d.wakeAt(d.Clock.Now())
			return errors.Join(err, d.commit(ctx, events))
		}
		if !d.submittable(n) {
			continue
		}
		id, err := d.Executor.Submit(ctx, d.run.JobSpec(n))
		a := Submission{id, err}
		if err := d.answered(n, a, &events); err != nil {
			return errors.Join(err, d.commit(ctx, events))
		}
		d.noteAnswers(ctx, []Submission{a})
	}
	return d.commit(ctx, events)
}

// submitWaves submits jobs side by side. Before each wave it looks whether another process
// wants the run to end: after that nothing is submitted.
func (d *Driver) submitWaves(ctx context.Context, bulk BulkSubmitter, jobs []int, until time.Time) error {
	for {
		var wave, rest []int
		for _, n := range jobs {
			if len(wave) < maxWave && d.submittable(n) {
				wave = append(wave, n)
			} else {
				rest = append(rest, n)
			}
		}
		if len(wave) == 0 {
			return nil
		}
		if stop, err := d.stops(ctx, until); stop || err != nil {
			d.wakeAt(d.Clock.Now())
			return err
		}
		if err := d.submitWave(ctx, bulk, wave); err != nil {
			return err
		}
		jobs = rest
	}
}

func (d *Driver) submitWave(ctx context.Context, bulk BulkSubmitter, wave []int) error {
	specs := make([]*JobSpec, len(wave))
	for i, n := range wave {
		specs[i] = d.run.JobSpec(n)
	}
	answers := bulk.SubmitAll(ctx, specs)
	var events []Event
	for i, n := range wave {
		a := Submission{Err: errNoAnswer}
		if i < len(answers) {
			a = answers[i]
		}
		if err := d.answered(n, a, &events); err != nil {
			return errors.Join(err, d.commit(ctx, events))
		}
	}
	d.noteAnswers(ctx, answers)
	return d.commit(ctx, events)
}

// noteAnswers tells what became of jobs that were submitted together: that there is trouble
// if there is with any of them, as when the last of many are too many.
func (d *Driver) noteAnswers(ctx context.Context, answers []Submission) {
	var failed error
	accepted := false
	for _, a := range answers {
		switch {
		case a.Err == nil:
			accepted = true
		case failed == nil && !errors.Is(a.Err, ErrRefused):
			failed = a.Err
		}
	}
	if failed != nil || accepted && len(d.pauses) == 0 {
		_ = d.noted(ctx, opSubmit, failed) // that ctx is done is seen where the next job would be submitted
	}
}

var errNoAnswer = errors.New("the executor did not say what became of the job")

// submittable reports whether job n can be submitted now: all that it depends on has an
// id, and is known to the executor, which refuses jobs that wait for what it has forgotten;
// and its queue takes jobs.
func (d *Driver) submittable(n int) bool {
	j := d.run.jobs[n-1]
	if j.state != jobPlanned && j.state != jobInDoubt {
		return false
	}
	for _, dep := range j.plan.DependsOn {
		if dep.Job == 0 {
			continue
		}
		on, is := d.run.jobs[dep.Job-1], d.seen[dep.Job]
		if on.id == "" || on.state != jobOver && !is.mine && (!is.known || !is.missing.IsZero()) {
			return false
		}
	}
	if p := d.pauseOf(j.plan.Queue); p != nil && d.Clock.Now().Before(p.until) {
		d.wakeAt(p.until)
		return false
	}
	return !d.run.depGone(j)
}

// answered adds to events what became of a job that was submitted.
func (d *Driver) answered(n int, a Submission, events *[]Event) error {
	j := d.run.jobs[n-1]
	switch {
	case a.Err == nil:
		d.resume(j.plan.Queue)
		delete(d.doubts, n)
		d.seen[n] = seen{mine: true}
		return d.apply(events, Event{Kind: JobAccepted, Job: n, JobID: a.ID})
	case errors.Is(a.Err, ErrRefused):
		delete(d.doubts, n)
		return d.apply(events, Event{Kind: JobRefused, Job: n, Reason: a.Err.Error()})
	case errors.Is(a.Err, ErrLater):
		// Nothing happened, and nothing is recorded: the job is wanted still.
		d.pause(j.plan.Queue)
	default:
		d.doubt(n)
		if err := d.apply(events, Event{Kind: JobInDoubt, Job: n, Reason: a.Err.Error()}); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) pauseOf(queue string) *pause {
	if i := slices.IndexFunc(d.pauses, func(p pause) bool { return p.queue == queue }); i >= 0 {
		return &d.pauses[i]
	}
	return nil
}

// pause leaves a queue alone for a while that took no job just now: for Poll, and twice as
// long each time in a row.
func (d *Driver) pause(queue string) {
	now := d.Clock.Now()
	p := d.pauseOf(queue)
	switch {
	case p == nil:
		d.pauses = append(d.pauses, pause{queue: queue})
		p = &d.pauses[len(d.pauses)-1]
	case now.Before(p.until): // told by another job of the same wave
		return
	}
	p.until = now.Add(min(d.poll()<<p.step, d.pollMax()))
	if d.poll()<<p.step < d.pollMax() {
		p.step++
	}
	d.wakeAt(p.until)
}

// resume notes that a queue takes jobs.
func (d *Driver) resume(queue string) {
	d.pauses = slices.DeleteFunc(d.pauses, func(p pause) bool { return p.queue == queue })
}
