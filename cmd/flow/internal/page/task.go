package page

import (
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/executor/batch/diagnose"
)

// A TaskDetail is what the page of a task shows.
type TaskDetail struct {
	Run      string
	Workflow string
	FanOut   bool // of its step
	Task     engine.TaskStatus
	Size     int // tasks of its step
	Acts     []Act

	Verdict *diagnose.Verdict // of one that failed: why
	Why     string            // of one that did not run, or was ended: why
	Waits   string            // of one that waits: what for
	Beside  []string          // lines below that: what it was seen from, and what would help
	Fresh   *Fresh            // nil: all is recorded
	Root    *TaskLink         // the task that is the cause
	From    *TaskLink         // where the result is from, of one that is CACHED

	Tries []TaskTry
	Notes []string // what is not known of where they ran, and why
	Log   *Log     // nil: there can be none
	Spec  *engine.TaskSpec
	Cache *TaskCache // nil: there is nothing to say
	Files *TaskFiles
	// Repeat is a line for a shell that runs the task's command once more, and RepeatNote what
	// has to be known of it, or why there is no such line.
	Repeat, RepeatNote string
	Now                time.Time
}

// A TaskLink is another task: URL may be "".
type TaskLink struct{ Name, URL, Text string }

// A TaskTry is one try of a task.
type TaskTry struct {
	N       int // from 1; 0: not known
	Status  engine.Status
	Outcome string // in a word or two; "": Status says it
	Text    string // why it ended so
	Started time.Time
	Ended   time.Time // zero: it goes on, or that is not known
	Memory  int64     // bytes at its peak; 0: not known
	AtMost  bool      // Memory is no peak, but what it did not exceed
	CPU     time.Duration
	Exit    *int
	Place   []TaskLink // where it was: Text says what Name is
	Log     string     // URL; "": there is none
}

func (m *TaskDetail) step() string { return string(m.Task.Step) }

func (m *TaskDetail) url() string { return TaskURL(m.Run, m.step(), m.Task.Index) }

// TaskView is the page of a task.
func TaskView(m *TaskDetail) *web.View {
	crumbs := append(runCrumbs(m.Workflow, m.Run), web.Crumb{Text: m.step(), URL: StepURL(m.Run, m.step())})
	if m.FanOut {
		crumbs = append(crumbs, web.Crumb{Text: keyText(m.Task.Key), URL: m.url()})
	} else {
		crumbs = append(crumbs, web.Crumb{Text: "task", URL: m.url()})
	}
	return &web.View{
		Title: m.Task.Name + " of " + m.Workflow, Live: true, Scripts: []string{"log.js"}, Crumbs: crumbs,
		Regions: []web.Region{
			{ID: "head", Body: m.head()},
			{ID: "why", Body: m.why()},
			{ID: "tries", Body: m.tries()},
			{ID: "log", Body: m.Log.node(m)},
			{ID: "command", Body: m.command()},
			{ID: "files", Body: m.Files.node()},
			{ID: "cache", Body: m.Cache.node()},
		},
	}
}

// keyText is a key that can be seen.
func keyText(key string) string {
	if key == "" {
		return `""`
	}
	return key
}

func (m *TaskDetail) head() g.Node {
	t := &m.Task
	below := g.Group{g.Text("task of step "), h.A(h.Href(StepURL(m.Run, m.step())), g.Text(m.step())), g.Text(" of run "), h.A(h.Href(RunURL(m.Run)), h.Code(g.Text(m.Run)))}
	if m.FanOut {
		below = append(below, g.Text(", "+view.Count(t.Index+1)+" of "+view.Count(m.Size)), m.neighbours())
	}
	below = append(below, m.Fresh.behind())
	var facts []Fact
	if !t.Started.IsZero() && t.Status != engine.Pending {
		facts = append(facts, Fact{"Started", Moment(t.Started)}, Fact{"Duration", Took(t.Started, ended(t), m.Now)})
	}
	if t.Attempts > 0 {
		facts = append(facts, TextFact("Attempts", attempts(t)))
	}
	if code := exitText(t); code != "-" {
		facts = append(facts, TextFact("Exit code", code))
	}
	if t.PeakMemory > 0 {
		facts = append(facts, TextFact("Peak memory", view.Peak(t.PeakMemory, t.PeakAtMost)+m.asked()))
	}
	if t.CPUMillis > 0 {
		facts = append(facts, TextFact("CPU time", view.Duration(time.Duration(t.CPUMillis)*time.Millisecond)))
	}
	return g.Group{
		Head(g.Group{g.Text(t.Name), Badge(t.Status)}, below, m.Acts...),
		g.If(len(facts) > 0, h.Div(h.Class("task-facts"), Facts(facts...))),
	}
}

