package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"flow/engine"
	"flow/state"
)

func newResume(a *app) *cobra.Command {
	f := &runFlags{}
	var failed bool
	var maxUSD float64
	var from, only string
	cmd := &cobra.Command{
		Use:     "resume RUN",
		Aliases: []string{"retry"},
		Short:   "Go on with a run: after an interruption, or with what failed",
		Long: `Go on with a run, as its workflow was when it was started: take in what has finished,
adopt what still runs in AWS Batch, and run what is missing. What has succeeded does not
run again.

A run that has ended goes on only if told what to do again: the tasks that failed, with
what was skipped because of them (-failed); a step with all that depends on it (-from);
or just one step (-only). A run that is paused since it is over its budget may cost as much
once more, or what -max-usd says. Variables keep their values; sensitive ones are not kept, and
have to be given again.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.check(cmd.CommandPath()); err != nil {
				return err
			}
			if maxUSD < 0 || cmd.Flags().Changed("max-usd") && maxUSD == 0 || maxUSD > 1e9 {
				return errUsage(cmd.CommandPath(), "-max-usd takes an amount of US dollars, such as 5 or 0.50")
			}
			f.maxUSD = engine.Money(math.Round(maxUSD * float64(engine.USD)))
			redo := engine.Redo{Failed: failed, From: engine.StepName(from), Only: engine.StepName(only)}
			return a.resume(cmd.Context(), argv[0], redo, f)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&maxUSD, "max-usd", 0, "let the run cost `USD` in all (default: of one that is over its budget, that once more)")
	flags.BoolVar(&failed, "failed", false, "run again what failed, and what was skipped or cancelled because of it")
	flags.StringVar(&from, "from", "", "run `STEP` again, and all that depends on it")
	flags.StringVar(&only, "only", "", "run `STEP` again, and nothing else")
	f.vars.register(flags)
	flags.StringVar(&f.site, "site", "", "go on with site `NAME` of flow.config.hcl (default: that of the run)")
	f.batch.registerPlace(flags)
	f.machine.register(flags)
	f.leave.register(flags)
	flags.BoolVar(&f.background, "background", false, "be the process that --detach --driver leaves behind")
	flags.Lookup("background").Hidden = true
	cmd.MarkFlagsMutuallyExclusive("failed", "from", "only")
	return cmd
}

func (a *app) resume(ctx context.Context, ref string, redo engine.Redo, f *runFlags) error {
	db, err := a.openState(false)
	if err != nil {
		return err
	}
	defer db.Close()
	row, err := db.FindRun(ctx, ref)
	if err != nil {
		return err
	}
	if err := f.leave.find(ctx, db); err != nil {
		return err
	}
	s, err := a.takeUpSoon(ctx, db, row, f)
	if err != nil {
		return err
	}
	if more := redo != (engine.Redo{}); more || !row.Status.Ended() && !f.background {
		if err := s.applied(ctx, s.pathOfRun()); err != nil {
			return errors.Join(err, s.lease.Release(ctx))
		}
	}
	// Whoever left a driver behind has said what the run may cost.
	grants := !f.background && (s.workflow.Budget != nil || f.maxUSD > 0)
	if grants && s.executor == localExecutor && f.maxUSD > 0 {
		return errors.Join(errUsage("flow resume", "-max-usd: run %s is on this machine, where tasks cost nothing", s.id), s.lease.Release(ctx))
	}
	if redo != (engine.Redo{}) || grants {
		s.prepare = func(ctx context.Context, d *engine.Driver) error {
			if redo != (engine.Redo{}) {
				if err := s.redo(ctx, d, redo, f.maxUSD); err != nil {
					return err
				}
			}
			if !grants {
				return nil
			}
			return s.grant(ctx, d, f.maxUSD)
		}
	}
	return s.finish(ctx, f, fmt.Sprintf("run %s of %s%s goes on", s.id, s.program.Workflow.Name, s.onSite()))
}

// takeUpSoon is takeUp, and waits for a process that only looks at the run: that is soon over,
// or AWS Batch does not answer.
func (a *app) takeUpSoon(ctx context.Context, db *state.DB, row state.Run, f *runFlags) (*session, error) {
	until := a.now().Add(lookTimeout)
	for {
		s, err := a.takeUp(ctx, db, row, f, false)
		var held *state.HeldError
		if !errors.As(err, &held) || !held.Owner.Looks() || a.now().After(until) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(cancelPoll):
		}
	}
}

// redo makes parts of the run go again, unless it has cost max already; 0: that does not
// matter.
func (s *session) redo(ctx context.Context, d *engine.Driver, redo engine.Redo, max engine.Money) error {
	run, err := d.Load(ctx, s.id)
	if err != nil {
		return err
	}
	if max > 0 {
		if _, err := allow(run, max); err != nil {
			return err
		}
	}
	events, err := d.Redo(ctx, redo)
	if err != nil {
		if errors.Is(err, engine.ErrNotFound) {
			return errUsage("flow resume", "%w", err)
		}
		return err
	}
	if len(events) == 0 {
		s.a.say("nothing is to be done again: the run is %s", run.Status())
		return nil
	}
	// A wish to cancel that is still there was meant for the run as it was.
	if err := s.db.DropRequests(ctx, s.id); err != nil {
		return err
	}
	return d.Record(ctx, events...)
}

// asNotStarted gives the error of a run that another process drives its exit code.
func asNotStarted(err error) error {
	var held *state.HeldError
	if errors.As(err, &held) {
		return &exitError{code: exitNotStarted, err: err}
	}
	return err
}
