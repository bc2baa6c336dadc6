package page

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// A StepDetail is what the page of a step shows.
type StepDetail struct {
	Run      string
	Workflow string
	Status   engine.StepStatus
	Waits    string // why its tasks are not in jobs; "": they are
	Gate     *Gate  // how it waits for files, or did; nil: it did not
	Pools    string // pools that its tasks wait for, and who has them; "": for none
	Why      string // why it ended as it did
	Acts     []Act
	Fresh    *Fresh // nil: all is recorded
	Groups   []runstat.FailureGroup
	Last     []string // of the first group, the second, ...: the end of the log of its first task
	Used     runstat.Step
	Next     []string         // steps that depend on it
	Spec     *engine.TaskSpec // of the first task; nil: not known
	Heat     *Heat            // nil: there is nothing to map

	Query  TaskQuery
	Values url.Values // that Query was read from
	Rows   []TaskRow  // of the page that is asked for
	Found  int        // tasks on all pages
	Now    time.Time
}

// A TaskRow is a task in a table.
type TaskRow struct {
	engine.TaskStatus
	Note string // in a few words, what is special about it
}

func (m *StepDetail) name() string { return string(m.Status.Step.Name) }

// runCrumbs is the way to a run.
func runCrumbs(workflow, run string) []web.Crumb {
	return []web.Crumb{{Text: "Runs", URL: "/"}, {Text: workflow, URL: WorkflowURL(workflow)}, {Text: ShortID(run), URL: RunURL(run)}}
}

// heatID is the element of the heat map.
const heatID = "heat"

// StepView is the page of a step.
func StepView(m *StepDetail) *web.View {
	v := &web.View{
		Title: m.name() + " of " + m.Workflow, Live: true, Scripts: append([]string{"table.js"}, HeatScripts...),
		Crumbs: append(runCrumbs(m.Workflow, m.Run), web.Crumb{Text: m.name(), URL: StepURL(m.Run, m.name())}),
	}
	v.Regions = []web.Region{
		{ID: "head", Body: m.head()},
		{ID: "failures", Body: m.failures()},
		{ID: "map", Body: m.heat()},
		{ID: "tasks", Body: m.tasks()},
		{ID: "about", Body: m.about()},
	}
	if m.Heat != nil {
		v.Data = []web.Datum{HeatDatum(heatID, m.Heat)}
	}
	return v
}

func (m *StepDetail) head() g.Node {
	s := m.Status
	below := g.Group{g.Text("step of run "), h.A(h.Href(RunURL(m.Run)), h.Code(g.Text(m.Run)))}
	if s.Size >= 0 && s.Step.FanOut {
		below = append(below, g.Text(", "+view.Plural(s.Size, "task")))
	}
	if !s.Started.IsZero() {
		below = append(below, g.Text(", started "), Moment(s.Started), g.Text(", took "), Took(s.Started, s.Ended, m.Now))
	}
	below = append(below, m.Fresh.behind())
	counts := view.Counts(s.Counts)
	return g.Group{
		Head(g.Group{g.Text(m.name()), Badge(s.Status)}, below, m.Acts...),
		g.If(s.Step.Description != "", h.P(h.Class("step-says"), g.Text(s.Step.Description))),
		g.If(s.Size > 0 && s.Step.FanOut, h.Div(h.Class("step-bar"), Bar(counts), Counts(counts))),
		m.Fresh.trouble(),
		m.waits(),
		g.If(m.Why != "" && len(m.Groups) == 0, Notice("warn", g.Text(m.Why))),
	}
}

// A Gate is files that a step waits for before its tasks are known, or waited for.
type Gate struct {
	Since  time.Time
	What   string
	Ends   []GateEnd // when it waits no longer, if it still waits
	Opened time.Time // zero: it waits
	Seen   string    // what was there
}

// A GateEnd is when a step waits no longer, and what becomes of it then.
type GateEnd struct {
	At   time.Time
	Skip bool // it is skipped; else it fails
}

// waits says what the step or its tasks wait for.
func (m *StepDetail) waits() g.Node {
	switch {
	case m.Gate != nil && m.Gate.Opened.IsZero():
		return m.Gate.node(m.Now)
	case m.Waits != "":
		return Notice("info", h.B(g.Text("Waiting: ")), g.Text(m.Waits))
	case m.Pools != "":
		return Notice("info", h.B(g.Text("Tasks wait")), g.Text(" for "+m.Pools+"."))
	case m.Gate != nil:
		return m.Gate.node(m.Now)
	}
	return nil
}

