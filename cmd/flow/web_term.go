package main

import (
	"context"
	"sync"
	"time"

	"flow/state"
)

// A termWatch notices that the service is gone, or that there is another one: a process that is
// killed records nothing.
type termWatch struct {
	mu     sync.Mutex
	asked  time.Time
	holder state.Owner // the zero one: nobody
	news   int64
}

// version changes when another one has the term, or nobody any more. It asks once a second.
func (w *termWatch) version(ctx context.Context, db *state.DB, now time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.asked) < driverLook {
		return w.news
	}
	held, err := db.TermHolder(ctx, state.ServiceTerm)
	if err != nil {
		return w.news
	}
	var holder state.Owner
	if held != nil {
		holder = held.Owner
	}
	if holder != w.holder && !w.asked.IsZero() {
		w.news++
	}
	w.holder, w.asked = holder, now
	return w.news
}
