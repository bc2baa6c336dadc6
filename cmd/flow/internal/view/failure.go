package view

import (
	"fmt"
	"strings"
)

// A Failure is a task that failed.
type Failure struct {
	Task     string // align["chr1"]
	Why      string // exit code 2: ...
	Attempts int
	Log      []string // its last lines, as the task wrote them
	More     string   // the command that shows the whole log
}

// Block returns the lines that tell a person of a failed task. What the task wrote is
// made harmless, each of its lines begins with a bar, and is cut to the terminal's width.
func (f *Failure) Block(term Term) string {
	s := term.Style
	var b strings.Builder
	head := s.Red(s.Bold("FAILED")) + " " + s.Bold(Clean(f.Task)) + ": " + Clean(f.Why)
	if f.Attempts > 1 {
		head += fmt.Sprintf(" (%d attempts)", f.Attempts)
	}
	b.WriteString(head + "\n")
	for _, line := range f.Log {
		line = CleanLog(line)
		if term.TTY {
			line = Cut(line, term.Columns()-5)
		}
		b.WriteString("  " + s.Dim("│") + " " + line + "\n")
	}
	if len(f.Log) == 0 {
		b.WriteString("  " + s.Dim("│ (it wrote nothing)") + "\n")
	}
	if f.More != "" {
		b.WriteString("  " + s.Dim("whole log: ") + f.More + "\n")
	}
	return b.String()
}
