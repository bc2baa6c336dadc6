package draw

import (
	"math/rand/v2"
	"slices"
	"sort"
)

const (
	maxSweeps = 24
	maxIdle   = 4      // sweeps without anything gained, after which a start is given up
	maxStarts = 24     // of a small graph
	work      = 24_000 // vertices that are sorted from fresh starts in all
)

// order sorts each layer so that few edges cross, and keeps the best order it meets: sweeps
// down and up that sort by the means or the medians of the neighbours, then exchanges of
// neighbours in a layer. It begins with source order, which stays where nothing is better;
// a small graph has the time for other starts, the same each time.
func (l *layering) order() {
	best, fewest := l.snapshot(), l.crossings()
	starts := min(maxStarts, 1+work/(1+len(l.vertices)))
	for start := 0; start < starts && fewest > 0; start++ {
		if start > 0 {
			l.shuffle(uint64(start))
		}
		idle, least := 0, -1
		for sweep := 0; sweep < maxSweeps && idle < maxIdle && fewest > 0; sweep++ {
			l.sweep(sweep, start%2 == 1)
			l.exchange()
			n := l.crossings()
			if n < fewest {
				best, fewest = l.snapshot(), n
			}
			if idle++; least < 0 || n < least {
				idle, least = 0, n
			}
		}
	}
	l.layers = best
	l.number()
}

// sweep sorts all layers, each by the one that was sorted before it.
func (l *layering) sweep(n int, median bool) {
	if n%2 == 0 {
		for r := 1; r < len(l.layers); r++ {
			l.sortLayer(r, up, median)
		}
		return
	}
	for r := len(l.layers) - 2; r >= 0; r-- {
		l.sortLayer(r, down, median)
	}
}

func up(v *vertex) []int   { return v.up }
func down(v *vertex) []int { return v.down }

// shuffle puts the vertices of each layer into another order.
func (l *layering) shuffle(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	for _, layer := range l.layers {
		random.Shuffle(len(layer), func(i, j int) { layer[i], layer[j] = layer[j], layer[i] })
	}
	l.number()
}

func (l *layering) snapshot() [][]int {
	c := make([][]int, len(l.layers))
	for i, layer := range l.layers {
		c[i] = slices.Clone(layer)
	}
	return c
}

// sortLayer orders layer r by the mean or the median of the positions of each vertex's
// neighbours; one without neighbours stays where it is.
func (l *layering) sortLayer(r int, neighbours func(*vertex) []int, median bool) {
	layer := l.layers[r]
	centre := make(map[int]float64, len(layer))
	for _, v := range layer {
		at := l.positions(neighbours(&l.vertices[v]), nil)
		switch {
		case len(at) == 0:
			centre[v] = float64(l.vertices[v].pos)
		case median:
			centre[v] = float64(at[(len(at)-1)/2]+at[len(at)/2]) / 2
		default:
			for _, p := range at {
				centre[v] += float64(p) / float64(len(at))
			}
		}
	}
	sort.SliceStable(layer, func(i, j int) bool { return centre[layer[i]] < centre[layer[j]] })
	for p, v := range layer {
		l.vertices[v].pos = p
	}
}

// positions returns where vertices stand in their layer, sorted; room may be used for it.
func (l *layering) positions(vs, room []int) []int {
	room = room[:0]
	for _, v := range vs {
		room = append(room, l.vertices[v].pos)
	}
	slices.Sort(room)
	return room
}

// exchange lets neighbours in a layer change places as long as that saves crossings.
func (l *layering) exchange() {
	var a, b []int
	for gained := true; gained; {
		gained = false
		for _, layer := range l.layers {
			for p := 0; p+1 < len(layer); p++ {
				v, w := &l.vertices[layer[p]], &l.vertices[layer[p+1]]
				saved := 0
				for _, side := range []func(*vertex) []int{up, down} {
					a, b = l.positions(side(v), a), l.positions(side(w), b)
					saved += inversions(a, b) - inversions(b, a)
				}
				if saved > 0 {
					layer[p], layer[p+1] = layer[p+1], layer[p]
					v.pos, w.pos = w.pos, v.pos
					gained = true
				}
			}
		}
	}
}

// inversions counts the pairs of an element of a and a smaller one of b; both are sorted.
func inversions(a, b []int) int {
	n, smaller := 0, 0
	for _, x := range a {
		for smaller < len(b) && b[smaller] < x {
			smaller++
		}
		n += smaller
	}
	return n
}

// crossings counts the pairs of edges that cross.
func (l *layering) crossings() int {
	total := 0
	for r := 0; r+1 < len(l.layers); r++ {
		tree := make([]int, len(l.layers[r+1])+1)
		seen := 0
		for _, v := range l.layers[r] {
			down := l.vertices[v].down
			for _, d := range down { // edges seen that end to the right of this one
				below := 0
				for p := l.vertices[d].pos + 1; p > 0; p -= p & -p {
					below += tree[p]
				}
				total += seen - below
			}
			for _, d := range down {
				for p := l.vertices[d].pos + 1; p < len(tree); p += p & -p {
					tree[p]++
				}
				seen++
			}
		}
	}
	return total
}
