package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// taskPage is the page of a task: what it ran, where, and what came of it.
func (s *site) taskPage(ctx context.Context, r web.Request) (v *web.View, err error) {
	attempt, err := attemptAsked(r)
	if err != nil {
		return nil, err
	}
	err = s.src.run(ctx, r.Path["run"], func(p *past) error {
		step, i, err := taskOf(p, r)
		if err != nil {
			return err
		}
		m, err := s.taskDetail(ctx, p, step, i, attempt)
		if err == nil {
			m.Fresh = s.fresh(ctx, p, r)
			v = page.TaskView(m)
		}
		return err
	})
	return v, err
}

func (s *site) taskDetail(ctx context.Context, p *past, step engine.StepName, i, attempt int) (*page.TaskDetail, error) {
	run := p.run
	m := &page.TaskDetail{
		Run: string(run.ID()), Workflow: run.Workflow().Name, FanOut: run.Workflow().Step(step).FanOut,
		Task: run.Task(step, i), Size: run.StepStatus(step).Size, Spec: run.Spec(step, i), Now: s.src.now(),
	}
	t := &m.Task
	e := &explanation{taskJSON: taskData(run, t)}
	var err error
	if e.History, err = p.history(ctx, step, i); err != nil {
		return nil, err
	}
	if run.Info().Executor != batchExecutor {
		s.explainHere(ctx, p, step, i, e)
	}
	e.judge(p, step, i)
	if m.Verdict = e.Verdict; m.Verdict == nil {
		s.tellWhy(m, p, e)
	}
	s.tries(m, p, e)
	if n := len(m.Tries); attempt == 0 && n > 0 && m.Tries[n-1].Status == engine.Running {
		attempt = m.Tries[n-1].N
	}
	l, err := logOf(p, step, i, attempt)
	if err != nil {
		return nil, err
	}
	m.Log = taskLog(m, l)
	m.Files = s.taskFiles(m, p)
	m.Cache = s.taskCache(ctx, m, p)
	m.Repeat, m.RepeatNote = repeatLine(p, m)
	m.Acts = stepActs(run, step)
	return m, nil
}

// tellWhy says why a task is as it is that did not fail.
func (s *site) tellWhy(m *page.TaskDetail, p *past, e *explanation) {
	t := &m.Task
	switch {
	case t.Hit != nil:
		m.From = &page.TaskLink{
			Name: engine.TaskName(t.Hit.Step, m.FanOut, t.Hit.Task), URL: page.RunURL(string(t.Hit.Run)), Text: "of run " + string(t.Hit.Run) + ", and all that it depends on is the same",
		}
	case t.Status == engine.Skipped, t.Status == engine.Cancelled:
		m.Why = "It did not run: " + whyText(nil, t.Reason, t.Cause)
		if t.Status == engine.Cancelled && len(e.History) > 0 {
			m.Why = "It was ended: " + whyText(nil, t.Reason, t.Cause)
		}
		m.Root = rootLink(p.run, t.Cause)
	case len(e.Findings) > 0:
		m.Waits = e.Findings[0].Says()
	case t.Status == engine.Pending:
		m.Waits = waitsFor(p.run, t.Step, m.Now)
	}
}

// rootLink links the task that a cause names; nil: it names none.
func rootLink(run *engine.Run, cause string) *page.TaskLink {
	c, err := parseTarget("run/" + cause)
	if err != nil || cause == "" {
		return nil
	}
	i, err := c.check(run)
	if err != nil || i < 0 {
		return nil
	}
	t := run.Task(c.step, i)
	return &page.TaskLink{
		Name: t.Name, URL: page.TaskURL(string(run.ID()), string(c.step), i),
		Text: "is " + t.Status.String() + ": " + failedText(run, &t),
	}
}

