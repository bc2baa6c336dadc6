// Package cloudwatch is the part of the CloudWatch Logs API that a client of AWS Batch
// needs, over a [logstore.Store]: its protocol is JSON 1.1 (POST /, X-Amz-Target:
// Logs_20140328.GetLogEvents). Facts are from the service's model logs/2014-03-28 and the
// CloudWatch Logs API Reference, if nothing else is said.
//
//	http.Handle("/", cloudwatch.New(store, "eu-central-1", "123456789012"))
package cloudwatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"flow/executor/local/logstore"
)

// target is what X-Amz-Target begins with, before the name of the operation.
const target = "Logs_20140328."

// maxBody is how large a request may be, in bytes.
const maxBody = 1 << 20

// A Handler answers requests to CloudWatch Logs.
type Handler struct {
	store *logstore.Store
	arn   string // of log groups, up to the name
}

// New returns a Handler for the groups and streams of a store, which are in a region of
// an account.
func New(store *logstore.Store, region, account string) *Handler {
	return &Handler{store, "arn:aws:logs:" + region + ":" + account + ":log-group:"}
}

// Target reports whether a request is for CloudWatch Logs.
func Target(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Target"), target)
}

// An operation decodes a request and answers it. A nil answer has no body.
type operation func(h *Handler, body []byte) (any, error)

var operations = map[string]operation{
	"CreateLogGroup":        op((*Handler).createLogGroup),
	"CreateLogStream":       op((*Handler).createLogStream),
	"DeleteLogGroup":        op((*Handler).deleteLogGroup),
	"DeleteLogStream":       op((*Handler).deleteLogStream),
	"DeleteRetentionPolicy": op((*Handler).deleteRetentionPolicy),
	"DescribeLogGroups":     op((*Handler).describeLogGroups),
	"DescribeLogStreams":    op((*Handler).describeLogStreams),
	"FilterLogEvents":       op((*Handler).filterLogEvents),
	"GetLogEvents":          op((*Handler).getLogEvents),
	"PutRetentionPolicy":    op((*Handler).putRetentionPolicy),
}

func op[In any](answer func(*Handler, *In) (any, error)) operation {
	return func(h *Handler, body []byte) (any, error) {
		in := new(In)
		if len(bytes.TrimSpace(body)) > 0 {
			if err := json.Unmarshal(body, in); err != nil {
				return nil, &apiError{http.StatusBadRequest, "SerializationException", serialization(err)}
			}
		}
		return answer(h, in)
	}
}

// serialization says what is wrong with a body, in the words of JSON.
func serialization(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return wrong.Value + " cannot be the value of " + wrong.Field
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	answer, err := h.answer(r)
	if err != nil {
		refused := apiErrorOf(err)
		w.WriteHeader(refused.Status)
		answer = refused
	}
	if answer == nil {
		return
	}
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	_ = to.Encode(answer) // fails if the client has gone
}

func (h *Handler) answer(r *http.Request) (any, error) {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target)
	f := operations[name]
	if !ok || f == nil || r.Method != http.MethodPost {
		return nil, &apiError{http.StatusBadRequest, "UnknownOperationException", "this endpoint has no operation " + name + " of CloudWatch Logs"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, &apiError{http.StatusBadRequest, "SerializationException", "the request could not be read"}
	}
	if len(body) > maxBody {
		return nil, &apiError{http.StatusBadRequest, "SerializationException", "the request is larger than 1 MiB"}
	}
	return f(h, body)
}

// An apiError is an error as the API has it.
type apiError struct {
	Status  int    `json:"-"`
	Code    string `json:"__type"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func invalid(message string) error {
	return &apiError{http.StatusBadRequest, "InvalidParameterException", message}
}

var (
	errNoGroup      = &apiError{http.StatusBadRequest, "ResourceNotFoundException", "The specified log group does not exist."}
	errNoStream     = &apiError{http.StatusBadRequest, "ResourceNotFoundException", "The specified log stream does not exist."}
	errGroupExists  = &apiError{http.StatusBadRequest, "ResourceAlreadyExistsException", "The specified log group already exists"}
	errStreamExists = &apiError{http.StatusBadRequest, "ResourceAlreadyExistsException", "The specified log stream already exists"}
	errToken        = invalid("The specified nextToken is invalid.")
)

// apiErrorOf says in the words of the API what an error of the store is.
func apiErrorOf(err error) *apiError {
	var refused *apiError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, logstore.ErrNoGroup):
		return errNoGroup
	case errors.Is(err, logstore.ErrNoStream):
		return errNoStream
	case errors.Is(err, logstore.ErrGroupExists):
		return errGroupExists
	case errors.Is(err, logstore.ErrStreamExists):
		return errStreamExists
	}
	return &apiError{http.StatusInternalServerError, "ServiceUnavailableException", err.Error()}
}
