package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// decode reads the body of a request into one of the SDK's Input types. No body is an
// empty one. Members that the type does not have are passed over, as AWS does.
func decode(body []byte, into any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' {
		return refuse("The request body should be a JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return refuse("%s", whyNot(err))
	}
	return checkEnums(reflect.ValueOf(into).Elem(), "")
}

// whyNot words a mistake of a body.
func whyNot(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return "Invalid value in the request body: " + memberPath(kind.Field) + " should be " + kindName(kind.Type) + ", got " + kind.Value
	case errors.As(err, &syntax):
		return "The request body is not valid JSON: " + syntax.Error()
	default:
		return "The request body cannot be read: " + err.Error()
	}
}

// memberPath turns a path of fields into one of members.
func memberPath(fields string) string {
	parts := strings.Split(fields, ".")
	for i, p := range parts {
		if p != "" {
			parts[i] = memberName(p)
		}
	}
	return strings.Join(parts, ".")
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}

// Enumerations are checked here, by the values that the SDK knows; but for the action of
// evaluateOnExit, whose case does not matter (EvaluateOnExit).

var (
	enumValues  sync.Map // of reflect.Type to []string; nil: no enumeration
	enumsWithin sync.Map // of reflect.Type to bool
	retryAction = reflect.TypeFor[types.RetryAction]()
)

// newer are values of the service's model that the SDK does not know yet.
var newer = map[reflect.Type][]string{
	reflect.TypeFor[types.CRAllocationStrategy]():       {bestFitOrdered, spotPrioritized},
	reflect.TypeFor[types.CRUpdateAllocationStrategy](): {bestFitOrdered, spotPrioritized},
}

func checkEnums(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return checkEnums(v.Elem(), path)
	case reflect.String:
		return checkEnum(v, path)
	case reflect.Slice:
		for i := range v.Len() {
			if err := checkEnums(v.Index(i), path); err != nil {
				return err
			}
		}
	case reflect.Struct:
		t := v.Type()
		if !hasEnums(t) {
			return nil
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() || f.Name == "ResultMetadata" {
				continue
			}
			if err := checkEnums(v.Field(i), strings.TrimPrefix(path+"."+memberName(f.Name), ".")); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkEnum(v reflect.Value, path string) error {
	values := valuesOf(v.Type())
	s := v.String()
	if values == nil || s == "" || slices.Contains(values, s) {
		return nil
	}
	if v.Type() == retryAction && slices.Contains(values, strings.ToUpper(s)) {
		return nil
	}
	return refuse("%q is not a valid value of %s: it is one of %s", s, path, strings.Join(values, ", "))
}

// valuesOf returns the values of an enumeration of the SDK's, nil for any other type.
func valuesOf(t reflect.Type) []string {
	if known, ok := enumValues.Load(t); ok {
		return known.([]string)
	}
	var values []string
	if m := reflect.Zero(t).MethodByName("Values"); m.IsValid() {
		list := m.Call(nil)[0]
		for i := range list.Len() {
			values = append(values, list.Index(i).String())
		}
		values = append(values, newer[t]...)
	}
	enumValues.Store(t, values)
	return values
}

// hasEnums reports whether a value of type t may hold an enumeration.
func hasEnums(t reflect.Type) bool {
	if known, ok := enumsWithin.Load(t); ok {
		return known.(bool)
	}
	enumsWithin.Store(t, true) // of a type within itself
	has := false
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		has = hasEnums(t.Elem())
	case reflect.String:
		has = valuesOf(t) != nil
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && f.Name != "ResultMetadata" && hasEnums(f.Type) {
				has = true
			}
		}
	}
	enumsWithin.Store(t, has)
	return has
}
