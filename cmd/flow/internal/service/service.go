// Package service fires the schedules of a state file: it finds the slots that are due, decides
// what becomes of them as their schedules say, and has runs begun. What it decides is in the state
// before it acts, and a run claims its slot in the transaction that creates it: so it can be
// killed at any moment, and whoever comes next goes on where it was.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"flow/engine"
	"flow/state"
)

// How often things are looked at.
const (
	lookEvery   = time.Second            // at most so often at what others have changed in the state
	newsEvery   = 50 * time.Millisecond  // the same, when something is known to have happened
	filesEvery  = 2 * time.Second        // at the files of workflows
	pollEvery   = 500 * time.Millisecond // for whether something is due: the clock of the machine may jump
	termEvery   = time.Second            // whether who holds the term is gone
	retryEvery  = time.Minute            // a run that could not be created is tried again
	retryFor    = time.Hour              // and given up, if its schedule does not say until when
	tellEvery   = 5 * time.Minute        // what goes wrong is told again
	decideMost  = 100                    // looks at a schedule in one tick: what remains is for the next one
	cancelCause = "replaced by the run of a later slot"
)

// State is what the service needs of a state file; [state.DB] is one.
type State interface {
	Version(ctx context.Context) (int64, error)

	TakeTerm(ctx context.Context, name string, owner state.Owner) (*state.Term, error)

	Schedules(ctx context.Context) ([]state.Schedule, error)
	PutSchedules(ctx context.Context, term *state.Term, path, workflow string, specs []*engine.Schedule, notices []*engine.Notice) error
	SetProblem(ctx context.Context, term *state.Term, path, text string) error
	KeepSources(ctx context.Context, term *state.Term, path string, files []state.Source) error
	ScheduleByID(ctx context.Context, id int64) (state.Schedule, error)

	Slots(ctx context.Context, f state.SlotFilter) ([]state.Slot, error)
	Record(ctx context.Context, id int64) (waiting []state.Slot, active []state.ActiveRun, err error)
	DecideSlots(ctx context.Context, term *state.Term, id int64, upto time.Time, slots []state.Slot) error
	SlotReason(ctx context.Context, term *state.Term, id int64, slot time.Time, reason string) error

	Backfills(ctx context.Context, open bool) ([]state.Backfill, error)
	BackfillRecord(ctx context.Context, id int64) (waiting []state.Slot, active []state.ActiveRun, err error)
}

// A Start asks for the run of a slot.
type Start struct {
	Schedule state.Schedule
	Slot     engine.Slot
	Params   json.RawMessage // of the slot: what whoever triggered it gave; nil: nothing
	// Claim is to be handed to the transaction that creates the run: it fails with
	// engine.ErrConflict, and creates nothing, if the slot has got a run meanwhile, or is not
	// to get one any more, or if the service has lost its term.
	Claim *state.SlotClaim
}

// A Service fires schedules while it holds the term of a state file. Its fields are set before
// it is used, and not changed. Its methods are for one goroutine.
type Service struct {
	State State
	Owner state.Owner
	// Files knows the workflows; nil: schedules are fired as they are in the state.
	Files Watcher
	// Start creates a run, and returns its id. Somebody else drives it. Errors are for people:
	// they are kept with the slot, and the run is tried again.
	Start func(ctx context.Context, s Start) (engine.RunID, error)
	// Cancel has a run end, whoever drives it.
	Cancel func(ctx context.Context, run engine.RunID, reason string) error
	// Lead is called when the service has got the term, in a goroutine of its own, until its
	// context is done; the term is given back after it has returned. nil: nothing.
	Lead func(ctx context.Context)
	// Beat is called after each look at what is to be done, whatever came of it, and after each
	// run that was begun, or could not be, since there may be many; nil: nothing.
	Beat func()
	// News receives when a run may have ended, so that what waits for it begins at once; nil: that
	// is seen a little later.
	News <-chan struct{}
	// Backfill is the only thing to do, if it is not 0: that backfill, and no schedules. Run
	// returns when it is done.
	Backfill int64

	Clock engine.Clock
	Log   *slog.Logger

	term    *state.Term
	renewed time.Time
	holder  *state.TermHeldError // who has the term instead; nil: nobody, as far as is known

	version  int64     // of the state, when it was last looked at
	unseen   bool      // it has changed since, too soon to look again
	looked   time.Time // when it was; zero: not since the term was taken
	hurried  bool      // there was News since
	filesDue time.Time
	fillDue  time.Time         // when backfills are to be looked at though nothing changes; zero: never
	applied  map[string]string // revision of a workflow that is in the state, by path
	// conflicts are why schedules of a workflow are not in the state though its files are well.
	conflicts map[string]string
	plans     map[int64]*plan
	fills     map[int64]*fill
	troubles  map[slotKey]*trouble
	done      bool // Backfill is over

	wrong     string // what the last look has failed with; "": it has not
	wrongTold time.Time
}

