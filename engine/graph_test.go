package engine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func stepsOf(deps map[string][]string, order ...string) (steps []*Step) {
	for _, name := range order {
		s := &Step{Name: StepName(name), Pos: Pos{File: "w.hcl", Line: len(steps) + 1}}
		for _, d := range deps[name] {
			s.Deps = append(s.Deps, Dep{Step: StepName(d), Kind: Whole})
		}
		steps = append(steps, s)
	}
	return steps
}

func TestGraphNamesACycle(t *testing.T) {
	_, err := NewGraph(stepsOf(map[string][]string{"a": {"c"}, "b": {"a"}, "c": {"b"}, "d": {"c"}}, "d", "a", "b", "c"))
	var cycle *CycleError
	if !errors.As(err, &cycle) {
		t.Fatalf("got %v", err)
	}
	if n := len(cycle.Path); n != 4 || cycle.Path[0] != cycle.Path[3] {
		t.Errorf("the path is %v", cycle.Path)
	}
}

func TestGraphRefuses(t *testing.T) {
	for name, steps := range map[string][]*Step{
		`w.hcl:2: step "a" is declared twice`:                stepsOf(nil, "a", "a"),
		`: step "a" depends on step "b", which is not there`: stepsOf(map[string][]string{"a": {"b"}}, "a"),
	} {
		if _, err := NewGraph(steps); err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func names(steps []*Step) (out []string) {
	for _, s := range steps {
		out = append(out, string(s.Name))
	}
	return out
}

// The order puts each step behind those it depends on, is complete, and always the same.
func TestGraphOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		deps := map[string][]string{}
		var order []string
		for i := range n {
			name := fmt.Sprint("s", i)
			order = append(order, name)
			for k := range i {
				if rapid.Bool().Draw(t, "edge") {
					deps[name] = append(deps[name], order[k])
				}
			}
		}
		source := rapid.Permutation(order).Draw(t, "source order")
		g, err := NewGraph(stepsOf(deps, source...))
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]int{}
		for i, s := range names(g.Order()) {
			at[s] = i
		}
		if len(at) != n {
			t.Fatalf("%d steps of %d", len(at), n)
		}
		for s, ds := range deps {
			for _, d := range ds {
				if at[d] > at[s] {
					t.Fatalf("%s comes before %s", s, d)
				}
			}
		}
		again, err := NewGraph(stepsOf(deps, source...))
		if err != nil || !cmp.Equal(names(g.Order()), names(again.Order())) {
			t.Fatal("the order changes")
		}
	})
}

func TestGraphAfter(t *testing.T) {
	g, err := NewGraph(stepsOf(map[string][]string{"b": {"a"}, "c": {"b"}, "d": {"a"}, "e": {"x"}}, "a", "b", "c", "d", "x", "e"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"c"}, names(g.After("b"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b", "d", "c"}, names(g.After("a"))); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkGraphChain1000(b *testing.B) {
	var order []string
	deps := map[string][]string{}
	for i := range 1000 {
		order = append(order, fmt.Sprint("s", i))
		if i > 0 {
			deps[order[i]] = order[i-1 : i]
		}
	}
	steps := stepsOf(deps, order...)
	for b.Loop() {
		if _, err := NewGraph(steps); err != nil {
			b.Fatal(err)
		}
	}
}
