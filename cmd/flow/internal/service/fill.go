package service

import (
	"context"
	"errors"
	"time"

	"flow/engine"
	"flow/state"
)

// A fill is a backfill that this service drives.
type fill struct {
	state.Backfill
	term *state.Term // of the backfill: somebody in a terminal may drive it instead
}

// fill begins runs of open backfills, if something has changed, or is to be tried again.
func (s *Service) fill(ctx context.Context, now time.Time, changed bool) error {
	if !changed && (s.fillDue.IsZero() || now.Before(s.fillDue)) {
		return nil
	}
	open, err := s.State.Backfills(ctx, true)
	if err != nil {
		return err
	}
	s.fillDue = time.Time{}
	found := map[int64]bool{}
	var errs []error
	for _, b := range open {
		if s.Backfill != 0 && b.ID != s.Backfill {
			continue
		}
		found[b.ID] = true
		f, err := s.fillOf(ctx, b)
		if err == nil && f == nil {
			s.fillDue = earlier(s.fillDue, now.Add(termEvery)) // whoever has it may go
			continue
		}
		if err == nil {
			err = s.fillUp(ctx, f, now)
		}
		errs = append(errs, err)
	}
	s.drop(ctx, found)
	s.done = s.Backfill != 0 && len(found) == 0
	return errors.Join(errs...)
}

// fillOf takes the term of a backfill; nil: somebody else has it.
func (s *Service) fillOf(ctx context.Context, b state.Backfill) (*fill, error) {
	if f := s.fills[b.ID]; f != nil {
		f.Backfill = b
		return f, nil
	}
	f := &fill{Backfill: b, term: s.term}
	if s.Backfill == 0 {
		term, err := s.State.TakeTerm(ctx, state.BackfillTerm(b.ID), s.Owner)
		if errors.As(err, new(*state.TermHeldError)) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		f.term = term
	}
	s.fills[b.ID] = f
	return f, nil
}

// fillUp begins runs of a backfill in the order of their slots, while there are fewer of it than
// may be at a time. One that cannot be created keeps those behind it waiting.
func (s *Service) fillUp(ctx context.Context, f *fill, now time.Time) error {
	waiting, active, err := s.State.BackfillRecord(ctx, f.ID)
	if err != nil || len(waiting) == 0 {
		return err
	}
	of, err := s.State.ScheduleByID(ctx, f.Schedule)
	if err != nil {
		return err
	}
	room := max(f.MaxParallel, 1) - len(active)
	for _, slot := range waiting {
		if room <= 0 {
			return nil
		}
		began, err := s.start(ctx, of, slot, f.term, now)
		t := s.troubles[keyOf(of.ID, slot.Time)]
		switch {
		case errors.Is(err, engine.ErrConflict):
			s.fillDue = earlier(s.fillDue, now.Add(lookEvery)) // it was cancelled, or its term is lost
			return s.confirmFill(ctx, f)
		case err != nil:
			return err
		case began:
			room--
			continue
		case now.Sub(t.first) < retryFor:
			s.fillDue = earlier(s.fillDue, t.next)
			return nil
		}
		if err := s.giveUp(ctx, f, slot, t); err != nil {
			return err
		}
	}
	return nil
}

// giveUp leaves a slot of a backfill without a run.
func (s *Service) giveUp(ctx context.Context, f *fill, slot state.Slot, t *trouble) error {
	slot.Status, slot.Reason = state.SlotMissed, "its run could not be created: "+t.text
	if err := s.State.DecideSlots(ctx, f.term, f.Schedule, time.Time{}, []state.Slot{slot}); err != nil {
		return err
	}
	delete(s.troubles, keyOf(f.Schedule, slot.Time))
	return nil
}

// confirmFill confirms the term of a backfill, and drops the backfill if the term is lost.
func (s *Service) confirmFill(ctx context.Context, f *fill) error {
	if f.term == s.term {
		return f.term.Renew(ctx)
	}
	err := f.term.Renew(ctx)
	if errors.Is(err, engine.ErrConflict) {
		delete(s.fills, f.ID)
		return nil
	}
	return err
}

// drop gives back the terms of backfills but the open ones. One that could not be given back is
// kept, and goes back the next time: as long as this process lives, nobody else can have it.
func (s *Service) drop(ctx context.Context, open map[int64]bool) {
	for id, f := range s.fills {
		if open[id] || f.term != s.term && f.term.Release(ctx) != nil {
			continue
		}
		delete(s.fills, id)
	}
}
