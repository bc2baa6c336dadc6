package service

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"flow/engine"
	"flow/engine/schedule"
	"flow/state"
)

// A plan is a schedule, and when it is to be looked at.
type plan struct {
	state.Schedule
	times *schedule.Times
	wake  time.Time // zero: now
	dirty bool      // something may have changed, or waits
}

// changed reports whether the state may have changed since it was looked at, and it is time to look.
func (s *Service) changed(ctx context.Context, now time.Time) (bool, error) {
	version, err := s.State.Version(ctx)
	if err != nil {
		return false, err
	}
	s.unseen = s.looked.IsZero() || version != s.version
	if age := now.Sub(s.looked); !s.unseen || age >= 0 && age < s.every() {
		return false, nil
	}
	s.version, s.looked, s.unseen, s.hurried = version, now, false, false
	return true, nil
}

// every is how often to look at most at what has changed in the state.
func (s *Service) every() time.Duration {
	if s.hurried {
		return newsEvery
	}
	return lookEvery
}

// look finds the schedules that there are, and those of which something waits.
func (s *Service) look(ctx context.Context) error {
	if s.Backfill != 0 {
		return nil
	}
	rows, err := s.State.Schedules(ctx)
	if err != nil {
		return err
	}
	waiting, err := s.State.Slots(ctx, state.SlotFilter{Status: []state.SlotStatus{state.SlotWaiting}})
	if err != nil {
		return err
	}
	plans := make(map[int64]*plan, len(rows))
	var errs []error
	for _, row := range rows {
		p, err := s.planOf(row)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		plans[row.ID] = p
	}
	s.plans = plans
	s.forget(waiting)
	for _, slot := range waiting {
		if p := plans[slot.Schedule]; p != nil && slot.Kind != state.SlotBackfill {
			p.dirty = true
		}
	}
	return errors.Join(errs...)
}

// forget forgets the troubles of slots that wait no more: somebody has cancelled them, and may
// ask for them again.
func (s *Service) forget(waiting []state.Slot) {
	if len(s.troubles) == 0 {
		return
	}
	left := make(map[slotKey]*trouble, len(s.troubles))
	for i := range waiting {
		key := keyOf(waiting[i].Schedule, waiting[i].Time)
		if t := s.troubles[key]; t != nil {
			left[key] = t
		}
	}
	s.troubles = left
}

// planOf returns the plan of a schedule: the one that there is, unless it has changed.
func (s *Service) planOf(row state.Schedule) (*plan, error) {
	old := s.plans[row.ID]
	if old != nil && samePlan(old.Schedule, row) {
		old.Schedule = row
		return old, nil
	}
	times, err := schedule.Parse(&row.Spec)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", row.Full(), err)
	}
	return &plan{Schedule: row, times: times, dirty: true}, nil
}

// samePlan reports whether what a schedule is decided by is the same in b as it was in a.
func samePlan(a, b state.Schedule) bool {
	a.Spec.Pos, b.Spec.Pos = engine.Pos{}, engine.Pos{}
	return reflect.DeepEqual(a.Spec, b.Spec) && a.Paused.Equal(b.Paused) && a.Gone == b.Gone && a.Workflow == b.Workflow &&
		a.Path == b.Path && a.Since.Equal(b.Since) && !b.Upto.After(a.Upto)
}

// inOrder returns the plans by their names, so that one state gives one order of what is done.
func (s *Service) inOrder() []*plan {
	out := make([]*plan, 0, len(s.plans))
	for _, p := range s.plans {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *plan) int { return strings.Compare(a.Full(), b.Full()) })
	return out
}

// decide decides what is due of a schedule, and begins the runs of slots that wait.
func (s *Service) decide(ctx context.Context, p *plan, now time.Time) error {
	for range decideMost {
		v, waiting, err := s.judge(ctx, p, now)
		if err != nil {
			return err
		}
		p.wake = v.Wake
		if len(v.Slots) > 0 {
			if err := s.keep(ctx, p, v, waiting); err != nil {
				return err
			}
			continue // with what is in the state now
		}
		if err := s.makeRoom(ctx, p, v.Cancel); err != nil {
			return err
		}
		began := false
		for _, slot := range waiting {
			if !slices.ContainsFunc(v.Start, slot.Time.Equal) {
				continue
			}
			ok, err := s.start(ctx, p.Schedule, slot, s.term, now)
			if err != nil {
				return err
			}
			began = began || ok
			if t := s.troubles[keyOf(p.ID, slot.Time)]; t != nil {
				p.wake = earlier(p.wake, t.next)
			}
		}
		if !began {
			p.dirty = false
			return nil
		}
	}
	p.dirty, p.wake = true, now
	return nil
}

