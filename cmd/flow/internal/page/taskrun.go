package page

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// TaskFiles are the files of a task.
type TaskFiles struct {
	Inputs  []TaskInput
	Outputs []TaskOutput
	Values  []TaskValue
	Note    string // why there is nothing of what it left, or that this is no result
	Dir     string // where what it left is
}

// A TaskInput is an input: several paths are those of a list.
type TaskInput struct {
	Name  string
	Paths []string
	IDs   []string // the identity of each; "": not known
}

// A TaskOutput is a file that the task left.
type TaskOutput struct {
	Path   string
	Size   int64
	SHA256 string
	Gone   bool // it was temporary, and has been removed
}

// A TaskValue is an output that is no file.
type TaskValue struct {
	Name  string
	Value json.RawMessage
}

// A TaskCache says why the result of a task was not known.
type TaskCache struct {
	Why     string
	Since   *TaskLink // the run that is compared with
	Changes []TaskChange
}

// A TaskChange is a part of what a result depends on that has changed.
type TaskChange struct {
	Text string
	Diff string // a unified diff, of what has several lines
}

// command shows what the task runs, with which environment, and how to run it here.
func (m *TaskDetail) command() g.Node {
	s := m.Spec
	if s == nil {
		return nil
	}
	what, text := "Script, run by "+strings.Join(s.Shell, " "), s.Script
	if len(s.Command) > 0 {
		what, text = "Command", commandText(s.Command)
	}
	facts := specFacts(s, max(m.Task.Attempts, 1))
	return Section("command-title", "What it runs", nil,
		h.Div(h.Class("block"), h.H3(g.Text(what)), Box("Text of what it runs", h.Pre(h.Class("script"), g.Text(text)))),
		g.If(m.Repeat != "" || m.RepeatNote != "", h.Div(h.Class("block"), h.H3(g.Text("Run it once more, here")),
			g.If(m.Repeat != "", Command(m.Repeat)), g.If(m.RepeatNote != "", h.P(h.Class("dim"), g.Text(m.RepeatNote))))),
		h.Div(h.Class("block"), Facts(facts...)),
		m.environment())
}

// Box is something that may be wider than the page.
func Box(label string, body g.Node) g.Node {
	return h.Div(h.Class("scroll"), h.Role("region"), h.Aria("label", label), h.TabIndex("0"), body)
}

func commandText(words []string) string {
	text, err := json.MarshalIndent(words, "", "  ")
	if err != nil {
		return strings.Join(words, " ")
	}
	return string(text)
}

func (m *TaskDetail) environment() g.Node {
	s := m.Spec
	if len(s.Env)+len(s.Secrets) == 0 {
		return nil
	}
	cols := []Col{{Text: "Variable"}, {Text: "Value", Class: "wide"}}
	var rows g.Group
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		rows = append(rows, Row(cols, h.Code(g.Text(name)), h.Code(h.Class("anywhere"), g.Text(s.Env[name]))))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		rows = append(rows, Row(cols, h.Code(g.Text(name)), h.Span(h.Class("dim"), g.Text("a secret, read from "+s.Secrets[name]+" when it starts"))))
	}
	return h.Div(h.Class("block"), h.H3(g.Text("Environment")), Table("Table of variables", cols, rows))
}

// mostInputs is how many files of a list are shown at once.
const mostInputs = 20

func (f *TaskFiles) node() g.Node {
	if f == nil {
		return nil
	}
	return g.Group{f.inputs(), f.outputs()}
}

func (f *TaskFiles) inputs() g.Node {
	if len(f.Inputs) == 0 {
		return nil
	}
	cols := []Col{{Text: "Input"}, {Text: "From", Class: "wide"}, {Text: "Identity"}}
	var rows g.Group
	for _, in := range f.Inputs {
		n := min(len(in.Paths), mostInputs)
		paths, ids := pathList(in.Paths[:n]), idList(in.IDs, n)
		if more := len(in.Paths) - n; more > 0 {
			paths = append(paths, h.Details(h.Summary(g.Text("… and "+view.Count(more)+" more")), pathList(in.Paths[n:])))
		}
		rows = append(rows, Row(cols, h.Code(g.Text(in.Name)), paths, ids))
	}
	return Section("inputs-title", "Inputs", nil, Table("Table of inputs", cols, rows))
}

func pathList(paths []string) (out g.Group) {
	for _, p := range paths {
		out = append(out, h.Div(h.Code(h.Class("anywhere"), g.Text(p))))
	}
	return out
}

// idDigits is how much of an identity is shown; all of it is there on hovering.
const idDigits = 19

func idList(ids []string, n int) (out g.Group) {
	for _, id := range ids[:min(n, len(ids))] {
		text := id
		if len(text) > idDigits {
			text = text[:idDigits] + "…"
		}
		out = append(out, h.Div(h.Code(h.Class("nowrap"), h.Title(id), g.Text(strings.ToValidUTF8(text, "")))))
	}
	return out
}

func (f *TaskFiles) outputs() g.Node {
	if len(f.Outputs) == 0 && len(f.Values) == 0 && f.Note == "" {
		return nil
	}
	cols := []Col{{Text: "File", Class: "wide"}, {Text: "Size", Right: true}, {Text: "SHA-256"}}
	var rows g.Group
	for _, o := range f.Outputs {
		sum := g.Node(g.Text("-"))
		if o.SHA256 != "" {
			sum = h.Code(h.Class("nowrap"), h.Title(o.SHA256), g.Text(o.SHA256[:min(len(o.SHA256), 16)]))
		}
		if o.Gone {
			sum = g.Group{sum, h.Span(h.Class("dim"), g.Text(" removed: it was temporary"))}
		}
		rows = append(rows, Row(cols, h.Code(h.Class("anywhere"), g.Text(o.Path)), g.Text(view.Bytes(o.Size)), sum))
	}
	return Section("outputs-title", "What it left", nil,
		g.If(f.Note != "", h.P(h.Class("dim"), g.Text(f.Note))),
		g.If(f.Dir != "", h.P(h.Class("below-notice dim"), g.Text("In "), Copy(f.Dir))),
		g.If(len(rows) > 0, h.Div(h.Class("below-notice"), Table("Table of files", cols, rows))),
		g.If(len(f.Values) > 0, h.Div(h.Class("below-notice"), f.values())))
}

func (f *TaskFiles) values() g.Node {
	cols := []Col{{Text: "Output"}, {Text: "Value", Class: "wide"}}
	var rows g.Group
	for _, v := range f.Values {
		rows = append(rows, Row(cols, h.Code(g.Text(v.Name)), h.Code(h.Class("anywhere"), g.Text(string(v.Value)))))
	}
	return Table("Table of values", cols, rows)
}

func (c *TaskCache) node() g.Node {
	if c == nil {
		return nil
	}
	aside := g.Node(nil)
	if c.Since != nil {
		aside = g.Group{g.Text("compared with run "), c.Since.node()}
	}
	return Section("cache-title", "Why it ran", aside, h.P(g.Text(c.Why)),
		g.Map(c.Changes, func(x TaskChange) g.Node {
			return h.Div(h.Class("block"), h.P(h.Class("cause"), g.Text(x.Text)), g.If(x.Diff != "", DiffNode(x.Text, x.Diff)))
		}))
}

// InputsOf lists the inputs of a task.
func InputsOf(s *engine.TaskSpec) (out []TaskInput) {
	if s == nil {
		return nil
	}
	for _, in := range s.Inputs {
		out = append(out, TaskInput{Name: in.Name, Paths: in.Paths, IDs: in.IDs})
	}
	return out
}
