package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flow/dsl"
	"flow/engine"
)

// registerReplace gives a command the flag -replace.
func (a *app) registerReplace(cmd *cobra.Command, f *runFlags) {
	cmd.Flags().StringArrayVar(&f.replace, "replace", nil, "run `STEP` and all that depends on it, even if results are known (repeatable)")
	_ = cmd.RegisterFlagCompletionFunc("replace", a.completeSteps) // the flag is there
}

// replaced returns the steps of -replace, each once.
func (f *runFlags) replaced(wf *engine.Workflow) (steps []engine.StepName, err error) {
	for _, name := range f.replace {
		if wf.Step(engine.StepName(name)) == nil {
			names := make([]string, len(wf.Steps))
			for i, s := range wf.Steps {
				names[i] = string(s.Name)
			}
			hint := dsl.Suggest(name, names)
			if hint == "" {
				hint = " There are " + strings.Join(names, ", ") + "."
			}
			return nil, fmt.Errorf("-replace: workflow %s has no step %q.%s", wf.Name, name, hint)
		}
		if !slices.Contains(steps, engine.StepName(name)) {
			steps = append(steps, engine.StepName(name))
		}
	}
	return steps, nil
}

// completeSteps completes the names of the steps of the workflow that is named already, or is
// here.
func (a *app) completeSteps(_ *cobra.Command, argv []string, _ string) ([]string, cobra.ShellCompDirective) {
	program, _, _, err := a.read(pathOf(argv))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, s := range program.Workflow.Steps {
		words = append(words, string(s.Name))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
