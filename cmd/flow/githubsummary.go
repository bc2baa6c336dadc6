package main

import (
	"fmt"
	"html"
	"strings"
	"time"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// mostSummarySteps and mostGroups bound what a summary is about: GitHub takes 1 MiB.
const mostSummarySteps = 200

// githubSummary is what a person reads about a run on the page of a job, in Markdown.
func githubSummary(run *engine.Run, now time.Time) string {
	created, ended := run.Times()
	var b strings.Builder
	fmt.Fprintf(&b, "### %s %s after %s\n\n", markdown(run.Workflow().Name), run.Status(), view.Duration(span(created, ended, now)))
	var counts view.Counts
	for _, v := range run.Steps() {
		for st, n := range v.Counts {
			counts[st] += n
		}
	}
	fmt.Fprintf(&b, "Run `%s`, %s: %s.", run.ID(), view.Plural(counts.Total(), "task"), counts.Words(view.Style{}))
	for _, text := range []string{run.Reason(), costLine(run)} {
		if text != "" {
			b.WriteString(" " + markdown(text) + ".")
		}
	}
	b.WriteString("\n\n")
	summarySteps(&b, run, now)
	summaryFailures(&b, run)
	if results := run.Results(); len(results) > 0 {
		fmt.Fprintf(&b, "Outputs:\n\n<pre>%s</pre>\n\n", html.EscapeString(outputsText(results, view.Style{})))
	}
	if run.Status() == engine.Failed || run.Status() == engine.Cancelled {
		fmt.Fprintf(&b, "Again: `flow resume %s --failed`\n", run.ID())
	}
	return b.String()
}

// summarySteps writes the table of steps.
func summarySteps(b *strings.Builder, run *engine.Run, now time.Time) {
	steps := run.Steps()
	b.WriteString("| Step | Status | Done | Failed | Time |\n|:--|:--|--:|--:|--:|\n")
	for _, v := range steps[:min(len(steps), mostSummarySteps)] {
		c := view.Counts(v.Counts)
		done, failed, took := "", "", ""
		if v.Size >= 0 {
			done = view.Count(c.Done()) + "/" + view.Count(v.Size)
		}
		if n := c[engine.Failed]; n > 0 {
			failed = view.Count(n)
		}
		if d := span(v.Started, v.Ended, now); d > 0 && !v.Started.IsZero() {
			took = view.Duration(d)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", markdown(string(v.Step.Name)), v.Status, done, failed, took)
	}
	if more := len(steps) - mostSummarySteps; more > 0 {
		fmt.Fprintf(b, "\n… and %s.\n", view.Plural(more, "more step"))
	}
	b.WriteString("\n")
}

// summaryFailures writes the table of what failed, by cause.
func summaryFailures(b *strings.Builder, run *engine.Run) {
	rows := 0
	for _, v := range run.Steps() {
		if v.Counts[engine.Failed] == 0 {
			continue
		}
		groups := runstat.Failures(run, v.Step.Name)
		for _, g := range groups[:min(len(groups), mostGroups)] {
			if rows == mostSummarySteps {
				b.WriteString("\n")
				return
			}
			if rows++; rows == 1 {
				b.WriteString("| Failed | Step | Why | Look closer |\n|--:|:--|:--|:--|\n")
			}
			look := "flow explain " + shellWord(string(run.ID())+"/"+g.Example)
			fmt.Fprintf(b, "| %s | %s | %s | <code>%s</code> |\n", view.Count(g.Tasks), markdown(string(v.Step.Name)), markdown(g.Text), markdown(look))
		}
	}
	if rows > 0 {
		b.WriteString("\n")
	}
}

// markdown returns text as it stands on one line of Markdown, or in a cell of a table: each
// sign that could mean something is a character reference, which means itself.
// https://spec.commonmark.org/0.31.2/#entity-and-numeric-character-references
func markdown(text string) string {
	var b strings.Builder
	for _, r := range view.Clean(text) {
		if r < 0x80 && strings.ContainsRune("!\"#$%&'()*+:;<=>?@[\\]^_`{|}~", r) {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "www.", "www&#46;") // which GitHub makes a link of
}
