package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	"flow/engine"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/doctor"
)

func newDoctor(a *app) *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "doctor [PATH]",
		Short: "Look whether all that runs need is there and works",
		Long: `Look whether everything is there that runs need, and works: flow's own state here, and, where tasks
run on AWS Batch, credentials, permissions, queues, compute environments, roles, networks, images, log
groups and files, and whether the jobs of each step can ever be placed. With a workflow at PATH what its
steps use is looked at, and without one all queues and environments of the region.

Each line is ok, a warning, a fault, or was skipped, with the reason and what to do. Nothing is changed;
a work_dir on S3 is written to and cleaned up again. It ends with code 1 if there is a fault.

  flow doctor pipeline.hcl -site aws
  flow doctor -executor batch -region eu-west-1`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.batch.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.doctor(cmd.Context(), slices.Concat(argv, []string{""})[0], f)
		},
	}
	flags := cmd.Flags()
	f.vars.register(flags)
	flags.StringVar(&f.site, "site", "", "look at site `NAME` of flow.config.hcl (also FLOW_SITE)")
	flags.StringVar(&f.workDir, "work-dir", "", "`DIR` or s3://bucket/prefix for the files of tasks (default: as flow run has it)")
	f.batch.register(flags)
	flags.Lookup("poll").Hidden = true
	return cmd
}

// An examination is what flow doctor looks at.
type examination struct {
	a        *app
	f        *runFlags
	path     string // of the workflow; "": there is none
	session  *session
	workflow *engine.Workflow // a sketch
	lines    []doctor.Line
}

// doctor looks at everything, and prints what it finds. path is that of the workflow, or "".
func (a *app) doctor(ctx context.Context, path string, f *runFlags) error {
	statePath, err := a.statePath()
	if err != nil {
		return err
	}
	x := &examination{a: a, f: f, path: path, workflow: &engine.Workflow{}}
	x.session = &session{a: a, id: a.newRunID(), created: a.now(), home: filepath.Dir(statePath)}
	if err := x.read(); err != nil {
		return err
	}
	if err := x.look(ctx); err != nil {
		return err
	}
	if a.asJSON() {
		err = a.printJSON(reportOf(x.lines))
	} else {
		err = writeDoctor(a.stdout, a.outTerm(), x.lines)
	}
	if err == nil && count(x.lines, doctor.Fault) > 0 {
		err = exit(exitProblem)
	}
	return err
}

// read reads the workflow, if there is one, and the site.
func (x *examination) read() error {
	dir := "."
	s := x.session
	if x.path != "" {
		at, sources, err := dsl.Read(x.path)
		if err != nil {
			return err
		}
		program, err := x.a.loadSources(at, sources)
		if err != nil {
			return err
		}
		s.program, dir = program, program.Workflow.Dir
	}
	site, err := x.a.chooseSite(x.f, dir, nil)
	if err != nil {
		return err
	}
	s.site = x.f.batch.overSite(site)
	return nil
}

// look fills in the lines.
func (x *examination) look(ctx context.Context) error {
	var sketches map[engine.StepName]*engine.TaskSpec
	if x.session.program != nil {
		x.workflow, sketches = x.session.sketches(x.f)
	}
	workDir, err := x.session.workDir(x.f, x.workflow)
	if err != nil {
		return err
	}
	if workDir == "" { // there is no workflow
		workDir = filepath.Join(x.session.home, "work")
	}
	x.lines = x.a.localLines(x.session.home, workDir)
	b := &x.f.batch
	where := cmp.Or(x.session.site.Executor, x.workflow.Executor, localExecutor)
	if b.Executor == "" && (b.Region != "" || b.Profile != "" || b.Endpoint != "") { // they mean nothing elsewhere
		where = batchExecutor
	}
	if where != batchExecutor {
		x.lines = append(x.lines, doctor.Line{Group: "AWS", Name: "AWS Batch", Status: doctor.Skipped, Text: "tasks run on this machine", Fix: "to look at AWS, give -executor batch, or a site of it with -site"})
		return nil
	}
	return x.lookAtAWS(ctx, sketches, workDir)
}

func (x *examination) lookAtAWS(ctx context.Context, sketches map[engine.StepName]*engine.TaskSpec, workDir string) error {
	site := &x.session.site
	c, err := awscloud.Open(ctx, awscloud.Options{Region: site.Region, Profile: site.Profile, Endpoint: site.Endpoint})
	if err != nil {
		x.lines = append(x.lines, doctor.Line{Group: "credentials", Name: "AWS", Status: doctor.Fault, Text: err.Error()})
		return nil
	}
	defer c.Close()
	o := doctor.Options{
		Cloud: c, Profile: site.Profile, Infra: x.workflow.Infra, Path: x.path, WorkDir: workDir, AgentImage: site.AgentImage, Now: x.a.now,
	}
	if x.session.program == nil || len(x.workflow.Steps) == 0 {
		o.Queues = slices.DeleteFunc([]string{site.Defaults.Queue}, func(q string) bool { return q == "" })
	} else {
		o.Steps = x.steps(ctx, sketches, workDir)
	}
	if o.Infra != nil {
		for _, q := range o.Infra.Queues {
			if !q.Existing {
				o.Queues = append(o.Queues, q.Name)
			}
		}
	}
	x.lines = append(x.lines, doctor.Look(ctx, o)...)
	return nil
}

