package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"flow/dsl"
	"flow/engine"
	"flow/executor/local"
	"flow/state"
)

// A session is a run that this process drives: it holds the run's lease.
type session struct {
	a        *app
	db       *state.DB
	lease    *state.Lease
	home     string // directory of the state file
	program  *dsl.Program
	workflow *engine.Workflow // with what variables decide
	template engine.Template
	secret   func(ref string) (string, error)
	site     dsl.Site     // zero: none
	machine  machineFlags // with what the site says
	journal  string       // path of the local executor's journal
	id       engine.RunID
	created  time.Time

	// prepare, if not nil, changes the run before it is driven; see resume.
	prepare func(ctx context.Context, d *engine.Driver) error
}

// drive drives the run until it ends or ctx is done, and shows it meanwhile. It returns the
// ended run; the error carries an exit code if it did not end. It gives the lease back.
func (s *session) drive(ctx context.Context, title string) (run *engine.Run, err error) {
	defer func() {
		if failed := s.lease.Release(context.Background()); err == nil {
			err = failed // else it is most likely the same again
		}
	}()
	// The second Ctrl-C kills what does not want to end.
	patience, hurry := context.WithCancel(context.Background())
	defer hurry()
	s.a.atSecondSignal(hurry)
	executor, err := s.openExecutor()
	if err != nil {
		return nil, err
	}
	if !s.a.errTerm().Live {
		s.a.say("%s", title)
	}
	run, failure := s.watch(ctx, executor)
	interrupted := ctx.Err() != nil && (run == nil || !run.Ended())
	if interrupted {
		s.a.say("stopping what runs; Ctrl-C again to leave at once")
	}
	failure = errors.Join(failure, executor.Close(patience))
	if run != nil && run.Ended() {
		_ = os.Remove(s.journal) // there is nothing in it that could go on
	}
	switch {
	case interrupted:
		s.a.say("run %s is interrupted, nothing is lost. Go on with: flow resume %s", s.id, s.id)
		return nil, exit(exitInterrupted)
	case errors.Is(failure, engine.ErrConflict):
		return nil, &exitError{code: exitNotStarted, err: failure}
	case errors.As(failure, new(*usageError)):
		return nil, failure
	case failure != nil:
		return nil, fmt.Errorf("%w\nThe run is not over. Once this is mended, go on with: flow resume %s", failure, s.id)
	}
	return run, nil
}

// watch drives the run with its progress shown.
func (s *session) watch(ctx context.Context, executor engine.Executor) (run *engine.Run, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	follower := s.a.follow(func(t *engine.TaskStatus) []string { return logTailOf(t.Dir, logTail) })
	driver := s.driver(executor)
	driver.OnEvents = follower.events
	var beats sync.WaitGroup
	beats.Go(func() {
		if err := s.keepLease(ctx); err != nil {
			cancel(err)
		}
	})
	run, err = s.start(ctx, driver)
	cause := context.Cause(ctx)
	cancel(nil)
	beats.Wait()
	follower.close()
	switch {
	case errors.Is(cause, engine.ErrConflict):
		return run, cause
	case errors.Is(err, context.Canceled):
		return run, nil
	}
	return run, err
}

func (s *session) start(ctx context.Context, driver *engine.Driver) (*engine.Run, error) {
	if s.prepare != nil {
		if err := s.prepare(ctx, driver); err != nil {
			return nil, err
		}
	}
	for {
		run, err := driver.Drive(ctx, s.id)
		var removed *state.RemovedError
		if !errors.As(err, &removed) {
			return run, err
		}
		// flow clean was faster: look again for what is known.
	}
}

// keepLease confirms the lease until ctx is done, or until another driver has it. A state
// file that cannot be written for a while is the driver's concern.
func (s *session) keepLease(ctx context.Context) error {
	beat := time.NewTicker(state.LeaseBeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := s.lease.Renew(ctx); errors.Is(err, engine.ErrConflict) {
				return err
			}
		}
	}
}

// openExecutor opens the embedded Batch with the journal of this run.
func (s *session) openExecutor() (*local.Executor, error) {
	x, err := local.Open(local.Options{
		Journal: s.journal, Containers: s.machine.Containers,
		VCPUs: s.machine.VCPUs, MemoryMiB: s.machine.MemoryMiB, GPUs: s.machine.GPUs,
		Secret: s.secret, Memo: s.db,
	})
	var locked *local.LockedError
	if errors.As(err, &locked) {
		return nil, &exitError{code: exitNotStarted, err: err}
	}
	return x, err
}
