package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flow/dsl"
	"flow/engine"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/infra"
)

func newInfra(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "infra",
		Short: "Make what AWS Batch needs: compute environments, job queues, definitions",
		Long: `Make, change, look at and remove what a workflow says of AWS Batch itself: its blocks
compute_environment, job_queue, job_definition, scheduling_policy and consumable_resource, and
the roles that they need, where they say create_roles.

What flow manages is known by its name and its tag flow:infra, and nothing else is remembered:
a command that was interrupted is simply run again.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newInfraPlan(a), newInfraApply(a), newInfraDestroy(a), newInfraStatus(a), newInfraExport(a), newInfraPolicy(a))
	return cmd
}

// infraFlags say of which workflow, and where.
type infraFlags struct {
	runFlags
	workflow string   // -workflow, instead of a file
	replace  []string // -replace
	approved bool     // -auto-approve
	detailed bool     // -detailed-exitcode
	timeout  time.Duration
}

func (f *infraFlags) register(flags *pflag.FlagSet) {
	f.vars.register(flags)
	flags.StringVar(&f.site, "site", "", "look at site `NAME` of flow.config.hcl (also FLOW_SITE)")
	flags.StringVar(&f.batch.Region, "region", "", "AWS `REGION` (default: as AWS's own tools find it)")
	flags.StringVar(&f.batch.Profile, "profile", "", "`PROFILE` of AWS's shared configuration (default: as AWS's own tools find it)")
	flags.StringVar(&f.batch.Endpoint, "endpoint", "", "`URL` of AWS Batch, such as that of flow emulate (also AWS_ENDPOINT_URL)")
}

// command fills in what the commands below infra have in common.
func (f *infraFlags) command(cmd *cobra.Command, do func(ctx context.Context, path string) error) *cobra.Command {
	cmd.Args = args(0, 1)
	cmd.RunE = func(cmd *cobra.Command, argv []string) error {
		if err := f.batch.check(cmd.CommandPath()); err != nil {
			return err
		}
		if f.workflow != "" && len(argv) > 0 {
			return errUsage(cmd.CommandPath(), "-workflow is for when there is no file; leave out %s or the flag", argv[0])
		}
		return do(cmd.Context(), pathOf(argv))
	}
	f.register(cmd.Flags())
	return cmd
}

func newInfraPlan(a *app) *cobra.Command {
	f := &infraFlags{}
	cmd := f.command(&cobra.Command{
		Use:   "plan [PATH]",
		Short: "Show what apply would do, and do nothing",
		Long: `Compare what the workflow at PATH says of AWS Batch itself with what is there, and show what
flow infra apply would do: + create, ~ change in place, -/+ replace (with the argument that
forces it), - delete what flow manages for this workflow and the file does not name any more.`,
	}, func(ctx context.Context, path string) error { return a.infraPlan(ctx, path, f) })
	cmd.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "exit with 2 if there is something to do")
	f.registerReplace(cmd.Flags())
	return cmd
}

func newInfraApply(a *app) *cobra.Command {
	f := &infraFlags{}
	cmd := f.command(&cobra.Command{
		Use:   "apply [PATH]",
		Short: "Make it so, and wait until it is VALID",
		Long: `Show what is to be done, ask, and do it in the order that AWS wants: roles, policies and
consumable resources, compute environments, job queues, job definitions. It waits until
environments and queues are VALID. It can be interrupted, and run again.`,
	}, func(ctx context.Context, path string) error { return a.infraApply(ctx, path, f) })
	f.registerWork(cmd.Flags())
	f.registerReplace(cmd.Flags())
	return cmd
}

func newInfraDestroy(a *app) *cobra.Command {
	f := &infraFlags{}
	cmd := f.command(&cobra.Command{
		Use:   "destroy [PATH]",
		Short: "Remove all that flow manages for a workflow",
		Long: `Remove all that has the tag of the workflow, also what its file does not name any more: job
queues are disabled and deleted, which ends the jobs in them, then compute environments, job
definitions, policies, consumable resources and roles. What is there as existing stays.
It can be interrupted, and run again.`,
	}, func(ctx context.Context, path string) error { return a.infraDestroy(ctx, path, f) })
	cmd.Flags().StringVar(&f.workflow, "workflow", "", "remove what there is of workflow `NAME`, whose file is not here any more")
	f.registerWork(cmd.Flags())
	return cmd
}

func newInfraStatus(a *app) *cobra.Command {
	f := &infraFlags{}
	cmd := f.command(&cobra.Command{
		Use:   "status [PATH]",
		Short: "Show how it is",
		Long: `Show what the workflow at PATH names of AWS Batch itself, and what flow manages for it: state,
status and reason, vCPUs, the jobs in queues that have not ended (an array is one).`,
	}, func(ctx context.Context, path string) error { return a.infraStatus(ctx, path, f) })
	cmd.Flags().StringVar(&f.workflow, "workflow", "", "show what there is of workflow `NAME`, whose file is not here any more")
	return cmd
}

// infraTimeout is how long apply and destroy wait for one thing. The end of 100,000 jobs with
// their queue takes AWS Batch that long (16 a second).
const infraTimeout = 2 * time.Hour

// registerWork registers the flags of commands that change something.
func (f *infraFlags) registerWork(flags *pflag.FlagSet) {
	flags.BoolVar(&f.approved, "auto-approve", false, "do not ask")
	flags.DurationVar(&f.timeout, "timeout", infraTimeout, "wait at most for `TIME` for each thing; 0: for ever")
}

func (f *infraFlags) registerReplace(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.replace, "replace", nil, "make the compute environment, job queue or consumable resource `NAME` anew, to mend or to fill it (may be given again)")
}

// An infraWork is a workflow's infrastructure, and where it is.
type infraWork struct {
	name    string // of the workflow
	cloud   *awscloud.Cloud
	manager *infra.Manager
	wanted  *engine.Infra // nil: the workflow says nothing of it, or it is not looked at
	close   func()
}

// openInfra finds out whose infrastructure is meant, where it is, and, if that is wanted,
// what it is to be. Mistakes in the file are printed. It makes no call. What changes
// something wants a workflow that has a name of its own: what flow has made is known by it.
func (a *app) openInfra(ctx context.Context, path string, f *infraFlags, wanted, changes bool) (*infraWork, error) {
	w, name, dir := &infraWork{}, f.workflow, "."
	if name == "" {
		program, err := a.load(path)
		if err != nil {
			return nil, err
		}
		name, dir = program.Workflow.Name, program.Workflow.Dir
		if changes && !program.Named() {
			return nil, fmt.Errorf("the workflow has no name but that of its file, %s, and another file may be called so as well: flow knows by the workflow's name what it has made, and may change and delete. Give it one: workflow \"NAME\" {}", name)
		}
		if wanted {
			if w.wanted, err = a.infraOf(program, f); err != nil {
				return nil, err
			}
		}
	}
	site, err := a.chooseSite(&f.runFlags, dir, nil)
	if err != nil {
		return nil, err
	}
	site = f.batch.overSite(site)
	cloud, err := awscloud.Open(ctx, awscloud.Options{Region: site.Region, Profile: site.Profile, Endpoint: site.Endpoint})
	if err != nil {
		return nil, err
	}
	o := infra.On(cloud, name, func(line string) { a.say("%s", line) })
	o.Timeout = f.timeout
	w.name, w.cloud, w.manager, w.close = name, cloud, infra.New(o), cloud.Close
	return w, nil
}

func (a *app) infraOf(program *dsl.Program, f *infraFlags) (*engine.Infra, error) {
	in, diags := program.Infra(f.input(nil))
	a.report(program.Workflow.Dir, program.Files, diags)
	if diags.HasErrors() {
		return nil, exit(exitProblem)
	}
	return in, nil
}

func (a *app) infraPlan(ctx context.Context, path string, f *infraFlags) error {
	w, err := a.openInfra(ctx, path, f, true, false)
	if err != nil {
		return err
	}
	defer w.close()
	plan, err := w.manager.Plan(ctx, w.wanted, infra.Replacing(f.replace...))
	if err != nil {
		return err
	}
	if err := a.printPlan(plan); err != nil {
		return err
	}
	if f.detailed && !plan.Empty() {
		return exit(exitHasWork)
	}
	return nil
}

func (a *app) infraApply(ctx context.Context, path string, f *infraFlags) error {
	w, err := a.openInfra(ctx, path, f, true, true)
	if err != nil {
		return err
	}
	defer w.close()
	plan, err := w.manager.Plan(ctx, w.wanted, infra.Replacing(f.replace...))
	if err != nil {
		return err
	}
	if err := a.carryOut(ctx, w, plan, f, f.again("apply", path)); err != nil {
		return err
	}
	return a.tellFiles(ctx, path, f, plan)
}

func (a *app) infraDestroy(ctx context.Context, path string, f *infraFlags) error {
	w, err := a.openInfra(ctx, path, f, false, true)
	if err != nil {
		return err
	}
	defer w.close()
	plan, err := w.manager.PlanDestroy(ctx)
	if err != nil {
		return err
	}
	return a.carryOut(ctx, w, plan, f, f.again("destroy", path))
}

// again is a command below infra as it was given, but for variables, whose values may be
// nobody's business.
func (f *infraFlags) again(command, path string) string {
	text := withPath("flow infra "+command, path)
	for _, flag := range []struct{ name, value string }{
		{"workflow", f.workflow}, {"site", f.site}, {"region", f.batch.Region}, {"profile", f.batch.Profile}, {"endpoint", f.batch.Endpoint},
	} {
		if flag.value != "" {
			text += " -" + flag.name + " " + shellWord(flag.value)
		}
	}
	for _, name := range f.replace {
		text += " -replace " + shellWord(name)
	}
	return text
}

// carryOut shows a plan, asks, and does it. command is what is to be said to do it again.
func (a *app) carryOut(ctx context.Context, w *infraWork, plan *infra.Plan, f *infraFlags, command string) error {
	ask := !plan.Empty() && !f.approved
	if !a.quiet || ask || a.asJSON() || plan.Empty() { // nobody says yes to what is not shown
		if err := a.printPlan(plan); err != nil {
			return err
		}
	}
	if ask {
		switch err := a.approve(ctx, plan, command); {
		case ctx.Err() != nil:
			a.say("stopped: nothing was done")
			return exit(stoppedCode(ctx))
		case err != nil:
			return err
		}
	}
	switch err := w.manager.Apply(ctx, plan); {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		a.say("stopped: what was begun goes on in AWS. Go on with: %s", command)
		return exit(stoppedCode(ctx))
	case err != nil && plan.Empty():
		return err
	case err != nil:
		return fmt.Errorf("%w\nWhat was done until then stays. Once this is mended, go on with: %s", err, command)
	}
	return a.tellDone(plan)
}

// tellDone says what was done: with -quiet it is all that is said, and on stdout.
func (a *app) tellDone(plan *infra.Plan) error {
	switch {
	case plan.Empty():
		return nil
	case a.quiet && !a.asJSON():
		_, err := fmt.Fprintln(a.stdout, doneText(plan))
		return err
	}
	a.say("%s", doneText(plan))
	return nil
}
