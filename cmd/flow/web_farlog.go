package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"flow/engine"
)

// What is kept of a log that AWS keeps and that a page follows.
const (
	farLines  = 20_000 // the last ones
	farBytes  = 8 << 20
	farQuiet  = 200 * time.Millisecond // after lines, when no more are expected at once
	farWish   = 30 * time.Second       // after which nobody follows a log that has not been asked for
	farFollow = 64                     // logs that are followed at once; more: they are read anew each time
)

// farLogs are the logs on AWS that pages follow: each is read once, however many follow it.
type farLogs struct {
	mu   sync.Mutex
	kept map[string]*farLog
}

// A farLog is a log while it is followed.
type farLog struct {
	mu      sync.Mutex
	lines   []string // the last ones
	bytes   int      // of them
	n       int64    // lines so far
	over    bool     // nothing more is read
	err     error    // why, if that is no good reason
	changed chan struct{}
	asked   time.Time
}

// follow returns a log that is written to, and begins to read it if nobody has; nil: there are
// too many.
func (s *site) follow(ctx context.Context, l *webLog) *farLog {
	key := fmt.Sprintf("%s %s %d", l.row.ID, l.job, l.try)
	s.far.mu.Lock()
	f := s.far.kept[key]
	if f == nil && len(s.far.kept) < farFollow && s.looks.ctx.Err() == nil {
		f = &farLog{changed: make(chan struct{}), asked: s.now()}
		if s.far.kept == nil {
			s.far.kept = map[string]*farLog{}
		}
		s.far.kept[key] = f
		s.looks.done.Go(func() {
			f.read(s, l)
			s.far.mu.Lock()
			defer s.far.mu.Unlock()
			delete(s.far.kept, key)
		})
	}
	s.far.mu.Unlock()
	if f != nil {
		f.settle(ctx, s.now())
	}
	return f
}

// read reads a log until it ends, or nobody asks for it any more.
func (f *farLog) read(s *site, l *webLog) {
	ctx, cancel := context.WithCancel(s.looks.ctx)
	defer cancel()
	go f.watch(ctx, cancel, s.now)
	err := f.readTo(ctx, s, l)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over = true; ctx.Err() == nil {
		f.err = err
	}
	close(f.changed)
}

func (f *farLog) readTo(ctx context.Context, s *site, l *webLog) error {
	x, err := s.reach(ctx, &past{db: s.src.db(), row: l.row})
	if err != nil {
		return err
	}
	defer x.Close(ctx)
	for line, err := range x.Logs(ctx, l.job, engine.LogOptions{Attempt: l.try, Follow: true}) {
		if err != nil {
			return err
		}
		f.add(line.Text)
	}
	return nil
}

// watch ends the reading when nobody has asked for long.
func (f *farLog) watch(ctx context.Context, cancel func(), now func() time.Time) {
	tick := time.NewTicker(farWish / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		idle := now().Sub(f.asked)
		f.mu.Unlock()
		if idle > farWish {
			cancel()
			return
		}
	}
}

func (f *farLog) add(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines, f.bytes, f.n = append(f.lines, line), f.bytes+len(line), f.n+1
	for len(f.lines) > 1 && (len(f.lines) > farLines || f.bytes > farBytes) {
		f.bytes -= len(f.lines[0])
		f.lines = f.lines[1:]
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// settle waits a moment for the lines that are there.
func (f *farLog) settle(ctx context.Context, now time.Time) {
	f.mu.Lock()
	f.asked = now
	f.mu.Unlock()
	most := time.After(slowPatience)
	for {
		f.mu.Lock()
		changed, n, over := f.changed, f.n, f.over
		f.mu.Unlock()
		if over {
			return
		}
		var quiet <-chan time.Time
		if n > 0 {
			quiet = time.After(farQuiet)
		}
		select {
		case <-changed:
		case <-quiet:
			return
		case <-most:
			return
		case <-ctx.Done():
			return
		}
	}
}

// from calls line with the lines from number at on, or with the last ones for a negative one.
// It reports false if they are not kept.
func (f *farLog) from(at int64, line func(n int64, text string)) (ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.n - int64(len(f.lines))
	if f.err != nil || at >= 0 && at < first {
		return false, f.err
	}
	for i := max(at, first); i < f.n; i++ {
		line(i, f.lines[i-first])
	}
	return true, nil
}
