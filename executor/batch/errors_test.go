package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
	"flow/executor/batch/budget"
)

// outcomes of a submission
const (
	wantRefused = "refused"
	wantLater   = "later"
	wantUnknown = "unknown"
)

func outcome(err error) string {
	switch refused, later := errors.Is(err, engine.ErrRefused), errors.Is(err, engine.ErrLater); {
	case err == nil:
		return "submitted"
	case refused && later:
		return "both"
	case refused:
		return wantRefused
	case later:
		return wantLater
	}
	return wantUnknown
}

// What an answer of SubmitJob means, and how often it is asked for.
func TestSubmitAnswers(t *testing.T) {
	const framed = "Error executing request, Exception : Job cannot have more than 20 dependencies, RequestId: 6e0f8d42-0000-4000-8000-000000000000"
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   string
		calls  int
		text   string // of the error, a part
	}{
		{"no", func(w http.ResponseWriter) { says(w, 400, "ClientException", framed) }, wantRefused, 1, "AWS Batch, SubmitJob: Job cannot have more than 20 dependencies"},
		{"not found", func(w http.ResponseWriter) { says(w, 404, "ClientException", "JobQueue q not found.") }, wantRefused, 1, "JobQueue q not found."},
		{"other no of AWS", func(w http.ResponseWriter) { says(w, 400, "SerializationException", "no JSON") }, wantRefused, 1, "no JSON"},
		{"queue disabled", func(w http.ResponseWriter) {
			says(w, 400, "ClientException", "Job Queue q is DISABLED and accepts no jobs")
		}, wantLater, 1, "enable the queue"},
		{"queue not valid", func(w http.ResponseWriter) { says(w, 400, "ClientException", "JobQueue q is not in VALID state") }, wantLater, 1, "enable the queue"},
		{"too many", func(w http.ResponseWriter) { says(w, 429, "TooManyRequestsException", "Too Many Requests") }, wantLater, maxThrottled, "too many requests"},
		{"too many, by code", func(w http.ResponseWriter) { says(w, 400, "ThrottlingException", "Rate exceeded") }, wantLater, maxThrottled, "too many requests"},
		{"too many, of a proxy", func(w http.ResponseWriter) { page(w, 429) }, wantLater, maxThrottled, "too many requests"},
		{"expired", func(w http.ResponseWriter) {
			says(w, 403, "ExpiredTokenException", "The security token included in the request is expired")
		}, wantLater, 1, "aws sso login"},
		{"unknown key", func(w http.ResponseWriter) {
			says(w, 403, "UnrecognizedClientException", "The security token included in the request is invalid.")
		}, wantLater, 1, "aws sso login"},
		{"signature", func(w http.ResponseWriter) {
			says(w, 403, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z")
		}, wantLater, 2, "clock"},
		{"skew", func(w http.ResponseWriter) { says(w, 403, "RequestTimeTooSkewed", "too far apart") }, wantLater, 2, "clock"},
		{"no signature", func(w http.ResponseWriter) { says(w, 403, "IncompleteSignatureException", "none") }, wantLater, 1, "not valid any more"},
		{"too slow", func(w http.ResponseWriter) { says(w, 400, "RequestTimeoutException", "not read in time") }, wantUnknown, 1, "not read in time"},
		{"not allowed", func(w http.ResponseWriter) {
			says(w, 403, "AccessDeniedException", "User: arn:aws:iam::1:user/u is not authorized to perform: batch:SubmitJob on resource: arn:aws:batch:us-east-1:1:job-queue/q")
		}, wantRefused, 1, "batch:SubmitJob on resource: arn:aws:batch:us-east-1:1:job-queue/q"},
		{"403 of a proxy", func(w http.ResponseWriter) { page(w, 403) }, wantUnknown, 1, "not one of AWS"},
		{"404 of a proxy", func(w http.ResponseWriter) { page(w, 404) }, wantUnknown, 1, "not one of AWS"},
		{"failure", func(w http.ResponseWriter) { says(w, 500, "ServerException", "internal") }, wantUnknown, 1, "status 500"},
		{"503 of a proxy", func(w http.ResponseWriter) { page(w, 503) }, wantUnknown, 1, "status 503"},
		{"redirection", func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://portal.invalid/")
			page(w, 302)
		}, wantUnknown, 1, "not one of AWS"},
		{"login page", func(w http.ResponseWriter) { page(w, 200) }, wantUnknown, 1, "not one of AWS"},
		{"nothing in it", func(w http.ResponseWriter) { give(w, map[string]string{}) }, wantUnknown, 1, "SubmitJob: the answer does not say what it should"},
		{"cut off", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"jobId":"1`))
		}, wantUnknown, 1, "cut off"},
		{"half of it", func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"jobId":"1`)) }, wantUnknown, 1, "not one of AWS"},
		{"lost", drop, wantUnknown, 1, "connection was lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) { test.answer(w) })
			_, err := x.Submit(t.Context(), ownJob("job"))
			if got := outcome(err); got != test.want {
				t.Errorf("the outcome is %s, want %s: %v", got, test.want, err)
			}
			if n := len(f.called()); n != test.calls {
				t.Errorf("%d calls, want %d", n, test.calls)
			}
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("the error is %q, want something with %q", err, test.text)
			}
		})
	}
}

