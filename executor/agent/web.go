package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flow/engine"
	"flow/executor/store"
)

// Limits on what comes from web servers.
const (
	maxRedirects  = 10
	webTries      = 5
	webAnswer     = 30 * time.Second // until a server answers
	webSilence    = time.Minute      // without a byte, within an answer
	webLongest    = 30 * time.Second // between two tries
	maxWebUnnamed = 1 << 30          // bytes that are read to know what they are, if the server does not say
)

// A web gets files from web servers: by https only, and with no credentials at all.
type web struct {
	client  *http.Client
	pause   time.Duration // before the second try; twice as long before each one after
	silence time.Duration // without a byte, after which an answer is given up
}

var theWeb = sync.OnceValue(func() *web {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return newWeb(&http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: webAnswer, IdleConnTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 16, MaxConnsPerHost: 16,
		DisableCompression: true, // what is got is what the server's ETag is of
	}, time.Second)
})

func newWeb(transport http.RoundTripper, pause time.Duration) *web {
	return &web{pause: pause, silence: webSilence, client: &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		r.Header.Del("Referer") // it would tell a signed URL to another host
		switch {
		case len(via) >= maxRedirects:
			return fmt.Errorf("it redirects more than %d times", maxRedirects)
		case r.URL.Scheme != "https":
			return fmt.Errorf("it redirects to %s, which is not https", r.URL.Scheme+"://"+r.URL.Host)
		case r.URL.User != nil:
			return errors.New("it redirects to a URL with a password in it")
		}
		return nil
	}}}
}

// A page is a file on a web server.
type page struct {
	web      *web
	url      string
	tag      string // its ETag, or when it was modified; "": only its content tells
	size     int64  // bytes; -1: not known
	modified time.Time
	sha256   string // that its content is to have; "": any
}

// look asks for a file on a web server without its content.
func (f *Files) look(ctx context.Context, uri string) (*page, error) {
	w := f.web
	if w == nil {
		w = theWeb()
	}
	if err := checkURL(uri); err != nil {
		return nil, err
	}
	resp, err := w.do(ctx, http.MethodHead, uri, nil)
	var status *statusError
	if errors.As(err, &status) && !mayHelp(err) && !errors.Is(err, engine.ErrNotFound) {
		resp, err = w.do(ctx, http.MethodGet, uri, nil) // a URL that is signed for GET refuses HEAD
	}
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return w.page(uri, resp), nil
}

// checkURL refuses what is no URL of a web server, or would have credentials sent.
func checkURL(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return fmt.Errorf("%s is no URL: %w", show(hideQuery(uri)), errors.Unwrap(err))
	case u.Host == "":
		return fmt.Errorf("%s is no URL: it names no host", show(hideQuery(uri)))
	case u.User != nil:
		return fmt.Errorf("the URL of %s has a user's name in it: flow sends credentials to nobody; use a signed URL, or a file", show(u.Host))
	}
	return nil
}

// hideQuery leaves out the part of a URL that signatures are in.
func hideQuery(uri string) string {
	at := strings.IndexAny(uri, "?#")
	if at < 0 {
		return uri
	}
	return uri[:at] + "?..."
}

// page returns what an answer says of a file.
func (w *web) page(uri string, resp *http.Response) *page {
	p := &page{web: w, url: uri, size: resp.ContentLength}
	if t, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		p.modified = t
	}
	p.tag = cmp.Or(resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"))
	return p
}

