package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a server is made of.
type Options struct {
	Routes Routes
	Shell  Shell   // nil: a plain one
	Assets []fs.FS // style sheets, scripts and images, beside those of this package
	// Token is what browsers and programs must know.
	Token string
	// Hosts are the values that the Host header may have: "127.0.0.1:8650". An empty one stands
	// for every IP address with the port of the listener.
	Hosts []string
	// Origins are those of pages that may post beside pages of ours, "https://flow.example.org":
	// what browsers see of a proxy that passes another Host on.
	Origins []string
	Port    int  // of the listener, in the name of the cookie
	Secure  bool // browsers come by HTTPS, through a proxy
	Log     *slog.Logger
	Streams int           // how many pages may be open and live; more: the oldest one stops. 0: 512
	Every   time.Duration // how often a page that is open is brought up to date at most; 0: 250 ms
}

// A Server serves pages.
type Server struct {
	o      Options
	assets *assets
	pages  *http.ServeMux // finds the page of a URL, see find
	mux    *http.ServeMux
	all    []string // patterns of mux
	guard  *guard
	hub    *hub
	log    *slog.Logger

	closeOnce sync.Once
}

// Time-outs. A page that stays open has a write of its own each time.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 30 * time.Second // for a page; for each piece of what is longer
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 5 * time.Second // for what is under way when the server stops
	maxHeader     = 32 << 10
	maxForm       = 1 << 20
	maxURL        = 4 << 10
	maxConns      = 2048
)

// New returns a server. It starts nothing.
func New(o Options) (*Server, error) {
	if len(o.Token) < 16 {
		return nil, errors.New("the token is too short: 16 characters at least")
	}
	if o.Shell == nil {
		o.Shell = plainShell
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Streams == 0 {
		o.Streams = 512
	}
	if o.Every == 0 {
		o.Every = 250 * time.Millisecond
	}
	s := &Server{o: o, log: o.Log}
	var err error
	if s.assets, err = loadAssets(append([]fs.FS{ownAssets}, o.Assets...)...); err != nil {
		return nil, err
	}
	if s.guard, err = newGuard(&s.o); err != nil {
		return nil, err
	}
	s.hub = newHub(s.find, o.Routes.Version, o.Every, o.Streams, o.Log)
	s.route()
	return s, nil
}

// route builds the tables of routes.
func (s *Server) route() {
	s.pages, s.mux = http.NewServeMux(), http.NewServeMux()
	for pattern, page := range s.o.Routes.Pages {
		s.pages.Handle("GET "+pattern, &found{page: page, names: wildcards(pattern)})
		s.handle("GET "+pattern, s.servePage(page, wildcards(pattern)))
	}
	for pattern, action := range s.o.Routes.Actions {
		s.handle("POST "+pattern, s.serveAction(action, wildcards(pattern)))
	}
	for pattern, file := range s.o.Routes.Files {
		s.handle("GET "+pattern, s.serveFile(file, wildcards(pattern)))
	}
	s.handle("GET "+livePath, s.serveLive)
	s.handle("GET /assets/{hash}/{name}", s.assets.serve)
	s.handle("POST "+loginPath, s.guard.login)
	s.handle("GET "+healthPath, health)
	if s.o.Routes.Pages["/"] == nil {
		s.handle("GET /", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoPage) })
	}
}

func (s *Server) handle(pattern string, f http.HandlerFunc) {
	s.all = append(s.all, pattern)
	s.mux.HandleFunc(pattern, f)
}

// Patterns returns the patterns of all that is answered, each with its method.
func (s *Server) Patterns() []string { return slices.Clone(s.all) }

// Handler returns what answers requests, with all that guards it.
func (s *Server) Handler() http.Handler { return s.guard.wrap(s.mux) }

// Serve answers until ctx ends; then what is under way may take a moment longer, and pages
// that are open are told to come back. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		DisableGeneralOptionsHandler: true,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(limited(l, maxConns)) }()
	select {
	case err := <-done:
		s.Close()
		return err
	case <-ctx.Done():
	}
	s.Close()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // somebody reads too slowly
	}
	if ended := <-done; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = ended
	}
	return err
}

// Close ends the streams of pages that are open.
func (s *Server) Close() { s.closeOnce.Do(s.hub.close) }

// wildcards returns the names of the wildcards in a pattern.
func wildcards(pattern string) (names []string) {
	for part := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && name != "$}" {
			names = append(names, strings.TrimRight(name, ".}"))
		}
	}
	return names
}

// request is what was asked for, by a route with these wildcards.
func (s *Server) request(r *http.Request, names []string) Request {
	q := Request{Path: make(map[string]string, len(names)), Query: r.URL.Query(), Token: s.guard.formToken}
	for _, name := range names {
		q.Path[name] = r.PathValue(name)
	}
	return q
}

// found is a page in the table of pages. It answers no request: its place is filled in.
type found struct {
	page  Page
	names []string
}

// place takes what a lookup in the table of pages finds.
type place struct {
	http.ResponseWriter
	found *found
	path  map[string]string
}

func (p *place) Header() http.Header         { return http.Header{} }
func (p *place) Write(b []byte) (int, error) { return len(b), nil }
func (p *place) WriteHeader(int)             {}

func (f *found) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := w.(*place)
	if !ok {
		return
	}
	p.found, p.path = f, map[string]string{}
	for _, name := range f.names {
		p.path[name] = r.PathValue(name)
	}
}

// find returns what makes the page of a URL, a path and a query; nil: there is none.
func (s *Server) find(rawURL string) func(context.Context) (*View, error) {
	if len(rawURL) > maxURL || !strings.HasPrefix(rawURL, "/") {
		return nil
	}
	r, err := http.NewRequest(http.MethodGet, "http://localhost"+rawURL, nil)
	if err != nil || checkPath(r.URL) != nil {
		return nil
	}
	p := &place{}
	s.pages.ServeHTTP(p, r)
	if p.found == nil {
		return nil
	}
	q := Request{Path: p.path, Query: r.URL.Query(), Token: s.guard.formToken, Open: true}
	return func(ctx context.Context) (v *View, err error) {
		defer recovered(&err)
		return p.found.page(ctx, q)
	}
}

// recovered makes an error of a panic.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = &panicError{p}
	}
}

// A panicError is a mistake of ours, which must not end the server.
type panicError struct{ what any }

func (e *panicError) Error() string { return fmt.Sprintf("a mistake in flow: %v", e.what) }

// limited lets at most n connections be open; more wait.
func limited(l net.Listener, n int) net.Listener {
	return &limitedListener{Listener: l, free: make(chan struct{}, n)}
}

type limitedListener struct {
	net.Listener
	free chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, done: sync.OnceFunc(func() { <-l.free })}, nil
}

type limitedConn struct {
	net.Conn
	done func()
}

func (c *limitedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
