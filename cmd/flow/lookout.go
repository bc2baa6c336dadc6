package main

import (
	"context"
	"errors"

	"flow/engine"
	"flow/executor/batch"
	"flow/state"
)

// A lookout looks at the jobs of a run on AWS Batch as often as it is told to. It keeps its
// clients and credentials, and what it saw, from one look to the next. It is not safe for
// concurrent use.
type lookout struct {
	s       *session // which has its lease while it looks
	x       executor
	driver  *engine.Driver // nil: to be loaded
	run     *engine.Run    // of the driver
	trouble error          // of the look at hand
	told    string         // what was said of credentials last, and what is to be done; "": nothing
}

// newLookout gets ready to look. It needs no lease, and makes no call of AWS Batch.
func (a *app) newLookout(ctx context.Context, db *state.DB, row state.Run) (*lookout, error) {
	s, info, err := a.loadSession(ctx, db, row, &runFlags{})
	if err != nil {
		return nil, err
	}
	s.bindStored(info.Variables)
	s.looks = true
	l := &lookout{s: s}
	l.x, err = s.openExecutor(ctx, func(text string) { l.told = text })
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *lookout) close(ctx context.Context) error { return l.x.Close(ctx) }

// near reports whether AWS Batch is on this machine.
func (l *lookout) near() bool {
	b, ok := l.x.(batchJobs)
	return ok && b.Near()
}

// see asks how far jobs are, and needs no lease.
func (l *lookout) see(ctx context.Context, ids []engine.JobID) ([]engine.Job, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	jobs, err := l.x.Describe(ctx, ids)
	return jobs, l.plain(err)
}

// plain is an error as a person is told it: of credentials with what is to be done.
func (l *lookout) plain(err error) error {
	if err != nil && l.told != "" && batch.LoggedOut(err) {
		return &loggedOutError{l.told, err}
	}
	return err
}

// A loggedOutError is about credentials, and says what is to be done.
type loggedOutError struct {
	text string
	err  error
}

func (e *loggedOutError) Error() string { return e.text }
func (e *loggedOutError) Unwrap() error { return e.err }

// look has the lease for a moment, and records what the jobs have done. Without a run somebody
// else drives it.
func (l *lookout) look(ctx context.Context) (run *engine.Run, err error) {
	err = l.s.acquire(ctx)
	if held := (*state.HeldError)(nil); errors.As(err, &held) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer l.s.giveBack(&err)
	l.trouble = nil
	if err = l.load(ctx); err == nil {
		err = l.driver.Look(ctx)
	}
	run = l.run
	if err = errors.Join(err, l.trouble); err != nil {
		l.driver, l.run = nil, nil // it may have taken in more than is recorded, and tells of trouble once
	}
	return run, l.plain(err)
}

// load gets a driver with the run as it is recorded: the one of the last look, if nobody has
// recorded anything since.
func (l *lookout) load(ctx context.Context) (err error) {
	if l.driver != nil {
		row, err := l.s.db.Run(ctx, l.s.id)
		if err != nil {
			return err
		}
		if l.run.Seq() == row.Seq {
			l.driver.Log = l.s.lease
			return nil
		}
	}
	l.driver = l.s.driver(l.x)
	l.driver.OnTrouble = func(_ string, err error) {
		if l.trouble == nil {
			l.trouble = err
		}
	}
	l.run, err = l.driver.Load(ctx, l.s.id)
	return err
}
