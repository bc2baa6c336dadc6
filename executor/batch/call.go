package batch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"flow/engine"
	"flow/executor/batch/budget"
)

// A limiter rations the calls of all flow processes of a machine.
type limiter interface {
	// Wait returns when a call may be made, or with an error when ctx ends.
	Wait(ctx context.Context, c budget.Class) error
	Throttled(c budget.Class) // a call was answered with too many requests
	OK(c budget.Class)        // a call was answered otherwise
}

const (
	callTimeout  = 20 * time.Second // of one call
	maxThrottled = 5                // so often a call is made that is throttled
	maxTries     = 3                // so often a call is made that fails otherwise, if it may be repeated
	firstPause   = 200 * time.Millisecond
	maxPause     = 5 * time.Second
)

// call makes a call, after waiting for its turn, and again where that can do no harm: after
// an answer that says it was not carried out, such as too many requests; and, of what may
// be carried out twice, after any failure that may pass. SubmitJob has no token that
// would tell a repetition (API reference, SubmitJob), so of class Submit the latter is never done.
//
// The error is a *callError.
func (x *Executor) call(ctx context.Context, class budget.Class, operation string, fn func(context.Context) error) error {
	throttled := 0
	for try := 1; ; try++ {
		if err := x.limit.Wait(ctx, class); err != nil {
			return &callError{operation: operation, kind: notSent, text: "it was not called in time", err: err}
		}
		err := x.gated(ctx, operation, fn)
		if err == nil || err.kind != throttling && err.kind != notSent && err.kind != loggedOut {
			x.limit.OK(class)
		}
		if err == nil {
			return nil
		}
		again := false
		switch err.kind {
		case throttling:
			x.limit.Throttled(class)
			throttled++
			again = throttled < maxThrottled
		case unsure:
			again = class != budget.Submit && try < maxTries
		}
		if !again || ctx.Err() != nil || x.sleep(ctx, pause(try)) != nil {
			return err
		}
	}
}

// gated makes a call unless it is known that there are no valid credentials.
func (x *Executor) gated(ctx context.Context, operation string, fn func(context.Context) error) *callError {
	if err := x.gate.before(ctx); err != nil {
		e := &callError{operation: operation, kind: loggedOut, text: "there are no valid credentials: " + x.login().String(), err: err}
		var other *AccountError
		if errors.As(err, &other) {
			e.text = other.Error()
		}
		return e
	}
	err := x.once(ctx, operation, fn)
	if err != nil && err.kind == skewed { // the SDK now knows what the clock over there says
		err = x.once(ctx, operation, fn)
	}
	if err == nil {
		_ = x.gate.after(nil)
		return nil
	}
	_ = x.gate.after(err.err) // which says the same as the kind
	return err
}

// once makes a call in bounded time. nil: it was answered as hoped for.
func (x *Executor) once(ctx context.Context, operation string, fn func(context.Context) error) *callError {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t := &trail{}
	err := fn(context.WithValue(ctx, trailKey{}, t))
	if err == nil {
		return nil
	}
	return x.explain(operation, err, t)
}

// pause returns how long to wait after a try, at random so that many do not come back at
// once.
func pause(try int) time.Duration {
	d := min(firstPause<<min(try-1, 10), maxPause)
	return d/2 + rand.N(d/2) //nolint:gosec // spreading needs no secrets
}

func sleep(ctx context.Context, d time.Duration) error {
	engine.SystemClock{}.Wait(ctx, d, nil)
	return ctx.Err()
}

// A trail says how far a call came.
type trail struct {
	begun     atomic.Bool // the transport was asked
	connected atomic.Bool // there was a connection to write the request to
}

type trailKey struct{}

// traced is a transport that leaves the trail of a call. A connection may have gone while it
// was idle; when it took no byte of a request, net/http sends that by another one, if it
// has the body from its beginning, which the SDK does not give it.
type traced struct{ next http.RoundTripper }

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.GetBody == nil {
		body, err := io.ReadAll(r.Body)
		if err = cmp.Or(err, r.Body.Close()); err != nil {
			return nil, err
		}
		r = r.WithContext(r.Context()) // a copy
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	if trail, ok := r.Context().Value(trailKey{}).(*trail); ok {
		trail.begun.Store(true)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			GotConn: func(httptrace.GotConnInfo) { trail.connected.Store(true) },
		}))
	}
	return t.next.RoundTrip(r)
}

// errNoAnswer is an answer of AWS that lacks what it is asked for.
var errNoAnswer = errors.New("the answer does not say what it should")
