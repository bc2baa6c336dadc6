package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An event is one that a browser gets.
type event struct{ kind, data string }

// streamAt opens the stream of events at a URL, and returns what reads the next event; it
// reports false once the stream has ended.
func streamAt(t testing.TB, base, path string) (next func() (event, bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%s: %d, %s", path, res.StatusCode, kind)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return func() (e event, ok bool) {
		for lines.Scan() {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "event: "):
				e.kind = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				e.data = line[len("data: "):]
			case line == "" && e.kind != "":
				return e, true
			}
		}
		return e, false
	}
}

var liveURL = regexp.MustCompile(`data-live="([^"]*)"`)

// openPage opens a page, and returns the URL of its stream.
func openPage(t *testing.T, server *httptest.Server, path string) string {
	t.Helper()
	_, body := ask(t, server.Client(), "GET", server.URL+path, "", "Authorization", "Bearer "+testToken)
	m := liveURL.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("%s does not follow:\n%s", path, body)
	}
	return html.UnescapeString(m[1])
}

// TestLive says that a page gets what changes of it, and nothing else.
func TestLive(t *testing.T) {
	t.Parallel()
	b, server, _ := serveBoard(t, nil)
	live := openPage(t, server, "/?q=x&a=b")
	b.change() // between the page and its stream
	next := streamAt(t, server.URL, live)
	wants := func(want ...event) {
		t.Helper()
		for _, w := range want {
			got, ok := next()
			if diff := cmp.Diff(w, got, cmp.AllowUnexported(event{})); !ok || diff != "" {
				t.Fatal(diff)
			}
		}
	}
	wants(event{"region", `{"id":"number","html":"<p>1</p>"}`}, event{"data", `{"id":"data","delta":{"more":1}}`}, event{"title", `{"title":"n=1"}`})
	b.change()
	wants(event{"region", `{"id":"number","html":"<p>2</p>"}`}, event{"data", `{"id":"data","delta":{"more":1}}`}, event{"title", `{"title":"n=2"}`})

	again := streamAt(t, server.URL, live) // what it had is not known any more: all is sent
	want := []event{
		{"region", `{"id":"number","html":"<p>2</p>"}`},
		{"region", `{"id":"same","html":"<p>&lt;script&gt;alert(1)&lt;/script&gt;x</p>"}`},
		{"data", `{"id":"data","delta":{"all":2}}`},
		{"title", `{"title":"n=2"}`},
	}
	for _, w := range want {
		if got, _ := again(); got != w {
			t.Errorf("got %q, want %q", got, w)
		}
	}
}

// TestMadeOnce says that a page is made once for all who look at it, and not at all while
// nothing changes or nobody looks.
func TestMadeOnce(t *testing.T) {
	t.Parallel()
	b, server, s := serveBoard(t, nil)
	var streams []func() (event, bool)
	for range 20 {
		streams = append(streams, streamAt(t, server.URL, "/live?page=%2F"))
	}
	all := func() {
		for _, next := range streams {
			for e := (event{}); e.kind != "title"; {
				var ok bool
				if e, ok = next(); !ok {
					t.Fatal("a stream has ended")
				}
			}
		}
	}
	all()
	before := b.made.Load()
	b.change()
	all()
	if n := b.made.Load() - before; n != 1 {
		t.Errorf("the page was made %d times for one change", n)
	}
	if before > 20 {
		t.Errorf("the page was made %d times before it changed", before)
	}
	for asked, made := b.asked.Load(), b.made.Load(); b.asked.Load() < asked+10; runtime.Gosched() {
		if b.made.Load() != made {
			t.Fatal("the page was made though nothing had changed")
		}
	}
	s.hub.close()
	for _, next := range streams {
		if e, ok := next(); !ok || e.kind != "end" {
			t.Fatalf("the end is %v, %v", e, ok)
		}
	}
}

