// Package draw draws a graph of steps: laid out in layers as SVG, or as text for
// Graphviz and Mermaid.
//
// There is one node a step, however many tasks it has; a fan-out is drawn as a stack.
package draw

// A Graph is what is drawn. Its nodes stand in source order, which the drawing keeps
// where it can; its edges form no cycle.
type Graph struct {
	Title string
	Nodes []Node
	Edges []Edge
	// Width is how wide the drawing may be that runs from left to right; it runs downwards if
	// it would be wider.
	Width float64
}

// A Node is a step.
type Node struct {
	ID     string // unique
	Label  string // first line
	Detail string // second line; may be empty
	Tip    string // shown when the mouse rests on the node
	Stack  bool   // a fan-out
	Status string // RUNNING, FAILED, ...; "" if no run is shown
	URL    string // where a click leads; "" is nowhere

	// Room is for how many characters of Detail there is room, so that the drawing stays as
	// it is when Detail changes; 0: for as many as it has.
	Room     int
	Bar      bool      // there is one below the text, of Segments
	Segments []Segment // none: the bar is empty
}

// A Segment is the part of a bar that stands for N of something.
type Segment struct {
	Status string // its colour
	N      int
}

// An Edge says that node To waits for node From. Both are indices into Graph.Nodes.
type Edge struct {
	From, To int
	Kind     EdgeKind

	thin bool // a longer way leads there as well
}

// EdgeKind is how a step waits for another.
type EdgeKind string

const (
	Whole   EdgeKind = "whole"   // for all tasks of it
	Element EdgeKind = "element" // task by task
	Order   EdgeKind = "order"   // for its end only, nothing flows
)
