package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

const (
	waitEvery = 200 * time.Millisecond // how often flow wait looks at what another process has recorded
	peekEvery = 5 * time.Second        // how often it asks AWS Batch how many tasks of that run
)

// errWaited is the cause of a context that ends with -timeout of flow wait.
var errWaited = errors.New("the time to wait is over")

func newWait(a *app) *cobra.Command {
	f := &runFlags{}
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait RUN",
		Short: "Wait until a run has ended",
		Long: `Wait until a run has ended, and show it meanwhile. A run that no process drives is driven
on from here, as flow resume does. The values of the run's outputs are printed on stdout,
and the exit code is that of flow run.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if timeout < 0 {
				return errUsage(cmd.CommandPath(), "-timeout takes a time such as 90m")
			}
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, errWaited)
				defer cancel()
			}
			return a.stopped(ctx, a.wait(ctx, argv[0], f))
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait at most for `TIME`, and exit with code 6; the run goes on as after Ctrl-C")
	f.vars.register(cmd.Flags())
	return cmd
}

func (a *app) wait(ctx context.Context, ref string, f *runFlags) error {
	db, err := a.openState(false)
	if err != nil {
		return err
	}
	defer db.Close()
	row, err := db.FindRun(ctx, ref)
	if err != nil {
		return err
	}
	for {
		held, err := db.Holder(ctx, row.ID)
		if err != nil {
			return err
		}
		if row, err = db.Run(ctx, row.ID); err != nil {
			return err
		}
		var run *engine.Run
		if held != nil || !row.Ended.IsZero() {
			run, err = a.watchOther(ctx, db, row)
		} else {
			run, err = a.waitHere(ctx, db, row, f)
		}
		switch {
		case err != nil:
			return err
		case run != nil && (run.Ended() || run.Rests()):
			return a.sumUp(run)
		}
		// Whoever drove the run does so no more, or was faster than we were.
	}
}

// waitHere drives a run that nobody else drives until it has ended. Without a run somebody
// was faster.
func (a *app) waitHere(ctx context.Context, db *state.DB, row state.Run, f *runFlags) (*engine.Run, error) {
	s, err := a.takeUp(ctx, db, row, f, false)
	if held := (*state.HeldError)(nil); errors.As(err, &held) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.drive(ctx, fmt.Sprintf("nobody drives run %s of %s%s; it goes on from here", s.id, s.program.Workflow.Name, s.onSite()))
}

// watchOther shows a run that another process drives until it has ended, or nobody drives
// it any more.
func (a *app) watchOther(ctx context.Context, db *state.DB, row state.Run) (*engine.Run, error) {
	p := &past{db: db, row: row}
	if err := p.load(ctx, a); err != nil || p.run.Ended() {
		return p.run, err
	}
	x := &session{a: a, executor: row.Executor}
	var jobs executor
	if row.Executor == batchExecutor {
		var err error
		if jobs, err = a.reach(ctx, p); err != nil {
			return nil, err
		}
		defer jobs.Close(ctx)
	}
	follower := a.follow(x.tail(jobs))
	defer follower.close()
	follower.begin(p.run)
	peeked := time.Time{}
	for looked := a.now(); !p.run.Ended(); {
		select {
		case <-ctx.Done():
			return nil, a.leave(ctx, p)
		case <-time.After(waitEvery):
		}
		events, err := p.news(ctx)
		if ctx.Err() != nil {
			return nil, a.leave(ctx, p) // it may have ended in the middle of reading
		}
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			follower.events(p.run, events)
			continue
		}
		if now := a.now(); now.Sub(looked) >= holderEvery {
			looked = now
			held, err := db.Holder(ctx, row.ID)
			switch {
			case ctx.Err() != nil:
				return nil, a.leave(ctx, p)
			case err != nil || held == nil:
				return p.run, err
			}
			if jobs != nil && now.Sub(peeked) >= peekEvery {
				if peeked = now; p.run.Peek(ctx, jobs) == nil { // else the driver says why
					follower.counts(p.run)
				}
			}
		}
	}
	return p.run, nil
}

// leave says that a run goes on that is not waited for any longer.
func (a *app) leave(ctx context.Context, p *past) error {
	a.say("stopped watching; the process that drives run %s goes on after %s", p.run.ID(), view.Duration(span(p.row.Created, time.Time{}, a.now())))
	return exit(stoppedCode(ctx))
}

// stopped gives an error its exit code that says no more than that ctx has ended, in whatever
// it was found.
func (a *app) stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	a.say("stopped waiting; the run goes on")
	return exit(stoppedCode(ctx))
}

// stoppedCode is the exit code of a command whose context has ended.
func stoppedCode(ctx context.Context) int {
	if errors.Is(context.Cause(ctx), errWaited) {
		return exitTimedOut
	}
	return exitInterrupted
}