// taskLog returns the end of a log that is a file here; the script asks for any other.
func taskLog(m *page.TaskDetail, l *webLog) *page.Log {
	t := &m.Task
	out := &page.Log{URL: l.url(m.Run, t.Step, t.Index), Attempt: l.attempt, Newest: l.newest, Live: l.live, Remote: l.path == "" && l.attempt > 0}
	switch {
	case out.Remote:
		out.Note = "AWS keeps it: the whole log as text has it."
	case l.attempt > 0:
	case t.Status == engine.Cached, t.Status.Ended() && t.Attempts == 0:
		out.Note = "It did not run, so it wrote nothing"
	case t.Status.Ended():
		out.Note = "There is no log of it"
	default:
		out.Note = "It has not started."
	}
	if l.path != "" {
		var err error
		out.Piece, err = filePiece(l.path, "tail", 0, l.live)
		switch {
		case err != nil: // the rest of the page is none the worse
			out.Note = "It cannot be read now: " + view.Clean(firstLineOf(err))
		case len(out.Piece.Lines) == 0 && !l.live:
			out.Note = "It wrote nothing"
		}
	}
	return out
}

// taskFiles says which files a task read and left.
func (s *site) taskFiles(m *page.TaskDetail, p *past) *page.TaskFiles {
	t := &m.Task
	out := &page.TaskFiles{Inputs: page.InputsOf(m.Spec)}
	if m.Spec != nil {
		for _, o := range m.Spec.Outputs {
			if v, ok := t.Values[o.Name]; ok {
				out.Values = append(out.Values, page.TaskValue{Name: o.Name, Value: v})
			}
		}
	}
	if !t.Status.Ended() || t.Status == engine.Skipped {
		return out
	}
	files, err := p.files(s.app)
	if err != nil {
		out.Note = firstLineOf(err)
		return out
	}
	c := &filesCommand{app: s.app, past: &past{db: p.db, row: p.row}, files: files}
	l := newLeft(p.run, t.Step, t.Index)
	left, ready, err := s.slow.ask(fmt.Sprintf("files %s/%s/%d %s %d", m.Run, t.Step, t.Index, t.Status, t.Attempts), 0, m.Now, func(ctx context.Context) (any, error) {
		return l, c.look(ctx, l)
	})
	switch {
	case err != nil:
		out.Note = "What it left cannot be looked at: " + firstLineOf(err)
	case !ready:
		out.Note = "What it left is being looked at."
	default:
		setLeft(out, left.(*leftTask))
	}
	return out
}

func setLeft(out *page.TaskFiles, l *leftTask) {
	out.Note = l.Note
	if l.Dir != "" {
		out.Dir = l.Dir
		if l.Result && l.Attempt > 0 {
			out.Dir += "/" + strconv.Itoa(l.Attempt)
		}
	}
	for _, f := range l.Files {
		out.Outputs = append(out.Outputs, page.TaskOutput{Path: f.Path, Size: f.Size, SHA256: f.SHA256, Gone: f.Gone})
	}
}

// taskCache says why the result of a task was not known; nil: it was, or it is not decided.
func (s *site) taskCache(ctx context.Context, m *page.TaskDetail, p *past) *page.TaskCache {
	t := &m.Task
	if t.Hit != nil || t.Status == engine.Skipped || t.Status == engine.Pending && t.Job == "" || m.Spec == nil {
		return nil
	}
	if p.run.KeyParts(t.Step, t.Index) == nil {
		return &page.TaskCache{Why: "Its results are not kept for later runs."}
	}
	row, err := p.db.PreviousRun(ctx, m.Workflow, p.run.ID())
	if err != nil {
		c := compare(nil, p.run, t.Step, t.Index)
		return &page.TaskCache{Why: capital(c.why())}
	}
	var out *page.TaskCache
	// Runs are always taken from the newer one to the older one, so that nobody waits in a circle.
	err = s.src.run(ctx, string(row.ID), func(before *past) error {
		c := compare(before.run, p.run, t.Step, t.Index)
		why := c.why()
		if len(c.changes) > 0 {
			why = strings.TrimSuffix(why, allWords(c.changes)) // each stands on a line of its own
		}
		out = &page.TaskCache{Why: capital(strings.TrimRight(why, ": ")), Since: &page.TaskLink{Name: string(row.ID), URL: page.RunURL(string(row.ID))}}
		for _, k := range c.changes {
			change := page.TaskChange{Text: k.Words}
			if k.Before != "" && k.Now != "" && (k.Part == "script" || strings.Contains(k.Before+k.Now, "\n")) {
				change.Diff = string(diff.Diff("before", []byte(withNewline(k.Before)), "now", []byte(withNewline(k.Now))))
			}
			out.Changes = append(out.Changes, change)
		}
		return nil
	})
	if err != nil {
		return &page.TaskCache{Why: "The run before cannot be read: " + firstLineOf(err)}
	}
	return out
}

