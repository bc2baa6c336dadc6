package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/executor/executortest/fetched"
	"flow/executor/store"
)

// What becomes of a request on its way.
type fault int

const (
	none    fault = iota
	lost          // it is carried out, and its answer lost
	slow          // 503 Slow Down, as S3 says it
	stalled       // nothing comes, for as long as the client waits
	cut           // half of the answer's content comes
	changed       // a byte of the request's content is another one
	altered       // a byte of the answer's content is another one
	gone          // 404 NoSuchUpload
)

// A proxy is between a client and the server.
type proxy struct {
	URL   string
	mu    sync.Mutex
	fault func(r *http.Request) fault // asked by one at a time
	seen  []string                    // requests, by what they are
}

// kind returns what a request is, such as "PUT part".
func kind(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("partNumber"):
		return r.Method + " part"
	case q.Has("uploads"):
		return r.Method + " uploads"
	case q.Has("uploadId"):
		return r.Method + " upload"
	}
	return r.Method
}

// first returns a fault for the first n requests of a kind.
func first(n int, of string, f fault) func(*http.Request) fault {
	return func(r *http.Request) fault {
		if kind(r) != of || n == 0 {
			return none
		}
		n--
		return f
	}
}

// then returns what f does, and after that a fault for all of a kind.
func then(f func(*http.Request) fault, of string, last fault) func(*http.Request) fault {
	return func(r *http.Request) fault {
		if now := f(r); now != none || kind(r) != of {
			return now
		}
		return last
	}
}

func between(t *testing.T, server string) *proxy {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	next := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host // which is signed
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		f := none
		if p.fault != nil {
			f = p.fault(r)
		}
		p.seen = append(p.seen, kind(r))
		p.mu.Unlock()
		serve(w, r, next, f)
	}))
	t.Cleanup(s.Close)
	p.URL = s.URL
	return p
}

func serve(w http.ResponseWriter, r *http.Request, next http.Handler, f fault) {
	switch f {
	case slow:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
		}
		return
	case gone:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchUpload</Code></Error>")
		return
	case stalled:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	case changed:
		content, _ := io.ReadAll(r.Body)
		content[len(content)/2] ^= 1
		r.Body = io.NopCloser(bytes.NewReader(content))
	}
	if f != lost && f != cut && f != altered {
		next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	content := answer.Body.Bytes()
	if f == lost {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	if f == cut {
		content = content[:len(content)/2]
	} else {
		content[len(content)/2] ^= 1
	}
	_, _ = w.Write(content)
	if f == cut {
		panic(http.ErrAbortHandler)
	}
}

// requests returns how many requests of a kind there were since the last time.
func (p *proxy) requests(of string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.seen {
		if k == of {
			n++
		}
	}
	p.seen = nil
	return n
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// large is a content of two parts.
func large() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16+1) }

// errAny is any error.
var errAny = errors.New("any error")

