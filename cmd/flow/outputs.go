package main

import (
	"encoding/json"
	"fmt"
	"path"
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
	return outputTable(results).Write(a.stdout, a.outTerm())
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

func outputTable(results []engine.Result) *view.Table {
	table := &view.Table{Header: []string{"OUTPUT", "VALUE", "PUBLISHED"}}
	for i := range results {
		r := &results[i]
		value := "(sensitive)"
		if !r.Sensitive {
			value = view.Clean(valueText(r.Value))
		}
		table.Add(view.Clean(r.Name), value, view.Clean(strings.Join(publishedAt(r), " ")))
	}
	return table
}

// valueText writes a value: a string as it is, everything else as JSON.
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