func (m *TaskDetail) asked() string {
	if m.Spec == nil {
		return ""
	}
	return " of " + mebibytes(m.Spec.ResourcesFor(max(m.Task.Attempts, 1)).MemoryMiB)
}

func (m *TaskDetail) neighbours() g.Node {
	link := func(text, rel string, i int) g.Node {
		return g.If(i >= 0 && i < m.Size, g.Group{g.Text(" · "), h.A(h.Rel(rel), h.Href(TaskURL(m.Run, m.step(), i)), g.Text(text))})
	}
	return g.Group{link("previous", "prev", m.Task.Index-1), link("next", "next", m.Task.Index+1)}
}

// why says why the task is as it is, and what would help.
func (m *TaskDetail) why() g.Node {
	out := g.Group{}
	if f := m.Fresh.trouble(); f != nil {
		out = append(out, f)
	}
	if v := m.Verdict; v != nil {
		out = append(out, Notice("bad", h.P(h.Class("cause"), g.Text("It failed: "+v.Text)),
			g.If(v.Why != "", h.P(g.Text(v.Why))),
			g.Map(v.Help, func(s string) g.Node { return h.P(g.Text(s)) }),
			g.If(v.Write != "", h.Pre(h.Class("code"), g.Text(v.Write)))))
	}
	if m.Why != "" {
		out = append(out, Notice("warn", g.Text(m.Why)))
	}
	if m.Waits != "" {
		out = append(out, Notice("info", h.P(h.B(g.Text("Waiting: ")), g.Text(m.Waits)), g.Map(m.Beside, func(s string) g.Node { return h.P(h.Class("dim"), g.Text(s)) })))
	}
	if m.Root != nil {
		out = append(out, Notice("warn", h.B(g.Text("Root cause: ")), m.Root.node(), g.Text(" "+m.Root.Text)))
	}
	if m.From != nil {
		out = append(out, Notice("info", h.B(g.Text("Not run, its result was known: ")), g.Text("it is that of "), m.From.node(), g.Text(" "+m.From.Text)))
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (l *TaskLink) node() g.Node {
	if l.URL == "" {
		return g.Text(l.Name)
	}
	return h.A(h.Href(l.URL), g.Text(l.Name))
}

func (m *TaskDetail) tries() g.Node {
	if len(m.Tries) == 0 && len(m.Notes) == 0 {
		return nil
	}
	cols := []Col{{Text: "Attempt", Right: true}, {Text: "Ended"}, {Text: "Started", Class: "nowrap"}, {Text: "Duration", Right: true},
		{Text: "Peak memory", Right: true}, {Text: "CPU time", Right: true}, {Text: "Exit code", Right: true}, {Text: "Why, and where", Class: "wide"}}
	var rows g.Group
	for i := range m.Tries {
		rows = append(rows, m.try(cols, &m.Tries[i]))
	}
	return Section("tries-title", "Attempts", nil, Table("Table of attempts", cols, rows),
		g.If(len(m.Notes) > 0, h.Ul(h.Class("notes"), g.Map(m.Notes, func(s string) g.Node { return h.Li(h.Class("dim"), g.Text(s)) }))))
}

func (m *TaskDetail) try(cols []Col, t *TaskTry) g.Node {
	n, exit, cpu := "?", "-", "-"
	if t.N > 0 {
		n = strconv.Itoa(t.N)
	}
	if t.Exit != nil {
		exit = strconv.Itoa(*t.Exit)
	} else if t.Status == engine.Succeeded {
		exit = "0"
	}
	if t.CPU > 0 {
		cpu = view.Duration(t.CPU)
	}
	badge := Badge(t.Status)
	if t.Outcome != "" {
		badge = BadgeAs(t.Status, t.Outcome)
	}
	took := g.Node(g.Text("-"))
	if !t.Started.IsZero() && (!t.Ended.IsZero() || t.Status == engine.Running) {
		took = Took(t.Started, t.Ended, m.Now)
	}
	where := g.Group{}
	for i := range t.Place {
		p := &t.Place[i]
		where = append(where, h.Div(h.Class("place"), h.Span(h.Class("dim"), g.Text(p.Text+" ")), p.node()))
	}
	if t.Log != "" {
		where = append(where, h.Div(h.A(h.Href(t.Log), g.Text("Log of attempt "+n))))
	}
	return Row(cols, g.Text(n), badge, Moment(t.Started), took, Memory(t.Memory, t.AtMost), g.Text(cpu), g.Text(exit),
		g.Group{g.If(t.Text != "", h.Div(h.Class("anywhere"), g.Text(t.Text))), where})
}
