package dsl

import (
	"slices"
	"sort"

	"github.com/hashicorp/hcl/v2"
)

// An outputSet is names of outputs of one step.
type outputSet struct {
	all   bool
	names []string // each once
}

func (o *outputSet) add(more outputSet) {
	o.all = o.all || more.all
	names := o.names[:len(o.names):len(o.names)]
	for _, n := range more.names {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	o.names = names
}

// readAt is what a reference reads that has `outputs` before trav[at:].
func readAt(trav hcl.Traversal, at int) outputSet {
	if len(trav) > at {
		if name, ok := stepName(trav[at]); ok {
			return outputSet{names: []string{name}}
		}
	}
	return outputSet{all: true}
}

// readOfTask is what a reference step.x.each... reads of the outputs of x.
func readOfTask(trav hcl.Traversal) outputSet {
	if len(trav) <= 4 {
		return outputSet{all: true}
	}
	switch part, _ := stepName(trav[4]); part {
	case "key", "index", "value":
		return outputSet{}
	case "outputs":
		return readAt(trav, 5)
	}
	return outputSet{all: true}
}

// markKept finds the outputs of steps that outputs of the workflow name: they are there when
// the run has ended, though they be called temporary.
func (p *Program) markKept() {
	for _, o := range p.outputs {
		all := slices.Clone(o.value.refs.steps)
		if o.publish != nil {
			all = append(all, o.publish.refs.steps...)
		}
		for _, l := range append(slices.Clone(o.value.refs.locals), publishLocals(o)...) {
			steps, _ := l.reach()
			all = append(all, steps...)
		}
		seen := map[*stepConfig]bool{}
		for i := 0; i < len(all); i++ { // with what items are made from
			ref := all[i]
			if ref.made && !ref.step.cyclic && !seen[ref.step] {
				seen[ref.step] = true
				all = append(all, ref.sources()...)
			}
			for _, out := range ref.step.outputs {
				out.kept = out.kept || ref.outs.all || slices.Contains(ref.outs.names, out.name)
			}
		}
	}
}

func publishLocals(o *outputConfig) []*localConfig {
	if o.publish == nil {
		return nil
	}
	return o.publish.refs.locals
}

// byPlace sorts references by where they stand.
func byPlace(steps []stepRef) {
	sort.SliceStable(steps, func(i, k int) bool { return before(steps[i].rng, steps[k].rng) })
}

func before(a, b hcl.Range) bool {
	if a.Filename != b.Filename {
		return a.Filename < b.Filename
	}
	return a.Start.Byte < b.Start.Byte
}
