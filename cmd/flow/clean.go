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
	"flow/cmd/flow/internal/workdir"
	"flow/engine"
	"flow/executor/store"
	"flow/state"
)

// A cleaner is one invocation of flow clean.
type cleaner struct {
	*app
	db         *state.DB
	keep       time.Duration
	dryRun     bool
	unfinished bool

	going   map[engine.RunID]bool // that are to be removed
	openers map[[2]string]opener  // of objects, by region and profile
}

func newClean(a *app) *cobra.Command {
	c := &cleaner{app: a}
	var keep string
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove old runs with their files",
		Long: `Remove the runs that were created before the time to keep, with the files of their
tasks and their logs, here and on S3. A run that goes on is never removed, nor one whose
results a run that is kept has taken over, on whatever machine. Published outputs stay.
It may be stopped at any moment: called again, it goes on.`,
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
	list, failed := c.cleanAll(ctx, old)
	if !c.dryRun {
		if _, err := c.db.PruneMemo(ctx, c.now().Add(-max(c.keep, 24*time.Hour))); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(c.report(list), failed)
}

// cleanAll removes those of the runs that are not kept, or sees how that would be. What
// goes wrong with one run on S3 is said, and the others are removed.
func (c *cleaner) cleanAll(ctx context.Context, old []oldRun) (list []cleanedJSON, failed error) {
	c.going = map[engine.RunID]bool{}
	for _, r := range old {
		c.going[r.ID] = r.kept == ""
	}
	order, err := c.usersFirst(ctx, old)
	if err != nil {
		return nil, err
	}
	list = make([]cleanedJSON, len(old))
	for _, i := range order {
		r := &old[i]
		item := cleanedJSON{Run: string(r.ID), Workflow: r.Workflow, Status: r.Status, Created: r.Created, Kept: r.kept}
		item.Dir = workdir.Dir{Path: r.WorkDir}.Run(r.ID)
		if r.kept == "" {
			if err := c.clean(ctx, &r.Run, &item); err != nil {
				item.Kept = "it could not be removed: " + firstLineOf(err)
				failed = errors.Join(failed, fmt.Errorf("run %s: %w", r.ID, err))
			}
			c.going[r.ID] = item.Kept == ""
		}
		list[i] = item
		if ctx.Err() != nil || failed != nil && !store.Is(r.WorkDir) {
			return slices.DeleteFunc(list, func(item cleanedJSON) bool { return item.Run == "" }), failed
		}
	}
	return list, failed
}

// clean removes one run, or sees how that would be.
func (c *cleaner) clean(ctx context.Context, r *state.Run, item *cleanedJSON) (err error) {
	if !store.Is(r.WorkDir) {
		item.Bytes = treeSize(item.Dir)
		if !c.dryRun {
			item.Kept, err = c.remove(ctx, r, item.Dir)
		}
		return err
	}
	remover, err := c.remover(r)
	if err != nil {
		return err
	}
	if item.Bytes, item.Kept, err = remover.Use(ctx, r.ID); err != nil || item.Kept != "" || c.dryRun {
		return err
	}
	item.Kept, err = c.removeFar(ctx, remover, r, item.Dir)
	return err
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
// up since it was chosen, it is kept, and remove says why.
func (c *cleaner) remove(ctx context.Context, r *state.Run, dir string) (kept string, err error) {
	marked := c.markedBy(ctx, r.ID)
	note, err := c.note(r.ID, dir)
	if err != nil {
		return "", err
	}
	var going []engine.RunID
	for id, goes := range c.going {
		if goes {
			going = append(going, id)
		}
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
	if err := c.discard(note, dir, string(r.ID)); err != nil {
		return "", err
	}
	c.lift(ctx, r, marked)
	return "", nil
}

// note notes that a run is about to be forgotten whose files are in dir.
func (c *cleaner) note(run engine.RunID, dir string) (path string, err error) {
	if err := os.MkdirAll(c.notes(), 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(c.notes(), string(run))
	return path, os.WriteFile(path, []byte(dir), 0o644)
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
	if !filepath.IsAbs(dir) && !store.Is(dir) || filepath.Base(dir) != run {
		return fmt.Errorf("%s does not name the directory of run %s", note, run)
	}
	home := filepath.Dir(c.db.Path())
	dirs := []string{filepath.Join(scratchPath(home), run)}
	if !store.Is(dir) { // else they are gone already
		dirs = append(dirs, workdir.RecordDir(dir), dir) // without its record it is no run any more
	}
	for _, dir := range dirs {
		if err := removeTree(dir); err != nil {
			return fmt.Errorf("run %s is forgotten, but its files could not be removed: %w", run, err)
		}
	}
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
