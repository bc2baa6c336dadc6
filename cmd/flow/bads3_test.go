package main

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A badS3 is a server in front of one of S3 that loses answers, has no time, and breaks off
// contents.
type badS3 struct {
	url string

	mu     sync.Mutex
	random *rand.Rand

	calls, lost, busy, cut atomic.Int64
}

// How many of a hundred calls go wrong, and how.
const (
	badLost = 3 // carried out, and the connection ends instead of an answer
	badBusy = 3 // 503 Slow Down, half of them after it was carried out
	badCut  = 4 // of those that read: the content breaks off
)

// newBadS3 starts one in front of a server, until the test has ended.
func newBadS3(t testing.TB, server string, seed uint64) *badS3 {
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	b := &badS3{random: rand.New(rand.NewPCG(seed, 1))}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // of answers that are cut short, as they should be
		Rewrite: func(r *httputil.ProxyRequest) { // the host is part of the signature
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		Transport:      &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		ModifyResponse: b.answer,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.calls.Add(1)
		if b.dice() < badBusy/2. {
			b.busy.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	b.url = front.URL
	return b
}

// dice throws a number below 100.
func (b *badS3) dice() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return 100 * b.random.Float64()
}

// answer spoils an answer, perhaps.
func (b *badS3) answer(r *http.Response) error {
	switch d := b.dice(); {
	case d < badLost:
		b.lost.Add(1)
		r.Body.Close()
		panic(http.ErrAbortHandler)
	case d < badLost+badBusy/2.:
		b.busy.Add(1)
		r.Body.Close()
		r.StatusCode, r.Body, r.ContentLength, r.Header = http.StatusServiceUnavailable, http.NoBody, 0, http.Header{}
	case d < badLost+badBusy/2.+badCut && r.Request.Method == http.MethodGet && r.StatusCode < 300 && r.ContentLength > 1:
		b.cut.Add(1)
		r.Body = cutBody{io.LimitReader(r.Body, int64(b.dice()/100*float64(r.ContentLength))), r.Body}
	}
	return nil
}

// A cutBody ends before it should, and that is an error.
type cutBody struct {
	io.Reader
	io.Closer
}

func (c cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *badS3) String() string {
	return fmt.Sprintf("%d calls, %d answers lost, %d busy, %d cut", b.calls.Load(), b.lost.Load(), b.busy.Load(), b.cut.Load())
}
