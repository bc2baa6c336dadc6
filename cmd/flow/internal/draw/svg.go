package draw

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The text is set in a fixed-width face of this size, so that its width is known without
// the fonts of whoever looks at it; no fixed-width face in use is wider than 0.62 em.
const (
	fontSize   = 13.0
	smallSize  = 11.0
	em         = 0.62
	padX       = 14.0
	nodeHeight = 44.0
	lowHeight  = 32.0 // of a node with one line
	stackStep  = 4.0  // between two sheets of a stack
	maxLabel   = 40
	minBar     = 72.0 // width of a bar of segments
	barHeight  = 4.0
	barRoom    = 8.0 // what a bar adds to the height of its node
	minSegment = 3.0
)

// SVG draws g as an image that needs nothing else: no script, no font, no other file.
func SVG(g *Graph) []byte {
	a := Arrange(g)
	w, h := num(a.layout.width), num(a.layout.height)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s" role="img">`+"\n", w, h)
	fmt.Fprintf(&b, "  <title>%s</title>\n", escape(g.Title))
	b.WriteString("  <style>" + style + "  </style>\n")
	fmt.Fprintf(&b, `  <rect class="bg" width="%s" height="%s"/>`+"\n", w, h)
	a.draw(&b, g)
	return b.Bytes()
}

// An Arrangement is where everything of a graph goes. Nothing in it changes.
type Arrangement struct {
	edges  []Edge // that are drawn
	layout *layout
	across bool // from left to right
}

// Arrange computes where everything goes: some 0.2 s for 200 steps with 400 edges, so that
// it is worth keeping for a graph that is drawn again and again.
func Arrange(g *Graph) *Arrangement {
	r := reduced(g)
	s := sizes(r)
	if r.Width <= 0 || length(r, s) > r.Width {
		return &Arrangement{edges: r.Edges, layout: place(r, s)}
	}
	for i := range s {
		s[i] = point{s[i].y, s[i].x}
	}
	return &Arrangement{edges: r.Edges, layout: place(r, s).turned(), across: true}
}

// length is how wide g is when it runs from left to right.
func length(g *Graph, sizes []point) float64 {
	var widths []float64
	for i, r := range ranks(g) {
		for len(widths) <= r {
			widths = append(widths, 0)
		}
		widths[r] = max(widths[r], sizes[i].x)
	}
	sum := 2*margin - layerGap
	for _, w := range widths {
		sum += w + layerGap
	}
	return sum
}

// turned exchanges across and down.
func (l *layout) turned() *layout {
	l.width, l.height = l.height, l.width
	for i, b := range l.boxes {
		l.boxes[i] = box{b.y, b.x, b.h, b.w}
	}
	for _, path := range l.paths {
		for i, p := range path {
			path[i] = point{p.y, p.x}
		}
	}
	return l
}

// Inline draws g as a part of an HTML page, whose style sheet has the rules for it. Its
// nodes are links, to be reached with the keyboard, in source order. g is what was
// arranged, but for texts, states and bars; its nodes have Room.
func (a *Arrangement) Inline(g *Graph) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="graph" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s" role="group" aria-label="%s">`+"\n",
		num(a.layout.width), num(a.layout.height), escape(g.Title))
	a.draw(&b, g)
	return b.Bytes()
}

func sizes(g *Graph) []point {
	sizes := make([]point, len(g.Nodes))
	for i := range g.Nodes {
		sizes[i] = size(&g.Nodes[i])
	}
	return sizes
}

func (a *Arrangement) draw(b *bytes.Buffer, g *Graph) {
	b.WriteString(`  <g aria-hidden="true">` + "\n")
	for k, e := range a.edges {
		class := string(e.Kind)
		if e.thin {
			class += " thin"
		}
		path := a.layout.paths[k]
		end := &path[len(path)-1]
		if a.across && g.Nodes[e.To].Stack { // to the front sheet, which is centred
			path = slices.Clone(path)
			end = &path[len(path)-1]
			end.x += 2 * stackStep
		}
		head := "l-3.5 -8 h7 z"
		if a.across {
			head = "l-8 -3.5 v7 z"
		}
		fmt.Fprintf(b, `  <path class="edge %s" d="%s"><title>%s</title></path><path class="head" d="M%s %s %s"/>`+"\n",
			class, curve(path, a.across), escape(g.Nodes[e.From].Label+" → "+g.Nodes[e.To].Label+" ("+string(e.Kind)+")"), num(end.x), num(end.y), head)
	}
	b.WriteString("  </g>\n")
	for i := range g.Nodes {
		node(b, &g.Nodes[i], a.layout.boxes[i])
	}
	b.WriteString("</svg>\n")
}

