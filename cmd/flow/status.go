package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

// A statusCommand is one invocation of flow status.
type statusCommand struct {
	*app
	watch    bool
	failed   bool
	exitCode bool
	noLook   bool
	note     string // why what is shown is not the newest; "" if it is
	place    *place // where the task ran that is shown; nil: it is not one alone, or it did not
}

func newStatus(a *app) *cobra.Command {
	c := &statusCommand{app: a}
	cmd := &cobra.Command{
		Use:   "status [RUN[/STEP[[\"KEY\"]]]]",
		Short: "Show a run: steps, counts, failed tasks and why",
		Long: `Show a run: its steps with their counts, what waits for what, and the tasks that failed
with the reason. Of RUN/STEP, show its tasks; of a single task also where it ran: on AWS
Batch the job, compute environment, instance, ECS task and log stream of each attempt.
Without RUN the newest run is taken.

Of a run that goes on in AWS Batch, what its jobs have done is looked at first; while no flow
process drives it, that is recorded. Nothing is submitted.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			t, err := targetOf(argv)
			if err != nil {
				return err
			}
			return c.run(cmd.Context(), t)
		},
	}
	cmd.Flags().BoolVar(&c.watch, "watch", false, "show it again and again until the run ends")
	cmd.Flags().BoolVar(&c.failed, "failed", false, "of a step: only tasks that failed")
	cmd.Flags().BoolVar(&c.noLook, "no-look", false, "show what is recorded, and do not look at AWS Batch")
	cmd.Flags().BoolVar(&c.exitCode, "exit-code", false, "exit with the code of the run, as flow run does")
	return cmd
}

func (c *statusCommand) run(ctx context.Context, t target) error {
	past, err := c.openRun(ctx, t.run)
	if err != nil {
		return err
	}
	defer past.close()
	if !c.noLook {
		c.lookNow(ctx, past)
	}
	task, err := t.check(past.run)
	if err != nil {
		return err
	}
	if task >= 0 && !c.watch && !c.noLook {
		c.place = c.placeOf(ctx, past, t.step, task)
	}
	term := c.outTerm()
	if c.watch {
		if err := c.watchRun(ctx, past, t); err != nil {
			return err
		}
	} else if err := c.show(ctx, c.stdout, past, t, term); err != nil {
		return err
	}
	switch {
	case c.exitCode && past.run.Ended():
		return exit(exitCodeOf(past.run.Status(), past.run.Cause()))
	case c.exitCode && past.run.Rests():
		return exit(exitTimedOut)
	}
	return nil
}

// lookNow takes in what the jobs of a run have done that nobody drives, and how far those
// are of one that somebody does, if it can.
func (c *statusCommand) lookNow(ctx context.Context, past *past) {
	c.note = ""
	driven := !past.undriven(ctx)
	err := c.look(ctx, past)
	if err == nil && driven {
		err = c.peek(ctx, past)
	}
	if err != nil {
		c.note = asOf(ctx, past, err)
	}
}

func (c *statusCommand) show(ctx context.Context, w io.Writer, past *past, t target, term view.Term) error {
	switch {
	case t.step != "":
		return c.showTasks(w, past.run, t, term)
	case c.asJSON():
		data := runData(past.run, c.now())
		if held := past.holder(ctx); held != nil {
			data.Driver = driverData(held)
		} else if past.row.Entrusted && !past.run.Ended() {
			data.Entrusted = entrustedText(ctx, past)
		}
		data.Note = c.note
		data.WaitsFor = poolTexts(ctx, past)
		data.Held = heldData(past.run, c.now())
		return writeJSON(w, data)
	}
	return c.showRun(ctx, w, past, term)
}

// showRun writes the page about a run.
func (c *statusCommand) showRun(ctx context.Context, w io.Writer, past *past, term view.Term) error {
	run, s := past.run, term.Style
	created, _ := run.Times()
	wf := run.Workflow()
	fact := func(name, text string) { fmt.Fprintf(w, "%-10s %s\n", name, text) }
	fact("run", string(run.ID()))
	fact("workflow", strings.TrimSuffix(view.Clean(wf.Name+", "+wf.Description), ", "))
	fact("created", created.UTC().Format(time.RFC3339)+", "+ago(created, c.now()))
	if slot := run.Info().Slot; slot != nil {
		fact("schedule", view.Clean(wf.Name+"/"+slot.Schedule)+", "+slotKindText(slot)+slotText(slot.Time.In(zoneOf(&engine.Schedule{TimeZone: slot.TimeZone}))))
	}
	for _, name := range sortedNames(run.Info().Variables) {
		fact("variable", view.Clean(name+" = "+run.Info().Variables[name]))
	}
	driven := false
	if !run.Ended() {
		if held := past.holder(ctx); held != nil {
			driven = true
			fact("driver", view.Clean(held.Driver()))
		}
		if pools := poolTexts(ctx, past); pools != "" {
			fact("waits for", view.Clean(pools))
		}
		if !driven && past.row.Entrusted {
			fact("waits for", "the service; "+entrustedText(ctx, past))
		}
	}
	if since, why, late := run.Late(c.now()); late {
		fact("late", lateText(since, why))
	}
	if c.note != "" {
		fact("note", view.Clean(c.note))
	}
	fmt.Fprintln(w)
	if err := stepTable(run, s, c.now()).WriteAligned(w, term, ""); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if _, err := io.WriteString(w, summary(run, term, c.now(), driven)); err != nil {
		return err
	}
	if results := run.Results(); len(results) > 0 {
		_, err := io.WriteString(w, "\n"+outputsText(results, s))
		return err
	}
	return nil
}

// slotKindText says how a run has got its slot.
func slotKindText(slot *engine.Slot) string {
	switch {
	case slot.Backfill:
		return "backfill of "
	case slot.Manual:
		return "triggered for "
	}
	return "slot of "
}

// entrustedText says why the service does not drive a run that is left to it.
func entrustedText(ctx context.Context, past *past) string {
	if all, err := past.db.Entrusted(ctx); err == nil {
		for i := range all {
			if all[i].Row.ID == past.row.ID && all[i].Trouble != "" {
				return view.Clean(view.Brief(all[i].Trouble))
			}
		}
	}
	if held, err := past.db.TermHolder(ctx, state.ServiceTerm); err == nil && held == nil {
		return "there is none now: flow serve"
	}
	return "it takes the run up in its turn"
}

// stepTable lists the steps of a run, and why those wait that do.
func stepTable(run *engine.Run, s view.Style, now time.Time) *view.Table {
	waits := waitsOf(run, now)
	steps := run.Steps()
	memory := memoryTexts(run, steps)
	table := &view.Table{Header: []string{"STEP", "STATUS", "TASKS", "TIME", "STATE"}, Right: []bool{false, false, true, true}}
	if memory != nil {
		table.Header, table.Right = slices.Insert(table.Header, 4, "PEAK MEMORY"), append(table.Right, true)
	}
	for _, v := range steps {
		size := "?"
		if v.Size >= 0 {
			size = view.Count(v.Size)
		}
		note := view.Counts(v.Counts).Words(s)
		why := view.Reason(v.Reason)
		if v.Reason == engine.ReasonWhen {
			why = whyText(nil, v.Reason, v.Cause)
		}
		for _, more := range []string{view.Clean(waits[v.Step.Name]), why} {
			if more != "" {
				note = strings.TrimPrefix(note+"; "+more, "; ")
			}
		}
		took := ""
		if d := span(v.Started, v.Ended, now); d > 0 && v.Counts[engine.Succeeded]+v.Counts[engine.Failed]+v.Counts[engine.Running] > 0 {
			took = view.Duration(d)
		}
		row := []string{string(v.Step.Name), s.Status(v.Status), size, took, note}
		if memory != nil {
			row = slices.Insert(row, 4, memory[v.Step.Name])
		}
		table.Add(row...)
	}
	return table
}

// showTasks lists the tasks of a step, or the one task that is meant.
func (c *statusCommand) showTasks(w io.Writer, run *engine.Run, t target, term view.Term) error {
	only, err := t.check(run)
	if err != nil {
		return err
	}
	table := &view.Table{Header: []string{"TASK", "STATUS", "ATTEMPTS", "TIME", "PEAK", "WHY"}, Right: []bool{false, false, true, true, true}}
	type placedJSON struct {
		*taskJSON
		Place *place `json:"place,omitempty"`
	}
	list := []placedJSON{}
	for i := range max(run.StepStatus(t.step).Size, 0) {
		task := run.Task(t.step, i)
		if (only >= 0 && i != only) || (c.failed && task.Status != engine.Failed) {
			continue
		}
		if c.asJSON() {
			list = append(list, placedJSON{taskData(run, &task), c.place})
			continue
		}
		table.Add(view.Clean(task.Name), term.Style.Status(task.Status), attemptsText(&task),
			took(&task, c.now()), view.Peak(task.PeakMemory, task.PeakAtMost), taskNote(&task))
	}
	if c.asJSON() {
		return writeJSON(w, list)
	}
	if len(table.Rows) == 0 {
		c.say("no such tasks")
		return nil
	}
	if err := table.Write(w, term); err != nil || c.place == nil {
		return err
	}
	return c.place.write(w, c.now())
}

func took(t *engine.TaskStatus, now time.Time) string {
	if t.Started.IsZero() || t.Status == engine.Pending {
		return ""
	}
	end := t.Stopped
	if t.Status == engine.Running {
		end = time.Time{}
	}
	return view.Duration(span(t.Started, end, now))
}

// taskNote says in a few words what is special about a task.
func taskNote(t *engine.TaskStatus) string {
	switch {
	case t.Hit != nil:
		return "result of run " + string(t.Hit.Run)
	case t.Status.OK() || t.Status == engine.Running:
		return ""
	case t.Status == engine.Pending && t.Reason == "" && t.ExitCode == nil:
		return ""
	}
	return whyText(t.ExitCode, t.Reason, t.Cause)
}

// sortedNames returns the keys of m, sorted.
func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
