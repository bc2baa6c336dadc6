package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"flow/engine"
	"flow/state"
)

// A source has what pages show: the state, and the runs that were looked at last, folded. It
// only reads.
type source struct {
	a     *app
	state *state.DB
	seen  func(engine.RunID) []engine.Job // what is known of jobs beyond what is recorded; nil: nothing

	mu   sync.Mutex
	kept []*keptRun // the one used last comes last
}

// What is kept of runs: at most so many of them, with at most so many tasks in all, beside
// the one that is looked at. A task takes some hundred bytes.
const (
	keptRuns  = 64
	keptTasks = 250_000
)

// A keptRun is a run that is kept up to date. Who has its turn may look at past.
type keptRun struct {
	id    engine.RunID
	turn  chan struct{} // holds a token
	past  *past         // nil: it has not been loaded, or it was dropped
	tasks int           // of it, when it was looked at last; guarded by source.mu
}

// openSource opens the state of runs, and makes it first if there is none: somebody may start
// a run while pages are open.
func (a *app) openSource() (*source, error) {
	db, err := a.openState(true)
	if errors.Is(err, engine.ErrNotFound) || errors.Is(err, state.ErrVersion) {
		var made *state.DB // or brought up to date
		if made, err = a.openState(false); err != nil {
			return nil, err
		}
		if err := made.Close(); err != nil {
			return nil, err
		}
		db, err = a.openState(true)
	}
	if err != nil {
		return nil, err
	}
	return &source{a: a, state: db}, nil
}

// db returns the state, for lists.
func (s *source) db() *state.DB { return s.state }

func (s *source) close() error { return s.state.Close() }

// holder returns who drives a run; nil: nobody who is alive, or it cannot be told. Who only
// looks at it drives nothing.
func (s *source) holder(ctx context.Context, id engine.RunID) *state.HeldError {
	held, err := s.state.Holder(ctx, id)
	if err != nil || held != nil && held.Owner.Looks() {
		return nil
	}
	return held
}

// holders is holder for all runs.
func (s *source) holders(ctx context.Context) map[engine.RunID]*state.HeldError {
	held, err := s.state.Holders(ctx)
	if err != nil {
		return nil
	}
	maps.DeleteFunc(held, func(_ engine.RunID, e *state.HeldError) bool { return e.Owner.Looks() })
	return held
}

// run calls f with the run of that full id, up to date. Nobody else looks at it meanwhile; f
// must not keep what it is given. engine.ErrNotFound if there is no such run.
func (s *source) run(ctx context.Context, id string, f func(*past) error) error {
	row, err := s.state.Run(ctx, engine.RunID(id))
	if err != nil {
		s.forget(engine.RunID(id)) // it was removed
		return err
	}
	k := s.keep(row.ID)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-k.turn:
	}
	defer func() { k.turn <- struct{}{} }()
	if err := s.update(ctx, k, row); err != nil {
		k.past = nil
		return err
	}
	s.bound(k)
	if s.seen != nil {
		k.past.run.See(s.seen(row.ID))
	}
	return f(k.past)
}

// update brings a kept run up to date, or loads it.
func (s *source) update(ctx context.Context, k *keptRun, row state.Run) error {
	if k.past != nil {
		k.past.row = row
		if err := k.past.refresh(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		// Its events are not those that were folded: it was removed, and is another one now.
	}
	k.past = &past{db: s.state, row: row}
	return k.past.load(ctx, s.a)
}

// keep returns the kept run of that id, as the one used last.
func (s *source) keep(id engine.RunID) *keptRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(k *keptRun) bool { return k.id == id })
	if i < 0 {
		k := &keptRun{id: id, turn: make(chan struct{}, 1)}
		k.turn <- struct{}{}
		s.kept = append(s.kept, k)
		return k
	}
	k := s.kept[i]
	s.kept = append(slices.Delete(s.kept, i, i+1), k)
	return k
}

// bound forgets the runs that were not used for longest, until what is kept is not too much.
// Who still looks at one of them goes on doing so.
func (s *source) bound(used *keptRun) {
	tasks := 0
	for _, v := range used.past.run.Steps() {
		tasks += max(v.Size, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	used.tasks = tasks
	sum := 0
	for i := len(s.kept) - 1; i >= 0; i-- {
		k := s.kept[i]
		if sum += k.tasks; k != used && (sum > keptTasks || len(s.kept)-i > keptRuns) {
			sum -= k.tasks
			s.kept = slices.Delete(s.kept, i, i+1)
		}
	}
}

func (s *source) forget(id engine.RunID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(k *keptRun) bool { return k.id == id })
}

// now tells the time to pages.
func (s *source) now() time.Time { return s.a.now() }
