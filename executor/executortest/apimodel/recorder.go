package apimodel

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Recorder stands between clients and a server, and keeps what was said. It changes
// nothing, but for what Rewrite does.
type Recorder struct {
	URL string // what clients are given
	// Rewrite changes an answer before the client has it; nil: none. It may be called from
	// several goroutines, and is to be set before the first request.
	Rewrite func(*Exchange)

	target string

	mu        sync.Mutex
	exchanges []*Exchange
}

// Record starts a recorder in front of the server at the URL target, for as long as the
// test runs.
func Record(t testing.TB, target string) *Recorder {
	t.Helper()
	r := &Recorder{target: strings.TrimSuffix(target, "/")}
	server := httptest.NewServer(http.HandlerFunc(r.pass))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// pass hands a request on, and its answer back.
func (r *Recorder) pass(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x := &Exchange{Method: req.Method, Path: req.URL.EscapedPath(), Query: req.URL.Query(), RequestHeader: req.Header, RequestBody: body}
	err = r.ask(req, x)
	if err == nil && r.Rewrite != nil {
		r.Rewrite(x)
	}
	if !strings.HasPrefix(x.Path, "/_flow/") { // no API of AWS
		r.mu.Lock()
		r.exchanges = append(r.exchanges, x)
		r.mu.Unlock()
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client sees what was seen here: a connection that is cut
	}
	for name, values := range x.ResponseHeader {
		w.Header()[name] = values
	}
	w.WriteHeader(x.Status)
	_, _ = w.Write(x.ResponseBody)
}

// ask hands a request on, and fills in the answer.
func (r *Recorder) ask(req *http.Request, x *Exchange) error {
	out, err := http.NewRequestWithContext(req.Context(), req.Method, r.target+req.URL.RequestURI(), bytes.NewReader(x.RequestBody))
	if err != nil {
		return err
	}
	out.Header, out.Host = req.Header.Clone(), req.Host // they are signed
	if out.Header.Get("Accept-Encoding") == "" {
		out.Header.Set("Accept-Encoding", "identity") // else Go asks for another
	}
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	x.Status, x.ResponseHeader, x.ResponseBody = answer.StatusCode, answer.Header, said
	return nil
}

// Exchanges returns what was said so far.
func (r *Recorder) Exchanges() []*Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.exchanges)
}

// Count returns how many requests there were of each operation.
func (r *Recorder) Count(m *Model) map[string]int {
	count := map[string]int{}
	for _, x := range r.Exchanges() {
		count[m.Operation(x)]++
	}
	return count
}

// Judge reports what in the exchanges is not as the model says, each kind once. Of an answer
// that never came nothing is said.
func (r *Recorder) Judge(t testing.TB, m *Model) {
	t.Helper()
	r.judge(t, m, func(x *Exchange) []Finding {
		if x.Status == 0 {
			return nil
		}
		return m.Check(x)
	})
}

// JudgeRequests reports what in the requests, accepted or not, is not as the model says,
// each kind once.
func (r *Recorder) JudgeRequests(t testing.TB, m *Model) {
	t.Helper()
	r.judge(t, m, m.CheckRequest)
}

var index = regexp.MustCompile(`\[\d+\]`)

func (r *Recorder) judge(t testing.TB, m *Model, check func(*Exchange) []Finding) {
	t.Helper()
	seen := map[string]int{}
	for _, x := range r.Exchanges() {
		for _, f := range check(x) {
			kind := f.Operation + f.Where + index.ReplaceAllString(f.At, "[]")
			if seen[kind]++; seen[kind] > 1 {
				continue
			}
			if f.Warning {
				t.Logf("as on AWS, not as in its model: %v", f)
				continue
			}
			t.Errorf("%v\n%s", f, describe(x))
		}
	}
	t.Logf("checked against the model: %v", r.Count(m))
}

func describe(x *Exchange) string {
	return fmt.Sprintf("%s %s %s\n%.2000s\n-> %d %v\n%.2000s", x.Method, x.Path, x.RequestHeader.Get("X-Amz-Target"), x.RequestBody,
		x.Status, x.ResponseHeader, x.ResponseBody)
}
