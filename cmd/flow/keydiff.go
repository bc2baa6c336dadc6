package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"flow/engine"
	"flow/state"
)

// A keyChange is a part of a task's cache key that differs from an earlier run. A part
// that is not there is "".
type keyChange struct {
	Part   string `json:"part"`
	Before string `json:"before"`
	Now    string `json:"now"`
}

// keyChanges compares what a task's result depends on: first what is new or differs, in
// its order, then what is gone.
func keyChanges(before, now []engine.KeyPart) []keyChange {
	old := make(map[string]string, len(before))
	for _, p := range before {
		old[p.Name] = p.Value
	}
	var out []keyChange
	seen := make(map[string]bool, len(now))
	for _, p := range now {
		seen[p.Name] = true
		if value, ok := old[p.Name]; !ok || value != p.Value {
			out = append(out, keyChange{p.Name, value, p.Value})
		}
	}
	for _, p := range before {
		if !seen[p.Name] {
			out = append(out, keyChange{p.Name, p.Value, ""})
		}
	}
	return out
}

// partNames names the parts: "script, input reads".
func partNames(changes []keyChange) string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Part
	}
	return strings.Join(names, ", ")
}

// earlier returns the newest run of a workflow that was created before run id; before any,
// with "". nil if there is none.
func (a *app) earlier(ctx context.Context, db *state.DB, workflow string, id engine.RunID) (*engine.Run, error) {
	row, err := db.PreviousRun(ctx, workflow, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &past{db: db, row: row}
	if err := p.load(ctx, a); err != nil {
		return nil, fmt.Errorf("the earlier run %s cannot be read: %w", row.ID, err)
	}
	return p.run, nil
}

// A compared task is one beside the same task of an earlier run.
type compared struct {
	run     *engine.Run // the earlier one; nil: none
	known   bool        // it had that task
	before  engine.TaskStatus
	changes []keyChange
}

// compare looks a task up in an earlier run, which may be nil.
func compare(before, now *engine.Run, step engine.StepName, i int) compared {
	c := compared{run: before}
	if before == nil || before.Workflow().Step(step) == nil {
		return c
	}
	k, ok := before.FindTask(step, now.Task(step, i).Key)
	if !ok {
		return c
	}
	c.known, c.before = true, before.Task(step, k)
	old := before.KeyParts(step, k)
	if old == nil {
		return c // it was never evaluated, or not to be cached
	}
	c.changes = keyChanges(old, now.KeyParts(step, i))
	return c
}

// why says why the result of a task that has to run is not known.
func (c *compared) why() string {
	switch {
	case c.run == nil:
		return "there is no earlier run of this workflow"
	case !c.known:
		return fmt.Sprintf("run %s, the one before, had no such task", c.run.ID())
	case len(c.changes) > 0:
		return fmt.Sprintf("changed since run %s: %s", c.run.ID(), partNames(c.changes))
	case !c.before.Status.OK():
		return fmt.Sprintf("nothing has changed since run %s, but there the task is %s", c.run.ID(), c.before.Status)
	}
	return fmt.Sprintf("nothing has changed since run %s, but its result is not there any more", c.run.ID())
}
