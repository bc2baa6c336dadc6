package main

import (
	"fmt"
	"strings"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// shownInSummary is how many failed tasks a summary names.
const shownInSummary = 10

// sumUp says on stderr how a run ended, prints its outputs on stdout, and returns the
// error that carries its exit code.
func (a *app) sumUp(run *engine.Run) error {
	code := exitCodeOf(run.Status(), run.Cause())
	if run.Rests() {
		code = exitTimedOut
	}
	if !a.quiet || code != exitOK {
		fmt.Fprint(a.stderr, summary(run, a.errTerm(), a.now(), false))
	}
	a.github().ends(run, a.now())
	switch {
	case a.asJSON():
		if err := a.printJSON(runData(run, a.now())); err != nil && code == exitOK {
			return err
		}
	case run.Status().OK() && len(run.Results()) > 0:
		if err := a.printOutputs(run.Results()); err != nil && code == exitOK {
			return err
		}
	}
	return exit(code)
}

// summary is what a person is told of a run. One that has not ended is either driven by
// somebody, or was interrupted.
func summary(run *engine.Run, term view.Term, now time.Time, driven bool) string {
	s := term.Style
	created, ended := run.Times()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s ", s.Bold(view.Clean(run.Workflow().Name)), run.ID())
	pause, paused := run.Paused()
	switch {
	case paused:
		fmt.Fprintf(&b, "%s: %s", s.Bold(s.Yellow("paused")), view.Clean(pause.Reason))
	case run.Ended():
		fmt.Fprintf(&b, "%s after %s", s.Bold(s.Status(run.Status())), view.Duration(span(created, ended, now)))
	case driven:
		fmt.Fprintf(&b, "%s for %s", s.Bold(s.Status(run.Status())), view.Duration(span(created, ended, now)))
	case run.Info().Executor == batchExecutor:
		fmt.Fprintf(&b, "%s for %s, %s", s.Bold(s.Status(run.Status())), view.Duration(span(created, ended, now)), s.Yellow("nobody drives it"))
	default:
		b.WriteString(s.Bold(s.Yellow("interrupted")))
	}
	if run.Reason() != "" {
		fmt.Fprintf(&b, ": %s", view.Clean(run.Reason()))
	}
	b.WriteByte('\n')
	var counts view.Counts
	for _, v := range run.Steps() {
		for st, n := range v.Counts {
			counts[st] += n
		}
	}
	if total := counts.Total(); total > 0 {
		fmt.Fprintf(&b, "  %s: %s\n", view.Plural(total, "task"), counts.Words(s))
	}
	if text := costLine(run); text != "" {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	failures(&b, run, s)
	switch {
	case paused:
		pausedLines(&b, run)
	case !run.Ended() && !driven && run.Info().Executor == batchExecutor:
		undriven(&b, run, now)
	case !run.Ended() && !driven:
		fmt.Fprintf(&b, "  go on: flow resume %s\n", run.ID())
	case run.Status() == engine.Failed || run.Status() == engine.Cancelled:
		if counts[engine.Failed] > 0 {
			fmt.Fprintf(&b, "  logs:  flow logs %s -failed\n", run.ID())
		}
		fmt.Fprintf(&b, "  again: flow resume %s --failed\n", run.ID())
	}
	return b.String()
}

// undriven says how things are with a run in AWS Batch that nobody drives, and what to do.
func undriven(b *strings.Builder, run *engine.Run, now time.Time) {
	jobs, tasks := run.Alive()
	if jobs > 0 {
		fmt.Fprintf(b, "  %s\n", goOn(jobs, tasks))
	}
	held := run.Holds(now)
	for _, h := range held[:min(len(held), shownInSummary)] {
		fmt.Fprintf(b, "  held: %s: %s\n", view.Clean(string(h.Step)), view.Clean(h.Hold.Reason))
	}
	if more := len(held) - shownInSummary; more > 0 {
		fmt.Fprintf(b, "  … and %s more are held\n", view.Count(more))
	}
	switch {
	case len(held) > 0:
		fmt.Fprintf(b, "  what is held needs a driver: flow resume %s, or with --detach --driver\n", run.ID())
	case jobs > 0:
		fmt.Fprintf(b, "  follow: flow wait %s\n", run.ID())
	case run.WantsConclusion():
		fmt.Fprintf(b, "  all steps have ended; to publish the outputs: flow wait %s\n", run.ID())
	default:
		fmt.Fprintf(b, "  go on:  flow resume %s\n", run.ID())
	}
}

// failures names the tasks that failed, and steps that did without any of their tasks: first
// of steps that failed, then what is tolerated. Of many tasks it says the causes.
func failures(b *strings.Builder, run *engine.Run, s view.Style) {
	tasks := 0
	for _, v := range run.Steps() {
		tasks += v.Counts[engine.Failed]
	}
	list := failuresOf(run)
	line := func(name, why string) {
		fmt.Fprintf(b, "  %s %s: %s\n", s.Red("FAILED"), view.Clean(name), why)
	}
	for k := range list[:min(len(list), shownInSummary)] {
		f := &list[k]
		switch {
		case f.Tasks == 0:
			line(f.Step, view.Clean(f.Text))
		case tasks > shownInSummary && f.Tasks > 1:
			line(fmt.Sprintf("%s of %s, such as %s", view.Plural(f.Tasks, "task"), f.Step, f.Example), view.Clean(f.Text)+toleratedText(f))
		default:
			for i := range f.Indices.All() {
				t := run.Task(engine.StepName(f.Step), i)
				line(t.Name, failedText(run, &t)+toleratedText(f))
			}
		}
	}
	if more := len(list) - shownInSummary; more > 0 {
		fmt.Fprintf(b, "  … and for %s\n", view.Plural(more, "more cause"))
	}
	if tasks > shownInSummary {
		fmt.Fprintf(b, "  each:  flow status %s\n", shellWord(string(run.ID())+"/"+list[0].Step))
	}
}

func toleratedText(f *page.RunFailure) string {
	if f.Tolerated {
		return " (tolerated)"
	}
	return ""
}
