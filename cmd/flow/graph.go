package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

var graphFormats = []string{"text", "dot", "mermaid", "svg", "json"}

func newGraph(a *app) *cobra.Command {
	var ref string
	cmd := &cobra.Command{
		Use:   "graph [PATH]",
		Short: "Draw the steps: -o dot, mermaid, svg or json",
		Long: `Draw the graph of a workflow's steps on stdout: one node a step, a fan-out as a stack.
Formats: dot (default; Graphviz), mermaid (Markdown on GitHub and GitLab), svg (an
image that needs nothing else), json. With -run RUN the nodes show how far it is.`,
		Args:        args(0, 1),
		Annotations: map[string]string{formats: strings.Join(graphFormats, ",")},
		RunE: func(cmd *cobra.Command, argv []string) error {
			if ref != "" && len(argv) > 0 {
				return errUsage(cmd.CommandPath(), "-run shows the workflow as the run has it; leave out %q", argv[0])
			}
			if ref != "" {
				return a.graphOfRun(cmd.Context(), ref)
			}
			return a.graphOfWorkflow(pathOf(argv))
		},
	}
	cmd.Flags().StringVar(&ref, "run", "", "show the state of `RUN`")
	return cmd
}

func (a *app) graphOfWorkflow(path string) error {
	program, err := a.load(path)
	if err != nil {
		return err
	}
	return a.printGraph(program.Workflow, nil)
}

func (a *app) graphOfRun(ctx context.Context, ref string) error {
	past, err := a.openRun(ctx, ref)
	if err != nil {
		return err
	}
	defer past.close()
	return a.printGraph(past.run.Workflow(), past.run)
}

// printGraph writes the graph of wf, with the state of run if it is not nil.
func (a *app) printGraph(wf *engine.Workflow, run *engine.Run) error {
	var out []byte
	switch {
	case a.asJSON():
		return a.printJSON(graphData(wf, run))
	case a.output == "svg":
		out = draw.SVG(drawing(wf, run))
	case a.output == "mermaid":
		out = draw.Mermaid(drawing(wf, run))
	default:
		out = draw.DOT(drawing(wf, run))
	}
	_, err := a.stdout.Write(out)
	return err
}

func drawing(wf *engine.Workflow, run *engine.Run) *draw.Graph {
	g := &draw.Graph{Title: wf.Name}
	at := make(map[engine.StepName]int, len(wf.Steps))
	for i, s := range wf.Steps {
		at[s.Name] = i
		node := draw.Node{ID: string(s.Name), Label: string(s.Name), Stack: s.FanOut, Tip: s.Description}
		if s.FanOut {
			node.Detail = "fan-out"
		}
		if run != nil {
			v := run.StepStatus(s.Name)
			node.Status, node.Detail = v.Status.String(), progressText(&v)
			node.Tip = fmt.Sprintf("%s: %s. %s", s.Name, v.Status, view.Counts(v.Counts).Words(view.Style{}))
			if v.Reason != "" {
				node.Tip += ". " + v.Reason
			}
		}
		g.Nodes = append(g.Nodes, node)
	}
	for i, s := range wf.Steps {
		for _, d := range s.Deps {
			kind := draw.Whole
			switch {
			case d.Kind == engine.Element:
				kind = draw.Element
			case d.Need == engine.NeedOrder:
				kind = draw.Order
			}
			g.Edges = append(g.Edges, draw.Edge{From: at[d.Step], To: i, Kind: kind})
		}
	}
	return g
}

// progressText says how far a step is in a few characters: "412/1,000, 3 failed".
func progressText(v *engine.StepStatus) string {
	c := view.Counts(v.Counts)
	if !v.Step.FanOut || v.Size < 0 {
		if v.Status == engine.Pending {
			return "waits"
		}
		return v.Status.String()
	}
	text := view.Count(c.OK()) + "/" + view.Count(v.Size)
	if n := c[engine.Failed]; n > 0 {
		text += ", " + view.Count(n) + " failed"
	}
	if n := c[engine.Skipped] + c[engine.Cancelled]; n > 0 {
		text += ", " + view.Count(n) + " not run"
	}
	return text
}

type graphJSON struct {
	Workflow string      `json:"workflow"`
	Run      string      `json:"run,omitempty"`
	Nodes    []graphNode `json:"nodes"`
	Edges    []graphEdge `json:"edges"`
}

type graphNode struct {
	Step        string     `json:"step"`
	Description string     `json:"description,omitempty"`
	FanOut      bool       `json:"fan_out"`
	File        engine.Pos `json:"pos"`
	State       *stepJSON  `json:"state,omitempty"`
}

type graphEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"` // whole, element, order
}

func graphData(wf *engine.Workflow, run *engine.Run) *graphJSON {
	g := drawing(wf, run)
	out := &graphJSON{Workflow: wf.Name, Nodes: []graphNode{}, Edges: []graphEdge{}}
	for _, s := range wf.Steps {
		n := graphNode{Step: string(s.Name), Description: s.Description, FanOut: s.FanOut, File: s.Pos}
		if run != nil {
			out.Run = string(run.ID())
			v := run.StepStatus(s.Name)
			n.State = stepData(&v)
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, e := range g.Edges {
		out.Edges = append(out.Edges, graphEdge{g.Nodes[e.From].ID, g.Nodes[e.To].ID, string(e.Kind)})
	}
	return out
}
