package engine

import (
	"context"
	"time"
)

// A Clock tells the time and waits. The core itself does neither.
type Clock interface {
	Now() time.Time
	// Wait returns when d has passed, when changed receives, or when ctx is done. It
	// reports whether changed received.
	Wait(ctx context.Context, d time.Duration, changed <-chan struct{}) bool
}

// SystemClock is the clock of the machine.
type SystemClock struct{}

// Now returns the time.
func (SystemClock) Now() time.Time { return time.Now() }

// Wait waits.
func (SystemClock) Wait(ctx context.Context, d time.Duration, changed <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
		return true
	case <-ctx.Done():
	}
	return false
}
