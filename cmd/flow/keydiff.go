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
	Words  string `json:"words"` // in a few words: "script: 1 line changed"
}

// keyChanges compares what a task's result depends on: first what is new or differs, in
// its order, then what is gone.
func keyChanges(before, now []engine.KeyPart) []keyChange {
	var out []keyChange
	for _, c := range engine.DiffKeys(before, now) {
		k := keyChange{Part: c.Name, Before: c.Old, Now: c.New}
		k.Words = k.words(now)
		out = append(out, k)
	}
	return out
}

// allWords tells all changes in a line.
func allWords(changes []keyChange) string {
	words := make([]string, len(changes))
	for i, c := range changes {
		words[i] = c.Words
	}
	return strings.Join(words, "; ")
}

// partNames names the parts: "script, input reads".
func partNames(changes []keyChange) string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = partName(c.Part)
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
	asked   string      // why it runs whatever is known; see askedFor
	before  engine.TaskStatus
	changes []keyChange
}

// compare looks a task up in an earlier run, which may be nil, by the names that its step
// has and had.
func compare(before, now *engine.Run, step engine.StepName, i int) compared {
	c := compared{run: before, asked: askedFor(now, step, i)}
	if before == nil {
		return c
	}
	old := step
	for _, was := range now.StepStatus(step).Step.Was {
		if before.Workflow().Step(old) != nil {
			break
		}
		old = was
	}
	if before.Workflow().Step(old) == nil {
		return c
	}
	k, ok := before.FindTask(old, now.Task(step, i).Key)
	if !ok {
		return c
	}
	c.known, c.before = true, before.Task(old, k)
	parts := before.KeyParts(old, k)
	if parts == nil {
		return c // it was never evaluated, or not to be cached
	}
	c.changes = keyChanges(parts, now.KeyParts(step, i))
	return c
}

// askedFor says why a task runs whatever is known; "" if nothing says so.
func askedFor(run *engine.Run, step engine.StepName, i int) string {
	again := run.Task(step, i).Again
	by, replaced := run.Replaced(step)
	switch {
	case again != "":
		return again
	case run.Info().Limits.NoCache:
		return "known results do not count (-no-cache)"
	case replaced && by == step:
		return "its known result does not count (-replace " + string(by) + ")"
	case replaced:
		return "it follows step " + string(by) + ", whose known results do not count (-replace)"
	}
	return ""
}

// why says why the result of a task that has to run is not known.
func (c *compared) why() string {
	if len(c.changes) > 0 && c.asked == "" {
		return c.since() + allWords(c.changes)
	}
	return c.cause()
}

// since begins what is said of changes.
func (c *compared) since() string { return fmt.Sprintf("changed since run %s: ", c.run.ID()) }

// cause is why, with the parts that have changed by their names only.
func (c *compared) cause() string {
	switch {
	case c.asked != "":
		return c.asked
	case c.run == nil:
		return "there is no earlier run of this workflow"
	case !c.known:
		return fmt.Sprintf("run %s, the one before, had no such task", c.run.ID())
	case len(c.changes) > 0:
		return c.since() + partNames(c.changes)
	case !c.before.Status.OK():
		return fmt.Sprintf("nothing has changed since run %s, but there the task is %s", c.run.ID(), c.before.Status)
	}
	return fmt.Sprintf("nothing has changed since run %s, but its result is not there any more", c.run.ID())
}
