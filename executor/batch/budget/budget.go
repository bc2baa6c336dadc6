// Package budget shares one allowance of API calls among all flow processes of a machine.
//
// AWS Batch allows 50 SubmitJob calls a second for an account (Batch User Guide,
// service_limits), does not say how many other calls it allows, and answers 429 to the
// rest. A driver that knows only its own calls meets that limit as soon as a second one
// runs beside it. So what has been spent is kept in a small file, one for each endpoint,
// region and account, that every process changes under a lock.
//
// Each [Class] of calls has a rate of its own, that is halved when the other side throttles
// and rises again afterwards. Beyond that, calls to AWS Batch have a rate in total. A class
// pays for those that go before it, and never for those that come after it: so what is left
// of the total goes to cancel first, then to submit, then to polling.
package budget

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"flow/engine"
)

// A Class is a kind of API call. A lower one goes before a higher one.
type Class int

const (
	Cancel Class = iota // TerminateJob
	Submit              // SubmitJob
	Poll                // every other call to AWS Batch
	Logs                // calls to CloudWatch Logs, which are not part of the total
	classes
)

// String returns the name of the class.
func (c Class) String() string {
	return [...]string{"cancel", "submit", "poll", "logs"}[c]
}

// Rates are calls a second. What is 0 is as in [Defaults].
type Rates struct {
	Cancel, Submit, Poll, Logs float64
	// Total is the rate of Cancel, Submit and Poll together. Calls of Cancel do not wait
	// for it, the others do.
	Total float64
}

// Defaults are the rates of an account. 50 SubmitJob calls a second are allowed (Batch User
// Guide, service_limits) and 10 to 30 GetLogEvents calls (CloudWatch Logs User Guide,
// cloudwatch_limits_cwl). The others are not documented.
var Defaults = Rates{Cancel: 20, Submit: 45, Poll: 20, Logs: 10, Total: 60}

// Options say whose calls are counted, and how many there may be.
type Options struct {
	// Dir is the directory of the files, made when it is missing; "" is flow/budget in
	// the user's cache directory.
	Dir string
	// Key tells apart what has limits of its own: endpoint, region and account or profile.
	Key   string
	Rates Rates
	// Unlimited is for an endpoint that has no limits, as one on this machine. No file is
	// used.
	Unlimited bool
	// Now and Wait are the clock: the time, and waiting for a while or until the context
	// is done, which is then an error. nil: real time.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
}

// A Budget is an allowance of calls. It is safe for concurrent use.
type Budget struct {
	o     Options
	rates limits
	// slow tells of a class that its rate is below the highest, as far as this process
	// knows.
	slow [classes]atomic.Bool
	// queue lets one caller of each class hold a token that is not due yet. So the file
	// is asked for as many tokens as can be spent, in the order of asking, and a rate that
	// falls holds at once.
	queue [classes]chan struct{}

	turn   chan struct{} // one at a time for what follows; not a mutex: contexts end
	file   *file         // nil: there is none
	last   state         // as it was seen last; the truth while there is no file
	away   time.Time     // the file is not tried before then
	shared atomic.Bool
}

// Open makes a budget. If its file cannot be made, written or locked, then the budget is
// that of this process, see [Budget.Shared], and the rates fall when they are too high
// together. Only rates that make no sense are an error.
func Open(o Options) (*Budget, error) {
	rates, err := o.Rates.limits()
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = sleep
	}
	b := &Budget{o: o, rates: rates, turn: make(chan struct{}, 1)}
	for c := range b.queue {
		b.queue[c] = make(chan struct{}, 1)
	}
	b.last.reset(o.Now().UnixNano(), &b.rates)
	if o.Unlimited {
		return b, nil
	}
	if path, err := o.path(); err == nil {
		b.file = &file{path: path}
		// An empty change tells whether the file can be used. If not, it is tried again later.
		_ = b.update(context.Background(), func(*state, int64) {})
	}
	return b, nil
}

func (o *Options) path() (string, error) {
	dir := o.Dir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "flow", "budget")
	}
	sum := sha256.Sum256([]byte(o.Key))
	return filepath.Join(dir, hex.EncodeToString(sum[:16])), nil
}

