package endpoint

import (
	"reflect"
	"sync"
)

// The SDK has a type for what is asked for and another for what is told, with the same
// members: ContainerProperties and ContainerDetail, for example.

type typePair struct{ to, from reflect.Type }

type indexPair struct{ to, from int }

var copies sync.Map // of typePair to []indexPair

// copyMembers copies the members that the structures have in common.
func copyMembers(to, from any) {
	t, f := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	key := typePair{t.Type(), f.Type()}
	known, ok := copies.Load(key)
	if !ok {
		known, _ = copies.LoadOrStore(key, commonMembers(key))
	}
	for _, p := range known.([]indexPair) {
		t.Field(p.to).Set(f.Field(p.from))
	}
}

func commonMembers(p typePair) []indexPair {
	var out []indexPair
	for i := range p.to.NumField() {
		field := p.to.Field(i)
		if other, ok := p.from.FieldByName(field.Name); ok && field.IsExported() && other.Type == field.Type {
			out = append(out, indexPair{i, other.Index[0]})
		}
	}
	return out
}
