package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

func newPlan(a *app) *cobra.Command {
	f := &runFlags{}
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan [PATH]",
		Short: "Show what a run would do, and do nothing",
		Long: `Show what flow run would do: the tasks of each step as far as they can be known before,
which of them are CACHED and why the others are not, the jobs and array jobs, what they
depend on, and which steps are handed over at once or held until something is decided.`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.plan(cmd.Context(), pathOf(argv), f, detailed)
		},
	}
	f.register(cmd.Flags())
	a.registerReplace(cmd, f)
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 if something would run")
	return cmd
}

// A planReport is a plan with what is said about it.
type planReport struct {
	plan *engine.Plan
	why  map[engine.StepName]map[string]*notCached // why tasks are not CACHED, by cause

	batch *batchPlan // what it means to AWS Batch; nil: it is not for there
}

func (a *app) plan(ctx context.Context, path string, f *runFlags, detailed bool) error {
	report, err := a.makePlan(ctx, path, f)
	if err != nil {
		return err
	}
	if a.asJSON() {
		err = a.printJSON(report.data())
	} else {
		err = report.write(a.stdout, a.outTerm())
	}
	if err != nil {
		return err
	}
	for _, s := range report.plan.Steps {
		if s.Err != "" {
			return exit(exitProblem)
		}
	}
	if n, more := report.plan.ToRun(); detailed && (n > 0 || more) {
		return exit(exitHasWork)
	}
	return nil
}

// A notCached is a cause why tasks are not CACHED.
type notCached struct {
	tasks   int
	why     string // of the first of them, in words
	example string // which that is
	differ  bool   // others have other words for it
}

// text says why: in words that are true of all.
func (n *notCached) text(cause string) string {
	if n.differ {
		return fmt.Sprintf("%s (%s: %s)", cause, n.example, n.why[strings.Index(n.why, ": ")+2:])
	}
	return n.why
}

// noteWhy notes why a task is not CACHED: the cause, and that in words.
func noteWhy(why map[string]*notCached, cause, words, task string) {
	n := why[cause]
	if n == nil {
		n = &notCached{why: words, example: task}
		why[cause] = n
	}
	n.tasks++
	n.differ = n.differ || n.why != words
}

// comparedTasks is how many tasks of a step are compared with those of an earlier run.
const comparedTasks = 1000

// explain notes why tasks of the plan are not CACHED, against the run before.
func (r *planReport) explain(before *engine.Run) {
	r.why = map[engine.StepName]map[string]*notCached{}
	for i := range r.plan.Steps {
		s := &r.plan.Steps[i]
		if s.ToRun == 0 {
			continue
		}
		why := map[string]*notCached{}
		r.why[s.Step.Name] = why
		n := 0
		for task := range r.plan.Run.Select(s.Step.Name, engine.Pending, engine.Running).All() {
			if n++; n > comparedTasks {
				break
			}
			if r.plan.Run.KeyParts(s.Step.Name, task) == nil {
				noteWhy(why, "its results are not cached", "its results are not cached", "")
				continue
			}
			c := compare(before, r.plan.Run, s.Step.Name, task)
			noteWhy(why, c.cause(), c.why(), r.plan.Run.Task(s.Step.Name, task).Name)
		}
	}
}

func (r *planReport) write(w io.Writer, term view.Term) error {
	s := term.Style
	wf := r.plan.Run.Workflow()
	fmt.Fprintf(w, "%s\n\n", s.Bold(strings.TrimSuffix(view.Clean(wf.Name+": "+wf.Description), ": ")))
	table := &view.Table{
		Header: []string{"STEP", "TASKS", "CACHED", "TO RUN", "JOBS", "WAITS FOR", "HANDED OVER"},
		Right:  []bool{false, true, true, true},
	}
	for i := range r.plan.Steps {
		p := &r.plan.Steps[i]
		size, run := "?", "?"
		if p.Size >= 0 {
			size, run = view.Count(p.Size), view.Count(p.ToRun)
		}
		table.Add(string(p.Step.Name), size, view.Count(p.Cached), run, jobsText(p.Jobs), waitsText(p), heldText(p, s))
	}
	if err := table.WriteAligned(w, term, ""); err != nil {
		return err
	}
	r.writeWhy(w, term)
	writePools(w, wf.Pools, r.batch != nil)
	if r.batch != nil {
		if err := r.batch.write(w, r.plan, term); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.total())
	return err
}

