package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"flow/cmd/flow/internal/head"
	"flow/cmd/flow/internal/service"
	"flow/engine"
	"flow/engine/schedule"
	"flow/state"
)

const (
	// A copy of the state is published while runs are driven every while: what was begun since
	// is begun again by the next head if this one is killed. Large ones are less often.
	publishEvery = 30 * time.Second
	publishShare = 20 // at most one part in so many of the time
	// stuckFor is how long a head stays whose runs cannot go on.
	stuckFor = 15 * time.Minute
)

// headWork is what a head does that has the seat.
type headWork struct {
	*header
	seat *head.Seat
	dir  string // of the state

	db      *state.DB
	term    *state.Term
	fleet   *fleet
	stop    context.CancelFunc // of the fleet
	driving sync.WaitGroup
	ended   chan struct{}
	bundle  string // whose schedules are in the state
	wf      *loadedWorkflow
	flags   *runFlags
	dirty   bool // there is something in the state that has to be published before runs go on
	begin   []state.Run
	answers []head.Slot
	last    time.Time // when the state was published last
	took    time.Duration
	stuck   time.Time // since when no run can go on; zero: one can
}

// do works until there is nothing left to do: no slot waits, and no run can go on.
func (w *headWork) do(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	for {
		if err := w.round(ctx); err != nil {
			return err
		}
		busy, err := w.busy(ctx)
		if err != nil {
			return err
		}
		if !busy {
			return w.tell(ctx)
		}
		wait := w.timing.Poll
		if w.timing.Poll == head.Usual.Poll {
			wait *= 3 // one list each time
		}
		look := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			look.Stop()
			return ctx.Err()
		case <-w.ended:
		case <-look.C:
		}
		look.Stop()
		if since := time.Since(w.last); since >= publishEvery && since >= publishShare*w.took {
			w.dirty = true
		}
	}
}

// tell sends what there is to tell before the process ends: a slot that is missed has no run whose
// driver would. What cannot be sent within a while is for the next head.
func (w *headWork) tell(ctx context.Context) error {
	left, err := w.fleet.letters.try(ctx, ctx, "")
	if left {
		w.log.Warn("what could not be sent is tried again by the next head")
	}
	return err
}

// open restores the state, and takes up runs that are not over.
func (w *headWork) open(ctx context.Context) error {
	path := filepath.Join(w.dir, stateFile)
	restored, err := w.seat.Restore(ctx, path)
	if err != nil {
		return err
	}
	if w.db, err = state.Open(path, state.Options{Now: w.a.now}); err != nil {
		return err
	}
	if w.term, err = w.takeTerm(ctx); err != nil {
		return err
	}
	w.ended = make(chan struct{}, 1)
	w.fleet = w.a.newFleet(w.db, fleetOptions{Log: w.log, Ended: func(engine.RunID) { w.wake() }})
	inside, stop := context.WithCancel(ctx)
	w.stop = stop
	w.driving.Go(func() { w.fleet.run(inside) })
	w.last = time.Now()
	if !restored {
		return nil
	}
	left, err := w.db.Entrusted(ctx)
	if err != nil {
		return err
	}
	for i := range left {
		row := left[i].Row
		if sum := bundleOf(row.Dir); sum != "" {
			if _, err := unpack(ctx, w.place, sum); err != nil {
				return err
			}
		}
		w.log.Info("going on with a run", "run", row.ID, "slot", row.Slot)
		w.fleet.take(row)
	}
	return nil
}

func (w *headWork) wake() {
	select {
	case w.ended <- struct{}{}:
	default:
	}
}

