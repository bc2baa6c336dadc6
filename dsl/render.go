package dsl

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/width"
)

// maxShown is how many diagnostics WriteText shows; of a file with more, the rest would
// only be in the way.
const maxShown = 100

// WriteText writes diagnostics for people: what is wrong, the place with its lines and a
// mark under the very characters, what the names there have as values (sensitive ones
// never), how to mend it, and last a count. files are the sources by name; a place in
// another file is shown without its lines. Details are wrapped to width columns; 0 does
// not wrap. Errors are those of w.
func WriteText(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, width int, color bool) error {
	t := &textWriter{files: files, width: width, color: color}
	sorted := sortedByPlace(diags)
	for i, d := range sorted {
		if i == maxShown {
			fmt.Fprintf(&t.b, "(%d more are not shown.)\n\n", len(sorted)-i)
			break
		}
		t.diagnostic(d)
	}
	if len(sorted) > 0 {
		t.b.WriteString(summary(sorted) + "\n")
	}
	_, err := w.Write(t.b.Bytes())
	return err
}

// sortedByPlace returns diags by file and position; those without a place come last.
func sortedByPlace(diags hcl.Diagnostics) hcl.Diagnostics {
	sorted := slices.Clone(diags)
	slices.SortStableFunc(sorted, func(a, b *hcl.Diagnostic) int {
		switch {
		case a.Subject == nil || b.Subject == nil:
			return boolInt(a.Subject == nil) - boolInt(b.Subject == nil)
		}
		return cmp.Or(cmp.Compare(a.Subject.Filename, b.Subject.Filename), cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte))
	})
	return sorted
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func count(diags hcl.Diagnostics) (errs, warnings int) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			errs++
		} else {
			warnings++
		}
	}
	return errs, warnings
}

// summary is "2 errors, 1 warning in 1 file".
func summary(diags hcl.Diagnostics) string {
	names := map[string]bool{}
	for _, d := range diags {
		if d.Subject != nil {
			names[d.Subject.Filename] = true
		}
	}
	var parts []string
	errs, warnings := count(diags)
	if errs > 0 {
		parts = append(parts, plural(errs, "error"))
	}
	if warnings > 0 {
		parts = append(parts, plural(warnings, "warning"))
	}
	s := strings.Join(parts, ", ")
	if len(names) > 0 {
		s += " in " + plural(len(names), "file")
	}
	return s
}

const (
	styleReset   = "\x1b[0m"
	styleBold    = "\x1b[1m"
	styleError   = "\x1b[1;31m"
	styleWarning = "\x1b[1;33m"
	styleDim     = "\x1b[2m"
)

type textWriter struct {
	files map[string]*hcl.File
	width int
	color bool
	b     bytes.Buffer
}

func (t *textWriter) style(s, text string) string {
	if !t.color || text == "" {
		return text
	}
	return s + text + styleReset
}

func (t *textWriter) diagnostic(d *hcl.Diagnostic) {
	severity, style := "Error", styleError
	if d.Severity == hcl.DiagWarning {
		severity, style = "Warning", styleWarning
	}
	fmt.Fprintf(&t.b, "%s %s\n", t.style(style, severity+":"), t.style(styleBold, clean(d.Summary)))
	if d.Subject != nil {
		t.place(d, style)
	}
	t.b.WriteByte('\n')
	if d.Detail != "" {
		t.detail(d.Detail)
		t.b.WriteByte('\n')
	}
}

// place writes where the diagnostic is: the file, the block, the lines, the values.
func (t *textWriter) place(d *hcl.Diagnostic, style string) {
	rng := *d.Subject
	file := sourceOf(d, t.files)
	in := ""
	if block := blockAt(file, rng); block != "" {
		in = ", in " + block
	}
	fmt.Fprintf(&t.b, "  on %s line %d%s:\n", clean(rng.Filename), rng.Start.Line, clean(in))
	if file == nil {
		return
	}
	for _, l := range snippet(file.Bytes, rng) {
		t.line(l, style)
	}
	for _, v := range valuesOf(d) {
		fmt.Fprintf(&t.b, "    %s\n", t.style(styleDim, clean(v.Traversal+" "+v.Statement)))
	}
}

