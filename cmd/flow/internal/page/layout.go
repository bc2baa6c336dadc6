package page

import (
	"net/url"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
)

// Head is the head of a page: its h1, a line below it, and what can be done.
func Head(title, below g.Node, acts ...Act) g.Node {
	return h.Div(h.Class("head"),
		h.Div(h.Class("what"), h.H1(title), g.If(below != nil, h.Div(h.Class("below"), below))),
		g.If(len(acts) > 0, h.Div(h.Class("acts"), g.Map(acts, ActLink))),
	)
}

// An Act is something that can be done. URL is of the page that asks first; with scripts it
// asks in a dialog.
type Act struct {
	Text, URL string
	Primary   bool // the next thing to do
	Danger    bool // it stops or undoes something
	Page      bool // it is a page of its own, and no dialog
}

// ActLink is the button of an act.
func ActLink(a Act) g.Node {
	class := "button"
	if a.Primary {
		class += " primary"
	}
	if a.Danger {
		class += " danger"
	}
	return h.A(h.Class(class), h.Href(a.URL), g.If(!a.Page, h.Data("ask", "")), g.Text(a.Text))
}

// Section is a part of a page with a heading that can be linked to. aside, which may be nil,
// stands to the right of the heading.
func Section(id, title string, aside g.Node, body ...g.Node) g.Node {
	return h.Section(h.Aria("labelledby", id),
		h.Div(h.Class("bar-head"), h.H2(h.ID(id), g.Text(title)), g.If(aside != nil, h.Div(h.Class("aside"), aside))),
		g.Group(body))
}

// A Fact is a line of a list of facts.
type Fact struct {
	Name  string
	Value g.Node
}

// TextFact is a fact that is a text.
func TextFact(name, value string) Fact { return Fact{name, g.Text(value)} }

// CodeFact is a fact that is an id, or a path.
func CodeFact(name, value string) Fact { return Fact{name, h.Code(g.Text(value))} }

// Facts is a list of names and what they are.
func Facts(facts ...Fact) g.Node {
	return h.Dl(h.Class("facts"), g.Map(facts, func(f Fact) g.Node {
		return h.Div(h.Dt(g.Text(f.Name)), h.Dd(f.Value))
	}))
}

// A Col is a column of a table.
type Col struct {
	Text  string
	Right bool   // numbers
	Class string // further classes, such as "wide" for what takes the room that is left
	Sort  string // URL that sorts by it; "": it cannot be
	Order string // "ascending", "descending": it is what the table is sorted by
}

// Table is a table in a box that scrolls by itself; label says what is in it. Rows are Row.
func Table(label string, cols []Col, rows ...g.Node) g.Node {
	return h.Div(h.Class("scroll"), h.Role("region"), h.Aria("label", label), h.TabIndex("0"),
		h.Table(
			h.THead(h.Tr(g.Map(cols, head))),
			h.TBody(g.Group(rows)),
		))
}

// stacked is a table whose rows are cards on narrow windows. There a cell of class "full" has
// lines of its own, and one with none is left out.
func stacked(label string, cols []Col, rows ...g.Node) g.Node {
	return h.Div(h.Class("stack"), Table(label, cols, rows...))
}

// none stands for what there is not.
func none() g.Node { return h.Span(h.Class("none"), g.Text("-")) }

func head(c Col) g.Node {
	var text = g.Text(c.Text)
	if c.Sort != "" {
		text = h.A(h.Href(c.Sort), text)
	}
	return h.Th(h.Scope("col"), cellClass(c), g.If(c.Order != "", h.Aria("sort", c.Order)), text)
}

// Row is a row of a table, with a cell for each column.
func Row(cols []Col, cells ...g.Node) g.Node {
	var tds g.Group
	for i, c := range cells {
		tds = append(tds, h.Td(cellClass(cols[i]), c))
	}
	return h.Tr(tds)
}

func cellClass(c Col) g.Node {
	class := c.Class
	if c.Right {
		class = "num " + class
	}
	return g.If(class != "", h.Class(class))
}

// A Tab is one of several views of a thing, each with a URL.
type Tab struct {
	Text, URL string
	Count     int // shown if not 0
	Current   bool
}

// Tabs links the views of a thing; label says of what.
func Tabs(label string, tabs ...Tab) g.Node {
	return h.Nav(h.Class("tabs"), h.Aria("label", label), g.Map(tabs, func(t Tab) g.Node {
		return h.A(h.Href(t.URL), g.If(t.Current, h.Aria("current", "page")), g.Text(t.Text),
			g.If(t.Count != 0, h.Span(h.Class("count"), g.Text(view.Count(t.Count)))))
	}))
}

// Empty says that there is nothing here, and what to do about it.
func Empty(title string, hint ...g.Node) g.Node {
	return h.Div(h.Class("empty"), h.P(h.Class("title"), g.Text(title)), g.If(len(hint) > 0, h.P(g.Group(hint))))
}

// Notice is something to know before all else: kind is "info", "warn" or "bad".
func Notice(kind string, body ...g.Node) g.Node {
	return h.Div(h.Class("notice "+kind), g.Group(body))
}

// Paging links the pages of a list: page is counted from 1, of entries in all. The links are
// the request's own URL with another page in the query.
func Paging(path string, query url.Values, page, size, entries int) g.Node {
	pages := (entries + size - 1) / size
	if pages <= 1 {
		return nil
	}
	link := func(text, rel string, to int, ok bool) g.Node {
		if !ok {
			return h.Span(h.Class("off"), g.Text(text))
		}
		return h.A(h.Href(WithQuery(path, query, "page", pageText(to))), h.Rel(rel), g.Text(text))
	}
	first, last := (page-1)*size+1, min(page*size, entries)
	return h.Nav(h.Class("paging"), h.Aria("label", "Pages"),
		link("Previous", "prev", page-1, page > 1),
		h.Span(g.Textf("%s to %s of %s", view.Count(first), view.Count(last), view.Count(entries))),
		link("Next", "next", page+1, page < pages),
	)
}

func pageText(page int) string {
	if page <= 1 {
		return ""
	}
	return strconv.Itoa(page)
}

// WithQuery is a path with a query in which the value of name is another one; "": none.
func WithQuery(path string, query url.Values, name, value string) string {
	q := url.Values{}
	for k, v := range query {
		q[k] = v
	}
	q.Del(name)
	if value != "" {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Copy is text to copy, such as an id; the button is there with scripts only.
func Copy(text string) g.Node {
	return h.Span(h.Class("copy"), h.Code(g.Text(text)), copyButton(text))
}

// Command is a line for a terminal, to copy.
func Command(line string) g.Node {
	return h.Div(h.Class("command"), h.Code(g.Text(line)), copyButton(line))
}

func copyButton(text string) g.Node {
	return h.Button(h.Type("button"), h.Class("copier"), h.Data("copy", text), h.Aria("label", "Copy "+text), g.Text("Copy"))
}
