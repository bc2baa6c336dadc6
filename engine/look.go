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
	byID := map[JobID]*jobState{}
	for _, j := range r.liveJobs() {
		if j.state == jobAccepted && !j.stray && j.tasks.Len() > 1 {
			ids = append(ids, j.id)
			byID[j.id] = j
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := x.Describe(ctx, ids)
	if err != nil {
		return err
	}
	for i := range found {
		if j := byID[found[i].ID]; j != nil {
			j.shown = countsOf(found[i].Summary)
		}
	}
	return nil
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
