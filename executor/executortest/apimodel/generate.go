package apimodel

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// A Generator makes requests at random that are nearly as the model says.
type Generator struct {
	Model *Model
	Rand  *rand.Rand
	Words map[string][]string // likely values of members, by their names
	Often map[string]bool     // names of members that are mostly there, though not required
	Never map[string]bool     // and of those that are never there
	Wild  float64             // how many of all values are not as the model says; from 0 to 1

	optional float64 // how many of the other members are there
}

// A Request is one of an operation of a service with the protocol rest-json.
type Request struct {
	Operation string
	Method    string
	Path      string // escaped, with the query
	Body      []byte
}

// Next returns a request of one of the operations of a service, by its serviceId.
func (g *Generator) Next(serviceID string) Request {
	for _, s := range g.Model.services {
		if s.Metadata.ServiceID == serviceID {
			names := slices.Sorted(maps.Keys(s.Operations))
			return g.request(s, s.Operations[names[g.Rand.IntN(len(names))]])
		}
	}
	panic("apimodel: no service " + serviceID) // a mistake of the test
}

func (g *Generator) request(s *service, op *operation) Request {
	r := Request{Operation: op.Name, Method: op.HTTP.Method, Path: op.HTTP.URI}
	if op.Input == nil {
		return r
	}
	sh := s.Shapes[op.Input.Shape]
	g.optional = [...]float64{0, 0.05, 0.2}[g.Rand.IntN(3)]
	v, ok := g.structure(s, sh, 0).(map[string]any)
	if !ok {
		v = map[string]any{}
	}
	query := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(sh.Members)) {
		m := sh.Members[name]
		switch m.Location {
		case "uri":
			r.Path = strings.ReplaceAll(r.Path, "{"+m.Name+"}", url.PathEscape(fmt.Sprint(v[name])))
			delete(v, name)
		case "querystring":
			if list, ok := v[name].([]any); ok {
				for _, e := range list {
					query.Add(m.Name, fmt.Sprint(e))
				}
			}
			delete(v, name)
		}
	}
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	if r.Method == "POST" {
		r.Body, _ = json.Marshal(v) // of maps, lists and plain values
	}
	return r
}

// chance is true so often.
func (g *Generator) chance(p float64) bool { return g.Rand.Float64() < p }

const maxDepth = 8 // shapes may be recursive

// value makes one of a member with this name.
func (g *Generator) value(s *service, name string, m *member, depth int) any {
	sh := s.Shapes[m.Shape]
	if g.chance(g.Wild) {
		return g.wild()
	}
	switch sh.Type {
	case "structure":
		return g.structure(s, sh, depth+1)
	case "list":
		list := make([]any, g.Rand.IntN(4))
		for i := range list {
			list[i] = g.value(s, name, sh.Member, depth+1)
		}
		return list
	case "map":
		all := map[string]any{}
		for range g.Rand.IntN(4) {
			key, _ := g.value(s, "key", sh.Key, depth+1).(string)
			all[key] = g.value(s, "value", sh.Value, depth+1)
		}
		return all
	case "integer", "long", "timestamp":
		return [...]int64{0, 1, 1, 1, 2, 5, 60, 100, 600, 1000, -1, 10000, 1 << 31, 1 << 40}[g.Rand.IntN(14)]
	case "float", "double":
		return [...]float64{0, 0.1, 1, 1.5, 1000, -1}[g.Rand.IntN(6)]
	case "boolean":
		return g.chance(0.5)
	default:
		return g.text(name, sh)
	}
}

func (g *Generator) structure(s *service, sh *shape, depth int) any {
	v := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(sh.Members)) {
		p := g.optional
		switch {
		case slices.Contains(sh.Required, name):
			p = 1 - g.Wild
		case depth > maxDepth, g.Never[name]:
			p = 0
		case g.Often[name]:
			p = 0.8
		}
		if g.chance(p) {
			m := sh.Members[name]
			v[name] = g.value(s, name, &m, depth)
		}
	}
	return v
}

func (g *Generator) text(name string, sh *shape) string {
	switch words := g.Words[name]; {
	case len(sh.Enum) > 0:
		return sh.Enum[g.Rand.IntN(len(sh.Enum))]
	case len(words) > 0:
		return words[g.Rand.IntN(len(words))]
	}
	return [...]string{"a", "b", "c-d_e", "1", "256", "*", "a*", "", "x y", "é", strings.Repeat("n", 200)}[g.Rand.IntN(11)]
}

// wild makes a value of any type.
func (g *Generator) wild() any {
	return [...]any{nil, true, "", "0", -1, 1.5, 1e30, []any{}, map[string]any{}, []any{nil}, strings.Repeat("w", 5000)}[g.Rand.IntN(11)]
}
