package main

import (
	"fmt"
	"strconv"
	"strings"

	"flow/engine"
)

// lastRun stands for the newest run.
const lastRun = "@last"

// A target is what RUN, RUN/STEP or RUN/STEP["KEY"] on the command line names.
type target struct {
	run    string // id, beginning of one, @last or workflow@last
	step   engine.StepName
	key    string
	hasKey bool
}

// parseTarget reads a target. The quotes around KEY may be missing: shells eat them.
func parseTarget(s string) (target, error) {
	run, rest, more := strings.Cut(s, "/")
	t := target{run: run}
	if run == "" {
		return t, fmt.Errorf("%q names no run; write RUN, RUN/STEP or RUN/STEP[\"KEY\"]", s)
	}
	if !more {
		return t, nil
	}
	step, key, hasKey := strings.Cut(rest, "[")
	t.step, t.hasKey = engine.StepName(step), hasKey
	if step == "" || strings.Contains(step, "/") {
		return t, fmt.Errorf("%q names no step; write RUN/STEP or RUN/STEP[\"KEY\"]", s)
	}
	if hasKey {
		inner, closed := strings.CutSuffix(key, "]")
		if !closed {
			return t, fmt.Errorf("%q: the ] behind the key is missing", s)
		}
		t.key = inner
		if unquoted, err := strconv.Unquote(inner); err == nil && strings.HasPrefix(inner, `"`) {
			t.key = unquoted
		}
	}
	return t, nil
}

// targetOf reads the target in the first argument, or takes the last run without one.
func targetOf(argv []string) (target, error) {
	if len(argv) == 0 {
		return target{run: lastRun}, nil
	}
	return parseTarget(argv[0])
}

// check finds the target in run. The answer is the index of the task; -1: the target is a
// whole run or a whole step with fan-out.
func (t target) check(run *engine.Run) (task int, err error) {
	if t.step == "" {
		return -1, nil
	}
	step := run.Workflow().Step(t.step)
	if step == nil {
		names := make([]string, 0, 8)
		for _, s := range run.Workflow().Steps {
			names = append(names, string(s.Name))
		}
		return -1, fmt.Errorf("run %s has no step %q; it has: %s", run.ID(), t.step, nearby(string(t.step), names))
	}
	if !t.hasKey {
		if step.FanOut {
			return -1, nil
		}
		if i, ok := run.FindTask(t.step, ""); ok {
			return i, nil
		}
		return -1, nil
	}
	if i, ok := run.FindTask(t.step, t.key); ok {
		return i, nil
	}
	size := run.StepStatus(t.step).Size
	switch {
	case !step.FanOut:
		return -1, fmt.Errorf("step %s has a single task, which has no key: write %s/%s", t.step, run.ID(), t.step)
	case size < 0:
		return -1, fmt.Errorf("the tasks of step %s are not known yet", t.step)
	case size == 0:
		return -1, fmt.Errorf("step %s has no tasks in this run", t.step)
	}
	keys := make([]string, size)
	for i := range keys {
		keys[i] = run.Task(t.step, i).Key
	}
	return -1, fmt.Errorf("step %s has no task with the key %q; it has: %s", t.step, t.key, nearby(t.key, keys))
}
