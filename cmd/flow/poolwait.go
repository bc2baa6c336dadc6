package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch/diagnose"
	"flow/state"
)

// causePool is why a task of the embedded executor waits.
const causePool diagnose.Cause = "pool"

// poolWaits returns the pools that a run waits for, as of now. What cannot be read is not told.
func poolWaits(ctx context.Context, p *past) []state.PoolUse {
	if p.run.Ended() || len(p.run.Workflow().Pools) == 0 {
		return nil
	}
	all, err := p.db.PoolUse(ctx)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(u state.PoolUse) bool {
		return !slices.ContainsFunc(u.Waiting, func(h state.PoolHold) bool { return h.Run == p.run.ID() })
	})
}

// poolText says what has a pool's slots: "pool db (4 of 4 in use by run X)".
func poolText(u state.PoolUse, own engine.RunID) string {
	var by []string
	for _, h := range u.Runs {
		name := "run " + string(h.Run)
		if h.Run == own {
			name = "this run"
		}
		if len(u.Runs) > 1 {
			name = fmt.Sprintf("%s (%d)", name, h.N)
		}
		by = append(by, name)
	}
	if more := len(by) - namedRunning; more > 0 {
		by = append(by[:namedRunning], fmt.Sprintf("%d more", more))
	}
	text := fmt.Sprintf("pool %s (%d of %d in use", u.Pool, u.Used, u.Slots)
	if len(by) > 0 {
		text += " by " + strings.Join(by, ", ")
	}
	return text + ")"
}

// poolTexts says what a run waits for, after "waits for"; "": for no pool.
func poolTexts(ctx context.Context, p *past) string {
	return poolTextsOf(poolWaits(ctx, p), p.run.ID())
}

func poolTextsOf(waits []state.PoolUse, own engine.RunID) string {
	var texts []string
	for _, u := range waits {
		texts = append(texts, poolText(u, own))
	}
	return strings.Join(texts, " and ")
}

// poolsOfStep says which pools tasks of a step wait for, after "wait for"; "": for none.
func poolsOfStep(ctx context.Context, p *past, step engine.StepName) string {
	st := p.run.StepStatus(step)
	if st.Size <= 0 || st.Status.Ended() {
		return ""
	}
	spec := p.run.Spec(step, 0) // all tasks of a step need the same pools
	return poolTextsOf(slices.DeleteFunc(poolWaits(ctx, p), func(u state.PoolUse) bool {
		return spec == nil || !slices.ContainsFunc(spec.Consumables, func(n engine.Consumable) bool { return n.Pool && n.Resource == u.Pool })
	}), p.run.ID())
}

// poolHere says which pool a task waits for. nil: none.
func poolHere(ctx context.Context, p *past, t *engine.TaskStatus) *diagnose.Finding {
	spec := p.run.Spec(t.Step, t.Index)
	if spec == nil {
		return nil
	}
	for _, u := range poolWaits(ctx, p) {
		for _, n := range spec.Consumables {
			if !n.Pool || n.Resource != u.Pool {
				continue
			}
			f := &diagnose.Finding{
				Cause: causePool, Sure: true,
				Text: fmt.Sprintf("it waits for %s; it wants %d", poolText(u, p.run.ID()), n.Quantity),
				Fix:  []string{fmt.Sprintf("Wait, or raise slots of pool %q.", u.Pool)},
			}
			if at := slices.IndexFunc(u.Waiting, func(h state.PoolHold) bool { return h.Run == p.run.ID() }); at > 0 {
				f.Evidence = []string{fmt.Sprintf("its run is number %d of those that wait for it", at+1)}
			}
			return f
		}
	}
	return nil
}

// writePools writes what pools a plan has, and where they are counted.
func writePools(w io.Writer, pools []*engine.Pool, onBatch bool) {
	if len(pools) == 0 {
		return
	}
	var names []string
	for _, p := range pools {
		names = append(names, fmt.Sprintf("%s (%s)", p.Name, view.Plural(p.Slots, "slot")))
	}
	where := "over all runs of this state file"
	if onBatch {
		where = "on AWS Batch consumable resources of these names, which flow infra apply makes"
	}
	fmt.Fprintf(w, "\nPools: %s; %s.\n", strings.Join(names, ", "), where)
}
