package draw

// rowWidth is how wide a row of unconnected parts grows before another begins.
const rowWidth = 1200.0

// place computes where everything goes. Parts of the graph that are not connected stand
// side by side, in source order.
func place(g *Graph, sizes []point) *layout {
	out := &layout{boxes: make([]box, len(g.Nodes)), paths: make([][]point, len(g.Edges))}
	x, y, rowHeight := margin, margin, 0.0
	for _, p := range parts(g) {
		l := placePart(p.graph(g), p.sizes(sizes))
		if x > margin && x+l.width > rowWidth {
			x, y, rowHeight = margin, y+rowHeight+layerGap, 0
		}
		for i, n := range p.nodes {
			b := l.boxes[i]
			out.boxes[n] = box{b.x + x, b.y + y, b.w, b.h}
		}
		for i, e := range p.edges {
			for _, q := range l.paths[i] {
				out.paths[e] = append(out.paths[e], point{q.x + x, q.y + y})
			}
		}
		rowHeight = max(rowHeight, l.height)
		x += l.width
		out.width = max(out.width, x+margin)
		x += boxGap
	}
	out.height = y + rowHeight + margin
	out.width = max(out.width, 2*margin)
	return out
}

// A part is a connected part of a graph: indices of its nodes and edges, in source order.
type part struct{ nodes, edges []int }

func parts(g *Graph) []part {
	root := make([]int, len(g.Nodes))
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	for _, e := range g.Edges {
		a, b := find(e.From), find(e.To)
		root[max(a, b)] = min(a, b)
	}
	var out []part
	at := make(map[int]int)
	for i := range g.Nodes {
		r := find(i)
		if _, ok := at[r]; !ok {
			at[r] = len(out)
			out = append(out, part{})
		}
		out[at[r]].nodes = append(out[at[r]].nodes, i)
	}
	for k, e := range g.Edges {
		p := &out[at[find(e.From)]]
		p.edges = append(p.edges, k)
	}
	return out
}

// graph returns the part as a graph of its own.
func (p *part) graph(g *Graph) *Graph {
	sub := &Graph{}
	at := make(map[int]int, len(p.nodes))
	for i, n := range p.nodes {
		at[n] = i
		sub.Nodes = append(sub.Nodes, g.Nodes[n])
	}
	for _, k := range p.edges {
		e := g.Edges[k]
		sub.Edges = append(sub.Edges, Edge{From: at[e.From], To: at[e.To], Kind: e.Kind})
	}
	return sub
}

func (p *part) sizes(all []point) []point {
	out := make([]point, len(p.nodes))
	for i, n := range p.nodes {
		out[i] = all[n]
	}
	return out
}
