package dsl

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// convertTo is convert.Convert in linear time. cty makes a list of a tuple, or a map of
// an object, by looking for a type that all elements have in common, in a time that grows
// with their square even where all have the same: a second and a half for 10,000.
func convertTo(v cty.Value, ty cty.Type) (cty.Value, error) {
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() || !ty.IsCollectionType() || v.Type().Equals(ty) {
		return convert.Convert(v, ty)
	}
	plain, marks := v.Unmark()
	from := plain.Type()
	elem := ty.ElementType()
	switch {
	case (ty.IsListType() || ty.IsSetType()) && (from.IsTupleType() || from.IsListType() || from.IsSetType()):
		vals, ok := convertElements(plain, elem)
		switch {
		case !ok:
			return convert.Convert(v, ty)
		case ty.IsSetType():
			return cty.SetVal(vals).WithMarks(marks), nil
		default:
			return cty.ListVal(vals).WithMarks(marks), nil
		}
	case ty.IsMapType() && (from.IsObjectType() || from.IsMapType()):
		vals, ok := convertElements(plain, elem)
		if !ok {
			return convert.Convert(v, ty)
		}
		m := make(map[string]cty.Value, len(vals))
		i := 0
		for it := plain.ElementIterator(); it.Next(); i++ {
			k, _ := it.Element()
			m[k.AsString()] = vals[i]
		}
		return cty.MapVal(m).WithMarks(marks), nil
	}
	return convert.Convert(v, ty)
}

// convertElements converts each element of v to ty. ok is false where the general way has
// to be gone: there are no elements, one does not convert, or they come out different.
func convertElements(v cty.Value, ty cty.Type) (vals []cty.Value, ok bool) {
	if !v.CanIterateElements() || v.LengthInt() == 0 {
		return nil, false
	}
	vals = make([]cty.Value, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if !e.Type().Equals(ty) {
			c, err := convertTo(e, ty)
			if err != nil {
				return nil, false
			}
			e = c
		}
		if e.Type().HasDynamicTypes() || len(vals) > 0 && !e.Type().Equals(vals[0].Type()) {
			return nil, false
		}
		vals = append(vals, e)
	}
	return vals, true
}
