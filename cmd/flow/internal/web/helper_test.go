package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"io/fs"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/engine"
)

const testToken = "a-token-that-nobody-knows"

// A board is what test pages show: a number that changes, and a list that grows.
type board struct {
	version atomic.Int64
	made    atomic.Int64 // pages
	asked   atomic.Int64 // how often for the version
	mu      sync.Mutex
	posted  []string
}

func (b *board) change() { b.version.Add(1) }

// growing is data: numbers from 0 on.
type growing struct{ n int64 }

func (v growing) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]int64{"all": v.n}) }

func (v growing) Since(before Value) any {
	was, ok := before.(growing)
	switch {
	case !ok:
		return map[string]int64{"all": v.n}
	case was.n == v.n:
		return nil
	}
	return map[string]int64{"more": v.n - was.n}
}

func (b *board) routes() Routes {
	return Routes{
		Pages: map[string]Page{
			"/{$}": func(_ context.Context, r Request) (*View, error) {
				b.made.Add(1)
				n := b.version.Load()
				return &View{Title: fmt.Sprint("n=", n), Live: true, Regions: []Region{
					{"number", h.P(g.Text(fmt.Sprint(n)))},
					{"same", h.P(g.Text("<script>alert(1)</script>" + r.Query.Get("q")))},
				}, Data: []Datum{{"data", growing{n}}}}, nil
			},
			"/runs/{run}": func(_ context.Context, r Request) (*View, error) {
				if r.Path["run"] != "known" {
					return nil, fmt.Errorf("run %s: %w", r.Path["run"], engine.ErrNotFound)
				}
				return &View{Title: "run", Regions: []Region{{"token", g.Text(r.Token)}}}, nil
			},
			"/moved": func(context.Context, Request) (*View, error) { return nil, &MovedError{To: "/runs/known"} },
			"/panic": func(context.Context, Request) (*View, error) { panic("no page") },
		},
		Actions: map[string]Action{
			"/runs/{run}/cancel": func(_ context.Context, r Request, form url.Values) (string, error) {
				if form.Get("n") == "bad" {
					return "", &InvalidError{View: &View{Title: "again", Regions: []Region{{"form", g.Text("n is bad")}}}}
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				b.posted = append(b.posted, r.Path["run"]+" "+form.Get("n"))
				return form.Get("to"), nil
			},
		},
		Files: map[string]File{
			"/api/v1/runs/{run}": func(w http.ResponseWriter, _ *http.Request, r Request) error {
				if r.Path["run"] != "known" {
					return fmt.Errorf("run %s: %w", r.Path["run"], engine.ErrNotFound)
				}
				_, err := w.Write([]byte(`{}`))
				return err
			},
			"/broken": func(w http.ResponseWriter, _ *http.Request, _ Request) error {
				_, _ = w.Write(make([]byte, 1<<16))
				return errors.New("the rest cannot be read")
			},
		},
		Version: func(context.Context) (int64, error) { b.asked.Add(1); return b.version.Load(), nil },
	}
}

// serveBoard serves test pages as flow does, and returns where.
func serveBoard(t testing.TB, change func(*Options)) (*board, *httptest.Server, *Server) {
	t.Helper()
	b := &board{}
	o := Options{
		Routes: b.routes(), Token: testToken, Port: 80, Every: 5 * time.Millisecond,
		Assets: []fs.FS{fstest.MapFS{"assets/flow.css": {Data: []byte("p {}")}}},
	}
	server := httptest.NewUnstartedServer(nil)
	o.Hosts = []string{server.Listener.Addr().String()}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = s.Handler()
	server.Start()
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b, server, s
}
