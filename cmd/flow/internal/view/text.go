package view

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Clean makes text from elsewhere harmless on one line of a terminal: control characters,
// escape sequences and bytes that are no UTF-8 are written out (\n, \x1b).
func Clean(s string) string { return clean(s, false) }

// CleanLines is Clean for text of several lines: newlines stay, and tabs.
func CleanLines(s string) string { return clean(s, true) }

// Brief puts a text of several lines, as diagnostics are, into one: the title of the first, the
// place that it is of, and its explanation, without the lines of the file. Other texts are left as
// their first line.
func Brief(text string) string {
	parts := strings.Split(strings.TrimSpace(text), "\n\n")
	lines := strings.Split(strings.Replace(parts[0], "Error: ", "", 1), "\n")
	out := lines[0]
	if len(lines) > 1 && strings.HasPrefix(lines[1], "  on ") {
		out += " (" + strings.TrimSuffix(strings.TrimPrefix(lines[1], "  on "), ":") + ")"
	}
	if len(parts) == 1 {
		return out
	}
	out += ": " + strings.Join(strings.Fields(parts[1]), " ")
	if all := parts[len(parts)-1]; strings.Contains(all, " errors") && len(parts) > 2 {
		out += " (" + all + ")"
	}
	return out
}

func clean(s string, lines bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unsafeRune(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// plain reports whether s is printable ASCII.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// unsafeRune reports whether r would move the cursor, or turn the direction of the text.
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 ||
		(r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// CleanLog makes one line of a log harmless. Colours (SGR sequences) are taken out; every
// other control character is written out; what stands before a carriage return within the
// line was overwritten on the screen and is left out, as a progress bar means it.
func CleanLog(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if plain(s) {
		return s
	}
	if at := strings.LastIndexByte(s, '\r'); at >= 0 {
		s = s[at+1:]
	}
	return strings.ReplaceAll(Clean(stripColors(s)), `\t`, "    ")
}

// stripColors takes out ESC [ digits and semicolons m.
func stripColors(s string) string {
	var b strings.Builder
	for {
		at := strings.Index(s, "\x1b[")
		if at < 0 {
			return b.String() + s
		}
		end := at + 2
		for end < len(s) && (s[end] == ';' || s[end] >= '0' && s[end] <= '9') {
			end++
		}
		if end < len(s) && s[end] == 'm' {
			b.WriteString(s[:at])
			s = s[end+1:]
			continue
		}
		b.WriteString(s[:at+2])
		s = s[at+2:]
	}
}

// Width returns how many columns of a terminal s takes. Marks of Style take none.
func Width(s string) int {
	n := 0
	for i := 0; i < len(s); {
		if skip := markAt(s[i:]); skip > 0 {
			i += skip
			continue
		}
		if c := s[i]; c < utf8.RuneSelf {
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		n += runeWidth(r)
		i += size
	}
	return n
}

// markAt returns the length of the SGR sequence that s begins with, or 0.
func markAt(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	if end := strings.IndexByte(s, 'm'); end > 0 && end < 12 {
		return end + 1
	}
	return 0
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens s to at most columns columns, with an ellipsis if something is left out.
// Marks of Style are kept and closed.
func Cut(s string, columns int) string {
	if columns <= 0 {
		return ""
	}
	if Width(s) <= columns {
		return s
	}
	var b strings.Builder
	n, marked := 0, false
	for i := 0; i < len(s); {
		if skip := markAt(s[i:]); skip > 0 {
			b.WriteString(s[i : i+skip])
			marked = true
			i += skip
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		w := runeWidth(r)
		if n+w > columns-1 {
			break
		}
		b.WriteString(s[i : i+size])
		n += w
		i += size
	}
	b.WriteString("…")
	if marked {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// Pad fills s with spaces up to columns; right puts them before it.
func Pad(s string, columns int, right bool) string {
	fill := columns - Width(s)
	if fill <= 0 {
		return s
	}
	if right {
		return strings.Repeat(" ", fill) + s
	}
	return s + strings.Repeat(" ", fill)
}
