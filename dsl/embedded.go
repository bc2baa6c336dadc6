package dsl

import (
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Embedded returns the files in the workflow's directory that the program names in so
// many words: in script_file, file, filebase64 and templatefile. Stored with the sources
// and given to a later Load together with them, they are read instead of what is on disk
// then, so that a resumed run does not depend on edited files. Files whose names are
// computed from variables or steps, and those that are not there, are not among them.
func (p *Program) Embedded() []Source {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{"path": p.pathValue()}}
	found := map[string]bool{}
	var out []Source
	add := func(expr hcl.Expression) {
		v, diags := p.budget.value(expr, ctx)
		if diags.HasErrors() {
			return
		}
		name, err := toText(v)
		if err != nil {
			return
		}
		name, err = inside(p.relative(name))
		if err != nil || found[name] || isSource(name) {
			return
		}
		found[name] = true
		if data, err := readFile(p.dir, name, p.budget); err == nil {
			out = append(out, Source{Name: name, Bytes: data})
		}
	}
	p.budget.reset()
	for _, s := range p.steps {
		if a := s.args.own("script_file"); a != nil {
			add(a.expr)
		}
	}
	for _, src := range p.sources {
		body, ok := p.body(src.Name)
		if !ok {
			continue
		}
		// The visitor makes no error.
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			call, ok := n.(*hclsyntax.FunctionCallExpr)
			if ok && len(call.Args) > 0 && (call.Name == "file" || call.Name == "filebase64" || call.Name == "templatefile") {
				add(call.Args[0])
			}
			return nil
		})
	}
	sort.Slice(out, func(i, k int) bool { return out[i].Name < out[k].Name })
	return out
}

// body returns the body of a source in native syntax.
func (p *Program) body(name string) (*hclsyntax.Body, bool) {
	f := p.Files[name]
	if f == nil {
		return nil, false
	}
	b, ok := f.Body.(*hclsyntax.Body)
	return b, ok
}
