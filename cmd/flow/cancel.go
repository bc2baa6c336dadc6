package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flow/engine"
	"flow/state"
)

const (
	cancelPoll  = 100 * time.Millisecond // how often flow cancel looks whether the run has ended
	holderEvery = time.Second            // and whether somebody drives it
)

func newCancel(a *app) *cobra.Command {
	var reason string
	var noWait bool
	cmd := &cobra.Command{
		Use:     "cancel RUN",
		Aliases: []string{"stop"},
		Short:   "Stop a run for good: nothing more starts, what runs is terminated",
		Long: `Cancel a run: nothing more is started, and what runs is terminated. The process that
drives the run is asked to do so; if there is none, this command does it itself. It waits
until the run has ended. What has succeeded is kept; flow resume RUN --failed goes on.

Of a run on AWS Batch every job is asked to end, an array by a single call; that none of
its tasks is alive any more is then verified by listing its jobs.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.cancel(cmd.Context(), argv[0], reason, noWait)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "cancelled by the user", "`TEXT` that is kept with the run")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "ask the process that drives the run, and do not wait")
	return cmd
}

func (a *app) cancel(ctx context.Context, ref, reason string, noWait bool) error {
	db, err := a.openState(false)
	if err != nil {
		return err
	}
	defer db.Close()
	row, err := db.FindRun(ctx, ref)
	if err != nil {
		return err
	}
	if !row.Ended.IsZero() {
		a.say("run %s has ended already: %s", row.ID, row.Status)
		return a.cancelled(row)
	}
	verify, err := a.verifier(ctx, db, row)
	if err != nil {
		return err
	}
	if _, err := db.AddRequest(ctx, row.ID, state.RequestCancel, reason); err != nil {
		return err
	}
	var asked time.Time
	said := false
	for {
		if row, err = db.Run(ctx, row.ID); err != nil {
			return err
		}
		if !row.Ended.IsZero() {
			a.say("run %s is %s", row.ID, row.Status)
			if err := verify(ctx); err != nil {
				return err
			}
			return a.cancelled(row)
		}
		if now := a.now(); now.Sub(asked) > holderEvery {
			asked = now
			held, err := db.Holder(ctx, row.ID)
			switch {
			case err != nil:
				return err
			case held != nil && held.Owner.Looks():
				asked = time.Time{} // nobody has the wish yet, and that is soon over
			case held == nil:
				if err := a.cancelUndriven(ctx, db, row); err != nil {
					return err
				}
				continue
			case noWait:
				a.say("asked process %d on %s to cancel run %s", held.Owner.PID, held.Owner.Host, row.ID)
				return nil
			case !said:
				said = true
				a.say("asked process %d on %s to cancel run %s; waiting until it has ended", held.Owner.PID, held.Owner.Host, row.ID)
			}
		}
		select {
		case <-ctx.Done():
			a.say("run %s was asked to end, and goes on doing so", row.ID)
			return exit(exitInterrupted)
		case <-time.After(cancelPoll):
		}
	}
}

// cancelUndriven drives a run that nobody else drives: the driver finds the wish to cancel it.
func (a *app) cancelUndriven(ctx context.Context, db *state.DB, row state.Run) error {
	s, err := a.takeUp(ctx, db, row, &runFlags{}, true)
	var held *state.HeldError
	if errors.As(err, &held) {
		return nil // somebody was faster, and has the wish
	}
	if err != nil {
		return err
	}
	_, err = s.drive(ctx, fmt.Sprintf("nobody drives run %s; ending it from here", row.ID))
	return err
}

// cancelled reports a run that has ended.
func (a *app) cancelled(row state.Run) error {
	if a.asJSON() {
		return a.printJSON(map[string]any{"run": row.ID, "status": row.Status, "reason": row.Reason})
	}
	return nil
}

// errTemplate is the template of a run that only ends, and lacks values of sensitive
// variables: it evaluates nothing.
type errTemplate struct{}

var errEvaluates = errors.New("a run that is being cancelled evaluates nothing")

func (errTemplate) Expand(engine.StepName, engine.Scope) (*engine.Expansion, error) {
	return nil, errEvaluates
}

func (errTemplate) Results(engine.Scope) ([]engine.Result, error) { return nil, errEvaluates }
