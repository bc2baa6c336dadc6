package engine

import (
	"context"
	"strings"
	"time"
)

// doubt is what the driver remembers of a job that may have been accepted, or not.
type doubt struct {
	next   time.Time // when to look for it again; zero: now
	step   int       // how often it was looked for
	absent bool      // it was never accepted, for certain, and waits to be submitted again
}

// doubt notes that nobody knows whether job n was accepted just now.
func (d *Driver) doubt(n int) { d.later(n, doubt{}) }

// later notes when to look for a job again: a second, two, four and so on after its
// submission, as long as its quiet period is not over. An executor may show a job late.
func (d *Driver) later(n int, dt doubt) {
	dt.next = d.Clock.Now().Add(min(time.Second<<min(dt.step, 5), max(10*time.Second, d.poll())))
	dt.step++
	d.doubts[n] = dt
	d.wakeAt(dt.next)
}

// resolve looks for jobs whose submission is in doubt. One that is found is adopted, the
// oldest of its name, and its twins are ended. One that is not there at the end of its
// quiet period was never accepted: it is returned, to be submitted again, after that is
// durable, so that whoever comes next waits for another quiet period.
func (d *Driver) resolve(ctx context.Context, finds []Command) (again []int, err error) {
	var events []Event
	now := d.Clock.Now()
	for len(finds) > 0 {
		queue := d.run.jobs[finds[0].Job-1].plan.Queue
		var here, rest []Command
		due := false
		for _, c := range finds {
			if d.run.jobs[c.Job-1].plan.Queue != queue {
				rest = append(rest, c)
				continue
			}
			dt := d.doubts[c.Job]
			switch {
			case dt.absent:
				again = append(again, c.Job)
				continue
			case c.Last || !now.Before(dt.next):
				due = true
			default:
				d.wakeAt(dt.next)
			}
			here = append(here, c)
		}
		finds = rest
		if !due {
			continue
		}
		absent, err := d.findAll(ctx, queue, here, &events)
		if err != nil {
			return nil, err
		}
		again = append(again, absent...)
	}
	again, err = d.unaccepted(again, &events)
	if err != nil {
		return nil, err
	}
	return again, d.commit(ctx, events)
}

// findAll looks for jobs in doubt of one queue, and returns those that were never accepted.
func (d *Driver) findAll(ctx context.Context, queue string, finds []Command, events *[]Event) (absent []int, err error) {
	now := d.Clock.Now()
	// One listing of the whole run answers for all of them, unless it is far longer.
	var all []Job
	whole := len(finds) > 1+len(d.run.jobs)/100
	if whole {
		all, err = d.Executor.Find(ctx, queue, RunPrefix(d.run.ID())+"*")
	}
	for _, c := range finds {
		j, dt := d.run.jobs[c.Job-1], d.doubts[c.Job]
		if !whole && (c.Last || !now.Before(dt.next)) {
			all, err = d.Executor.Find(ctx, queue, j.plan.Name)
		} else if !whole {
			continue
		}
		if err := d.noted(ctx, opFind, err); err != nil {
			return nil, err
		}
		if err != nil { // no answer
			d.later(c.Job, dt)
			continue
		}
		if found := named(all, j.plan.Name); len(found) > 0 {
			for _, twin := range found[1:] {
				if !twin.Status.Ended() {
					d.terminate(ctx, twin.ID, "flow: submitted twice, the job is "+string(found[0].ID))
				}
			}
			delete(d.doubts, c.Job)
			d.seen[c.Job] = seen{mine: true}
			if err := d.apply(events, Event{Kind: JobAccepted, Job: c.Job, JobID: found[0].ID}); err != nil {
				return nil, err
			}
			continue
		}
		if c.Last {
			absent = append(absent, c.Job)
		} else {
			d.later(c.Job, dt)
		}
	}
	return absent, nil
}

// named returns the jobs of a name, in their order. Batch's own filter ignores case.
func named(jobs []Job, name string) (out []Job) {
	for _, j := range jobs {
		if strings.EqualFold(j.Name, name) {
			out = append(out, j)
		}
	}
	return out
}

// unaccepted decides on jobs that were never accepted: those that are wanted still and can
// be submitted now are returned, with a new doubt about them in events.
func (d *Driver) unaccepted(jobs []int, events *[]Event) (again []int, err error) {
	spent := len(jobs) > 0 && d.run.spentUp()
	for _, n := range jobs {
		j := d.run.jobs[n-1]
		var e Event
		switch {
		case d.run.cancel != nil || j.stray || spent:
			e = Event{Kind: JobLost, Job: n, Reason: "never accepted"}
		case d.run.depGone(j):
			e = Event{Kind: JobLost, Job: n, Reason: "what it depends on is gone"}
		case !d.submittable(n):
			d.doubts[n] = doubt{absent: true}
			continue
		default:
			again = append(again, n)
			e = Event{Kind: JobInDoubt, Job: n, Reason: reasonAgain}
			d.sweepBy(d.Clock.Now().Add(4 * d.Quiet)) // in case the executor shows jobs later than we think
		}
		delete(d.doubts, n)
		if err := d.apply(events, e); err != nil {
			return nil, err
		}
		if e.Kind == JobInDoubt {
			d.doubts[n] = doubt{absent: true} // until it is submitted
		}
	}
	return again, nil
}

// reasonAgain is the reason of a JobInDoubt that stands before another submission.
const reasonAgain = "submitted again: it was not found"
