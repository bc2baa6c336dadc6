package page

import (
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Changes is what differs between a run and the one of its workflow before it.
type Changes struct {
	Before       string // id of that run; "": there is none
	BeforeStatus engine.Status
	Variables    []VariableChange
	Files        []FileChange
	Steps        []StepChange
}

// A VariableChange is a variable whose value differs. "" is not there.
type VariableChange struct{ Name, Before, Now string }

// A FileChange is a file that differs, as a unified diff.
type FileChange struct{ Name, Diff string }

// A StepChange says what of a step was done again.
type StepChange struct {
	Step        string
	Cached, Ran int
	Why         string // tasks of it ran, of the first one
}

// Regions are the differences.
func (c *Changes) Regions(run *Run) []web.Region {
	if c.Before == "" {
		return []web.Region{{ID: "changes", Body: Empty("There is no earlier run of this workflow")}}
	}
	intro := h.P(h.Class("dim"), g.Text("Against run "), h.A(h.Href(RunURL(c.Before)), h.Code(g.Text(c.Before))), g.Text(", the one before, which is "), Badge(c.BeforeStatus))
	return []web.Region{{ID: "changes", Body: g.Group{intro, c.variables(), c.files(), c.steps(run)}}}
}

func (c *Changes) variables() g.Node {
	if len(c.Variables) == 0 {
		return Section("vars-title", "Variables", nil, h.P(h.Class("dim"), g.Text("All have the same values.")))
	}
	cols := []Col{{Text: "Variable"}, {Text: "Before"}, {Text: "Now", Class: "wide"}}
	return Section("vars-title", "Variables", nil, Table("Variables that differ", cols, g.Map(c.Variables, func(v VariableChange) g.Node {
		return Row(cols, h.Code(g.Text(v.Name)), valueOrNone(v.Before), valueOrNone(v.Now))
	})))
}

func valueOrNone(s string) g.Node {
	if s == "" {
		return h.Span(h.Class("dim nowrap"), g.Text("not there"))
	}
	return h.Pre(h.Class("value"), g.Text(s))
}

func (c *Changes) files() g.Node {
	if len(c.Files) == 0 {
		return Section("files-title", "Files", nil, h.P(h.Class("dim"), g.Text("All are the same.")))
	}
	return Section("files-title", "Files", nil, g.Map(c.Files, func(f FileChange) g.Node {
		return h.Div(h.Class("file"), h.H3(g.Text(f.Name)), DiffNode(f.Name, f.Diff))
	}))
}

// DiffNode shows a unified diff: what a line begins with says what it is, its colour as well.
func DiffNode(label, diff string) g.Node {
	lines := g.Group{}
	if at := strings.Index(diff, "\n@@"); at >= 0 {
		diff = diff[at+1:] // the names are in the heading
	}
	for _, line := range strings.Split(strings.TrimSuffix(diff, "\n"), "\n") {
		class := ""
		switch {
		case strings.HasPrefix(line, "@@"):
			class = "hunk"
		case strings.HasPrefix(line, "+"):
			class = "added"
		case strings.HasPrefix(line, "-"):
			class = "removed"
		}
		lines = append(lines, h.Span(g.If(class != "", h.Class(class)), g.Text(line+"\n")))
	}
	return h.Div(h.Class("scroll"), h.Role("region"), h.Aria("label", "Changes of "+label), h.TabIndex("0"), h.Pre(h.Class("diff"), lines))
}

func (c *Changes) steps(run *Run) g.Node {
	cols := []Col{{Text: "Step"}, {Text: "Cached", Right: true}, {Text: "Ran", Right: true}, {Text: "Why it ran", Class: "wide anywhere"}}
	return Section("cache-title", "Results", nil, Table("What ran again", cols, g.Map(c.Steps, func(s StepChange) g.Node {
		return Row(cols, h.A(h.Href(StepURL(run.ID, s.Step)), g.Text(s.Step)), g.Text(view.Count(s.Cached)), g.Text(view.Count(s.Ran)), g.Text(s.Why))
	})))
}
