package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/workdir"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// A recovery is one invocation of flow recover.
type recovery struct {
	*app
	site     dsl.Site // region and profile
	workflow string   // where the workflow's files are now; "": where they were
}

func newRecover(a *app) *cobra.Command {
	r := &recovery{app: a}
	cmd := &cobra.Command{
		Use:   "recover DIR/RUN | DIR",
		Short: "Take up a run whose state file is lost",
		Long: `Make a run of what is beside the files of its tasks, when the state file that knew it
is lost. DIR is a work_dir, a directory or s3://bucket/prefix. Then flow resume RUN
goes on: what has succeeded does not run again, attempts are numbered on, and jobs of
before that live still are ended. Without RUN the runs that are there are listed.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, argv []string) error { return r.run(cmd.Context(), argv[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&r.site.Region, "region", "", "AWS `REGION` of the bucket (default: that of the environment)")
	flags.StringVar(&r.site.Profile, "profile", "", "`PROFILE` of the AWS configuration")
	flags.StringVar(&r.workflow, "workflow", "", "the workflow's files, which relative paths are relative to, are in `DIR` now")
	return cmd
}

func (r *recovery) run(ctx context.Context, arg string) error {
	dir, err := absDir(arg)
	if err != nil {
		return err
	}
	path, run, err := workdir.Split(dir)
	if err != nil {
		return r.list(ctx, workdir.Dir{Path: dir, Store: r.store(r.site)})
	}
	rec, err := workdir.Dir{Path: path, Store: r.store(r.site)}.Get(ctx, run)
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("no run can be recovered: %w. %s lists what is there", err, "flow recover "+shellWord(path))
	}
	if err != nil {
		return err
	}
	return r.recover(ctx, rec)
}

// A recoveredJSON is a run in a work_dir.
type recoveredJSON struct {
	Run      string    `json:"run"`
	Workflow string    `json:"workflow"`
	Created  time.Time `json:"created"`
	Executor string    `json:"executor"`
	WorkDir  string    `json:"work_dir"`
	Dir      string    `json:"dir"`   // of the workflow's files
	Known    bool      `json:"known"` // the state file has it
}

func recoveredData(rec *workdir.Record, known bool) recoveredJSON {
	return recoveredJSON{string(rec.Info.Run), rec.Info.Workflow, rec.Created, rec.Info.Executor, rec.Info.WorkDir, rec.Dir, known}
}

// recover makes the run in the state.
func (r *recovery) recover(ctx context.Context, rec *workdir.Record) error {
	run := rec.NewRun(r.now())
	if r.workflow != "" {
		dir, err := filepath.Abs(r.workflow)
		if err != nil {
			return err
		}
		run.Dir = dir
	}
	// A flow that cannot read the workflow must not make a run of it.
	sources := make([]dsl.Source, len(run.Sources))
	for i, src := range run.Sources {
		sources[i] = dsl.Source(src)
	}
	if _, err := r.loadSources(run.Dir, sources); err != nil {
		return err
	}
	db, err := r.openState(false)
	if err != nil {
		return err
	}
	err = db.CreateRun(ctx, run)
	if errors.Is(err, engine.ErrConflict) {
		err = fmt.Errorf("run %s is in the state file %s: nothing of it is lost. Go on with: flow resume %[1]s", run.Info.Run, db.Path())
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if r.asJSON() {
		rec.Dir = run.Dir
		return r.printJSON(recoveredData(rec, true))
	}
	r.say("run %s of %s, created %s, is recovered: what its tasks have left counts. Go on with: flow resume %[1]s",
		run.Info.Run, view.Clean(run.Info.Workflow), rec.Created.Format(time.RFC3339))
	if _, err := os.Stat(run.Dir); err != nil {
		r.say("note: its workflow was in %s, which is not here; relative paths of inputs are relative to that, or to what -workflow says", view.Clean(run.Dir))
	}
	return nil
}

// list shows the runs of a work_dir.
func (r *recovery) list(ctx context.Context, dir workdir.Dir) error {
	records, err := dir.List(ctx, func(id engine.RunID, err error) { r.say("run %s: %s", id, firstLineOf(err)) })
	if err != nil {
		return fmt.Errorf("the runs in %s cannot be listed: %w", dir.Path, err)
	}
	known, err := r.known(ctx)
	if err != nil {
		return err
	}
	list := []recoveredJSON{}
	table := &view.Table{Header: []string{"RUN", "WORKFLOW", "CREATED", "EXECUTOR", "WHAT"}}
	for _, rec := range records {
		what := "can be recovered"
		if known[rec.Info.Run] {
			what = "is in the state file"
		}
		list = append(list, recoveredData(rec, known[rec.Info.Run]))
		table.Add(string(rec.Info.Run), view.Clean(rec.Info.Workflow), rec.Created.Format(time.RFC3339), rec.Info.Executor, what)
	}
	switch {
	case r.asJSON():
		return r.printJSON(list)
	case len(list) == 0:
		r.say("there are no runs in %s", view.Clean(dir.Path))
		return nil
	}
	return table.Write(r.stdout, r.outTerm())
}

// known returns the runs that the state file has, if there is one.
func (r *recovery) known(ctx context.Context) (map[engine.RunID]bool, error) {
	db, err := r.openState(true)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer db.Close()
	runs, err := db.Runs(ctx, state.RunFilter{})
	known := make(map[engine.RunID]bool, len(runs))
	for _, row := range runs {
		known[row.ID] = true
	}
	return known, err
}
