package dsl

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// An evaluator gives expressions their names: while validating those are unknown values
// of the right type, in a run they are what is known of it. It evaluates each local
// value and builds each step's object once.
type evaluator struct {
	p         *Program
	functions map[string]function.Function
	offline   bool      // files of the workflow's directory may not be read
	vars      cty.Value // object of all variables
	run       cty.Value
	path      cty.Value
	locals    map[*localConfig]cty.Value
	fixed     map[*localConfig]cty.Value // of locals that use no step; shared by evaluators
	steps     map[*stepConfig]cty.Value
	names     map[*infraConfig]cty.Value // in AWS
	// stepValue makes what step.<name> is.
	stepValue func(*stepConfig) cty.Value
	// skipped is that of the task: which step that is referred to was skipped.
	skipped   func(*refs) string
	diags     hcl.Diagnostics          // of local values
	eachTypes map[*stepConfig]cty.Type // while validating: of each.value
	// originals maps paths to what they were before cty normalized them to Unicode NFC:
	// to a file system those are different names.
	originals map[string]string
	// totals tell how much there is of consumable resources, by name in AWS, as far as it is
	// known.
	totals map[string]int64
	// publishTo is that of the RunContext.
	publishTo string
}

// pathText returns a path as a value.
func (ev *evaluator) pathText(s string) cty.Value {
	v := cty.StringVal(s)
	if n := v.AsString(); n != s {
		if ev.originals == nil {
			ev.originals = map[string]string{}
		}
		ev.originals[n] = s
	}
	return v
}

// original returns the path that became s.
func (ev *evaluator) original(s string) string {
	if o, ok := ev.originals[s]; ok {
		return o
	}
	return s
}

// pathValue is the value of `path`.
func (p *Program) pathValue() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"module":   cty.StringVal(p.dir),
		"workflow": cty.StringVal(p.dir),
	})
}

// varsValue is the value of `var`: all variables, and what was used but is none.
func (p *Program) varsValue(vals map[string]cty.Value) cty.Value {
	all := make(map[string]cty.Value, len(vals)+len(p.lost.vars))
	for name := range p.lost.vars {
		all[name] = cty.DynamicVal
	}
	for name, v := range vals {
		all[name] = v
	}
	return cty.ObjectVal(all)
}

// A nameSet is what is needed to evaluate some expressions.
type nameSet struct {
	locals []*localConfig
	steps  []*stepConfig
	infra  []*infraConfig
}

// of adds what the references r need.
func (n *nameSet) of(r *refs) {
	n.locals = append(n.locals, r.locals...)
	for _, s := range r.steps {
		if !s.elem {
			n.steps = append(n.steps, s.step)
		}
	}
	for _, c := range r.infra {
		n.infra = append(n.infra, c.block)
	}
}

// context returns a context in which names mean something, beside var, run, path and
// functions. The caller may add each and attempt to its Variables.
func (ev *evaluator) context(n nameSet) *hcl.EvalContext {
	root := make(map[string]cty.Value, 8)
	root["var"], root["run"], root["path"] = ev.vars, ev.run, ev.path
	lost := &ev.p.lost
	if len(n.locals) > 0 || len(lost.locals) > 0 {
		obj := make(map[string]cty.Value, len(n.locals)+len(lost.locals))
		for name := range lost.locals {
			obj[name] = cty.DynamicVal
		}
		for _, l := range n.locals {
			if _, ok := obj[l.name]; !ok {
				obj[l.name] = ev.local(l)
			}
		}
		root["local"] = cty.ObjectVal(obj)
	}
	if len(n.steps) > 0 || len(lost.steps) > 0 {
		obj := make(map[string]cty.Value, len(n.steps)+len(lost.steps))
		for name := range lost.steps {
			obj[name] = cty.DynamicVal
		}
		for _, s := range n.steps {
			if _, ok := obj[s.name]; !ok {
				obj[s.name] = ev.step(s)
			}
		}
		root["step"] = cty.ObjectVal(obj)
	}
	if len(n.infra) > 0 {
		ev.addInfra(root, n.infra)
	}
	return &hcl.EvalContext{Variables: root, Functions: ev.functions}
}

// local returns the value of a local; after an error, which is noted, an unknown one.
func (ev *evaluator) local(l *localConfig) cty.Value {
	if l.cyclic {
		return cty.DynamicVal
	}
	if v, ok := ev.fixed[l]; ok {
		return v
	}
	if v, ok := ev.locals[l]; ok {
		return v
	}
	var n nameSet
	n.of(&l.refs)
	v, diags := ev.eval(l.arg, ev.context(n))
	switch {
	case !diags.HasErrors():
	case ev.skipped != nil && ev.skipped(&l.refs) != "":
		v = cty.NullVal(cty.DynamicPseudoType) // is made from what was skipped
	default:
		v = cty.DynamicVal
		ev.diags = append(ev.diags, diags...)
	}
	if len(l.steps) == 0 && l.done && ev.fixed != nil {
		ev.fixed[l] = v
	} else {
		ev.locals[l] = v
	}
	return v
}

func (ev *evaluator) step(s *stepConfig) cty.Value {
	v, ok := ev.steps[s]
	if !ok {
		v = ev.stepValue(s)
		ev.steps[s] = v
	}
	return v
}

// eval evaluates an argument. Names that its references say are lost are unknown.
func (ev *evaluator) eval(a *arg, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if len(a.refs.lost) > 0 {
		c := &hcl.EvalContext{Variables: make(map[string]cty.Value, len(ctx.Variables)+1), Functions: ctx.Functions}
		for k, v := range ctx.Variables {
			c.Variables[k] = v
		}
		for _, name := range a.refs.lost {
			c.Variables[name] = cty.DynamicVal
		}
		ctx = c
	}
	return ev.p.budget.value(a.expr, ctx)
}
