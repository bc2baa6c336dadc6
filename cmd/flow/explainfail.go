package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch/diagnose"
)

// judge says of each try of a task that failed why, and of the task itself.
func (e *explanation) judge(p *past, step engine.StepName, i int) {
	t, spec := p.run.Task(step, i), p.run.Spec(step, i)
	kept, err := paramsOf(p.row)
	boxed := err == nil && kept.Machine.Containers != "" && spec != nil
	for k := range e.History {
		h := &e.History[k]
		if h.Outcome == engine.TaskSucceeded {
			continue
		}
		at := tried(p.run, spec, h.Attempt)
		at.Asked.AgentImage = kept.Batch.overSite(kept.Site).AgentImage
		at.ExitCode, at.Reason, at.Started, at.Stopped = h.ExitCode, h.Reason, h.Started, h.Ended
		if boxed {
			at.Asked.Image = spec.Image
		}
		if h.Reason == hostLost {
			at.Reason = engine.ReasonHostLost
		}
		if k == len(e.History)-1 {
			at.Log = e.LastLog
		}
		v := diagnose.WhyFailed(at)
		if h.Text = v.Text; t.Status == engine.Failed && k == len(e.History)-1 {
			e.Verdict = &v
		}
	}
	if t.Status == engine.Failed && e.Verdict == nil { // no try of it is known
		v := whyFailed(p.run, spec, &t)
		e.Verdict = &v
	}
	if v := e.Verdict; v != nil && t.Cause != "" && v.Cause == diagnose.Other {
		v.Text = whyText(t.ExitCode, t.Reason, t.Cause)
	}
}

// whyFailed says why a task failed, by what is recorded of it.
func whyFailed(run *engine.Run, spec *engine.TaskSpec, t *engine.TaskStatus) diagnose.Verdict {
	at := tried(run, spec, t.Attempts)
	at.ExitCode, at.Reason, at.Cause, at.Started, at.Stopped = t.ExitCode, t.Reason, t.Cause, t.Started, t.Stopped
	return diagnose.WhyFailed(at)
}

// tried returns what an attempt of a task had. spec is nil if that is not known.
func tried(run *engine.Run, spec *engine.TaskSpec, attempt int) diagnose.Attempt {
	at := diagnose.Attempt{Local: run.Info().Executor == localExecutor}
	if spec == nil {
		return at
	}
	at.Asked = diagnose.Asked{
		MemoryMiB: spec.ResourcesFor(attempt).MemoryMiB, Timeout: spec.Timeout, Agent: spec.NeedsAgent(),
	}
	if !at.Local {
		at.Asked.Image = spec.Image // here, tasks seldom run in containers
	}
	if len(spec.Command) > 0 {
		at.Asked.Program = spec.Command[0]
	}
	if c := spec.Container; c != nil {
		at.Asked.Architecture, at.Asked.LogGroup, at.Asked.Fargate = c.Architecture, c.LogOptions["awslogs-group"], c.Platform == engine.TypeFargate
	}
	return at
}

// plainer are the causes whose reason a person is told in other words than those that AWS
// Batch and ECS have for it, wherever there is but one line for it.
var plainer = []diagnose.Cause{
	diagnose.OutOfMemory, diagnose.TimedOut, diagnose.HostLost, diagnose.SpotTaken, diagnose.ImageMissing, diagnose.ImageDenied, diagnose.ImageRateLimit,
	diagnose.ImageNoRoute, diagnose.ImagePull, diagnose.WrongArchitecture, diagnose.NoLogGroup, diagnose.OverridesTooLong, diagnose.QueueLimit, diagnose.QueueDeleted,
	diagnose.AgentFailed,
}

// failedText says in one line why a task failed. run may be nil, and then less is known.
func failedText(run *engine.Run, t *engine.TaskStatus) string {
	var v diagnose.Verdict
	if run != nil {
		v = whyFailed(run, run.Spec(t.Step, t.Index), t)
	} else {
		v = diagnose.WhyFailed(diagnose.Attempt{ExitCode: t.ExitCode, Reason: t.Reason, Started: t.Started, Stopped: t.Stopped})
	}
	if t.Status != engine.Failed || !slices.Contains(plainer, v.Cause) {
		return whyText(t.ExitCode, t.Reason, t.Cause)
	}
	return view.Clean(v.Text)
}

// A failureGroup is the tasks of a step that failed for the same cause.
type failureGroup struct {
	diagnose.Verdict        // of the first of them
	Tasks            int    `json:"tasks"`
	Example          string `json:"example"`
}

// failureGroups groups the failed tasks of a step by their cause, by what is recorded, the
// most frequent first. The same reason is looked into once, whatever the number of tasks.
func failureGroups(run *engine.Run, step engine.StepName) []failureGroup {
	type reason struct {
		code int
		text string
	}
	var groups []failureGroup
	seen := map[reason]int{}  // where in groups
	alike := map[string]int{} // likewise
	for i := range run.Select(step, engine.Failed).All() {
		t := run.Task(step, i)
		r := reason{-1, t.Reason}
		if t.ExitCode != nil {
			r.code = *t.ExitCode
		}
		at, ok := seen[r]
		if !ok {
			v := whyFailed(run, run.Spec(step, i), &t)
			key := alikeAs(&v)
			if at, ok = alike[key]; !ok {
				at = len(groups)
				alike[key] = at
				groups = append(groups, failureGroup{Verdict: v, Example: t.Name})
			}
			seen[r] = at
		}
		groups[at].Tasks++
	}
	slices.SortStableFunc(groups, func(a, b failureGroup) int { return cmp.Compare(b.Tasks, a.Tasks) })
	return groups
}

// alikeAs is the same for verdicts that a person takes for one: of causes whose text names
// what a single task had, the cause alone.
func alikeAs(v *diagnose.Verdict) string {
	switch v.Cause {
	case diagnose.HostLost, diagnose.TimedOut, diagnose.InputMissing, diagnose.OutputMissing, diagnose.OutputNotKept, diagnose.Lost, diagnose.DependencyFailed:
		return string(v.Cause)
	}
	return string(v.Cause) + ": " + v.Text
}

const mostGroups = 8 // of failures that are shown

// writeGroups shows failures by their cause.
func writeGroups(w io.Writer, s view.Style, run *engine.Run, groups []failureGroup) {
	for i := range groups[:min(len(groups), mostGroups)] {
		g := &groups[i]
		such := "such as "
		if g.Tasks == 1 {
			such = ""
		}
		fmt.Fprintf(w, "  %s %s: %s\n", s.Red("FAILED"), view.Plural(g.Tasks, "task"), view.Clean(g.Text))
		writeHelp(w, s, "    ", g.Help[:min(len(g.Help), 1)], "")
		fmt.Fprintf(w, "    %sflow explain %s\n", such, shellWord(string(run.ID())+"/"+g.Example))
	}
	if more := len(groups) - mostGroups; more > 0 {
		fmt.Fprintf(w, "  … and %s\n", view.Plural(more, "more cause"))
	}
}
