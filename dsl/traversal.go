package dsl

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// travRange is the range of the first n parts of a traversal.
func travRange(trav hcl.Traversal, n int) hcl.Range {
	return hcl.RangeBetween(trav[0].SourceRange(), trav[min(n, len(trav))-1].SourceRange())
}

// stepName returns the name in .name or ["name"].
func stepName(t hcl.Traverser) (string, bool) {
	switch t := t.(type) {
	case hcl.TraverseAttr:
		return t.Name, true
	case hcl.TraverseIndex:
		if t.Key.Type() == cty.String && t.Key.IsKnown() && !t.Key.IsNull() {
			return t.Key.AsString(), true
		}
	}
	return "", false
}

// traversal returns the reference that expr consists of, or nil: step.x.each in native
// syntax, "${step.x.each}" in JSON.
func (p *Program) traversal(expr hcl.Expression) hcl.Traversal {
	if _, native := expr.(hclsyntax.Node); native {
		trav, diags := hcl.AbsTraversalForExpr(expr)
		if diags.HasErrors() {
			return nil
		}
		return trav
	}
	rng := expr.Range()
	file := p.Files[rng.Filename]
	if file == nil || !rng.CanSliceBytes(file.Bytes) {
		return nil
	}
	text, ok := strings.CutPrefix(string(rng.SliceBytes(file.Bytes)), `"${`)
	if text, ok = cutSuffix(text, `}"`, ok); !ok {
		return nil
	}
	start := rng.Start
	start.Byte, start.Column = start.Byte+3, start.Column+3
	trav, diags := hclsyntax.ParseTraversalAbs([]byte(strings.TrimSpace(text)), rng.Filename, start)
	if diags.HasErrors() {
		return nil
	}
	return trav
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	if !ok {
		return s, false
	}
	return strings.CutSuffix(s, suffix)
}

// elementOf returns the step x of for_each = step.x.each, or nil.
func (p *Program) elementOf(a *arg) *stepConfig {
	trav := p.traversal(a.expr)
	if len(trav) != 3 || trav.RootName() != "step" {
		return nil
	}
	name, _ := stepName(trav[1])
	part, _ := stepName(trav[2])
	if s := p.stepIndex[name]; part == "each" && s != nil && s.fanOut() {
		return s
	}
	return nil
}
