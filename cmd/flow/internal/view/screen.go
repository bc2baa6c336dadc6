package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Screen redraws a few lines in place, below what was printed before. It leaves the
// cursor visible and the terminal's modes alone, so that a process that is killed leaves
// nothing behind.
type Screen struct {
	w      io.Writer
	frame  []string // that is on the terminal
	width  int      // of the terminal, in columns; 0: not known
	folded bool     // it was another one when the frame was drawn
}

// NewScreen returns a Screen on a terminal.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Fit is told of the terminal before each frame: of one whose width has changed, since
// terminals then fold the lines that are on them anew.
func (s *Screen) Fit(term Term) {
	s.folded = s.folded || s.width > 0 && term.Width != s.width
	s.width = term.Width
}

// rows returns how many rows of the terminal the frame takes that is on it.
func (s *Screen) rows() int {
	if !s.folded || s.width <= 0 {
		return len(s.frame)
	}
	rows := 0
	for _, line := range s.frame {
		rows += max(1, (Width(line)+s.width-1)/s.width)
	}
	return rows
}

// Draw replaces the frame.
func (s *Screen) Draw(lines []string) { s.put("", lines) }

// Print writes text, which ends with a newline or is empty, above the new frame, where it
// stays.
func (s *Screen) Print(text string, frame []string) { s.put(text, frame) }

// put writes everything in one Write, so that nothing flickers. A terminal that is gone
// is no error of the run that is shown on it.
func (s *Screen) put(text string, frame []string) {
	if text == "" && !s.folded && slices.Equal(frame, s.frame) {
		return
	}
	var b strings.Builder
	rows := s.rows()
	if rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", rows)
	}
	// What was folded, or stays above, begins on an empty screen.
	wiped := text != "" || s.folded
	if wiped {
		b.WriteString("\x1b[J" + text)
	}
	for _, line := range frame {
		b.WriteString(line + "\x1b[K\n")
	}
	if !wiped && rows > len(frame) {
		b.WriteString("\x1b[J")
	}
	s.frame, s.folded = slices.Clone(frame), false
	if b.Len() > 0 {
		_, _ = io.WriteString(s.w, b.String())
	}
}