// Whatever happens to a request, what the client says is true.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := fetched.S3(t)
	s.MakeBucket("bucket")
	content := large()
	sum := sha256.Sum256(content)
	for name, test := range map[string]struct {
		fault func(*http.Request) fault
		act   func(t *testing.T, x *store.S3, uri string) error
		want  error // nil: it succeeds
	}{
		"put, answer lost":        {first(1, "PUT", lost), put, nil},
		"put, slow down":          {first(8, "PUT", slow), put, nil},
		"put, silent connection":  {first(1, "PUT", stalled), put, nil},
		"put, changed on its way": {first(1, "PUT", changed), put, nil},
		"put new, answer lost": {first(1, "PUT", lost), func(t *testing.T, x *store.S3, uri string) error {
			_, err := x.PutNew(t.Context(), uri, []byte("content"))
			return errors.Join(err, check(t, x, uri, "content"))
		}, store.ErrExists},
		"get, cut off":           {first(3, "GET", cut), get, nil},
		"get, silent connection": {first(1, "GET", stalled), get, nil},
		"get, altered":           {first(1, "GET", altered), get, nil},
		"head, slow down":        {first(8, "HEAD", slow), get, nil},
		"upload, answers lost":   {first(3, "PUT part", lost), upload, nil},
		"upload, parts changed":  {first(2, "PUT part", changed), upload, nil},
		"upload, begin lost":     {first(1, "POST uploads", lost), upload, nil},
		"upload, end lost":       {then(first(1, "POST upload", lost), "POST upload", gone), upload, nil},
		"upload, end slow":       {first(2, "POST upload", slow), upload, nil},
		"upload, nothing listed": {first(99, "GET uploads", slow), upload, nil},
		"upload, end refused":    {first(99, "POST upload", slow), func(t *testing.T, x *store.S3, uri string) error { return old(t, s, x, uri) }, errAny},
		"download, cut off":      {first(4, "GET", cut), download, nil},
		"download, silent":       {first(2, "GET", stalled), download, nil},
		"download, slow down":    {first(5, "GET", slow), download, nil},
		"download, for ever":     {first(1000, "GET", cut), download, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uri := "s3://bucket/" + strings.ReplaceAll(name, " ", "-")
			if strings.HasPrefix(name, "download") {
				if _, _, err := open(t, s.URL).Upload(t.Context(), uri, bytes.NewReader(content), int64(len(content))); err != nil {
					t.Fatal(err)
				}
			}
			p := between(t, s.URL)
			p.fault = test.fault
			if err := test.act(t, open(t, p.URL).Hasty(time.Second), uri); !errors.Is(err, test.want) && (!errors.Is(test.want, errAny) || err == nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if n := p.requests("PUT part"); name == "upload, end lost" && n != 2 {
				t.Errorf("%d parts were sent, want 2: the object was there", n)
			}
			if strings.HasPrefix(name, "upload") && test.want == nil {
				if got, err := os.ReadFile(filepath.Join(s.Dir, uri[len("s3://"):])); err != nil || sha256.Sum256(got) != sum {
					t.Errorf("another object is there: %d bytes, %v", len(got), err)
				}
			}
		})
	}
}

func put(t *testing.T, x *store.S3, uri string) error {
	_, err := x.Put(t.Context(), uri, []byte("content"))
	return errors.Join(err, check(t, x, uri, "content"))
}

func get(t *testing.T, x *store.S3, uri string) error {
	if _, err := x.Put(t.Context(), uri, []byte("content")); err != nil {
		return err
	}
	o, err := x.Head(t.Context(), uri)
	if err == nil && o.Size != 7 {
		err = fmt.Errorf("it has %d bytes", o.Size)
	}
	return errors.Join(err, check(t, x, uri, "content"))
}

func check(t *testing.T, x *store.S3, uri, want string) error {
	got, _, err := x.Get(t.Context(), uri)
	if err == nil && string(got) != want {
		err = fmt.Errorf("it is %q", got)
	}
	return err
}

