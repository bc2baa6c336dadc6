package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"flow/engine"
	"flow/executor/local"
	"flow/state"
)

// fleetOptions say how a fleet drives runs.
type fleetOptions struct {
	Log  *slog.Logger
	Room *local.Room // that runs on this machine share; nil: each has all of it
	// Most is how many runs are driven at a time; the others wait, the oldest first. 0: mostDriven.
	Most int
	// Entrusted has the fleet look for runs that are entrusted to the service and that nobody
	// drives. Else it drives only what take tells it to.
	Entrusted bool
	// Vars are what -var says of sensitive variables, which are not kept with runs.
	Vars varFlags
	// Ended, if not nil, is called when a run has ended, or rests since it is paused, and its
	// lease is given back.
	Ended func(run engine.RunID)
}

const (
	// mostDriven is how many runs a fleet drives at a time unless told otherwise.
	mostDriven = 200
	// fleetLook is how often a fleet looks whether another process has entrusted a run, and
	// fleetSearch how often whether a driver has died: that changes nothing in the state file.
	fleetLook   = 500 * time.Millisecond
	fleetSearch = 2 * time.Second
	// What goes wrong with a run is tried again after firstSetback, and twice as long each time
	// up to lastSetback.
	firstSetback = 5 * time.Second
	lastSetback  = 5 * time.Minute
)

// A fleet drives many runs in one process, without a terminal: each with a lease, an executor
// and a driver of its own, as flow run does. It is safe for concurrent use.
type fleet struct {
	a       *app
	db      *state.DB
	o       fleetOptions
	letters *courier
	wishes  *wishes
	poke    chan struct{} // there may be something to do
	setback time.Duration // the first one

	patience context.Context // until when what stops may take its time

	mu      sync.Mutex
	members map[engine.RunID]*member
	driven  int
	left    leftBehind
}

// A member is a run that a fleet drives, or is to.
type member struct {
	row     state.Run
	driven  bool
	session *session  // while it is driven; nil: it is being taken up
	due     time.Time // after setbacks: not before
	tries   int       // that failed
	rests   bool      // there is nothing to do until something happens to it
	trouble string    // that the state has of it; for who drives it, or tries to
	wished  bool      // somebody wants it to be cancelled
}

// newFleet returns a fleet that drives runs of a state file once run is called.
func (a *app) newFleet(db *state.DB, o fleetOptions) *fleet {
	o.Most = cmp.Or(o.Most, mostDriven)
	f := &fleet{
		a: a, db: db, o: o, wishes: &wishes{db: db}, poke: make(chan struct{}, 1), setback: firstSetback,
		patience: context.Background(), members: map[engine.RunID]*member{},
	}
	f.letters = a.newCourier(db, func(text string) { o.Log.Warn(text) })
	f.letters.secretOf = f.secretOf
	return f
}

// take has the fleet drive a run, in its turn, if nobody does.
func (f *fleet) take(row state.Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	trouble := ""
	if m := f.members[row.ID]; m != nil {
		trouble = m.trouble
	}
	f.want(state.Entrusted{Row: row, Trouble: trouble})
	f.hurry()
}

// want makes a run a member, as the state has it. The caller holds the lock.
func (f *fleet) want(e state.Entrusted) {
	m := f.members[e.Row.ID]
	switch {
	case m == nil:
		f.members[e.Row.ID] = &member{row: e.Row, trouble: e.Trouble, wished: e.Wished}
	case m.driven:
	case m.row.Seq != e.Row.Seq, m.trouble != "" && e.Trouble == "", e.Wished && !m.wished:
		// Something has happened to it, or somebody has entrusted it anew, or wants it to be
		// cancelled, also while it rests: perhaps it goes now.
		m.row, m.trouble, m.wished, m.rests, m.due = e.Row, e.Trouble, e.Wished, false, time.Time{}
	}
}

// takeEntrusted takes the runs that are entrusted to the service and that nobody drives.
func (f *fleet) takeEntrusted(ctx context.Context) error {
	all, err := f.db.Entrusted(ctx)
	if err != nil {
		return err
	}
	there := map[engine.RunID]bool{}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range all {
		there[all[i].Row.ID] = true
		f.want(all[i])
	}
	for id, m := range f.members {
		if m.rests && !there[id] { // a person goes on with it, or it was removed
			delete(f.members, id)
		}
	}
	return nil
}

