package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

// A cleaner is one invocation of flow clean.
type cleaner struct {
	*app
	db         *state.DB
	keep       time.Duration
	dryRun     bool
	unfinished bool
}

func newClean(a *app) *cobra.Command {
	c := &cleaner{app: a}
	var keep string
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove old runs with their files",
		Long: `Remove the runs that were created before the time to keep, with the files of their
tasks and their logs. A run that goes on is never removed, nor one whose results a
younger run has taken over. Published outputs stay.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.keep, err = parseAge(keep); err != nil {
				return errUsage(cmd.CommandPath(), "-keep: %w", err)
			}
			if c.db, err = a.openState(false); err != nil {
				if errors.Is(err, engine.ErrNotFound) {
					a.say("there are no runs")
					return nil
				}
				return err
			}
			return errors.Join(c.run(cmd.Context()), c.db.Close())
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "30d", "keep runs of the last `TIME`, such as 30d, 2w or 12h")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "only say what would be removed")
	cmd.Flags().BoolVar(&c.unfinished, "unfinished", false, "also remove runs that were interrupted and never resumed")
	return cmd
}

// A cleanedJSON is a run that is removed, or that is kept although it is old.
type cleanedJSON struct {
	Run      string        `json:"run"`
	Workflow string        `json:"workflow"`
	Status   engine.Status `json:"status"`
	Created  time.Time     `json:"created"`
	Dir      string        `json:"dir"`
	Bytes    int64         `json:"bytes"`
	Kept     string        `json:"kept,omitempty"` // why it is not removed
}

func (c *cleaner) run(ctx context.Context) error {
	if err := c.sweep(ctx); err != nil {
		return err
	}
	runs, err := c.db.Runs(ctx, state.RunFilter{})
	if err != nil {
		return err
	}
	old, err := c.choose(ctx, runs)
	if err != nil {
		return err
	}
	list := []cleanedJSON{}
	var going []engine.RunID
	for _, r := range old {
		if r.kept == "" {
			going = append(going, r.ID)
		}
	}
	for _, r := range old {
		item := cleanedJSON{Run: string(r.ID), Workflow: r.Workflow, Status: r.Status, Created: r.Created, Dir: filepath.Join(r.WorkDir, string(r.ID)), Kept: r.kept}
		if r.kept == "" {
			item.Bytes = treeSize(item.Dir)
			if !c.dryRun {
				if item.Kept, err = c.remove(ctx, &r.Run, item.Dir, going); err != nil {
					return err
				}
			}
		}
		list = append(list, item)
	}
	if !c.dryRun {
		if _, err := c.db.PruneMemo(ctx, c.now().Add(-max(c.keep, 24*time.Hour))); err != nil {
			return err
		}
	}
	return c.report(list)
}

// An oldRun is a run that is older than what is to be kept.
type oldRun struct {
	state.Run
	kept string // why it is kept nevertheless
}

// choose returns the runs that are old. Of them, those are kept that go on, and those
// whose results a run that is kept has taken over.
func (c *cleaner) choose(ctx context.Context, runs []state.Run) ([]oldRun, error) {
	var old []oldRun
	limit := c.now().Add(-c.keep)
	kept := map[engine.RunID]bool{}
	for _, r := range runs {
		if !r.Created.Before(limit) {
			kept[r.ID] = true
			continue
		}
		o := oldRun{Run: r}
		held, err := c.db.Holder(ctx, r.ID)
		switch {
		case err != nil:
			return nil, err
		case held != nil:
			o.kept = keptDriven(held)
		case r.Ended.IsZero() && r.Executor == batchExecutor && c.unfinished:
			o.kept = "its jobs may go on in AWS Batch (flow cancel ends them)"
		case r.Ended.IsZero() && !c.unfinished:
			o.kept = "it can be resumed (-unfinished removes it)"
		}
		kept[r.ID] = o.kept != ""
		old = append(old, o)
	}
	for again := true; again; {
		again = false
		for i := range old {
			if old[i].kept != "" {
				continue
			}
			users, err := c.db.UsedBy(ctx, old[i].ID)
			if err != nil {
				return nil, err
			}
			at := slices.IndexFunc(users, func(id engine.RunID) bool { return id != old[i].ID && kept[id] })
			if at >= 0 {
				old[i].kept = keptUsed(users[at])
				kept[old[i].ID] = true
				again = true
			}
		}
	}
	return old, nil
}

// remove forgets a run, and then removes its files: a result is never known that is not
// there. A note outlives a death in between. If somebody has taken the run or its results
// up since it was chosen, it is kept, and remove says why. going are all that were chosen.
func (c *cleaner) remove(ctx context.Context, r *state.Run, dir string, going []engine.RunID) (kept string, err error) {
	note := filepath.Join(c.notes(), string(r.ID))
	if err := os.MkdirAll(c.notes(), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(note, []byte(dir), 0o644); err != nil {
		return "", err
	}
	err = c.db.DeleteRun(ctx, r.ID, going...)
	var held *state.HeldError
	var used *state.UsedError
	switch {
	case errors.As(err, &held):
		return keptDriven(held), os.Remove(note)
	case errors.As(err, &used):
		return keptUsed(used.By), os.Remove(note)
	case err != nil && !errors.Is(err, engine.ErrNotFound):
		return "", err
	}
	return "", c.discard(note, dir, string(r.ID))
}

// keptDriven and keptUsed say why a run is not removed.
func keptDriven(h *state.HeldError) string {
	return fmt.Sprintf("process %d on %s drives it", h.Owner.PID, h.Owner.Host)
}

func keptUsed(by engine.RunID) string { return fmt.Sprintf("run %s uses its results", by) }

// notes is where clean notes what it is about to remove.
func (c *cleaner) notes() string { return filepath.Join(filepath.Dir(c.db.Path()), "clean") }

// sweep finishes what an earlier clean left undone.
func (c *cleaner) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(c.notes())
	if err != nil || c.dryRun {
		return nil // there was none
	}
	for _, e := range entries {
		note := filepath.Join(c.notes(), e.Name())
		if _, err := c.db.Run(ctx, engine.RunID(e.Name())); !errors.Is(err, engine.ErrNotFound) {
			if err := os.Remove(note); err != nil {
				return err
			}
			continue
		}
		dir, err := os.ReadFile(note)
		if err != nil {
			return err
		}
		if err := c.discard(note, string(dir), e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (c *cleaner) discard(note, dir, run string) error {
	if !filepath.IsAbs(dir) || filepath.Base(dir) != run {
		return fmt.Errorf("%s does not name the directory of run %s", note, run)
	}
	if err := removeTree(dir); err != nil {
		return fmt.Errorf("run %s is forgotten, but its files could not be removed: %w", run, err)
	}
	home := filepath.Dir(c.db.Path())
	for _, path := range []string{journalPath(home, engine.RunID(run)), driverLogPath(home, engine.RunID(run))} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(note)
}

// removeTree removes a directory, also if tasks have left directories in it that are not
// writable.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// treeSize returns how much the files of a directory take.
func treeSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

func (c *cleaner) report(list []cleanedJSON) error {
	if c.asJSON() {
		return c.printJSON(list)
	}
	table := &view.Table{Header: []string{"RUN", "WORKFLOW", "STATUS", "CREATED", "SIZE", "WHAT"}, Right: []bool{false, false, false, false, true}}
	removed, bytes := 0, int64(0)
	for _, item := range list {
		what, size := "removed", view.Bytes(item.Bytes)
		switch {
		case item.Kept != "":
			what, size = "kept: "+item.Kept, ""
		case c.dryRun:
			what = "would be removed"
		}
		if item.Kept == "" {
			removed++
			bytes += item.Bytes
		}
		table.Add(item.Run, view.Clean(item.Workflow), c.outTerm().Style.Status(item.Status), item.Created.UTC().Format(time.RFC3339), size, view.Clean(what))
	}
	if err := table.Write(c.stdout, c.outTerm()); err != nil {
		return err
	}
	verb := "removed"
	if c.dryRun {
		verb = "would remove"
	}
	c.say("%s %s, %s", verb, view.Plural(removed, "run"), view.Bytes(bytes))
	return nil
}
