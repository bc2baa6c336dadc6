package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// genome is a graph with every kind of node and edge.
func genome() *Graph {
	return &Graph{
		Title: "genome",
		Nodes: []Node{
			{ID: "split", Label: "split", Detail: "1 task", Status: "SUCCEEDED"},
			{ID: "index", Label: "index", Detail: "cached", Status: "CACHED"},
			{ID: "align", Label: "align", Detail: "412/1,000, 3 failed", Stack: true, Status: "RUNNING"},
			{ID: "dedup", Label: "dedup", Detail: "fan-out", Stack: true, Status: "PENDING"},
			{ID: "merge", Label: "merge", Status: "PENDING"},
			{ID: "call", Label: `call <"variants" & more>`, Detail: "fan-out", Stack: true, Status: "FAILED"},
			{ID: "report", Label: "report", Detail: "skipped: call failed", Status: "SKIPPED"},
			{ID: "notify", Label: "a-step-with-a-name-that-is-much-too-long-to-be-drawn", Status: ""},
		},
		Edges: []Edge{{From: 0, To: 2, Kind: Whole}, {From: 1, To: 2, Kind: Whole}, {From: 2, To: 3, Kind: Element}, {From: 3, To: 4, Kind: Whole}, {From: 4, To: 5, Kind: Whole}, {From: 0, To: 6, Kind: Whole}, {From: 5, To: 6, Kind: Whole}, {From: 1, To: 5, Kind: Whole}, {From: 2, To: 7, Kind: Order}},
	}
}

// randomGraph draws a graph whose edges go from lower to higher nodes.
func randomGraph(t *rapid.T) *Graph {
	n := rapid.IntRange(1, 40).Draw(t, "nodes")
	g := &Graph{Title: "random"}
	for i := range n {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: rapid.String().Draw(t, "label"), Stack: rapid.Bool().Draw(t, "stack"), Detail: rapid.SampledFrom([]string{"", "12 tasks"}).Draw(t, "detail")})
	}
	for k := rapid.IntRange(0, 80).Draw(t, "edges"); k > 0 && n > 1; k-- {
		from := rapid.IntRange(0, n-2).Draw(t, "from")
		g.Edges = append(g.Edges, Edge{From: from, To: rapid.IntRange(from+1, n-1).Draw(t, "to"), Kind: Whole})
	}
	return g
}

func TestLayoutKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGraph(t)
		if rapid.Bool().Draw(t, "across") {
			g.Width = 1e9
		}
		arranged := Arrange(g)
		if arranged.across != (g.Width > 0) {
			t.Fatalf("across: %v of %v allowed", arranged.across, g.Width)
		}
		l := arranged.layout
		if arranged.across { // the promises are those of a drawing that runs downwards
			l = l.turned()
		}
		g.Edges = arranged.edges
		for i, a := range l.boxes {
			if a.x-a.w/2 < 0 || a.y-a.h/2 < 0 || a.x+a.w/2 > l.width || a.y+a.h/2 > l.height {
				t.Fatalf("box %d at %+v lies outside of %v x %v", i, a, l.width, l.height)
			}
			for j, b := range l.boxes[:i] {
				if over(a.x, b.x, a.w, b.w) && over(a.y, b.y, a.h, b.h) {
					t.Fatalf("boxes %d %+v and %d %+v overlap", i, a, j, b)
				}
			}
		}
		for k, path := range l.paths {
			for i := 1; i < len(path); i++ {
				if path[i].y < path[i-1].y {
					t.Fatalf("edge %v runs upwards: %v", g.Edges[k], path)
				}
			}
			// Where a path passes a layer, between an odd point and the next, it passes beside the boxes.
			for i := 1; i+1 < len(path); i += 2 {
				for j, b := range l.boxes {
					if path[i].x > b.x-b.w/2 && path[i].x < b.x+b.w/2 && path[i].y <= b.y && b.y <= path[i+1].y {
						t.Fatalf("edge %v runs through box %d", g.Edges[k], j)
					}
				}
			}
		}
	})
}

