package page

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
)

// Data is what went into a run, and what came out.
type Data struct {
	Outputs   []RunOutput
	NoOutputs string // why there are none yet
	Variables []RunVariable
}

// A RunOutput is the value of an output of a workflow.
type RunOutput struct {
	Name, Description string
	Value             string   // JSON
	Paths             []string // files it names
	Published         []string
	Sensitive         bool
}

// A RunVariable is the value of a variable.
type RunVariable struct {
	Name, Type, Description string
	Value                   string // JSON
	Default                 bool   // it is the variable's own
	Sensitive               bool
}

const shownPaths = 50

// Regions are outputs and variables.
func (d *Data) Regions() []web.Region {
	return []web.Region{{ID: "outputs", Body: d.outputs()}, {ID: "variables", Body: d.variables()}}
}

func (d *Data) outputs() g.Node {
	if len(d.Outputs) == 0 {
		return Section("outputs-title", "Outputs", nil, Empty(d.NoOutputs))
	}
	cols := []Col{{Text: "Output"}, {Text: "Value", Class: "wide"}}
	rows := g.Group{}
	for i := range d.Outputs {
		o := &d.Outputs[i]
		rows = append(rows, Row(cols, named(o.Name, "", o.Description), o.value()))
	}
	return Section("outputs-title", "Outputs", nil, Table("Values of the outputs", cols, rows))
}

func (o *RunOutput) value() g.Node {
	if o.Sensitive {
		return h.Span(h.Class("dim"), g.Text("sensitive: not kept"))
	}
	out := g.Group{}
	for _, p := range o.Published {
		out = append(out, h.P(h.Span(h.Class("dim"), g.Text("published as ")), Copy(p)))
	}
	if len(o.Paths) == 0 || o.Value != "" {
		out = append(out, h.Pre(h.Class("value"), g.Text(o.Value)))
	}
	for _, p := range o.Paths[:min(len(o.Paths), shownPaths)] {
		out = append(out, h.P(Copy(p)))
	}
	if more := len(o.Paths) - shownPaths; more > 0 {
		out = append(out, h.P(h.Class("dim"), g.Text("and "+view.Plural(more, "more file"))))
	}
	return out
}

func (d *Data) variables() g.Node {
	if len(d.Variables) == 0 {
		return Section("variables-title", "Variables", nil, Empty("The workflow has no variables"))
	}
	cols := []Col{{Text: "Variable"}, {Text: "Value", Class: "wide"}}
	rows := g.Group{}
	for _, v := range d.Variables {
		value := h.Pre(h.Class("value"), g.Text(v.Value))
		if v.Sensitive {
			value = h.Span(h.Class("dim"), g.Text("sensitive: not kept"))
		}
		rows = append(rows, Row(cols, named(v.Name, v.Type, v.Description),
			g.Group{value, g.If(v.Default, h.Span(h.Class("dim"), g.Text("default")))}))
	}
	return Section("variables-title", "Variables", nil, Table("Values of the variables", cols, rows))
}

func named(name, kind, description string) g.Node {
	return h.Div(h.Class("named"), h.Code(g.Text(name)), g.If(kind != "", h.Span(h.Class("dim kind"), g.Text(kind))), g.If(description != "", h.P(h.Class("dim note"), g.Text(description))))
}