func upload(t *testing.T, x *store.S3, uri string) error {
	content := large()
	o, sum, err := x.Upload(t.Context(), uri, bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	head, err := x.Head(t.Context(), uri)
	if err == nil && (o.ETag != head.ETag || sum != sha256.Sum256(content)) {
		err = fmt.Errorf("it has ETag %s, not %s", head.ETag, o.ETag)
	}
	return err
}

// old uploads over an object of the same size, which is not taken for the one uploaded.
func old(t *testing.T, s *fetched.S3Server, x *store.S3, uri string) error {
	content := append(large()[1:], 'x')
	if _, _, err := open(t, s.URL).Upload(t.Context(), uri, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Error(err)
	}
	return upload(t, x, uri)
}

func download(t *testing.T, x *store.S3, uri string) error {
	f := tempFile(t)
	_, sum, err := x.Download(t.Context(), uri, f, "")
	if err != nil {
		return err
	}
	got, err := os.ReadFile(f.Name())
	if err == nil && (sum != sha256.Sum256(large()) || !bytes.Equal(got, large())) {
		err = errors.New("another content has come")
	}
	return err
}

// An object that is replaced while it is downloaded is not taken for one.
func TestDownloadOfAChangingObject(t *testing.T) {
	t.Parallel()
	s := fetched.S3(t)
	s.MakeBucket("bucket")
	direct, p := open(t, s.URL), between(t, s.URL)
	content := large()
	replace := func(b byte) error {
		content[0] = b
		_, _, err := direct.Upload(context.Background(), "s3://bucket/object", bytes.NewReader(content), int64(len(content)))
		return err
	}
	if err := replace('a'); err != nil {
		t.Fatal(err)
	}
	n := 0
	p.fault = func(*http.Request) fault {
		if n++; n == 2 {
			if err := replace('b'); err != nil {
				t.Error(err)
			}
		}
		return none
	}
	_, _, err := open(t, p.URL).Download(t.Context(), "s3://bucket/object", tempFile(t), "")
	if !errors.Is(err, store.ErrChanged) {
		t.Errorf("%v, want %v", err, store.ErrChanged)
	}
}

// An upload that was interrupted leaves no object, and the next one sends what is missing.
func TestUploadGoesOn(t *testing.T) {
	t.Parallel()
	s := fetched.S3(t)
	s.MakeBucket("bucket")
	const uri = "s3://bucket/object"
	content := append(large(), large()...)[:10<<20+1] // three parts
	p := between(t, s.URL)
	x := open(t, p.URL)
	interrupted := func(after int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		sent := make(chan struct{}, 9)
		p.fault = func(r *http.Request) fault {
			if kind(r) != "PUT part" {
				return none
			}
			if sent <- struct{}{}; len(sent) > after {
				return stalled
			}
			return none
		}
		go func() {
			for parts(t, s, "bucket") < after {
				time.Sleep(time.Millisecond) // the server tells nobody when it has a part
			}
			cancel()
		}()
		if _, _, err := x.Upload(ctx, uri, bytes.NewReader(content), int64(len(content))); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := x.Head(t.Context(), uri); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("half of an upload: %v", err)
		}
		p.fault = nil
		p.requests("")
	}
	whole := func(want int) {
		t.Helper()
		if _, sum, err := x.Upload(t.Context(), uri, bytes.NewReader(content), int64(len(content))); err != nil || sum != sha256.Sum256(content) {
			t.Fatalf("%v, or another sum", err)
		}
		if diff := cmp.Diff(want, p.requests("PUT part")); diff != "" {
			t.Errorf("parts sent (-want +got):\n%s", diff)
		}
		if got, err := os.ReadFile(filepath.Join(s.Dir, "bucket", "object")); err != nil || !bytes.Equal(got, content) {
			t.Errorf("another object: %d bytes, %v", len(got), err)
		}
		if err := x.Remove(t.Context(), uri); err != nil {
			t.Fatal(err)
		}
	}
	interrupted(2)
	whole(1)
	interrupted(2)
	for i := range content {
		content[i]++ // another content: nothing of it counts
	}
	whole(3)
	interrupted(2)
	if err := x.Sweep(t.Context(), "s3://bucket/", time.Now().Add(-time.Hour)); err != nil || parts(t, s, "bucket") != 2 {
		t.Errorf("Sweep of what is older: %v, %d parts are left", err, parts(t, s, "bucket"))
	}
	if err := x.Sweep(t.Context(), "s3://bucket/obj", time.Now().Add(time.Hour)); err != nil || parts(t, s, "bucket") != 0 {
		t.Errorf("Sweep: %v, %d parts are left", err, parts(t, s, "bucket"))
	}
	whole(3)
}

// parts returns how many parts of uploads the server has.
func parts(t *testing.T, s *fetched.S3Server, bucket string) (n int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Dir, bucket, ".sgwtmp", "multipart", "*", "*", "[0-9]*"))
	if err != nil {
		t.Error(err)
	}
	return len(found)
}
