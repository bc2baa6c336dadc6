// Package iac writes what a workflow wants of AWS as code for those who manage their
// infrastructure elsewhere: HCL for Terraform, and templates of CloudFormation.
//
// What is wanted comes as the inputs of the calls that create it, of whatever client. They
// are read by reflection, so that a member that a newer client has is not forgotten: it is
// written, or a [Note] says that it cannot be.
package iac

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"flow/executor/batch/infra"
)

// A Stack is all that is written in one file.
type Stack struct {
	Workflow, Region string
	Resources        []infra.Resource
	// ARNs are those of what is there already, by kind and name, with the revision of a
	// job definition. They are needed for Terraform to import it.
	ARNs map[Key]string
}

// A Key says which resource is meant.
type Key struct {
	Kind infra.Kind
	Name string
}

// kindProfile is the kind of an instance profile, which comes with its role.
const kindProfile infra.Kind = "instance_profile"

// find returns the resource of that kind that a text names, as a name or as an ARN; nil: it
// is not one of the stack's. The resource of an instance profile is its role.
func (s *Stack) find(kind infra.Kind, text string) *infra.Resource {
	of := kind
	if kind == kindProfile {
		of = infra.KindRole
	}
	name := text
	if strings.HasPrefix(text, "arn:") {
		name = text[strings.LastIndexByte(text, '/')+1:]
	}
	for i := range s.Resources {
		r := &s.Resources[i]
		if r.Kind != of || r.Name != name {
			continue
		}
		if role, ok := r.Input.(*infra.Role); ok && kind == kindProfile && !role.Profile {
			return nil
		}
		return r
	}
	return nil
}

// A Note is something that could not be written.
type Note struct {
	Kind   infra.Kind
	Name   string // of the resource
	Member string // as in AWS's API: "ComputeResources.ScalingPolicy"; "": all of it
	Why    string
}

func (n Note) String() string {
	if n.Member == "" {
		return fmt.Sprintf("%s %s: %s", n.Kind, n.Name, n.Why)
	}
	return fmt.Sprintf("%s %s: %s: %s", n.Kind, n.Name, n.Member, n.Why)
}

// An object is a structure: its members in the order of the API, those that are not given
// left out.
type object []member

type member struct {
	name  string // as in the client: "ComputeResources"
	value any    // string, int64, float64, bool, []any, object, words
}

// words are a map of the user's own: its keys are no names of members.
type words map[string]string

// get returns a member, or nil.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// read returns what a resource is created with, and how an environment is updated.
func read(r *infra.Resource) (object, error) {
	v, err := valueOf(reflect.ValueOf(r.Input))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Kind, r.Name, err)
	}
	o, ok := v.(object)
	if !ok {
		return nil, fmt.Errorf("%s %s: a %T says nothing", r.Kind, r.Name, r.Input)
	}
	if r.Update == nil {
		return o, nil
	}
	update, err := valueOf(reflect.ValueOf(r.Update))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Kind, r.Name, err)
	}
	return append(o, member{"UpdatePolicy", update}), nil
}

// valueOf returns what is given in v; nil: nothing.
func valueOf(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		return pointed(v.Elem())
	case reflect.String: // an enumeration, or an element of a list
		if v.Len() == 0 {
			return nil, nil
		}
		return v.String(), nil
	case reflect.Slice:
		return list(v)
	case reflect.Map:
		return wordsOf(v)
	case reflect.Struct:
		return structure(v)
	case reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		if v.IsZero() {
			return nil, nil
		}
		return pointed(v)
	}
	return nil, fmt.Errorf("a %s cannot be written", v.Type())
}

// pointed returns a value that is given though it may be zero.
func pointed(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Float64:
		return v.Float(), nil
	case reflect.Float32: // as it is written, and not as it is in twice the bits
		return json.Number(fmt.Sprint(v.Interface())).Float64()
	case reflect.Struct:
		o, err := structure(v)
		if o == nil && err == nil {
			return object{}, nil
		}
		return o, err
	}
	return valueOf(v)
}

func list(v reflect.Value) (any, error) {
	var out []any
	for i := range v.Len() {
		e, err := pointed(v.Index(i))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if out == nil {
		return nil, nil
	}
	return out, nil
}

func wordsOf(v reflect.Value) (any, error) {
	if v.Len() == 0 {
		return nil, nil
	}
	m, ok := v.Interface().(map[string]string)
	if !ok {
		return nil, fmt.Errorf("a %s cannot be written", v.Type())
	}
	return words(m), nil
}

func structure(v reflect.Value) (any, error) {
	var out object
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		e, err := valueOf(v.Field(i))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if e != nil {
			out = append(out, member{f.Name, e})
		}
	}
	if out == nil {
		return nil, nil
	}
	return out, nil
}

// sorted returns the keys in order.
func (w words) sorted() []string { return slices.Sorted(maps.Keys(w)) }

// lower returns a member's name as it is in JSON: its first letter is a small one.
func lower(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// identifiers gives things names in the code that nothing else has.
type identifiers map[string]bool

// of returns such a name.
func (i identifiers) of(base string) string {
	name := base
	for n := 2; i[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	i[name] = true
	return name
}
