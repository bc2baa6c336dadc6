package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	"flow/engine"
	"flow/executor/batch"
)

// A batchCheck checks a workflow against the limits of AWS Batch before anything is sent.
type batchCheck struct {
	program *dsl.Program
	options batch.CheckOptions
	workDir string
	found   []finding
}

// A finding is a problem, and of how many tasks of its step it is one.
type finding struct {
	batch.Problem
	tasks, of int // of: 0: it is one of all
	first     string
}

// newBatchCheck returns a check of a program on a site. No call is made to learn of it.
func newBatchCheck(ctx context.Context, program *dsl.Program, site dsl.Site, workDir string) *batchCheck {
	near := batch.Near(ctx, batch.Options{Region: site.Region, Profile: site.Profile, Endpoint: site.Endpoint})
	return &batchCheck{program: program, options: batch.CheckOptions{AgentImage: site.AgentImage, Near: near}, workDir: workDir}
}

// sketch checks a step as far as it is known before anything has run.
func (c *batchCheck) sketch(step engine.StepName, spec *engine.TaskSpec) {
	if spec == nil {
		return
	}
	for _, p := range batch.Check(c.sketched(step, spec), c.options) {
		c.found = append(c.found, finding{Problem: p})
	}
}

// sketched returns the sketch of a step as a job.
func (c *batchCheck) sketched(step engine.StepName, spec *engine.TaskSpec) *engine.JobSpec {
	return &engine.JobSpec{
		Step: step, Queue: spec.Queue, Task: spec, Tasks: engine.RangesOf(0), WorkDir: c.workDir,
		Attempt: 1, Attempts: 1, Timeout: spec.Timeout, Resources: spec.ResourcesFor(1), Tags: spec.Tags,
	}
}

// job checks a job with tasks of a step of that size.
func (c *batchCheck) job(spec *engine.JobSpec, size int) {
	for _, p := range batch.Check(spec, c.options) {
		f := finding{Problem: p, tasks: spec.Size(), first: spec.Key(0)}
		if spec.FanOut {
			f.of = size
		}
		c.found = append(c.found, f)
	}
}

// plan checks the jobs of a plan, and the steps whose tasks are not known yet by their
// sketches. What a plan finds in the cache is not sent, and not checked.
func (c *batchCheck) plan(p *engine.Plan, sketches map[engine.StepName]*engine.TaskSpec) {
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Size < 0 {
			c.sketch(s.Step.Name, sketches[s.Step.Name])
			continue
		}
		for spec := range jobsOf(p.Run, s) {
			c.job(spec, s.Size)
		}
	}
}

// jobsOf yields the jobs of a step that a plan knows of, handed over at once and then later
// ones, each made when it is asked for: those of a million tasks are large.
func jobsOf(run *engine.Run, s *engine.PlanStep) iter.Seq[*engine.JobSpec] {
	return func(yield func(*engine.JobSpec) bool) {
		for _, j := range s.Jobs {
			if !yield(run.JobSpec(j.Job)) {
				return
			}
		}
		for _, spec := range run.ToCome(s.Step.Name) {
			if !yield(spec) {
				return
			}
		}
	}
}

// diagnostics returns what was found, each mistake once, whatever the number of jobs, tasks
// and steps that have it.
func (c *batchCheck) diagnostics() hcl.Diagnostics {
	type mistake struct {
		*finding
		steps []string
		place dsl.Place
	}
	var all []*mistake
	index := map[string]*mistake{}
	for i := range c.found {
		f := &c.found[i]
		place := c.program.Place(f.Step, f.Arg)
		if f.Own && !place.Own || c.given(f.Step, f.Unless) {
			continue
		}
		id := f.Summary + "\x00" + place.Range.String()
		if f.Site || !place.Given { // it is the same mistake in every step
			id = f.Summary + "\x00" + f.Detail
		}
		m := index[id]
		if m == nil {
			m = &mistake{finding: f, place: place}
			index[id] = m
			all = append(all, m)
		} else if f.Step == m.Step {
			m.tasks += f.tasks
		}
		if n := len(m.steps); n == 0 || m.steps[n-1] != string(f.Step) {
			m.steps = append(m.steps, string(f.Step))
		}
	}
	var diags hcl.Diagnostics
	for _, m := range all {
		detail := m.Detail
		if m.tasks < m.of {
			detail += inTasks(m.finding)
		}
		if len(m.steps) > 1 {
			detail += alsoIn(m.steps[1:])
		}
		diags = append(diags, c.program.Diagnose(m.Step, m.Arg, m.Summary, detail))
	}
	return diags
}

