package page

import (
	"slices"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Workflow is the page of a workflow: how its newest runs went, step by step.
type Workflow struct {
	Name, Description string
	Now               time.Time
	All               int       // runs that there are
	Runs              []GridRun // the newest, the oldest of them first
	Steps             []GridStep
	Rows              []RunRow // the newest few, as a list
	Acts              []Act
	Schedules         []ScheduleRow // of it
	Troubles          []FileTrouble // of its files
}

// A GridRun is a column of the grid.
type GridRun struct {
	ID             string
	Status         engine.Status
	Paused         bool
	Created, Ended time.Time
}

// A GridStep is a row of the grid. It has a cell for each run.
type GridStep struct {
	Name  string
	Cells []GridCell
}

// A GridCell is a step in a run.
type GridCell struct {
	There  bool // the step is part of the run
	Status engine.Status
	Tasks  view.Counts
}

// MaxGrid is how many cells a grid has at most: more is slow to look at.
const MaxGrid = 2500

// GridRuns is how many runs a grid of so many steps shows.
func GridRuns(steps int) int { return min(50, max(10, MaxGrid/max(steps, 1))) }

// WorkflowView is the page of a workflow.
func WorkflowView(m *Workflow) *web.View {
	return &web.View{
		Title: m.Name, Crumbs: workflowCrumbs(m.Name), Live: true, Scripts: []string{"grid.js"},
		Regions: []web.Region{
			{ID: "head", Body: Head(g.Text(m.Name), g.If(m.Description != "", g.Text(m.Description)), m.Acts...)},
			{ID: "troubles", Body: troubles(m.Troubles)},
			{ID: "facts", Body: m.facts()},
			{ID: "schedules", Body: m.schedules()},
			{ID: "grid", Body: m.grid()},
			{ID: "runs", Body: m.runs()},
		},
	}
}

func (m *Workflow) schedules() g.Node {
	if len(m.Schedules) == 0 {
		return nil
	}
	return Section("schedules-title", "Schedules", h.A(h.Href(SchedulesURL), g.Text("All schedules")), scheduleTable(m.Schedules, m.Now))
}

// took returns how long each run that ended well took, sorted.
func (m *Workflow) took() (times []time.Duration) {
	for i := range m.Runs {
		if r := &m.Runs[i]; r.Status.OK() && !r.Ended.IsZero() {
			times = append(times, r.Ended.Sub(r.Created))
		}
	}
	slices.Sort(times)
	return times
}

// facts say how the runs of the grid went.
func (m *Workflow) facts() g.Node {
	ended, good := 0, 0
	for i := range m.Runs {
		if m.Runs[i].Status.Ended() {
			ended++
		}
		if m.Runs[i].Status.OK() {
			good++
		}
	}
	facts := []Fact{{"Runs", g.Text(view.Count(m.All))}}
	if ended > 0 {
		facts = append(facts, Fact{"Succeeded of the newest", g.Text(view.Count(good) + " of " + view.Count(ended))})
	}
	if times := m.took(); len(times) > 0 {
		facts = append(facts,
			Fact{"Usual duration", g.Text(view.Duration(median(times)))},
			Fact{"Shortest and longest", g.Text(view.Duration(times[0]) + " to " + view.Duration(times[len(times)-1]))})
		if text := trend(m.Runs); text != "" {
			facts = append(facts, Fact{"Trend", g.Text(text)})
		}
	}
	return Facts(facts...)
}

// median is the middle one of sorted times.
func median(times []time.Duration) time.Duration {
	n := len(times)
	if n%2 == 1 {
		return times[n/2]
	}
	return (times[n/2-1] + times[n/2]) / 2
}

// trend compares the newer half of the runs that ended well with the older one; "": there
// are too few to tell.
func trend(runs []GridRun) string {
	var times []time.Duration
	for i := range runs {
		if runs[i].Status.OK() && !runs[i].Ended.IsZero() {
			times = append(times, runs[i].Ended.Sub(runs[i].Created))
		}
	}
	if len(times) < 6 {
		return ""
	}
	older, newer := slices.Clone(times[:len(times)/2]), slices.Clone(times[len(times)/2:])
	slices.Sort(older)
	slices.Sort(newer)
	a, b := median(older), median(newer)
	if a <= 0 {
		return ""
	}
	switch change := int(100 * (b - a).Seconds() / a.Seconds()); {
	case change >= 10:
		return strconv.Itoa(change) + " % slower of late"
	case change <= -10:
		return strconv.Itoa(-change) + " % faster of late"
	}
	return "about the same"
}

func (m *Workflow) grid() g.Node {
	if len(m.Runs) == 0 {
		return nil
	}
	longest, line := m.scale()
	corner := h.Th(h.Scope("col"), h.Class("step-name"), h.Span(h.Class("hide"), g.Text("Step")))
	header := g.Group{corner}
	for i := range m.Runs {
		header = append(header, m.Runs[i].bar(longest, line, m.Now))
	}
	var rows g.Group
	for i := range m.Steps {
		s := &m.Steps[i]
		cells := g.Group{h.Th(h.Scope("row"), h.Class("step-name"), g.Text(s.Name))}
		for k := range s.Cells {
			cells = append(cells, h.Td(s.Cells[k].node(s.Name, &m.Runs[k])))
		}
		rows = append(rows, h.Tr(cells))
	}
	aside := g.Text("the newest on the right; bars are run times, up to " + view.Duration(longest))
	return Section("steps", "Steps by run", aside,
		h.Div(h.Class("scroll grid"), h.Role("region"), h.Aria("label", "Grid of steps by run"), h.TabIndex("0"), h.Data("grid", ""),
			h.Table(h.THead(h.Tr(header)), h.TBody(rows))),
		legend())
}

// scale returns the time that the highest bar stands for, and where of that height the line
// of the usual time is; -1: nowhere. Of runs that took many times as long as usual the bars are
// cut off, so that the others can be told apart.
func (m *Workflow) scale() (longest time.Duration, line float64) {
	for i := range m.Runs {
		longest = max(longest, m.Runs[i].length(m.Now))
	}
	times := m.took()
	if len(times) < 3 || longest <= 0 {
		return longest, -1
	}
	longest = min(longest, 4*max(median(times), time.Millisecond))
	return longest, float64(median(times)) / float64(longest)
}

func (r *GridRun) length(now time.Time) time.Duration {
	if r.Ended.IsZero() {
		return now.Sub(r.Created)
	}
	return r.Ended.Sub(r.Created)
}

// barHeight is that of the highest bar.
const barHeight = 56.0

// bar is the head of a column: how long the run took, and a link to it.
func (r *GridRun) bar(longest time.Duration, line float64, now time.Time) g.Node {
	took := r.length(now)
	height := 2.0
	if longest > 0 {
		height = min(max(height, barHeight*float64(took)/float64(longest)), barHeight)
	}
	word := Word(r.Status)
	if r.Paused {
		word = "Paused"
	}
	label := word + ", " + view.Duration(took) + ", " + r.Created.UTC().Format("2006-01-02 15:04 UTC")
	parts := g.Group{g.El("rect", h.Class("fill "+r.Status.String()), g.Attr("x", "3"), g.Attr("y", num(barHeight-height)), h.Width("14"), h.Height(num(height)), g.Attr("rx", "1.5"))}
	if took > longest {
		parts = append(parts, g.El("path", h.Class("cut"), g.Attr("d", "M2 10L18 5")))
	}
	if line >= 0 {
		y := num(barHeight * (1 - line))
		parts = append(parts, g.El("path", h.Class("usual"), g.Attr("d", "M0 "+y+"H20")))
	}
	return h.Th(h.Scope("col"), h.A(h.Href(RunURL(r.ID)), h.Aria("label", label), h.Title(label),
		g.El("svg", h.Width("20"), h.Height(num(barHeight)), g.Attr("viewBox", "0 0 20 "+num(barHeight)), h.Aria("hidden", "true"), parts)))
}

// node is a cell: in the colour and with the sign of the step's state. Of a fan-out the
// tasks that failed are a part of the area, and counted.
func (c *GridCell) node(step string, r *GridRun) g.Node {
	if !c.There {
		return h.Span(h.Class("cell none"))
	}
	label := step + ": " + Word(c.Status)
	total, failed := c.Tasks.Total(), c.Tasks[engine.Failed]
	if total > 1 {
		label += ", " + c.Tasks.Words(view.Style{})
	}
	text, share := "", g.Node(nil)
	if failed > 0 && total > 1 {
		text = brief(failed)
		height := max(20*float64(failed)/float64(total), 2)
		share = g.El("svg", g.Attr("viewBox", "0 0 20 20"), g.Attr("preserveAspectRatio", "none"), h.Aria("hidden", "true"),
			g.El("rect", h.Class("fill FAILED"), g.Attr("y", num(20-height)), h.Width("20"), h.Height(num(height))))
	}
	class := "cell " + c.Status.String()
	if share != nil {
		class += " partly"
	}
	return h.A(h.Class(class), h.Href(StepURL(r.ID, step)), h.Aria("label", label), h.Title(label), share, h.Span(g.Text(text)))
}

// brief writes a number in at most three characters.
func brief(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n)
	case n < 100_000:
		return strconv.Itoa(n/1000) + "k"
	}
	return "99+"
}

// legend says which sign is which state.
func legend() g.Node {
	return h.Ul(h.Class("legend"), h.Aria("label", "Legend"), g.Map(order, func(s engine.Status) g.Node {
		return h.Li(h.Span(h.Class("cell "+s.String()), h.Aria("hidden", "true"), h.Span()), g.Text(Word(s)))
	}), h.Li(g.Text("a number: so many tasks failed; with a frame: so did the step")))
}

func (m *Workflow) runs() g.Node {
	if len(m.Rows) == 0 {
		return nil
	}
	list := Runs{Rows: m.Rows, Now: m.Now, All: m.All, Page: 1, Size: len(m.Rows), Found: len(m.Rows)}
	return Section("newest", "Newest runs", h.A(h.Href(WithQuery("/", nil, "workflow", m.Name)), g.Text("All "+view.Plural(m.All, "run"))), list.list())
}
