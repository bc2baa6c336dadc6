package page

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Runs is the page of all runs: those that match the query, the newest first.
type Runs struct {
	Query     url.Values // workflow, status, since, q, page
	Now       time.Time
	Rows      []RunRow // those of the page
	Page      int      // counted from 1
	Size      int      // rows of a page
	Found     int      // runs that match
	All       int      // runs that there are
	Active    int      // that have not ended
	Paused    int      // of them
	FailedDay int      // that failed in the last 24 hours
	Workflows []WorkflowStrip
	Next      []NextSlot // of schedules, the soonest first; none: there is no schedule
	Schedules int        // that there are
}

// A NextSlot is when a schedule starts its next run.
type NextSlot struct {
	Workflow, Schedule string
	Zone               *time.Location
	Time               time.Time
}

// A RunRow is a run in the list.
type RunRow struct {
	ID, Workflow   string
	Status         engine.Status
	Paused         bool
	Why            string // it ended as it did, or is paused; "": nothing to say
	Created, Ended time.Time
	Tasks          view.Counts
	Cost           string // "$1.20"; "" on this machine, or not known
	Driver         string // "process 12 on host"; "" if it has ended
	Undriven       bool   // it has not ended, and nobody drives it
	Local          bool   // its tasks run on this machine, and only while somebody drives it
	Slot           *SlotOf
	Late           time.Time // since when it is late; zero: it is not
}

// A SlotOf says for which slot of a schedule of its workflow a run was started.
type SlotOf struct {
	Schedule string
	Time     time.Time
	Zone     *time.Location
	Kind     string // "triggered", "backfill"; "": by the clock
}

// text is the slot in words.
func (s *SlotOf) text() string {
	text := s.Time.In(s.Zone).Format("2006-01-02 15:04 MST")
	if s.Kind != "" {
		text += ", " + s.Kind
	}
	return text
}

// Link leads to the schedule, with the slot beside it.
func (s *SlotOf) Link(workflow string) g.Node {
	return h.Span(h.Class("of-slot"), h.A(h.Href(ScheduleURL(workflow, s.Schedule)), g.Text(s.Schedule)), g.Text(" "+s.text()))
}

// A WorkflowStrip is a workflow with how its newest runs went, the newest first.
type WorkflowStrip struct {
	Name string
	Last []engine.Status
}

// Statuses that a list of runs can be filtered by, beside those of a run.
const (
	ActiveRuns = "active" // not ended
	PausedRuns = "paused"
)

// RunsView is the page of all runs.
func RunsView(m *Runs) *web.View {
	v := &web.View{Title: "Runs", Live: true, Crumbs: []web.Crumb{{Text: "Runs", URL: "/"}}}
	v.Regions = []web.Region{
		{ID: "head", Body: Head(g.Text("Runs"), m.summary())},
		{ID: "workflows", Body: m.workflows()},
		{ID: "next", Body: m.next()},
		{ID: "filter", Body: m.filter()},
		{ID: "runs", Body: m.list()},
	}
	return v
}

// summary counts what there is, with a link to each kind.
func (m *Runs) summary() g.Node {
	part := func(n int, s engine.Status, text string, query url.Values) g.Node {
		class := ""
		if n > 0 {
			class = "n " + s.String()
		}
		return h.Li(h.A(h.Class("plain"), h.Href("/?"+query.Encode()), h.Span(h.Class(class), g.Text(view.Count(n))), g.Text(" "+text)))
	}
	list := g.Group{
		part(m.Active, engine.Running, "active", url.Values{"status": {ActiveRuns}}),
		part(m.FailedDay, engine.Failed, "failed in the last 24 hours", url.Values{"status": {"failed"}, "since": {"1d"}}),
	}
	if m.Paused > 0 {
		list = append(list, part(m.Paused, engine.Skipped, "paused", url.Values{"status": {PausedRuns}}))
	}
	list = append(list, h.Li(g.Text(view.Plural(m.All, "run")+" in all")))
	return h.Ul(h.Class("counts"), list)
}

// workflows links the workflows, each with how its newest runs went.
func (m *Runs) workflows() g.Node {
	if len(m.Workflows) == 0 {
		return nil
	}
	return h.Nav(h.Aria("label", "Workflows"), h.Ul(h.Class("strips"), g.Map(m.Workflows, func(w WorkflowStrip) g.Node {
		return h.Li(h.A(h.Href(WorkflowURL(w.Name)), h.Span(h.Class("name"), g.Text(w.Name)), strip(w.Last)))
	})))
}

