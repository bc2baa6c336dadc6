package engine

import "context"

// Look records what the jobs of a run did, and what follows from that, for somebody who
// wants to know and does not drive it: nothing is planned, submitted or ended. The run ends
// if nothing is left but to say so; if outputs are to be published, or jobs to be listed,
// that is left to a driver, and [Run.WantsConclusion] says so. Load must have been called.
// Errors of the executor are told to OnTrouble, like those of Drive.
func (d *Driver) Look(ctx context.Context) error {
	if d.run.Ended() {
		return nil
	}
	var events []Event
	if err := d.look(ctx, d.Clock.Now(), &events); err != nil {
		return err
	}
	for {
		ready := d.run.Ready(d.Clock.Now())
		more := false
		for _, e := range ready.Events {
			switch e.Kind {
			case StepEnded, TasksSkipped, RunEnded:
				more = true
				if err := d.apply(&events, e); err != nil {
					return err
				}
			}
		}
		if more {
			continue
		}
		for _, c := range ready.Commands {
			if c.Op != Conclude {
				continue
			}
			results, err := d.results(ctx)
			if err != nil || d.publishes(results.made) {
				break
			}
			if err := d.apply(&events, Event{Kind: RunEnded, Status: Succeeded, Results: results.told}); err != nil {
				return err
			}
		}
		return d.commit(ctx, events)
	}
}

// Peek asks how many children of the run's jobs are in which status, so that the counts of
// its steps show it, and records nothing: for somebody who wants to know while another
// process drives the run.
func (r *Run) Peek(ctx context.Context, x Executor) error {
	var ids []JobID
	for _, j := range r.liveJobs() {
		if j.watched() && j.tasks.Len() > 1 {
			ids = append(ids, j.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := x.Describe(ctx, ids)
	if err != nil {
		return err
	}
	r.See(found)
	return nil
}

// watched reports whether the job shows how far tasks are that have not ended.
func (j *jobState) watched() bool { return j.state == jobAccepted && !j.stray && j.open > 0 }

// Watched returns the jobs of the run that the executor has accepted and that have tasks that
// have not ended, as far as is recorded.
func (r *Run) Watched() (ids []JobID) {
	for _, j := range r.liveJobs() {
		if j.watched() {
			ids = append(ids, j.id)
		}
	}
	return ids
}

// See takes in what the executor says of jobs, of which some may be none of the run's: the
// counts of its steps show how many children are in which status. It records nothing.
func (r *Run) See(jobs []Job) {
	byID := make(map[JobID]*Job, len(jobs))
	for i := range jobs {
		byID[jobs[i].ID] = &jobs[i]
	}
	for _, j := range r.liveJobs() {
		if found := byID[j.id]; found != nil && j.watched() && j.tasks.Len() > 1 {
			j.shown = countsOf(found.Summary)
		}
	}
}

// WantsConclusion reports whether all steps of the run have ended and the run has not: its
// outputs are to be evaluated and published, or its last jobs to be looked for, by a driver.
func (r *Run) WantsConclusion() bool {
	if r.info.Run == "" || r.Ended() {
		return false
	}
	for _, s := range r.steps {
		if !s.status.Ended() {
			return false
		}
	}
	return true
}

// Handed reports whether nothing is left to submit now: the executor has accepted every
// job that is planned, and what is not planned is held; see [Run.Holds].
func (d *Driver) Handed() bool {
	if d.run.Ended() {
		return true
	}
	ready := d.run.Ready(d.Clock.Now())
	for _, c := range ready.Commands {
		switch c.Op {
		case Submit, Find, Expand, Survey, Conclude:
			return false
		}
	}
	return len(ready.Events) == 0
}
