package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/head"
	"flow/cmd/flow/internal/policy"
	"flow/dsl"
	"flow/engine"
	"flow/engine/schedule"
	"flow/executor/scheduler"
	"flow/executor/store"
)

// deployFlags are the flags of flow schedule deploy and undeploy.
type deployFlags struct {
	infraFlags
	dryRun    bool
	schedules []string
	account   string
	exclude   []string
	headQueue string
	headRole  string
	execution string
	secrets   []string // NAME=ARN
	vcpus     float64
	memory    memoryFlag
	fargate   bool
}

// What a head has unless told: it waits, and hands over arrays.
const (
	headVCPUs     = 1
	headMemoryMiB = 2048
)

func newScheduleDeploy(a *app) *cobra.Command {
	f := &deployFlags{vcpus: headVCPUs, memory: headMemoryMiB}
	cmd := &cobra.Command{
		Use:   "deploy [PATH]",
		Short: "Have AWS run a workflow by its schedules, without a server",
		Long: `Have Amazon EventBridge Scheduler run the workflow at PATH by its schedules, where no machine of yours is
up: at each slot it submits a job to AWS Batch, the head, in which flow itself starts the run and drives it.
The head keeps the state of runs on S3, below work_dir; the image that it runs in is flow's own, agent_image
of the site (flow image push -flow).

Called again it changes what differs, and removes schedules that the file does not have any more.
-dry-run says what it would do. docs/deploy.md says what is made, and what it costs.

  flow schedule deploy nightly.hcl -site aws -dry-run
  flow schedule deploy nightly.hcl -site aws`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.deploy(cmd.Context(), pathOf(argv), f)
		},
	}
	flags := cmd.Flags()
	f.register(flags)
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.StringArrayVar(&f.schedules, "schedule", nil, "only the schedule `NAME`, and leave the others as they are; may be given again")
	flags.StringVar(&f.batch.Queue, "queue", "", "job `QUEUE` of tasks that the workflow gives none, and of heads")
	flags.StringVar(&f.batch.Image, "image", "", "container `IMAGE` of tasks that the workflow gives none")
	flags.StringVar(&f.batch.AgentImage, "agent-image", "", "container `IMAGE` with flow in it, of heads and of tasks that have inputs or outputs")
	flags.StringVar(&f.workDir, "work-dir", "", "s3://bucket/prefix for the files of tasks and the state of runs (default: the site's or the workflow's work_dir)")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "leave files or directories like `PATTERN` out of what heads are given; may be given again")
	flags.StringVar(&f.headQueue, "head-queue", "", "job `QUEUE` of heads (default: that of tasks); one that is not of Spot instances interrupts none")
	flags.Float64Var(&f.vcpus, "head-vcpus", f.vcpus, "`N` vCPUs of a head")
	flags.Var(&f.memory, "head-memory", "`MEMORY` of a head (default 2GiB)")
	flags.StringVar(&f.headRole, "head-role", "", "`ARN` of a role that heads have (default: one is made, which may do what flow infra policy says)")
	flags.StringVar(&f.execution, "execution-role", "", "`ARN` of the execution role of heads, which Fargate and -secret-var need")
	flags.BoolVar(&f.fargate, "head-fargate", false, "the queue of heads is of Fargate")
	flags.StringArrayVar(&f.secrets, "secret-var", nil, "sensitive variable, as `NAME=ARN` of a secret of Secrets Manager or a parameter of Systems Manager; may be given again")
	flags.StringVar(&f.account, "account", "", "`ID` of the AWS account (default: that of the credentials)")
	return cmd
}

func newScheduleUndeploy(a *app) *cobra.Command {
	f := &deployFlags{}
	cmd := &cobra.Command{
		Use:   "undeploy [PATH]",
		Short: "Remove what deploy has made",
		Long: `Remove the schedules of the workflow at PATH from Amazon EventBridge Scheduler, with the job definition and
the roles that flow schedule deploy has made for them. Heads that run go on until their runs have ended. The
state of runs stays on S3.`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.batch.check(cmd.CommandPath()); err != nil {
				return err
			}
			if f.workflow != "" && len(argv) > 0 {
				return errUsage(cmd.CommandPath(), "-workflow is for when there is no file; leave out %s or the flag", argv[0])
			}
			return a.undeploy(cmd.Context(), pathOf(argv), f)
		},
	}
	flags := cmd.Flags()
	f.register(flags)
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.StringVar(&f.workflow, "workflow", "", "remove what there is of workflow `NAME`, whose file is not here any more")
	flags.StringVar(&f.account, "account", "", "`ID` of the AWS account (default: that of the credentials)")
	return cmd
}

