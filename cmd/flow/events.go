package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/export"
	"flow/engine"
	"flow/state"
)

// An eventsCommand is one invocation of flow events.
type eventsCommand struct {
	*app
	follow bool
	after  int64

	out    *bufio.Writer
	stream *export.Events
}

func newEvents(a *app) *cobra.Command {
	c := &eventsCommand{app: a}
	cmd := &cobra.Command{
		Use:   "events [RUN]",
		Short: "Print or follow what happens to a run, as lines of JSON",
		Long: `Print what has happened to a run (default: the newest), event by event: a JSON object a
line, the first of which says which version of the stream it is. Fields and types are only
ever added. With -f go on until the run has ended. Each event has a number, seq: to go on
where another call has stopped, give the last one that was seen to -after.

It is what is recorded: of a run on AWS Batch that no process drives, flow status looks at
what its jobs have done, and records it. See docs/export.md for what is in an event.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if c.after < 0 {
				return errUsage(cmd.CommandPath(), "-after takes the number of an event, and 0 for all of them")
			}
			ref := lastRun
			if len(argv) > 0 {
				ref = argv[0]
			}
			return c.run(cmd.Context(), ref)
		},
	}
	cmd.Flags().BoolVarP(&c.follow, "follow", "f", false, "go on until the run has ended")
	cmd.Flags().Int64Var(&c.after, "after", 0, "leave out the events up to number `SEQ`")
	return cmd
}

func (c *eventsCommand) run(ctx context.Context, ref string) error {
	db, err := c.openState(true)
	if err != nil {
		return err
	}
	defer db.Close()
	row, err := db.FindRun(ctx, ref)
	if err != nil {
		return err
	}
	if c.after > row.Seq {
		return fmt.Errorf("-after %d: run %s has %d events so far", c.after, row.ID, row.Seq)
	}
	c.out = bufio.NewWriterSize(c.stdout, 64<<10)
	if c.stream, err = export.NewEvents(c.out, version(), row.ID); err != nil {
		return err
	}
	for {
		ended, err := c.print(ctx, db, row.ID)
		if err != nil || ended || !c.follow {
			return err
		}
		select {
		case <-ctx.Done():
			return exit(exitInterrupted)
		case <-time.After(followEvery):
		}
	}
}

// print writes the events behind the last one that was written. It reports whether the run
// has ended with them.
func (c *eventsCommand) print(ctx context.Context, db *state.DB, run engine.RunID) (ended bool, err error) {
	row, err := db.Run(ctx, run) // before its events: it ends with the last of them
	if err != nil {
		return false, err
	}
	if c.after < row.Seq {
		for e, err := range db.Events(ctx, run, c.after) {
			if err != nil {
				return false, err
			}
			if err := c.stream.Write(&e); err != nil {
				return false, err
			}
			c.after = e.Seq
		}
	}
	// A run that was reopened meanwhile has events behind its end, and goes on.
	return !row.Ended.IsZero() && c.after == row.Seq, c.out.Flush()
}
