package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"flow/executor/agent"
	"flow/executor/store"
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
		Use:   "install DIR [SCRATCH]",
		Short: "Copy this program to DIR/flow, for another container of the job, and let that work in SCRATCH",
		Args:  args(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := agent.Install(args[0])
			if err == nil && len(args) > 1 {
				err = agent.Share(args[1])
			}
			return err
		},
	}
	cmd.AddCommand(install, newAgentRun(a))
	return cmd
}

// agentFlags are the flags of flow agent run.
type agentFlags struct {
	scratch          string // where the directories of attempts are made, if work_dir is on S3
	region, endpoint string // of S3; "": as the SDK finds them
}

func newAgentRun(a *app) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "run -- JOBFILE",
		Short: "Run this job's task: claim it, stage in, run the command, check and keep its outputs",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exit(a.runAgent(cmd.Context(), &f, args[0]))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.scratch, "scratch", "", "`DIR` for the task's files while it runs, if work_dir is on S3")
	flags.StringVar(&f.region, "region", "", "AWS `REGION` of S3 (default: as the SDK finds it)")
	flags.StringVar(&f.endpoint, "endpoint", "", "`URL` of S3 (default: as the SDK finds it)")
	flags.SortFlags = false
	return cmd
}

// runAgent runs a task and returns the exit code. Signals go to the command of the task
// and to nobody else: how long that may take is for Batch to say.
func (a *app) runAgent(ctx context.Context, f *agentFlags, path string) int {
	passed := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}
	signal.Reset(passed...) // app.signals would end flow with the second one
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	agent.TrustInstalled()
	p := agent.Program{Environ: os.Environ(), Stderr: a.stderr, Signals: signals, Scratch: f.scratch}
	p.Agent.Files.Store = openOnce(store.Options{Region: f.region, Endpoint: f.endpoint})
	return p.Run(ctx, path)
}
