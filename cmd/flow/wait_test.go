package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// Wherever the end of the time is noticed, it is the end of the time, and no failure.
func TestStopped(t *testing.T) {
	a := &app{stderr: io.Discard}
	over, cancel := context.WithTimeoutCause(t.Context(), -time.Second, errWaited)
	defer cancel()
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		code int // 0: the error as it is
	}{
		"in time":      {t.Context(), broken, 0},
		"too late":     {over, fmt.Errorf("reading: %w", context.DeadlineExceeded), exitTimedOut},
		"broken, late": {over, broken, 0},
		"well":         {over, nil, 0},
	} {
		err := a.stopped(test.ctx, test.err)
		var exit *exitError
		if test.code == 0 && !errors.Is(err, test.err) || test.code != 0 && (!errors.As(err, &exit) || exit.code != test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
