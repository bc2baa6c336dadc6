package page

import (
	"fmt"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
)

// A LogSpan is a piece of a line of a log that looks the same all over. Class has names of
// classes in flow.css, "": as other text.
type LogSpan struct {
	Class string `json:"c,omitempty"`
	Text  string `json:"t"`
}

// An ANSI turns lines with the escape sequences of a terminal into text with classes. What
// a line has switched on holds in the next one, as on a terminal. The zero value is ready.
//
// Of the sequences (ECMA-48) only SGR, colours and faces, means anything in a page; titles,
// links and movements of the cursor are left out. A colour beyond the sixteen becomes the
// nearest of them. What a carriage return overwrites is left out. Other control characters,
// and those that turn the direction of text, are written out, as view.Clean does.
type ANSI struct {
	bold, dim, italic, underline, inverse, strike bool

	fg, bg int // 1 + colour 0 to 15; 0: as usual
}

// Line reads a line, without its newline.
func (a *ANSI) Line(s string) []LogSpan {
	s = strings.TrimRight(s, "\r\n")
	if s == "" {
		return nil
	}
	if at := strings.LastIndexByte(s, '\r'); at >= 0 {
		a.skim(s[:at]) // is not seen, but its colours hold
		s = s[at+1:]
	}
	var out []LogSpan
	a.scan(s, func(text string) { out = a.add(out, text) })
	return out
}

func (a *ANSI) skim(s string) { a.scan(s, func(string) {}) }

// scan calls text with what is between escape sequences.
func (a *ANSI) scan(s string, text func(string)) {
	for s != "" {
		at := strings.IndexByte(s, esc)
		if at < 0 {
			text(s)
			return
		}
		if at > 0 {
			text(s[:at])
		}
		n, sgr, ok := sequence(s[at:])
		switch {
		case !ok: // no sequence: the character is written out
			text(s[at : at+1])
			n = 1
		case sgr != "":
			a.set(sgr)
		}
		s = s[at+n:]
	}
}

// add appends text, to the last span if it looks the same.
func (a *ANSI) add(out []LogSpan, text string) []LogSpan {
	class := a.class()
	text = cleanTabs(text)
	if n := len(out); n > 0 && out[n-1].Class == class {
		out[n-1].Text += text
		return out
	}
	return append(out, LogSpan{class, text})
}

// cleanTabs is view.Clean, but tabs stay.
func cleanTabs(s string) string {
	if !strings.Contains(s, "\t") {
		return view.Clean(s)
	}
	parts := strings.Split(s, "\t")
	for i := range parts {
		parts[i] = view.Clean(parts[i])
	}
	return strings.Join(parts, "\t")
}

const esc = 0x1b

// sequence returns the length of the escape sequence that s begins with, and of an SGR
// sequence its parameters, "0" for none. One that is cut off by the end of the line ends there.
func sequence(s string) (n int, sgr string, ok bool) {
	if len(s) < 2 {
		return 0, "", false
	}
	switch c := s[1]; {
	case c == '[': // CSI: parameters, intermediates, a final byte
		end := 2
		for end < len(s) && s[end] >= 0x20 && s[end] < 0x40 {
			end++
		}
		if end == len(s) {
			return end, "", true
		}
		if s[end] < 0x40 || s[end] > 0x7e {
			return end, "", true // it was broken off there
		}
		if s[end] == 'm' {
			return end + 1, orZero(s[2:end]), true
		}
		return end + 1, "", true
	case strings.IndexByte("]PX^_", c) >= 0: // OSC, DCS, SOS, PM, APC: up to BEL or ESC \
		return stringEnd(s), "", true
	case c >= 0x20 && c < 0x30: // intermediates, a final byte: character sets
		end := 2
		for end < len(s) && s[end] >= 0x20 && s[end] < 0x30 {
			end++
		}
		return min(end+1, len(s)), "", true
	case c >= 0x30 && c < 0x7f:
		return 2, "", true
	}
	return 0, "", false
}

func orZero(parameters string) string {
	if parameters == "" {
		return "0"
	}
	return parameters
}

// stringEnd returns where a control string ends that s begins with.
func stringEnd(s string) int {
	for i := 2; i < len(s); i++ {
		switch {
		case s[i] == 7:
			return i + 1
		case s[i] == esc && i+1 < len(s) && s[i+1] == '\\':
			return i + 2
		}
	}
	return len(s)
}

