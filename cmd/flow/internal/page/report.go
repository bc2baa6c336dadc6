package page

import (
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// A Report is all that there is to say of a run, as one document that needs nothing else.
// What would lead to another page leads to a place within it.
type Report struct {
	Run      *Run
	Failures []ReportFailure
	Timeline *Timeline
	Graph    *draw.Graph
	Steps    []ReportStep
	Failed   []TaskRow // tasks, as many as are listed
	Unlisted int       // further tasks that failed
	Bill     *ReportBill
	Data     *Data
	Origin   Origin
}

// A ReportFailure is a cause of failures, with the end of the log of the first task.
type ReportFailure struct {
	RunFailure
	Last string
}

// A ReportStep is a step, and what its tasks used.
type ReportStep struct {
	Status engine.StepStatus
	Used   runstat.Step
	Heat   *Heat // nil: it has few tasks, or too many
}

// A ReportBill is what a run has cost.
type ReportBill struct {
	Rows  []ReportCost
	Total ReportCost
	Notes []string // what the figures mean
}

// A ReportCost is what a step has cost; texts as they are shown.
type ReportCost struct {
	Step, Hours, Rate, Cost, Retried, Lost string
	Tasks                                  int
}

// An Origin is what a run was made of.
type Origin struct {
	Facts  []Fact
	Files  []SourceFile
	Images []OriginImage
	Inputs []OriginInput // files from outside of the run
	More   int           // further ones, which are not listed
}

// An OriginImage is an image that tasks ran in.
type OriginImage struct {
	Name  string
	Steps string
}

// An OriginInput is a file that tasks read and that no task of the run made.
type OriginInput struct {
	Path, Identity string
	Steps          string
}

// Anchor is the id of what a report says of a step.
func Anchor(step string) string { return "step-" + step }

func anchorURL(step string) string { return "#" + Anchor(step) }

// Maps are the data of the report's heat maps.
func (r *Report) Maps() (out []web.Datum) {
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Heat != nil {
			out = append(out, HeatDatum(mapID(i), s.Heat))
		}
	}
	return out
}

func mapID(i int) string { return "map-" + strconv.Itoa(i) }

// Body is the report, without its data and scripts.
func (r *Report) Body() g.Node {
	return g.Group{
		h.Section(h.Class("region"), h.ID("run"), r.head()),
		r.section(r.failures()),
		r.section(r.timeline()),
		r.section(r.graph()),
		r.section(r.used()),
		r.section(r.maps()),
		r.section(r.failed()),
		r.section(r.bill()),
		r.section(r.Data.outputs()),
		r.section(r.Data.variables()),
		r.section(r.origin()),
	}
}

func (r *Report) section(body g.Node) g.Node {
	return g.If(body != nil, h.Section(h.Class("region"), body))
}

func (r *Report) head() g.Node {
	badge := Badge(r.Run.Status)
	if r.Run.Rests != "" {
		badge = BadgeAs(r.Run.Status, r.Run.Rests)
	}
	facts := append([]Fact{TextFact("Run", r.Run.ID), {"Created", utc(r.Run.Created)}, {"Duration", Took(r.Run.Created, r.Run.Ended, r.Run.Now)}}, r.Run.Facts...)
	return g.Group{
		Head(g.Group{g.Text(r.Run.Workflow), badge}, r.Run.below()),
		h.Div(h.Class("run-progress"), Bar(r.Run.Counts), Counts(r.Run.Counts)),
		Facts(facts...),
		g.Map(r.Run.Notes, note),
		g.If(r.Run.Next != "", h.Div(h.Class("next"), h.Span(h.Class("dim"), g.Text("In a terminal")), Command(r.Run.Next))),
	}
}

// utc is a time for a document that no script puts into the time of whoever reads it.
func utc(t time.Time) g.Node { return g.Group{Moment(t), g.Text(" UTC")} }

func (r *Report) failures() g.Node {
	if len(r.Failures) == 0 {
		return nil
	}
	var items g.Group
	tasks := 0
	for i := range r.Failures {
		tasks += r.Failures[i].Tasks
		if i < MostCauses {
			items = append(items, r.Failures[i].item())
		}
	}
	return Section("failures", "Failures", g.Text(view.Plural(tasks, "task")+", "+view.Plural(len(r.Failures), "cause")),
		h.Ul(h.Class("cause-list"), items),
		g.If(len(r.Failures) > MostCauses, h.P(h.Class("dim"), g.Text("and "+view.Plural(len(r.Failures)-MostCauses, "more cause")))))
}

