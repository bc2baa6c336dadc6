package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"flow/executor/local"
)

// A Server is the API of one account in one region of AWS.
type Server struct {
	region      string
	account     string
	batch       *local.Batch
	logs        http.Handler
	catalog     *catalog
	gremlin     *gremlin
	janitor     janitor
	credentials *Credentials
	delay       time.Duration
	keepEnded   int         // of model.Config
	trace       func(Trace) // nil: nobody listens
	calls       callCounts
	now         func() time.Time
	ready       chan struct{} // closed when batch is set
}

// maxBody is the most of a request that is read; SubmitJob and RegisterJobDefinition
// have limits of their own.
const maxBody = 1 << 20

// errLost is the error of a call whose answer is to be lost.
var errLost = errors.New("the answer is lost")

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.now()
	id := uuid.NewString()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = s.guard(r, body)
	} else {
		err = unreadable(err)
	}
	if err == nil && strings.HasPrefix(r.Header.Get("X-Amz-Target"), "Logs_") {
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.logs.ServeHTTP(w, r)
		return
	}
	a := answer{name: r.Method + " " + r.URL.Path}
	if err == nil {
		err = s.answer(r, body, &a)
	}
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	status := http.StatusOK
	switch {
	case errors.Is(err, errLost):
		s.traced(&a, 0, s.now().Sub(began))
		panic(http.ErrAbortHandler) // cuts the connection
	case err != nil:
		e := asAPIError(err, id)
		status = e.status
		w.Header().Set("X-Amzn-Errortype", e.code)
		reply(w, status, id, encode(&struct{ Message string }{e.message}))
	default:
		reply(w, status, id, encode(a.out))
	}
	s.traced(&a, status, s.now().Sub(began))
}

func (s *Server) traced(a *answer, status int, took time.Duration) {
	if a.operation {
		s.calls.count(a.name, status)
	}
	if s.trace != nil {
		s.trace(Trace{a.name, status, took})
	}
}

// An answer is what an operation said.
type answer struct {
	name      string // of the operation, or the request line
	operation bool   // it is one of AWS
	out       any
}

func (s *Server) answer(r *http.Request, body []byte, a *answer) (err error) {
	if strings.HasPrefix(r.URL.Path, adminPath) {
		a.out, err = s.admin(r, body)
		return err
	}
	op, in, err := route(r, body)
	if err != nil {
		return err
	}
	a.name, a.operation = op.name, true
	if s.gremlin.throttles(op) {
		return errThrottled
	}
	c := s.gremlin.chaos.Load()
	broken := s.gremlin.hits(c.ServerError)
	if broken && s.gremlin.hits(0.5) {
		return errBroken
	}
	a.out, err = s.call(op, in, uuid.NewString())
	switch {
	case err != nil:
		return err
	case broken:
		return errBroken
	case op.changes && s.gremlin.hits(c.LostReply):
		return errLost
	}
	return nil
}

var errBroken = &apiError{http.StatusInternalServerError, "ServerException", "Internal Server Error"}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refuse("The request body has more than %d bytes", tooLarge.Limit)
	}
	return refuse("The request body cannot be read: %v", err)
}

// parseForm reads a form from the body or the query of a request.
func parseForm(r *http.Request, body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse("The request is no form: %v", err)
	}
	for k, v := range r.URL.Query() {
		form[k] = append(form[k], v...)
	}
	return form, nil
}

func reply(w http.ResponseWriter, status int, requestID string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked may be gone
}

// Serve answers requests on l until ctx ends, and then those that are under way.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx) // what has not ended by then is cut off
	})
	err := srv.Serve(l)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
