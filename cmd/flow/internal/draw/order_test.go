package draw

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// drawn makes a graph of n nodes with random edges from lower to higher ones, most of them
// short, as workflows have them.
func drawn(random *rand.Rand, n, edges int) *Graph {
	g := &Graph{}
	for i := range n {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: fmt.Sprintf("step-%d", i)})
	}
	seen := map[[2]int]bool{}
	for range edges {
		to := 1 + random.IntN(n-1)
		from := max(0, to-1-random.IntN(max(2, n/5)))
		if !seen[[2]int{from, to}] {
			seen[[2]int{from, to}] = true
			g.Edges = append(g.Edges, Edge{From: from, To: to, Kind: Whole})
		}
	}
	return g
}

// fewest counts the crossings of the best order there is, by trying all.
func fewest(l *layering, r int, best *int) {
	if r == len(l.layers) {
		l.number()
		*best = min(*best, l.crossings())
		return
	}
	permute(l.layers[r], 0, func() { fewest(l, r+1, best) })
}

func permute(s []int, at int, each func()) {
	if at >= len(s)-1 {
		each()
		return
	}
	for i := at; i < len(s); i++ {
		s[at], s[i] = s[i], s[at]
		permute(s, at+1, each)
		s[at], s[i] = s[i], s[at]
	}
}

// Of small graphs the order found is the best there is, as trying all orders shows.
func TestFewCrossingsAsBruteForceFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	crossed, more := 0, 0
	for range 40 {
		g := layered(random, 3, 4, 4)
		l := newLayering(g, ranks(g), sizes(g))
		best := 1 << 30
		fewest(l, 0, &best)
		l = newLayering(g, ranks(g), sizes(g))
		l.order()
		crossed += best
		more += l.crossings() - best
	}
	if crossed < 40 {
		t.Fatalf("the graphs drawn have %d crossings in all: too easy to say anything", crossed)
	}
	if more > 0 {
		t.Errorf("%d crossings more than the %d that cannot be avoided", more, crossed)
	}
}

// layered makes a graph whose layers are of these sizes, with about half of the edges there
// can be from each to the next.
func layered(random *rand.Rand, sizes ...int) *Graph {
	g := &Graph{}
	before := 0
	for r, n := range sizes {
		first := len(g.Nodes)
		for i := range n {
			g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(r, i), Label: "n"})
			if r == 0 {
				continue
			}
			to := first + i
			g.Edges = append(g.Edges, Edge{From: before + random.IntN(first-before), To: to, Kind: Whole})
			for from := before; from < first; from++ {
				if from != g.Edges[len(g.Edges)-1].From && random.IntN(2) == 0 {
					g.Edges = append(g.Edges, Edge{From: from, To: to, Kind: Whole})
				}
			}
		}
		before = first
	}
	return g
}

// Graphs of 200 steps are drawn in a moment, with far fewer crossings than in source order.
func TestFewCrossingsOf200Steps(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, edges := range []int{220, 300, 400} {
		g := drawn(random, 200, edges)
		l := newLayering(g, ranks(g), sizes(g))
		before := l.crossings()
		start := time.Now()
		l.order()
		t.Logf("%d edges, %d vertices: %d crossings in source order, %d now, in %v", len(g.Edges), len(l.vertices), before, l.crossings(), time.Since(start))
		if after := l.crossings(); after*4 > before {
			t.Errorf("of %d crossings in source order %d are left", before, after)
		}
	}
}

func TestImpliedEdges(t *testing.T) {
	g := &Graph{Nodes: []Node{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}, Edges: []Edge{
		{From: 0, To: 1, Kind: Whole}, {From: 1, To: 2, Kind: Order}, {From: 0, To: 2, Kind: Whole}, {From: 0, To: 3, Kind: Order}, {From: 2, To: 3, Kind: Whole},
	}}
	if got, want := implied(g), []bool{false, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("implied: %v, want %v", got, want)
	}
	var kept []string
	for _, e := range reduced(g).Edges {
		kept = append(kept, fmt.Sprint(e.From, e.To, e.thin))
	}
	if want := []string{"0 1 false", "1 2 false", "0 2 true", "2 3 false"}; !slices.Equal(kept, want) {
		t.Errorf("drawn: %v, want %v", kept, want)
	}
}
