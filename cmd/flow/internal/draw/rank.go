package draw

// ranks returns the layer of each node: below everything it waits for. A node that more
// wait for than it waits for stands just above the first of them, which makes the lines shorter.
func ranks(g *Graph) []int {
	next, last := neighbours(g)
	order := topological(g, next)
	rank := make([]int, len(g.Nodes))
	for _, i := range order {
		for _, j := range next[i] {
			rank[j] = max(rank[j], rank[i]+1)
		}
	}
	for k := len(order) - 1; k >= 0; k-- {
		i := order[k]
		if len(next[i]) <= len(last[i]) {
			continue
		}
		nearest := rank[next[i][0]]
		for _, j := range next[i] {
			nearest = min(nearest, rank[j])
		}
		rank[i] = nearest - 1
	}
	return rank
}

// neighbours returns, of each node, those that wait for it and those it waits for.
func neighbours(g *Graph) (next, last [][]int) {
	next, last = make([][]int, len(g.Nodes)), make([][]int, len(g.Nodes))
	for _, e := range g.Edges {
		next[e.From] = append(next[e.From], e.To)
		last[e.To] = append(last[e.To], e.From)
	}
	return next, last
}

// topological returns the nodes so that each comes after those it waits for.
func topological(g *Graph, next [][]int) []int {
	waits := make([]int, len(g.Nodes))
	for _, e := range g.Edges {
		waits[e.To]++
	}
	order := make([]int, 0, len(g.Nodes))
	for i := range g.Nodes {
		if waits[i] == 0 {
			order = append(order, i)
		}
	}
	for at := 0; at < len(order); at++ {
		for _, j := range next[order[at]] {
			if waits[j]--; waits[j] == 0 {
				order = append(order, j)
			}
		}
	}
	return order
}

// maxReduced is how many nodes a graph has at most whose edges are looked at for those that
// others imply: what can be reached from each takes a bit for every other.
const maxReduced = 4000

// implied reports of each edge whether a longer way leads where it does.
func implied(g *Graph) []bool {
	out := make([]bool, len(g.Edges))
	if len(g.Nodes) > maxReduced {
		return out
	}
	next, _ := neighbours(g)
	order := topological(g, next)
	words := (len(g.Nodes) + 63) / 64
	below := make([][]uint64, len(g.Nodes)) // what lies below each node
	for k := len(order) - 1; k >= 0; k-- {
		i := order[k]
		below[i] = make([]uint64, words)
		for _, j := range next[i] {
			below[i][j/64] |= 1 << (j % 64)
			for w := range words {
				below[i][w] |= below[j][w]
			}
		}
	}
	for k, e := range g.Edges {
		for _, j := range next[e.From] {
			if j != e.To && below[j][e.To/64]>>(e.To%64)&1 == 1 {
				out[k] = true
				break
			}
		}
	}
	return out
}

// reduced returns g as it is drawn: an edge that says only that something comes later is
// left out where other edges say so, and one along which something flows is marked thin.
func reduced(g *Graph) *Graph {
	out := &Graph{Title: g.Title, Nodes: g.Nodes, Width: g.Width}
	for k, is := range implied(g) {
		e := g.Edges[k]
		if is && e.Kind == Order {
			continue
		}
		e.thin = is
		out.Edges = append(out.Edges, e)
	}
	return out
}
