package dsl

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// A movedConfig is a `moved` block: a step that had another name has its results.
type movedConfig struct {
	rng              hcl.Range
	from, to         string // names of steps; "": it says none that can be
	fromRange, toRng hcl.Range
}

func (d *decoder) movedBlock(b *hcl.Block) {
	m := &movedConfig{rng: b.DefRange}
	as, _, diags := d.block(b.Body, movedArgs)
	if diags.HasErrors() || d.isBroken(bodyRange(b)) {
		m.from, m.fromRange = d.movedStep(as.get("from"))
		if m.from != "" {
			d.p.lost.hidden[m.from] = true // one mistake is enough
		}
		return
	}
	for _, name := range []string{"from", "to"} {
		if as.get(name) == nil {
			d.errorf(b.DefRange, "Missing required argument", "Say which name a step had, and which it has now: from = step.old and to = step.new.")
			return
		}
	}
	m.from, m.fromRange = d.movedStep(as.get("from"))
	m.to, m.toRng = d.movedStep(as.get("to"))
	if m.from != "" && m.to != "" {
		d.p.moved = append(d.p.moved, m)
	}
}

// movedStep reads step.<name>; "" after a mistake.
func (d *decoder) movedStep(a *arg) (string, hcl.Range) {
	if a == nil {
		return "", hcl.Range{}
	}
	rng := a.expr.Range()
	trav, diags := hcl.AbsTraversalForExpr(a.expr)
	if !diags.HasErrors() && len(trav) == 2 && trav.RootName() == "step" {
		if name, ok := stepName(trav[1]); ok {
			return name, rng
		}
	}
	d.errorf(rng, "Unsuitable value", "%s names a step as a whole, as a reference: step.align.", a.name)
	return "", rng
}

// resolveMoved finds the names that each step had, and reports blocks that make no sense.
func (an *analysis) resolveMoved() {
	p := an.p
	from, to := map[string]*movedConfig{}, map[string]*movedConfig{}
	var good []*movedConfig
	for _, m := range p.moved {
		first, again := from[m.from], to[m.to]
		switch s := p.stepIndex[m.from]; {
		case m.from == m.to:
			an.add("Nothing is moved", "from and to name the same step.", m.rng)
		case s != nil:
			an.add("Step is still there", fmt.Sprintf("Step %q is still there, at %s:%d, so it was not renamed. Remove this block, or the step.",
				m.from, s.rng.Filename, s.rng.Start.Line), m.fromRange)
		case first != nil:
			an.add("Moved twice", fmt.Sprintf("Step %q was moved to %q already, at %s:%d. A step can have one new name only.",
				m.from, first.to, first.rng.Filename, first.rng.Start.Line), m.fromRange)
		case again != nil:
			an.add("Moved twice", fmt.Sprintf("Step %q has the results of step %q already, at %s:%d. It can have those of one step only.",
				m.to, again.from, again.rng.Filename, again.rng.Start.Line), m.toRng)
		default:
			from[m.from], to[m.to] = m, m
			good = append(good, m)
		}
	}
	p.moved = good
	for _, m := range good {
		if p.stepIndex[m.to] == nil && from[m.to] == nil {
			p.lost.steps[m.to] = true
			if !p.lost.hides(m.to) {
				an.add("Reference to undeclared step", fmt.Sprintf("There is no step %q.%s", m.to, suggest(m.to, p.stepNames())), m.toRng)
			}
		}
	}
	for _, s := range p.steps {
		for m := to[s.name]; m != nil; m = to[m.from] {
			s.was = append(s.was, engine.StepName(m.from))
			delete(to, m.to)
		}
	}
	for _, m := range good { // what leads to no step, though each of its names is one that is moved
		if to[m.to] != nil && p.stepIndex[m.to] == nil && from[m.to] != nil && an.goesRound(m, from) {
			an.add("Moved in a circle", fmt.Sprintf("The moved blocks lead from step %q back to it, and to no step that is there.", m.from), m.rng)
			return
		}
	}
}

// goesRound reports whether the way from m comes back to it.
func (an *analysis) goesRound(m *movedConfig, from map[string]*movedConfig) bool {
	for next := from[m.to]; next != nil; next = from[next.to] {
		if next == m {
			return true
		}
		if an.p.stepIndex[next.to] != nil {
			return false
		}
	}
	return false
}

// movedTo is the name that a step has by now which is not there any more, for a message.
func (p *Program) movedTo(name string) string {
	for range p.moved {
		for _, m := range p.moved {
			if m.from == name {
				name = m.to
			}
		}
		if p.stepIndex[name] != nil {
			return fmt.Sprintf(" It is step.%s now.", name)
		}
	}
	return ""
}

func (p *Program) stepNames() []string {
	names := make([]string, len(p.steps))
	for i, s := range p.steps {
		names[i] = s.name
	}
	return names
}
