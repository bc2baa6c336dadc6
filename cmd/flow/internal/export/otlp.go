package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// spansAtOnce is how many spans are sent in one request: of at most half a kilobyte each, far
// below the 64 MiB that receivers take (OTLP/HTTP Request).
const spansAtOnce = 5000

// traces is a message ExportTraceServiceRequest.
type traces struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []Attribute `json:"attributes"`
}

type scopeSpans struct {
	Scope scope  `json:"scope"`
	Spans []Span `json:"spans"`
}

type scope struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// requests yields the spans of a run as messages, for a service of that name.
func requests(r *Run, service string) iter.Seq[*traces] {
	var a attributes
	a.text("service.name", service)
	a.text("service.version", r.Flow)
	message := func(spans []Span) *traces {
		return &traces{[]resourceSpans{{resource{a}, []scopeSpans{{scope{"flow", r.Flow}, spans}}}}}
	}
	return func(yield func(*traces) bool) {
		var spans []Span
		for s := range Spans(r) {
			if spans = append(spans, s); len(spans) == spansAtOnce {
				if !yield(message(spans)) {
					return
				}
				spans = nil
			}
		}
		if len(spans) > 0 {
			yield(message(spans))
		}
	}
}

// OTLP writes the spans of a run, a message of the protocol on each line, as the collector's file
// exporter does. service is their service.name.
func OTLP(w io.Writer, r *Run, service string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for m := range requests(r, service) {
		if err := enc.Encode(m); err != nil {
			return err
		}
	}
	return nil
}

// A Collector is where spans are sent to.
type Collector struct {
	URL     string // of the traces
	Header  http.Header
	Client  *http.Client
	Service string // the spans' service.name
	// Wait waits before a request is sent again.
	Wait func(context.Context, time.Duration) error
}

// CollectorOf returns what the environment says of where spans go (OpenTelemetry Protocol
// Exporter). It is nil if it says nothing.
func CollectorOf(getenv func(string) string) (*Collector, error) {
	c := &Collector{Header: http.Header{}, Client: client(), Service: "flow", Wait: wait}
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	c.URL = getenv(name)
	if c.URL == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
		if base := getenv(name); base != "" {
			c.URL = strings.TrimRight(base, "/") + "/v1/traces"
		}
	}
	if c.URL == "" {
		return nil, nil
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s is no URL that spans can be sent to: write it like http://localhost:4318", name)
	}
	if s := getenv("OTEL_SERVICE_NAME"); s != "" {
		c.Service = s
	}
	for _, kind := range []string{"", "TRACES_"} { // the second one wins
		if p := getenv("OTEL_EXPORTER_OTLP_" + kind + "PROTOCOL"); p == "grpc" {
			return nil, errors.New("spans are sent as http/json, not by grpc: give the collector's HTTP port, which is 4318 unless somebody chose another, and unset OTEL_EXPORTER_OTLP_PROTOCOL")
		}
		if text := getenv("OTEL_EXPORTER_OTLP_" + kind + "TIMEOUT"); text != "" {
			ms, err := strconv.Atoi(text)
			if err != nil || ms < 0 {
				return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_%sTIMEOUT is %q: it is a number of milliseconds", kind, text)
			}
			c.Client.Timeout = time.Duration(ms) * time.Millisecond
		}
		if err := c.addHeaders(getenv("OTEL_EXPORTER_OTLP_" + kind + "HEADERS")); err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_%sHEADERS: %w", kind, err)
		}
	}
	return c, nil
}

// client returns what spans are sent with. It follows no redirect: the headers may be secret, and
// are for the collector alone.
func client() *http.Client {
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// addHeaders adds headers written as k1=v1,k2=v2, with what is special in them percent-encoded.
// The error does not quote them: they may be secret.
func (c *Collector) addHeaders(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || err != nil || name == "" {
			return errors.New("it is not written like name=value,name=value")
		}
		c.Header.Set(name, value)
	}
	return nil
}

// Send sends the spans of a run, and returns how many there were. What the collector asks to be
// sent again is, a few times.
func (c *Collector) Send(ctx context.Context, r *Run) (spans int, err error) {
	for m := range requests(r, c.Service) {
		var body bytes.Buffer
		z := gzip.NewWriter(&body)
		if err := errors.Join(json.NewEncoder(z).Encode(m), z.Close()); err != nil {
			return spans, err
		}
		if err := c.post(ctx, body.Bytes()); err != nil {
			return spans, fmt.Errorf("sending spans to %s: %w", c.host(), err)
		}
		spans += len(m.ResourceSpans[0].ScopeSpans[0].Spans)
	}
	return spans, nil
}

// host returns where spans go, without what may be secret in the URL.
func (c *Collector) host() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "the collector"
	}
	return u.Scheme + "://" + u.Host
}

const (
	triesToSend = 4
	mostOfReply = 4 << 20 // bytes of an answer that are read (OTLP/HTTP Response)
)

// post sends one message.
func (c *Collector) post(ctx context.Context, body []byte) error {
	delay := time.Second
	for try := 1; ; try++ {
		again, after, err := c.once(ctx, body)
		if err == nil || !again || try == triesToSend {
			return err
		}
		if err := c.Wait(ctx, max(after, delay)); err != nil {
			return err
		}
		delay *= 2
	}
}

// once sends one message once. again says that it may be sent again, not before after.
func (c *Collector) once(ctx context.Context, body []byte) (again bool, after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	req.Header = c.Header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	answer, err := c.Client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return ctx.Err() == nil, 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, mostOfReply))
	if err != nil {
		return true, 0, err
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return false, 0, partly(text)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
		if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
			after = time.Duration(min(max(s, 0), 60)) * time.Second
		}
	}
	return again, after, fmt.Errorf("the answer is %s", answer.Status)
}

// partly returns an error if an answer says that not all spans were taken.
func partly(answer []byte) error {
	var a struct {
		Partial struct {
			Rejected json.Number `json:"rejectedSpans"`
			Message  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &a) != nil || a.Partial.Rejected == "" || a.Partial.Rejected == "0" {
		return nil
	}
	return fmt.Errorf("%s spans were refused: %s", a.Partial.Rejected, a.Partial.Message)
}

// wait waits, or until ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