// capital writes the beginning of a sentence, and its end.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// tries lists the attempts of a task, and where each was.
func (s *site) tries(m *page.TaskDetail, p *past, e *explanation) {
	t := &m.Task
	if t.Hit != nil {
		return
	}
	for _, h := range e.History {
		if h.Attempt == 0 {
			continue
		}
		m.Tries = append(m.Tries, tryOf(&h))
	}
	if t.Status == engine.Running {
		m.Tries = append(m.Tries, page.TaskTry{N: t.Attempts + 1, Status: engine.Running, Started: t.Started})
	}
	if p.run.Info().Executor == batchExecutor {
		s.placesThere(m, p)
	} else {
		placesHere(m, p)
	}
	for k := range m.Tries {
		if n := m.Tries[k].N; n > 0 && len(m.Tries) > 1 {
			m.Tries[k].Log = page.TaskURL(m.Run, string(t.Step), t.Index) + "?attempt=" + strconv.Itoa(n) + "#log"
		}
	}
}

func tryOf(h *attemptInfo) page.TaskTry {
	try := page.TaskTry{N: h.Attempt, Status: engine.Failed, Text: h.Text, Started: h.Started, Ended: h.Ended, Memory: h.Memory, AtMost: h.AtMost, CPU: time.Duration(h.CPU * float64(time.Second)), Exit: h.ExitCode}
	switch h.Outcome {
	case engine.TaskSucceeded:
		try.Status = engine.Succeeded
	case engine.TaskRetrying:
		try.Outcome = "Failed, tried again"
	case engine.TaskCancelled:
		try.Status = engine.Cancelled
	case engine.TaskLost:
		try.N, try.Outcome, try.Text = 0, "Lost", h.Reason
	case engine.TaskRecovered:
		try.Outcome, try.Text = "Recovered", "it has left traces and no result; the run was recovered then"
	}
	if h.Rule != "" {
		try.Text = strings.TrimPrefix(try.Text+", by the rule "+h.Rule, ", ")
	}
	return try
}

// placesHere says in which directory each attempt was, with those that only left their log:
// of the tries that the embedded executor makes by itself, as AWS Batch does, the last one is
// recorded.
func placesHere(m *page.TaskDetail, p *past) {
	here := hereDir(p.home(), m.Task.Dir)
	for n := 1; n < lastAttempt(here); n++ {
		at := slices.IndexFunc(m.Tries, func(t page.TaskTry) bool { return t.N > n })
		if at < 0 {
			at = len(m.Tries)
		}
		if at == 0 || m.Tries[at-1].N < n {
			m.Tries = slices.Insert(m.Tries, at, page.TaskTry{N: n, Status: engine.Failed, Outcome: "Failed, tried again", Text: "of a try that another followed in the same job, only the log is kept"})
		}
	}
	for k := range m.Tries {
		if n := m.Tries[k].N; n > 0 {
			m.Tries[k].Place = []page.TaskLink{{Text: "on this machine, in", Name: view.Clean(here + "/" + strconv.Itoa(n))}}
		}
	}
}
