package draw

// A point is a place in the drawing, in pixels; y grows downwards.
type point struct{ x, y float64 }

// A box is a node in its place: its centre and its size.
type box struct{ x, y, w, h float64 }

// A layout is a graph in its place.
type layout struct {
	boxes  []box     // by node
	paths  [][]point // by edge: from the lower side of one box to the upper side of another
	width  float64
	height float64
}

const (
	layerGap = 44.0 // between two layers of boxes
	boxGap   = 28.0 // between two boxes of a layer
	lineGap  = 16.0 // between a line that passes a layer and its neighbour
	margin   = 16.0
	maxBends = 20_000 // a graph whose lines would pass more layers is drawn with straight lines
	maxPulls = 12
)

// A vertex of the layered graph is a node, or a bend: the place where an edge passes a layer.
type vertex struct {
	node       int // -1: a bend
	w          float64
	layer, pos int
	x          float64
	up, down   []int
}

type layering struct {
	vertices []vertex
	layers   [][]int // vertices by layer, from left to right
	chains   [][]int // by edge: the vertices it runs through
}

// placePart computes where a connected graph goes (Sugiyama's method): layers by the
// longest path, bends where edges pass a layer, an order within the layers in which few
// edges cross, then x by least squares under that order.
func placePart(g *Graph, sizes []point) *layout {
	l := newLayering(g, ranks(g), sizes)
	l.order()
	l.spread()
	return l.result(g, sizes)
}

func newLayering(g *Graph, rank []int, sizes []point) *layering {
	l := &layering{vertices: make([]vertex, len(g.Nodes)), chains: make([][]int, len(g.Edges))}
	depth, bends := 0, 0
	for i := range g.Nodes {
		l.vertices[i] = vertex{node: i, w: sizes[i].x, layer: rank[i]}
		depth = max(depth, rank[i]+1)
	}
	for _, e := range g.Edges {
		bends += rank[e.To] - rank[e.From] - 1
	}
	l.layers = make([][]int, depth)
	for i := range g.Nodes {
		l.layers[rank[i]] = append(l.layers[rank[i]], i)
	}
	for k, e := range g.Edges {
		chain := []int{e.From}
		for r := rank[e.From] + 1; r < rank[e.To] && bends <= maxBends; r++ {
			v := len(l.vertices)
			l.vertices = append(l.vertices, vertex{node: -1, layer: r})
			l.layers[r] = append(l.layers[r], v)
			chain = append(chain, v)
		}
		chain = append(chain, e.To)
		l.chains[k] = chain
		for c := 1; c < len(chain); c++ {
			a, b := chain[c-1], chain[c]
			if l.vertices[b].layer-l.vertices[a].layer == 1 {
				l.vertices[a].down = append(l.vertices[a].down, b)
				l.vertices[b].up = append(l.vertices[b].up, a)
			}
		}
	}
	l.number()
	return l
}

// number notes the position of each vertex in its layer.
func (l *layering) number() {
	for _, layer := range l.layers {
		for p, v := range layer {
			l.vertices[v].pos = p
		}
	}
}

// spread gives each vertex its x: again and again near the mean of its neighbours, as far
// as the order and the space between boxes allow.
func (l *layering) spread() {
	for _, layer := range l.layers {
		x := 0.0
		for p, v := range layer {
			if p > 0 {
				x += l.distance(layer[p-1], v)
			}
			l.vertices[v].x = x
		}
	}
	for range maxPulls {
		for r := 1; r < len(l.layers); r++ {
			l.pull(r, func(v *vertex) []int { return v.up })
		}
		for r := len(l.layers) - 2; r >= 0; r-- {
			l.pull(r, func(v *vertex) []int { return v.down })
		}
	}
	for r := range l.layers {
		l.pull(r, func(v *vertex) []int { return append(append([]int(nil), v.up...), v.down...) })
	}
}

// distance is how far the centres of two neighbours in a layer must be apart.
func (l *layering) distance(a, b int) float64 {
	gap := boxGap
	if l.vertices[a].node < 0 || l.vertices[b].node < 0 {
		gap = lineGap
	}
	return (l.vertices[a].w+l.vertices[b].w)/2 + gap
}

// pull moves the vertices of layer r to where their neighbours are. With the distances
// taken off, that is the least-squares fit of a rising sequence: pool adjacent violators.
func (l *layering) pull(r int, neighbours func(*vertex) []int) {
	type block struct {
		sum, weight float64
		size        int
	}
	layer := l.layers[r]
	offset := make([]float64, len(layer))
	var blocks []block
	for p, v := range layer {
		if p > 0 {
			offset[p] = offset[p-1] + l.distance(layer[p-1], v)
		}
		want, weight := l.vertices[v].x, 0.1
		if ns := neighbours(&l.vertices[v]); len(ns) > 0 {
			want, weight = 0, 1
			for _, n := range ns {
				want += l.vertices[n].x / float64(len(ns))
			}
			if l.vertices[v].node < 0 {
				weight = 4 // long lines are to be straight
			}
		}
		b := block{sum: (want - offset[p]) * weight, weight: weight, size: 1}
		for len(blocks) > 0 && blocks[len(blocks)-1].sum/blocks[len(blocks)-1].weight > b.sum/b.weight {
			last := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			b = block{sum: b.sum + last.sum, weight: b.weight + last.weight, size: b.size + last.size}
		}
		blocks = append(blocks, b)
	}
	p := 0
	for _, b := range blocks {
		for range b.size {
			l.vertices[layer[p]].x = b.sum/b.weight + offset[p]
			p++
		}
	}
}

// result turns the vertices into boxes and paths, moved to the origin.
func (l *layering) result(g *Graph, sizes []point) *layout {
	out := &layout{boxes: make([]box, len(g.Nodes)), paths: make([][]point, len(g.Edges))}
	left := 0.0
	for i, v := range l.vertices {
		if i == 0 || v.x-v.w/2 < left {
			left = v.x - v.w/2
		}
	}
	top := 0.0
	tops := make([]float64, len(l.layers))
	heights := make([]float64, len(l.layers))
	for r, layer := range l.layers {
		tops[r] = top
		for _, v := range layer {
			if n := l.vertices[v].node; n >= 0 {
				heights[r] = max(heights[r], sizes[n].y)
			}
		}
		top += heights[r] + layerGap
	}
	for i := range l.vertices {
		v := &l.vertices[i]
		v.x -= left
		out.width = max(out.width, v.x+v.w/2)
		if v.node >= 0 {
			out.boxes[v.node] = box{x: v.x, y: tops[v.layer] + heights[v.layer]/2, w: v.w, h: sizes[v.node].y}
		}
	}
	out.height = top - layerGap
	for k, chain := range l.chains {
		from, to := out.boxes[chain[0]], out.boxes[chain[len(chain)-1]]
		path := []point{{from.x, from.y + from.h/2}}
		for _, v := range chain[1 : len(chain)-1] {
			r := l.vertices[v].layer
			path = append(path, point{l.vertices[v].x, tops[r]}, point{l.vertices[v].x, tops[r] + heights[r]})
		}
		out.paths[k] = append(path, point{to.x, to.y - to.h/2})
	}
	return out
}
