package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// infraName is the one attribute of a block about AWS Batch itself that is known before
// anything is there.
const infraName = "name"

// infraRef looks at a reference to a block about AWS Batch itself.
func (an *analysis) infraRef(a *arg, trav hcl.Traversal) {
	r := &a.refs
	kind := trav.RootName()
	if len(trav) < 2 {
		an.needsName(a, trav, kind, fmt.Sprintf("the name of a block, and .name: %s.spot.name", kind))
		return
	}
	label, ok := stepName(trav[1])
	if !ok {
		an.needsName(a, trav, kind, fmt.Sprintf("the name of a block, and .name: %s.spot.name", kind))
		return
	}
	c := an.p.infraBlock(kind, label)
	if c == nil {
		r.lost = append(r.lost, kind)
		if !an.p.lost.hides(label) {
			an.add("Reference to undeclared "+kind, an.undeclared(kind, label), travRange(trav, 2))
		}
		return
	}
	if detail := attributeMistake(a, c, trav); detail != "" {
		r.lost = append(r.lost, kind)
		an.add("Unsupported attribute", detail, travRange(trav, 3))
		return
	}
	if !slices.ContainsFunc(r.infra, func(o infraRef) bool { return o.block == c }) {
		r.infra = append(r.infra, infraRef{c, trav.SourceRange()})
	}
}

// undeclared says that there is no block of a kind with that label.
func (an *analysis) undeclared(kind, label string) string {
	var names []string
	for _, c := range an.p.infra {
		if c.kind == kind {
			names = append(names, c.label)
		}
		if c.label == label {
			return fmt.Sprintf("There is no %s %q, but a %s of that name. Did you mean %s.name?", kind, label, c.kind, c.reference())
		}
	}
	hint := suggest(label, names)
	if hint == "" {
		hint = fmt.Sprintf(" Declare it with a block: %s %q { ... }; existing = \"...\" in it names one that is there in AWS already.", kind, label)
	}
	return fmt.Sprintf("There is no %s %q.%s", kind, label, hint)
}

// attributeMistake returns what is wrong with the part of a reference after the label, or "".
func attributeMistake(a *arg, c *infraConfig, trav hcl.Traversal) string {
	if want := a.spec.takes; want != "" && want != c.kind && isOneOf(a.expr, trav) {
		return fmt.Sprintf("%s takes %s, and %s is a %s.", a.name, takesWhat(a.name, want), c.reference(), infraNouns[c.kind])
	}
	if len(trav) == 2 {
		if a.spec.takes == c.kind {
			return ""
		}
		return fmt.Sprintf("%s is the block as a whole. Write %s.name for its name in AWS.", c.reference(), c.reference())
	}
	part, ok := stepName(trav[2])
	switch {
	case ok && part == infraName:
		return ""
	case ok && suggest(part, []string{infraName}) != "":
		return fmt.Sprintf("A %s has no attribute named %q.%s", c.kind, part, suggest(part, []string{infraName}))
	case ok && infraArgs[c.kind].find(part) != nil:
		return fmt.Sprintf("Of a %s only its name can be used: %s.name. To use its %s elsewhere as well, make it a local value.", c.kind, c.reference(), part)
	case ok && strings.Contains(part, "arn"):
		return fmt.Sprintf("The ARN of %s is not known before it exists; use %s.name, which does wherever a name or ARN is taken.", c.reference(), c.reference())
	}
	return fmt.Sprintf("Only the name of a %s is known before it exists: %s.name.", c.kind, c.reference())
}

// resolveInfra analyzes the blocks about AWS Batch itself, and finds cycles in their names
// and in local values, which may use those.
func (an *analysis) resolveInfra() {
	an.early = true
	for _, c := range an.p.infra {
		for _, a := range c.nameArgs() {
			an.analyze(a, nil)
		}
	}
	an.early = false
	an.nameCycles()
	for _, c := range an.p.infra {
		names := c.nameArgs()
		for _, a := range names {
			for _, l := range a.refs.locals {
				an.localUses(a, l, a.expr.Range())
			}
		}
		c.everything(func(a *arg) {
			if !slices.Contains(names, a) {
				an.analyze(a, nil)
			}
		})
	}
}

