package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flow/engine"
	"flow/executor/store/storetest"
)

// webServer returns a server, and Files that trust it.
func webServer(t testing.TB, handler http.HandlerFunc) (string, *Files) {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	f := filesOn(storetest.New())
	f.web = newWeb(s.Client().Transport, time.Millisecond)
	return s.URL, f
}

// stageWeb stages the URLs in, and returns the content of the last one.
func stageWeb(t testing.TB, f *Files, id string, uri string) (string, error) {
	t.Helper()
	a := &Agent{}
	a.Files.web, a.Files.Store = f.web, f.Store
	in := engine.Input{Name: "in", Paths: []string{uri}}
	if id != "" {
		in.IDs = []string{id}
	}
	at, err := a.Begin(context.Background(), farTask(t, in))
	if err != nil {
		return "", err
	}
	return read(t, env(t, at, "in")), nil
}

// served serves a file as most servers do.
func served(content, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(content))
	}
}

func TestWeb(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []*http.Request
	content, etag := "hello", `"1"`
	url, f := webServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r)
		if strings.HasPrefix(r.URL.Path, "/from") {
			http.Redirect(w, r, "/to/a%20b.fq", http.StatusFound)
			return
		}
		served(content, etag)(w, r)
	})
	uri := url + "/from/a%20b.fq?X-Amz-Signature=secret"
	id := identify(t, f, uri)
	if !strings.HasPrefix(id, "https:") || strings.Contains(id, "secret") {
		t.Error(id)
	}
	if other := identify(t, f, url+"/from/a%20b.fq?X-Amz-Signature=another"); other != id {
		t.Error("another signature is another file:", id, other)
	}
	if other := identify(t, f, url+"/from/c"); other == id {
		t.Error("two files have one identity")
	}
	if got, err := stageWeb(t, f, id, uri); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	content, etag = "hallo", `"2"`
	if _, err := stageWeb(t, f, id, uri); err == nil || !strings.Contains(err.Error(), "changed since the run looked at it") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if identify(t, f, uri) == id {
		t.Error("the change was not seen")
	}
	for _, r := range seen {
		for _, name := range []string{"Authorization", "Cookie", "Referer"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s %s has %s: %s", r.Method, r.URL, name, r.Header.Get(name))
			}
		}
	}
}

func TestWebName(t *testing.T) {
	for uri, want := range map[string]string{
		"https://h/a/b.fq?x=/y": "b.fq", "https://h/a%20b": "a b", "https://h/a%2Fb": "b", "https://h": "in", "https://h/": "in", "https://h/..": "in", "https://h/%00": "in",
		"s3://b": "b", "s3://b/": "b", "s3://b/a%20b": "a%20b", "s3://b/d/": "d", "s3://b/x?y#z": "x?y#z", "s3://b/a/..": "in", "/a/b": "b", "/": "in",
	} {
		if got := linkName(&engine.Input{Name: "in"}, uri); got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

// TestWebUnnamed: what a server says nothing about is known by its content.
func TestWebUnnamed(t *testing.T) {
	t.Parallel()
	content := "hello"
	url, f := webServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && r.URL.Path == "/signed" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, content)
		w.(http.Flusher).Flush() // so that there is no Content-Length
	})
	for _, path := range []string{"/x", "/signed"} {
		content = "hello"
		id := identify(t, f, url+path)
		if id != "sha256:"+hexSum("hello") {
			t.Error(id)
		}
		if got, err := stageWeb(t, f, id, url+path); err != nil || got != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		content = "hallo"
		if _, err := stageWeb(t, f, id, url+path); err == nil || !strings.Contains(err.Error(), "changed since the run looked at it") {
			t.Error(err)
		}
	}
}

// TestWebBreaksOff: an answer that breaks off goes on where it was, or from the beginning if
// nobody knows that it is of the same file.
func TestWebBreaksOff(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 50_000)
	for _, etag := range []string{`"1"`, `W/"1"`, ""} {
		for _, ranges := range []bool{true, false} {
			var gets int
			url, f := webServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					gets++
				}
				if etag != "" {
					w.Header().Set("ETag", etag)
				}
				if !ranges {
					r.Header.Del("Range")
				}
				if r.Method == http.MethodGet && gets < 4 {
					w = &cutter{w, 100_000 * gets}
				}
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
			})
			if got, err := stageWeb(t, f, "", url+"/x"); err != nil || got != content {
				t.Errorf("ETag %s, ranges %v: %d bytes, %v", etag, ranges, len(got), err)
			}
			if want := 4; etag == `"1"` && ranges && gets > want {
				t.Errorf("%d requests", gets)
			}
		}
	}
}