// size is how much room a node takes, the sheets of a stack included.
func size(n *Node) point {
	detail := float64(utf8.RuneCountInString(short(n.Detail)))
	if n.Room > 0 {
		detail = float64(n.Room)
	}
	w := max(float64(utf8.RuneCountInString(short(n.Label)))*fontSize*em, detail*smallSize*em)
	h := nodeHeight
	if detail == 0 {
		h = lowHeight
	}
	if n.Bar {
		w, h = max(w, minBar), h+barRoom
	}
	p := point{w + 2*padX, h}
	if n.Stack {
		p.x += 4 * stackStep
		p.y += 2 * stackStep
	}
	return p
}

func node(b *bytes.Buffer, n *Node, at box) {
	if n.URL != "" {
		fmt.Fprintf(b, `  <a href="%s">`, escape(n.URL))
	}
	fmt.Fprintf(b, `<g class="%s"><title>%s</title>`, strings.TrimSpace("node "+n.Status), escape(n.Tip))
	w, h := at.w, at.h
	if n.Stack { // the front sheet is centred, and stands on the lower side of its box
		w, h = w-4*stackStep, h-2*stackStep
		at.y += stackStep
	}
	sheet := func(dx, dy float64) {
		fmt.Fprintf(b, `<rect class="box" x="%s" y="%s" width="%s" height="%s" rx="6"/>`, num(at.x-w/2+dx), num(at.y-h/2+dy), num(w), num(h))
	}
	if n.Stack {
		sheet(2*stackStep, -2*stackStep)
		sheet(stackStep, -stackStep)
	}
	sheet(0, 0)
	middle := at.y
	if n.Bar {
		middle -= barRoom / 2
		segments(b, n.Segments, at.x-w/2+padX, at.y+h/2-barRoom-1, w-2*padX)
	}
	if n.Detail == "" && n.Room == 0 {
		fmt.Fprintf(b, `<text class="label" x="%s" y="%s">%s</text>`, num(at.x), num(middle+4.5), escape(short(n.Label)))
	} else {
		fmt.Fprintf(b, `<text class="label" x="%s" y="%s">%s</text>`, num(at.x), num(middle-3.5), escape(short(n.Label)))
		fmt.Fprintf(b, `<text class="detail" x="%s" y="%s">%s</text>`, num(at.x), num(middle+13), escape(n.detail()))
	}
	b.WriteString("</g>")
	if n.URL != "" {
		b.WriteString("</a>")
	}
	b.WriteByte('\n')
}

// segments draws a bar of width w, each of whose parts can be seen however small it is.
func segments(b *bytes.Buffer, parts []Segment, x, y, w float64) {
	total, shown := 0, 0
	for _, s := range parts {
		if s.N > 0 {
			total, shown = total+s.N, shown+1
		}
	}
	for _, s := range parts {
		if s.N <= 0 {
			continue
		}
		width := minSegment + (w-minSegment*float64(shown))*float64(s.N)/float64(total)
		fmt.Fprintf(b, `<rect class="seg %s" x="%s" y="%s" width="%s" height="%s"/>`, s.Status, num(x), num(y), num(width), num(barHeight))
		x += width
	}
}

// curve joins the points of a path: straight through a layer, an S between layers.
func curve(path []point, across bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", num(path[0].x), num(path[0].y))
	for i := 1; i < len(path); i++ {
		p, q := path[i-1], path[i]
		switch {
		case p.x == q.x || p.y == q.y:
			fmt.Fprintf(&b, " L%s %s", num(q.x), num(q.y))
		case across:
			mid := num((p.x + q.x) / 2)
			fmt.Fprintf(&b, " C%s %s %s %s %s %s", mid, num(p.y), mid, num(q.y), num(q.x), num(q.y))
		default:
			mid := num((p.y + q.y) / 2)
			fmt.Fprintf(&b, " C%s %s %s %s %s %s", num(p.x), mid, num(q.x), mid, num(q.x), num(q.y))
		}
	}
	return b.String()
}

// num writes a coordinate with at most one decimal.
func num(f float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}

func short(s string) string { return cut(s, maxLabel) }

// detail returns the second line of a node as far as there is room for it.
func (n *Node) detail() string {
	if n.Room > 0 {
		return cut(n.Detail, n.Room)
	}
	return short(n.Detail)
}

func cut(s string, runes int) string {
	if utf8.RuneCountInString(s) <= runes {
		return s
	}
	r := []rune(s)
	return string(r[:runes-1]) + "…"
}

// escape makes s text of an XML document; what XML cannot hold is left out.
func escape(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, xmlEscaper.Replace(strings.ToValidUTF8(s, "?")))
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