// identity returns what the server says of the content; "" if it says nothing that changes
// with it, and nothing else is known. Signatures change, and their files do not.
func (p *page) identity() string {
	switch {
	case p.sha256 != "":
		return sumID(p.sha256)
	case p.tag == "":
		return ""
	}
	where, _, _ := strings.Cut(p.url, "?")
	where, _, _ = strings.Cut(where, "#")
	return fmt.Sprintf("https:%x", sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", where, p.tag, p.size)))
}

// is reports whether another answer may be of the same content.
func (p *page) is(now *page) bool {
	return p.tag == now.tag && (p.size < 0 || now.size < 0 || p.size == now.size)
}

// resumes reports whether a part of one answer fits those of another: a weak ETag does not
// tell (RFC 9110, 8.8.1).
func (p *page) resumes() bool { return p.tag != "" && !strings.HasPrefix(p.tag, "W/") }

func (p *page) expect(id string) error {
	kind, want, _ := strings.Cut(id, ":")
	switch {
	case kind == "sha256":
		p.sha256 = want
	case kind == "https" && id != p.identity():
		return fmt.Errorf("%s changed since the run looked at it", show(hideQuery(p.url)))
	}
	return nil
}

// identifyPage returns the identity of a file on a web server: what the server says that
// changes with it, else the sha256 of its content.
func (f *Files) identifyPage(ctx context.Context, uri string) (string, error) {
	p, err := f.look(ctx, uri)
	if err != nil {
		return "", err
	}
	if id := p.identity(); id != "" {
		return id, nil
	}
	tooLarge := fmt.Errorf("%s has more than %d MiB, and its server says neither its ETag nor when it was modified: download it, and give the file", show(hideQuery(uri)), maxWebUnnamed>>20)
	if p.size > maxWebUnnamed {
		return "", tooLarge
	}
	resp, err := p.web.do(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return "", err
	}
	body := p.web.patient(resp.Body)
	defer body.Close()
	sum, n, err := hashReader(ctx, io.LimitReader(body, maxWebUnnamed+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", show(hideQuery(uri)), err)
	case n > maxWebUnnamed:
		return "", tooLarge
	}
	return sumID(hex.EncodeToString(sum[:])), nil
}

// place makes the file name of root.
func (p *page) place(ctx context.Context, m *mover, root *os.Root, name string) ([]engine.ManifestFile, error) {
	done, err := m.turn(ctx, max(p.size, 0))
	if err != nil {
		return nil, err
	}
	defer done()
	file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	placed, err := p.download(ctx, file)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && !p.modified.IsZero() {
		err = root.Chtimes(name, time.Time{}, p.modified)
	}
	if err == nil {
		info, serr := root.Lstat(name)
		if err = serr; err == nil {
			return []engine.ManifestFile{manifestFile(name, info, placed)}, nil
		}
	}
	_ = root.Remove(name)
	return nil, err
}

// download writes the content to a file, and goes on where an answer broke off.
func (p *page) download(ctx context.Context, file *os.File) (Sum, error) {
	h := sha256.New()
	var n int64
	for try := 1; ; try++ {
		more, broken, err := p.read(ctx, io.MultiWriter(file, h), n)
		n += more
		if err == nil {
			break
		}
		if !broken || try == webTries {
			return Sum{}, err
		}
		if err := p.web.wait(ctx, try, nil); err != nil {
			return Sum{}, err
		}
		if !p.resumes() {
			n = 0
			h.Reset()
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return Sum{}, err
			}
			if err := file.Truncate(0); err != nil {
				return Sum{}, err
			}
		}
	}
	sum := Sum(h.Sum(nil))
	if got := hex.EncodeToString(sum[:]); p.sha256 != "" && got != p.sha256 {
		return sum, p.changed()
	}
	return sum, nil
}

func (p *page) changed() error {
	return fmt.Errorf("%s changed since the run looked at it: %w", show(hideQuery(p.url)), store.ErrChanged)
}

// read writes the content from byte at on to w, and returns how much that was. broken says
// that the answer broke off, and that the rest may be had.
func (p *page) read(ctx context.Context, w io.Writer, at int64) (n int64, broken bool, err error) {
	var headers http.Header
	if at > 0 {
		headers = http.Header{"Range": {fmt.Sprintf("bytes=%d-", at)}}
	}
	resp, err := p.web.do(ctx, http.MethodGet, p.url, headers)
	if err != nil {
		return 0, false, err
	}
	body := p.web.patient(resp.Body)
	defer body.Close()
	skip := at
	if resp.StatusCode == http.StatusPartialContent {
		var first, last, size int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); err != nil || first != at {
			return 0, false, fmt.Errorf("%s: the server sends another part than it was asked for", show(hideQuery(p.url)))
		}
		resp.ContentLength, skip = size, 0
	}
	now := p.web.page(p.url, resp)
	if !p.is(now) {
		return 0, false, p.changed()
	}
	if _, err := io.CopyN(io.Discard, body, skip); err != nil {
		return 0, true, p.broken(err)
	}
	n, err = io.Copy(w, &marked{body})
	var failed *readError
	switch {
	case errors.As(err, &failed):
		return n, ctx.Err() == nil, p.broken(failed.error)
	case err == nil && now.size >= 0 && at+n != now.size:
		return n, true, p.broken(io.ErrUnexpectedEOF)
	}
	return n, false, err
}