// A slotKey names a slot.
type slotKey struct {
	schedule int64
	at       int64 // its time, Unix milliseconds: somebody may ask twice in a second
}

// keyOf is the key of a slot of a schedule.
func keyOf(schedule int64, slot time.Time) slotKey { return slotKey{schedule, slot.UnixMilli()} }

// A trouble is a run that could not be created.
type trouble struct {
	first time.Time // when it was first tried
	next  time.Time // when it is tried again
	text  string
}

// Run fires schedules until ctx is done: it waits for the term, and for what is due. What goes
// wrong is logged, and tried again.
func (s *Service) Run(ctx context.Context) error {
	defer s.release(ctx)
	var lead *leader
	defer func() { lead.stop() }()
	for {
		wake, err := s.Tick(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := s.Clock.Now()
		if s.tell(err, now); err != nil {
			wake = now.Add(pollEvery)
		}
		s.beat()
		switch {
		case s.term == nil:
			lead.stop()
			lead = nil
		case lead == nil && s.Lead != nil:
			lead = lead.begin(ctx, s.Lead)
		}
		if s.done {
			return nil
		}
		news := s.Clock.Wait(ctx, min(max(s.until(wake, now), 0), pollEvery), s.News)
		s.hurried = s.hurried || news
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (s *Service) beat() {
	if s.Beat != nil {
		s.Beat()
	}
}

// tell logs what went wrong with a look at what is to be done; nil: nothing. As long as that is
// the same, it is told seldom: there are two looks a second.
func (s *Service) tell(err error, now time.Time) {
	switch {
	case err == nil && s.wrong != "":
		s.wrong = ""
		s.Log.Info("schedules can be looked at again")
	case err != nil && (err.Error() != s.wrong || now.Sub(s.wrongTold) >= tellEvery):
		s.wrong, s.wrongTold = err.Error(), now
		s.Log.Error("schedules could not be looked at, which is tried again", "error", err)
	}
}

// until is how long to wait for a time.
func (s *Service) until(wake, now time.Time) time.Duration {
	if wake.IsZero() {
		return pollEvery
	}
	return wake.Sub(now)
}

// A leader is a call of Lead that goes on.
type leader struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func (*leader) begin(ctx context.Context, lead func(context.Context)) *leader {
	ctx, cancel := context.WithCancel(ctx)
	l := &leader{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		lead(ctx)
	}()
	return l
}

func (l *leader) stop() {
	if l != nil {
		l.cancel()
		<-l.ended
	}
}

// Holder returns who holds the term if it is not this service; nil if it is.
func (s *Service) Holder() *state.TermHeldError { return s.holder }

// Leads reports whether the service holds the term, as far as it knows.
func (s *Service) Leads() bool { return s.term != nil }

// Tick does what is due: asking twice changes nothing. It returns when it wants to be called
// again at the latest, as far as is known now; zero: when something changes.
func (s *Service) Tick(ctx context.Context) (wake time.Time, err error) {
	now := s.Clock.Now()
	if held, err := s.hold(ctx, now); err != nil || !held {
		return now.Add(termEvery), err
	}
	if wake, err = s.work(ctx, now); errors.Is(err, engine.ErrConflict) {
		// A slot was taken, or its schedule changed by somebody, or the term is lost.
		return now.Add(lookEvery), s.confirm(ctx, now)
	}
	return wake, err
}

// work is Tick of a service that has the term.
func (s *Service) work(ctx context.Context, now time.Time) (wake time.Time, err error) {
	errs := []error{s.takeFiles(ctx, now)}
	look, err := s.changed(ctx, now)
	errs = append(errs, err)
	switch {
	case look:
		errs = append(errs, s.look(ctx))
	case err == nil && s.unseen:
		wake = s.looked.Add(s.every())
	}
	for _, p := range s.inOrder() {
		if p.dirty || !p.wake.IsZero() && !p.wake.After(now) {
			errs = append(errs, s.decide(ctx, p, now))
		}
		wake = earlier(wake, p.wake)
	}
	errs = append(errs, s.fill(ctx, now, look))
	return earlier(wake, s.fillDue), errors.Join(errs...)
}