// failing is a transport that finds no way.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// What was never written to a connection was surely not carried out.
func TestSubmitUnsent(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		text string
	}{
		{"name", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "batch.nowhere.amazonaws.com", IsNotFound: true}}, "batch.nowhere.amazonaws.com is not known here"},
		{"refused", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "is flow emulate running there?"},
		{"no route", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, "network is unreachable"},
		{"time-out", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "is the network up?"},
		{"certificate", errors.New("tls: failed to verify certificate"), "failed to verify certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, x := newFake(t, nil)
			x.http.Transport = traced{failing{&url.Error{Op: "Post", Err: test.err}}}
			_, err := x.Submit(t.Context(), ownJob("job"))
			if outcome(err) != wantLater || !strings.Contains(err.Error(), test.text) {
				t.Errorf("the outcome is %s, want later, with %q: %v", outcome(err), test.text, err)
			}
			x.http.Transport = traced{afterConnection{failing{&url.Error{Op: "Post", Err: test.err}}}}
			if _, err := x.Submit(t.Context(), ownJob("job")); outcome(err) != wantUnknown {
				t.Errorf("with a connection the outcome is %s, want unknown: %v", outcome(err), err)
			}
		})
	}
}

// afterConnection is a transport that had a connection.
type afterConnection struct{ failing }

func (a afterConnection) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Context().Value(trailKey{}).(*trail).connected.Store(true)
	return a.failing.RoundTrip(r)
}

func TestSubmitToNobody(t *testing.T) {
	isolate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + l.Addr().String()
	l.Close()
	x, err := Open(t.Context(), Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Submit(t.Context(), ownJob("job")); outcome(err) != wantLater || !strings.Contains(err.Error(), "nothing listens at "+endpoint) {
		t.Errorf("%s: %v", outcome(err), err)
	}
	limit := &counting{}
	x.limit = limit
	_, _ = x.Submit(t.Context(), ownJob("job"))
	if want := []string{"wait 1"}; !slices.Equal(limit.told, want) {
		t.Errorf("of a call that did not come through the limiter was told %v", limit.told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Submit(ctx, ownJob("job")); outcome(err) != wantLater {
		t.Errorf("interrupted before it is sent: %s: %v", outcome(err), err)
	}
}

func TestSubmitInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
		cancel()
		drop(w)
	})
	if _, err := x.Submit(ctx, ownJob("job")); outcome(err) != wantUnknown {
		t.Errorf("%s: %v", outcome(err), err)
	}
}

