package dsl

import (
	"github.com/zclconf/go-cty/cty"
)

// unknownStep is step.<name> while validating: every output an unknown value of its
// type.
func (ev *evaluator) unknownStep(s *stepConfig) cty.Value {
	one := make(map[string]cty.Value, len(s.outputs))
	for _, o := range s.outputs {
		ty := o.valueType()
		if s.fanOut() {
			if ty.HasDynamicTypes() {
				ty = cty.DynamicPseudoType
			} else {
				ty = cty.List(ty)
			}
		}
		one[o.name] = cty.UnknownVal(ty)
	}
	for name := range s.lost {
		one[name] = cty.DynamicVal
	}
	all := map[string]cty.Value{"outputs": cty.ObjectVal(one)}
	if s.fanOut() {
		all["each"] = ev.unknownTasks(s)
	}
	for name := range s.lost {
		if _, ok := all[name]; !ok {
			all[name] = cty.DynamicVal
		}
	}
	return cty.ObjectVal(all)
}

// unknownTasks is step.<name>.each while validating.
func (ev *evaluator) unknownTasks(s *stepConfig) cty.Value {
	return cty.UnknownVal(cty.Map(ev.unknownTask(s).Type()))
}

// unknownTask is one task of a step while validating.
func (ev *evaluator) unknownTask(s *stepConfig) cty.Value {
	outputs := make(map[string]cty.Value, len(s.outputs)+len(s.lost))
	for name := range s.lost {
		outputs[name] = cty.DynamicVal
	}
	for _, o := range s.outputs {
		outputs[o.name] = cty.UnknownVal(o.valueType())
	}
	return cty.ObjectVal(map[string]cty.Value{
		"key":     cty.UnknownVal(cty.String).RefineNotNull(),
		"index":   cty.UnknownVal(cty.Number).RefineNotNull(),
		"outputs": cty.ObjectVal(outputs),
		"value":   cty.UnknownVal(ev.eachType(s)),
	})
}

// unknownEach is `each` in a step while validating.
func (ev *evaluator) unknownEach(s *stepConfig) cty.Value {
	v := cty.UnknownVal(ev.eachType(s))
	if s.elementOf != nil && !s.cyclic {
		v = ev.unknownTask(s.elementOf)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"key":   cty.UnknownVal(cty.String).RefineNotNull(),
		"index": cty.UnknownVal(cty.Number).RefineNotNull(),
		"value": v,
	})
}

// eachType is the type of each.value in a step, DynamicPseudoType where it is not known.
func (ev *evaluator) eachType(s *stepConfig) cty.Type {
	if ty, ok := ev.eachTypes[s]; ok {
		return ty
	}
	if ev.eachTypes == nil {
		ev.eachTypes = map[*stepConfig]cty.Type{}
	}
	ev.eachTypes[s] = cty.DynamicPseudoType // if this comes back to s
	ty := cty.DynamicPseudoType
	switch {
	case s.cyclic:
	case s.elementOf != nil:
		ty = ev.unknownTask(s.elementOf).Type()
	case s.matrix != nil:
		ty = ev.cellType(s)
	default:
		ty = ev.forEachType(s)
	}
	ev.eachTypes[s] = ty
	return ty
}

func (ev *evaluator) forEachType(s *stepConfig) cty.Type {
	a := s.args.own("for_each")
	var n nameSet
	n.of(&a.refs)
	t := task{ev: ev, ctx: ev.context(n), step: s}
	if it := t.numbers(a); it != nil && it.n > 0 {
		return cty.Number
	}
	v, diags := ev.eval(a, t.ctx)
	if diags.HasErrors() { // told by the check of the step itself
		return cty.DynamicPseudoType
	}
	v, _ = v.Unmark()
	switch ty := v.Type(); {
	case v.IsNull():
		return cty.DynamicPseudoType
	case v.IsKnown() && v.CanIterateElements():
		return commonType(elements(v))
	case ty.IsListType(), ty.IsSetType(), ty.IsMapType():
		return ty.ElementType()
	}
	return cty.DynamicPseudoType
}

func (ev *evaluator) cellType(s *stepConfig) cty.Type {
	attrs := make(map[string]cty.Type, len(s.matrix.axes))
	for _, a := range s.matrix.axes {
		var n nameSet
		n.of(&a.refs)
		v, _ := ev.eval(a, ev.context(n))
		v, _ = v.Unmark()
		attrs[a.name] = cty.DynamicPseudoType
		switch ty := v.Type(); {
		case v.IsNull():
		case v.IsKnown() && v.CanIterateElements():
			attrs[a.name] = commonType(elements(v))
		case ty.IsListType(), ty.IsSetType():
			attrs[a.name] = ty.ElementType()
		}
	}
	return cty.Object(attrs)
}

// commonType is the type that all values have; of objects with the same attributes the
// one whose attributes have common types. DynamicPseudoType: none.
func commonType(values []cty.Value) cty.Type {
	if len(values) == 0 {
		return cty.DynamicPseudoType
	}
	first := values[0].Type()
	equal := true
	for _, v := range values[1:] {
		if equal = v.Type().Equals(first); !equal {
			break
		}
	}
	if equal {
		return first
	}
	for _, v := range values {
		ty := v.Type()
		if !ty.IsObjectType() || !first.IsObjectType() || len(ty.AttributeTypes()) != len(first.AttributeTypes()) {
			return cty.DynamicPseudoType
		}
		for name := range ty.AttributeTypes() {
			if !first.HasAttribute(name) {
				return cty.DynamicPseudoType
			}
		}
	}
	attrs := make(map[string]cty.Type, len(first.AttributeTypes()))
	for name, ty := range first.AttributeTypes() {
		attrs[name] = ty
		for _, v := range values {
			if !v.Type().AttributeType(name).Equals(ty) {
				attrs[name] = cty.DynamicPseudoType
				break
			}
		}
	}
	return cty.Object(attrs)
}