// judge says what is to become of the slots of a schedule, and returns those that wait.
func (s *Service) judge(ctx context.Context, p *plan, now time.Time) (v schedule.Verdict, waiting []state.Slot, err error) {
	waiting, active, err := s.State.Record(ctx, p.ID)
	if err != nil {
		return v, nil, err
	}
	r := s.recordOf(p, waiting, active)
	if v = schedule.Decide(p.times, p.Full(), r, now); len(v.Slots) == 0 {
		return v, waiting, nil
	}
	taken, err := s.State.Slots(ctx, state.SlotFilter{Schedule: p.ID, After: p.Upto})
	if err != nil || len(taken) == 0 {
		return v, waiting, err
	}
	for _, slot := range taken {
		r.Taken = append(r.Taken, slot.Time)
	}
	return schedule.Decide(p.times, p.Full(), r, now), waiting, nil
}

// keep records what was decided.
func (s *Service) keep(ctx context.Context, p *plan, v schedule.Verdict, waiting []state.Slot) error {
	slots := make([]state.Slot, len(v.Slots))
	for i, d := range v.Slots {
		slots[i] = state.Slot{Time: d.Slot, Due: d.Due, Kind: state.SlotCron, Status: state.SlotStatus(d.Status), Reason: d.Reason, Late: d.Late}
		for _, w := range waiting {
			if w.Time.Equal(d.Slot) {
				slots[i].Kind = w.Kind
			}
		}
	}
	upto := v.Upto
	if upto.Before(p.Upto) {
		upto = p.Upto
	}
	if err := s.State.DecideSlots(ctx, s.term, p.ID, upto, slots); err != nil {
		return err
	}
	p.Upto = upto
	for _, d := range v.Slots {
		if d.Status == schedule.Waiting {
			continue // it is told when it has its run, or none
		}
		delete(s.troubles, keyOf(p.ID, d.Slot))
		s.Log.Warn("a slot gets no run", "schedule", p.Full(), "slot", inZone(d.Slot, p.Spec.TimeZone), "status", string(d.Status), "reason", d.Reason)
	}
	return nil
}

// makeRoom cancels runs for which a later slot waits.
func (s *Service) makeRoom(ctx context.Context, p *plan, runs []engine.RunID) error {
	for _, run := range runs {
		if err := s.Cancel(ctx, run, cancelCause); err != nil {
			return fmt.Errorf("run %s of schedule %s could not be cancelled: %w", run, p.Full(), err)
		}
		s.Log.Info("a later slot replaces a run, which is cancelled", "schedule", p.Full(), "run", run)
	}
	return nil
}

// recordOf is what is known of a schedule.
func (s *Service) recordOf(p *plan, waiting []state.Slot, active []state.ActiveRun) schedule.Record {
	r := RecordOf(&p.Schedule, waiting, active)
	for i := range waiting {
		if t := s.troubles[keyOf(p.ID, waiting[i].Time)]; t != nil {
			r.Waiting[i].Tried, r.Waiting[i].Problem = t.first, t.text
		}
	}
	return r
}

// RecordOf is what the state knows of a schedule, as [schedule.Decide] takes it.
func RecordOf(c *state.Schedule, waiting []state.Slot, active []state.ActiveRun) schedule.Record {
	r := schedule.Record{Since: c.Since, Upto: c.Upto, Off: c.Off()}
	for _, w := range waiting {
		r.Waiting = append(r.Waiting, schedule.WaitingSlot{Slot: w.Time, Due: w.Due, Late: w.Late, Manual: w.Kind == state.SlotManual})
	}
	for _, a := range active {
		r.Active = append(r.Active, schedule.ActiveRun{Run: a.Run, Cancelling: a.Cancelling})
	}
	return r
}

// earlier returns the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// inZone writes a time as the clocks of a time zone show it.
func inZone(t time.Time, zone string) string {
	if loc, err := schedule.Zone(zone); err == nil {
		t = t.In(loc)
	}
	return t.Format(time.RFC3339)
}

// settle decides what is due of a schedule that is about to change, and that it is decided up to now.
func (s *Service) settle(ctx context.Context, p *plan, now time.Time) error {
	if err := s.decide(ctx, p, now); err != nil || !p.Upto.Before(now) {
		return err
	}
	v, waiting, err := s.judge(ctx, p, now)
	if err != nil {
		return err
	}
	return s.keep(ctx, p, v, waiting)
}
