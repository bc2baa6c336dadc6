package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/engine"
)

var errNoPage = errors.New("there is no such page")

// apiPath is where programs are answered: in JSON, errors as well.
const apiPath = "/api/"

// servePage answers with a page.
func (s *Server) servePage(page Page, names []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := func() (v *View, err error) {
			defer recovered(&err)
			return page(r.Context(), s.request(r, names))
		}()
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.show(w, r, http.StatusOK, v)
	}
}

// show writes a view as a page.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, v *View) {
	var b bytes.Buffer
	err := func() (err error) {
		defer recovered(&err)
		p, err := partsOf(v)
		if err != nil {
			return err
		}
		d := &Document{View: v, assets: s.assets, parts: p}
		if v.Live && r.Method == http.MethodGet {
			d.live = livePath + "?" + url.Values{"page": {pageURL(r.URL)}, "have": {s.hub.remember(v, p)}}.Encode()
		}
		return s.o.Shell(d).Render(&b)
	}()
	if err != nil {
		s.log.Error("page", "url", r.URL.Path, "error", err)
		http.Error(w, "This page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(Visible(b.Bytes()))
}

// pageURL is how a page is known: its path and its query, in one order.
func pageURL(u *url.URL) string {
	if q := u.Query().Encode(); q != "" {
		return u.EscapedPath() + "?" + q
	}
	return u.EscapedPath()
}

// serveAction does what a form asks for. The guard has looked at where it comes from.
func (s *Server) serveAction(action Action, names []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		to, err := func() (to string, err error) {
			defer recovered(&err)
			return action(r.Context(), s.request(r, names), r.PostForm)
		}()
		var invalid *InvalidError
		switch {
		case errors.As(err, &invalid):
			s.show(w, r, http.StatusUnprocessableEntity, invalid.View)
			return
		case err != nil:
			s.log.Warn("action", "url", r.URL.Path, "error", err)
			s.fail(w, r, err)
			return
		case !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//"):
			to = "/"
		}
		s.log.Info("action", "url", r.URL.Path)
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

// serveFile answers with something else than a page.
func (s *Server) serveFile(file File, names []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := &patient{ResponseWriter: w, control: http.NewResponseController(w)}
		err := func() (err error) {
			defer recovered(&err)
			return file(out, r, s.request(r, names))
		}()
		switch {
		case err == nil:
		case out.begun:
			s.log.Debug("file", "url", r.URL.Path, "error", err)
			panic(http.ErrAbortHandler) // the reader must not take it for whole
		default:
			s.fail(w, r, err)
		}
	}
}

// patient gives each write its own time: an answer that is long may take long.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (p *patient) WriteHeader(status int) {
	p.begun = true
	p.ResponseWriter.WriteHeader(status)
}

func (p *patient) Write(b []byte) (int, error) {
	p.begun = true
	_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // else the server's holds
	return p.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// fail answers with an error: for people a page, for programs JSON.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var moved *MovedError
	if errors.As(err, &moved) {
		http.Redirect(w, r, moved.To, http.StatusSeeOther)
		return
	}
	status := statusOf(err)
	if status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.log.Error("request", "url", r.URL.Path, "error", err)
	}
	if strings.HasPrefix(r.URL.Path, apiPath) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	title := http.StatusText(status)
	s.show(w, r, status, &View{
		Title:  title,
		Crumbs: []Crumb{{Text: "Runs", URL: "/"}},
		Regions: []Region{{ID: "error", Body: g.Group{
			h.H1(g.Text(title)), h.Pre(h.Class("message"), g.Text(err.Error())), h.P(h.A(h.Href("/"), g.Text("All runs"))),
		}}},
	})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, errNoPage):
		return http.StatusNotFound
	case errors.As(err, new(*BadRequestError)):
		return http.StatusBadRequest
	case errors.Is(err, engine.ErrConflict):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}