// TestShed says that the stream that was opened first makes room for others.
func TestShed(t *testing.T) {
	t.Parallel()
	_, server, _ := serveBoard(t, func(o *Options) { o.Streams = 2 })
	first := streamAt(t, server.URL, "/live?page=%2F")
	for range 2 {
		streamAt(t, server.URL, "/live?page=%2F%3Fq%3D1")
	}
	for {
		e, ok := first()
		if !ok {
			t.Fatal("it has ended without a word")
		}
		if e.kind == "end" {
			break
		}
	}
}

// TestGone says that a page that is not there is not waited for.
func TestGone(t *testing.T) {
	t.Parallel()
	_, server, s := serveBoard(t, nil)
	next := streamAt(t, server.URL, "/live?page=%2Fruns%2Fother")
	if e, ok := next(); !ok || e.kind != "end" {
		t.Errorf("%v, %v", e, ok)
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if len(s.hub.topics)+len(s.hub.viewers) != 0 {
		t.Errorf("%d pages and %d streams are left", len(s.hub.topics), len(s.hub.viewers))
	}
}

// TestManyPages has 200 different pages open, each of which gets what changes.
func TestManyPages(t *testing.T) {
	t.Parallel()
	b, server, _ := serveBoard(t, nil)
	const pages = 200
	type open struct {
		next func() (event, bool)
		q    int
	}
	var list []open
	for i := range pages {
		list = append(list, open{streamAt(t, server.URL, "/live?"+url.Values{"page": {fmt.Sprintf("/?q=%d", i)}}.Encode()), i})
	}
	upTo := func(want int64) {
		var wait sync.WaitGroup
		for _, o := range list {
			wait.Go(func() {
				for {
					e, ok := o.next()
					if !ok {
						t.Errorf("the stream of page %d has ended", o.q)
						return
					}
					var m struct{ ID, HTML string }
					if e.kind != "region" || json.Unmarshal([]byte(e.data), &m) != nil || m.ID != "number" {
						continue
					}
					if m.HTML == fmt.Sprintf("<p>%d</p>", want) {
						return
					}
				}
			})
		}
		wait.Wait()
	}
	upTo(0)
	begun := time.Now()
	b.change()
	upTo(1)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("%d pages were brought up to date in %v; the heap has %d KiB, both ends of each stream in it", pages, time.Since(begun).Round(time.Millisecond), mem.HeapInuse>>10)
}

// TestSlow says that a browser that does not take what it is sent keeps nobody else waiting,
// and that what is kept for it does not grow.
func TestSlow(t *testing.T) {
	t.Parallel()
	b, server, s := serveBoard(t, func(o *Options) { o.Every = time.Millisecond })
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /live?page=%%2F HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", server.Listener.Addr(), testToken)
	next := streamAt(t, server.URL, "/live?page=%2F")
	for range 3 * keptDeltas {
		b.change()
		want := fmt.Sprintf(`{"title":"n=%d"}`, b.version.Load())
		for e := (event{}); e.data != want; {
			var ok bool
			if e, ok = next(); !ok {
				t.Fatal("the stream has ended")
			}
		}
	}
	s.hub.mu.Lock()
	topic := s.hub.topics["/"]
	s.hub.mu.Unlock()
	topic.mu.Lock()
	defer topic.mu.Unlock()
	if n := len(topic.data[0].deltas); n != keptDeltas {
		t.Errorf("%d changes are kept, want %d", n, keptDeltas)
	}
	late := &viewer{topic: topic, gen: 1}
	topic.mu.Unlock()
	list, err := late.news()
	topic.mu.Lock()
	if err != nil || len(list) != 3 || !strings.Contains(string(list[1].Delta), "all") {
		t.Errorf("who has missed much gets %v, %v", list, err)
	}
}

// TestServeStops says that a server that is told to stop ends the streams, and that a slow
// reader does not keep it.
func TestServeStops(t *testing.T) {
	t.Parallel()
	b := &board{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Routes: b.routes(), Token: testToken, Hosts: []string{l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	next := streamAt(t, "http://"+l.Addr().String(), "/live?page=%2F")
	for e := (event{}); e.kind != "title"; {
		e, _ = next()
	}
	stop()
	if e, ok := next(); !ok || e.kind != "end" {
		t.Errorf("%v, %v", e, ok)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