func (w *Gate) node(now time.Time) g.Node {
	if !w.Opened.IsZero() {
		return h.P(h.Class("dim gate"), g.Text("It waited "), Took(w.Since, w.Opened, now), g.Text(" until it was there: "+w.Seen+"."))
	}
	ends := g.Map(w.Ends, func(e GateEnd) g.Node {
		then := ". It fails if that is not there by "
		if e.Skip {
			then = ". It is skipped if that is not there by "
		}
		return g.Group{g.Text(then), Moment(e.At)}
	})
	return Notice("info", h.B(g.Text("Waiting")), g.Text(" for "+w.What+", "), Took(w.Since, time.Time{}, now), g.Text(" so far"), ends, g.Text("."))
}

// MostCauses is how many causes of failures are shown.
const MostCauses = 12

// failures says why tasks failed, the most frequent cause first: many failures are few causes.
func (m *StepDetail) failures() g.Node {
	if len(m.Groups) == 0 {
		return nil
	}
	var list g.Group
	for i := range m.Groups[:min(len(m.Groups), MostCauses)] {
		list = append(list, m.failure(i))
	}
	if more := len(m.Groups) - MostCauses; more > 0 {
		list = append(list, h.Li(h.Class("dim"), g.Text("… and "+view.Plural(more, "more cause"))))
	}
	aside := view.Plural(m.Status.Counts[engine.Failed], "task") + ", " + view.Plural(len(m.Groups), "cause")
	if t := toleranceText(m.Status.Step.Tolerate); t != "" && m.Status.Status.OK() {
		aside += "; tolerated: " + t
	}
	return Section("failed", "Failures by cause", g.Text(aside),
		h.Ul(h.Class("cause-list"), list))
}

func (m *StepDetail) failure(i int) g.Node {
	f, last := &m.Groups[i], ""
	if i < len(m.Last) {
		last = m.Last[i]
	}
	first := f.Indices.At(0)
	all := StepURL(m.Run, m.name()) + "?cause=" + CauseID(f) + "#tasks"
	return h.Li(
		h.Span(h.Class("cause-n n FAILED"), g.Text(view.Count(f.Tasks))),
		h.Div(
			h.P(h.Class("cause"), g.Text(f.Text)),
			g.If(last != "", h.Code(h.Class("last"), g.Text(last))),
			g.If(f.Why != "", h.P(h.Class("dim"), g.Text(f.Why))),
			g.If(len(f.Help) > 0, h.P(g.Text(strings.Join(f.Help, " ")))),
			g.If(f.Write != "", h.Pre(h.Class("code"), g.Text(f.Write))),
			h.P(h.Class("links"), g.If(f.Tasks > 1, h.A(h.Href(all), h.Data("table", ""), g.Text("Show the "+view.Plural(f.Tasks, "task")))),
				h.A(h.Href(TaskURL(m.Run, m.name(), first)+"#log"), g.Text("Log of "+f.Example))),
		))
}

func (m *StepDetail) heat() g.Node {
	if m.Heat == nil {
		return nil
	}
	return Section("map-title", "Map", nil, HeatMap(heatID))
}

func (m *StepDetail) tasks() g.Node {
	switch {
	case m.Status.Size < 0 && m.Status.Status.Ended():
		return Section("tasks-title", "Tasks", nil, Empty("It has no tasks", g.Text(m.Why)))
	case m.Status.Size < 0:
		return Section("tasks-title", "Tasks", nil, Empty("Its tasks are not known yet", g.Text(m.unknown())))
	case m.Status.Size == 0:
		return Section("tasks-title", "Tasks", nil, Empty("It has no tasks in this run"))
	}
	path := StepURL(m.Run, m.name())
	table := g.Node(Empty("No task matches", h.A(h.Href(path), h.Data("table", ""), g.Text("Show all tasks"))))
	if len(m.Rows) > 0 {
		table = m.table(path)
	}
	return Section("tasks-title", "Tasks", nil,
		g.If(m.Status.Size > 1, m.filter(path)), m.chosen(path), table,
		h.Div(h.Data("table", ""), Paging(path, m.Values, m.Query.Page, TasksPerPage, m.Found)))
}

// unknown says when the tasks of a step will be known.
func (m *StepDetail) unknown() string {
	if m.Gate != nil && m.Gate.Opened.IsZero() {
		return "They are known once what it waits for is there."
	}
	return cmp.Or(m.Waits, "They are known once what it needs has run.")
}

