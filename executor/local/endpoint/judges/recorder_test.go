package judges

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"flow/executor/local/endpoint/judges/apimodel"
)

// A recorder stands between clients and an endpoint, changes nothing, and keeps what was
// said.
type recorder struct {
	server *httptest.Server
	target string

	mu        sync.Mutex
	exchanges []*apimodel.Exchange
}

func record(t *testing.T, target string) *recorder {
	t.Helper()
	r := &recorder{target: strings.TrimSuffix(target, "/")}
	r.server = httptest.NewServer(http.HandlerFunc(r.pass))
	t.Cleanup(r.server.Close)
	return r
}

// pass hands a request on, and its answer back.
func (r *recorder) pass(w http.ResponseWriter, req *http.Request) {
	x, err := r.ask(req)
	if err != nil {
		panic(http.ErrAbortHandler) // the client sees what was seen here: a connection that is cut
	}
	if !strings.HasPrefix(x.Path, "/_flow/") { // no API of AWS
		r.mu.Lock()
		r.exchanges = append(r.exchanges, x)
		r.mu.Unlock()
	}
	for name, values := range x.ResponseHeader {
		w.Header()[name] = values
	}
	w.WriteHeader(x.Status)
	_, _ = w.Write(x.ResponseBody)
}

func (r *recorder) ask(req *http.Request) (*apimodel.Exchange, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	out, err := http.NewRequestWithContext(req.Context(), req.Method, r.target+req.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header, out.Host = req.Header.Clone(), req.Host // they are signed
	if out.Header.Get("Accept-Encoding") == "" {
		out.Header.Set("Accept-Encoding", "identity") // else Go asks for another
	}
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return &apimodel.Exchange{
		Method: req.Method, Path: req.URL.EscapedPath(), Query: req.URL.Query(), RequestHeader: req.Header, RequestBody: body,
		Status: answer.StatusCode, ResponseHeader: answer.Header, ResponseBody: said,
	}, nil
}

var index = regexp.MustCompile(`\[\d+\]`)

// judge reports what in the exchanges is not as the model says, each kind once.
func (r *recorder) judge(t *testing.T, m *apimodel.Model) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]int{}
	operations := map[string]bool{}
	for _, x := range r.exchanges {
		operations[x.Path+x.RequestHeader.Get("X-Amz-Target")] = true
		for _, f := range m.Check(x) {
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
	t.Logf("%d exchanges of %d kinds were checked against the model", len(r.exchanges), len(operations))
}

func describe(x *apimodel.Exchange) string {
	return fmt.Sprintf("%s %s %s\n%.2000s\n-> %d %v\n%.2000s", x.Method, x.Path, x.RequestHeader.Get("X-Amz-Target"), x.RequestBody,
		x.Status, x.ResponseHeader, x.ResponseBody)
}

// The recorder tells when an endpoint is not as the model says.
func TestRecorder(t *testing.T) {
	m := model(t)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-RequestId", "6e0f1a2b-0000-4000-8000-123456789abc")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jobs":[{"jobId":"a","jobName":"a","jobQueue":"q","jobDefinition":"d","status":"ASLEEP","createdAt":1.0}]}`)
	}))
	defer liar.Close()
	r := record(t, liar.URL)
	answer, err := http.Post(r.server.URL+"/v1/describejobs", "application/json", strings.NewReader(`{"jobs":[1]}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	got := map[string]bool{}
	for _, f := range m.Check(r.exchanges[0]) {
		got[fmt.Sprint(f.Where, f.At, f.Warning)] = true
	}
	want := []string{"request.jobs[0]false", "response.jobs[0].statusfalse", "response.jobs[0].createdAtfalse", "response.jobs[0].startedAttrue"}
	for _, w := range want {
		if !got[w] {
			t.Errorf("no finding %s among %v", w, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("findings: %v", got)
	}
}
