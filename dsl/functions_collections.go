package dsl

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// refineNotNull says that a result is never null, even if it is not known yet.
func refineNotNull(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() }

// lengthFunc is the number of elements, or of a string's characters. Its argument is
// prepared by lengthOf in metered expressions.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{
		Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true,
	}},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch ty := args[0].Type(); {
		case ty == cty.String, ty == cty.DynamicPseudoType, ty == countType, ty.IsCollectionType(), ty.IsTupleType(), ty.IsObjectType():
			return cty.Number, nil
		default:
			return cty.Number, function.NewArgErrorf(0, "a %s has no length; a list, a map or a string has", ty.FriendlyName())
		}
	},
	RefineResult: refineNotNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, marks := args[0].Unmark()
		if v.Type() == cty.DynamicPseudoType || v.Type() == cty.String && !v.IsKnown() {
			return cty.UnknownVal(cty.Number).WithMarks(marks), nil
		}
		if v.Type() == cty.String {
			n, err := textseg.TokenCount([]byte(v.AsString()), textseg.ScanGraphemeClusters)
			return cty.NumberIntVal(int64(n)).WithMarks(marks), err
		}
		if v = lengthOf(v); v.Type() == countType {
			n, _ := v.EncapsulatedValue().(*int)
			return cty.NumberIntVal(int64(*n)).WithMarks(marks), nil
		}
		return v.Length().WithMarks(marks), nil
	},
})

// countType stands for a value of which only the length is wanted.
var countType = cty.Capsule("count", reflect.TypeFor[int]())

// lengthOf returns how many elements v has as a value of countType, so that a call of
// length takes no longer for a long list: cty looks at every element of an argument.
// Other values than known collections, tuples and objects are returned as they are.
func lengthOf(v cty.Value) cty.Value {
	plain, marks := v.Unmark()
	ty := plain.Type()
	var n int
	switch {
	case ty == countType:
		return v
	case plain.IsNull():
		return v
	case ty.IsTupleType():
		n = ty.Length()
	case ty.IsObjectType():
		n = len(ty.AttributeTypes())
	case ty.IsCollectionType() && plain.IsKnown() && plain.Length().IsKnown():
		n = plain.LengthInt()
	default:
		return v
	}
	return cty.CapsuleVal(countType, &n).WithMarks(marks)
}

// rangeFunc is range(limit), range(start, limit) and range(start, limit, step), for
// lists as long as a step may have tasks; cty's own ends at 1,024.
func (b *budget) rangeFunc() function.Function {
	return function.New(&function.Spec{
		VarParam:     &function.Parameter{Name: "numbers", Type: cty.Number},
		Type:         function.StaticReturnType(cty.List(cty.Number)),
		RefineResult: refineNotNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := b.series(args)
			if err != nil {
				return cty.NilVal, err
			}
			return b.numbers(s)
		},
	})
}

// A series is the numbers that range gives.
type series struct {
	start, limit, step *big.Float
	size               int // how many there are
	// whole: they are first, first + by and so on, all of them exact.
	whole     bool
	first, by int64
}

func (b *budget) series(args []cty.Value) (s series, err error) {
	s.start, s.step = new(big.Float), big.NewFloat(1)
	switch len(args) {
	case 1:
		s.limit = args[0].AsBigFloat()
	case 2, 3:
		s.start, s.limit = args[0].AsBigFloat(), args[1].AsBigFloat()
		if len(args) == 3 {
			s.step = args[2].AsBigFloat()
		}
	default:
		return s, errors.New("range takes one to three numbers: the limit, or start and limit, or start, limit and step")
	}
	if len(args) < 3 && s.limit.Cmp(s.start) < 0 {
		s.step = big.NewFloat(-1)
	}
	if s.start.IsInf() || s.limit.IsInf() || s.step.IsInf() {
		return s, errors.New("a range must be finite")
	}
	span := new(big.Float).Sub(s.limit, s.start)
	if span.Sign() == 0 {
		return s, nil
	}
	if s.step.Sign() != span.Sign() {
		return s, fmt.Errorf("with a step of %s a range from %s never reaches %s", s.step.Text('f', -1), s.start.Text('f', -1), s.limit.Text('f', -1))
	}
	size, _ := new(big.Float).Quo(span, s.step).Float64()
	if size > float64(b.tasks) {
		return s, fmt.Errorf("a range may have at most %d elements, which is also the most tasks of a step; this one would have %.0f", b.tasks, math.Ceil(size))
	}
	s.size = int(math.Ceil(size))
	first, exact := s.start.Int64()
	by, exactBy := s.step.Int64()
	if exact == big.Exact && exactBy == big.Exact && s.start.IsInt() && s.step.IsInt() && math.Abs(float64(first))+math.Abs(float64(by))*size < 1<<53 {
		s.whole, s.first, s.by = true, first, by
	}
	return s, nil
}

// numbers makes a list of a series.
func (b *budget) numbers(s series) (cty.Value, error) {
	if s.size == 0 {
		return cty.ListValEmpty(cty.Number), nil
	}
	if err := b.charge(2*int64(s.size)+1, 0); err != nil {
		return cty.NilVal, err
	}
	vals := make([]cty.Value, 0, s.size+1)
	if s.whole {
		for i := range s.size {
			vals = append(vals, cty.NumberIntVal(s.first+int64(i)*s.by))
		}
		return cty.ListVal(vals), nil
	}
	for at := new(big.Float).SetPrec(512).Set(s.start); at.Cmp(s.limit)*s.step.Sign() < 0; {
		vals = append(vals, cty.NumberVal(at))
		at = new(big.Float).SetPrec(512).Add(at, s.step)
	}
	return cty.ListVal(vals), nil
}

