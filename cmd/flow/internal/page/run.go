package page

import (
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// The views of a run: the value of "view" in the query of its page.
const (
	RunOverview = ""
	RunEvents   = "events"
	RunData     = "data"
	RunSource   = "source"
	RunChanges  = "changes"
)

// A Run is what is above every view of a run.
type Run struct {
	ID          string
	Workflow    string
	Description string
	Status      engine.Status
	Late        time.Time // since when it is late; zero: it is not
	Rests       string    // word for a run that does not go on by itself: "Paused", "Interrupted"
	Created     time.Time
	Ended       time.Time // zero: it has not
	Now         time.Time
	Counts      view.Counts
	Facts       []Fact // beside those of times and tasks
	Notes       []Note
	Fresh       *Fresh // nil: all is recorded
	Acts        []Act  // the next thing to do first
	Next        string // the same for a terminal; "": there is nothing to do

	View   string // one of the constants above
	Events int
}

// Order returns the statuses as they are listed, and lie in a bar.
func Order() []engine.Status { return order }

// A Note is something to know about a run before all else.
type Note struct {
	Kind string    // info, warn or bad
	Late time.Time // since when the run is late, which stands before the text; zero: the text is all
	Text string
	More []string // lines below it
}

// URL is the path of a view of the run.
func (r *Run) URL(view string) string {
	if view == RunOverview {
		return RunURL(r.ID)
	}
	return RunURL(r.ID) + "?view=" + view
}

// Regions are the head of the page, with what the view adds below.
func (r *Run) Regions(more ...web.Region) []web.Region {
	return append([]web.Region{{ID: "run", Body: r.head()}, {ID: "views", Body: r.tabs()}}, more...)
}

func (r *Run) head() g.Node {
	badge := Badge(r.Status)
	if r.Rests != "" {
		badge = h.Span(h.Class("badge PAUSED"), g.Text(r.Rests))
	}
	facts := append([]Fact{
		{"Run", Copy(r.ID)},
		{"Created", Moment(r.Created)},
		{"Duration", Took(r.Created, r.Ended, r.Now)},
	}, r.Facts...)
	if r.Fresh != nil && r.Fresh.Why == "" {
		facts = append(facts, Fact{"As of", r.Fresh.words()})
	}
	return g.Group{
		Head(g.Group{h.A(h.Class("plain"), h.Href(WorkflowURL(r.Workflow)), g.Text(r.Workflow)), badge, LateBadge(r.Late)}, r.below(), r.Acts...),
		h.Div(h.Class("run-progress"), Bar(r.Counts), Counts(r.Counts)),
		Facts(facts...),
		r.Fresh.trouble(),
		g.Map(r.Notes, note),
		g.If(r.Next != "", h.Div(h.Class("next"), h.Span(h.Class("dim"), g.Text("In a terminal")), Command(r.Next))),
	}
}

func (r *Run) below() g.Node {
	if r.Description == "" {
		return nil
	}
	return g.Text(r.Description)
}

func note(n Note) g.Node {
	return Notice(n.Kind, g.If(!n.Late.IsZero(), g.Group{g.Text("Late since "), Moment(n.Late), g.Text(": ")}), g.Text(n.Text), g.If(len(n.More) > 0, h.Ul(h.Class("more"), g.Map(n.More, func(line string) g.Node { return h.Li(g.Text(line)) }))))
}

func (r *Run) tabs() g.Node {
	tab := func(text, view string, count int) Tab {
		return Tab{Text: text, URL: r.URL(view), Count: count, Current: r.View == view}
	}
	return Tabs("Views of the run",
		tab("Overview", RunOverview, 0), tab("Events", RunEvents, r.Events), tab("Outputs and variables", RunData, 0),
		tab("Source", RunSource, 0), tab("Changes", RunChanges, 0))
}

// An Overview is how far a run is, and why it failed.
type Overview struct {
	Failures    []RunFailure
	Timeline    *Timeline
	Graph       *draw.Graph
	Arrangement *draw.Arrangement
}

// A RunFailure is the tasks of a step that failed for the same cause; none: the step itself.
type RunFailure struct {
	Step      string
	Tolerated bool   // the step has succeeded all the same
	Last      string // what the first of them wrote last; "": nothing, or it is not here
	runstat.FailureGroup
}

// Regions are the parts of the overview.
func (o *Overview) Regions(run *Run) []web.Region {
	return []web.Region{
		{ID: "failures", Body: failures(run.ID, o.Failures)},
		{ID: "graph", Body: o.graph()},
		{ID: "steps", Body: o.Timeline.section(run)},
	}
}

func (o *Overview) graph() g.Node {
	if o.Graph == nil || len(o.Graph.Nodes) == 0 {
		return nil
	}
	return Section("graph-title", "Graph", nil, GraphNode(o.Graph, o.Arrangement))
}

// GraphNode is a graph in a box that scrolls. a may be nil.
func GraphNode(graph *draw.Graph, a *draw.Arrangement) g.Node {
	if a == nil {
		a = draw.Arrange(graph)
	}
	return h.Div(h.Class("scroll graph-box"), h.Role("region"), h.Aria("label", "Graph of the steps"), h.TabIndex("0"), g.Raw(string(a.Inline(graph))))
}

// failures shows failures by their cause, the most frequent of each step first.
func failures(run string, list []RunFailure) g.Node {
	if len(list) == 0 {
		return nil
	}
	tasks := 0
	for i := range list {
		tasks += list[i].Tasks
	}
	var items g.Group
	for i := range list[:min(len(list), MostCauses)] {
		items = append(items, failure(run, &list[i]))
	}
	aside := g.Group{g.Text(view.Plural(tasks, "task") + ", " + view.Plural(len(list), "cause"))}
	return Section("failures-title", "Failures", aside, h.Ul(h.Class("causes"), items),
		g.If(len(list) > MostCauses, h.P(h.Class("dim"), g.Text("and "+view.Plural(len(list)-MostCauses, "more cause")))))
}

func failure(run string, f *RunFailure) g.Node {
	where := g.Group{h.A(h.Href(StepURL(run, f.Step)), g.Text(f.Step))}
	if f.Tasks > 0 {
		where = g.Group{h.A(h.Href(StepURL(run, f.Step)+"?cause="+CauseID(&f.FailureGroup)+"#tasks"), g.Text(view.Plural(f.Tasks, "task")+" of "+f.Step)),
			g.Text(" · "), h.A(h.Href(TaskURL(run, f.Step, f.Indices.At(0))), g.Text(view.Clean(f.Example)))}
	}
	help := g.Group{}
	for _, line := range f.Help {
		help = append(help, h.P(h.Class("help"), g.Text(view.Clean(line))))
	}
	return h.Li(
		h.Div(h.Class("cause"), Sign(engine.Failed), h.Strong(g.Text(view.Clean(f.Text)))),
		g.If(f.Last != "", h.Code(h.Class("last"), g.Text(f.Last))),
		help,
		h.P(h.Class("where"), where, g.If(f.Tolerated, h.Span(h.Class("dim"), g.Text(" · tolerated")))),
	)
}