// takeTerm takes the term of the service in the state. Who had it is gone, since this process has
// the seat, but of one on another host the state knows it only once its beats are missed.
func (w *headWork) takeTerm(ctx context.Context) (*state.Term, error) {
	for {
		term, err := w.db.TakeTerm(ctx, state.ServiceTerm, state.Self(version()))
		var held *state.TermHeldError
		if !errors.As(err, &held) {
			return term, err
		}
		if err := w.timing.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// round decides what becomes of slots, publishes the state if there is something new in it, and
// only then lets new runs begin and removes slots that it knows of.
func (w *headWork) round(ctx context.Context) error {
	if err := w.term.Renew(ctx); err != nil {
		return err
	}
	asked, err := w.place.Asked(ctx)
	if err != nil {
		return err
	}
	for i := range asked {
		if err := w.take(ctx, &asked[i]); err != nil {
			return err
		}
	}
	w.answers = asked
	if err := w.start(ctx); err != nil {
		return err
	}
	if w.dirty || len(w.answers) > 0 {
		if err := w.publish(ctx); err != nil {
			return err
		}
	}
	for _, row := range w.begin {
		w.fleet.take(row)
	}
	w.begin = nil
	return w.place.Answered(ctx, w.answers...)
}

// take records a slot that was asked for, with what its schedule says becomes of it.
func (w *headWork) take(ctx context.Context, s *head.Slot) error {
	if err := w.read(ctx, s.Bundle); err != nil {
		return err
	}
	c, err := w.db.Schedule(ctx, w.wf.program.Workflow.Name+"/"+s.Schedule)
	if errors.Is(err, engine.ErrNotFound) || err == nil && c.Gone {
		w.log.Warn("a slot of a schedule that is not there any more", "schedule", s.Schedule, "slot", s.Time)
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := w.db.SlotAt(ctx, c.ID, s.Time); !errors.Is(err, engine.ErrNotFound) {
		return err // it was delivered before
	}
	times, err := schedule.Parse(&c.Spec)
	if err != nil {
		return err
	}
	r, err := w.record(ctx, &c)
	if err != nil {
		return err
	}
	// The first slot is older than the state that learns of it, and one may come after a later
	// one.
	before := s.Time.Add(-time.Second)
	if r.Since.After(before) {
		r.Since = before
	}
	if r.Upto.After(before) {
		r.Upto = before
	}
	// It is on time whenever the head has come to run: it was submitted in time.
	v := schedule.Decide(times, c.Full(), r, s.Time.Add(times.Jitter(c.Full(), s.Time)))
	slots := make([]state.Slot, len(v.Slots))
	for i, d := range v.Slots {
		slots[i] = state.Slot{Time: d.Slot, Due: d.Due, Status: state.SlotStatus(d.Status), Reason: d.Reason, Late: d.Late}
		w.log.Info("a slot", "schedule", s.Schedule, "slot", d.Slot, "status", d.Status, "why", d.Reason)
	}
	return w.db.DecideSlots(ctx, w.term, c.ID, v.Upto, slots)
}

// read reads the workflow in a bundle, and records its schedules.
func (w *headWork) read(ctx context.Context, sum string) error {
	if sum == w.bundle {
		return nil
	}
	u, err := unpack(ctx, w.place, sum)
	if err != nil {
		return err
	}
	wf, flags, err := w.a.bundled(u)
	if err != nil {
		return err
	}
	if wf.mistakes.HasErrors() {
		return fmt.Errorf("the workflow cannot be used: %w", wf.mistakes)
	}
	is := wf.program.Workflow
	if err := w.db.PutSchedules(ctx, w.term, w.place.URI, is.Name, is.Schedules, wf.program.Notices(flags.input(nil))); err != nil {
		return err
	}
	w.bundle, w.wf, w.flags = sum, wf, flags
	return nil
}

// record is what is known of a schedule.
func (w *headWork) record(ctx context.Context, c *state.Schedule) (schedule.Record, error) {
	waiting, active, err := w.db.Record(ctx, c.ID)
	return service.RecordOf(c, waiting, active), err
}

// start creates the runs that may start now, and asks for the end of those that are in their way.
func (w *headWork) start(ctx context.Context) error {
	all, err := w.db.Schedules(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if err := w.startOf(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *headWork) startOf(ctx context.Context, c *state.Schedule) error {
	if c.Gone {
		return nil
	}
	times, err := schedule.Parse(&c.Spec)
	if err != nil {
		return err
	}
	r, err := w.record(ctx, c)
	if err != nil || len(r.Waiting) == 0 {
		return err
	}
	now := w.a.now().UTC()
	r.Upto = now // new slots come from EventBridge Scheduler alone
	v := schedule.Decide(times, c.Full(), r, now)
	var missed []state.Slot
	for _, d := range v.Slots {
		missed = append(missed, state.Slot{Time: d.Slot, Due: d.Due, Status: state.SlotStatus(d.Status), Reason: d.Reason, Late: d.Late})
	}
	if len(missed) > 0 {
		w.dirty = true
		if err := w.db.DecideSlots(ctx, w.term, c.ID, c.Upto, missed); err != nil {
			return err
		}
	}
	for _, run := range v.Cancel {
		if _, err := w.db.AddRequest(ctx, run, state.RequestCancel, "replaced by the next slot of "+c.Full()); err != nil {
			return err
		}
	}
	for _, at := range v.Start {
		if err := w.startSlot(ctx, c, times, at); err != nil {
			return err
		}
	}
	return nil
}

// startSlot creates the run of a slot. If that is not possible, the slot is missed: the next head
// would not fare better.
func (w *headWork) startSlot(ctx context.Context, c *state.Schedule, times *schedule.Times, at time.Time) error {
	if w.wf == nil { // it waits since an earlier head
		if err := w.read(ctx, w.slot.Bundle); err != nil {
			return err
		}
	}
	w.dirty = true
	slot := &engine.Slot{Schedule: c.Spec.Name, Time: at.UTC(), TimeZone: cmp.Or(c.Spec.TimeZone, "UTC")}
	id, err := w.a.createRun(ctx, w.db, w.wf, w.flags, runStart{
		Slot: slot, Claim: &state.SlotClaim{Schedule: c.ID, Time: at, Term: w.term}, Entrust: true,
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.log.Error("no run could be created", "schedule", c.Spec.Name, "slot", at, "error", err)
		return w.db.DecideSlots(ctx, w.term, c.ID, c.Upto, []state.Slot{{
			Time: at, Due: at.Add(times.Jitter(c.Full(), at)), Status: state.SlotMissed, Reason: "its run could not be created: " + err.Error(),
		}})
	}
	row, err := w.db.Run(ctx, id)
	if err != nil {
		return err
	}
	w.log.Info("starting a run", "schedule", c.Spec.Name, "slot", at, "run", id)
	w.begin = append(w.begin, row)
	return nil
}

// busy reports whether a run goes on. The error is that none has been able to for long.
func (w *headWork) busy(ctx context.Context) (bool, error) {
	if !w.fleet.busy() {
		return false, nil
	}
	left, err := w.db.Entrusted(ctx)
	if err != nil {
		return true, err
	}
	troubled := len(left) > 0 && !slices.ContainsFunc(left, func(e state.Entrusted) bool { return e.Trouble == "" })
	switch {
	case !troubled || w.fleet.drives():
		w.stuck = time.Time{}
	case w.stuck.IsZero():
		w.stuck = time.Now()
	case time.Since(w.stuck) > stuckFor:
		return true, errRuns
	}
	return true, nil
}

// publish makes the state as it is now what the next head has.
func (w *headWork) publish(ctx context.Context) error {
	begun := time.Now()
	file := filepath.Join(w.dir, "published.db")
	if err := w.db.BackupTo(ctx, file); err != nil {
		return err
	}
	err := errors.Join(w.seat.Publish(ctx, file), os.Remove(file))
	if err == nil {
		w.dirty, w.last, w.took = false, time.Now(), time.Since(begun)
	}
	return err
}

// end stops driving, looks what has become of the slot, and publishes the state, unless another
// head has it.
func (w *headWork) end(ctx context.Context, publish bool) (err error) {
	if w.fleet != nil {
		w.stop()
		w.driving.Wait()
	}
	if w.db == nil {
		return nil
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	if w.term == nil {
		return nil
	}
	if err := errors.Join(w.remember(ctx), w.term.Release(ctx)); err != nil || !publish {
		return err
	}
	return w.publish(ctx)
}

// remember notes what has become of the slot that this process is here for.
func (w *headWork) remember(ctx context.Context) error {
	if w.wf == nil {
		if err := w.read(ctx, w.slot.Bundle); err != nil {
			return err
		}
	}
	c, err := w.db.Schedule(ctx, w.wf.program.Workflow.Name+"/"+w.slot.Schedule)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	slot, err := w.db.SlotAt(ctx, c.ID, w.slot.Time)
	if errors.Is(err, engine.ErrNotFound) {
		w.mine = nil
		return nil
	}
	if err != nil {
		return err
	}
	if w.mine = &slot; slot.Run == "" {
		return nil
	}
	w.row, err = w.db.Run(ctx, w.mine.Run)
	return err
}

// busy reports whether the fleet has a run that may go on; drives, whether it drives one.
func (f *fleet) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if !m.rests {
			return true
		}
	}
	return false
}

func (f *fleet) drives() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.driven > 0
}
