package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// newSchedule builds what has to do with the schedules of workflows.
func newSchedule(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "See and steer what runs by schedule",
		Long: `See and steer the schedules of workflows: the blocks "schedule" in their files, which
flow serve fires. NAME is a schedule as WORKFLOW/SCHEDULE, or SCHEDULE alone where only one
workflow has one of that name. What no service has seen yet is looked for in the workflow here,
or at --path.

  flow schedule next -n 5                      when runs begin
  flow schedule history nightly/daily          what became of each slot
  flow schedule backfill daily --from 2026-01-01 --to 2026-02-01 --max-parallel 3`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScheduleList(a), newScheduleNext(a), newScheduleHistory(a), newSchedulePause(a), newScheduleResume(a), newScheduleTrigger(a), newScheduleBackfill(a),
		newScheduleDeploy(a), newScheduleUndeploy(a), newScheduleHead(a))
	return cmd
}

// scheduleHere is the workflow whose schedules are meant where the state does not know them.
type scheduleHere struct{ path string }

func (h *scheduleHere) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.path, "path", "", "the workflow's `FILE` or directory, for a schedule that no service has seen (default: here)")
}

// openSchedule opens the state to be written, and finds a schedule in it by name. One that is
// not there, and that the workflow here has, is put there first. The caller closes the state.
func (a *app) openSchedule(ctx context.Context, name string, h scheduleHere) (*state.DB, state.Schedule, error) {
	db, err := a.openState(false)
	if err != nil {
		return nil, state.Schedule{}, err
	}
	sch, err := a.scheduleIn(ctx, db, name, h)
	if err != nil {
		return nil, sch, errors.Join(err, db.Close())
	}
	return db, sch, nil
}

func (a *app) scheduleIn(ctx context.Context, db *state.DB, name string, h scheduleHere) (state.Schedule, error) {
	sch, missing := db.Schedule(ctx, name)
	if missing == nil || !errors.Is(missing, engine.ErrNotFound) {
		return sch, missing
	}
	program, path, err := a.workflowHere(h.path)
	if err != nil {
		return sch, err
	}
	if program == nil {
		return sch, fmt.Errorf("%w. Go to the directory of the workflow that has it, or give -path", missing)
	}
	wf := program.Workflow
	if len(wf.Schedules) == 0 {
		return sch, fmt.Errorf("%w, and the workflow in %s has none", missing, path)
	}
	if err := db.NoteSchedules(ctx, path, wf.Name, wf.Schedules, nil); err != nil {
		return sch, err
	}
	return db.Schedule(ctx, name)
}

// workflowHere reads the workflow at a path, or, with "", the one here; nil: there is none here.
// Mistakes in it are printed.
func (a *app) workflowHere(path string) (*dsl.Program, string, error) {
	abs, err := filepath.Abs(pathOr(path, "."))
	if err != nil {
		return nil, "", err
	}
	if path == "" && !hasWorkflow(abs) {
		return nil, abs, nil
	}
	program, _, mistakes, err := a.read(abs)
	if err != nil {
		return nil, abs, err
	}
	if mistakes.HasErrors() {
		a.report(program.Workflow.Dir, program.Files, mistakes)
		return nil, abs, exit(exitProblem)
	}
	return program, abs, nil
}

func pathOr(path, other string) string {
	if path == "" {
		return other
	}
	return path
}

// hasWorkflow reports whether a directory has files of a workflow.
func hasWorkflow(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if !e.IsDir() && dsl.IsWorkflowFile(e.Name()) {
			return true
		}
	}
	return false
}

// completeSchedules completes NAME.
func (a *app) completeSchedules(cmd *cobra.Command, argv []string, _ string) (words []string, how cobra.ShellCompDirective) {
	how = cobra.ShellCompDirectiveNoFileComp
	if len(argv) > 0 {
		return nil, how
	}
	db, err := a.openState(true)
	if err != nil {
		return nil, how
	}
	defer db.Close()
	all, err := db.Schedules(cmd.Context())
	if err != nil {
		return nil, how
	}
	for i := range all {
		words = append(words, all[i].Full())
	}
	return words, how
}
