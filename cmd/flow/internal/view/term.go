// Package view shows runs to a person: tables, the live progress of a run, the lines of
// one that nobody watches, and what a failed task left.
//
// Nothing in it reads a clock, a database or a file: it turns values into text.
package view

// A Term is what is known of the place that text goes to.
type Term struct {
	TTY    bool // a person's terminal, not a pipe or a file
	Live   bool // redrawing in place is welcome
	Width  int  // columns; 0: not known
	Height int  // lines; 0: not known
	Style  Style
}

// Columns returns how wide a line may be: of a pipe as wide as it likes (0).
func (t Term) Columns() int {
	switch {
	case t.Width > 0:
		return t.Width
	case t.TTY:
		return 80
	}
	return 0
}

// A Style marks text with colour, or does nothing. Colour never says what the words do
// not say as well.
type Style struct{ Color bool }

func (s Style) sgr(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold, Dim and the colours mark text. Text that is marked already keeps its inner mark.
func (s Style) Bold(text string) string   { return s.sgr("1", text) }
func (s Style) Dim(text string) string    { return s.sgr("2", text) }
func (s Style) Red(text string) string    { return s.sgr("31", text) }
func (s Style) Green(text string) string  { return s.sgr("32", text) }
func (s Style) Yellow(text string) string { return s.sgr("33", text) }
func (s Style) Blue(text string) string   { return s.sgr("34", text) }
func (s Style) Cyan(text string) string   { return s.sgr("36", text) }