func (f *deployFlags) check(cmd string) error {
	switch {
	case f.account != "" && !isAccount(f.account):
		return errUsage(cmd, "-account takes the 12 digits of an account, and not %q", f.account)
	case f.vcpus <= 0:
		return errUsage(cmd, "-head-vcpus takes a number above 0")
	case (f.fargate || len(f.secrets) > 0) && f.execution == "":
		return errUsage(cmd, "-head-fargate and -secret-var need an -execution-role, with which the container is started")
	}
	for _, s := range f.secrets {
		if name, arn, _ := strings.Cut(s, "="); name == "" || !strings.HasPrefix(arn, "arn:") {
			return errUsage(cmd, "-secret-var takes NAME=ARN, and not %q", s)
		}
	}
	if f.headQueue != "" {
		if err := dsl.CheckQueue(f.headQueue); err != nil {
			return errUsage(cmd, "-head-queue: %w", err)
		}
	}
	return f.batch.check(cmd)
}

// deploy makes what runs the workflow at path by its schedules, or says what that is.
func (a *app) deploy(ctx context.Context, path string, f *deployFlags) error {
	x, err := a.readInfra(ctx, path, &f.infraFlags)
	if err != nil {
		return err
	}
	defer x.cloud.Close()
	m, err := scheduler.New(x.cloud, f.account, func(line string) { a.say("%s", line) })
	if err != nil {
		return err
	}
	d := &deployment{a: a, x: x, f: f, account: m.Account}
	if err := d.prepare(); err != nil {
		return err
	}
	place, p, err := d.pack(ctx, path)
	if err != nil {
		return err
	}
	defer p.file.Close()
	want, err := d.want(place, p.sum)
	if err != nil {
		return err
	}
	plan, err := m.Plan(ctx, want)
	if err != nil {
		return err
	}
	if err := a.printDeploy(plan, place, p); err != nil || f.dryRun {
		return err
	}
	if err := p.upload(ctx, place); err != nil {
		return err
	}
	if err := m.Apply(ctx, plan); err != nil {
		return fmt.Errorf("%w\nWhat was done until then stays. Once this is mended, deploy again", err)
	}
	a.say("Done: %s", deploySummary(plan))
	return nil
}

// undeploy removes what deploy has made.
func (a *app) undeploy(ctx context.Context, path string, f *deployFlags) error {
	w, err := a.openInfra(ctx, path, &f.infraFlags, false, true)
	if err != nil {
		return err
	}
	defer w.close()
	m, err := scheduler.New(w.cloud, f.account, func(line string) { a.say("%s", line) })
	if err != nil {
		return err
	}
	plan, err := m.PlanRemoval(ctx, w.name)
	if err != nil {
		return err
	}
	if err := a.printDeploy(plan, nil, nil); err != nil || f.dryRun || len(plan.Changes) == 0 {
		return err
	}
	if err := m.Apply(ctx, plan); err != nil {
		return fmt.Errorf("%w\nWhat was done until then stays. Once this is mended, undeploy again", err)
	}
	a.say("Done: %s", deploySummary(plan))
	return nil
}

// A deployment is a workflow that is to be run by its schedules.
type deployment struct {
	a       *app
	x       *infrastructure
	f       *deployFlags
	account string
	workDir string
	queue   string // of heads
}

// prepare finds out what is needed, and says what is missing.
func (d *deployment) prepare() error {
	s, wf := d.x.session, d.x.workflow
	if !s.program.Named() {
		return fmt.Errorf("the workflow has no name but that of its file, %s, and another file may be called so as well: flow knows by the workflow's name what it has made. Give it one: workflow \"NAME\" {}", wf.Name)
	}
	if len(wf.Schedules) == 0 {
		return fmt.Errorf("workflow %s has no schedule: there is nothing to deploy. Add one, such as schedule \"nightly\" { cron = \"30 4 * * *\" }", wf.Name)
	}
	for _, name := range d.f.schedules {
		if scheduleOf(wf, name) == nil {
			var names []string
			for _, s := range wf.Schedules {
				names = append(names, s.Name)
			}
			return fmt.Errorf("workflow %s has no schedule %q; it has: %s", wf.Name, name, nearby(name, names))
		}
	}
	if e := s.site.Executor; e != "" && e != batchExecutor {
		return fmt.Errorf("site %q runs tasks on this machine; deploy is for a site with executor = \"batch\"", s.site.Name)
	}
	s.site.Executor = batchExecutor
	bound, _ := s.sketches(&d.f.runFlags)
	workDir, err := s.workDir(&d.f.runFlags, bound)
	if err != nil {
		return err
	}
	if !store.Is(workDir) {
		return fmt.Errorf("work_dir is %s, on this machine: a head in AWS keeps the state of runs and the files of tasks on S3; give -work-dir s3://bucket/prefix, or say so in the workflow or the site", workDir)
	}
	d.workDir = workDir
	if s.site.AgentImage == "" {
		return errors.New("nothing says which image heads run in: push flow's own with flow image push -flow, and name it with -agent-image, or as agent_image of the site")
	}
	if d.queue = d.f.headQueue; d.queue == "" {
		d.queue = s.site.Defaults.Queue
	}
	if d.queue == "" {
		return errors.New("nothing says which job queue heads are submitted to: give -head-queue, or -queue, or a queue of the site")
	}
	if err := d.checkEnv(); err != nil {
		return err
	}
	return d.checkVars()
}

