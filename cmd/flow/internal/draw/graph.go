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
}

// A Node is a step.
type Node struct {
	ID     string // unique
	Label  string // first line
	Detail string // second line; may be empty
	Tip    string // shown when the mouse rests on the node
	Stack  bool   // a fan-out
	Status string // RUNNING, FAILED, ...; "" if no run is shown
}

// An Edge says that node To waits for node From. Both are indices into Graph.Nodes.
type Edge struct {
	From, To int
	Kind     EdgeKind
}

// EdgeKind is how a step waits for another.
type EdgeKind string

const (
	Whole   EdgeKind = "whole"   // for all tasks of it
	Element EdgeKind = "element" // task by task
	Order   EdgeKind = "order"   // for its end only, nothing flows
)
