package apimodel

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value checks a JSON value against a shape.
func (c checker) value(at, name string, v any) {
	sh := c.Shapes[name]
	if sh == nil {
		c.report(at, "the model has no shape %s", name)
		return
	}
	if v == nil {
		if c.where == "response" {
			c.report(at, "null: what is absent is left out")
		}
		return
	}
	ok := true
	switch sh.Type {
	case "structure":
		ok = c.structure(at, name, sh, v)
	case "list":
		ok = c.list(at, sh, v)
	case "map":
		ok = c.mapping(at, name, sh, v)
	case "string":
		ok = c.text(at, name, sh, v)
	case "integer", "long":
		ok = c.integer(at, sh, v)
	case "float", "double":
		ok = c.number(at, sh, v)
	case "timestamp":
		_, ok = v.(json.Number)
	case "boolean":
		_, ok = v.(bool)
	case "blob":
		var text string
		if text, ok = v.(string); ok {
			_, err := base64.StdEncoding.DecodeString(text)
			ok = err == nil
		}
	default:
		c.report(at, "the model has the unknown type %s", sh.Type)
	}
	if !ok {
		c.report(at, "%s is no %s", show(v), sh.Type)
	}
}

// show returns a value as JSON, cut short.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%.60s", text)
}

func (c checker) structure(at, name string, sh *shape, v any) bool {
	object, ok := v.(map[string]any)
	if !ok {
		return false
	}
	for _, r := range sh.Required {
		if object[r] == nil {
			c.report(at+"."+r, "required, and not there")
			(*c.out)[len(*c.out)-1].Warning = absentOnAWS[name+"."+r]
		}
	}
	for key, v := range object {
		m, ok := sh.Members[key]
		if !ok {
			c.report(at+"."+key, "unknown member of %s", name)
			continue
		}
		c.value(at+"."+key, m.Shape, v)
	}
	return true
}

func (c checker) list(at string, sh *shape, v any) bool {
	list, ok := v.([]any)
	if !ok {
		return false
	}
	c.size(at, "length", sh, float64(len(list)))
	for i, v := range list {
		c.value(at+"["+strconv.Itoa(i)+"]", sh.Member.Shape, v)
	}
	return true
}

func (c checker) mapping(at, name string, sh *shape, v any) bool {
	object, ok := v.(map[string]any)
	if !ok {
		return false
	}
	if len(object) > 0 || !emptyIsAbsent[name] {
		c.size(at, "number of entries", sh, float64(len(object)))
	}
	for key, v := range object {
		c.value(at+"{"+key+"}", sh.Key.Shape, key)
		c.value(at+"{"+key+"}", sh.Value.Shape, v)
	}
	return true
}

func (c checker) text(at, name string, sh *shape, v any) bool {
	text, ok := v.(string)
	if !ok {
		return false
	}
	same := func(e string) bool { return e == text || anyCase[name] && strings.EqualFold(e, text) }
	if len(sh.Enum) > 0 && !slices.ContainsFunc(sh.Enum, same) {
		c.report(at, "%q is none of %s", text, strings.Join(sh.Enum, " "))
	}
	c.size(at, "length", sh, float64(utf8.RuneCountInString(text)))
	if c.where == "request" && sh.pattern != nil && !sh.pattern.MatchString(text) {
		c.report(at, "%q does not match %s", text, sh.Pattern)
	}
	return true
}

// integer accepts no fraction and no exponent: 1.0 is none to the decoders of the SDKs.
func (c checker) integer(at string, sh *shape, v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	bits := 64
	if sh.Type == "integer" {
		bits = 32
	}
	i, err := strconv.ParseInt(n.String(), 10, bits)
	if err != nil {
		return false
	}
	c.size(at, "value", sh, float64(i))
	return true
}

func (c checker) number(at string, sh *shape, v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	f, err := n.Float64()
	if err != nil {
		return false
	}
	c.size(at, "value", sh, f)
	return true
}

// size checks a length or a value of a request that was accepted: the limits of the
// model are those of what a service takes.
func (c checker) size(at, what string, sh *shape, n float64) {
	if c.where != "request" {
		return
	}
	if sh.Min != nil && n < *sh.Min {
		c.report(at, "%s %v is below %v", what, n, *sh.Min)
	}
	if sh.Max != nil && n > *sh.Max {
		c.report(at, "%s %v is above %v", what, n, *sh.Max)
	}
}
