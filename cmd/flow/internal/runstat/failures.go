package runstat

import (
	"cmp"
	"slices"

	"flow/engine"
	"flow/executor/batch/diagnose"
)

// WhyFailed says why a task failed, by what is recorded of it. spec is nil if that is not
// known.
func WhyFailed(run *engine.Run, spec *engine.TaskSpec, t *engine.TaskStatus) diagnose.Verdict {
	at := Tried(run, spec, t.Attempts)
	at.ExitCode, at.Reason, at.Cause, at.Started, at.Stopped = t.ExitCode, t.Reason, t.Cause, t.Started, t.Stopped
	if !t.PeakAtMost {
		at.PeakMemory = t.PeakMemory
	}
	return diagnose.WhyFailed(at)
}

// Tried returns what an attempt of a task had. spec is nil if that is not known.
func Tried(run *engine.Run, spec *engine.TaskSpec, attempt int) diagnose.Attempt {
	at := diagnose.Attempt{Local: run.Info().Executor == engine.ExecutorLocal}
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

// A FailureGroup is the tasks of a step that failed for the same cause.
type FailureGroup struct {
	diagnose.Verdict               // of the first of them
	Tasks            int           `json:"tasks"`
	Example          string        `json:"example"` // name of the first
	Indices          engine.Ranges `json:"-"`       // of all
}

// Failures groups the failed tasks of a step by their cause, by what is recorded, the most
// frequent first. The same reason is looked into once, whatever the number of tasks.
func Failures(run *engine.Run, step engine.StepName) []FailureGroup {
	type reason struct {
		code int
		text string
	}
	var groups []FailureGroup
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
			v := WhyFailed(run, run.Spec(step, i), &t)
			key := alikeAs(&v)
			if at, ok = alike[key]; !ok {
				at = len(groups)
				alike[key] = at
				groups = append(groups, FailureGroup{Verdict: v, Example: t.Name})
			}
			seen[r] = at
		}
		groups[at].Tasks++
		groups[at].Indices = groups[at].Indices.Add(i)
	}
	slices.SortStableFunc(groups, func(a, b FailureGroup) int { return cmp.Compare(b.Tasks, a.Tasks) })
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
