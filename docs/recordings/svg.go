package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes in the picture, in pixels: of a character, and around the screen.
const (
	charWidth, lineHeight = 8.4, 18
	margin                = 14
	hold                  = 4.0 // seconds for which the last frame stays
)

// A span is text in one look: the classes of it.
type span struct{ class, text string }

// spans splits a line of a terminal by its SGR sequences.
func spans(line string) []span {
	var out []span
	var class [2]string // weight, colour
	for len(line) > 0 {
		text, rest, marked := strings.Cut(line, "\x1b[")
		if text != "" {
			out = append(out, span{strings.TrimSpace(class[0] + " " + class[1]), text})
		}
		if !marked {
			break
		}
		codes, rest, _ := strings.Cut(rest, "m")
		for code := range strings.SplitSeq(codes, ";") {
			switch {
			case code == "" || code == "0":
				class = [2]string{}
			case code == "1":
				class[0] = "bold"
			case code == "2":
				class[0] = "dim"
			case code == "22":
				class[0] = ""
			case code == "39":
				class[1] = ""
			case len(code) == 2 && code[0] == '3':
				class[1] = "c" + code[1:]
			}
		}
		line = rest
	}
	return out
}

// The colours of a terminal, on a light and on a dark ground.
const style = `text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; fill: #1f2328 }
.ground { fill: #f6f8fa; stroke: #d1d9e0 }
.bold { font-weight: 600 } .dim { fill: #59636e }
.c1 { fill: #c0202b } .c2 { fill: #1a7f37 } .c3 { fill: #8a5d00 } .c4 { fill: #0b5fcc } .c6 { fill: #0f7173 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ground { fill: #0d1117; stroke: #3d444d } .dim { fill: #9198a1 }
  .c1 { fill: #ff7b72 } .c2 { fill: #57c46a } .c3 { fill: #d9a427 } .c4 { fill: #79b4ff } .c6 { fill: #55c8ca }
}
`

// svg returns a picture in which the frames stand below one another, and move past a window.
// For who does not want things to move, it is the last one.
func (r *recording) svg() string {
	width := float64(r.columns)*charWidth + 2*margin
	screen := r.lines * lineHeight
	last := r.frames[len(r.frames)-1]
	total := last.at + hold
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img" aria-label="%s">`+"\n",
		width, screen+2*margin, width, screen+2*margin, html.EscapeString("A terminal: "+r.title))
	fmt.Fprintf(&b, "<style>\n%s.film { animation: film %.2fs steps(1, end) infinite }\n@keyframes film {\n", style, total)
	for i, f := range r.frames {
		fmt.Fprintf(&b, "%.3f%% { transform: translateY(%dpx) }\n", 100*f.at/total, -i*screen)
	}
	end := -(len(r.frames) - 1) * screen
	fmt.Fprintf(&b, "100%% { transform: translateY(%dpx) }\n}\n@media (prefers-reduced-motion: reduce) { .film { animation: none; transform: translateY(%dpx) } }\n</style>\n", end, end)
	fmt.Fprintf(&b, `<rect class="ground" x="0.5" y="0.5" width="%.0f" height="%d" rx="8"/>`+"\n", width-1, screen+2*margin-1)
	fmt.Fprintf(&b, `<svg x="%d" y="%d" width="%.0f" height="%d"><g class="film">`+"\n", margin, margin, width-2*margin, screen)
	for i, f := range r.frames {
		for k, line := range f.lines {
			if line != "" {
				fmt.Fprintf(&b, `<text y="%d">%s</text>`+"\n", i*screen+(k+1)*lineHeight-4, tspans(line))
			}
		}
	}
	return b.String() + "</g></svg>\n</svg>\n"
}

// tspans returns a line, each look of it in an element of its own.
func tspans(line string) string {
	var b strings.Builder
	for _, s := range spans(line) {
		if s.class == "" {
			b.WriteString(html.EscapeString(s.text))
		} else {
			fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, s.class, html.EscapeString(s.text))
		}
	}
	return b.String()
}
