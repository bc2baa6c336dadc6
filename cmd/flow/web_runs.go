package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

const (
	runsOfPage   = 50 // rows of the list
	stripRuns    = 12 // newest runs of a workflow that are shown beside its name
	stripsShown  = 12 // workflows that are shown so
	failedRecent = 24 * time.Hour
)

// runsPage is the page of all runs.
func (s *site) runsPage(ctx context.Context, r web.Request) (*web.View, error) {
	now := s.now()
	wanted, err := runsWanted(r, now)
	if err != nil {
		return nil, err
	}
	all, err := s.src.db().Runs(ctx, state.RunFilter{})
	if err != nil {
		return nil, err
	}
	schedules, err := s.src.db().Schedules(ctx)
	if err != nil {
		return nil, err
	}
	m := &page.Runs{Query: r.Query, Now: now, Size: runsOfPage, All: len(all), Workflows: strips(all)}
	m.Next, m.Schedules = soonestSlots(schedules, now)
	var found []state.Run
	for i := range all {
		row := &all[i]
		if row.Ended.IsZero() {
			m.Active++
		}
		if isPaused(row) {
			m.Paused++
		}
		if row.Status == engine.Failed && now.Sub(row.Ended) < failedRecent {
			m.FailedDay++
		}
		if wanted(row) {
			found = append(found, *row)
		}
	}
	m.Found = len(found)
	var first int
	m.Page, first = pageOf(r, m.Found, runsOfPage)
	m.Rows = s.runRows(ctx, found[first:min(first+runsOfPage, m.Found)], zonesOf(schedules), r.Open)
	return page.RunsView(m), nil
}

// runsWanted is the filter that a query asks for.
func runsWanted(r web.Request, now time.Time) (func(*state.Run) bool, error) {
	workflow, word := r.Query.Get("workflow"), strings.ToLower(r.Query.Get("status"))
	text := strings.ToLower(strings.TrimSpace(r.Query.Get("q")))
	var since time.Time
	if age := r.Query.Get("since"); age != "" {
		d, err := parseAge(age)
		if err != nil {
			return nil, &web.BadRequestError{Why: "since=" + err.Error()}
		}
		since = now.Add(-d)
	}
	var status engine.Status
	if word != "" && word != page.ActiveRuns && word != page.PausedRuns {
		if err := status.UnmarshalText([]byte(strings.ToUpper(word))); err != nil {
			return nil, &web.BadRequestError{Why: fmt.Sprintf("status=%q: %v, nor is it %s or %s", word, err, page.ActiveRuns, page.PausedRuns)}
		}
	}
	inStatus := func(row *state.Run) bool {
		switch word {
		case "":
			return true
		case page.ActiveRuns:
			return row.Ended.IsZero()
		case page.PausedRuns:
			return isPaused(row)
		}
		return row.Status == status
	}
	return func(row *state.Run) bool {
		return (workflow == "" || row.Workflow == workflow) && inStatus(row) && !row.Created.Before(since) &&
			(text == "" || strings.HasPrefix(string(row.ID), text) || strings.Contains(strings.ToLower(row.Workflow+" "+row.Schedule+" "+row.Reason+" "+row.Cause), text))
	}, nil
}

// pausedReason begins the reason of a run that is paused.
const pausedReason = "paused: "

func isPaused(row *state.Run) bool {
	return row.Ended.IsZero() && strings.HasPrefix(row.Reason, pausedReason)
}

// pageOf returns the page that a query asks for, the last one if there are fewer, and the
// index of its first entry.
func pageOf(r web.Request, entries, size int) (number, first int) {
	n, err := strconv.Atoi(r.Query.Get("page"))
	if err != nil {
		n = 1
	}
	n = max(1, min(n, (entries+size-1)/size))
	return n, (n - 1) * size
}