func (p *page) broken(err error) error { return fmt.Errorf("%s: %w", show(hideQuery(p.url)), err) }

// A marked reader tells its errors from those of whoever writes what it yields.
type marked struct{ io.Reader }

type readError struct{ error }

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if err != nil && err != io.EOF { // as io.Copy does
		err = &readError{err}
	}
	return n, err
}

// A statusError is an answer that is no file.
type statusError struct {
	url    string
	code   int
	status string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s: the server says %s", show(hideQuery(e.url)), e.status)
	if e.code == http.StatusUnauthorized || e.code == http.StatusForbidden {
		text += "; flow sends credentials to nobody: use a signed URL, or a file"
	}
	return text
}

// Is makes "not found" and "gone" what they are.
func (e *statusError) Is(target error) bool {
	return target == engine.ErrNotFound && (e.code == http.StatusNotFound || e.code == http.StatusGone)
}

// do makes a request, as often as it may help. The answer is a file, or a part of it.
func (w *web) do(ctx context.Context, method, uri string, headers http.Header) (*http.Response, error) {
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, uri, nil)
		if err != nil {
			return nil, err
		}
		for name, values := range headers {
			req.Header[name] = values
		}
		req.Header.Set("User-Agent", "flow")
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := w.client.Do(req)
		if err == nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent) {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
			err = &statusError{uri, resp.StatusCode, resp.Status}
		} else {
			err = fmt.Errorf("%s: %w", show(hideQuery(uri)), reason(err))
		}
		if try == webTries || !mayHelp(err) {
			return nil, err
		}
		if err := w.wait(ctx, try, resp); err != nil {
			return nil, err
		}
	}
}

// reason is what is behind an error of a client, without the URL, which may be signed.
func reason(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// mayHelp reports whether another try of a request may help.
func mayHelp(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.code == http.StatusTooManyRequests || status.code == http.StatusRequestTimeout || status.code >= 500 && status.code != http.StatusNotImplemented
	}
	var network net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return false
}

// wait waits before another try, as long as the server asks, if it does.
func (w *web) wait(ctx context.Context, try int, resp *http.Response) error {
	pause := w.pause << (try - 1)
	if resp != nil {
		if after, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil {
			pause = min(max(after, pause), webLongest)
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A patient reads an answer, and gives up when nothing comes any more.
type patient struct {
	io.ReadCloser
	timer *time.Timer
	after time.Duration
	ended atomic.Bool // by the timer
}

func (w *web) patient(body io.ReadCloser) *patient {
	p := &patient{ReadCloser: body, after: w.silence}
	p.timer = time.AfterFunc(w.silence, func() {
		p.ended.Store(true)
		body.Close()
	})
	return p
}

func (p *patient) Read(b []byte) (int, error) {
	p.timer.Reset(p.after)
	n, err := p.ReadCloser.Read(b)
	if err != nil && p.ended.Load() {
		err = fmt.Errorf("nothing came for %v", p.after)
	}
	return n, err
}

func (p *patient) Close() error {
	p.timer.Stop()
	return p.ReadCloser.Close()
}
