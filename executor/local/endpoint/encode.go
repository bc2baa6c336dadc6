package endpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// Answers are encoded from the SDK's types as AWS writes them: members begin with a
// lower-case letter, and what is nil or an empty string is left out. An empty list or
// map that is not nil is written.

// A plan is how the values of a type are encoded.
type plan func(b []byte, v reflect.Value) []byte

// A member is one member of a structure.
type member struct {
	key   []byte // with its quotes and colon
	index []int
	plan  plan
}

var plans sync.Map // of reflect.Type to plan

// encode returns v, a structure of the SDK's or a pointer to one, as JSON.
func encode(v any) []byte {
	value := reflect.ValueOf(v)
	for value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	return planOf(value.Type())(make([]byte, 0, 512), value)
}

func planOf(t reflect.Type) plan {
	if p, ok := plans.Load(t); ok {
		return p.(plan)
	}
	p := newPlan(t)
	plans.Store(t, p)
	return p
}

func newPlan(t reflect.Type) plan {
	switch t.Kind() {
	case reflect.Struct:
		return structPlan(t)
	case reflect.Slice:
		return slicePlan(t)
	case reflect.Map:
		return mapPlan(t)
	case reflect.Pointer:
		return func(b []byte, v reflect.Value) []byte { return planOf(t.Elem())(b, v.Elem()) }
	case reflect.String:
		return func(b []byte, v reflect.Value) []byte { return appendText(b, v.String()) }
	case reflect.Bool:
		return func(b []byte, v reflect.Value) []byte { return strconv.AppendBool(b, v.Bool()) }
	case reflect.Int, reflect.Int32, reflect.Int64:
		return func(b []byte, v reflect.Value) []byte { return strconv.AppendInt(b, v.Int(), 10) }
	case reflect.Float32, reflect.Float64:
		return func(b []byte, v reflect.Value) []byte { return appendFloat(b, v.Float(), t.Bits()) }
	default:
		panic(fmt.Sprintf("endpoint: %v cannot be encoded", t)) // no type of the service's model
	}
}

func structPlan(t reflect.Type) plan {
	var members []member
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous || f.Name == "ResultMetadata" {
			continue
		}
		key := strconv.AppendQuote(nil, memberName(f.Name))
		members = append(members, member{append(key, ':'), f.Index, lazyPlan(f.Type)})
	}
	return func(b []byte, v reflect.Value) []byte {
		b = append(b, '{')
		for i := range members {
			m := &members[i]
			f, err := v.FieldByIndexErr(m.index)
			if err != nil || absent(f) {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = m.plan(append(b, m.key...), f)
		}
		return append(b, '}')
	}
}

// lazyPlan looks the plan of t up when it is first needed: types may be recursive.
func lazyPlan(t reflect.Type) plan {
	return func(b []byte, v reflect.Value) []byte { return planOf(t)(b, v) }
}

// memberName returns the name of a member in JSON.
func memberName(field string) string {
	return string(field[0]|0x20) + field[1:]
}

// absent reports whether a member is left out.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	default:
		return false
	}
}

func slicePlan(t reflect.Type) plan {
	of := lazyPlan(t.Elem())
	return func(b []byte, v reflect.Value) []byte {
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = of(b, v.Index(i))
		}
		return append(b, ']')
	}
}

func mapPlan(t reflect.Type) plan {
	of := lazyPlan(t.Elem())
	return func(b []byte, v reflect.Value) []byte {
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return bytes.Compare([]byte(x.String()), []byte(y.String())) })
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, k.String()), ':')
			b = of(b, v.MapIndex(k))
		}
		return append(b, '}')
	}
}

// appendText appends s as a JSON string; < > & stay as they are.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string, to memory
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// appendFloat appends a number of so many bits; JSON has no infinities.
func appendFloat(b []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, '0')
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}
