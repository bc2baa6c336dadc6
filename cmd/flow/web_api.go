package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/export"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

// apiBase is where programs find what commands print with -json.
const apiBase = "/api/v1"

// api is the part of the table of routes that answers in JSON.
func (s *site) api() map[string]web.File {
	return map[string]web.File{
		apiBase + "/runs":               s.apiRuns,
		apiBase + runPath:               s.ofRun(s.apiRun),
		apiBase + runPath + "/events":   s.apiEvents,
		apiBase + runPath + "/outputs":  s.ofRun(s.apiOutputs),
		apiBase + runPath + "/cost":     s.ofRun(s.apiCost),
		apiBase + runPath + "/graph":    s.ofRun(s.apiGraph),
		apiBase + stepPath + "/tasks":   s.ofRun(s.apiTasks),
		apiBase + stepPath + "/explain": s.ofRun(s.apiExplainStep),
		apiBase + taskPath:              s.ofRun(s.apiTask),
		apiBase + taskPath + "/explain": s.ofRun(s.apiExplain),
	}
}

// answerJSON writes v as commands do.
func answerJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return writeJSON(w, v)
}

// ofRun answers with what data says of the run in the URL.
func (s *site) ofRun(data func(ctx context.Context, p *past, r web.Request) (any, error)) web.File {
	return func(w http.ResponseWriter, req *http.Request, r web.Request) error {
		var v any
		err := s.src.run(req.Context(), r.Path["run"], func(p *past) (err error) {
			v, err = data(req.Context(), p, r)
			return err
		})
		if err != nil {
			return err
		}
		return answerJSON(w, v) // not while the run is held: a reader may be slow
	}
}

// Of lists, so much is in one answer at most.
const (
	apiDefault = 1000
	apiMost    = 10_000
)

// numberOf reads a number of the query; without it, none.
func numberOf(r web.Request, name string, none, most int) (int, error) {
	text := r.Query.Get(name)
	if text == "" {
		return none, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, &web.BadRequestError{Why: fmt.Sprintf("%s=%q is no number from 0 to %d", name, text, most)}
	}
	return n, nil
}

// statusesOf reads the statuses of the query: status=FAILED, more than once or with commas.
func statusesOf(r web.Request) (out []engine.Status, err error) {
	for _, list := range r.Query["status"] {
		for name := range strings.SplitSeq(list, ",") {
			var st engine.Status
			if name == "" {
				continue
			}
			if err := st.UnmarshalText([]byte(strings.ToUpper(name))); err != nil {
				return nil, &web.BadRequestError{Why: "status: " + err.Error()}
			}
			out = append(out, st)
		}
	}
	return out, nil
}

func (s *site) apiRuns(w http.ResponseWriter, req *http.Request, r web.Request) (err error) {
	f := state.RunFilter{Workflow: r.Query.Get("workflow")}
	if f.Status, err = statusesOf(r); err != nil {
		return err
	}
	if f.Limit, err = numberOf(r, "limit", apiDefault, apiMost); err != nil {
		return err
	}
	if since := r.Query.Get("since"); since != "" {
		age, err := parseAge(since)
		if err != nil {
			return &web.BadRequestError{Why: "since: " + err.Error()}
		}
		f.Since = s.now().Add(-age)
	}
	runs, err := s.src.db().Runs(req.Context(), f)
	if err != nil {
		return err
	}
	return answerJSON(w, listedData(runs))
}

func (s *site) apiRun(ctx context.Context, p *past, r web.Request) (any, error) {
	data := runData(p.run, s.now())
	if held := s.src.holder(ctx, p.row.ID); held != nil {
		data.Driver = driverData(held)
	}
	data.Held = heldData(p.run, s.now())
	if f := s.fresh(ctx, p, r); f != nil && f.Why != "" {
		data.Note = "as of " + f.At.UTC().Format(time.RFC3339) + ": " + f.Why
	}
	return data, nil
}

