package runstat

import (
	"time"

	"flow/engine"
)

// A Lane is what a step did over time: a row of the timeline.
type Lane struct {
	Step   engine.StepName
	Status engine.Status
	Size   int    // tasks; -1: not known yet
	Counts [7]int // of them, by status
	Bars   []Bar  // by job, oldest first; none if nothing of it was submitted
}

// A Bar is a job on the timeline. It is queued from Queued on, starts from Starting on, runs
// from Running on, and is over at Ended. What has not come yet, or is not known, is zero.
type Bar struct {
	Job      int // its number in the run
	Attempt  int // of its tasks' first try in it, from 1
	Tasks    int
	Queued   time.Time
	Starting time.Time // seldom known: a job may start between two looks
	Running  time.Time
	Ended    time.Time
	Failed   int // tasks that failed in it for good
	Retried  int // tasks that failed in it, and were tried again by another job
}

// Until returns the end of the bar: now if the job goes on.
func (b *Bar) Until(now time.Time) time.Time {
	if b.Ended.IsZero() {
		return now
	}
	return b.Ended
}

// Lanes returns the timeline of the run, a lane for each step, in source order. The log must
// have the events that the run has.
func (l *Log) Lanes(run *engine.Run) []Lane {
	steps := run.Steps()
	lanes := make([]Lane, len(steps))
	at := make(map[engine.StepName]*Lane, len(steps))
	for i := range steps {
		v := &steps[i]
		lanes[i] = Lane{Step: v.Step.Name, Status: v.Status, Size: v.Size, Counts: v.Counts}
		at[v.Step.Name] = &lanes[i]
	}
	for i := range l.jobs {
		if lane := at[l.jobs[i].step]; lane != nil {
			lane.Bars = append(lane.Bars, l.jobs[i].bar(i+1))
		}
	}
	return lanes
}

// bar returns the job on the timeline. It is over when its last task had stopped, which is
// seen later; one that never ran is when that was recorded.
func (j *jobLog) bar(n int) Bar {
	b := Bar{
		Job: n, Attempt: j.attempt, Tasks: j.tasks, Failed: j.failed, Retried: j.retried,
		Queued: moment(j.planned), Starting: moment(j.starting), Running: moment(j.running),
	}
	switch {
	case j.stopped > 0 && (j.over > 0 || j.ended >= j.tasks):
		b.Ended = moment(j.stopped)
	case j.over > 0:
		b.Ended = moment(j.over)
	}
	if b.Starting.After(b.Running) && !b.Running.IsZero() {
		b.Starting = time.Time{} // seen to start after it ran: clocks differ
	}
	return b
}

// Range returns when the run began, and when it ended or now: what a timeline shows.
func Range(run *engine.Run, now time.Time) (from, to time.Time) {
	from, to = run.Times()
	if to.IsZero() {
		to = now
	}
	if to.Before(from) {
		to = from
	}
	return from, to
}
