package draw

import (
	"bytes"
	"fmt"
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
)

// style is for light and for dark backgrounds. Colours are also told by the words in the
// nodes.
const style = `
    .bg { fill: #ffffff; }
    .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2; }
    .label { font: 600 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; text-anchor: middle; }
    .detail { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #57606a; text-anchor: middle; }
    .edge { fill: none; stroke: #6e7781; stroke-width: 1.3; }
    .order { stroke-dasharray: 5 4; }
    .element { stroke-width: 2.4; }
    .head { fill: #6e7781; }
    .RUNNING .box { fill: #ddf4ff; stroke: #0969da; }
    .SUCCEEDED .box { fill: #dafbe1; stroke: #1a7f37; }
    .CACHED .box { fill: #d8f5f0; stroke: #1b7c83; }
    .FAILED .box { fill: #ffebe9; stroke: #cf222e; stroke-width: 2; }
    .SKIPPED .box, .CANCELLED .box { fill: #fff8c5; stroke: #9a6700; }
    .PENDING .box { stroke-dasharray: 3 3; }
    @media (prefers-color-scheme: dark) {
      .bg { fill: #0d1117; }
      .box { fill: #161b22; stroke: #8b949e; }
      .label { fill: #e6edf3; }
      .detail { fill: #9da7b3; }
      .edge { stroke: #8b949e; }
      .head { fill: #8b949e; }
      .RUNNING .box { fill: #0c2d6b; stroke: #58a6ff; }
      .SUCCEEDED .box { fill: #033a16; stroke: #3fb950; }
      .CACHED .box { fill: #04393d; stroke: #39c5cf; }
      .FAILED .box { fill: #67060c; stroke: #f85149; }
      .SKIPPED .box, .CANCELLED .box { fill: #4b2900; stroke: #d29922; }
    }
`

// SVG draws g as an image that needs nothing else: no script, no font, no other file.
func SVG(g *Graph) []byte {
	sizes := make([]point, len(g.Nodes))
	for i := range g.Nodes {
		sizes[i] = size(&g.Nodes[i])
	}
	l := place(g, sizes)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s" role="img">`+"\n", num(l.width), num(l.height))
	fmt.Fprintf(&b, "  <title>%s</title>\n", escape(g.Title))
	b.WriteString("  <style>" + style + "  </style>\n")
	b.WriteString(`  <defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0.5 L8 4 L0 7.5 z"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `  <rect class="bg" width="%s" height="%s"/>`+"\n", num(l.width), num(l.height))
	for k, e := range g.Edges {
		fmt.Fprintf(&b, `  <path class="edge %s" marker-end="url(#head)" d="%s"><title>%s</title></path>`+"\n",
			e.Kind, curve(l.paths[k]), escape(g.Nodes[e.From].Label+" → "+g.Nodes[e.To].Label+" ("+string(e.Kind)+")"))
	}
	for i := range g.Nodes {
		node(&b, &g.Nodes[i], l.boxes[i])
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// size is how much room a node takes, the sheets of a stack included.
func size(n *Node) point {
	w := max(float64(utf8.RuneCountInString(short(n.Label)))*fontSize*em, float64(utf8.RuneCountInString(short(n.Detail)))*smallSize*em)
	h := nodeHeight
	if n.Detail == "" {
		h = lowHeight
	}
	p := point{w + 2*padX, h}
	if n.Stack {
		p.x += 4 * stackStep
		p.y += 2 * stackStep
	}
	return p
}

func node(b *bytes.Buffer, n *Node, at box) {
	fmt.Fprintf(b, `  <g class="%s"><title>%s</title>`, n.Status, escape(n.Tip))
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
	if n.Detail == "" {
		fmt.Fprintf(b, `<text class="label" x="%s" y="%s">%s</text>`, num(at.x), num(at.y+4.5), escape(short(n.Label)))
	} else {
		fmt.Fprintf(b, `<text class="label" x="%s" y="%s">%s</text>`, num(at.x), num(at.y-3.5), escape(short(n.Label)))
		fmt.Fprintf(b, `<text class="detail" x="%s" y="%s">%s</text>`, num(at.x), num(at.y+13), escape(short(n.Detail)))
	}
	b.WriteString("</g>\n")
}

// curve joins the points of a path: straight down through a layer, an S between layers.
func curve(path []point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", num(path[0].x), num(path[0].y))
	for i := 1; i < len(path); i++ {
		p, q := path[i-1], path[i]
		if p.x == q.x {
			fmt.Fprintf(&b, " L%s %s", num(q.x), num(q.y))
			continue
		}
		mid := num((p.y + q.y) / 2)
		fmt.Fprintf(&b, " C%s %s %s %s %s %s", num(p.x), mid, num(q.x), mid, num(q.x), num(q.y))
	}
	return b.String()
}

// num writes a coordinate with at most one decimal.
func num(f float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}

func short(s string) string {
	if utf8.RuneCountInString(s) <= maxLabel {
		return s
	}
	r := []rune(s)
	return string(r[:maxLabel-1]) + "…"
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
