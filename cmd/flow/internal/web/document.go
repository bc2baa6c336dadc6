package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// A part is a region as it is sent.
type part struct{ id, html, sum string }

// partsOf renders the regions of a view.
func partsOf(v *View) ([]part, error) {
	parts := make([]part, 0, len(v.Regions))
	for _, r := range v.Regions {
		var b bytes.Buffer
		if r.Body != nil {
			if err := r.Body.Render(&b); err != nil {
				return nil, fmt.Errorf("region %s: %w", r.ID, err)
			}
		}
		text := Visible(b.Bytes())
		parts = append(parts, part{r.ID, string(text), sumOf(text)})
	}
	return parts, nil
}

// A Document is a view with what a browser needs around it. Who makes the page of it puts
// Head, Body and Main where their names say.
type Document struct {
	*View
	assets *assets
	parts  []part
	live   string // URL of the page's events; "": it does not change
}

// A Shell makes the whole page of a document, from <!doctype html> on.
type Shell func(d *Document) g.Node

// FullTitle is what <title> has.
func (d *Document) FullTitle() string {
	if d.Title == "" {
		return "flow"
	}
	return d.Title + " · flow" // as live.js has it
}

// Asset returns the URL of an asset; "" if there is none of that name.
func (d *Document) Asset(name string) string { return d.assets.url(name) }

// Head returns what must be in <head>: the style sheets, and the scripts, which are modules.
func (d *Document) Head() g.Node {
	var nodes g.Group
	for _, name := range d.assets.names {
		if strings.HasSuffix(name, ".css") {
			nodes = append(nodes, h.Link(h.Rel("stylesheet"), h.Href(d.assets.url(name))))
		}
	}
	for _, name := range append([]string{liveScript}, d.Scripts...) {
		if u := d.assets.url(name); u != "" {
			nodes = append(nodes, h.Script(h.Type("module"), h.Src(u)))
		}
	}
	return nodes
}

// Body returns the attributes of <body> by which an open page finds what changes.
func (d *Document) Body() g.Node {
	if d.live == "" {
		return g.Group{}
	}
	return h.Data("live", d.live)
}

// Main returns the regions, each a <section class="region">, and the data.
func (d *Document) Main() g.Node {
	var nodes g.Group
	for _, p := range d.parts {
		nodes = append(nodes, h.Section(h.Class("region"), h.ID(p.id), g.Raw(p.html)))
	}
	for _, v := range d.Data {
		nodes = append(nodes, h.Script(h.Type("application/json"), h.ID(v.ID), datum(v.Value)))
	}
	return nodes
}

// datum is the JSON of a value. encoding/json writes < as \u003c: nothing in it ends the
// element that it is in.
func datum(v Value) g.Node {
	return g.NodeFunc(func(w io.Writer) error {
		text, err := json.Marshal(v)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	})
}

// plainShell is the page of those who have no other.
func plainShell(d *Document) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(h.Meta(h.Charset("utf-8")), h.TitleEl(g.Text(d.FullTitle())), d.Head()),
		h.Body(d.Body(), h.Main(h.H1(g.Text(d.Title)), d.Main())),
	))
}

// kept are the parts of a page in which text stays as it is: what is sent back, and what scripts read.
var kept = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)<(?:textarea|script|style)[ >].*?</(?:textarea|script|style)>| (?:value|data-[a-z-]+)="[^"]*"`)
})

// Visible writes out, in a page, control characters and those that turn the direction of text: what
// is read must be what is there.
func Visible(page []byte) []byte {
	if !hasHidden(page) {
		return page
	}
	var out []byte
	at := 0
	for _, k := range kept().FindAllIndex(page, -1) {
		out = append(appendVisible(out, page[at:k[0]]), page[k[0]:k[1]]...)
		at = k[1]
	}
	return appendVisible(out, page[at:])
}

// hasHidden reports whether appendVisible would write something else than text.
func hasHidden(text []byte) bool {
	for i, c := range text {
		switch {
		case c < ' ' && c != '\n' && c != '\t' && c != '\r', c == 0x7f:
			return true
		case c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0: // U+0080 to U+009F
			return true
		case c == 0xe2 && i+1 < len(text) && (text[i+1] == 0x80 || text[i+1] == 0x81): // U+2000 to U+207F
			if r, _ := utf8.DecodeRune(text[i:]); hidden(r) {
				return true
			}
		}
	}
	return false
}

func hidden(r rune) bool {
	return r != '\n' && r != '\t' && r != '\r' && unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func appendVisible(out, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case !hidden(r):
			out = append(out, text[:n]...)
		case r < 0x80:
			out = fmt.Appendf(out, `\x%02x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}
