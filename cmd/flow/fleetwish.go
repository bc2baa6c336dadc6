package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"flow/engine"
	"flow/state"
)

// wishLook is how often drivers of one process look for wishes together at most.
const wishLook = 100 * time.Millisecond

// wishes know of which runs other processes wish something. The drivers of a process share
// them: each asks several times a second, and there is one look for all.
type wishes struct {
	db *state.DB

	mu     sync.Mutex
	looked time.Time // zero: never
	seen   int64     // see state.DB.Changed
	of     []engine.RunID
}

// any reports whether there may be wishes to the driver of a run.
func (w *wishes) any(ctx context.Context, run engine.RunID) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) >= wishLook {
		now, changed, err := w.db.Changed(ctx, w.seen)
		if err != nil {
			return false, err
		}
		if changed || w.looked.IsZero() {
			if w.of, err = w.db.Wished(ctx); err != nil {
				return false, err
			}
		}
		w.seen, w.looked = now, time.Now()
	}
	return slices.Contains(w.of, run), nil
}

// requests is session.requests for a run of a fleet.
func (w *wishes) requests(s *session) func(context.Context) ([]engine.Request, error) {
	var after int64
	return func(ctx context.Context) ([]engine.Request, error) {
		if some, err := w.any(ctx, s.id); err != nil || !some {
			return nil, err
		}
		return s.newRequests(ctx, &after)
	}
}
