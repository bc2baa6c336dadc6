package page

import (
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/web"
)

// A Launch is the form that starts a run of a workflow.
type Launch struct {
	Workflow    string
	Description string
	From        string // path of the workflow's files
	Where       string // "this machine", "AWS Batch, site lab"
	Like        string // run whose values the form begins with; "": it begins with what the workflow says
	Newest      string // the newest run
	Token       string
	Inputs      []Input
	Bad         string // what is wrong, but for what the inputs say; "": nothing
	Blocked     string // why it cannot be launched from here at all; "": it can
}

// An Input is a field of a form, of any kind.
type Input struct {
	Name    string // of the form's value
	Label   string
	Type    string // shown beside the label: "list(string)"; "": nothing
	Hint    []string
	Value   string
	Kind    string // "text", "number", "bool", "expr", "secret"
	Choices []string
	Default string // what it is if nothing is typed; "": nothing
	Need    bool   // it needs a value
	Bad     string // what is wrong with it; "": nothing
}

// VarPrefix begins the names of inputs for variables.
const VarPrefix = "var."

// LaunchURL is the path of the form that starts a run of a workflow.
func LaunchURL(workflow string) string { return WorkflowURL(workflow) + "/launch" }

// LaunchView is the page with the form that starts a run.
func LaunchView(m *Launch) *web.View {
	return &web.View{
		Title:   "Launch " + m.Workflow,
		Crumbs:  append(workflowCrumbs(m.Workflow), web.Crumb{Text: "Launch", URL: LaunchURL(m.Workflow)}),
		Regions: []web.Region{{ID: "head", Body: Head(g.Text("Launch "+m.Workflow), g.If(m.Description != "", g.Text(m.Description)))}, {ID: "form", Body: m.form()}},
	}
}

func workflowCrumbs(workflow string) []web.Crumb {
	return []web.Crumb{{Text: "Runs", URL: "/"}, {Text: workflow, URL: WorkflowURL(workflow)}}
}

func (m *Launch) form() g.Node {
	if m.Blocked != "" {
		return Notice("warn", h.Pre(h.Class("message"), g.Text(m.Blocked)))
	}
	bad := 0
	for i := range m.Inputs {
		if m.Inputs[i].Bad != "" {
			bad++
		}
	}
	var notice g.Node
	switch {
	case m.Bad != "":
		notice = Notice("bad", h.Role("alert"), h.Pre(h.Class("message"), g.Text(m.Bad)))
	case bad > 0:
		notice = Notice("bad", h.Role("alert"), g.Text("Nothing was started: some values cannot be taken as they are. What is wrong stands beside them."))
	}
	return h.Form(h.Class("launch"), h.Method("post"), h.Action(LaunchURL(m.Workflow)), g.Attr("novalidate"),
		notice, m.begins(),
		Facts(Fact{"Workflow files", h.Code(h.Class("anywhere"), g.Text(m.From))}, Fact{"Runs on", g.Text(m.Where)}),
		g.If(len(m.Inputs) == 0, h.P(h.Class("dim"), g.Text("This workflow has no variables."))),
		h.Div(h.Class("fields"), g.Map(m.Inputs, field)),
		hidden(web.TokenField, m.Token),
		g.If(m.Like != "", hidden("from", m.Like)),
		h.Div(h.Class("acts"),
			h.Button(h.Type("submit"), h.Class("primary"), g.Text("Launch")),
			h.A(h.Class("button"), h.Href(WorkflowURL(m.Workflow)), g.Text("Back")),
		))
}

// begins says what the form begins with, and how to begin with something else.
func (m *Launch) begins() g.Node {
	switch {
	case len(m.Inputs) == 0:
		return nil
	case m.Like != "":
		return h.P(h.Class("dim"), g.Text("With the values of run "), h.A(h.Href(RunURL(m.Like)), g.Text(m.Like)), g.Text(". "),
			h.A(h.Href(LaunchURL(m.Workflow)), g.Text("Begin with the defaults")))
	}
	return h.P(h.Class("dim"), g.Text("With the defaults. "),
		h.A(h.Href(WithQuery(LaunchURL(m.Workflow), nil, "from", m.Newest)), g.Text("Begin with the values of the newest run")))
}