// line writes one line of source, and under it a mark where it is at fault.
func (t *textWriter) line(l sourceLine, style string) {
	from, to := min(l.from, len(l.text)), min(max(l.to, l.from), len(l.text))
	before, marked, after := clean(l.text[:from]), clean(l.text[from:to]), clean(l.text[to:])
	if t.width > 40 { // so that a long line does not hide its mark
		before, marked, after = clipLine(before, marked, after, t.width-10)
	}
	if !l.fault {
		fmt.Fprintf(&t.b, "%5d: %s\n", l.number, t.style(styleDim, before+marked+after))
		return
	}
	fmt.Fprintf(&t.b, "%5d: %s%s%s\n", l.number, before, t.style(style, marked), after)
	mark := strings.Repeat("^", max(1, columns(marked)))
	fmt.Fprintf(&t.b, "       %s%s\n", blank(before), t.style(style, mark))
}

// blank returns spaces as wide as s, with its tabs.
func blank(s string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(s, "\t") {
		text, tab := strings.CutSuffix(part, "\t")
		b.WriteString(strings.Repeat(" ", columns(text)))
		if tab {
			b.WriteByte('\t')
		}
	}
	return b.String()
}

// clipLine cuts what is far from the marked part of a long line.
func clipLine(before, marked, after string, width int) (string, string, string) {
	const dots = "..."
	if columns(before)+columns(marked)+columns(after) <= width {
		return before, marked, after
	}
	if columns(marked) > width*2/3 {
		marked = head(marked, width*2/3-len(dots)) + dots
	}
	room := width - columns(marked)
	left := max(room-columns(after), room*3/4)
	if columns(before) > left {
		r := []rune(before)
		for len(r) > 0 && columns(string(r)) > left-len(dots) {
			r = r[1:]
		}
		before = dots + string(r)
	}
	if right := room - columns(before); columns(after) > right {
		after = head(after, right-len(dots)) + dots
	}
	return before, marked, after
}

// head returns as much of the beginning of s as takes n columns.
func head(s string, n int) string {
	r := []rune(s)
	r = r[:max(0, min(len(r), n))]
	for len(r) > 0 && columns(string(r)) > n {
		r = r[:len(r)-1]
	}
	return string(r)
}

// columns is how many columns s takes on a terminal: one for each character as people
// count them, two for the wide ones of East Asia and emoji.
func columns(s string) int {
	n := 0
	for rest := []byte(s); len(rest) > 0; {
		size, cluster, err := textseg.ScanGraphemeClusters(rest, true)
		if err != nil || size == 0 {
			return n + len(rest)
		}
		n++
		r, _ := utf8.DecodeRune(cluster)
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
		rest = rest[size:]
	}
	return n
}

// clean makes text harmless to a terminal: control characters, which may come from a
// hostile file, are shown and not obeyed.
func clean(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < ' ':
			return 0x2400 + r // the picture of the control character
		case r == 0x7f:
			return 0x2421
		case r >= 0x80 && r < 0xa0:
			return 0xfffd
		}
		return r
	}, s)
}

// detail writes the text of a diagnostic, each of its lines wrapped. Lines that begin
// with a space are shown as they are.
func (t *textWriter) detail(s string) {
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		line = clean(line)
		if strings.HasPrefix(line, " ") || t.width <= 0 {
			t.b.WriteString(strings.TrimRight(line, " ") + "\n")
			continue
		}
		for _, l := range wrap(line, t.width) {
			t.b.WriteString(l + "\n")
		}
	}
}

// wrap breaks a line at its spaces so that none of the parts is wider than width, if
// words allow.
func wrap(s string, width int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		n := columns(word)
		if used > 0 && used+1+n > width {
			lines = append(lines, line)
			line, used = "", 0
		}
		if used > 0 {
			line += " "
			used++
		}
		line += word
		used += n
	}
	return append(lines, line)
}

// sourceOf returns the file that d lies in, or nil.
func sourceOf(d *hcl.Diagnostic, files map[string]*hcl.File) *hcl.File {
	if extra, ok := d.Extra.(sourced); ok {
		return extra.file
	}
	if d.Subject == nil {
		return nil
	}
	return files[d.Subject.Filename]
}