func (r Rates) limits() (limits, error) {
	var l limits
	for _, x := range []struct {
		name             string
		given, otherwise float64
		to               *float64
	}{
		{"cancel", r.Cancel, Defaults.Cancel, &l.highest[Cancel]},
		{"submit", r.Submit, Defaults.Submit, &l.highest[Submit]},
		{"poll", r.Poll, Defaults.Poll, &l.highest[Poll]},
		{"logs", r.Logs, Defaults.Logs, &l.highest[Logs]},
		{"total", r.Total, Defaults.Total, &l.total},
	} {
		if x.given == 0 {
			x.given = x.otherwise
		}
		if !(x.given >= Lowest && x.given <= 1e6) {
			return l, fmt.Errorf("budget: %s: a rate of %v calls a second is not between %v and a million", x.name, x.given, Lowest)
		}
		*x.to = x.given
	}
	return l, nil
}

// Shared reports whether the budget is that of all processes of this machine, as it was
// when it was last asked for a token.
func (b *Budget) Shared() bool { return b.shared.Load() }

// Close gives the file back.
func (b *Budget) Close() error {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if b.file != nil {
		b.file.close()
		b.file = nil
		b.shared.Store(false)
	}
	return nil
}

// Wait returns when a call of class c may be made. The error is that of ctx; the token is
// lost then.
func (b *Budget) Wait(ctx context.Context, c Class) error {
	if err := ctx.Err(); err != nil || b.o.Unlimited {
		return err
	}
	select {
	case b.queue[c] <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.queue[c] }()
	d, err := b.take(ctx, c)
	if err != nil || d <= 0 {
		return err
	}
	return b.o.Wait(ctx, d)
}

// take takes a token of class c, and returns in what time it is due.
func (b *Budget) take(ctx context.Context, c Class) (d time.Duration, err error) {
	err = b.update(ctx, func(s *state, now int64) {
		d = time.Duration(s.take(now, c, &b.rates) - now)
	})
	return d, err
}

// Throttled says that a call of class c was throttled: 429, or a code that means the same.
// The rate is halved, but for once a second over all processes, because calls that were
// made together are throttled together.
func (b *Budget) Throttled(c Class) {
	if b.o.Unlimited {
		return
	}
	_ = b.update(context.Background(), func(s *state, now int64) { s.cut(now, c, &b.rates) })
}

// OK says that a call of class c was not throttled, whatever else came of it. The rate rises
// by a step for every second that has passed since it changed, see [Recovery].
func (b *Budget) OK(c Class) {
	if b.o.Unlimited || !b.slow[c].Load() {
		return
	}
	_ = b.update(context.Background(), func(s *state, now int64) { s.raise(now, c, &b.rates) })
}

// aside is for how long a file that failed is left alone.
const aside = time.Minute

// update changes the state, in the file if that can be had, else in this process only. The
// error is that of ctx.
func (b *Budget) update(ctx context.Context, change func(s *state, now int64)) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.turn }()
	defer b.noteRates()
	if b.file != nil && !b.o.Now().Before(b.away) {
		err := b.updateFile(ctx, change)
		b.shared.Store(err == nil)
		if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return err
		}
		b.away = b.o.Now().Add(aside)
	}
	now := b.o.Now().UnixNano()
	b.last.settle(now, &b.rates)
	change(&b.last, now)
	return nil
}

func (b *Budget) updateFile(ctx context.Context, change func(s *state, now int64)) error {
	if err := b.file.lock(ctx); err != nil {
		return err
	}
	defer b.file.unlock()
	var s state
	now := b.o.Now().UnixNano() // with the lock held: processes see it in the order of their changes
	content, err := b.file.read()
	if err != nil {
		return err
	}
	if s.decode(content) {
		s.settle(now, &b.rates)
	} else {
		s.reset(now, &b.rates)
	}
	change(&s, now)
	if err := b.file.write(s.encode()); err != nil {
		return err
	}
	b.last = s
	return nil
}

func (b *Budget) noteRates() {
	for c := range b.slow {
		b.slow[c].Store(b.last.Classes[c].Rate < b.rates.highest[c])
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	engine.SystemClock{}.Wait(ctx, d, nil)
	return ctx.Err()
}

// gap is the time between two calls at a rate, in nanoseconds.
func gap(rate float64) int64 { return int64(math.Ceil(1e9 / rate)) }