// toList, toSet and toMap are linear where all elements have one type: see convertTo.
var (
	toList = conversion(cty.List)
	toSet  = conversion(cty.Set)
	toMap  = conversion(cty.Map)
)

func conversion(kind func(cty.Type) cty.Type) function.Function {
	slow := stdlib.MakeToFunc(kind(cty.DynamicPseudoType))
	param := slow.Params()[0]
	param.AllowUnknown, param.AllowMarked = true, true
	return function.New(&function.Spec{
		Params: []function.Parameter{param},
		Type:   function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := args[0]
			if !v.IsKnown() && v.Type().IsCollectionType() { // cty would forget the type of the elements
				if ty := kind(v.Type().ElementType()); convert.GetConversionUnsafe(v.Type(), ty) != nil {
					return cty.UnknownVal(ty), nil
				}
			}
			if r, err := convertTo(v, kind(cty.DynamicPseudoType)); err == nil && !r.Type().HasDynamicTypes() {
				return r, nil
			}
			return slow.Call(args)
		},
	})
}

// sameType reports whether all elements of v have one type.
func sameType(v cty.Value) bool {
	var first cty.Type
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if first == cty.NilType {
			first = e.Type()
		} else if !e.Type().Equals(first) {
			return false
		}
	}
	return true
}

// conversionCost is the square of the number of elements where they differ in type.
func (b *budget) conversionCost(args []cty.Value) (steps, bytes int64) {
	v := args[0]
	if !v.CanIterateElements() || v.Type().IsCollectionType() || sameType(v) {
		return 0, 0
	}
	return times(v.LengthInt(), v.LengthInt()), 0
}

// productCost is what setproduct makes; more than a step may have tasks it does not.
func (b *budget) productCost(args []cty.Value) (steps, bytes int64) {
	sizes := make([]int, 0, len(args)+1)
	for _, arg := range args {
		if !arg.CanIterateElements() {
			return 0, 0 // cty says what is wrong
		}
		sizes = append(sizes, arg.LengthInt())
	}
	n := times(sizes...)
	if n > int64(b.tasks) {
		return unitSteps + 1, 0
	}
	return n * int64(len(args)+1) * 4, 0
}

// distinctFunc is the list without its repetitions, in order, in linear time.
var distinctFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.DynamicPseudoType)}},
	Type: func(args []cty.Value) (cty.Type, error) {
		return args[0].Type(), nil
	},
	RefineResult: refineNotNull,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(ret), nil
		}
		seen := cty.NewValueSet(ret.ElementType())
		var vals []cty.Value
		for it := args[0].ElementIterator(); it.Next(); {
			if _, v := it.Element(); !seen.Has(v) {
				seen.Add(v)
				vals = append(vals, v)
			}
		}
		if len(vals) == 0 {
			return cty.ListValEmpty(ret.ElementType()), nil
		}
		return cty.ListVal(vals), nil
	},
})

// sumFunc adds numbers; of none it is 0, so that a gather of no tasks has a sum.
var sumFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: refineNotNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		total := new(big.Float).SetPrec(512)
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			if !v.IsKnown() {
				return cty.UnknownVal(cty.Number), nil
			}
			if v.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "the list has a null in it, which cannot be added; leave it out with [for x in ... : x if x != null]")
			}
			if f := v.AsBigFloat(); !f.IsInf() {
				total.Add(total, f)
			}
		}
		return cty.NumberVal(total), nil
	},
})

// boolFold makes alltrue (of all) and anytrue.
func boolFold(all bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: refineNotNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			known := true
			for it := args[0].ElementIterator(); it.Next(); {
				switch _, v := it.Element(); {
				case !v.IsKnown():
					known = false
				case v.IsNull() && all, !v.IsNull() && v.True() != all:
					return cty.BoolVal(!all), nil
				}
			}
			if !known {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(all), nil
		},
	})
}

// oneFunc is the one element of a list, set or tuple, or null if it has none.
var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch ty := args[0].Type(); {
		case ty.IsListType(), ty.IsSetType():
			return ty.ElementType(), nil
		case ty.IsTupleType() && ty.Length() == 1:
			return ty.TupleElementType(0), nil
		case ty.IsTupleType() && ty.Length() == 0:
			return cty.DynamicPseudoType, nil
		case ty.IsTupleType():
			return cty.DynamicPseudoType, function.NewArgErrorf(0, "must have one element or none, and has %d", ty.Length())
		default:
			return cty.DynamicPseudoType, function.NewArgErrorf(0, "must be a list, set or tuple, not a %s", ty.FriendlyName())
		}
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		switch n := args[0].LengthInt(); n {
		case 0:
			return cty.NullVal(ret), nil
		case 1:
			it := args[0].ElementIterator()
			it.Next()
			_, v := it.Element()
			return v, nil
		default:
			return cty.NilVal, function.NewArgErrorf(0, "must have one element or none, and has %d", n)
		}
	},
})
