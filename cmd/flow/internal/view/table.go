package view

import (
	"io"
	"strings"
)

// A Table is rows of cells. Cells come cleaned (see Clean) and may be marked with a Style.
type Table struct {
	Header []string
	Right  []bool // columns that are aligned to the right; nil: none
	Whole  []bool // columns that are cut only once the others are as narrow as they get; nil: none
	Rows   [][]string
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// gap is what stands between two columns.
const gap = 2

// Write writes the table for a person, in aligned columns with a header, cut to the width
// of the terminal; and to a pipe as tab-separated values without header.
func (t *Table) Write(w io.Writer, term Term) error {
	if term.TTY {
		return t.WriteAligned(w, term, "")
	}
	var out strings.Builder
	for _, row := range t.Rows {
		out.WriteString(strings.Join(row, "\t") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// WriteAligned writes the table in aligned columns with a header, each line behind indent.
// Lines are cut only to the width of a terminal, at the widest column's cost.
func (t *Table) WriteAligned(w io.Writer, term Term, indent string) error {
	widths := t.widths()
	if limit := term.Columns(); limit > 0 && term.TTY {
		shrink(widths, t.Whole, limit-len(indent))
	}
	var out strings.Builder
	line := func(row []string, mark func(string) string) {
		var b strings.Builder
		b.WriteString(indent)
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			right := i < len(t.Right) && t.Right[i]
			cell = Cut(cell, widths[i])
			if i < len(row)-1 || right {
				cell = Pad(cell, widths[i], right)
			}
			b.WriteString(mark(cell))
		}
		out.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	}
	if len(t.Header) > 0 {
		line(t.Header, term.Style.Dim)
	}
	for _, row := range t.Rows {
		line(row, func(s string) string { return s })
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (t *Table) widths() []int {
	var widths []int
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	return widths
}

// shrink takes columns from the widest ones until all fit into limit, but leaves each of
// them what is needed to recognise it. Those that are to stay whole come last.
func shrink(widths []int, whole []bool, limit int) {
	const least = 8
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > limit; total-- {
		widest := widestOf(widths, func(i int) bool { return widths[i] > least && (i >= len(whole) || !whole[i]) })
		if widest < 0 {
			widest = widestOf(widths, func(i int) bool { return widths[i] > least })
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

// widestOf returns the widest of some columns, the first of several; -1: there are none.
func widestOf(widths []int, of func(i int) bool) int {
	widest := -1
	for i, w := range widths {
		if of(i) && (widest < 0 || w > widths[widest]) {
			widest = i
		}
	}
	return widest
}
