package main

import (
	"context"
	"fmt"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch/diagnose"
)

// A stepExplanation is what flow explain has found out about a step whose tasks are not
// named: what is true of all, and of the first that waits.
type stepExplanation struct {
	*stepJSON
	Waits    string                 `json:"waits,omitempty"`
	Failures []runstat.FailureGroup `json:"failures,omitempty"`
	First    string                 `json:"first_waiting,omitempty"` // the task that Findings are of
	Findings []diagnose.Finding     `json:"findings,omitempty"`
	Unseen   []string               `json:"unseen,omitempty"`
}

// stepExplained is what can be said of a step without a look at its jobs.
func (a *app) stepExplained(p *past, name engine.StepName) *stepExplanation {
	v := p.run.StepStatus(name)
	return &stepExplanation{stepJSON: stepData(&v), Waits: waitsFor(p.run, name, a.now()), Failures: runstat.Failures(p.run, name)}
}

func (a *app) explainStep(ctx context.Context, p *past, name engine.StepName) error {
	v := p.run.StepStatus(name)
	x := a.stepExplained(p, name)
	task := a.firstWaiting(ctx, p, name)
	if task != nil {
		x.First, x.Findings, x.Unseen = task.Task, task.Findings, task.Unseen
	}
	if a.asJSON() {
		return a.printJSON(x)
	}
	s := a.outTerm().Style
	w := a.stdout
	fmt.Fprintf(w, "%s of run %s is %s\n", s.Bold(string(name)), p.run.ID(), s.Status(v.Status))
	if v.Size >= 0 && v.Step.FanOut {
		fmt.Fprintf(w, "  %s: %s\n", view.Plural(v.Size, "task"), view.Counts(v.Counts).Words(s))
	}
	if (v.Reason != "" || v.Cause != "") && len(x.Failures) == 0 {
		fmt.Fprintf(w, "  %s\n", whyText(nil, v.Reason, v.Cause))
	}
	if text := gateText(p.run, name, a.now()); text != "" {
		fmt.Fprintf(w, "  %s\n", text)
	}
	if x.Waits != "" {
		fmt.Fprintf(w, "  not handed over: %s\n", view.Clean(x.Waits))
	}
	writeGroups(w, s, p.run, x.Failures)
	if task != nil {
		fmt.Fprintf(w, "  the first that waits is %s:\n", view.Clean(x.First))
		task.writeFindings(w, s)
		task.writeUnseen(w)
	}
	if v.Size > 0 && v.Step.FanOut && len(x.Failures) == 0 && task == nil {
		first := p.run.Task(name, 0)
		_, err := fmt.Fprintf(w, "  of one task: flow explain %s\n", shellWord(string(p.run.ID())+"/"+first.Name))
		return err
	}
	return nil
}

// firstWaiting says why the first task of a step waits whose job AWS Batch has; nil if there
// is none, or if it does not wait any more.
func (a *app) firstWaiting(ctx context.Context, p *past, step engine.StepName) *explanation {
	if p.row.Executor != batchExecutor || p.run.Ended() {
		return nil
	}
	for i := range p.run.Select(step, engine.Pending).All() {
		t := p.run.Task(step, i)
		if t.Job == "" {
			continue
		}
		e := &explanation{taskJSON: taskData(p.run, &t)}
		if a.explainJob(ctx, p, step, i, e); len(e.Findings) > 0 {
			return e
		}
		return nil
	}
	return nil
}
