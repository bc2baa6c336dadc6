package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"flow/cmd/flow/internal/workdir"
	"flow/engine"
	"flow/executor/store"
	"flow/state"
)

// usersFirst returns the order in which runs are looked at: those that use results of others
// before these, so that a user which turns out to be kept keeps what it uses. Those that use
// each other's come as they are.
func (c *cleaner) usersFirst(ctx context.Context, old []oldRun) (order []int, err error) {
	left := map[engine.RunID]bool{}
	users := make([][]engine.RunID, len(old))
	for i, r := range old {
		left[r.ID] = true
		if users[i], err = c.db.UsedBy(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	for len(order) < len(old) {
		next := -1
		for i, r := range old {
			if !left[r.ID] {
				continue
			}
			if next < 0 {
				next = i
			}
			if !slices.ContainsFunc(users[i], func(id engine.RunID) bool { return id != r.ID && left[id] }) {
				next = i
				break
			}
		}
		order = append(order, next)
		delete(left, old[next].ID)
	}
	return order, nil
}

// remover returns what removes a run whose files are on S3.
func (c *cleaner) remover(r *state.Run) (*workdir.Remover, error) {
	open, err := c.objects(r)
	if err != nil {
		return nil, err
	}
	return &workdir.Remover{
		Dir: workdir.Dir{Path: r.WorkDir, Store: open}, Me: stateName(c.db), Now: c.now(),
		Going: func(id engine.RunID) bool { return c.going[id] },
		Used: func(ctx context.Context) (string, error) {
			users, err := c.db.UsedBy(ctx, r.ID)
			for _, by := range users {
				if by != r.ID && !c.going[by] {
					return keptUsed(by), err
				}
			}
			return "", err
		},
	}, nil
}

// objects returns what opens the store of objects of a run, the same for all that are in
// one place.
func (c *cleaner) objects(r *state.Run) (opener, error) {
	kept, err := paramsOf(*r)
	if err != nil {
		return nil, err
	}
	site := kept.Batch.overSite(kept.Site)
	at := [2]string{cmp.Or(site.Region, kept.Place.Region), site.Profile}
	if c.openers[at] == nil {
		if c.openers == nil {
			c.openers = map[[2]string]opener{}
		}
		c.openers[at] = openOnce(store.Options{Region: at[0], Profile: at[1]})
	}
	return c.openers[at], nil
}

// removeFar removes the files of a run from S3, and then forgets the run. That it is this
// process that does so is in the state: nobody takes the run up meanwhile.
func (c *cleaner) removeFar(ctx context.Context, remover *workdir.Remover, r *state.Run, dir string) (kept string, err error) {
	lease, err := c.db.Acquire(ctx, r.ID, state.Self(version()))
	if held := (*state.HeldError)(nil); errors.As(err, &held) {
		return keptDriven(held), nil
	}
	if errors.Is(err, engine.ErrNotFound) {
		return "", nil // another flow clean was faster
	}
	if err != nil {
		return "", err
	}
	stop := c.confirm(ctx, lease)
	kept, err = remover.Remove(ctx, r.ID)
	stop()
	if err != nil || kept != "" {
		return kept, errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
	}
	marked := c.markedBy(ctx, r.ID)
	note, err := c.note(r.ID, dir)
	if err != nil {
		return "", errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
	}
	if err := lease.Delete(ctx); err != nil {
		return "", err
	}
	c.lift(ctx, r, marked)
	return "", c.discard(note, dir, string(r.ID))
}

// confirm keeps a lease until it is told to stop.
func (c *cleaner) confirm(ctx context.Context, lease *state.Lease) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(state.LeaseBeat)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				_ = lease.Renew(ctx) // whoever has it now is told so in vain: it goes on where we are
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// markedBy returns the directories of runs on S3 that a run has marked since it uses their
// results: as far as they can be told.
func (c *cleaner) markedBy(ctx context.Context, run engine.RunID) (dirs []string) {
	if used, err := c.db.Uses(ctx, run); err != nil || len(used) == 0 {
		return nil
	}
	for e, err := range c.db.Events(ctx, run, 0) {
		if err != nil {
			return dirs
		}
		if e.Kind != engine.StepExpanded || e.Expanded == nil {
			continue
		}
		for _, h := range e.Expanded.Hits {
			if store.Is(h.Dir) && h.Run != run {
				dirs = append(dirs, workdir.RunDir(h.Dir))
			}
		}
	}
	return dirs
}

// lift removes the marks of a run that is gone. One that stays does little harm: it keeps
// what it marks until somebody sees that there is no such run.
func (c *cleaner) lift(ctx context.Context, r *state.Run, dirs []string) {
	open, err := c.objects(r)
	if err == nil {
		err = workdir.Dir{Path: r.WorkDir, Store: open}.Lift(ctx, r.ID, dirs)
	}
	if err != nil {
		c.say("run %s is gone, and still marks results of other runs as used: %s", r.ID, firstLineOf(err))
	}
}

// absDir makes an argument that names a work_dir, or the directory of a run, absolute.
func absDir(arg string) (string, error) {
	if store.Is(arg) {
		return arg, nil
	}
	return filepath.Abs(arg)
}
