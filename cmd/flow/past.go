package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/runstat"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// A past is a run as its events tell it, to be looked at.
type past struct {
	db      *state.DB
	row     state.Run
	program *dsl.Program
	run     *engine.Run

	log      *runstat.Log      // see told
	arranged *draw.Arrangement // of its graph; nil: it was not drawn yet
}

// openRun finds a run and folds its events.
func (a *app) openRun(ctx context.Context, ref string) (*past, error) {
	db, err := a.openState(true)
	if err != nil {
		return nil, err
	}
	p := &past{db: db}
	if p.row, err = db.FindRun(ctx, ref); err == nil {
		err = p.load(ctx, a)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

func (p *past) load(ctx context.Context, a *app) (err error) {
	if p.program, err = a.storedProgram(ctx, p.db, p.row); err != nil {
		return err
	}
	driver := engine.Driver{Workflow: a.boundWorkflow(ctx, p), Log: p.db}
	p.run, err = driver.Load(ctx, p.row.ID)
	return err
}

// refresh takes in what has happened since.
func (p *past) refresh(ctx context.Context) error {
	_, err := p.news(ctx)
	return err
}

// news takes in what has happened since, and returns it.
func (p *past) news(ctx context.Context) (events []engine.Event, err error) {
	for e, err := range p.db.Events(ctx, p.row.ID, p.run.Seq()) {
		if err != nil {
			return events, err
		}
		if err := p.run.Apply(e); err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

func (p *past) close() error { return p.db.Close() }

// grows reports whether more tasks of the target may become known.
func (p *past) grows(t target) bool {
	if p.run.Ended() {
		return false
	}
	for _, v := range p.run.Steps() {
		if (t.step == "" || v.Step.Name == t.step) && v.Size < 0 && !v.Status.Ended() {
			return true
		}
	}
	return false
}

// holderTimeout is how long to wait for the state file to learn who drives a run.
const holderTimeout = 500 * time.Millisecond

// holder returns who drives the run; nil if nobody does, or if it cannot be told. Who only
// looks at it drives nothing.
func (p *past) holder(ctx context.Context) *state.HeldError {
	db, err := state.Open(p.db.Path(), state.Options{BusyTimeout: holderTimeout})
	if err != nil {
		return nil // the file cannot be written here
	}
	defer db.Close()
	held, err := db.Holder(ctx, p.row.ID)
	if err != nil || held != nil && held.Owner.Looks() {
		return nil
	}
	return held
}

// completeRuns completes RUN arguments with the newest runs.
func (a *app) completeRuns(cmd *cobra.Command, argv []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(argv) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	db, err := a.openState(true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer db.Close()
	words := []string{lastRun + "\tthe newest run"}
	runs, _ := db.Runs(cmd.Context(), state.RunFilter{Limit: 20})
	for _, r := range runs {
		words = append(words, fmt.Sprintf("%s\t%s %s, %s", r.ID, r.Workflow, r.Status, ago(r.Created, a.now())))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
