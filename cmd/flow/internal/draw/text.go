package draw

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// fills are the colours of a status in DOT and Mermaid: fill, line and text.
var fills = []struct{ status, fill, line, text string }{
	{"PENDING", "#f6f8fa", "#57606a", "#1f2328"},
	{"RUNNING", "#ddf4ff", "#0969da", "#1f2328"},
	{"SUCCEEDED", "#dafbe1", "#1a7f37", "#1f2328"},
	{"CACHED", "#d8f5f0", "#1b7c83", "#1f2328"},
	{"FAILED", "#ffebe9", "#cf222e", "#1f2328"},
	{"SKIPPED", "#fff8c5", "#9a6700", "#1f2328"},
	{"CANCELLED", "#fff8c5", "#9a6700", "#1f2328"},
}

// DOT writes g in the language of Graphviz.
func DOT(g *Graph) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "digraph %s {\n", dotQuote(g.Title))
	b.WriteString("  rankdir = TB\n  node [shape = box, style = \"rounded,filled\", fillcolor = \"#f6f8fa\", fontname = monospace]\n")
	for _, n := range g.Nodes {
		label := n.Label
		if n.Detail != "" {
			label += "\n" + n.Detail
		}
		fmt.Fprintf(&b, "  %s [label = %s", dotQuote(n.ID), dotQuote(label))
		if n.Stack {
			b.WriteString(", peripheries = 2")
		}
		for _, f := range fills {
			if f.status == n.Status {
				fmt.Fprintf(&b, ", fillcolor = %q, color = %q", f.fill, f.line)
			}
		}
		b.WriteString("]\n")
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s", dotQuote(g.Nodes[e.From].ID), dotQuote(g.Nodes[e.To].ID))
		switch e.Kind {
		case Order:
			b.WriteString(" [style = dashed]")
		case Element:
			b.WriteString(" [penwidth = 2]")
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// dotQuote writes s as a quoted id of DOT, in which only the quote and the backslash are special.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(s) + `"`
}

// Mermaid writes g as a Mermaid flowchart, which GitHub and GitLab draw in Markdown.
func Mermaid(g *Graph) []byte {
	var b bytes.Buffer
	b.WriteString("flowchart TB\n")
	for i, n := range g.Nodes {
		label := mermaidEscape(n.Label)
		if n.Detail != "" {
			label += "<br/>" + mermaidEscape(n.Detail)
		}
		left, right := `["`, `"]`
		if n.Stack {
			left, right = `[["`, `"]]`
		}
		fmt.Fprintf(&b, "  n%d%s%s%s", i, left, label, right)
		if n.Status != "" {
			b.WriteString(":::" + n.Status)
		}
		b.WriteByte('\n')
	}
	for _, e := range g.Edges {
		arrow := map[EdgeKind]string{Order: "-.->", Element: "==>"}[e.Kind]
		if arrow == "" {
			arrow = "-->"
		}
		fmt.Fprintf(&b, "  n%d %s n%d\n", e.From, arrow, e.To)
	}
	for _, f := range fills {
		for _, n := range g.Nodes {
			if n.Status == f.status {
				fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:%s\n", f.status, f.fill, f.line, f.text)
				break
			}
		}
	}
	return b.Bytes()
}

// mermaidEscape writes whatever Mermaid could take for syntax as entity codes.
func mermaidEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\"#&;<>`\\[](){}|\n\r", r) {
			b.WriteString("#" + strconv.Itoa(int(r)) + ";")
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