// strips are the workflows of runs, which are the newest first, with how those went.
func strips(runs []state.Run) (list []page.WorkflowStrip) {
	at := map[string]int{}
	for i := range runs {
		name := runs[i].Workflow
		k, ok := at[name]
		if !ok {
			if len(list) == stripsShown {
				continue
			}
			k = len(list)
			at[name] = k
			list = append(list, page.WorkflowStrip{Name: name})
		}
		if len(list[k].Last) < stripRuns {
			list[k].Last = append(list[k].Last, runs[i].Status)
		}
	}
	return list
}

// runRows are the runs as rows of a list. zones are the time zones of schedules by full name;
// open says that it is on a page that is open.
func (s *site) runRows(ctx context.Context, runs []state.Run, zones map[string]*time.Location, open bool) []page.RunRow {
	rows := make([]page.RunRow, 0, len(runs))
	until := time.Now().Add(costPatience)
	var held map[engine.RunID]*state.HeldError
	if slices.ContainsFunc(runs, func(row state.Run) bool { return row.Ended.IsZero() }) {
		held = s.src.holders(ctx)
	}
	for i := range runs {
		row := &runs[i]
		r := page.RunRow{
			ID: string(row.ID), Workflow: row.Workflow, Status: row.Status, Paused: isPaused(row), Why: whyOf(row), Local: row.Executor == localExecutor,
			Created: row.Created, Ended: row.Ended, Tasks: view.Counts(row.Tasks), Cost: s.costOf(ctx, row, until),
			Late: row.Late,
		}
		if row.Schedule != "" {
			r.Slot = &page.SlotOf{Schedule: strings.TrimPrefix(row.Schedule, row.Workflow+"/"), Time: row.Slot, Zone: cmp.Or(zones[row.Schedule], time.UTC)}
		}
		if row.Ended.IsZero() {
			r.Driver, r.Undriven = driverOf(held[row.ID])
			if r.Undriven && row.Entrusted && s.service(ctx).Who != "" {
				r.Driver, r.Undriven = "waits for the service", false
			}
			r.Why = cmp.Or(r.Why, s.freshRow(row, open))
		}
		rows = append(rows, r)
	}
	return rows
}

// driverOf says who drives a run that has not ended.
func driverOf(held *state.HeldError) (who string, nobody bool) {
	if held == nil {
		return "", true
	}
	return held.Driver(), false
}

// whyOf says in a line why a run is as it is; "": there is nothing to say.
func whyOf(row *state.Run) string {
	why := strings.TrimPrefix(view.Reason(row.Reason), pausedReason)
	if row.Cause != "" && !strings.Contains(why, row.Cause) {
		why = strings.TrimPrefix(why+", because of "+view.Clean(row.Cause), ", ")
	}
	return why
}

// costPatience is how long a list may take to find out what its runs have cost: the events of
// a run are needed for it. What there was no time for is there the next time.
const costPatience = 50 * time.Millisecond

// Costs keep what runs have cost, by run.
type costs struct {
	mu   sync.Mutex
	seen map[engine.RunID]costAt
}

// A costAt is what a run has cost as of an event.
type costAt struct {
	seq  int64
	cost string
}

// keptCosts is of how many runs it is kept what they have cost.
const keptCosts = 10_000

// costOf returns what a run on AWS Batch has cost; "": nothing, or it is not known yet.
func (s *site) costOf(ctx context.Context, row *state.Run, until time.Time) string {
	if row.Executor != batchExecutor {
		return ""
	}
	s.costs.mu.Lock()
	known := s.costs.seen[row.ID]
	s.costs.mu.Unlock()
	if known.seq == row.Seq || time.Now().After(until) {
		return known.cost
	}
	err := s.src.run(ctx, string(row.ID), func(p *past) error {
		known = costAt{p.run.Seq(), ""}
		if b := billOf(p.run); b.total > 0 {
			known.cost = b.total.String()
		}
		return nil
	})
	if err != nil {
		return known.cost
	}
	s.costs.mu.Lock()
	defer s.costs.mu.Unlock()
	if len(s.costs.seen) >= keptCosts || s.costs.seen == nil {
		s.costs.seen = map[engine.RunID]costAt{}
	}
	s.costs.seen[row.ID] = known
	return known.cost
}
