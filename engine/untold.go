package engine

import (
	"context"
	"slices"
)

// untold returns the highest number that a try of task i of s may have had, where it is not
// known which: Batch may have tried a child of an array again, and a listing does not say
// how often. What has succeeded is not asked for after losses, unless its manifest tells,
// nor is what was ended by us. 0: all is known.
func (r *Run) untold(s *stepState, i int) int {
	if i >= len(s.job) || s.job[i] == 0 {
		return 0
	}
	j := r.jobs[s.job[i]-1]
	last := j.lastAttempt()
	if j.tasks.Len() == 1 || int(s.tries[i]) >= last {
		return 0
	}
	switch {
	case s.task[i] == Succeeded && j.plan.Losses && len(s.spec(i).Outputs) == 0:
		return last
	case s.task[i] == Cancelled && !r.near() && s.begun[i] != 0:
		return last
	}
	return 0
}

// numberOn notes in a reset which tries its tasks may have used, if those are more than is
// known: what is sent again is numbered on behind them, so that no number is used twice.
// told is what was found out by now, by task.
func (r *Run) numberOn(e *Event, told map[int]int) {
	s := r.step(e.Step)
	if s == nil || s.exp == nil {
		return
	}
	tasks := s.reset(e)
	e.Attempts = nil
	tries := make([]int, 0, tasks.Len())
	more := false
	for i := range tasks.All() {
		n := r.untold(s, i)
		if told[i] > 0 {
			n = min(n, told[i])
		}
		more = more || n > int(s.tries[i])
		tries = append(tries, max(n, int(s.tries[i])))
	}
	switch {
	case !more:
	case e.Kind == StepReset, uniform(tries):
		e.Attempts = []int{slices.Max(tries)}
	default:
		e.Attempts = tries
	}
}

// reset returns the tasks that run again after a StepReset or a TasksReset.
func (s *stepState) reset(e *Event) Ranges {
	if e.Kind == StepReset {
		return Upto(len(s.task))
	}
	return e.Tasks
}

// maxUntold is of how many tasks at most it is asked how often they were tried, before they
// run again: a call has a hundred of them.
const maxUntold = 10_000

// Redo returns what [Run.Redo] does, and asks the executor how often tasks were tried of
// which that is not known. Of those that it does not tell of, all numbers that they may have
// had count as used. Load must have been called.
func (d *Driver) Redo(ctx context.Context, o Redo) ([]Event, error) {
	events, err := d.run.Redo(o)
	if err != nil || d.Executor == nil {
		return events, err
	}
	left := maxUntold
	for k := range events {
		e := &events[k]
		if len(e.Attempts) == 0 {
			continue
		}
		told, err := d.tell(ctx, e, &left)
		if err != nil {
			return nil, err
		}
		d.run.numberOn(e, told)
	}
	return events, nil
}

// tell asks how often tasks were tried that a reset is about, as long as some are left to
// ask for.
func (d *Driver) tell(ctx context.Context, e *Event, left *int) (map[int]int, error) {
	s := d.run.step(e.Step)
	var ids []JobID
	index := map[JobID]int{}
	for i := range s.reset(e).All() {
		if d.run.untold(s, i) == 0 {
			continue
		}
		if *left--; *left < 0 {
			break
		}
		j := d.run.jobs[s.job[i]-1]
		id := j.id.Child(j.tasks.Rank(i))
		ids = append(ids, id)
		index[id] = i
	}
	told := map[int]int{}
	for part := range slices.Chunk(ids, 100) {
		jobs, err := d.Executor.Describe(ctx, part)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // no answer
			return told, nil
		}
		for n := range jobs {
			if i, ok := index[jobs[n].ID]; ok && jobs[n].Status.Ended() && len(jobs[n].Attempts) > 0 {
				told[i] = d.run.jobs[s.job[i]-1].plan.Attempt - 1 + len(jobs[n].Attempts)
			}
		}
	}
	return told, nil
}
