package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"flow/engine"
	"flow/state"
)

// start begins the run of a slot that waits. It reports whether something came of it: if the run
// cannot be created, the reason is kept with the slot, and it is tried again later.
func (s *Service) start(ctx context.Context, of state.Schedule, slot state.Slot, term *state.Term, now time.Time) (bool, error) {
	key := keyOf(of.ID, slot.Time)
	if t := s.troubles[key]; t != nil && now.Before(t.next) {
		return false, nil
	}
	run, err := s.Start(ctx, Start{
		Schedule: of,
		Slot: engine.Slot{
			Schedule: of.Spec.Name, Time: slot.Time.UTC(), TimeZone: of.Spec.TimeZone,
			Backfill: slot.Kind == state.SlotBackfill, Manual: slot.Kind == state.SlotManual,
		},
		Params: slot.Params,
		Claim:  &state.SlotClaim{Schedule: of.ID, Time: slot.Time, Term: term},
	})
	s.beat()
	at := inZone(slot.Time, of.Spec.TimeZone)
	switch {
	case err == nil:
		delete(s.troubles, key)
		s.Log.Info("run begun", "schedule", of.Full(), "slot", at, "run", run)
		return true, nil
	case ctx.Err() != nil, errors.Is(err, engine.ErrConflict):
		return false, err
	}
	text := strings.TrimSpace(err.Error())
	t := s.troubles[key]
	if t == nil {
		t = &trouble{first: now}
		s.troubles[key] = t
	}
	t.next = now.Add(retryEvery)
	if t.text == text {
		return false, nil
	}
	t.text = text
	s.Log.Error("a run could not be created, which is tried again every minute", "schedule", of.Full(), "slot", at, "error", text)
	return false, s.State.SlotReason(ctx, term, of.ID, slot.Time, text)
}