// TestWebChangesMeanwhile: what comes is never parts of two files, nor another one than was
// asked for.
func TestWebChangesMeanwhile(t *testing.T) {
	t.Parallel()
	old, now := strings.Repeat("old", 100_000), strings.Repeat("NOW", 100_000)
	for _, etags := range [][2]string{{`"1"`, `"2"`}, {`W/"1"`, `W/"1"`}, {"", ""}} {
		for _, from := range []int{1, 2} { // the request from which on it is another file
			var gets int
			url, f := webServer(t, func(w http.ResponseWriter, r *http.Request) {
				content, etag := old, etags[0]
				if r.Method == http.MethodGet {
					if gets++; gets >= from {
						content, etag = now, etags[1]
					}
					if gets == 1 {
						w = &cutter{w, 100_000}
					}
				}
				if etag != "" {
					w.Header().Set("ETag", etag)
				}
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
			})
			got, err := stageWeb(t, f, "", url+"/x")
			if etags[0] != etags[1] && (err == nil || !strings.Contains(err.Error(), "changed since the run looked at it")) || etags[0] == etags[1] && got != now {
				t.Errorf("ETags %s, from request %d: %d bytes, %v", etags, from, len(got), err)
			}
		}
	}
}

// A cutter ends an answer after some bytes, and its connection.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}

func TestWebTriesAgain(t *testing.T) {
	t.Parallel()
	requests := 0
	url, f := webServer(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests%3 != 0 {
			w.WriteHeader([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests}[requests%2])
			return
		}
		served("hello", `"1"`)(w, r)
	})
	if got, err := stageWeb(t, f, "", url+"/x"); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWebErrors(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	var url string
	url, f := webServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			http.NotFound(w, r)
		case "/down":
			w.WriteHeader(http.StatusBadGateway)
		case "/forbidden":
			w.WriteHeader(http.StatusForbidden)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, "http://"+r.Host+"/x", http.StatusFound)
		case "/password":
			http.Redirect(w, r, "https://u:p@"+r.Host+"/x", http.StatusFound)
		case "/silent":
			w.Header().Set("Content-Length", "10")
			w.Header().Set("ETag", `"1"`)
			if r.Method == http.MethodGet {
				fmt.Fprint(w, "hello")
				w.(http.Flusher).Flush()
				<-stop
			}
		}
	})
	defer close(stop)
	f.web.silence = 10 * time.Millisecond
	tests := []struct{ uri, want string }{
		{url + "/none?sig=secret", "the server says 404 Not Found"},
		{url + "/down?sig=secret", "502 Bad Gateway"},
		{url + "/forbidden?sig=secret", "flow sends credentials to nobody"},
		{url + "/loop?sig=secret", "redirects more than 10 times"},
		{url + "/plain?sig=secret", "is not https"},
		{url + "/password?sig=secret", "with a password in it"},
		{url + "/silent?sig=secret", "nothing came for 10ms"},
		{"https://u:secret@h/x", "has a user's name in it"},
		{"https:///x", "names no host"},
		{"https://h:x/?secret", "is no URL"},
		{"https://127.0.0.1:1/?secret", "connection refused"},
	}
	for _, tt := range tests {
		_, err := stageWeb(t, f, "", tt.uri)
		assertError(t, err, StageIn, tt.want)
		if strings.Contains(err.Error(), "secret") {
			t.Error("it tells what nobody is to know:", err)
		}
		_, err = f.Identify(context.Background(), tt.uri)
		if notFound := errors.Is(err, engine.ErrNotFound); err == nil && !strings.Contains(tt.uri, "silent") || notFound != strings.Contains(tt.uri, "/none") {
			t.Errorf("%s: %v", tt.uri, err)
		}
	}
}

// TestWebSilence: an answer that goes on slowly is not given up, and one that does not is.
func TestWebSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &slow{wait: webSilence - time.Second, closed: make(chan struct{})}
		p := newWeb(nil, 0).patient(body)
		buf := make([]byte, 1)
		for range 3 {
			if _, err := p.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		body.wait = 2 * webSilence
		if _, err := p.Read(buf); err == nil || !strings.Contains(err.Error(), "nothing came for 1m0s") {
			t.Error(err)
		}
	})
}

// A slow body yields a byte after some time.
type slow struct {
	wait   time.Duration
	closed chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-time.After(s.wait):
		return copy(p, "x"), nil
	case <-s.closed:
		return 0, errors.New("closed")
	}
}

func (s *slow) Close() error { close(s.closed); return nil }