// apiEvents answers with the events of a run as flow export has them, from the one behind
// after=SEQ on.
func (s *site) apiEvents(w http.ResponseWriter, req *http.Request, r web.Request) error {
	after, err := strconv.ParseInt(cmp.Or(r.Query.Get("after"), "0"), 10, 64)
	if err != nil || after < 0 {
		return &web.BadRequestError{Why: fmt.Sprintf("after=%q is the number of no event", r.Query.Get("after"))}
	}
	limit, err := numberOf(r, "limit", math.MaxInt, math.MaxInt)
	if err != nil {
		return err
	}
	id := engine.RunID(r.Path["run"])
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := bufio.NewWriterSize(w, 64<<10)
	out, err := export.NewEvents(lines, version(), id)
	if err != nil {
		return err
	}
	for e, err := range s.src.db().Events(req.Context(), id, after) {
		if err != nil {
			return err
		}
		if limit--; limit < 0 {
			break
		}
		if err := out.Write(&e); err != nil {
			return err
		}
	}
	return lines.Flush()
}

func (s *site) apiOutputs(_ context.Context, p *past, _ web.Request) (any, error) {
	return outputsData(p.run.Results()), nil
}

func (s *site) apiCost(_ context.Context, p *past, _ web.Request) (any, error) {
	if p.row.Executor != batchExecutor {
		return nil, fmt.Errorf("run %s ran on this machine: it cost nothing on AWS: %w", p.row.ID, engine.ErrNotFound)
	}
	return billOf(p.run), nil
}

func (s *site) apiGraph(_ context.Context, p *past, _ web.Request) (any, error) {
	return graphData(p.run.Workflow(), p.run), nil
}

// stepOf returns the step that a request names.
func stepOf(p *past, r web.Request) (engine.StepName, error) {
	name := engine.StepName(r.Path["step"])
	if p.run.Workflow().Step(name) == nil {
		return "", fmt.Errorf("run %s has no step %q: %w", p.row.ID, name, engine.ErrNotFound)
	}
	return name, nil
}

// taskOf returns the step and the task that a request names by its place in the step.
func taskOf(p *past, r web.Request) (engine.StepName, int, error) {
	name, err := stepOf(p, r)
	if err != nil {
		return "", 0, err
	}
	i, err := strconv.Atoi(r.Path["index"])
	if err != nil || i < 0 || i >= p.run.StepStatus(name).Size || strconv.Itoa(i) != r.Path["index"] {
		return "", 0, fmt.Errorf("step %s of run %s has no task %q: %w", name, p.row.ID, r.Path["index"], engine.ErrNotFound)
	}
	return name, i, nil
}

var allStatuses = []engine.Status{engine.Pending, engine.Running, engine.Succeeded, engine.Failed, engine.Skipped, engine.Cancelled, engine.Cached}

func (s *site) apiTasks(_ context.Context, p *past, r web.Request) (any, error) {
	name, err := stepOf(p, r)
	if err != nil {
		return nil, err
	}
	wanted, err := statusesOf(r)
	if err != nil {
		return nil, err
	}
	skip, err := numberOf(r, "offset", 0, 1<<31)
	if err != nil {
		return nil, err
	}
	limit, err := numberOf(r, "limit", apiDefault, apiMost)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		wanted = allStatuses
	}
	list := []*taskJSON{}
	for i := range p.run.Select(name, wanted...).All() {
		if skip--; skip >= 0 {
			continue
		}
		if len(list) == limit {
			break
		}
		t := p.run.Task(name, i)
		list = append(list, taskData(p.run, &t))
	}
	return list, nil
}

func (s *site) apiTask(_ context.Context, p *past, r web.Request) (any, error) {
	name, i, err := taskOf(p, r)
	if err != nil {
		return nil, err
	}
	t := p.run.Task(name, i)
	return taskData(p.run, &t), nil
}

// apiExplainStep and apiExplain go by what is recorded: a look at AWS Batch takes long, and
// others wait for the run meanwhile. flow explain does look.
func (s *site) apiExplainStep(_ context.Context, p *past, r web.Request) (any, error) {
	name, err := stepOf(p, r)
	if err != nil {
		return nil, err
	}
	return s.stepExplained(p, name), nil
}

func (s *site) apiExplain(ctx context.Context, p *past, r web.Request) (any, error) {
	name, i, err := taskOf(p, r)
	if err != nil {
		return nil, err
	}
	e, err := s.explanation(ctx, p, name, i)
	if err != nil {
		return nil, err
	}
	if p.row.Executor != batchExecutor {
		s.explainHere(ctx, p, name, i, e)
	}
	e.judge(p, name, i)
	return e, nil
}
