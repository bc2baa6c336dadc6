package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// stepPage is the page of a step: its tasks as a map and as a table, and why some failed.
func (s *site) stepPage(ctx context.Context, r web.Request) (v *web.View, err error) {
	query, err := page.ParseTaskQuery(r.Query)
	if err != nil {
		return nil, &web.BadRequestError{Why: err.Error()}
	}
	err = s.src.run(ctx, r.Path["run"], func(p *past) error {
		name, err := stepOf(p, r)
		if err != nil {
			return err
		}
		m := s.stepDetail(p, name, query)
		m.Pools = poolsOfStep(ctx, p, name)
		m.Values, m.Fresh = r.Query, s.fresh(ctx, p, r)
		v = page.StepView(m)
		return nil
	})
	return v, err
}

func (s *site) stepDetail(p *past, name engine.StepName, query page.TaskQuery) *page.StepDetail {
	run, now := p.run, s.src.now()
	st := run.StepStatus(name)
	m := &page.StepDetail{
		Run: string(run.ID()), Workflow: run.Workflow().Name, Status: st, Waits: waitsFor(run, name, now),
		Groups: runstat.Failures(run, name), Used: runstat.Of(run, name), Next: followers(run, name), Query: query, Now: now,
		Gate: gateOf(run, name),
	}
	m.Acts = stepActs(run, name)
	if st.Reason != "" || st.Cause != "" {
		m.Why = whyText(nil, st.Reason, st.Cause)
	}
	if run.Info().Executor == localExecutor {
		m.Last = lastLinesOf(p, name, m.Groups)
	}
	if st.Size > 0 {
		m.Spec = run.Spec(name, 0)
	}
	if st.Size > 1 {
		m.Heat = page.HeatOf(run, name, page.StepURL(m.Run, string(name))+"/tasks/", time.Time{})
	}
	tasks := query.Pick(run, name, m.Groups, now)
	m.Found = len(tasks)
	// What is shown may have become less since the page was linked to: then it is the last one.
	m.Query.Page = min(query.Page, max(1, (m.Found+page.TasksPerPage-1)/page.TasksPerPage))
	first := (m.Query.Page - 1) * page.TasksPerPage
	for _, i := range tasks[first:min(first+page.TasksPerPage, m.Found)] {
		m.Rows = append(m.Rows, taskRow(run, name, i))
	}
	return m
}

// gateOf says how a step waits for files, or did; nil: it does not.
func gateOf(run *engine.Run, name engine.StepName) *page.Gate {
	w := run.Gate(name)
	if w == nil || w.Opened.IsZero() && !w.Waits {
		return nil
	}
	out := &page.Gate{Since: w.Since, What: view.Clean(w.Gate.What()), Opened: w.Opened, Seen: view.Clean(w.Seen)}
	for i, at := range w.Until {
		if !at.IsZero() {
			out.Ends = append(out.Ends, page.GateEnd{At: at, Skip: w.Gate.Sensors[i].Skip})
		}
	}
	return out
}

// stepActs are what can be done with a step: of a run that has ended, doing it again.
func stepActs(run *engine.Run, name engine.StepName) (out []page.Act) {
	if !run.Ended() {
		return nil
	}
	at := page.RunURL(string(run.ID()))
	if run.StepStatus(name).Counts[engine.Failed] > 0 {
		out = append(out, page.Act{Text: "Retry what failed", URL: at + "/retry", Primary: true})
	}
	return append(out, page.Act{Text: "Retry from this step", URL: at + "/retry-from?step=" + url.QueryEscape(string(name))})
}

// lastLinesOf returns what the first task of each group of failures wrote last.
func lastLinesOf(p *past, name engine.StepName, groups []runstat.FailureGroup) (out []string) {
	for _, g := range groups[:min(len(groups), page.MostCauses)] {
		out = append(out, lastLineOf(p, name, g.Indices.At(0)))
	}
	return out
}

// lastLineOf returns what a task of a run on this machine wrote last.
func lastLineOf(p *past, step engine.StepName, i int) string {
	t := p.run.Task(step, i)
	lines := logTailOf(hereDir(p.home(), t.Dir), 1)
	for i := range lines {
		lines[i] = view.CleanLog(lines[i])
	}
	return strings.Join(lines, "\n")
}

func taskRow(run *engine.Run, step engine.StepName, i int) page.TaskRow {
	t := run.Task(step, i)
	row := page.TaskRow{TaskStatus: t, Note: taskNote(&t)}
	if t.Status == engine.Failed {
		row.Note = failedText(run, &t)
	}
	return row
}

// followers returns the steps that depend on one.
func followers(run *engine.Run, name engine.StepName) (out []string) {
	for _, st := range run.Workflow().Steps {
		for _, d := range st.Deps {
			if d.Step == name {
				out = append(out, string(st.Name))
			}
		}
	}
	return out
}