// blockAt names the block around a place as it begins: step "align". What a file in JSON
// has around a place is not known.
func blockAt(file *hcl.File, rng hcl.Range) string {
	if file == nil || file.Body == nil {
		return ""
	}
	blocks := file.BlocksAtPos(rng.Start)
	if len(blocks) == 0 {
		return ""
	}
	var parts []string
	for _, b := range blocks {
		s := b.Type
		for _, l := range b.Labels {
			s += fmt.Sprintf(" %q", l)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// A sourceLine is a line to show. Bytes from to to of it are at fault.
type sourceLine struct {
	number   int
	text     string
	fault    bool
	from, to int
}

// maxLines is how many lines of a long faulty place are shown.
const maxLines = 3

// snippet returns the lines of rng.
func snippet(src []byte, rng hcl.Range) []sourceLine {
	start, end := min(rng.Start.Byte, len(src)), min(max(rng.End.Byte, rng.Start.Byte), len(src))
	begin := bytes.LastIndexByte(src[:start], '\n') + 1
	var lines []sourceLine
	for number := rng.Start.Line; begin <= len(src) && len(lines) < maxLines; number++ {
		stop := len(src)
		if n := bytes.IndexByte(src[begin:], '\n'); n >= 0 {
			stop = begin + n
		}
		text := string(src[begin:stop])
		from, to := max(start-begin, 0), min(end, stop)-begin
		if from == 0 && begin > start {
			from = len(text) - len(strings.TrimLeft(text, " \t"))
		}
		lines = append(lines, sourceLine{number: number, text: text, fault: to > from || number == rng.Start.Line, from: from, to: to})
		begin = stop + 1
		if begin >= end {
			break
		}
	}
	return lines
}

// A shownValue is what a name in the faulty expression stands for.
type shownValue struct {
	Traversal string `json:"traversal"`
	Statement string `json:"statement"`
}

// valuesOf says what the names in the expression of d have as values, each once, in
// order. Of what is sensitive only that it is.
func valuesOf(d *hcl.Diagnostic) []shownValue {
	shown := []shownValue{}
	if d.Expression == nil || d.EvalContext == nil {
		return shown
	}
	seen := map[string]bool{}
	for _, trav := range d.Expression.Variables() {
		name := traversalText(trav)
		if seen[name] || len(shown) == 8 {
			continue
		}
		seen[name] = true
		val, diags := trav.TraverseAbs(d.EvalContext)
		if diags.HasErrors() {
			continue // that is what the diagnostic is about
		}
		if s := describe(val); s != "" {
			shown = append(shown, shownValue{name, s})
		}
	}
	slices.SortFunc(shown, func(a, b shownValue) int { return strings.Compare(a.Traversal, b.Traversal) })
	return shown
}

func traversalText(trav hcl.Traversal) string {
	var b strings.Builder
	for _, step := range trav {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			fmt.Fprintf(&b, "[%s]", keyText(s.Key))
		case hcl.TraverseSplat:
			b.WriteString("[*]")
		}
	}
	return b.String()
}

func keyText(key cty.Value) string {
	switch {
	case key.IsMarked() || !key.IsKnown() || key.IsNull():
		return "..."
	case key.Type() == cty.String:
		return fmt.Sprintf("%q", key.AsString())
	case key.Type() == cty.Number:
		return key.AsBigFloat().Text('f', -1)
	}
	return "..."
}

// describe says what a value is, in a few words; "" if there is nothing to say.
func describe(val cty.Value) string {
	if val.ContainsMarked() {
		return "is a sensitive value"
	}
	ty := val.Type()
	switch {
	case ty == cty.DynamicPseudoType:
		return ""
	case !val.IsKnown():
		return "is a " + ty.FriendlyName() + ", known only when the run has come that far"
	case val.IsNull():
		return "is null"
	case ty == cty.String:
		return fmt.Sprintf("is %q", clip(val.AsString()))
	case ty == cty.Number:
		return "is " + clip(val.AsBigFloat().Text('g', 20))
	case ty == cty.Bool:
		return fmt.Sprintf("is %t", val.True())
	case ty.IsObjectType():
		return "is an object with " + plural(len(ty.AttributeTypes()), "attribute")
	case val.CanIterateElements():
		return fmt.Sprintf("is a %s with %s", ty.FriendlyName(), plural(val.LengthInt(), "element"))
	}
	return ""
}
