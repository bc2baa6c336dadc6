package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"flow/engine"
	"flow/executor/batch/diagnose"
)

func newExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain RUN/STEP[[\"KEY\"]]",
		Short: "Say why a task ran, was cached, was skipped, waits or failed",
		Long: `Say why a task is what it is: which part of what its result depends on has changed since
the run before, whose result was taken over, what failed first when it was skipped, what
it waits for, and how each of its attempts ended.

Of a task that failed it says why in plain words, what would help, and shows the last lines
of its log. Of one that waits in AWS Batch it looks at the job, its queue, the compute
environments and the instances, and says what it waits for, or what may be. Of a step it
counts the failures by their cause.`,
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
	Memory   int64          `json:"peak_memory,omitempty"`  // bytes
	AtMost   bool           `json:"peak_at_most,omitempty"` // peak_memory is not its peak, but what it did not exceed
	CPU      float64        `json:"cpu_seconds,omitempty"`
	Text     string         `json:"text,omitempty"`       // of one that failed: why, in plain words
	Log      string         `json:"log_stream,omitempty"` // in CloudWatch Logs, as far as it is known
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

	Verdict  *diagnose.Verdict  `json:"verdict,omitempty"`  // of one that failed: why
	LastLog  []string           `json:"log,omitempty"`      // likewise: the last lines that it wrote
	Findings []diagnose.Finding `json:"findings,omitempty"` // of one that waits: why
	Unseen   []string           `json:"unseen,omitempty"`   // likewise: what could not be looked at

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
		return a.explainStep(ctx, p, t.step)
	}
	e, err := a.explanation(ctx, p, t.step, task)
	if err != nil {
		return err
	}
	e.files = true
	if e.Note = note; p.row.Executor == batchExecutor {
		a.explainJob(ctx, p, t.step, task, e)
	} else {
		a.explainHere(ctx, p, t.step, task, e)
	}
	e.judge(p, t.step, task)
	if a.asJSON() {
		return a.printJSON(e)
	}
	return e.write(a.stdout, a.outTerm(), p.run)
}

// waitsFor says why a step that has not ended is not in jobs; "" if it is.
func waitsFor(run *engine.Run, name engine.StepName, now time.Time) string {
	if run.Ended() {
		return ""
	}
	for _, h := range run.Holds(now) {
		if h.Step != name {
			continue
		}
		if p, paused := run.Paused(); paused {
			return "the run is paused: " + p.Reason + "; go on: flow resume " + string(run.ID())
		}
		return h.Hold.Reason
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
		used := e.Used(at)
		out = append(out, attemptInfo{
			Attempt: pick(e.Attempts, at, 1), Outcome: e.Outcome, ExitCode: e.ExitCode, Reason: localReason(p.run, e.Reason), Rule: e.Rule,
			Started: millis(pick(e.Started, at, 0)), Ended: millis(pick(e.Stopped, at, 0)),
			Memory: used.PeakMemory, AtMost: used.AtMost, CPU: float64(used.CPUMillis) / 1000,
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
