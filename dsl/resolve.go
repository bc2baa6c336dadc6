package dsl

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// resolve finds what refers to what: the references of every argument, the edges of
// the graph of steps, and cycles.
func (p *Program) resolve() hcl.Diagnostics {
	an := &analysis{p: p}
	for _, s := range p.steps {
		if a := s.args.own("for_each"); a != nil {
			s.elementOf = p.elementOf(a)
		}
	}
	p.markPartial()
	an.resolveMoved()
	for _, l := range p.localList {
		an.analyze(l.arg, nil)
	}
	an.resolveInfra()

	if w := p.workflow; w != nil {
		for _, a := range w.args {
			an.analyze(a, nil)
		}
		if w.defaults != nil {
			w.defaults.each(func(a *arg) { an.analyze(a, nil) })
		}
		if w.budget != nil {
			for _, a := range w.budget.args {
				an.analyze(a, nil)
			}
		}
		if w.expect != nil {
			for _, a := range w.expect.args {
				an.analyze(a, nil)
			}
		}
	}
	for _, s := range p.schedules {
		for _, v := range s.vars {
			an.analyze(v.arg, nil)
		}
	}
	for _, s := range p.steps {
		an.resolveStep(s)
	}
	for _, n := range p.notices {
		n.everything(func(a *arg) { an.analyze(a, nil) })
	}
	for _, o := range p.outputs {
		an.analyze(o.value, nil)
		if o.publish != nil {
			an.analyze(o.publish, nil)
		}
	}
	an.stepCycles()
	p.addSources()
	p.edges()
	p.markKept()
	p.markItems()
	return an.diags
}

// markPartial finds the steps of which tasks may be missing though they succeeded.
func (p *Program) markPartial() {
	known := make(map[*stepConfig]bool, len(p.steps))
	for _, s := range p.steps {
		var way []*stepConfig
		at := s
		for ; at != nil && !known[at]; at = at.elementOf {
			known[at] = true // also ends a way that goes round, which is told as a cycle
			at.partial = at.tolerate != nil
			way = append(way, at)
		}
		partial := at != nil && at.partial
		for _, w := range slices.Backward(way) {
			w.partial = w.partial || partial
			partial = w.partial
		}
	}
}

// resolveStep analyzes the arguments of a step and finds the steps that they use.
func (an *analysis) resolveStep(s *stepConfig) {
	var steps []stepRef
	locals := map[*localConfig]bool{}
	s.everything(func(a *arg) {
		if a.name == "depends_on" && a.spec == stepArgs.find("depends_on") {
			an.dependsOn(s, a)
			return
		}
		if !a.inherited {
			an.analyze(a, s)
		}
		if a.name == "for_each" && s.elementOf != nil {
			a.refs.steps = []stepRef{{step: s.elementOf, need: engine.NeedTasks, elem: true, rng: a.expr.Range()}}
		}
		r := &a.refs
		steps = append(steps, r.steps...)
		for _, l := range r.locals {
			ls, _ := l.reach()
			for _, ref := range ls {
				ref.rng = a.expr.Range()
				steps = append(steps, ref)
			}
			if !locals[l] {
				locals[l] = true
				s.use.locals = append(s.use.locals, l)
			}
		}
		s.names.of(r)
		s.use.run = s.use.run || r.run
		s.use.each = s.use.each || r.each
		s.valueOfEach = s.valueOfEach || r.eachVal
	})
	steps = append(steps, s.dependsOn...)
	byPlace(steps)
	s.use.steps = mergeRefs(steps)
}

// dependsOn reads a list of steps.
func (an *analysis) dependsOn(s *stepConfig, a *arg) {
	exprs, diags := hcl.ExprList(a.expr)
	if diags.HasErrors() {
		an.add("Unsuitable value", "depends_on is a list of steps: [step.split, step.index].", a.expr.Range())
		return
	}
	for _, expr := range exprs {
		trav, diags := hcl.AbsTraversalForExpr(expr)
		var name string
		ok := !diags.HasErrors() && len(trav) == 2 && trav.RootName() == "step"
		if ok {
			name, ok = stepName(trav[1])
		}
		if !ok {
			detail := "depends_on takes steps only, as references: step.split."
			if !diags.HasErrors() && len(trav) > 2 && trav.RootName() == "step" {
				detail = fmt.Sprintf("depends_on takes steps as a whole: write %s.", "step."+travName(trav[1]))
			}
			an.add("Unsuitable value", detail, expr.Range())
			continue
		}
		var r refs
		before := len(an.diags)
		an.step(&r, trav, name)
		if len(an.diags) == before && len(r.steps) == 1 {
			s.dependsOn = append(s.dependsOn, stepRef{step: r.steps[0].step, need: engine.NeedOrder, rng: expr.Range()})
		}
	}
}

func travName(t hcl.Traverser) string {
	name, _ := stepName(t)
	return name
}

// markItems finds the steps whose tasks' items are used by others.
func (p *Program) markItems() {
	mark := func(refs []stepRef) {
		for _, r := range refs {
			r.step.usesTasks = r.step.usesTasks || r.each
			r.step.usesEachItems = r.step.usesEachItems || r.item
		}
	}
	for _, l := range p.localList {
		mark(l.refs.steps)
	}
	for _, s := range p.steps {
		mark(s.use.steps)
	}
	for _, o := range p.outputs {
		mark(o.value.refs.steps)
		if o.publish != nil {
			mark(o.publish.refs.steps)
		}
	}
	for _, s := range p.steps {
		s.findEach()
	}
}

