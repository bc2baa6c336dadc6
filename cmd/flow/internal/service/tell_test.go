package service

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestTell has a service that cannot look for hours say so once in a while, and that it can again.
func TestTell(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &Service{Log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)
	full, denied := errors.New("disk full"), errors.New("denied")
	told := func(want int, text string) {
		t.Helper()
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%q was told %d times, want %d:\n%s", text, n, want, &log)
		}
	}
	for range 1000 {
		s.tell(full, now)
		now = now.Add(pollEvery)
	}
	told(2, "disk full") // in 500 seconds
	s.tell(denied, now)
	told(1, "denied")
	s.tell(nil, now)
	s.tell(nil, now)
	told(1, "can be looked at again")
	s.tell(denied, now)
	told(2, "denied")
}
