package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch/diagnose"
)

func (e *explanation) write(w io.Writer, term view.Term, run *engine.Run) error {
	s := term.Style
	fmt.Fprintf(w, "%s of run %s is %s\n", s.Bold(view.Clean(e.Task)), run.ID(), s.Status(e.Status))
	line := func(format string, args ...any) { fmt.Fprintf(w, "  "+format+"\n", args...) }
	switch {
	case e.From != nil:
		line("its result was known: it is that of %s of run %s", view.Clean(e.From.Task), e.From.Run)
		line("all that it depends on is the same: command, environment, content of the inputs, outputs")
	case e.Status == engine.Cancelled && len(e.History) > 0:
		line("it was ended: %s", whyText(nil, e.Reason, e.Cause))
	case e.Status == engine.Skipped || e.Status == engine.Cancelled:
		line("it did not run: %s", whyText(nil, e.Reason, e.Cause))
	case e.Verdict != nil:
		e.writeVerdict(w, s)
	case len(e.Findings) > 0:
		e.writeFindings(w, s)
	case e.Waits != "":
		line("it waits: %s", view.Clean(e.Waits))
	case e.Status == engine.Pending && e.Job == "":
		line("its job is being submitted, or looked for since the answer was lost")
	case e.Status == engine.Pending:
		line("it is in the queue of job %s", e.Job)
	}
	if e.RootTask != nil {
		line("root cause: %s is %s: %s", view.Clean(e.RootTask.Task), s.Status(e.RootTask.Status), whyText(e.RootTask.ExitCode, e.RootTask.Reason, e.RootTask.Cause))
		if e.RootTask.Status != engine.Skipped { // that wrote nothing
			line("  flow logs %s", shellWord(string(run.ID())+"/"+e.RootTask.Task))
		}
	}
	if e.Why != "" && e.From == nil {
		why := e.Why
		if len(e.Changed) > 0 {
			why = strings.TrimSuffix(why, allWords(e.Changed)) // each stands on a line of its own
		}
		line("it had to run: %s", strings.TrimSuffix(view.Clean(why), " "))
		for _, c := range e.Changed {
			c.write(w, s)
		}
	}
	ran := e.Status == engine.Running
	for _, h := range e.History {
		if h.Attempt == 0 { // its job was ended before there was any
			continue
		}
		ran = true
		text := fmt.Sprintf("attempt %d %s", h.Attempt, h.Outcome)
		switch h.Outcome {
		case engine.TaskSucceeded:
		case engine.TaskLost: // nobody can tell which tries were made, and the reason says so
			text = h.Reason
		case engine.TaskRecovered:
			text = fmt.Sprintf("attempt %d has left traces and no result; the run was recovered then", h.Attempt)
		default:
			text += ": " + h.Text
		}
		if h.Rule != "" {
			text += " (rule " + h.Rule + ")"
		}
		if d := h.Ended.Sub(h.Started); !h.Started.IsZero() && d >= 0 {
			text += ", " + view.Duration(d)
		}
		if h.Memory > 0 && !h.AtMost {
			text += ", peak memory " + view.Bytes(h.Memory)
		}
		line("%s", view.Clean(text))
	}
	if j := e.Batch; j != nil {
		line("%s", view.Clean(j.text()))
		if ran {
			line("where it ran: flow status %s", shellWord(string(run.ID())+"/"+e.Task))
		}
	}
	e.writeUnseen(w)
	if e.Note != "" {
		line("note: %s", view.Clean(e.Note))
	}
	if e.Dir != "" && e.Status != engine.Skipped && e.files {
		line("files: %s", view.Clean(e.Dir))
	}
	e.writeLog(w, term, run)
	return nil
}

// writeVerdict says why a task failed, and what would help.
func (e *explanation) writeVerdict(w io.Writer, s view.Style) {
	v := e.Verdict
	fmt.Fprintf(w, "  it failed: %s\n", view.Clean(v.Text))
	if v.Why != "" {
		fmt.Fprintf(w, "    %s\n", view.Clean(v.Why))
	}
	writeHelp(w, s, "  ", v.Help, v.Write)
}

// writeFindings says why a task waits.
func (e *explanation) writeFindings(w io.Writer, s view.Style) {
	for i := range e.Findings {
		f := &e.Findings[i]
		what := "it waits: "
		if strings.HasPrefix(f.Text, "it ") || f.Cause == diagnose.ArrayGoesOn {
			what = ""
		}
		fmt.Fprintf(w, "  %s%s\n", what, view.Clean(f.Says()))
		for _, line := range f.Evidence {
			fmt.Fprintf(w, "    %s\n", view.Clean(line))
		}
		writeHelp(w, s, "  ", f.Fix, "")
	}
}

// writeUnseen says what could not be looked at.
func (e *explanation) writeUnseen(w io.Writer) {
	for _, note := range e.Unseen {
		fmt.Fprintf(w, "  not looked at: %s\n", view.Clean(note))
	}
}

// writeHelp says what would help, and what to write into the step for it.
func writeHelp(w io.Writer, s view.Style, indent string, help []string, hcl string) {
	for _, sentence := range help {
		fmt.Fprintf(w, "%s%s %s\n", indent, s.Bold("help:"), view.Clean(sentence))
	}
	if hcl == "" {
		return
	}
	for line := range strings.SplitSeq(hcl, "\n") {
		fmt.Fprintf(w, "%s  %s\n", indent, s.Cyan(view.CleanLog(line)))
	}
}

// writeLog shows the last lines of the log of a task that failed.
func (e *explanation) writeLog(w io.Writer, term view.Term, run *engine.Run) {
	if e.Verdict == nil {
		return
	}
	s := term.Style
	for i, line := range e.LastLog {
		if i == 0 {
			fmt.Fprintln(w, "  the end of its log:")
		}
		line = view.CleanLog(line)
		if term.TTY {
			line = view.Cut(line, term.Columns()-7)
		}
		fmt.Fprintf(w, "    %s %s\n", s.Dim("│"), line)
	}
	if len(e.LastLog) > 0 {
		fmt.Fprintf(w, "  whole log: flow logs %s\n", shellWord(string(run.ID())+"/"+e.Task))
	}
}

// write shows what changed in a part of a key: as a diff where it has several lines.
func (c *keyChange) write(w io.Writer, s view.Style) {
	text, values, ok := strings.Cut(c.Words, ": ")
	before, now, both := strings.Cut(values, " -> ")
	if ok && both {
		fmt.Fprintf(w, "    %s: %s -> %s\n", view.Clean(text), s.Red(view.Clean(before)), s.Green(view.Clean(now)))
	} else {
		fmt.Fprintf(w, "    %s\n", view.Clean(c.Words))
	}
	if c.Before == "" || c.Now == "" || c.Part != "script" && !strings.Contains(c.Before+c.Now, "\n") {
		return
	}
	lines := string(diff.Diff("before", []byte(c.Before), "now", []byte(c.Now)))
	for i, line := range strings.Split(strings.TrimRight(lines, "\n"), "\n") {
		if i < 3 || strings.HasPrefix(line, "@@") {
			continue // names of files that are none
		}
		line = view.Clean(line)
		switch {
		case strings.HasPrefix(line, "+"):
			line = s.Green(line)
		case strings.HasPrefix(line, "-"):
			line = s.Red(line)
		}
		fmt.Fprintf(w, "      %s\n", line)
	}
}
