package local

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"flow/engine"
)

// Leftovers removes the containers of tries whose flow was killed, and what it had
// started as processes.
func (c *containers) Leftovers(tries []*Try, grace time.Duration) error {
	if len(tries) == 0 {
		return nil
	}
	left, err := c.leftovers(tries)
	if err != nil {
		return fmt.Errorf("cannot look for containers of an earlier flow run: %w", err)
	}
	if len(left) > 0 {
		ctx := context.Background()
		if grace > 0 {
			seconds := strconv.Itoa(int(math.Ceil(grace.Seconds())))
			_, _ = c.call(ctx, append([]string{"stop", "-t", seconds}, left...)...) // rm ends what this does not
		}
		if _, err := c.call(ctx, c.rmArgs(left...)...); err != nil {
			return fmt.Errorf("cannot remove containers of an earlier flow run: %w", err)
		}
	}
	return c.processes.Leftovers(tries, grace)
}

// leftovers returns the ids or names of the containers of tries.
func (c *containers) leftovers(tries []*Try) (left []string, err error) {
	runs := map[engine.RunID]bool{}
	tasks := map[string]bool{}
	for _, t := range tries {
		switch {
		case t.Task != nil:
			tasks[t.TaskID] = true
		case t.Spec.Task.Image != "" && !runs[t.Spec.Run]:
			runs[t.Spec.Run] = true
			found, err := c.list("--quiet", labelRun+"="+string(t.Spec.Run))
			if err != nil {
				return nil, err
			}
			left = append(left, found...)
		}
	}
	if len(tasks) == 0 {
		return left, nil
	}
	names, err := c.list("--format={{.Names}}", labelTask)
	for _, name := range names {
		if id, _, ok := strings.Cut(strings.TrimPrefix(name, taskContainer), "-"); ok && tasks[id] {
			left = append(left, name)
		}
	}
	return left, err
}

// list lists the containers, running or not, that have a label.
func (c *containers) list(how, label string) ([]string, error) {
	out, err := c.call(context.Background(), "ps", "--all", how, "--filter", "label="+label)
	return strings.Fields(string(out)), err
}
