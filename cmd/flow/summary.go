package main

import (
	"fmt"
	"strings"
	"time"

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

// failures names the tasks that failed, and steps that did without any of their tasks.
func failures(b *strings.Builder, run *engine.Run, s view.Style) {
	shown, more := 0, 0
	line := func(name, why string) {
		if shown == shownInSummary {
			more++
			return
		}
		shown++
		fmt.Fprintf(b, "  %s %s: %s\n", s.Red("FAILED"), view.Clean(name), why)
	}
	for _, v := range run.Steps() {
		if v.Status == engine.Failed && v.Counts[engine.Failed] == 0 {
			line(string(v.Step.Name), whyText(nil, v.Reason, ""))
		}
		for i := range run.Select(v.Step.Name, engine.Failed).All() {
			t := run.Task(v.Step.Name, i)
			line(t.Name, failedText(run, &t))
		}
	}
	if more > 0 {
		fmt.Fprintf(b, "  … and %s more: flow status %s\n", view.Count(more), run.ID())
	}
}
