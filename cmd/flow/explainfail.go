package main

import (
	"fmt"
	"io"
	"slices"

	"flow/cmd/flow/internal/runstat"
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
		at := runstat.Tried(p.run, spec, h.Attempt)
		at.Asked.AgentImage = kept.Batch.overSite(kept.Site).AgentImage
		at.ExitCode, at.Reason, at.Started, at.Stopped = h.ExitCode, h.Reason, h.Started, h.Ended
		if !h.AtMost {
			at.PeakMemory = h.Memory
		}
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
		v := runstat.WhyFailed(p.run, spec, &t)
		e.Verdict = &v
	}
	if v := e.Verdict; v != nil && t.Cause != "" && v.Cause == diagnose.Other {
		v.Text = whyText(t.ExitCode, t.Reason, t.Cause)
	}
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
		v = runstat.WhyFailed(run, run.Spec(t.Step, t.Index), t)
	} else {
		v = diagnose.WhyFailed(diagnose.Attempt{ExitCode: t.ExitCode, Reason: t.Reason, Started: t.Started, Stopped: t.Stopped})
	}
	if t.Status != engine.Failed || !slices.Contains(plainer, v.Cause) {
		return whyText(t.ExitCode, t.Reason, t.Cause)
	}
	return view.Clean(v.Text)
}

const mostGroups = 8 // of failures that are shown

// writeGroups shows failures by their cause.
func writeGroups(w io.Writer, s view.Style, run *engine.Run, groups []runstat.FailureGroup) {
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
