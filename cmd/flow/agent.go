package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"flow/executor/agent"
)

// newAgent returns flow agent, which people need not know: it is what runs in the
// containers of a job of AWS Batch whose tasks have inputs or outputs.
func newAgent(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "agent",
		Short:  "What runs around the commands of tasks on AWS Batch",
		Hidden: true,
		Args:   noSuchCommand,
		RunE:   func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	install := &cobra.Command{
		Use:   "install DIR",
		Short: "Copy this program to DIR/flow, for another container of the job",
		Args:  args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := agent.Install(args[0])
			return err
		},
	}
	run := &cobra.Command{
		Use:   "run -- JOBFILE",
		Short: "Run this job's task: claim it, stage in, run the command, check and keep its outputs",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exit(a.runAgent(cmd.Context(), args[0]))
		},
	}
	cmd.AddCommand(install, run)
	return cmd
}

// runAgent runs a task and returns the exit code. Signals go to the command of the task
// and to nobody else: how long that may take is for Batch to say.
func (a *app) runAgent(ctx context.Context, path string) int {
	passed := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}
	signal.Reset(passed...) // app.signals would end flow with the second one
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	p := agent.Program{Environ: os.Environ(), Stderr: a.stderr, Signals: signals}
	return p.Run(ctx, path)
}
