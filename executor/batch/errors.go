package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"flow/engine"
)

// A kind is what an error says about its call.
type kind uint8

const (
	unsure      kind = iota // nobody knows whether it was carried out
	refused                 // surely not, and never will be as it is
	notAllowed              // surely not: these credentials may not do that
	throttling              // surely not, since there are too many
	loggedOut               // surely not, since the credentials have expired, or there are none
	skewed                  // surely not, since the clocks differ, or the signature is wrong
	notSent                 // surely not, since the network is down
	queueClosed             // surely not, since the queue takes no jobs now
)

// A callError says why a call failed, for people: what happened, and what to do. It is
// engine.ErrRefused or engine.ErrLater, or neither, as its kind says.
type callError struct {
	operation string
	kind      kind
	text      string
	err       error // as the SDK has it
}

func (e *callError) Error() string {
	service := "AWS Batch, "
	if e.operation == "GetLogEvents" {
		service = "CloudWatch Logs, "
	}
	return service + e.operation + ": " + e.text
}

// Unwrap returns what the error is, and what is behind it.
func (e *callError) Unwrap() []error {
	switch e.kind {
	case refused, notAllowed:
		return []error{engine.ErrRefused, e.err}
	case throttling, loggedOut, skewed, notSent, queueClosed:
		return []error{engine.ErrLater, e.err}
	}
	return []error{e.err}
}

// kindOf returns the kind of an error of call.
func kindOf(err error) (kind, bool) {
	var e *callError
	if errors.As(err, &e) {
		return e.kind, true
	}
	return unsure, false
}

// deniedCodes say that these credentials may not do that (Batch API reference, CommonErrors;
// what else front ends of AWS answer).
var deniedCodes = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired", "SubscriptionRequiredException"}

// explain says what an error of the SDK means.
func (x *Executor) explain(operation string, err error, t *trail) *callError {
	e := &callError{operation: operation, err: err}
	e.kind, e.text = x.meaning(err, t)
	return e
}

func (x *Executor) meaning(err error, t *trail) (kind, string) {
	var answer interface{ HTTPStatusCode() int }
	switch {
	case !t.begun.Load(): // an answer in it is of somebody who was asked for credentials
		return x.beforeSending(err)
	case errors.As(err, &answer) && answer.HTTPStatusCode() != 0:
		return x.answered(err, answer.HTTPStatusCode())
	case !t.connected.Load():
		return notSent, x.unreachable(err)
	case errors.Is(err, errNoAnswer):
		return unsure, err.Error()
	case errors.Is(err, context.Canceled):
		return unsure, "it was interrupted before there was an answer"
	case isTimeout(err):
		return unsure, fmt.Sprintf("there was no answer within %v", callTimeout)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return unsure, "the answer was cut off"
	}
	return unsure, "the connection was lost before there was an answer: " + root(err).Error()
}

// answered says what an answer with a status means. Only what is surely of AWS can say no:
// a proxy or the login page of a network answers as it likes.
func (x *Executor) answered(err error, status int) (kind, string) {
	var api smithy.APIError
	code, message := "", ""
	if errors.As(err, &api) && api.ErrorCode() != "UnknownError" {
		code, message = api.ErrorCode(), PlainMessage(api.ErrorMessage())
	}
	_, throttles := retry.DefaultThrottleErrorCodes[code]
	_, late := retry.DefaultRetryableErrorCodes[code]
	said := strings.TrimSuffix(code+": "+message, ": ")
	switch {
	case status == http.StatusTooManyRequests || throttles:
		return throttling, "too many requests: it is tried again, more slowly"
	case status >= 500 || late:
		return unsure, fmt.Sprintf("the service failed (status %d): %s", status, orText(said, "it does not say why"))
	case faultCodes[code] == faultSignature:
		return skewed, said + ": is the clock of this machine right, and the secret key?"
	case faultCodes[code] != "":
		return loggedOut, "the credentials are not valid any more (" + said + "): " + x.login().String()
	case slices.Contains(deniedCodes, code):
		return notAllowed, "the credentials in use may not do that: " + message + ": allow the action in the policy of that user or role"
	case code != "" && status >= 400 && closedQueue().MatchString(message):
		return queueClosed, message + ": enable the queue; until then jobs for it wait"
	case code != "" && status >= 400:
		return refused, message
	}
	return unsure, fmt.Sprintf("the answer (status %d) is not one of AWS: something in between, such as the login page of a network or a proxy, may have given it", status)
}

// closedQueue is what is said of queues that take no jobs at the moment (Batch User Guide,
// job_queue_parameters: state and status).
var closedQueue = lazily(`(?i)job ?queue\b.*\b(DISABLED|not (in )?(a )?VALID|CREATING|UPDATING)\b`)

// framed is how Batch frames what it has to say, as it is seen of the service.
var framed = lazily(`^Error executing request, Exception : (.*?)(?:, RequestId: [0-9a-fA-F-]+)?$`)

// PlainMessage returns what an answer of AWS Batch says, without its frame.
func PlainMessage(s string) string {
	if m := framed().FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return s
}

func orText(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// beforeSending says why there was no request.
func (x *Executor) beforeSending(err error) (kind, string) {
	var params smithy.InvalidParamsError
	var serialization *smithy.SerializationError
	switch {
	case errors.As(err, &params), errors.As(err, &serialization):
		return refused, err.Error()
	case errors.Is(err, context.Canceled):
		return notSent, "it was interrupted before it was sent"
	}
	switch {
	case offline(err) || passing(err):
		return notSent, "the credentials could not be asked for: " + root(err).Error()
	case denied(err):
		return notAllowed, "the credentials cannot be had: " + root(err).Error()
	}
	return loggedOut, "there are no valid credentials: " + root(err).Error() + ": " + x.login().String()
}

// unreachable says why there was no connection.
func (x *Executor) unreachable(err error) string {
	c := x.conn.Load()
	where := orText(value(c.where), "AWS in region "+c.cfg.Region)
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s is not known here: is the network up, and the region or the endpoint right?", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED) && c.near:
		return "nothing listens at " + where + ": is flow emulate running there?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return where + " refuses connections: is the endpoint right?"
	case errors.Is(err, context.Canceled):
		return "it was interrupted before it was sent"
	case isTimeout(err):
		return where + " cannot be reached: is the network up?"
	case errors.As(err, &op):
		return where + " cannot be reached: " + op.Err.Error()
	}
	return where + " cannot be reached: " + root(err).Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// root returns the innermost error: the outer ones tell how the SDK is made.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// refuse returns an error of a job that cannot be submitted as it is.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", engine.ErrRefused, fmt.Sprintf(format, args...))
}

// LoggedOut reports whether an error of the executor is for want of valid credentials, of
// which Options.Notice tells.
func LoggedOut(err error) bool {
	var call *callError
	return errors.As(err, &call) && (call.kind == loggedOut || credentialFault(call.err) != "")
}