func (f *fleet) hurry() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// run drives runs until ctx is done, and then stops: of those on this machine what runs is
// stopped, and goes on with the next driver; jobs on AWS Batch go on. It returns when all is
// stopped and no lease is held. A second signal kills what does not want to end.
func (f *fleet) run(ctx context.Context) {
	patience, hurry := context.WithCancel(context.WithoutCancel(ctx))
	defer hurry()
	f.patience = patience
	f.a.atSecondSignal(hurry)
	var all sync.WaitGroup
	all.Go(func() { f.letters.loop(patience, ctx) })
	look := time.NewTicker(fleetLook)
	defer look.Stop()
	search := f.search()
	for ctx.Err() == nil {
		if f.o.Entrusted {
			search(ctx)
		}
		for m := f.next(); m != nil; m = f.next() {
			all.Go(func() { f.drive(ctx, m) })
		}
		select {
		case <-ctx.Done():
		case <-f.poke:
		case <-look.C:
		}
	}
	f.tellStop()
	all.Wait()
	f.tellLeft()
}

// search returns a function that takes what is entrusted, if there may be something new.
func (f *fleet) search() func(context.Context) {
	var seen int64
	var searched time.Time
	failing := false
	return func(ctx context.Context) {
		now, changed, err := f.db.Changed(ctx, seen)
		if err == nil && !changed && time.Since(searched) < fleetSearch {
			return
		}
		if err == nil {
			err = f.takeEntrusted(ctx)
		}
		if err == nil {
			seen, searched = now, time.Now()
		} else if !failing && ctx.Err() == nil {
			f.o.Log.Error("it cannot be seen which runs are to be driven, and is tried again", "error", err)
		}
		failing = err != nil
	}
}

// next returns the run whose turn it is, and counts it as driven; nil: there is none, or no
// more can be driven now.
func (f *fleet) next() *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.driven >= f.o.Most {
		return nil
	}
	now := time.Now()
	var first *member
	for _, m := range f.members {
		if !m.driven && !m.rests && !m.due.After(now) && (first == nil || m.row.ID < first.row.ID) {
			first = m
		}
	}
	if first != nil {
		first.driven = true
		f.driven++
	}
	return first
}

// drive drives a run as far as it goes, and notes what is to become of it.
func (f *fleet) drive(ctx context.Context, m *member) {
	rests, err := f.driveRun(ctx, m)
	if ctx.Err() == nil {
		f.after(ctx, m, rests, err)
	}
}

// after notes what is to become of a run that is not driven any more, and why.
func (f *fleet) after(ctx context.Context, m *member, rests bool, err error) {
	id := m.row.ID
	switch {
	case err == nil:
		f.leave(ctx, m, rests)
		if f.o.Ended != nil {
			f.o.Ended(id)
		}
	case !f.ours(ctx, id, err):
		f.leave(ctx, m, false)
	default:
		f.later(ctx, m, err)
	}
	f.hurry()
}

// ours reports whether a run that could not go on is to be tried again: it is not if somebody has
// removed it, or drives it. What is not found, or in conflict, may be something else as well.
func (f *fleet) ours(ctx context.Context, id engine.RunID, why error) bool {
	if errors.As(why, new(*state.HeldError)) {
		return false
	}
	if !errors.Is(why, engine.ErrNotFound) && !errors.Is(why, engine.ErrConflict) {
		return true
	}
	held, err := f.db.Holder(ctx, id)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return false
	case err == nil && held != nil:
		f.o.Log.Warn("somebody else drives the run from now on", "run", id, "error", why)
		return false
	}
	return true
}

// leave notes that nobody drives a run here any more: it has ended, or rests, or is not ours.
func (f *fleet) leave(ctx context.Context, m *member, rests bool) {
	row, err := f.db.Run(ctx, m.row.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.driven--
	m.driven, m.session, m.tries = false, nil, 0
	if err == nil {
		m.row = row
	}
	if m.rests = rests; !rests {
		delete(f.members, m.row.ID)
	}
}

// later notes that a run cannot go on, and when that is tried again.
func (f *fleet) later(ctx context.Context, m *member, why error) {
	wait := lastSetback
	if m.tries < 10 {
		wait = min(f.setback<<m.tries, lastSetback)
	}
	f.o.Log.Error("the run cannot go on, and it is tried again", "run", m.row.ID, "workflow", m.row.Workflow, "in", wait, "error", why)
	f.noteTrouble(ctx, m, why.Error())
	row, err := f.db.Run(ctx, m.row.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.driven--
	m.driven, m.session = false, nil
	m.tries++
	m.due = time.Now().Add(wait)
	if err == nil {
		m.row = row
	}
}

// noteTrouble keeps in the state what keeps a run from going on; "": nothing.
func (f *fleet) noteTrouble(ctx context.Context, m *member, text string) {
	f.mu.Lock()
	same := text == m.trouble
	m.trouble = text
	f.mu.Unlock()
	if same {
		return
	}
	if err := f.db.EntrustTrouble(ctx, m.row.ID, text); err != nil && ctx.Err() == nil {
		f.o.Log.Warn("what keeps a run from going on cannot be kept in the state", "run", m.row.ID, "error", err)
	}
}
