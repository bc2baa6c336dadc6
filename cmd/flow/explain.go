package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

func newExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain RUN/STEP[[\"KEY\"]]",
		Short: "Say why a task ran, was cached, was skipped, waits or failed",
		Long: `Say why a task is what it is: which part of what its result depends on has changed since
the run before, whose result was taken over, what failed first when it was skipped, what
it waits for, and how each of its attempts ended.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			t, err := parseTarget(argv[0])
			if err != nil {
				return err
			}
			if t.step == "" {
				return errUsage(cmd.CommandPath(), "explain takes a step or a task: RUN/STEP or RUN/STEP[\"KEY\"]; of a whole run, see flow status %s", argv[0])
			}
			return a.explain(cmd.Context(), t)
		},
	}
}

// An attemptInfo is how one try of a task ended.
type attemptInfo struct {
	Attempt  int            `json:"attempt"` // the last one, if several are told as one
	Outcome  engine.Outcome `json:"outcome"`
	ExitCode *int           `json:"exit_code,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Rule     string         `json:"rule,omitempty"`
	Started  time.Time      `json:"started,omitzero"`
	Ended    time.Time      `json:"ended,omitzero"`
}

// An explanation is what flow explain has found out about a task.
type explanation struct {
	*taskJSON
	Waits    string        `json:"waits,omitempty"`
	Why      string        `json:"why,omitempty"` // why it was not CACHED
	Changed  []keyChange   `json:"changed,omitempty"`
	Since    string        `json:"since,omitempty"` // the run that is compared with
	History  []attemptInfo `json:"history,omitempty"`
	RootTask *taskJSON     `json:"root_cause,omitempty"`
	Batch    *batchJobJSON `json:"batch,omitempty"` // the last job, as AWS Batch has it now
	Note     string        `json:"note,omitempty"`  // why it may not be the newest

	files bool // it has files of its own
}

func (a *app) explain(ctx context.Context, t target) error {
	p, err := a.openRun(ctx, t.run)
	if err != nil {
		return err
	}
	defer p.close()
	note := ""
	if err := a.look(ctx, p); err != nil {
		note = asOf(ctx, p, err)
	}
	task, err := t.check(p.run)
	if err != nil {
		return err
	}
	if task < 0 {
		if note != "" {
			a.say("%s", note)
		}
		return a.explainStep(p, t.step)
	}
	e, err := a.explanation(ctx, p, t.step, task)
	if err != nil {
		return err
	}
	e.files = true
	if e.Note = note; p.row.Executor == batchExecutor {
		a.explainJob(ctx, p, t.step, task, e)
	}
	if a.asJSON() {
		return a.printJSON(e)
	}
	return e.write(a.stdout, a.outTerm(), p.run)
}

// explainStep explains a step whose tasks are not named: it says what is true of all.
func (a *app) explainStep(p *past, name engine.StepName) error {
	v := p.run.StepStatus(name)
	waits := waitsFor(p.run, name, a.now())
	if a.asJSON() {
		return a.printJSON(struct {
			*stepJSON
			Waits string `json:"waits,omitempty"`
		}{stepData(&v), waits})
	}
	s := a.outTerm().Style
	w := a.stdout
	fmt.Fprintf(w, "%s of run %s is %s\n", s.Bold(string(name)), p.run.ID(), s.Status(v.Status))
	if v.Size >= 0 && v.Step.FanOut {
		fmt.Fprintf(w, "  %s: %s\n", view.Plural(v.Size, "task"), view.Counts(v.Counts).Words(s))
	}
	if v.Reason != "" || v.Cause != "" {
		fmt.Fprintf(w, "  %s\n", whyText(nil, v.Reason, v.Cause))
	}
	if waits != "" {
		fmt.Fprintf(w, "  not handed over: %s\n", view.Clean(waits))
	}
	if v.Size > 0 && v.Step.FanOut {
		first := p.run.Task(name, 0)
		_, err := fmt.Fprintf(w, "  of one task: flow explain %s\n", shellWord(string(p.run.ID())+"/"+first.Name))
		return err
	}
	return nil
}

// waitsFor says why a step that has not ended is not in jobs; "" if it is.
func waitsFor(run *engine.Run, name engine.StepName, now time.Time) string {
	if run.Ended() {
		return ""
	}
	for _, h := range run.Holds(now) {
		if h.Step == name {
			return h.Hold.Reason
		}
	}
	return ""
}

func (a *app) explanation(ctx context.Context, p *past, step engine.StepName, i int) (*explanation, error) {
	run := p.run
	t := run.Task(step, i)
	e := &explanation{taskJSON: taskData(run, &t)}
	if !t.Status.Ended() {
		e.Waits = waitsFor(run, step, a.now())
	}
	var err error
	if e.History, err = p.history(ctx, step, i); err != nil {
		return nil, err
	}
	if t.Status == engine.Skipped || t.Status == engine.Cancelled {
		e.RootTask = rootCause(run, t.Cause)
		return e, nil
	}
	if t.Hit != nil {
		return e, nil
	}
	if run.KeyParts(step, i) == nil {
		e.Why = "its results are not cached"
		return e, nil
	}
	before, err := a.earlier(ctx, p.db, run.Workflow().Name, run.ID())
	if err != nil {
		return nil, err
	}
	c := compare(before, run, step, i)
	e.Why, e.Changed = c.why(), c.changes
	if before != nil {
		e.Since = string(before.ID())
	}
	return e, nil
}

// rootCause finds the task that a cause names, or nil.
func rootCause(run *engine.Run, cause string) *taskJSON {
	t, err := parseTarget("run/" + cause)
	if err != nil || cause == "" {
		return nil
	}
	i, err := t.check(run)
	if err != nil || i < 0 {
		return nil
	}
	status := run.Task(t.step, i)
	return taskData(run, &status)
}

// history returns how the tries of a task ended, oldest first.
func (p *past) history(ctx context.Context, step engine.StepName, task int) ([]attemptInfo, error) {
	var out []attemptInfo
	for e, err := range p.db.Events(ctx, p.row.ID, 0) {
		if err != nil {
			return nil, err
		}
		if e.Kind != engine.TasksEnded || e.Step != step || !e.Tasks.Contains(task) || e.Outcome == engine.TaskUnstarted {
			continue
		}
		at := e.Tasks.Rank(task)
		out = append(out, attemptInfo{
			Attempt: pick(e.Attempts, at, 1), Outcome: e.Outcome, ExitCode: e.ExitCode, Reason: localReason(p.run, e.Reason), Rule: e.Rule,
			Started: millis(pick(e.Started, at, 0)), Ended: millis(pick(e.Stopped, at, 0)),
		})
	}
	return out, nil
}

// pick returns the value for the task at place at: of a list with one element, that one.
func pick[T any](list []T, at int, none T) T {
	switch {
	case len(list) == 0:
		return none
	case len(list) == 1:
		return list[0]
	case at < len(list):
		return list[at]
	}
	return none
}

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (e *explanation) write(w io.Writer, term view.Term, run *engine.Run) error {
	s := term.Style
	fmt.Fprintf(w, "%s of run %s is %s\n", s.Bold(view.Clean(e.Task)), run.ID(), s.Status(e.Status))
	line := func(format string, args ...any) { fmt.Fprintf(w, "  "+format+"\n", args...) }
	switch {
	case e.From != nil:
		line("its result was known: it is that of %s of run %s", view.Clean(e.From.Task), e.From.Run)
		line("all that it depends on is the same: command, environment, content of the inputs, outputs")
	case e.Status == engine.Cancelled && len(e.History) > 0:
		line("it was ended: %s", whyText(nil, e.Reason, e.Cause))
	case e.Status == engine.Skipped || e.Status == engine.Cancelled:
		line("it did not run: %s", whyText(nil, e.Reason, e.Cause))
	case e.Status == engine.Failed:
		line("it failed: %s", whyText(e.ExitCode, e.Reason, e.Cause))
	case e.Waits != "":
		line("it waits: %s", view.Clean(e.Waits))
	case e.Status == engine.Pending && e.Job == "":
		line("its job is being submitted, or looked for since the answer was lost")
	case e.Status == engine.Pending:
		line("it is in the queue of job %s", e.Job)
	}
	if e.RootTask != nil {
		line("root cause: %s is %s: %s", view.Clean(e.RootTask.Task), s.Status(e.RootTask.Status), whyText(e.RootTask.ExitCode, e.RootTask.Reason, e.RootTask.Cause))
		if e.RootTask.Status != engine.Skipped { // that wrote nothing
			line("  flow logs %s", shellWord(string(run.ID())+"/"+e.RootTask.Task))
		}
	}
	if e.Why != "" && e.From == nil {
		line("it had to run: %s", view.Clean(e.Why))
		for _, c := range e.Changed {
			c.write(w, s)
		}
	}
	for _, h := range e.History {
		text := fmt.Sprintf("attempt %d %s", h.Attempt, h.Outcome)
		switch h.Outcome {
		case engine.TaskSucceeded:
		case engine.TaskLost: // nobody can tell which tries were made, and the reason says so
			text = h.Reason
		default:
			text += ": " + whyText(h.ExitCode, h.Reason, "")
		}
		if h.Rule != "" {
			text += " (rule " + h.Rule + ")"
		}
		if d := h.Ended.Sub(h.Started); !h.Started.IsZero() && d >= 0 {
			text += ", " + view.Duration(d)
		}
		line("%s", view.Clean(text))
	}
	if j := e.Batch; j != nil {
		line("%s", view.Clean(j.text()))
	}
	if e.Note != "" {
		line("note: %s", view.Clean(e.Note))
	}
	if e.Dir != "" && e.Status != engine.Skipped && e.files {
		line("files: %s", view.Clean(e.Dir))
	}
	return nil
}

// taskIdentity begins the identity of an input that is another task's output.
const taskIdentity = "task:"

// longestValue is how much of a part of a key is shown on a line.
const longestValue = 100

// write shows what changed in a part of a key: as a diff where it has several lines.
func (c *keyChange) write(w io.Writer, s view.Style) {
	if strings.Contains(c.Before+c.Now, "\n") && c.Before != "" && c.Now != "" {
		fmt.Fprintf(w, "    %s:\n", view.Clean(c.Part))
		text := string(diff.Diff("before", []byte(c.Before), "now", []byte(c.Now)))
		for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
			if i < 3 || strings.HasPrefix(line, "@@") {
				continue // names of files that are none
			}
			line = view.Clean(line)
			switch {
			case strings.HasPrefix(line, "+"):
				line = s.Green(line)
			case strings.HasPrefix(line, "-"):
				line = s.Red(line)
			}
			fmt.Fprintf(w, "      %s\n", line)
		}
		return
	}
	if strings.HasPrefix(c.Part, "input ") && strings.Contains(c.Before, taskIdentity) && strings.Contains(c.Now, taskIdentity) {
		fmt.Fprintf(w, "    %s: what it is made from has changed; see flow explain of the step it comes from\n", view.Clean(c.Part))
		return
	}
	show := func(v string) string {
		if v == "" {
			return "(none)"
		}
		return view.Cut(view.Clean(v), longestValue)
	}
	fmt.Fprintf(w, "    %s: %s -> %s\n", view.Clean(c.Part), s.Red(show(c.Before)), s.Green(show(c.Now)))
}