// next lists when schedules start runs, and leads to all of them.
func (m *Runs) next() g.Node {
	if m.Schedules == 0 {
		return nil
	}
	all := h.A(h.Href(SchedulesURL), g.Text("All "+view.Plural(m.Schedules, "schedule")))
	if len(m.Next) == 0 {
		return Section("next-title", "Next by schedule", all, h.P(h.Class("dim"), g.Text("No schedule starts a run by itself: all are paused, disabled or gone.")))
	}
	return Section("next-title", "Next by schedule", all, h.Ul(h.Class("next-slots"), g.Map(m.Next, func(n NextSlot) g.Node {
		return h.Li(h.A(h.Href(ScheduleURL(n.Workflow, n.Schedule)), g.Text(n.Workflow+"/"+n.Schedule)), h.Span(ZoneTime(n.Time, n.Zone), g.Text(", "), Until(n.Time, m.Now)))
	})))
}

// strip shows the newest runs as dots, the newest on the right.
func strip(last []engine.Status) g.Node {
	const step = 9
	var dots g.Group
	good := 0
	for i, s := range last {
		if s.OK() {
			good++
		}
		x := num(float64(step * (len(last) - 1 - i)))
		// A run that failed is taller as well as red.
		if s == engine.Failed {
			dots = append(dots, g.El("rect", h.Class("fill "+s.String()), g.Attr("x", x), g.Attr("y", "0"), h.Width("7"), h.Height("14"), g.Attr("rx", "1.5")))
			continue
		}
		dots = append(dots, g.El("rect", h.Class("fill "+s.String()), g.Attr("x", x), g.Attr("y", "4"), h.Width("7"), h.Height("10"), g.Attr("rx", "1.5")))
	}
	label := view.Plural(len(last), "newest run") + ": " + view.Count(good) + " succeeded"
	width := num(float64(step*len(last) - 2))
	return g.El("svg", h.Class("strip"), h.Width(width), h.Height("14"), g.Attr("viewBox", "0 0 "+width+" 14"), h.Role("img"), h.Aria("label", label), dots)
}

// Choices of the filter.
var (
	statusChoices = []Choice{{"", "Any status"}, {ActiveRuns, "Active"}, {PausedRuns, "Paused"}, {"succeeded", "Succeeded"}, {"failed", "Failed"}, {"cancelled", "Cancelled"}}
	sinceChoices  = []Choice{{"", "Any time"}, {"1h", "Last hour"}, {"1d", "Last 24 hours"}, {"7d", "Last 7 days"}, {"30d", "Last 30 days"}}
)

func (m *Runs) filter() g.Node {
	workflows := []Choice{{"", "Any workflow"}}
	for _, w := range m.Workflows {
		workflows = append(workflows, Choice{w.Name, w.Name})
	}
	return h.Form(h.Class("filter"), h.Role("search"), h.Action("/"), h.Method("get"), h.Data("auto", ""),
		h.Input(h.Type("search"), h.Name("q"), h.Value(m.Query.Get("q")), h.Placeholder("Run or workflow"), h.Aria("label", "Search runs")),
		Choose("workflow", "Workflow", m.Query.Get("workflow"), workflows),
		Choose("status", "Status", m.Query.Get("status"), statusChoices),
		Choose("since", "Since", m.Query.Get("since"), sinceChoices),
		h.Button(h.Type("submit"), g.Text("Filter")),
	)
}

// filtered reports whether the query leaves runs out.
func (m *Runs) filtered() bool {
	for _, name := range []string{"q", "workflow", "status", "since"} {
		if m.Query.Get(name) != "" {
			return true
		}
	}
	return false
}

func (m *Runs) list() g.Node {
	switch {
	case m.All == 0:
		return Empty("No runs yet", g.Text("Start one in a terminal, and it appears here: "), h.Code(g.Text("flow run pipeline.hcl")))
	case len(m.Rows) == 0 && m.filtered():
		return Empty("No run matches", h.A(h.Href("/"), g.Text("Show all runs")))
	}
	cols := runCols(slices.ContainsFunc(m.Rows, func(r RunRow) bool { return r.Cost != "" }))
	var rows g.Group
	for i := range m.Rows {
		rows = append(rows, m.Rows[i].row(cols, m.Now))
	}
	return g.Group{h.Div(h.Class("list"), Table("Runs", cols, rows)), Paging("/", m.Query, m.Page, m.Size, m.Found)}
}

