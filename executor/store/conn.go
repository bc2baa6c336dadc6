package store

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"flow/executor/awsconfig"
	"flow/executor/whole"
)

// idle is how long a connection may say nothing, in either direction, before it is taken for
// dead. A call as a whole may take as long as it moves bytes. S3 sends blanks while it copies
// or completes a large object (S3 API reference, CompleteMultipartUpload); others may not.
const idle = 2 * time.Minute

// connections are kept for as many calls as are made side by side.
const connections = 128

// newHTTP returns a client with what the SDK's own has been told (proxies, bundles of
// certificates).
func newHTTP(configured aws.HTTPClient, idle time.Duration) *http.Client {
	t := awsconfig.Transport(configured)
	t.DialContext = dialer(t.DialContext, idle)
	t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	t.ReadBufferSize, t.WriteBufferSize = 64<<10, 64<<10
	// Transfers in parallel are to have connections of their own.
	t.ForceAttemptHTTP2, t.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	return &http.Client{Transport: split{t}, CheckRedirect: onlyTemporary}
}

// A split reads answers to requests with a body whole, see package whole. Those without are
// what brings contents, and do not need it.
type split struct{ *http.Transport }

func (s split) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return s.Transport.RoundTrip(r)
	}
	return whole.Transport{Next: s.Transport}.RoundTrip(r)
}

// onlyTemporary follows S3 as it asks for (S3 User Guide, "Request redirection"). A bucket
// in another region needs another signature.
func onlyTemporary(r *http.Request, via []*http.Request) error {
	switch {
	case r.Response.StatusCode != http.StatusTemporaryRedirect && r.Response.StatusCode != http.StatusPermanentRedirect:
		return http.ErrUseLastResponse
	case len(via) > 5:
		return errors.New("redirected too often")
	}
	return nil
}

type dial func(ctx context.Context, network, addr string) (net.Conn, error)

func dialer(next dial, idle time.Duration) dial {
	if next == nil {
		next = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &watched{c, idle}, nil
	}
}

// A watched connection ends when it has been silent for too long. What is sent counts for
// whoever waits for the answer.
type watched struct {
	net.Conn
	idle time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	_ = w.SetDeadline(time.Now().Add(w.idle)) // fails if it is closed, and so does what follows
	return w.Conn.Read(p)
}

func (w *watched) Write(p []byte) (int, error) {
	_ = w.SetDeadline(time.Now().Add(w.idle)) // as above
	return w.Conn.Write(p)
}

// How often a call is made. S3 asks for patience when it is asked more than it has made room
// for as yet: 503 Slow Down (S3 User Guide, "Optimizing performance"). With the waits of the
// SDK in between, of up to 20 s, that is about two minutes.
const (
	mostAttempts  = 10
	otherAttempts = 5 // of what fails otherwise, such as no network
)

// A patient retryer tries longer what is throttled.
type patient struct{ *retry.Standard }

func newRetryer() aws.Retryer { return retryer(retry.DefaultMaxBackoff) }

// retryer waits for a time that doubles, up to longest.
func retryer(longest time.Duration) aws.Retryer {
	return patient{retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = mostAttempts, longest
		// A budget for all would end a large transfer for the failures of its many parts.
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: again}}, o.Retryables...)
	})}
}

// again are errors that the SDK does not try again by itself: two conditional puts side by
// side (S3 User Guide, "Conditional writes": 409, "retry the upload"), and a part that a bad
// network changed on its way.
var again = map[string]struct{}{"ConditionalRequestConflict": {}, "OperationAborted": {}, "BadDigest": {}, "XAmzContentSHA256Mismatch": {}, "IncompleteBody": {}}

// RetryDelay implements aws.Retryer. The error ends the call.
func (p patient) RetryDelay(attempt int, err error) (delay time.Duration, end error) {
	if attempt >= otherAttempts && throttled.IsErrorThrottle(err) != aws.TrueTernary {
		return 0, err
	}
	return p.Standard.RetryDelay(attempt, err)
}

var throttled = retry.IsErrorThrottles(append([]retry.IsErrorThrottle{slowDown{}}, retry.DefaultThrottles...))

// slowDown finds 503 without a code: the answer to a HEAD has no body.
type slowDown struct{}

func (slowDown) IsErrorThrottle(err error) aws.Ternary {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusServiceUnavailable {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// pause waits before a try of what the SDK does not try again by itself, the second on.
func pause(ctx context.Context, try int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(float64(100*time.Millisecond<<try) * (0.5 + rand.Float64()))):
		return nil
	}
}
