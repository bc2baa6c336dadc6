package engine_test

import (
	"hash/fnv"
	"time"

	"flow/engine"
)

// starting reports whether tries of this world are STARTING for a while.
func (w *world) starting() bool { return w.seed%5 < 2 }

// due returns when something happens to a try.
func (t *simTry) due() time.Time {
	if !t.up.IsZero() && t.up.Before(t.end) {
		return t.up
	}
	return t.end
}

// simUsed is what an attempt of a task uses.
func simUsed(task string, attempt int) engine.Used {
	h := fnv.New32a()
	h.Write([]byte(task))
	return engine.Used{PeakMemory: int64(h.Sum32()%4000+1)<<20 + int64(attempt)<<12, AtMost: attempt%2 == 0, CPUMillis: int64(attempt)}
}

// told is what an executor tells of a job: AWS Batch does not know what it has used.
func (w *world) told(j engine.Job) engine.Job {
	if w.local {
		return j
	}
	j.Used = engine.Used{}
	for k := range j.Attempts {
		j.Attempts[k].Used = engine.Used{}
	}
	return j
}

// checkStarts checks that each job is told to be STARTING once at most, when it may be, and
// that what tasks have used is what their last tries did.
func (w *world) checkStarts(run *engine.Run) {
	starts, accepted := map[int]int{}, map[int]time.Time{}
	for _, e := range w.log {
		switch e.Kind {
		case engine.JobAccepted:
			accepted[e.Job] = e.At
		case engine.JobStarts:
			starts[e.Job]++
			since := time.UnixMilli(e.Started[0])
			if at, ok := accepted[e.Job]; !ok || starts[e.Job] > 1 || !w.starting() || since.Before(at.Truncate(time.Millisecond)) || since.After(e.At) {
				w.problem("event %d tells the %d. time that job %d is STARTING, since %s", e.Seq, starts[e.Job], e.Job, since)
			}
		}
	}
	w.started += len(starts)
	if !run.Info().Recovered.IsZero() {
		return // the attempt before the last may be the one that has left a result
	}
	for _, s := range run.Steps() {
		for i := range max(s.Size, 0) {
			t := run.Task(s.Step.Name, i)
			if t.Status != engine.Succeeded || t.Attempts == 0 {
				continue
			}
			want := simUsed(taskID(s.Step.Name, i), t.Attempts)
			switch known := t.PeakMemory != 0; {
			case known && (t.PeakMemory != want.PeakMemory || t.PeakAtMost != want.AtMost), !known && (w.local || w.step(s.Step.Name).values):
				w.problem("%s has used %d bytes in attempt %d, want %d", t.Name, t.PeakMemory, t.Attempts, want.PeakMemory)
			case w.local && t.CPUMillis != want.CPUMillis:
				w.problem("%s has used %d ms in attempt %d", t.Name, t.CPUMillis, t.Attempts)
			}
			w.measured++
		}
	}
}