// isOneOf reports whether a reference is all of an expression, or an element of a list that
// is written out.
func isOneOf(expr hcl.Expression, trav hcl.Traversal) bool {
	all := []hcl.Expression{expr}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		all = list
	}
	return slices.ContainsFunc(all, func(e hcl.Expression) bool { return e.Range() == trav.SourceRange() })
}

// takesWhat says what an argument takes.
func takesWhat(name, kind string) string {
	if strings.HasSuffix(name, "s") {
		return infraNouns[kind] + "s"
	}
	return "a " + infraNouns[kind]
}

// nameCycles finds local values and names of blocks that refer to each other.
func (an *analysis) nameCycles() {
	locals, blocks := an.p.localList, an.p.infra
	localAt := make(map[*localConfig]int, len(locals))
	for i, l := range locals {
		localAt[l] = i
	}
	blockAt := make(map[*infraConfig]int, len(blocks))
	for i, c := range blocks {
		blockAt[c] = len(locals) + i
	}
	out := func(list []edge, a *arg) []edge {
		for _, o := range a.refs.locals {
			list = append(list, edge{localAt[o], a.expr.Range()})
		}
		for _, o := range a.refs.infra {
			list = append(list, edge{blockAt[o.block], a.expr.Range()})
		}
		return list
	}
	edges := func(i int) (list []edge) {
		if i < len(locals) {
			return out(nil, locals[i].arg)
		}
		for _, a := range blocks[i-len(locals)].nameArgs() {
			list = out(list, a)
		}
		return list
	}
	for _, c := range cycles(len(locals)+len(blocks), edges) {
		summary := "Local values refer to each other"
		for _, i := range c.set {
			if i < len(locals) {
				locals[i].cyclic = true
				continue
			}
			blocks[i-len(locals)].cyclic = true
			summary = "Names refer to each other"
		}
		names := []string{}
		for _, e := range c.way {
			if e.to < len(locals) {
				names = append(names, "local."+locals[e.to].name)
			} else {
				names = append(names, blocks[e.to-len(locals)].reference()+"."+infraName)
			}
		}
		an.cycle(summary, c.way, names)
	}
}

// addInfra puts the blocks that are referred to, and those that are not there but used,
// under the names of their kinds.
func (ev *evaluator) addInfra(root map[string]cty.Value, blocks []*infraConfig) {
	all := map[string]map[string]cty.Value{}
	for _, c := range blocks {
		if all[c.kind] == nil {
			all[c.kind] = map[string]cty.Value{}
		}
		if _, ok := all[c.kind][c.label]; !ok {
			all[c.kind][c.label] = cty.ObjectVal(map[string]cty.Value{infraName: ev.infraName(c)})
		}
	}
	for kind, labels := range all {
		root[kind] = cty.ObjectVal(labels)
	}
}

// infraName returns the name of a block in AWS; after a mistake, which is told where the
// block is checked, it is unknown.
func (ev *evaluator) infraName(c *infraConfig) cty.Value {
	unknown := cty.UnknownVal(cty.String).RefineNotNull()
	if c.cyclic {
		return unknown
	}
	if v, ok := ev.names[c]; ok {
		return v
	}
	v := cty.StringVal(c.label)
	for _, a := range c.nameArgs() {
		var n nameSet
		n.of(&a.refs)
		got, diags := ev.eval(a, ev.context(n))
		if !diags.HasErrors() && got.IsKnown() && got.IsNull() {
			continue
		}
		v = unknown
		if text, err := toText(got); err == nil && !diags.HasErrors() {
			v = cty.StringVal(text)
		}
		break
	}
	if ev.names == nil {
		ev.names = map[*infraConfig]cty.Value{}
	}
	ev.names[c] = v
	return v
}