func TestSubmitWithoutCredentials(t *testing.T) {
	f, x := newFake(t, nil)
	x.conn.Load().batch = batch.New(x.client().Options(), func(o *batch.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("the SSO session has expired or is invalid")
		})
	})
	x.o.Profile = "science"
	_, err := x.Submit(t.Context(), ownJob("job"))
	if outcome(err) != wantLater || !strings.Contains(err.Error(), "the SSO session has expired or is invalid: log in with aws sso login") {
		t.Errorf("%s: %v", outcome(err), err)
	}
	if n := len(f.called()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Throttled calls are told to the limiter, and what comes after goes on.
func TestThrottledThenSubmitted(t *testing.T) {
	var calls atomic.Int32
	f, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
		if calls.Add(1) <= 3 {
			says(w, 429, "TooManyRequestsException", "Too Many Requests")
			return
		}
		give(w, map[string]string{"jobId": "1", "jobName": "job", "jobArn": "arn:aws:batch:us-east-1:111122223333:job/1"})
	})
	limit := &counting{}
	x.limit = limit
	id, err := x.Submit(t.Context(), ownJob("job"))
	if id != "1" || err != nil || len(f.called()) != 4 {
		t.Errorf("Submit = %q, %v after %d calls", id, err, len(f.called()))
	}
	if want := []string{"wait 1", "throttled 1", "wait 1", "throttled 1", "wait 1", "throttled 1", "wait 1", "ok 1"}; !slices.Equal(limit.told, want) {
		t.Errorf("the limiter was told %v, want %v", limit.told, want)
	}
	if x.gate.account != "111122223333" {
		t.Errorf("the account of the run is %q", x.gate.account)
	}
}

// A counting limiter remembers what it was told.
type counting struct {
	mu   sync.Mutex
	told []string
}

func (c *counting) add(what string, class budget.Class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprint(what, " ", int(class)))
}

func (c *counting) Wait(ctx context.Context, class budget.Class) error {
	c.add("wait", class)
	return ctx.Err()
}
func (c *counting) Throttled(class budget.Class) { c.add("throttled", class) }
func (c *counting) OK(class budget.Class)        { c.add("ok", class) }

// What can be asked twice is asked again.
func TestReadsAreTriedAgain(t *testing.T) {
	var calls atomic.Int32
	f, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
		switch calls.Add(1) {
		case 1:
			drop(w)
		case 2:
			says(w, 500, "ServerException", "internal")
		case 3:
			give(w, map[string]any{"jobs": []any{map[string]any{"jobId": "1", "status": "RUNNING"}}})
		default:
			page(w, 200)
		}
	})
	jobs, err := x.Describe(t.Context(), []engine.JobID{"1"})
	if err != nil || len(jobs) != 1 || jobs[0].Status != engine.JobRunning || len(f.called()) != 3 {
		t.Errorf("Describe = %v, %v after %d calls", jobs, err, len(f.called()))
	}
	if jobs, err := x.Describe(t.Context(), []engine.JobID{"1"}); outcome(err) != wantUnknown {
		t.Errorf("of a login page: %v, %v", jobs, err)
	}
}

// Every error that a caller does not tell a person of, since it is about credentials, is one
// that the gate has told of.
func TestLoggedOutIsTold(t *testing.T) {
	for _, code := range append(slices.Sorted(maps.Keys(faultCodes)), append(deniedCodes, "TooManyRequestsException", "ClientException")...) {
		t.Run(code, func(t *testing.T) {
			_, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) { says(w, 403, code, "no") })
			told := 0
			x.gate.o.Notice = func(string) { told++ }
			for range 2 { // the second may not be made any more
				_, err := x.Submit(t.Context(), ownJob("job"))
				if LoggedOut(err) != (told == 1) {
					t.Errorf("LoggedOut is %v, and the gate has told %d times: %v", LoggedOut(err), told, err)
				}
			}
		})
	}
}
