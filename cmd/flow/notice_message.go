package main

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"flow/cmd/flow/internal/notice"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

// urlEnv says where a person sees runs in a browser, over what the site says.
const urlEnv = "FLOW_URL"

// toldFailures is how many causes of failures a message has.
const toldFailures = 3

// linkTo returns the address of a run in a browser; "": nobody has said where flow serve is.
func linkTo(row state.Run) string {
	base := os.Getenv(urlEnv)
	if kept, err := paramsOf(row); base == "" && err == nil {
		base = kept.Site.URL
	}
	return linkUnder(base, "runs", string(row.ID))
}

// linkUnder returns the address of a page; "" without a base.
func linkUnder(base string, path ...string) string {
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/" + strings.Join(path, "/")
}

// slotInZone is a time as clocks of an IANA time zone show it, in UTC if there is no such zone here.
func slotInZone(at time.Time, zone string) time.Time {
	if in, err := time.LoadLocation(zone); err == nil {
		return at.In(in)
	}
	return at.UTC()
}

// missedMessage is what a notice tells of a slot that was missed.
func missedMessage(n *state.Notice, zone, path string) *notice.Message {
	host, _ := os.Hostname()
	workflow, name, _ := strings.Cut(n.Schedule, "/")
	return &notice.Message{
		ID: n.ID, Type: "schedule." + string(n.Occasion), At: n.Made, Notice: n.Name, Workflow: workflow, Schedule: n.Schedule, Slot: slotInZone(n.Slot, zone),
		Status: string(state.SlotMissed), Reason: view.Clean(n.Reason), Host: host, State: path,
		Link:    linkUnder(os.Getenv(urlEnv), "schedules", url.PathEscape(workflow), url.PathEscape(name)),
		Command: "flow schedule history " + n.Schedule,
	}
}

// messageOf puts together what a notice tells: how things were with its run at its event.
func messageOf(run *engine.Run, row state.Run, e *engine.Event, n *state.Notice, path string) *notice.Message {
	host, _ := os.Hostname()
	status := e.Status.String()
	switch e.Kind {
	case engine.RunPaused:
		status = "PAUSED"
	case engine.RunLate:
		status = run.Status().String()
	}
	m := &notice.Message{
		ID: n.ID, Type: "run." + string(n.Occasion), At: e.At, Notice: n.Name, Workflow: row.Workflow, Run: string(row.ID),
		Status: status, Reason: view.Clean(e.Reason), Cause: e.Cause, Created: row.Created, Seconds: e.At.Sub(row.Created).Round(time.Millisecond).Seconds(),
		Link: linkTo(row), Command: nextCommand(row.ID, n.Occasion), Host: host, State: path,
	}
	if row.Schedule != "" {
		m.Schedule, m.Slot = row.Schedule, row.Slot
		if slot := run.Info().Slot; slot != nil {
			m.Slot = slotInZone(row.Slot, slot.TimeZone)
		}
	}
	if priced(run) {
		m.Spent = run.Spent().String()
	}
	for _, s := range run.Steps() {
		m.Tasks.Total += max(s.Size, 0)
		m.Tasks.Succeeded += s.Counts[engine.Succeeded] + s.Counts[engine.Cached]
		m.Tasks.Failed += s.Counts[engine.Failed]
		m.Tasks.Skipped += s.Counts[engine.Skipped]
		m.Tasks.Cancelled += s.Counts[engine.Cancelled]
	}
	m.Failures, m.MoreFailures = failuresTold(run)
	return m
}

// failuresTold returns the most frequent causes of failures in a run, and how many more there are.
func failuresTold(run *engine.Run) (all []notice.Failure, more int) {
	for _, s := range run.Steps() {
		if s.Counts[engine.Failed] == 0 {
			continue
		}
		for _, g := range runstat.Failures(run, s.Step.Name) {
			f := notice.Failure{Step: string(s.Step.Name), Tasks: g.Tasks, Text: view.Clean(g.Text), Example: view.Clean(g.Example)}
			if len(g.Help) > 0 {
				f.Help = view.Clean(g.Help[0])
			}
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b notice.Failure) int { return cmp.Compare(b.Tasks, a.Tasks) })
	most := min(len(all), toldFailures)
	return all[:most], len(all) - most
}

// nextCommand is what a person calls next who was told of a run.
func nextCommand(run engine.RunID, on engine.Occasion) string {
	switch on {
	case engine.OnPaused:
		return "flow resume " + string(run)
	case engine.OnFailed, engine.OnTimedOut, engine.OnCancelled:
		return "flow resume " + string(run) + " --failed"
	}
	return "flow status " + string(run)
}

// runAt folds a run's events up to number seq.
func (a *app) runAt(ctx context.Context, db *state.DB, row state.Run, seq int64) (*engine.Run, error) {
	p := &past{db: db, row: row}
	var err error
	if p.program, err = a.storedProgram(ctx, db, row); err != nil {
		return nil, err
	}
	driver := engine.Driver{Workflow: a.boundWorkflow(ctx, p), Log: logUntil{db, seq}}
	return driver.Load(ctx, row.ID)
}

// logUntil is a log whose last event is a certain one.
type logUntil struct {
	engine.Log
	last int64
}

func (l logUntil) Events(ctx context.Context, run engine.RunID, after int64) iter.Seq2[engine.Event, error] {
	return func(yield func(engine.Event, error) bool) {
		for e, err := range l.Log.Events(ctx, run, after) {
			if err == nil && e.Seq > l.last || !yield(e, err) {
				return
			}
		}
	}
}
