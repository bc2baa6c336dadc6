package dsl

import "flow/engine"

// addSources gives every step that uses what the tasks of another step are made for
// (each.value.value, or `value` of a task of step.x.each) an edge to the steps that this
// comes from. It knows the other step only, and that one may have a known result, or be
// there already, while what its items name still runs.
//
// An edge leads to where a way of others leads already, so that this makes no cycle.
func (p *Program) addSources() {
	for _, s := range p.steps {
		if s.cyclic {
			continue
		}
		all := s.use.steps
		type visit struct {
			step *stepConfig
			elem bool
		}
		seen := map[visit]bool{}
		for i := 0; i < len(all); i++ {
			ref := all[i]
			if at := (visit{ref.step, ref.elem}); ref.made && !ref.step.cyclic && !seen[at] {
				seen[at] = true
				all = append(all, ref.sources()...)
			}
		}
		if len(all) > len(s.use.steps) {
			s.use.steps = mergeRefs(all)
		}
	}
}

// sources returns references to what the items of a step's tasks are made from.
func (r stepRef) sources() []stepRef {
	if from := r.step.elementOf; from != nil {
		return []stepRef{{step: from, need: allNeed(from), elem: r.elem, made: true, outs: outputSet{all: true}, rng: r.rng}}
	}
	var out []stepRef
	for _, a := range r.step.fanOutArgs() {
		steps := a.refs.steps
		for _, l := range a.refs.locals {
			ls, _ := l.reach()
			steps = append(steps[:len(steps):len(steps)], ls...)
		}
		for _, s := range steps {
			s.elem, s.rng = false, r.rng
			out = append(out, s)
		}
	}
	return out
}

// edges makes the edges of the graph from the references of the steps.
func (p *Program) edges() {
	for _, s := range p.steps {
		for _, ref := range s.use.steps {
			kind := engine.Whole
			if ref.elem {
				kind = engine.Element
			}
			dep := engine.Dep{Step: engine.StepName(ref.step.name), Kind: kind, Need: ref.need, Pos: posOf(ref.rng)}
			if !ref.outs.all {
				dep.Outputs = append([]string{}, ref.outs.names...) // not nil: that is all
			}
			s.deps = append(s.deps, dep)
		}
	}
}