// set takes in the parameters of an SGR sequence.
func (a *ANSI) set(parameters string) {
	codes := strings.FieldsFunc(parameters, func(r rune) bool { return r == ';' || r == ':' })
	for i := 0; i < len(codes); i++ {
		n, err := strconv.Atoi(codes[i])
		if err != nil {
			return
		}
		switch n {
		case 38, 48:
			color, used := extended(codes[i+1:])
			if i += used; color == 0 {
				continue
			}
			if n == 38 {
				a.fg = color
			} else {
				a.bg = color
			}
		default:
			a.setOne(n)
		}
	}
}

func (a *ANSI) setOne(n int) {
	switch {
	case n == 0:
		*a = ANSI{}
	case n == 1:
		a.bold = true
	case n == 2:
		a.dim = true
	case n == 3:
		a.italic = true
	case n == 4:
		a.underline = true
	case n == 7:
		a.inverse = true
	case n == 9:
		a.strike = true
	case n == 22:
		a.bold, a.dim = false, false
	case n == 23:
		a.italic = false
	case n == 24:
		a.underline = false
	case n == 27:
		a.inverse = false
	case n == 29:
		a.strike = false
	case n >= 30 && n <= 37:
		a.fg = n - 30 + 1
	case n == 39:
		a.fg = 0
	case n >= 40 && n <= 47:
		a.bg = n - 40 + 1
	case n == 49:
		a.bg = 0
	case n >= 90 && n <= 97:
		a.fg = n - 90 + 9
	case n >= 100 && n <= 107:
		a.bg = n - 100 + 9
	}
}

// extended reads what follows 38 or 48: 5;N or 2;R;G;B. color is 1 + one of the sixteen, 0 if
// it is none; used is how many codes that took.
func extended(codes []string) (color, used int) {
	number := func(i int) int {
		if i >= len(codes) {
			return 0
		}
		n, _ := strconv.Atoi(codes[i])
		return min(max(n, 0), 255)
	}
	switch number(0) {
	case 5:
		return indexed(number(1)) + 1, 2
	case 2:
		return nearest(number(1), number(2), number(3)) + 1, 4
	}
	return 0, len(codes)
}

// indexed returns the nearest of the sixteen colours to colour n of xterm's 256: those
// sixteen, a cube of 6 by 6 by 6, 24 greys.
func indexed(n int) int {
	switch {
	case n < 16:
		return n
	case n < 232:
		n -= 16
		level := func(k int) int {
			if k == 0 {
				return 0
			}
			return 55 + 40*k
		}
		return nearest(level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(n-232)
	return nearest(grey, grey, grey)
}

// sixteen are the colours as xterm has them.
var sixteen = [16][3]int{
	{0, 0, 0}, {205, 0, 0}, {0, 205, 0}, {205, 205, 0}, {0, 0, 238}, {205, 0, 205}, {0, 205, 205}, {229, 229, 229},
	{127, 127, 127}, {255, 0, 0}, {0, 255, 0}, {255, 255, 0}, {92, 92, 255}, {255, 0, 255}, {0, 255, 255}, {255, 255, 255},
}

func nearest(r, green, b int) int {
	best, least := 0, 1<<30
	for i, c := range sixteen {
		dr, dg, db := r-c[0], green-c[1], b-c[2]
		if d := dr*dr + dg*dg + db*db; d < least {
			best, least = i, d
		}
	}
	return best
}

func (a *ANSI) class() string {
	if *a == (ANSI{}) {
		return ""
	}
	var names []string
	for _, f := range []struct {
		on   bool
		name string
	}{{a.bold, "a-bold"}, {a.dim, "a-dim"}, {a.italic, "a-italic"}, {a.underline, "a-under"}, {a.strike, "a-strike"}} {
		if f.on {
			names = append(names, f.name)
		}
	}
	fg, bg := a.fg, a.bg
	if a.inverse {
		names = append(names, "a-inv")
		fg, bg = bg, fg
	}
	if fg > 0 {
		names = append(names, fmt.Sprintf("a-f%d", fg-1))
	}
	if bg > 0 {
		names = append(names, fmt.Sprintf("a-b%d", bg-1))
	}
	return strings.Join(names, " ")
}

// Spans shows a line of a log.
func Spans(line []LogSpan) g.Node {
	out := make(g.Group, 0, len(line))
	for _, s := range line {
		if s.Class == "" {
			out = append(out, g.Text(s.Text))
			continue
		}
		out = append(out, h.Span(h.Class(s.Class), g.Text(s.Text)))
	}
	return out
}
