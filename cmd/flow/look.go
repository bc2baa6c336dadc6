package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"flow/engine"
	"flow/state"
)

const (
	lookTimeout = 30 * time.Second // how long a command that shows a run waits for AWS Batch
	lookEvery   = 2 * time.Second  // how often one that goes on showing it looks
)

// paramsOf reads what a run keeps of its command line.
func paramsOf(row state.Run) (p params, err error) {
	if row.Params == nil {
		return p, nil
	}
	if err := json.Unmarshal(row.Params, &p); err != nil {
		return p, fmt.Errorf("the stored options of run %s cannot be read: %w", row.ID, err)
	}
	return p, nil
}

// reach opens AWS Batch as it is for a past run, to look at its jobs.
func (a *app) reach(ctx context.Context, p *past) (executor, error) {
	kept, err := paramsOf(p.row)
	if err != nil {
		return nil, err
	}
	s := &session{a: a, takenUp: true, executor: batchExecutor, id: p.row.ID, batch: kept.Batch, site: kept.Batch.overSite(kept.Site), jobs: kept.Place}
	return s.openExecutor(ctx, a.newTeller().tell)
}

// undriven reports whether a run goes on in AWS Batch, and no process drives it.
func (p *past) undriven(ctx context.Context) bool {
	return p.row.Executor == batchExecutor && !p.run.Ended() && p.holder(ctx) == nil
}

// look takes in what the jobs of a run have done that goes on in AWS Batch, and that nobody
// drives. The error says why it could not look.
func (a *app) look(ctx context.Context, p *past) error {
	if !p.undriven(ctx) {
		return p.refresh(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	run, err := a.lookAt(ctx, p.row)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("AWS Batch did not answer within %s", lookTimeout)
	}
	missing := (*engine.MissingError)(nil)
	if run != nil && (err == nil || errors.As(err, &missing)) {
		p.run = run // it knows more than what is recorded: how many tasks of an array run
		return err
	}
	// What was recorded before something went wrong counts.
	if failed := p.refresh(context.WithoutCancel(ctx)); failed != nil {
		return failed
	}
	return err
}

// lookAt drives a run for one look at its jobs. Without a run somebody else drives it.
func (a *app) lookAt(ctx context.Context, row state.Run) (run *engine.Run, err error) {
	db, err := a.openState(false)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	l, err := a.newLookout(ctx, db, row)
	if err != nil {
		return nil, err
	}
	defer l.close(ctx)
	return l.look(ctx)
}

// peek asks how many tasks of arrays run, of a run that another process drives: its driver
// records them when they have ended.
func (a *app) peek(ctx context.Context, p *past) (err error) {
	if p.row.Executor != batchExecutor || p.run.Ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	x, err := a.reach(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close(ctx)) }()
	return p.run.Peek(ctx, x)
}

// asOf says that what is shown is not the newest, and why.
func asOf(ctx context.Context, p *past, why error) string {
	if missing := (*engine.MissingError)(nil); errors.As(why, &missing) {
		return "AWS Batch: " + missing.Error()
	}
	at := p.row.Created
	if e, err := p.db.Event(ctx, p.row.ID, p.run.Seq()); err == nil {
		at = e.At
	}
	return fmt.Sprintf("as of %s: %s", at.UTC().Format(time.RFC3339), firstLineOf(why))
}

// lookAgain takes in what has happened to a run whose logs are followed; what cannot be
// looked at now can be later.
func (l *logCommand) lookAgain(ctx context.Context, p *past) error {
	if now := l.now(); now.Sub(l.looked) >= lookEvery {
		l.looked = now
		if l.look(ctx, p) == nil || ctx.Err() != nil {
			return nil
		}
	}
	return p.refresh(ctx)
}

// later reports whether an error while reading a log is no reason to stop: logs that are
// followed can be read later. A person is told once.
func (l *logCommand) later(ctx context.Context, err error) bool {
	if l.jobs == nil || !l.follow || ctx.Err() != nil || errors.Is(err, syscall.EPIPE) {
		return false
	}
	if !l.told {
		l.told = true
		l.say("logs cannot be read, and it is tried again: %s", firstLineOf(err))
	}
	return true
}

// pollEvery is how often to look for more of the logs of a run on AWS Batch.
func (l *logCommand) pollEvery() time.Duration {
	if near, ok := l.jobs.(interface{ Near() bool }); ok && near.Near() {
		return followEvery
	}
	return followRemote
}
