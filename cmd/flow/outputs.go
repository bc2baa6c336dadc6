package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

func newOutputs(a *app) *cobra.Command {
	var raw string
	cmd := &cobra.Command{
		Use:   "outputs [RUN]",
		Short: "Print the output values of a run",
		Long: `Print the values of a run's outputs and where they were published. Without RUN the newest
run is taken. Sensitive values are not kept, and so not printed.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			t, err := targetOf(argv)
			if err != nil {
				return err
			}
			past, err := a.openRun(cmd.Context(), t.run)
			if err != nil {
				return err
			}
			defer past.close()
			return a.outputsOf(past.run, raw)
		},
	}
	cmd.Flags().StringVar(&raw, "raw", "", "print only the value of output `NAME`, a string without quotes")
	return cmd
}

func (a *app) outputsOf(run *engine.Run, raw string) error {
	results := run.Results()
	switch {
	case raw != "":
		return a.printRaw(run, raw)
	case a.asJSON():
		return a.printJSON(outputsData(results))
	case len(results) == 0 && !run.Status().OK():
		a.say("run %s is %s: outputs are known when it has succeeded", run.ID(), run.Status())
		return nil
	case len(results) == 0:
		a.say("workflow %s has no outputs", run.Workflow().Name)
		return nil
	}
	return a.printOutputs(results)
}

// printOutputs prints outputs: for a person as they can be used at once, in a pipe as a
// table of name, value, and where it was published.
func (a *app) printOutputs(results []engine.Result) error {
	if term := a.outTerm(); term.TTY {
		_, err := io.WriteString(a.stdout, outputsText(results, term.Style))
		return err
	}
	table := &view.Table{}
	for i := range results {
		r := &results[i]
		table.Add(view.Clean(r.Name), view.Clean(outputText(r)), view.Clean(strings.Join(publishedAt(r), " ")))
	}
	return table.Write(a.stdout, view.Term{})
}

// shownElements is how many elements of a list a person is shown.
const shownElements = 10

// outputsText shows outputs to a person: of each where it was published, or else its
// value; a path or an element of a list on a line of its own, and never cut.
func outputsText(results []engine.Result, s view.Style) string {
	names := 0
	for i := range results {
		names = max(names, view.Width(view.Clean(results[i].Name)))
	}
	var b strings.Builder
	for i := range results {
		r := &results[i]
		lines := publishedAt(r)
		if len(lines) == 0 {
			var list []string
			if json.Unmarshal(r.Value, &list) == nil && len(list) > 0 {
				lines = list
			} else {
				lines = []string{outputText(r)}
			}
		}
		if more := len(lines) - shownElements; more > 0 {
			lines = append(slices.Clone(lines[:shownElements]), fmt.Sprintf("… and %s more", view.Count(more)))
		}
		name := view.Pad(view.Clean(r.Name), names, false)
		for k, line := range lines {
			if k > 0 {
				name = strings.Repeat(" ", names)
			}
			fmt.Fprintf(&b, "%s  %s\n", s.Bold(name), view.Clean(line))
		}
	}
	return b.String()
}

// printRaw prints one value, without a newline behind it.
func (a *app) printRaw(run *engine.Run, name string) error {
	names := []string{}
	for _, r := range run.Results() {
		if r.Name != name {
			names = append(names, r.Name)
			continue
		}
		if r.Sensitive {
			return fmt.Errorf("output %q is sensitive: its value is not kept", name)
		}
		_, err := fmt.Fprint(a.stdout, valueText(r.Value))
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("run %s is %s and has no outputs", run.ID(), run.Status())
	}
	return fmt.Errorf("run %s has no output %q; it has: %s", run.ID(), name, nearby(name, names))
}

// outputText writes the value of an output.
func outputText(r *engine.Result) string {
	switch {
	case r.Sensitive:
		return "(sensitive)"
	case string(r.Value) == "null":
		return "null"
	}
	return valueText(r.Value)
}

// valueText writes a value: a string as it is, null as nothing, everything else as JSON.
func valueText(value json.RawMessage) string {
	var s string
	if err := json.Unmarshal(value, &s); err == nil {
		return s
	}
	return string(value)
}

// publishedAt returns where the files of an output were published.
func publishedAt(r *engine.Result) []string {
	if r.Publish == "" {
		return nil
	}
	if len(r.Files) == 1 && !strings.HasSuffix(r.Publish, "/") {
		return []string{r.Publish}
	}
	var out []string
	for _, f := range r.Files {
		out = append(out, strings.TrimSuffix(r.Publish, "/")+"/"+path.Base(f))
	}
	return out
}
