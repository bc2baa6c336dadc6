package view

import (
	"fmt"
	"io"
	"strings"
)

// A Screen redraws a few lines in place, below what was printed before. It leaves the
// cursor visible and the terminal's modes alone, so that a process that is killed leaves
// nothing behind.
type Screen struct {
	w     io.Writer
	drawn int // lines of the frame that is on the terminal
}

// NewScreen returns a Screen on a terminal.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Draw replaces the frame.
func (s *Screen) Draw(lines []string) { s.put("", lines) }

// Print writes text, which ends with a newline or is empty, above the new frame, where it
// stays.
func (s *Screen) Print(text string, frame []string) { s.put(text, frame) }

// put writes everything in one Write, so that nothing flickers. A terminal that is gone
// is no error of the run that is shown on it.
func (s *Screen) put(text string, frame []string) {
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", s.drawn)
	}
	if text != "" {
		b.WriteString("\x1b[J" + text)
	}
	for _, line := range frame {
		b.WriteString(line + "\x1b[K\n")
	}
	if text == "" && s.drawn > len(frame) {
		b.WriteString("\x1b[J")
	}
	s.drawn = len(frame)
	if b.Len() > 0 {
		_, _ = io.WriteString(s.w, b.String())
	}
}
