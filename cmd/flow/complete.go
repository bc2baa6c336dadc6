package main

import (
	"strings"

	"github.com/spf13/cobra"

	"flow/engine"
)

// mostCompleted is how many keys of a step a shell is given to choose from.
const mostCompleted = 100

// completeTargets completes RUN, RUN/STEP and RUN/STEP[KEY].
func (a *app) completeTargets(cmd *cobra.Command, argv []string, word string) ([]string, cobra.ShellCompDirective) {
	ref, rest, inRun := strings.Cut(word, "/")
	if !inRun || len(argv) > 0 {
		words, how := a.completeRuns(cmd, argv, word)
		return words, how | cobra.ShellCompDirectiveNoSpace
	}
	p, err := a.openRun(cmd.Context(), ref)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer p.close()
	name, _, inStep := strings.Cut(rest, "[")
	if !inStep {
		return stepWords(p.run, ref), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return keyWords(p.run, ref, engine.StepName(name)), cobra.ShellCompDirectiveNoFileComp
}

// stepWords returns RUN/STEP for the steps of a run.
func stepWords(run *engine.Run, ref string) (words []string) {
	for _, v := range run.Steps() {
		words = append(words, ref+"/"+string(v.Step.Name)+"\t"+v.Status.String())
	}
	return words
}

// keyWords returns RUN/STEP[KEY] for the first tasks of a step.
func keyWords(run *engine.Run, ref string, name engine.StepName) (words []string) {
	step := run.Workflow().Step(name)
	if step == nil || !step.FanOut {
		return nil
	}
	for i := range min(run.StepStatus(name).Size, mostCompleted) {
		t := run.Task(name, i)
		words = append(words, ref+"/"+string(name)+"["+t.Key+"]\t"+t.Status.String())
	}
	return words
}