// over reports whether two intervals, given by centre and length, overlap by more than rounding.
func over(a, b, la, lb float64) bool {
	d := a - b
	if d < 0 {
		d = -d
	}
	return d < (la+lb)/2-0.001
}

func TestLayoutUncrosses(t *testing.T) {
	g := &Graph{}
	for i := range 12 {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: "n"})
	}
	for i := range 6 { // first node to last, second to last but one: all cross in source order
		g.Edges = append(g.Edges, Edge{From: i, To: 11 - i, Kind: Whole})
	}
	l := newLayering(g, ranks(g), sizes(g))
	if n := l.crossings(); n != 15 {
		t.Fatalf("in source order %d edges cross, want 15", n)
	}
	l.order()
	if n := l.crossings(); n != 0 {
		t.Errorf("%d edges still cross", n)
	}
}

func TestSVGIsXMLWhateverTheNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGraph(t)
		g.Title = rapid.String().Draw(t, "title")
		image := SVG(g)
		texts := 0
		for d := xml.NewDecoder(bytes.NewReader(image)); ; {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, image)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "text" {
				texts++
			}
		}
		want := len(g.Nodes)
		for _, n := range g.Nodes {
			if n.Detail != "" {
				want++
			}
		}
		if texts != want {
			t.Fatalf("%d texts, want %d", texts, want)
		}
	})
}

func TestSVGHasStatusAndStack(t *testing.T) {
	image := string(SVG(genome()))
	for _, want := range []string{
		`<g class="node RUNNING">`, `<g class="node FAILED">`, "412/1,000, 3 failed",
		"call &lt;&quot;variants&quot; &amp; more&gt;", `class="edge element"`, `class="edge order"`,
		"a-step-with-a-name-that-is-much-too-lon…", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(image, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestBigGraphsAreQuick(t *testing.T) {
	chain := &Graph{}
	for i := range 1000 {
		chain.Nodes = append(chain.Nodes, Node{ID: fmt.Sprint(i), Label: "step"})
		if i > 0 {
			chain.Edges = append(chain.Edges, Edge{From: i - 1, To: i, Kind: Whole}, Edge{From: 0, To: i, Kind: Whole})
		}
	}
	// A layout that is quadratic in edges does not end before the time is up.
	if n := len(SVG(chain)); n < 1000*100 {
		t.Errorf("an image of %d bytes cannot show 1,000 steps", n)
	}
}

func TestDOT(t *testing.T) {
	got := string(DOT(&Graph{
		Title: `a "b"`,
		Nodes: []Node{{ID: "x", Label: "x", Stack: true, Detail: `5 "tasks"`}, {ID: "y", Label: "y", Status: "FAILED"}},
		Edges: []Edge{{From: 0, To: 1, Kind: Order}},
	}))
	want := `digraph "a \"b\"" {
  rankdir = TB
  node [shape = box, style = "rounded,filled", fillcolor = "#f6f8fa", fontname = monospace]
  "x" [label = "x\n5 \"tasks\"", peripheries = 2]
  "y" [label = "y", fillcolor = "#ffebe9", color = "#cf222e"]
  "x" -> "y" [style = dashed]
}
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMermaid(t *testing.T) {
	got := string(Mermaid(&Graph{
		Nodes: []Node{{ID: "x", Label: "end", Stack: true, Detail: `5 "tasks"`}, {ID: "y", Label: "y", Status: "FAILED"}},
		Edges: []Edge{{From: 0, To: 1, Kind: Element}},
	}))
	want := `flowchart TB
  n0[["end<br/>5 #34;tasks#34;"]]
  n1["y"]:::FAILED
  n0 ==> n1
  classDef FAILED fill:#ffebe9,stroke:#cf222e,color:#1f2328
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
