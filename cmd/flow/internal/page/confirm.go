package page

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/web"
)

// A Confirm asks before something is done. It is a page, and with scripts a dialog made of
// the page's form.
type Confirm struct {
	Title   string      // "Cancel this run?"
	Text    []string    // what will happen, a paragraph each
	Facts   []Fact      // of what
	Crumbs  []web.Crumb // of the page
	Action  string      // URL that the form is posted to
	Token   string      // see web.Request
	Button  string      // "Cancel run"
	Back    string      // URL of where it was asked from
	Danger  bool        // it stops or undoes something
	Inputs  []Input     // more to say
	Hidden  []Choice    // sent along
	Blocked string      // why it cannot be done now; "": it can
	Bad     string      // why it could not be done; "": it was not tried
}

// ConfirmView is the page of a question.
func ConfirmView(c *Confirm) *web.View {
	return &web.View{Title: c.Title, Crumbs: c.Crumbs, Regions: []web.Region{{ID: "ask", Body: c.form()}}}
}

func (c *Confirm) form() g.Node {
	class := "primary"
	if c.Danger {
		class = "primary danger"
	}
	if c.Blocked != "" {
		return g.Group{Head(g.Text(c.Title), nil), Notice("warn", g.Text(c.Blocked)), h.P(h.A(h.Class("button"), h.Href(c.Back), g.Text("Back")))}
	}
	return h.Form(h.Class("ask"), h.Method("post"), h.Action(c.Action),
		h.H1(g.Text(c.Title)),
		g.If(c.Bad != "", Notice("bad", g.Text(c.Bad))),
		g.Map(c.Text, func(s string) g.Node { return h.P(g.Text(s)) }),
		g.If(len(c.Facts) > 0, Facts(c.Facts...)),
		g.Map(c.Inputs, field),
		hidden(web.TokenField, c.Token),
		g.Map(c.Hidden, func(x Choice) g.Node { return hidden(x.Value, x.Text) }),
		h.Div(h.Class("acts"),
			h.A(h.Class("button"), h.Href(c.Back), h.Data("close", ""), g.Text("Back")),
			h.Button(h.Type("submit"), h.Class(class), g.Text(c.Button)),
		))
}

func hidden(name, value string) g.Node {
	return h.Input(h.Type("hidden"), h.Name(name), h.Value(value))
}