// steps returns the steps as they are known before anything has run. What AWS Batch would
// refuse of them is noted.
func (x *examination) steps(ctx context.Context, sketches map[engine.StepName]*engine.TaskSpec, workDir string) []doctor.Step {
	c := newBatchCheck(ctx, x.session.program, x.session.site, workDir)
	var steps []doctor.Step
	for _, step := range x.workflow.Steps {
		spec := sketches[step.Name]
		if spec == nil {
			continue // it does not run
		}
		before := len(c.found)
		c.sketch(step.Name, spec)
		wrong := slices.ContainsFunc(c.found[before:], func(f finding) bool {
			return strings.HasPrefix(f.Arg, "resources.") || strings.HasPrefix(f.Arg, "retry.when.")
		})
		steps = append(steps, doctor.Step{Spec: c.sketched(step.Name, spec), Sized: !wrong && x.sized(step.Name, spec), Where: func(arg string) string {
			return x.place(step.Name, arg)
		}})
	}
	for _, d := range c.diagnostics() {
		l := doctor.Line{Group: "steps", Name: d.Summary, Status: doctor.Fault, Text: d.Detail}
		if d.Subject != nil {
			l.Where = fmt.Sprintf("%s:%d", d.Subject.Filename, d.Subject.Start.Line)
		}
		x.lines = append(x.lines, l)
	}
	return steps
}

// sized reports whether it is known what a step asks for: it says so, or asks for the
// defaults. A job definition of the user's own has defaults of its own.
func (x *examination) sized(step engine.StepName, spec *engine.TaskSpec) bool {
	if len(spec.Resources) > 0 || spec.JobDefinition != "" {
		return len(spec.Resources) > 0
	}
	return !slices.ContainsFunc([]string{"resources.vcpus", "resources.memory", "resources.gpus"}, func(arg string) bool {
		place := x.session.program.Place(step, arg)
		return place.Given || place.Hidden
	})
}

// place returns where an argument of a step stands, as file:line.
func (x *examination) place(step engine.StepName, arg string) string {
	r := x.session.program.Place(step, arg).Range
	if r.Filename == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}

// count returns how many lines have a status.
func count(lines []doctor.Line, status doctor.Status) int {
	n := 0
	for _, l := range lines {
		if l.Status == status {
			n++
		}
	}
	return n
}

// A doctorReport is what flow doctor -json prints.
type doctorReport struct {
	OK       int           `json:"ok"`
	Warnings int           `json:"warnings"`
	Faults   int           `json:"faults"`
	Skipped  int           `json:"skipped"`
	Lines    []doctor.Line `json:"lines"`
}

func reportOf(lines []doctor.Line) *doctorReport {
	return &doctorReport{OK: count(lines, doctor.OK), Warnings: count(lines, doctor.Warning), Faults: count(lines, doctor.Fault), Skipped: count(lines, doctor.Skipped), Lines: lines}
}

// writeDoctor writes the lines by group, in the order in which the groups are first met.
func writeDoctor(w io.Writer, term view.Term, lines []doctor.Line) error {
	s := term.Style
	var groups []string
	width := 0
	for _, l := range lines {
		if !slices.Contains(groups, l.Group) {
			groups = append(groups, l.Group)
		}
		width = max(width, min(view.Width(view.Clean(l.Name)), maxName))
	}
	for _, g := range groups {
		fmt.Fprintln(w, s.Bold(g))
		for _, l := range lines {
			if l.Group == g {
				writeLine(w, s, &l, width)
			}
		}
	}
	r := reportOf(lines)
	sum := []string{s.Green(fmt.Sprintf("%d ok", r.OK))}
	for _, part := range []struct {
		n    int
		noun string
		dye  func(string) string
	}{{r.Warnings, "warning", s.Yellow}, {r.Faults, "fault", s.Red}} {
		if part.n > 0 {
			sum = append(sum, part.dye(view.Plural(part.n, part.noun)))
		}
	}
	if r.Skipped > 0 {
		sum = append(sum, s.Dim(fmt.Sprintf("%d skipped", r.Skipped)))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(sum, ", "))
	return err
}

// maxName is how wide the column with names gets; longer ones push the rest to the right.
const maxName = 28

func writeLine(w io.Writer, s view.Style, l *doctor.Line, width int) {
	dye := map[doctor.Status]func(string) string{doctor.OK: s.Green, doctor.Warning: s.Yellow, doctor.Fault: s.Red, doctor.Skipped: s.Dim}[l.Status]
	where := ""
	if l.Where != "" && l.Status != doctor.OK {
		where = s.Dim(" (" + view.Clean(l.Where) + ")")
	}
	fmt.Fprintf(w, "  %s  %s  %s%s\n", dye(fmt.Sprintf("%-7s", l.Status)), view.Pad(view.Clean(l.Name), width, false), view.Clean(l.Text), where)
	if l.Fix != "" && l.Status != doctor.OK {
		fmt.Fprintf(w, "  %-7s  %s  %s %s\n", "", strings.Repeat(" ", width), s.Bold("fix:"), view.Clean(l.Fix))
	}
}