// runCols are the columns of a list of runs. On this machine nothing costs money.
func runCols(costs bool) []Col {
	cols := []Col{
		{Text: "Status"}, {Text: "Run", Class: "wide"}, {Text: "Tasks"}, {Text: "Created", Class: "nowrap"},
		{Text: "Duration", Right: true}, {Text: "Driven by", Class: "roomy nowrap"},
	}
	if costs {
		cols = append(cols, Col{Text: "Cost", Right: true, Class: "cost"})
	}
	return cols
}

func (r *RunRow) row(cols []Col, now time.Time) g.Node {
	why := g.Node(nil)
	if r.Why != "" {
		why = h.Div(h.Class("why"), h.Title(r.Why), g.Text(r.Why))
	}
	slot := g.Node(nil)
	if r.Slot != nil {
		slot = h.Div(h.Class("about"), r.Slot.Link(r.Workflow))
	}
	cells := []g.Node{
		g.Group{RunBadge(r.Status, r.Paused, r.Undriven && r.Local), g.If(!r.Late.IsZero(), h.Div(LateBadge(r.Late)))},
		g.Group{
			h.A(h.Class("title"), h.Href(RunURL(r.ID)), g.Text(r.Workflow)), g.Text(" "), h.Code(h.Class("dim"), g.Text(r.ID)),
			slot, why,
		},
		Progress(r.Tasks),
		Moment(r.Created),
		Took(r.Created, r.Ended, now),
		r.driver(), r.cost(),
	}
	return Row(cols, cells[:len(cols)]...)
}

func (r *RunRow) driver() g.Node {
	if r.Undriven && r.Local {
		return h.Span(h.Class("SKIPPED"), g.Text("nobody"))
	}
	if r.Undriven { // it goes on in AWS Batch
		return h.Span(h.Class("dim"), g.Text("nobody"))
	}
	return h.Span(h.Class("dim"), g.Text(cmp.Or(r.Driver, "-")))
}

func (r *RunRow) cost() g.Node {
	if r.Cost == "" {
		return none()
	}
	return g.Text(r.Cost)
}

func dash(s string) g.Node { return g.Text(cmp.Or(s, "-")) }

// RunBadge is the badge of a run, which may be paused, or interrupted: nobody drives it, and
// nothing of it runs.
func RunBadge(s engine.Status, paused, interrupted bool) g.Node {
	switch {
	case paused:
		return h.Span(h.Class("badge PAUSED"), g.Text("Paused"))
	case interrupted && !s.Ended():
		return h.Span(h.Class("badge PAUSED"), g.Text("Interrupted"))
	}
	return Badge(s)
}

// LateBadge says that a run is not over though it should be; nothing if since is zero.
func LateBadge(since time.Time) g.Node {
	if since.IsZero() {
		return nil
	}
	return h.Span(h.Class("badge LATE"), h.Title("since "+since.UTC().Format("2006-01-02 15:04:05 UTC")), g.Text("Late"))
}

// Progress shows how far tasks are: a bar, and beside it the counts.
func Progress(c view.Counts) g.Node {
	if c.Total() == 0 {
		return h.Span(h.Class("dim"), g.Text("no tasks yet"))
	}
	text := view.Count(c.Done()) + " / " + view.Count(c.Total())
	var more g.Group
	for _, s := range []engine.Status{engine.Failed, engine.Running} {
		if c[s] > 0 {
			more = append(more, g.Text(", "), h.Span(h.Class("n "+s.String()), g.Text(view.Count(c[s])+" "+lower(s))))
		}
	}
	return h.Div(h.Class("progress"), Bar(c), h.Span(h.Class("of"), g.Text(text), more))
}

// A Choice is one of those of a list.
type Choice struct{ Value, Text string }

// Choose is a list of which one is taken; a value that is none of them is one more.
func Choose(name, label, value string, choices []Choice) g.Node {
	known := false
	for _, c := range choices {
		known = known || c.Value == value
	}
	if !known {
		choices = append(choices[:len(choices):len(choices)], Choice{value, value})
	}
	return h.Select(h.Name(name), h.Aria("label", label), g.Map(choices, func(c Choice) g.Node {
		return h.Option(h.Value(c.Value), g.If(c.Value == value, h.Selected()), g.Text(c.Text))
	}))
}
