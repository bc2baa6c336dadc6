package dsl

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// setInputs takes the files that are staged for a task. One that is null is left out.
func (t *task) setInputs(a *arg) {
	entries, ok := value(t, a, toEntries)
	if !ok {
		return
	}
	inputs := slices.Clone(t.spec.Inputs)
	for _, e := range entries {
		inputs = slices.DeleteFunc(inputs, func(in engine.Input) bool { return in.Name == e.key })
		if !e.value.IsMarked() && e.value.IsKnown() && e.value.IsNull() {
			t.lacks(t.ev.p.itemRefs(a, e.key))
			continue // no such input this time
		}
		if !t.variable(a, e.key, "input", false) {
			continue
		}
		in, err := t.input(e)
		if errors.Is(err, errUnknown) && !t.final {
			if t.sketch {
				inputs = append(inputs, engine.Input{Name: e.key})
			}
			continue
		}
		if err != nil {
			_, rng := keyRange(a.expr, e.key)
			t.wrong("Input "+e.key, rng, err)
			continue
		}
		inputs = append(inputs, in)
	}
	sort.Slice(inputs, func(i, k int) bool { return inputs[i].Name < inputs[k].Name })
	t.spec.Inputs = inputs
}

func (t *task) input(e entry) (engine.Input, error) {
	in := engine.Input{Name: e.key}
	ty := e.value.Type()
	switch {
	case ty.IsListType(), ty.IsSetType(), ty.IsTupleType():
		in.List = true
		if el := ty; !el.IsTupleType() && el.ElementType() != cty.String && el.ElementType() != cty.DynamicPseudoType {
			return in, fmt.Errorf("this is a list of %s, and a list of paths is needed", typeName(el.ElementType()))
		}
		list, err := toElements(e.value)
		if err != nil {
			return in, err
		}
		in.Paths = make([]string, 0, len(list))
		for _, el := range list {
			if !el.IsMarked() && el.IsKnown() && el.IsNull() {
				continue
			}
			p, err := t.inputPath(el)
			if err != nil {
				return in, err
			}
			in.Paths = append(in.Paths, p)
		}
		return in, nil
	case ty == cty.String, ty == cty.DynamicPseudoType:
		p, err := t.inputPath(e.value)
		in.Paths = []string{p}
		return in, err
	case ty.IsObjectType() && ty.HasAttribute("outputs"):
		return in, fmt.Errorf("this is a task, and a path is needed: name one of its outputs, as in each.value.outputs.<name>")
	}
	return in, fmt.Errorf("this is %s, and a path or a list of paths is needed; other values go into env", typeName(ty))
}

func (t *task) inputPath(v cty.Value) (string, error) {
	if v.Type() != cty.String && v.Type() != cty.DynamicPseudoType {
		return "", fmt.Errorf("this is %s, and a path is needed", typeName(v.Type()))
	}
	s, err := toText(v)
	if err != nil {
		return "", err
	}
	switch {
	case s == "":
		return "", fmt.Errorf("the path is empty; if there may be no such input, use null")
	case strings.ContainsRune(s, 0):
		return "", fmt.Errorf("a path cannot have a NUL character")
	}
	s = t.ev.original(s)
	if err := checkInput(s); err != nil {
		return "", err
	}
	return t.ev.p.abs(s), nil
}

// itemRefs returns what the value of one key of a map refers to, or all of a.
func (p *Program) itemRefs(a *arg, key string) *refs {
	pairs, diags := hcl.ExprMap(a.expr)
	if diags.HasErrors() {
		return &a.refs
	}
	for _, pair := range pairs {
		name, diags := pair.Key.Value(nil)
		if diags.HasErrors() || name.Type() != cty.String || name.AsString() != key {
			continue
		}
		var r refs
		for _, trav := range pair.Value.Variables() {
			if len(trav) < 2 {
				continue
			}
			part, _ := stepName(trav[1])
			switch trav.RootName() {
			case "step":
				if s := p.stepIndex[part]; s != nil {
					r.steps = append(r.steps, stepRef{step: s})
				}
			case "local":
				if l := p.locals[part]; l != nil {
					r.locals = append(r.locals, l)
				}
			}
		}
		return &r
	}
	return &a.refs
}