// given reports whether one of the arguments stands in the step or in the defaults, or may,
// so that it is not missing, though it may not be known yet, or be wrong.
func (c *batchCheck) given(step engine.StepName, args []string) bool {
	for _, arg := range args {
		if place := c.program.Place(step, arg); place.Given || place.Hidden {
			return true
		}
	}
	return false
}

func inTasks(f *finding) string {
	name := engine.TaskName(f.Step, true, f.first)
	if f.tasks == 1 {
		return fmt.Sprintf(" (In task %s.)", name)
	}
	return fmt.Sprintf(" (In %s, the first is %s.)", view.Plural(f.tasks, "task"), name)
}

// alsoIn names steps that have the same mistake.
func alsoIn(steps []string) string {
	more := ""
	if n := len(steps) - stepsOfReason; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
		steps = steps[:stepsOfReason]
	}
	return fmt.Sprintf(" (Also in step %s%s.)", strings.Join(steps, ", "), more)
}

// withBatch adds to the mistakes of a workflow what AWS Batch would refuse of it, if that is
// where it is to run, as far as it can be told: all come in one pass.
func (s *session) withBatch(ctx context.Context, f *runFlags, mistakes hcl.Diagnostics) hcl.Diagnostics {
	wf, sketches := s.sketches(f)
	if cmp.Or(s.site.Executor, wf.Executor, localExecutor) != batchExecutor {
		return mistakes
	}
	workDir, err := s.workDir(f, wf)
	if err != nil {
		return mistakes
	}
	c := newBatchCheck(ctx, s.program, s.site, workDir)
	for _, step := range wf.Steps {
		c.sketch(step.Name, sketches[step.Name])
	}
	told := map[hcl.Range]bool{}
	for _, d := range mistakes {
		if d.Subject != nil && d.Severity == hcl.DiagError {
			told[*d.Subject] = true
		}
	}
	for _, d := range c.diagnostics() {
		if !told[*d.Subject] {
			mistakes = append(mistakes, d)
		}
	}
	return mistakes
}

func (s *session) sketches(f *runFlags) (*engine.Workflow, map[engine.StepName]*engine.TaskSpec) {
	return s.program.Sketch(s.input(f, nil), dsl.RunContext{ID: s.id, Time: s.created, Defaults: s.site.Defaults, PublishTo: s.site.PublishTo})
}

// planBatch checks the plan of a run on AWS Batch, and says what it means there; nil for a
// run elsewhere. What Batch would refuse is printed.
func (s *session) planBatch(ctx context.Context, f *runFlags, plan *engine.Plan, past []*engine.Run) (*batchPlan, error) {
	if s.executor != batchExecutor {
		return nil, nil
	}
	_, sketches := s.sketches(f)
	c, err := s.checkPlan(ctx, plan, sketches)
	if err != nil {
		return nil, err
	}
	return newBatchPlan(plan, c, sketches, newEstimate(plan, past)), nil
}

// checkPlan prints what Batch would refuse of a plan; the error is that there is something.
func (s *session) checkPlan(ctx context.Context, plan *engine.Plan, sketches map[engine.StepName]*engine.TaskSpec) (*batchCheck, error) {
	c := newBatchCheck(ctx, s.program, s.site, plan.Run.Info().WorkDir)
	c.plan(plan, sketches)
	diags := c.diagnostics()
	s.a.report(s.program.Workflow.Dir, s.program.Files, diags)
	if len(diags) > 0 {
		return nil, exit(exitProblem)
	}
	return c, nil
}

// fitsBatch checks a new run that is to go to AWS Batch as flow plan does, before anything
// of it is stored or sent.
func (s *session) fitsBatch(ctx context.Context, f *runFlags, info engine.RunInfo) error {
	if s.executor != batchExecutor {
		return nil
	}
	defer debug.FreeOSMemory() // the run itself will need as much as its plan
	files := s.files()
	driver := &engine.Driver{Workflow: s.workflow, Template: s.template, Files: files, Cache: s.knownResults(files)}
	plan, err := engine.NewPlan(ctx, driver, info)
	if err != nil {
		return err
	}
	_, sketches := s.sketches(f)
	_, err = s.checkPlan(ctx, plan, sketches)
	return err
}