// jobsText writes the jobs of a step: "1", "array of 412", "2 arrays of 10,000; 1".
func jobsText(jobs []engine.PlannedJob) string {
	var parts []string
	for i := 0; i < len(jobs); {
		n := 1
		for i+n < len(jobs) && jobs[i+n].Size == jobs[i].Size {
			n++
		}
		switch size := view.Count(jobs[i].Size); {
		case jobs[i].Size > 1 && n > 1:
			parts = append(parts, fmt.Sprintf("%d arrays of %s", n, size))
		case jobs[i].Size > 1:
			parts = append(parts, "array of "+size)
		default:
			parts = append(parts, strconv.Itoa(n))
		}
		i += n
		if len(parts) == 4 && i < len(jobs) {
			parts = append(parts, fmt.Sprintf("… %s more", view.Count(len(jobs)-i)))
			break
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// waitsText names the steps that a step waits for, and how.
func waitsText(p *engine.PlanStep) string {
	var parts []string
	for _, d := range p.Step.Deps {
		text := string(d.Step)
		if d.Kind == engine.Element {
			text += " (each)"
		}
		parts = append(parts, text)
	}
	if p.Step.Sequential {
		parts = append(parts, "one after the other")
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func heldText(p *engine.PlanStep, s view.Style) string {
	switch {
	case p.Err != "":
		return s.Red("error: ") + view.Clean(p.Err)
	case p.Hold.Reason != "":
		return s.Yellow("held: ") + view.Clean(p.Hold.Reason)
	case p.Size >= 0 && p.ToRun == 0:
		return "nothing to do"
	}
	return s.Green("at once")
}

// stepsOfReason is how many steps are named of which the same is true.
const stepsOfReason = 6

// writeWhy says why the tasks that have to run are not CACHED: each reason with the steps
// it is true of.
func (r *planReport) writeWhy(w io.Writer, term view.Term) {
	steps := map[string][]string{}
	tasks := map[string]int{}
	for i := range r.plan.Steps {
		name := r.plan.Steps[i].Step.Name
		for cause, n := range r.why[name] {
			reason := n.text(cause)
			steps[reason] = append(steps[reason], fmt.Sprintf("%s (%s)", name, view.Plural(n.tasks, "task")))
			tasks[reason] += n.tasks
		}
	}
	if len(tasks) > 0 {
		fmt.Fprintf(w, "\n%s\n", term.Style.Dim("Not cached:"))
	}
	for _, reason := range byCount(tasks) {
		names := steps[reason]
		more := ""
		if n := len(names) - stepsOfReason; n > 0 {
			more = fmt.Sprintf(", and %s", view.Plural(n, "more step"))
			names = names[:stepsOfReason]
		}
		fmt.Fprintf(w, "  %s:\n    %s%s\n", view.Clean(reason), strings.Join(names, ", "), more)
	}
}

// total sums the plan up in a line.
func (r *planReport) total() string {
	cached, jobs := 0, 0
	for _, p := range r.plan.Steps {
		cached += p.Cached
		jobs += len(p.Jobs)
	}
	n, more := r.plan.ToRun()
	if n == 0 && !more {
		return fmt.Sprintf("Nothing to run: %s cached.", view.Plural(cached, "task"))
	}
	text := fmt.Sprintf("%s to run, %s cached, %s to submit at once", view.Plural(n, "task"), view.Count(cached), view.Plural(jobs, "job"))
	if more {
		text += "; more once they are known"
	}
	return text + "."
}
