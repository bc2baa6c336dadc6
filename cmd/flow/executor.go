package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"flow/engine"
	"flow/executor/batch"
	"flow/executor/local"
	"flow/executor/local/model"
)

// An executor runs the jobs of a run.
type executor interface {
	engine.Executor
	// Close gives back what the executor holds. Of the embedded one the tasks that run are
	// stopped, and killed when ctx is done; jobs on AWS Batch go on.
	Close(ctx context.Context) error
}

// openExecutor opens the executor of the session's run. notice is told what a person should
// know of it.
func (s *session) openExecutor(ctx context.Context, notice func(string)) (executor, error) {
	if s.executor == batchExecutor {
		return s.openBatch(ctx, notice)
	}
	var room *local.Room
	if s.fleet != nil {
		room = s.fleet.o.Room
	}
	x, err := local.Open(local.Options{
		Room: room, Pools: s.pools(), Journal: s.journal, Containers: s.machine.Containers,
		VCPUs: s.machine.VCPUs, MemoryMiB: s.machine.MemoryMiB, GPUs: s.machine.GPUs,
		Secret: s.secret, Memo: s.db, Consumables: consumablesHere(s.workflow),
		Store: s.store(), TaskScratch: scratchPath(s.home),
	})
	var locked *local.LockedError
	if errors.As(err, &locked) {
		return nil, &exitError{code: exitNotStarted, err: err}
	}
	return x, err
}

// consumablesHere returns the consumable resources that a workflow declares: a run on this
// machine has them to itself. How much there is of existing ones is known to AWS only.
func consumablesHere(wf *engine.Workflow) []model.Consumable {
	if wf.Infra == nil {
		return nil
	}
	var out []model.Consumable
	for _, c := range wf.Infra.Consumables {
		if !c.Existing && !c.Pool {
			out = append(out, model.Consumable{Name: c.Name, Total: c.Total, Replenishes: !c.NonReplenished})
		}
	}
	return out
}

// A batchJobs is the executor of runs on AWS Batch.
type batchJobs struct{ *batch.Executor }

func (b batchJobs) Close(context.Context) error { return b.Executor.Close() }

func (s *session) openBatch(ctx context.Context, notice func(string)) (executor, error) {
	o := s.batchOptions()
	o.Notice, o.Files = notice, s.files()
	if err := s.sameBatch(ctx, o); err != nil {
		return nil, err
	}
	x, err := batch.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return batchJobs{x}, nil
}

// batchOptions say where the session's run is on AWS Batch. A region that the environment
// gave is that of the run from then on.
func (s *session) batchOptions() batch.Options {
	return batch.Options{
		Region: cmp.Or(s.site.Region, s.jobs.Region), Profile: s.site.Profile, Endpoint: s.site.Endpoint, AgentImage: s.site.AgentImage, Account: s.jobs.Account,
	}
}

// sameBatch returns an error if a run that is taken up has its jobs elsewhere: there, all of
// them would be unknown, and taken for lost.
func (s *session) sameBatch(ctx context.Context, o batch.Options) error {
	if !s.takenUp || s.jobs == (batch.Place{}) {
		return nil
	}
	here, err := batch.PlaceOf(ctx, o)
	if err != nil {
		return err
	}
	jobs := s.jobs
	if s.site.Endpoint != "" { // a server may be elsewhere with all that it has
		jobs.Endpoint = here.Endpoint
	}
	if how := jobs.Differs(here); how != "" {
		return fmt.Errorf("the jobs of run %s are %s: there nothing is known of them", s.id, how)
	}
	return nil
}
