package service

import (
	"context"
	"errors"
	"time"

	"flow/engine"
	"flow/state"
)

// hold takes the term, or confirms it when that is due. It reports whether the service has it.
func (s *Service) hold(ctx context.Context, now time.Time) (bool, error) {
	if s.term != nil {
		if now.Sub(s.renewed) < state.LeaseBeat && !now.Before(s.renewed) {
			return true, nil
		}
		return s.term != nil, s.confirm(ctx, now)
	}
	name := state.ServiceTerm
	if s.Backfill != 0 {
		name = state.BackfillTerm(s.Backfill)
	}
	term, err := s.State.TakeTerm(ctx, name, s.Owner)
	var held *state.TermHeldError
	if errors.As(err, &held) {
		s.waitsFor(held)
		s.drop(ctx, nil)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.Log.Info("this service drives now", "term", name)
	s.term, s.renewed, s.holder = term, now, nil
	s.looked, s.filesDue = time.Time{}, time.Time{}
	s.applied, s.conflicts, s.troubles = map[string]string{}, map[string]string{}, map[slotKey]*trouble{}
	s.plans = map[int64]*plan{}
	if s.fills == nil { // else there may be terms in it that could not be given back
		s.fills = map[int64]*fill{}
	}
	return true, nil
}

// waitsFor says who has the term, once for each.
func (s *Service) waitsFor(held *state.TermHeldError) {
	if s.holder == nil || s.holder.Owner != held.Owner {
		s.Log.Info("another service drives; this one waits until it is gone", "pid", held.Owner.PID, "host", held.Owner.Host)
	}
	s.holder = held
}

// confirm confirms what the service holds. If the term is lost, it has none from then on.
func (s *Service) confirm(ctx context.Context, now time.Time) error {
	err := s.term.Renew(ctx)
	if errors.Is(err, engine.ErrConflict) {
		s.Log.Warn("another service has taken over", "error", err)
		s.drop(ctx, nil)
		s.term = nil
		return nil
	}
	if err != nil {
		return err
	}
	s.renewed = now
	for _, f := range s.fills {
		if f.term == s.term {
			continue
		}
		if err := s.confirmFill(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// release gives back what the service holds. If that cannot be recorded, whoever comes next finds
// that this process is gone.
func (s *Service) release(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	s.drop(ctx, nil)
	if s.term == nil {
		return
	}
	if err := s.term.Release(ctx); err != nil {
		s.Log.Warn("the term could not be given back", "error", err)
	}
	s.term = nil
}
