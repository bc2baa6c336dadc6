package main

import (
	"context"
	"time"

	"flow/engine"
)

// releaseAgain is how often to try to give a lease back.
const releaseAgain = time.Second

// driveRun takes a run up and drives it until it ends, rests, or ctx is done.
func (f *fleet) driveRun(ctx context.Context, m *member) (rests bool, err error) {
	row, err := f.db.Run(ctx, m.row.ID)
	if err != nil || !row.Ended.IsZero() {
		return false, err
	}
	wishes, err := f.db.Requests(ctx, row.ID, 0)
	if err != nil {
		return false, err
	}
	h := f.a.hushed()
	ends := row.Cancelling || len(wishes) > 0 // which takes no values of sensitive variables, as for flow cancel
	s, err := h.takeUp(ctx, f.db, row, &runFlags{sensitive: f.o.Vars}, ends)
	if err != nil {
		return false, h.spoken(err)
	}
	defer f.release(ctx, s)
	s.fleet = f
	f.mu.Lock()
	m.row, m.session = row, s
	f.mu.Unlock()
	log := f.o.Log.With("run", s.id, "workflow", s.program.Workflow.Name)
	show := s.a.newTeller()
	show.otherwise = func(text string) { log.Info(text) }
	x, err := s.openExecutor(ctx, show.tell)
	if err != nil {
		return false, h.spoken(err)
	}
	f.noteTrouble(ctx, m, "")
	verb := "goes on"
	if row.Seq <= 1 {
		verb = "begins"
	}
	log.Info("the run " + verb)
	run, interrupted, err := s.driveOn(ctx, f.patience, x, show)
	switch {
	case interrupted:
		f.tellStopped(log, s, run)
		return false, err
	case err != nil:
		return false, h.spoken(err)
	}
	tellEnd(log, run)
	return !run.Ended(), nil
}

// release gives the lease of a run back, however long the state cannot be written: as long as
// this process lives, nobody else could drive the run.
func (f *fleet) release(ctx context.Context, s *session) {
	again := time.NewTicker(releaseAgain)
	defer again.Stop()
	for {
		err := s.lease.Release(context.WithoutCancel(ctx))
		if err == nil || ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}

// secretOf returns what knows the sensitive variables of a run that is driven; nil: it is not.
func (f *fleet) secretOf(id engine.RunID) func(ref string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.members[id]; m != nil && m.session != nil {
		return m.session.secret
	}
	return nil
}
