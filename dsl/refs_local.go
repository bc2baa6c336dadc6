package dsl

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

func (an *analysis) local(a *arg, r *refs, trav hcl.Traversal, name string) {
	l := an.p.locals[name]
	if l == nil {
		an.p.lost.locals[name] = true
		if an.p.lost.anyLocals || an.p.lost.hides(name) {
			return
		}
		names := make([]string, 0, len(an.p.localList))
		for _, l := range an.p.localList {
			names = append(names, l.name)
		}
		hint := suggest(name, names)
		if hint == "" {
			hint = fmt.Sprintf(" Declare it in a block: locals { %s = ... }.", name)
		}
		an.add("Reference to undeclared local value", fmt.Sprintf("There is no local value %q.%s", name, hint), travRange(trav, 2))
		return
	}
	if !slices.Contains(r.locals, l) {
		r.locals = append(r.locals, l)
	}
	an.localUses(a, l, travRange(trav, 2))
}

// localUses reports a local value that uses what a may not, at the use.
func (an *analysis) localUses(a *arg, l *localConfig, rng hcl.Range) {
	if a.spec == &localArg || an.early {
		return // locals themselves: seen where they are used
	}
	steps, run := l.reach()
	switch {
	case len(steps) > 0 && (a.spec.uses&useSteps == 0 || a.inherited):
		an.add("Reference not allowed here", fmt.Sprintf("local.%s uses the results of step %q, which are not known here.", l.name, steps[0].step.name), rng)
	case run && a.spec.uses&useRun == 0:
		an.add("Reference not allowed here", fmt.Sprintf("local.%s uses run, which is not known here.", l.name), rng)
	}
}

// reach returns the steps that a local value uses, also through others, and whether it
// uses run. It is called after all locals were analyzed and cycles were found.
func (l *localConfig) reach() ([]stepRef, bool) {
	if l.done || l.cyclic {
		return l.steps, l.run
	}
	l.done = true
	l.run = l.refs.run
	l.steps = slices.Clone(l.refs.steps)
	for _, o := range l.refs.locals {
		steps, run := o.reach()
		l.run = l.run || run
		l.steps = append(l.steps, steps...)
	}
	l.steps = mergeRefs(l.steps)
	return l.steps, l.run
}

// mergeRefs leaves one reference for each step, with the strongest need, so that
// locals that use each other do not multiply them.
func mergeRefs(all []stepRef) []stepRef {
	if len(all) < 2 {
		return all
	}
	at := make(map[*stepConfig]int, len(all))
	merged := all[:0]
	for _, r := range all {
		i, ok := at[r.step]
		if !ok {
			at[r.step] = len(merged)
			merged = append(merged, r)
			continue
		}
		m := &merged[i]
		m.need = max(m.need, r.need)
		m.each = m.each || r.each
		m.item = m.item || r.item
		m.made = m.made || r.made
		m.elem = m.elem && r.elem
		m.outs.add(r.outs)
	}
	return merged
}