// findEach finds which parts of a task use each.
func (s *stepConfig) findEach() {
	any := func(as args) bool { return slices.ContainsFunc(as, func(a *arg) bool { return a.refs.each }) }
	in := &s.eachIn
	if s.resources != nil {
		in.resources = any(s.resources.args)
	}
	if s.retry != nil {
		for _, r := range s.retry.rules {
			in.retry = in.retry || any(r.args)
		}
	}
	if c := s.container; c != nil {
		in.container = any(c.args) || c.logging != nil && any(c.logging.args)
		for _, v := range c.volumes {
			in.container = in.container || any(v.args)
		}
	}
	for _, o := range s.outputs {
		for _, a := range []*arg{o.path, o.publish} {
			in.outputs = in.outputs || a != nil && a.refs.each
		}
	}
	s.usesEach = in.resources || in.retry || in.container || in.outputs ||
		slices.ContainsFunc(s.args, func(a *arg) bool { return a.spec.apply != nil && a.refs.each })
}

// An edge leads to another vertex; rng is where it is written.
type edge struct {
	to  int
	rng hcl.Range
}

// A cycle is a set of vertices that wait for each other, and one way round in it: the
// shortest that begins at the first of them.
type cycle struct {
	set []int
	way []edge
}

func cycles(n int, edges func(int) []edge) []cycle {
	var found []cycle
	for _, set := range components(n, edges) {
		inside := make(map[int]bool, len(set))
		for _, v := range set {
			inside[v] = true
		}
		if way := wayRound(slices.Min(set), inside, edges); way != nil {
			found = append(found, cycle{set, way})
		}
	}
	sort.Slice(found, func(i, k int) bool { return before(found[i].way[0].rng, found[k].way[0].rng) })
	return found
}

// wayRound returns the edges of the shortest way from v through vertices inside back to v.
func wayRound(v int, inside map[int]bool, edges func(int) []edge) []edge {
	type hop struct {
		from int
		edge edge
	}
	came := map[int]hop{}
	queue := []int{v}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range edges(at) {
			if !inside[e.to] {
				continue
			}
			if _, seen := came[e.to]; seen {
				continue
			}
			came[e.to] = hop{at, e}
			if e.to != v {
				queue = append(queue, e.to)
				continue
			}
			var way []edge
			for h := came[v]; ; h = came[h.from] {
				way = append(way, h.edge)
				if h.from == v {
					slices.Reverse(way)
					return way
				}
			}
		}
	}
	return nil
}

// components returns the strongly connected components (Tarjan, without recursion,
// since a chain may be as long as a file has lines).
func components(n int, edges func(int) []edge) [][]int {
	type frame struct {
		v, next int
		out     []edge
	}
	index := make([]int, n) // 1 + order of visit; 0: not visited
	low := make([]int, n)
	onStack := make([]bool, n)
	var stack []int
	var found [][]int
	count := 0
	for root := range n {
		if index[root] != 0 {
			continue
		}
		var calls []frame
		visit := func(v int) {
			count++
			index[v], low[v] = count, count
			stack = append(stack, v)
			onStack[v] = true
			calls = append(calls, frame{v: v, out: edges(v)})
		}
		visit(root)
		for len(calls) > 0 {
			f := &calls[len(calls)-1]
			if f.next < len(f.out) {
				to := f.out[f.next].to
				f.next++
				switch {
				case index[to] == 0:
					visit(to)
				case onStack[to]:
					low[f.v] = min(low[f.v], index[to])
				}
				continue
			}
			v := f.v
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				up := calls[len(calls)-1].v
				low[up] = min(low[up], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			var set []int
			for {
				top := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				onStack[top] = false
				set = append(set, top)
				if top == v {
					break
				}
			}
			found = append(found, set)
		}
	}
	return found
}

func (an *analysis) stepCycles() {
	all := an.p.steps
	edges := func(i int) []edge {
		out := make([]edge, 0, len(all[i].use.steps))
		for _, r := range all[i].use.steps {
			out = append(out, edge{r.step.index, r.rng})
		}
		return out
	}
	for _, c := range cycles(len(all), edges) {
		for _, i := range c.set {
			all[i].cyclic = true
		}
		names := []string{}
		for _, e := range c.way {
			names = append(names, "step."+all[e.to].name)
		}
		an.cycle("Steps depend on each other", c.way, names)
	}
}

// cycle reports a way round: way[i] leads to names[i], and the last of them is where
// the way begins.
func (an *analysis) cycle(summary string, way []edge, names []string) {
	last := names[len(names)-1]
	if len(way) == 1 {
		an.add(summary, fmt.Sprintf("%s refers to itself. Remove the reference.", last), way[0].rng)
		return
	}
	var places []string
	from := last
	for i, e := range way {
		places = append(places, fmt.Sprintf("%s uses %s at %s:%d", from, names[i], e.rng.Filename, e.rng.Start.Line))
		from = names[i]
	}
	an.add(summary, fmt.Sprintf("%s -> %s: %s. Remove one of these references.", last, strings.Join(names, " -> "), strings.Join(places, ", ")), way[0].rng)
}
