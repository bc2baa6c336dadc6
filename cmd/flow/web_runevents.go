package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// eventKinds are the kinds of events that a person may choose from.
var eventKinds = []engine.Kind{
	engine.RunStarted, engine.RunResumed, engine.RunReopened, engine.StepWaits, engine.StepGateOpened, engine.StepExpanded, engine.StepReset, engine.StepEnded,
	engine.JobPlanned, engine.JobAccepted, engine.JobRefused, engine.JobInDoubt, engine.JobEnded, engine.JobLost,
	engine.TasksRunning, engine.TasksEnded, engine.TasksSkipped, engine.TasksReset, engine.OutputsUnneeded, engine.OutputsDiscarded,
	engine.RunPaused, engine.RunLate, engine.CancelRequested, engine.RunEnded,
}

// eventsOf returns the page of events that a query asks for, the newest first.
func eventsOf(ctx context.Context, p *past, q url.Values) (*page.Events, error) {
	e := &page.Events{Kind: q.Get("kind"), Step: q.Get("step"), Page: 1, Query: url.Values{"view": {page.RunEvents}}}
	for _, name := range []string{"kind", "step"} {
		if v := q.Get(name); v != "" {
			e.Query.Set(name, v)
		}
	}
	for _, k := range eventKinds {
		e.Kinds = append(e.Kinds, string(k))
	}
	for _, s := range p.run.Workflow().Steps {
		e.Steps = append(e.Steps, string(s.Name))
	}
	seqs, err := chosen(ctx, p, e)
	if err != nil {
		return nil, err
	}
	e.Total = len(seqs)
	if n, err := strconv.Atoi(q.Get("page")); err == nil {
		e.Page = min(max(n, 1), max(1, (e.Total+page.EventsPerPage-1)/page.EventsPerPage))
	}
	last := e.Total - (e.Page-1)*page.EventsPerPage
	for i := last - 1; i >= max(0, last-page.EventsPerPage); i-- {
		event, err := p.db.Event(ctx, p.row.ID, seqs[i])
		if err != nil {
			return nil, err
		}
		e.List = append(e.List, eventRow(p.run, &event))
	}
	return e, nil
}

// chosen returns the numbers of the events that a filter lets through. Only with a filter they
// have to be read.
func chosen(ctx context.Context, p *past, e *page.Events) ([]int64, error) {
	seqs := make([]int64, 0, p.run.Seq())
	if e.Kind == "" && e.Step == "" {
		for n := int64(1); n <= p.run.Seq(); n++ {
			seqs = append(seqs, n)
		}
		return seqs, nil
	}
	if !slices.Contains(e.Kinds, e.Kind) && e.Kind != "" || !slices.Contains(e.Steps, e.Step) && e.Step != "" {
		return nil, nil
	}
	for event, err := range p.db.Events(ctx, p.row.ID, 0) {
		if err != nil {
			return nil, err
		}
		if event.Seq > p.run.Seq() {
			break
		}
		if (e.Kind == "" || e.Kind == string(event.Kind)) && (e.Step == "" || e.Step == string(event.Step)) {
			seqs = append(seqs, event.Seq)
		}
	}
	return seqs, nil
}

func eventRow(run *engine.Run, e *engine.Event) page.EventRow {
	bad := e.Status == engine.Failed || e.Kind == engine.JobRefused || e.Kind == engine.JobLost ||
		e.Kind == engine.TasksEnded && (e.Outcome == engine.TaskFailed || e.Outcome == engine.TaskLost)
	return page.EventRow{Seq: e.Seq, At: e.At, Kind: string(e.Kind), Step: string(e.Step), Text: eventText(run, e), Bad: bad}
}

// eventText says in words what an event tells beside its kind and its step.
func eventText(run *engine.Run, e *engine.Event) string {
	text := ""
	add := func(s string) {
		if s != "" && text != "" {
			text += " · "
		}
		text += s
	}
	if e.Job > 0 {
		add("job " + strconv.Itoa(e.Job))
	}
	if n := e.Tasks.Len(); n > 0 {
		add(tasksText(run, e, n))
	}
	switch {
	case e.Gate != nil:
		add(e.Gate.What())
	case e.Expanded != nil:
		add(expandedText(e.Expanded))
	case e.Plan != nil && e.Kind == engine.JobPlanned && e.Plan.Attempt > 1:
		add("attempt " + strconv.Itoa(e.Plan.Attempt))
	case e.JobID != "":
		add(string(e.JobID))
	}
	add(string(e.Outcome))
	if e.Status != engine.Pending {
		add(page.Word(e.Status))
	}
	if e.ExitCode != nil || e.Reason != "" && e.Reason != engine.ReasonExited || e.Cause != "" {
		add(whyText(e.ExitCode, e.Reason, e.Cause))
	}
	if e.Kind == engine.RunPaused {
		add("spent " + e.Spent.String())
	}
	return view.Clean(text)
}

func expandedText(x *engine.Expanded) string {
	text := view.Plural(x.Size, "task")
	cached := x.Cached.Len()
	for i := range x.HitRanges {
		cached += x.HitRanges[i].Tasks.Len()
	}
	if cached > 0 {
		text += fmt.Sprintf(", %s cached", view.Count(cached))
	}
	return text
}

// tasksText names the task of an event, or counts them.
func tasksText(run *engine.Run, e *engine.Event, n int) string {
	i := e.Tasks.At(0)
	if n > 1 || run.Workflow().Step(e.Step) == nil || i >= run.StepStatus(e.Step).Size {
		return view.Plural(n, "task")
	}
	return run.Task(e.Step, i).Name
}
