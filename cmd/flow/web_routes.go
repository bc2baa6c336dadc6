package main

import (
	"context"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/web"
)

// A site is what flow ui and flow serve show: pages about the runs of a state file.
type site struct {
	*app
	src *source

	looks *looks
	far   farLogs
	costs costs
	memo  memo
	slow  slowly
	term  termWatch
}

// The patterns of URLs.
const (
	runPath      = "/runs/{run}"
	stepPath     = runPath + "/steps/{step}"
	taskPath     = stepPath + "/tasks/{index}"
	logPath      = taskPath + "/log"
	workflowPath = "/workflows/{workflow}"
)

// routes is the table of all that is served.
func (s *site) routes() web.Routes {
	r := web.Routes{
		Pages: map[string]web.Page{
			"/{$}":        s.runsPage,
			workflowPath:  s.workflowPage,
			schedulesPath: s.schedulesPage,
			schedulePath:  s.schedulePage,
			runPath:       s.runPage,
			stepPath:      s.stepPage,
			taskPath:      s.taskPage,
		},
		Actions: map[string]web.Action{},
		Files: map[string]web.File{
			"/metrics":               s.metrics,
			runPath + "/report.html": s.reportFile,
			logPath:                  s.logFile,
		},
		Version: s.version,
	}
	s.addDeeds(&r)
	s.addScheduleDeeds(&r)
	for pattern, p := range r.Pages {
		r.Pages[pattern] = s.fullPage(pattern, p)
	}
	maps.Copy(r.Files, s.api())
	maps.Copy(r.Files, s.scheduleAPI())
	for pattern, f := range r.Files {
		r.Files[pattern] = s.fullFile(pattern, f)
	}
	return r
}

// version changes when what pages show may have changed: what is recorded, or what is seen of
// runs that go on, or who the service is.
func (s *site) version(ctx context.Context) (int64, error) {
	recorded, err := s.src.db().Version(ctx)
	return recorded + s.looks.version() + s.term.version(ctx, s.src.db(), s.now()), err // none becomes less
}

// shell and assets are what pages have in common.
func (s *site) shell() web.Shell {
	return page.Shell("flow " + version() + " · " + s.src.db().Path())
}
func (s *site) assets() []fs.FS { return []fs.FS{page.Assets} }

// fullPage has a page asked for with the full id of its run only: other names of it lead there.
func (s *site) fullPage(pattern string, p web.Page) web.Page {
	if !strings.HasPrefix(pattern, runPath) {
		return p
	}
	return func(ctx context.Context, r web.Request) (*web.View, error) {
		if err := s.settle(ctx, pattern, r); err != nil {
			return nil, err
		}
		return p(ctx, r)
	}
}

// fullFile is fullPage for what is no page.
func (s *site) fullFile(pattern string, f web.File) web.File {
	if !strings.Contains(pattern, runPath) {
		return f
	}
	return func(w http.ResponseWriter, req *http.Request, r web.Request) error {
		if err := s.settle(req.Context(), pattern, r); err != nil {
			return err
		}
		return f(w, req, r)
	}
}

// settle returns a *web.MovedError if a request names its run by something else than the
// full id.
func (s *site) settle(ctx context.Context, pattern string, r web.Request) error {
	row, err := s.src.db().FindRun(ctx, r.Path["run"])
	if err != nil || string(row.ID) == r.Path["run"] {
		return err
	}
	r.Path["run"] = string(row.ID)
	to := filled(pattern, r.Path)
	if q := r.Query.Encode(); q != "" {
		to += "?" + q
	}
	return &web.MovedError{To: to}
}

// filled is the URL of a pattern with its wildcards filled in.
func filled(pattern string, with map[string]string) string {
	for name, value := range with {
		pattern = strings.Replace(pattern, "{"+name+"}", url.PathEscape(value), 1)
	}
	return pattern
}