func (f *ReportFailure) item() g.Node {
	where := view.Plural(f.Tasks, "task") + " of " + f.Step + ", such as " + view.Clean(f.Example)
	switch f.Tasks {
	case 0:
		where = "step " + f.Step
	case 1:
		where = view.Clean(f.Example)
	}
	if f.Tolerated {
		where += " · tolerated"
	}
	return h.Li(
		h.Span(h.Class("cause-n n FAILED"), g.Text(view.Count(max(f.Tasks, 1)))),
		h.Div(
			h.P(h.Class("cause"), g.Text(view.Clean(f.Text))),
			g.If(f.Last != "", h.Code(h.Class("last"), g.Text(f.Last))),
			g.Map(f.Help, func(line string) g.Node { return h.P(h.Class("dim"), g.Text(view.Clean(line))) }),
			h.P(h.Class("links"), h.A(h.Href(anchorURL(f.Step)), g.Text(where))),
		))
}

func (r *Report) timeline() g.Node {
	return Section("timeline", "Timeline", nil, r.Timeline.Table("", r.Run.Now), trackLegend())
}

func (r *Report) graph() g.Node {
	if r.Graph == nil || len(r.Graph.Nodes) == 0 {
		return nil
	}
	for i := range r.Graph.Nodes {
		r.Graph.Nodes[i].URL = anchorURL(r.Graph.Nodes[i].ID)
	}
	return Section("graph", "Graph", nil, GraphNode(r.Graph, nil))
}

// used says what the tasks of each step took, and used of what they asked for.
func (r *Report) used() g.Node {
	cols := []Col{{Text: "Step"}, {Text: "Ran", Right: true}, {Text: "Median", Right: true}, {Text: "Most", Right: true}, {Text: "Duration", Class: "spread"},
		{Text: "Memory asked", Right: true}, {Text: "Median peak", Right: true}, {Text: "Most", Right: true}, {Text: "Against asked", Class: "spread"},
		{Text: "vCPUs asked", Right: true}, {Text: "Used", Right: true}}
	longest := int64(1)
	for i := range r.Steps {
		longest = max(longest, r.Steps[i].Used.Duration.Max)
	}
	var rows g.Group
	for i := range r.Steps {
		rows = append(rows, r.Steps[i].row(cols, longest))
	}
	return Section("used", "Time and memory", g.Text("of the last try of each task that ran"), Table("What the tasks of each step took", cols, rows))
}

func (s *ReportStep) row(cols []Col, longest int64) g.Node {
	u := &s.Used
	name := h.Div(h.ID(Anchor(string(u.Step))), h.Class("used-name"), Sign(s.Status.Status), g.Text(" "), g.Text(string(u.Step)),
		g.If(s.Status.Step.Description != "", h.P(h.Class("dim says"), g.Text(view.Clean(s.Status.Step.Description)))),
		g.Map(u.Advice, func(a runstat.Advice) g.Node { return h.P(h.Class("advice"), g.Text(a.Text)) }))
	dim := h.Span(h.Class("dim"), g.Text("-"))
	cells := []g.Node{name, dim, dim, dim, nil, dim, dim, dim, nil, dim, dim}
	if d := u.Duration; d.N > 0 {
		cells[1], cells[2], cells[3] = g.Text(view.Count(d.N)), Span(runstat.Milliseconds(d.Median)), Span(runstat.Milliseconds(d.Max))
		cells[4] = box(&d, 0, longest)
	}
	if u.AskedMost.MemoryMiB > 0 {
		cells[5], cells[9] = g.Text(between(u.Asked.MemoryMiB, u.AskedMost.MemoryMiB)), g.Text(fromTo(u.Asked.VCPUs, u.AskedMost.VCPUs))
	}
	if m := u.Memory; m.N > 0 {
		asked := int64(u.AskedMost.MemoryMiB) << 20
		cells[6], cells[7], cells[8] = Memory(m.Median, false), Memory(m.Max, false), box(&m, asked, max(asked, m.Max)*51/50)
	}
	if u.Memory.N == 0 && u.Bounded > 0 {
		cells[7] = Memory(u.AtMost, true)
	}
	if u.Cores > 0 {
		cells[10] = g.Text(strconv.FormatFloat(u.Cores, 'f', 1, 64))
	}
	return Row(cols, cells...)
}

func fromTo(least, most float64) string {
	if least == most {
		return decimal(least)
	}
	return decimal(least) + " to " + decimal(most)
}

const boxHeight = 16

// box draws how values are spread on a scale from 0, with what was asked for; 0: nothing.
func box(f *runstat.Five, asked, scale int64) g.Node {
	s := draw.Spread{
		Min: float64(f.Min), Low: float64(f.Low), Median: float64(f.Median), High: float64(f.High), Max: float64(f.Max),
		Asked: float64(asked), Scale: float64(scale),
	}
	return g.Raw(string(s.Box(boxHeight)))
}