// field is an input with its label, what to know about it, and what is wrong with it.
func field(in Input) g.Node {
	id := "f-" + in.Name
	var about []string
	var notes g.Group
	note := func(suffix, class, text string) {
		about = append(about, id+suffix)
		notes = append(notes, h.P(h.ID(id+suffix), h.Class(class), g.Text(text)))
	}
	if in.Bad != "" {
		note("-bad", "bad", in.Bad)
	}
	if hint := sentences(in.hints()); hint != "" {
		note("-hint", "hint", hint)
	}
	attrs := g.Group{h.ID(id), h.Name(in.Name)}
	if len(about) > 0 {
		attrs = append(attrs, h.Aria("describedby", strings.Join(about, " ")))
	}
	if in.Bad != "" {
		attrs = append(attrs, h.Aria("invalid", "true"))
	}
	if in.Need {
		attrs = append(attrs, h.Aria("required", "true"))
	}
	return h.Div(h.Class("field"),
		h.Label(h.For(id), h.Span(h.Class("name"), g.Text(in.Label)), g.If(in.Type != "", h.Code(h.Class("dim"), g.Text(in.Type))),
			g.If(in.Need, h.Span(h.Class("dim"), g.Text("needed")))),
		control(in, attrs), notes)
}

// hints are what to know about an input, but for what stands above it as its mistake.
func (in *Input) hints() []string {
	return slices.DeleteFunc(slices.Clone(in.Hint), func(s string) bool { return in.Bad != "" && strings.EqualFold(sentences([]string{s}), in.Bad) })
}

// sentences joins what may lack its full stop.
func sentences(list []string) string {
	var b strings.Builder
	for _, s := range list {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
		if !strings.ContainsAny(s[len(s)-1:], ".!?:;") {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// control is the input itself. attrs are attributes.
func control(in Input, attrs g.Group) g.Node {
	with := func(more ...g.Node) []g.Node { return append(append([]g.Node{}, attrs...), more...) }
	switch {
	case len(in.Choices) > 0:
		return h.Select(with(options(in, in.Choices)...)...)
	case in.Kind == "bool":
		return h.Select(with(options(in, []string{"true", "false"})...)...)
	case in.Kind == "expr":
		return textArea(in.Value, attrs)
	case in.Kind == "secret":
		return h.Input(with(h.Type("password"), h.AutoComplete("off"), h.Placeholder(secretHint(in)))...)
	case in.Kind == "number":
		return h.Input(with(h.Type("text"), g.Attr("inputmode", "decimal"), h.AutoComplete("off"), h.Value(in.Value))...)
	}
	if strings.Contains(in.Value, "\n") { // which an input of one line would drop
		return textArea(in.Value, attrs)
	}
	return h.Input(with(h.Type("text"), g.Attr("spellcheck", "false"), h.AutoComplete("off"), h.Value(in.Value))...)
}

// textArea is an input of several lines. Browsers drop a newline at its beginning.
func textArea(value string, attrs g.Group) g.Node {
	rows := min(max(strings.Count(value, "\n")+1, 2), 12)
	return h.Textarea(attrs, h.Rows(strconv.Itoa(rows)), g.Attr("spellcheck", "false"), g.Text("\n"+value))
}

func secretHint(in Input) string {
	if in.Need {
		return ""
	}
	return "as the workflow says"
}

// options are those of a choice. Where nothing need be said, that is one of them.
func options(in Input, values []string) (nodes []g.Node) {
	known := false
	add := func(value, text string) {
		known = known || value == in.Value
		nodes = append(nodes, h.Option(h.Value(value), g.If(value == in.Value, h.Selected()), g.Text(text)))
	}
	if in.Value == "" || !in.Need && in.Default == "" {
		add("", "-")
	}
	for _, v := range values {
		add(v, v)
	}
	if !known {
		add(in.Value, in.Value)
	}
	return nodes
}
