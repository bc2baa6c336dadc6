package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"flow/engine"
	"flow/state"
)

// verifyEvery is how often flow cancel lists the jobs of a run until none is alive.
const verifyEvery = time.Second

// verifier returns a function that waits until no task of a run on AWS Batch is alive any
// more, by listing its jobs, and says so. It is made before the run is cancelled, when
// what is alive can be counted.
func (a *app) verifier(ctx context.Context, db *state.DB, row state.Run) (func(context.Context) error, error) {
	if row.Executor != batchExecutor {
		return func(context.Context) error { return nil }, nil
	}
	p := &past{db: db, row: row}
	if err := p.load(ctx, a); err != nil {
		return nil, err
	}
	_, total := p.run.Alive()
	total += p.run.InDoubt()
	return func(ctx context.Context) error {
		if err := p.refresh(ctx); err != nil { // jobs may have been added
			return err
		}
		x, err := a.reach(ctx, p)
		if err != nil {
			return err
		}
		defer x.Close(ctx)
		for said := ""; ; {
			n, err := listAlive(ctx, x, p.run)
			if err != nil {
				return fmt.Errorf("run %s is cancelled; that none of its tasks is alive could not be verified: %w", row.ID, err)
			}
			if text := aliveText(n, max(total, n)); text != said {
				said = text
				a.say("%s", text)
			}
			if n == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return exit(exitInterrupted)
			case <-time.After(verifyEvery):
			}
		}
	}, nil
}

// listAlive counts the tasks of a run that are alive, as the executor lists its jobs,
// whether the run knows them or not.
func listAlive(ctx context.Context, x engine.Executor, run *engine.Run) (alive int, err error) {
	var queues []string
	for _, j := range run.Jobs() {
		if !slices.Contains(queues, j.Plan.Queue) {
			queues = append(queues, j.Plan.Queue)
		}
	}
	for _, queue := range queues {
		jobs, err := x.Find(ctx, queue, engine.RunPrefix(run.ID())+"*")
		if err != nil {
			return 0, err
		}
		for i := range jobs {
			alive += aliveIn(&jobs[i])
		}
	}
	return alive, nil
}

// aliveIn counts the tasks of a job that are alive: one at least if the job is, since a
// list may have no summaries, and they may be older than the job's status.
func aliveIn(job *engine.Job) (n int) {
	if job.Status.Ended() {
		return 0
	}
	for status, k := range job.Summary {
		if !engine.JobStatus(status).Ended() {
			n += k
		}
	}
	if job.Summary == ([engine.NumJobStatuses]int{}) {
		n = job.Size
	}
	return max(n, 1)
}
