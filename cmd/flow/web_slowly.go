package main

import (
	"context"
	"sync"
	"time"
)

// A slowly keeps what takes its time to find out: pages are made again and again, and do not
// wait for AWS.
type slowly struct {
	mu   sync.Mutex
	kept map[string]*slowFact
}

type slowFact struct {
	done  chan struct{} // closed: value and err are there
	value any
	err   error
	until time.Time // when it is to be found out anew; zero: never
}

const (
	slowPatience = 1500 * time.Millisecond // how long a page waits
	slowAgain    = 30 * time.Second        // after which what could not be found out is tried again
	slowFacts    = 2000                    // that are kept
)

// ask returns what find found out, the first time it was asked for under that key or, after
// fresh, the last time; fresh 0: that does not change. Without ready it is still being found
// out, and a later page has it. find has lookTimeout, and must not use what its caller may use
// at the same time.
func (s *slowly) ask(key string, fresh time.Duration, now time.Time, find func(context.Context) (any, error)) (value any, ready bool, err error) {
	s.mu.Lock()
	f := s.kept[key]
	if f == nil || f.over(now) {
		if s.kept == nil || len(s.kept) >= slowFacts {
			s.kept = map[string]*slowFact{}
		}
		f = &slowFact{done: make(chan struct{})}
		if fresh > 0 {
			f.until = now.Add(fresh)
		}
		s.kept[key] = f
		go f.find(now, find)
	}
	s.mu.Unlock()
	patience := time.NewTimer(slowPatience)
	defer patience.Stop()
	select {
	case <-f.done:
		return f.value, true, f.err
	case <-patience.C:
		return nil, false, nil
	}
}

// over reports whether a fact has to be found out anew: it is old, or it could not be.
func (f *slowFact) over(now time.Time) bool {
	select {
	case <-f.done:
	default:
		return false
	}
	return !f.until.IsZero() && now.After(f.until)
}

func (f *slowFact) find(now time.Time, find func(context.Context) (any, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	defer close(f.done)
	if f.value, f.err = find(ctx); f.err != nil {
		f.until = now.Add(slowAgain)
	}
}