// checkVars binds the variables as for the next slot of each schedule, so that what is wrong is
// said now and not at night. Where a secret is missing that AWS has, it cannot be looked.
func (d *deployment) checkVars() error {
	s, wf := d.x.session, d.x.workflow
	if len(d.f.secrets) > 0 {
		return nil
	}
	for _, c := range wf.Schedules {
		times, err := schedule.Parse(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Pos, err)
		}
		slot := &engine.Slot{Schedule: c.Name, Time: times.Next(d.a.now()).UTC(), TimeZone: cmp.Or(c.TimeZone, "UTC")}
		if slot.Time.IsZero() {
			continue // it never fires
		}
		scheduled, diags := s.program.ScheduleVars(c.Name, *slot)
		if !diags.HasErrors() {
			s.slot, s.scheduled = slot, scheduled
			_, diags = s.bound(&d.f.runFlags, nil)
		}
		if diags.HasErrors() {
			d.a.report(wf.Dir, s.program.Files, diags)
			return exit(exitProblem)
		}
	}
	return nil
}

// checkEnv refuses sensitive variables of the environment, which are not taken along.
func (d *deployment) checkEnv() error {
	given := map[string]bool{}
	for _, s := range d.f.secrets {
		name, _, _ := strings.Cut(s, "=")
		given[name] = true
	}
	for _, v := range d.x.session.program.Variables {
		if _, set := os.LookupEnv(dsl.EnvPrefix + v.Name); set && v.Sensitive && !given[v.Name] {
			return errSensitive(v.Name)
		}
	}
	return nil
}

// pack puts the workflow into a bundle, and says where that goes.
func (d *deployment) pack(ctx context.Context, path string) (*head.Place, *packed, error) {
	s3, err := d.x.session.store()(ctx)
	if err != nil {
		return nil, nil, err
	}
	place := deployPlace(s3, d.workDir, d.x.workflow.Name)
	p, err := d.x.session.pack(path, d.f, d.workDir, place)
	return place, p, err
}

// want says what is to be there.
func (d *deployment) want(place *head.Place, sum string) (*scheduler.Want, error) {
	wf, region := d.x.workflow, d.x.cloud.Region()
	w := &scheduler.Want{Workflow: wf.Name, Region: region, Account: d.account, Some: len(d.f.schedules) > 0}
	for _, s := range wf.Schedules {
		if w.Some && !slices.Contains(d.f.schedules, s.Name) {
			continue
		}
		wakes, err := scheduler.Wakes(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Pos, err)
		}
		w.Wakes = append(w.Wakes, wakes...)
	}
	w.Head = scheduler.Head{
		Queue: d.queue, Image: d.x.session.site.AgentImage, VCPUs: d.f.vcpus, MemoryMiB: int(d.f.memory),
		Role: d.f.headRole, ExecutionRole: d.f.execution, Fargate: d.f.fargate,
		Command: []string{
			"flow", "schedule", "head", "--at", place.URI, "--bundle", sum,
			"--schedule", "Ref::" + scheduler.ScheduleParameter, "--slot", "Ref::" + scheduler.SlotParameter,
		},
		Env: map[string]string{"AWS_REGION": region}, Secrets: map[string]string{},
	}
	for _, v := range d.x.session.program.Variables {
		if value, set := os.LookupEnv(dsl.EnvPrefix + v.Name); set && !v.Sensitive {
			w.Head.Env[dsl.EnvPrefix+v.Name] = value
		}
	}
	for _, s := range d.f.secrets {
		name, arn, _ := strings.Cut(s, "=")
		w.Head.Secrets[dsl.EnvPrefix+name] = arn
	}
	if w.Head.Role != "" {
		return w, nil
	}
	scope, unknown, err := d.x.scope(&d.f.runFlags)
	if err != nil {
		return nil, err
	}
	for _, u := range unknown {
		d.a.say("%s", u)
	}
	scope.Account = d.account
	text, err := policyText(policy.Of(scope, policy.Run))
	w.Head.Policy = text
	return w, err
}
