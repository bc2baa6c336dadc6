package page

import (
	"net/url"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// EventsPerPage is how many events a page has.
const EventsPerPage = 100

// Events is a page of the events of a run, the newest first.
type Events struct {
	List  []EventRow
	Page  int // from 1
	Total int // that the filter lets through
	Kind  string
	Step  string
	Kinds []string // to choose from
	Steps []string
	Query url.Values
}

// An EventRow is an event.
type EventRow struct {
	Seq   int64
	At    time.Time
	Kind  string
	Step  string // "": of none
	Text  string
	Bad   bool
	Tasks engine.Ranges
}

// Regions are the list with its filter. The filter is a region of its own that stays as it
// is, so that nobody who chooses is disturbed.
func (e *Events) Regions(run *Run) []web.Region {
	return []web.Region{{ID: "filter", Body: e.filter(run)}, {ID: "events", Body: e.list(run)}}
}

func (e *Events) filter(run *Run) g.Node {
	choice := func(name, label, now string, all string, values []string) g.Node {
		return h.Label(h.Span(h.Class("dim"), g.Text(label)), h.Select(h.Name(name),
			h.Option(h.Value(""), g.Text(all)),
			g.Map(values, func(v string) g.Node { return h.Option(h.Value(v), g.If(v == now, h.Selected()), g.Text(v)) })))
	}
	return h.Form(h.Class("filter"), h.Method("get"), h.Data("auto", ""), h.Action(RunURL(run.ID)), h.Input(h.Type("hidden"), h.Name("view"), h.Value(RunEvents)),
		choice("kind", "Kind", e.Kind, "all kinds", e.Kinds), choice("step", "Step", e.Step, "all steps", e.Steps),
		h.Button(h.Type("submit"), g.Text("Filter")),
		g.If(e.Kind != "" || e.Step != "", h.A(h.Href(run.URL(RunEvents)), g.Text("All events"))))
}

func (e *Events) list(run *Run) g.Node {
	if len(e.List) == 0 {
		return Empty("No such events")
	}
	cols := []Col{{Text: "#", Right: true}, {Text: "Time", Class: "nowrap"}, {Text: "After", Right: true}, {Text: "Event", Class: "nowrap"}, {Text: "Step"}, {Text: "What", Class: "wide anywhere"}}
	rows := g.Group{}
	for i := range e.List {
		rows = append(rows, e.row(run, cols, &e.List[i]))
	}
	return g.Group{Table("List of events", cols, rows), Paging(RunURL(run.ID), e.Query, e.Page, EventsPerPage, e.Total)}
}

func (e *Events) row(run *Run, cols []Col, r *EventRow) g.Node {
	kind := g.Text(r.Kind)
	if r.Bad {
		kind = h.Span(h.Class("n FAILED"), kind)
	}
	var step g.Node
	if r.Step != "" {
		step = h.A(h.Href(StepURL(run.ID, r.Step)), g.Text(r.Step))
	}
	return Row(cols, h.Span(h.Class("dim"), g.Text(strconv.FormatInt(r.Seq, 10))), Moment(r.At), g.Text(view.Duration(r.At.Sub(run.Created))),
		kind, step, g.Text(r.Text))
}