// maps are the tasks of steps with many of them.
func (r *Report) maps() g.Node {
	var list g.Group
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Heat == nil {
			continue
		}
		list = append(list, h.Div(h.Class("map"), h.H3(g.Text(string(s.Used.Step)+": "+view.Plural(len(s.Heat.State), "task"))),
			Counts(s.Status.Counts), HeatMap(mapID(i))))
	}
	if list == nil {
		return nil
	}
	return Section("maps", "Tasks", nil, list)
}

// unfolded is how many tasks at most are listed before somebody asks.
const unfolded = 20

func (r *Report) failed() g.Node {
	if len(r.Failed) == 0 {
		return nil
	}
	cols := []Col{{Text: "Task"}, {Text: "Attempts", Right: true}, {Text: "Duration", Right: true}, {Text: "Peak memory", Right: true}, {Text: "Exit code", Right: true}, {Text: "Why", Class: "wide"}}
	rows := make(g.Group, len(r.Failed))
	for i := range r.Failed {
		t := &r.Failed[i]
		rows[i] = Row(cols, h.Div(h.Class("named anywhere"), g.Text(view.Clean(t.Name))), g.Text(attempts(&t.TaskStatus)), Took(t.Started, t.Stopped, t.Stopped),
			Memory(t.PeakMemory, t.PeakAtMost), g.Text(exitText(&t.TaskStatus)), h.Div(h.Class("anywhere"), g.Text(t.Note)))
	}
	table := Table("Tasks that failed", cols, rows)
	if len(r.Failed) > unfolded {
		table = h.Details(h.Summary(g.Text(view.Plural(len(r.Failed), "task"))), table)
	}
	return Section("failed-tasks", "Failed tasks", g.If(r.Unlisted > 0, g.Text("the first "+view.Count(len(r.Failed))+" of "+view.Count(len(r.Failed)+r.Unlisted))), table)
}

func (r *Report) bill() g.Node {
	if r.Bill == nil {
		return nil
	}
	cols := []Col{{Text: "Step", Class: "wide"}, {Text: "Tasks", Right: true}, {Text: "Task-hours", Right: true}, {Text: "An hour", Right: true}, {Text: "Cost", Right: true}, {Text: "Of it retries", Right: true}, {Text: "Lost", Right: true}}
	row := func(c *ReportCost) g.Node {
		return Row(cols, g.Text(c.Step), g.Text(view.Count(c.Tasks)), g.Text(c.Hours), g.Text(c.Rate), g.Text(c.Cost), g.Text(c.Retried), g.Text(c.Lost))
	}
	rows := g.Group{}
	for i := range r.Bill.Rows {
		rows = append(rows, row(&r.Bill.Rows[i]))
	}
	return Section("cost", "Cost", nil, Table("What each step cost", cols, append(rows, row(&r.Bill.Total))),
		g.Map(r.Bill.Notes, func(line string) g.Node { return h.P(h.Class("dim note-below"), g.Text(line+".")) }))
}

// origin says what the run was made of.
func (r *Report) origin() g.Node {
	o := &r.Origin
	return Section("origin", "Provenance", nil, Facts(o.Facts...), o.images(), o.inputs(), g.Map(o.Files, originFile))
}

func (o *Origin) images() g.Node {
	if len(o.Images) == 0 {
		return nil
	}
	cols := []Col{{Text: "Image", Class: "wide"}, {Text: "Steps"}}
	rows := g.Group{}
	for _, i := range o.Images {
		rows = append(rows, Row(cols, h.Code(h.Class("anywhere"), g.Text(i.Name)), g.Text(i.Steps)))
	}
	return h.Div(h.Class("part"), h.H3(g.Text("Images")), Table("Images of the tasks", cols, rows))
}

func (o *Origin) inputs() g.Node {
	if len(o.Inputs) == 0 {
		return nil
	}
	cols := []Col{{Text: "Input", Class: "wide"}, {Text: "Identity"}, {Text: "Steps"}}
	rows := g.Group{}
	for _, i := range o.Inputs {
		rows = append(rows, Row(cols, h.Code(h.Class("anywhere"), g.Text(view.Clean(i.Path))), h.Code(h.Class("anywhere"), g.Text(i.Identity)), g.Text(i.Steps)))
	}
	return h.Div(h.Class("part"), h.H3(g.Text("Inputs from outside of the run")), Table("Inputs", cols, rows),
		g.If(o.More > 0, h.P(h.Class("dim"), g.Text("and "+view.Plural(o.More, "more file")))))
}

func originFile(f SourceFile) g.Node {
	return h.Details(h.Class("part"), h.Summary(h.Code(g.Text(f.Name)), g.Text(" "), h.Span(h.Class("dim"), g.Text("sha256 "+f.Sum))),
		h.Pre(h.Class("code"), g.Text(f.Text)))
}
