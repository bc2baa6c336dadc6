package main

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flow/dsl"
	"flow/engine"
)

// runFlags are the flags of commands that run tasks.
type runFlags struct {
	vars        varFlags
	site        string
	workDir     string
	maxParallel int
	noCache     bool
	replace     []string // steps
	batch       batchFlags
	machine     machineFlags
	leave       detachFlags
	maxUSD      engine.Money // of resume: what the run may cost in all; 0: not said
	sensitive   varFlags     // -var of a service: what sensitive variables of the runs that it drives have
	given       *dsl.Site    // the site itself, where no file has it
	background  bool         // this is a process in the background: what is sensitive is in the environment
}

func (f *runFlags) register(flags *pflag.FlagSet) {
	f.vars.register(flags)
	flags.StringVar(&f.site, "site", "", "run on site `NAME` of flow.config.hcl (also FLOW_SITE)")
	flags.StringVar(&f.workDir, "work-dir", "", "`DIR` or s3://bucket/prefix for the files of tasks (default: the site's or the workflow's work_dir, else .flow/work)")
	flags.IntVar(&f.maxParallel, "max-parallel", 0, "at most `N` tasks at a time")
	flags.BoolVar(&f.noCache, "no-cache", false, "run every task, even if its result is known")
	f.batch.register(flags)
	f.machine.register(flags)
}

// machineFlags say what of this machine tasks may use.
type machineFlags struct {
	Containers string  `json:"containers,omitempty"`
	VCPUs      float64 `json:"vcpus,omitempty"`
	MemoryMiB  int     `json:"memory_mib,omitempty"`
	GPUs       int     `json:"gpus,omitempty"`
}

func (m *machineFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&m.Containers, "containers", "", "run tasks that have an image in containers, with `docker` or podman")
	flags.Float64Var(&m.VCPUs, "vcpus", 0, "use `N` CPUs of this machine (default: all)")
	flags.Var((*memoryFlag)(&m.MemoryMiB), "memory", "use so much `MEMORY` of this machine, such as 8GiB (default: all)")
	flags.IntVar(&m.GPUs, "gpus", 0, "use `N` GPUs of this machine (default: none)")
}

// over returns m with what was given in flags put over it.
func (m machineFlags) over(flags machineFlags) machineFlags {
	if flags.Containers != "" {
		m.Containers = flags.Containers
	}
	if flags.VCPUs > 0 {
		m.VCPUs = flags.VCPUs
	}
	if flags.MemoryMiB > 0 {
		m.MemoryMiB = flags.MemoryMiB
	}
	if flags.GPUs > 0 {
		m.GPUs = flags.GPUs
	}
	return m
}

func (m *machineFlags) check(cmd string) error {
	switch {
	case m.Containers != "" && m.Containers != "docker" && m.Containers != "podman":
		return errUsage(cmd, "-containers takes docker or podman, and not %q", m.Containers)
	case m.Containers != "" && !installed(m.Containers):
		return fmt.Errorf("-containers %s: there is no command %[1]s here", m.Containers)
	case m.VCPUs < 0 || m.GPUs < 0:
		return errUsage(cmd, "-vcpus and -gpus cannot be negative")
	}
	return nil
}

func installed(command string) bool {
	_, err := exec.LookPath(command)
	return err == nil
}

// memoryFlag is a flag with an amount of memory, in MiB.
type memoryFlag int

func (m *memoryFlag) String() string { return "" }

func (m *memoryFlag) Type() string { return "string" }

func (m *memoryFlag) Set(s string) error {
	mib, err := parseSize(s)
	if err == nil {
		*m = memoryFlag(mib)
	}
	return err
}

func newRun(a *app) *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [PATH]",
		Short: "Run a workflow and follow it",
		Long: `Run the workflow at PATH (a .hcl or .hcl.json file, or a directory of them; default:
here) and follow it until it ends. Tasks whose result is known are CACHED and do not run.

Everything that happens is kept in .flow/flow.db: a run can be interrupted, or die, at
any moment, and flow resume goes on. The values of the workflow's outputs are printed
on stdout, all else on stderr.`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.run(cmd.Context(), pathOf(argv), f)
		},
	}
	f.register(cmd.Flags())
	a.registerReplace(cmd, f)
	f.leave.register(cmd.Flags())
	return cmd
}

func (f *runFlags) check(cmd string) error {
	if f.maxParallel < 0 {
		return errUsage(cmd, "-max-parallel cannot be negative")
	}
	if err := f.batch.check(cmd); err != nil {
		return err
	}
	if err := f.leave.check(cmd); err != nil {
		return err
	}
	return f.machine.check(cmd)
}

// pathOf returns the PATH of a command's arguments: the directory we are in, unless given.
func pathOf(argv []string) string {
	if len(argv) == 0 {
		return "."
	}
	return argv[0]
}

func (a *app) run(ctx context.Context, path string, f *runFlags) error {
	db, err := a.openState(false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := f.leave.find(ctx, db); err != nil {
		return err
	}
	s, err := a.startRun(ctx, db, path, f)
	if err != nil {
		return err
	}
	return s.finish(ctx, f, fmt.Sprintf("run %s of %s%s", s.id, s.program.Workflow.Name, s.onSite()))
}

// finish drives the run to its end and sums it up, or leaves it alone as soon as it can be.
func (s *session) finish(ctx context.Context, f *runFlags, title string) error {
	s.a.github().begins(s.id)
	if f.leave.detach {
		return s.detach(ctx, f, title)
	}
	run, err := s.drive(ctx, title)
	if err != nil {
		return err
	}
	return s.a.sumUp(run)
}
