package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dominikbraun/graph"
)

// A Graph is the graph of a workflow's steps. Tasks are never in it: a fan-out of
// 10,000 is one vertex.
type Graph struct {
	steps []*Step
	index map[StepName]int
	deps  [][]int // by step: the steps it depends on, in source order
	next  [][]int // by step: the steps that depend on it, in source order
	order []int   // topological; source order where that is open
}

// A CycleError says that steps wait for each other: Path is a way round, its first
// step again at the end.
type CycleError struct{ Path []StepName }

func (e *CycleError) Error() string {
	names := make([]string, len(e.Path))
	for i, n := range e.Path {
		names[i] = string(n)
	}
	return "steps depend on each other: " + strings.Join(names, " -> ")
}

// NewGraph builds the graph of steps. The error is a *CycleError, or says that a step
// is there twice or depends on one that is not there.
func NewGraph(steps []*Step) (*Graph, error) {
	g := graph.New(func(s *Step) StepName { return s.Name }, graph.Directed())
	for _, s := range steps {
		if err := g.AddVertex(s); errors.Is(err, graph.ErrVertexAlreadyExists) {
			return nil, fmt.Errorf("%s: step %q is declared twice", s.Pos, s.Name)
		} else if err != nil {
			return nil, err
		}
	}
	for _, s := range steps {
		for _, d := range s.Deps {
			switch err := g.AddEdge(d.Step, s.Name); {
			case errors.Is(err, graph.ErrEdgeAlreadyExists):
			case errors.Is(err, graph.ErrVertexNotFound):
				return nil, fmt.Errorf("%s: step %q depends on step %q, which is not there", d.Pos, s.Name, d.Step)
			case err != nil:
				return nil, err
			}
		}
	}
	preds, err := g.PredecessorMap()
	if err != nil {
		return nil, err
	}
	return index(steps, preds)
}

// index turns the library's maps, whose order is random, into slices in source order,
// and sorts topologically. (The library's own sort is quadratic.)
func index(steps []*Step, preds map[StepName]map[StepName]graph.Edge[StepName]) (*Graph, error) {
	n := len(steps)
	g := &Graph{steps: steps, index: make(map[StepName]int, n), deps: make([][]int, n), next: make([][]int, n)}
	for i, s := range steps {
		g.index[s.Name] = i
	}
	waits := make([]int, n)
	for i, s := range steps {
		waits[i] = len(preds[s.Name])
		seen := make(map[StepName]bool, len(s.Deps))
		for _, d := range s.Deps {
			if !seen[d.Step] {
				seen[d.Step] = true
				from := g.index[d.Step]
				g.deps[i] = append(g.deps[i], from)
				g.next[from] = append(g.next[from], i)
			}
		}
	}
	ready := make([]int, 0, n)
	for i := range steps {
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(g.order) < len(ready) {
		i := ready[len(g.order)]
		g.order = append(g.order, i)
		for _, k := range g.next[i] {
			if waits[k]--; waits[k] == 0 {
				ready = append(ready, k)
			}
		}
	}
	if len(g.order) < n {
		return nil, &CycleError{Path: g.cycle(waits)}
	}
	return g, nil
}

// cycle walks backwards among the steps that still wait until one comes again.
func (g *Graph) cycle(waits []int) []StepName {
	at := 0
	for waits[at] == 0 {
		at++
	}
	seen := map[int]int{}
	var path []int
	for {
		if first, ok := seen[at]; ok {
			path = append(path[first:], at)
			break
		}
		seen[at] = len(path)
		path = append(path, at)
		for _, d := range g.deps[at] {
			if waits[d] > 0 {
				at = d
				break
			}
		}
	}
	names := make([]StepName, len(path))
	for i, k := range path {
		names[i] = g.steps[k].Name
	}
	return names
}

// Order returns the steps so that each comes after those it depends on.
func (g *Graph) Order() []*Step {
	out := make([]*Step, len(g.order))
	for i, k := range g.order {
		out[i] = g.steps[k]
	}
	return out
}

// After returns the steps that depend on name, directly or not, in topological order.
func (g *Graph) After(name StepName) []*Step {
	hit := make([]bool, len(g.steps))
	if i, ok := g.index[name]; ok {
		hit[i] = true
	}
	var out []*Step
	for _, i := range g.order {
		for _, d := range g.deps[i] {
			if hit[d] {
				hit[i] = true
				out = append(out, g.steps[i])
				break
			}
		}
	}
	return out
}
