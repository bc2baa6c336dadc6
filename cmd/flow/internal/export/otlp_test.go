package export

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func getenv(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestCollectorOf(t *testing.T) {
	const base = "OTEL_EXPORTER_OTLP_"
	for _, c := range []struct {
		name    string
		vars    map[string]string
		url     string
		header  string // of the name K
		problem string
	}{
		{"nothing", nil, "", "", ""},
		{"a base", map[string]string{base + "ENDPOINT": "http://c.test:4318/"}, "http://c.test:4318/v1/traces", "", ""},
		{"of traces alone", map[string]string{base + "ENDPOINT": "http://a.test", base + "TRACES_ENDPOINT": "https://b.test/x"}, "https://b.test/x", "", ""},
		{"headers", map[string]string{base + "ENDPOINT": "http://a.test", base + "HEADERS": "k=1, x=2", base + "TRACES_HEADERS": "k=a%20b%2C"}, "http://a.test/v1/traces", "a b,", ""},
		{"no URL", map[string]string{base + "ENDPOINT": "c.test:4318"}, "", "", base + "ENDPOINT is no URL"},
		{"grpc", map[string]string{base + "ENDPOINT": "http://a.test", base + "PROTOCOL": "grpc"}, "", "", "not by grpc"},
		{"timeout", map[string]string{base + "ENDPOINT": "http://a.test", base + "TIMEOUT": "10s"}, "", "", "milliseconds"},
		{"a bad header", map[string]string{base + "ENDPOINT": "http://a.test", base + "HEADERS": "secret"}, "", "", "HEADERS: it is not written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := CollectorOf(getenv(c.vars))
			switch {
			case c.problem != "":
				if err == nil || !strings.Contains(err.Error(), c.problem) || strings.Contains(err.Error(), "secret") {
					t.Errorf("error: %v", err)
				}
			case err != nil:
				t.Error(err)
			case c.url == "":
				if got != nil {
					t.Errorf("it goes to %s", got.URL)
				}
			case got.URL != c.url || got.Header.Get("k") != c.header:
				t.Errorf("%s, %v", got.URL, got.Header)
			}
		})
	}
}

// A collector of a test answers requests in turn, and keeps what came.
type collector struct {
	answers []int
	body    string // of the answer 200
	got     []traces
	headers []http.Header
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.headers = append(c.headers, r.Header)
	status := http.StatusOK
	if len(c.answers) > 0 {
		status, c.answers = c.answers[0], c.answers[1:]
	}
	if status == http.StatusOK {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			status = http.StatusBadRequest
		} else if text, err := io.ReadAll(z); err == nil {
			var m traces
			if json.Unmarshal(text, &m) == nil {
				c.got = append(c.got, m)
			}
		}
	} else {
		w.Header().Set("Retry-After", "7")
	}
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = io.WriteString(w, c.body)
	}
}

func TestSend(t *testing.T) {
	for _, c := range []struct {
		name    string
		server  collector
		waits   []time.Duration
		problem string
	}{
		{"at once", collector{body: `{}`}, nil, ""},
		{"after a while", collector{answers: []int{503, 429, 200}, body: `{"partialSuccess":{}}`}, []time.Duration{7 * time.Second, 7 * time.Second}, ""},
		{"never", collector{answers: []int{503, 503, 503, 503}}, []time.Duration{7 * time.Second, 7 * time.Second, 7 * time.Second}, "503"},
		{"refused", collector{answers: []int{401}}, nil, "401"},
		{"in part", collector{body: `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`}, nil, "2 spans were refused: too old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(&c.server)
			defer server.Close()
			to, err := CollectorOf(getenv(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret", "OTEL_SERVICE_NAME": "lab"}))
			if err != nil {
				t.Fatal(err)
			}
			var waits []time.Duration
			to.Wait = func(_ context.Context, d time.Duration) error {
				waits = append(waits, d)
				return nil
			}
			n, err := to.Send(t.Context(), gather(t, whole()))
			if len(waits) != len(c.waits) {
				t.Errorf("it waited %v", waits)
			}
			for i := range min(len(waits), len(c.waits)) {
				if waits[i] != c.waits[i] {
					t.Errorf("it waited %v", waits)
				}
			}
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error: %v", err)
				}
				return
			}
			if err != nil || n != 10 || len(c.server.got) != 1 {
				t.Fatalf("%d spans in %d messages: %v", n, len(c.server.got), err)
			}
			h := c.server.headers[0]
			if h.Get("api-key") != "s3cret" || h.Get("Content-Type") != "application/json" {
				t.Errorf("headers: %v", h)
			}
			if got := *c.server.got[0].ResourceSpans[0].Resource.Attributes[0].Value.Text; got != "lab" {
				t.Errorf("service.name is %q", got)
			}
		})
	}
}

// TestNoRedirect checks that what is for a collector goes to no other server, headers least of all.
func TestNoRedirect(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	to, err := CollectorOf(getenv(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Send(t.Context(), gather(t, whole())); err == nil || !strings.Contains(err.Error(), "307") || asked != 0 {
		t.Errorf("error %v, and the other server was asked %d times", err, asked)
	}
}

// TestNobodyListens checks that the error says where spans were to go, and nothing of a secret.
func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	to, err := CollectorOf(getenv(map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": server.URL + "/x?key=s3cret"}))
	if err != nil {
		t.Fatal(err)
	}
	to.Wait = func(context.Context, time.Duration) error { return nil }
	_, err = to.Send(t.Context(), gather(t, whole()))
	if err == nil || !strings.Contains(err.Error(), server.URL) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error: %v", err)
	}
}
