package main

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	"flow/engine"
	"flow/engine/schedule"
)

func newValidate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Check a workflow: syntax, names, types, graph, scripts",
		Long: `Check the workflow at PATH (a file or a directory; default: here) as far as that can be
done without the values of its variables: syntax, names, types, references, the graph,
the scripts. All mistakes are reported at once. It needs neither the network nor the
files that the workflow works on. -json has the form of terraform validate -json.`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, argv []string) error { return a.validate(pathOf(argv)) },
	}
}

func (a *app) validate(path string) error {
	dir, sources, err := dsl.Read(path)
	if err != nil {
		return err
	}
	program, diags := dsl.Load(dir, sources)
	if a.asJSON() {
		a.github().diagnostics(dir, diags)
		out, err := dsl.JSON(program.Files, diags)
		if err != nil {
			return err
		}
		if _, err := a.stdout.Write(out); err != nil {
			return err
		}
		if diags.HasErrors() {
			return exit(exitProblem)
		}
		return nil
	}
	if len(diags) > 0 {
		a.diagnose(dir, program.Files, diags)
	}
	if diags.HasErrors() {
		return exit(exitProblem)
	}
	wf := program.Workflow
	_, err = fmt.Fprintf(a.stdout, "%s is valid: workflow %s, %s, %s\n", path, wf.Name, view.Plural(len(wf.Steps), "step"), view.Plural(len(program.Variables), "variable"))
	for _, s := range wf.Schedules {
		if err == nil {
			_, err = fmt.Fprintf(a.stdout, "schedule %s: %s\n", s.Name, nextWords(s, time.Now()))
		}
	}
	return err
}

// nextWords says when a schedule is due after now, as the clocks of its time zone show it.
func nextWords(s *engine.Schedule, now time.Time) string {
	times, err := schedule.Parse(s)
	if err != nil {
		return err.Error()
	}
	next := times.Next(now)
	words := "never due"
	if !next.IsZero() {
		words = "next at " + next.Format("2006-01-02 15:04 -07:00") + ", " + s.TimeZone
	}
	if s.Disabled {
		words += " (off: enabled = false)"
	}
	return words
}

// load reads and checks a workflow. Its mistakes are printed.
func (a *app) load(path string) (*dsl.Program, error) {
	dir, sources, err := dsl.Read(path)
	if err != nil {
		return nil, err
	}
	return a.loadSources(dir, sources)
}

// read reads and checks a workflow whose mistakes the caller reports.
func (a *app) read(path string) (*dsl.Program, []dsl.Source, hcl.Diagnostics, error) {
	dir, sources, err := dsl.Read(path)
	if err != nil {
		return nil, nil, nil, err
	}
	program, diags := dsl.Load(dir, sources)
	return program, sources, diags, nil
}

func (a *app) loadSources(dir string, sources []dsl.Source) (*dsl.Program, error) {
	program, diags := dsl.Load(dir, sources)
	a.report(dir, program.Files, diags)
	if diags.HasErrors() {
		return nil, exit(exitProblem)
	}
	return program, nil
}

// report prints diagnostics of a workflow in dir, if there are any; with -quiet warnings only
// beside errors.
func (a *app) report(dir string, files map[string]*hcl.File, diags hcl.Diagnostics) {
	if len(diags) > 0 && (!a.quiet || diags.HasErrors()) {
		a.diagnose(dir, files, diags)
	}
}

// diagnose prints diagnostics on stderr, and how many there are. Names of files are relative
// to dir.
func (a *app) diagnose(dir string, files map[string]*hcl.File, diags hcl.Diagnostics) {
	term := a.errTerm()
	_ = dsl.WriteText(a.stderr, files, diags, term.Columns(), term.Style.Color) // nobody may be reading
	a.github().diagnostics(dir, diags)
}
