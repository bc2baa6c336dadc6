package page

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/web"
)

// Shell makes whole pages: the header with the way to the page, the page, and a foot, which
// says where flow looks. The first region of a page has its h1; see Head.
func Shell(foot string) web.Shell {
	return func(d *web.Document) g.Node {
		return h.Doctype(h.HTML(h.Lang("en"),
			h.Head(
				h.Meta(h.Charset("utf-8")),
				h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
				h.Meta(h.Name("color-scheme"), h.Content("light dark")),
				h.TitleEl(g.Text(d.FullTitle())),
				h.Link(h.Rel("icon"), h.Type("image/svg+xml"), h.Href(d.Asset("flow.svg"))),
				d.Head(),
				h.Script(h.Type("module"), h.Src(d.Asset("ui.js"))),
			),
			h.Body(d.Body(),
				h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to the content")),
				top(d),
				h.Main(h.ID("main"), h.TabIndex("-1"), d.Main()),
				g.If(foot != "", h.Footer(h.Class("foot"), g.Text(foot))),
			),
		))
	}
}

// top is the header of a page.
func top(d *web.Document) g.Node {
	var way g.Group
	for i, c := range d.Crumbs {
		way = append(way, h.Li(h.A(h.Href(c.URL), g.If(i == len(d.Crumbs)-1, h.Aria("current", "page")), g.Text(c.Text))))
	}
	return h.Header(h.Class("top"),
		h.A(h.Class("brand"), h.Href("/"), g.Text("flow")),
		h.Nav(h.Aria("label", "Breadcrumb"), h.Ol(h.Class("crumbs"), way)),
		g.If(d.Live, h.Span(h.Class("live"))),
	)
}
