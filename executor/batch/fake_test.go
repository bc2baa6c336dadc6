package batch

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"flow/engine"
)

// A fakeAWS answers calls as a test says, and counts them.
type fakeAWS struct {
	t      testing.TB
	url    string
	mu     sync.Mutex
	calls  []string // the operations, in order
	answer func(w http.ResponseWriter, operation string, body map[string]any)
}

func newFake(t testing.TB, answer func(w http.ResponseWriter, operation string, body map[string]any)) (*fakeAWS, *Executor) {
	t.Helper()
	isolate(t)
	f := &fakeAWS{t: t, answer: answer}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	x, err := Open(t.Context(), Options{Endpoint: server.URL, Profile: ""})
	if err != nil {
		t.Fatal(err)
	}
	x.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return f, x
}

func (f *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.URL.Path, "/v1/")
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, operation, _ = strings.Cut(target, ".")
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.t.Errorf("%s: %v", operation, err)
	}
	f.mu.Lock()
	f.calls = append(f.calls, operation)
	f.mu.Unlock()
	f.answer(w, operation, body)
}

func (f *fakeAWS) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// says answers with an error of AWS.
func says(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-ErrorType", code+":http://internal.amazon.com/coral/")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// page answers with a web page, as what is in between does.
func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<html><body>Welcome to the hotel: please log in</body></html>")
}

func give(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// drop ends the connection without an answer.
func drop(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// ownJob is a job with a definition of the user's own: SubmitJob is its only call.
func ownJob(name string) *engine.JobSpec {
	spec := arraySpec(engine.Upto(2))
	spec.Name, spec.ArraySize, spec.Tasks = name, 0, engine.Upto(1)
	spec.Task = &engine.TaskSpec{JobDefinition: "mine:3"}
	return spec
}