func (m *StepDetail) filter(path string) g.Node {
	statuses := []Choice{{"", "Any status"}}
	for _, s := range failedFirst {
		if n := m.Status.Counts[s]; n > 0 {
			statuses = append(statuses, Choice{strings.ToLower(s.String()), Word(s) + " (" + view.Count(n) + ")"})
		}
	}
	return h.Form(h.Class("filter step-filter"), h.Role("search"), h.Action(path), h.Method("get"), h.Data("table", ""),
		h.Input(h.Type("search"), h.Name("q"), h.Value(m.Values.Get("q")), h.Placeholder("Key of a task"), h.Aria("label", "Search tasks by key")),
		Choose("status", "Status", strings.ToLower(m.Values.Get("status")), statuses),
		g.Map([]string{"sort", "color", "order", "cause", "tasks"}, func(name string) g.Node {
			return g.If(m.Values.Get(name) != "", hidden(name, m.Values.Get(name)))
		}),
		h.Button(h.Type("submit"), g.Text("Filter")))
}

// chosen says what of the tasks the table shows, where the filter does not.
func (m *StepDetail) chosen(path string) g.Node {
	var list g.Group
	drop := func(name, text string) {
		list = append(list, h.Li(g.Text(text+" "), h.A(h.Href(WithQuery(path, without(m.Values, "page"), name, "")), h.Data("table", ""), g.Text("Show all"))))
	}
	if n := m.Query.Tasks.Len(); n > 0 {
		drop("tasks", view.Plural(n, "task")+" selected in the map.")
	}
	for i := range m.Groups {
		if CauseID(&m.Groups[i]) == m.Query.Cause {
			drop("cause", "Failed since: "+m.Groups[i].Text+".")
		}
	}
	return g.If(len(list) > 0, h.Ul(h.Class("chosen"), list))
}

func without(q url.Values, name string) url.Values {
	out := url.Values{}
	for k, v := range q {
		if k != name {
			out[k] = v
		}
	}
	return out
}

func (m *StepDetail) table(path string) g.Node {
	col := func(text, sort string, right, down bool) Col {
		c := Col{Text: text, Right: right}
		to := sort
		if m.Query.Sort == sort {
			c.Order = "ascending"
			if m.Query.Down {
				c.Order = "descending"
			}
			down = !m.Query.Down
		}
		if down {
			to = "-" + sort
		}
		switch sort { // columns that stay as wide as they are when tasks go on
		case "started":
			c.Class = "nowrap moment"
		case "status":
			c.Class = "state"
		}
		c.Sort = WithQuery(path, without(m.Values, "page"), "sort", to)
		return c
	}
	cols := []Col{
		col("Task", "index", false, false), col("Status", "status", false, false), col("Attempts", "attempts", true, true),
		col("Started", "started", false, false), col("Duration", "duration", true, true), col("Peak memory", "memory", true, true),
		col("Exit code", "exit", true, true), {Text: "Note", Class: "wide"},
	}
	rows := make(g.Group, len(m.Rows))
	for i := range m.Rows {
		rows[i] = m.row(cols, &m.Rows[i])
	}
	return h.Div(h.Data("table", ""), Table("Tasks of "+m.name(), cols, rows))
}

func (m *StepDetail) row(cols []Col, t *TaskRow) g.Node {
	label := t.Key
	if !m.Status.Step.FanOut {
		label = m.name()
	}
	if label == "" {
		label = `""`
	}
	begun := t.Started
	if t.Status == engine.Pending {
		begun = time.Time{}
	}
	note := g.Node(nil)
	if t.Note != "" {
		note = h.Div(h.Class("dim anywhere named"), g.Text(t.Note))
	}
	return Row(cols,
		h.A(h.Class("task-key"), h.Title(label), h.Href(TaskURL(m.Run, m.name(), t.Index)), g.Text(label)),
		Badge(t.Status), g.Text(attempts(&t.TaskStatus)), Moment(begun), Took(begun, ended(&t.TaskStatus), m.Now),
		Memory(t.PeakMemory, t.PeakAtMost), g.Text(exitText(&t.TaskStatus)), note)
}

// attempts is how many tries have ended; "?": nobody can tell.
func attempts(t *engine.TaskStatus) string {
	if strings.HasPrefix(t.Reason, engine.ReasonLost) && t.Attempts > 0 {
		return "?"
	}
	return strconv.Itoa(t.Attempts)
}

// ended is when the last try of a task ended; zero: it goes on.
func ended(t *engine.TaskStatus) time.Time {
	if t.Status == engine.Running {
		return time.Time{}
	}
	return t.Stopped
}

func exitText(t *engine.TaskStatus) string {
	switch {
	case t.ExitCode != nil:
		return strconv.Itoa(*t.ExitCode)
	case t.Status == engine.Succeeded:
		return "0"
	}
	return "-"
}

// Memory shows a peak of memory in bytes; 0: it is not known. atMost: it is no peak, but what
// it did not exceed, see [engine.Used].
func Memory(bytes int64, atMost bool) g.Node {
	if text := view.Peak(bytes, atMost); text != "" {
		return g.Text(text)
	}
	return g.Text("-")
}
