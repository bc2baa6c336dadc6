package dsl

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"flow/engine"
)

// items are what the tasks of a step are made for: one of them for each task.
type items struct {
	keys []string // nil: the index as a decimal number
	n    int
	at   func(i int) cty.Value // what task i is made for
	// indices says that what a task is made for is its index.
	indices bool
}

// itemsOf returns the items for a list of values.
func itemsOf(keys []string, values []cty.Value) *items {
	return &items{keys: keys, n: len(values), at: func(i int) cty.Value { return values[i] }}
}

func (it *items) key(i int) string {
	if it.keys == nil {
		return strconv.Itoa(i)
	}
	return it.keys[i]
}

// eachValue is `each` of task i.
func (it *items) eachValue(i int) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"key":   cty.StringVal(it.key(i)),
		"value": it.at(i),
		"index": cty.NumberIntVal(int64(i)),
	})
}

// items evaluates for_each or matrix of a step, and each_key. All values must be known;
// while validating, errUnknown (in diags: none) and nil say that they are not.
func (t *task) items() *items {
	var it *items
	var rng hcl.Range
	if m := t.step.matrix; m != nil {
		it, rng = t.cells(m), m.rng
	} else {
		a := t.step.args.own("for_each")
		if it, rng = t.numbers(a), a.expr.Range(); it == nil && len(t.diags) == 0 {
			it = t.forEach(a)
		}
	}
	if it == nil || len(t.diags) > 0 {
		return nil
	}
	if it.n > t.ev.p.budget.tasks {
		t.errorf(rng, "The step would have %d tasks; the limit is %d.", it.n, t.ev.p.budget.tasks)
		return nil
	}
	if a := t.step.args.own("each_key"); a != nil {
		rng = a.expr.Range()
		if !t.eachKey(a, it) {
			return nil
		}
	}
	t.distinct(it, rng)
	if len(t.diags) > 0 {
		return nil
	}
	it.plainKeys()
	return it
}

// numbers are the items of a for_each that is nothing but a call of range, whose list need
// not be made; nil: it is something else.
func (t *task) numbers(a *arg) *items {
	call, ok := a.expr.(*hclsyntax.FunctionCallExpr)
	if !ok || call.Name != "range" || call.ExpandFinal || len(a.refs.lost) > 0 {
		return nil
	}
	args := make([]cty.Value, len(call.Args))
	for i, e := range call.Args {
		v, diags := t.ev.p.budget.value(e, t.ctx)
		if diags.HasErrors() || v.IsMarked() || !v.IsKnown() || v.IsNull() || v.Type() != cty.Number {
			return nil // to be told by evaluating the call
		}
		args[i] = v
	}
	s, err := t.ev.p.budget.series(args)
	if err != nil || !s.whole {
		return nil
	}
	return &items{n: s.size, indices: s.first == 0 && s.by == 1, at: func(i int) cty.Value { return cty.NumberIntVal(s.first + int64(i)*s.by) }}
}

// forEach evaluates for_each, with the keys that tasks have by default.
func (t *task) forEach(a *arg) *items {
	v, diags := t.ev.eval(a, t.ctx)
	rng := a.expr.Range()
	if diags.HasErrors() {
		if !t.lacks(&a.refs) {
			t.diags = append(t.diags, diags...)
		}
		return nil
	}
	if !v.IsMarked() && v.IsKnown() && v.IsNull() {
		if !t.lacks(&a.refs) {
			t.errorf(rng, "for_each is null. For no tasks at all, give an empty list.")
		}
		return nil
	}
	ty := v.Type()
	switch {
	case v.IsMarked():
		t.wrong("for_each", rng, errors.New("the value is sensitive, and the keys and values of tasks are stored and shown; use values that are no secret"))
		return nil
	case ty == cty.String:
		t.errorf(rng, "for_each is a list, set or map; this is a text. For the files that match a pattern write fileset(\"data/*.fq\"); for one task, [ ... ] around it.")
		return nil
	case ty == cty.Number:
		t.errorf(rng, "for_each is a list, set or map; this is a number. For that many tasks write range(n).")
		return nil
	case ty == cty.Bool:
		t.errorf(rng, "for_each is a list, set or map; this is true or false. To run the step or not, use when.")
		return nil
	case !v.IsKnown():
		t.wrong("for_each", rng, errUnknown)
		return nil
	}
	if ty.IsMapType() || ty.IsObjectType() {
		var keys []string
		var values []cty.Value
		for i := v.ElementIterator(); i.Next(); {
			k, e := i.Element()
			keys, values = append(keys, k.AsString()), append(values, e)
		}
		return t.visible(keys, values, rng)
	}
	values := elements(v)
	it := t.visible(nil, values, rng)
	if it != nil {
		it.keys = t.ev.defaultKeys(values)
	}
	return it
}

// visible returns items, and refuses those of which a part is sensitive.
func (t *task) visible(keys []string, values []cty.Value, rng hcl.Range) *items {
	for _, v := range values {
		if v.ContainsMarked() {
			t.wrong("for_each", rng, errors.New("a part of the value is sensitive, and the keys and values of tasks are stored and shown; use values that are no secret"))
			return nil
		}
	}
	return itemsOf(keys, values)
}

// defaultKeys returns the keys of the elements of a list: texts themselves, or the
// base names if there are paths among them, where all differ. nil: the index.
func (ev *evaluator) defaultKeys(values []cty.Value) []string {
	keys := make([]string, len(values))
	paths := false
	for i, v := range values {
		if v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
			return nil
		}
		keys[i] = v.AsString()
		paths = paths || strings.Contains(keys[i], "/")
	}
	seen := make(map[string]bool, len(keys))
	for i := range keys {
		if paths {
			keys[i] = path.Base(keys[i])
		}
		if seen[keys[i]] {
			return nil
		}
		seen[keys[i]] = true
	}
	return keys
}

// eachKey evaluates each_key for every item.
func (t *task) eachKey(a *arg, it *items) bool {
	keys := make([]string, it.n)
	for i := range keys {
		t.ctx.Variables["each"] = it.eachValue(i)
		v, diags := t.ev.eval(a, t.ctx)
		if diags.HasErrors() {
			t.diags = append(t.diags, diags...)
			return false
		}
		s, err := toText(v)
		switch {
		case errors.Is(err, errUnknown) && !t.final:
			return false
		case errors.Is(err, errSensitive):
			t.wrong("each_key", a.expr.Range(), errors.New("the value is sensitive, and the keys of tasks are stored and shown"))
			return false
		case err != nil:
			t.wrong(fmt.Sprintf("each_key of item %d", i), a.expr.Range(), err)
			return false
		case s == "":
			t.errorf(a.expr.Range(), "each_key of item %d is an empty text. Every task needs a name.", i)
			return false
		}
		keys[i] = s
	}
	it.keys = keys
	return true
}

// shown keeps each.value of the tasks, where it says more than their keys.
func (x *expansion) shown() {
	it := x.items
	says := func() bool {
		for i := range it.n {
			if s, err := toText(it.at(i)); err != nil || s != it.key(i) {
				return true
			}
		}
		return false
	}
	if x.s.elementOf != nil || it.indices && it.keys == nil || !says() {
		return
	}
	each := make([]json.RawMessage, it.n)
	for i := range each {
		v := it.at(i)
		raw, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			return // it is there to be looked at only
		}
		each[i] = raw
	}
	x.out.Each = each
}

// distinct reports two tasks with the same key.
func (t *task) distinct(it *items, rng hcl.Range) {
	if it.keys == nil {
		return
	}
	first := make(map[string]int, len(it.keys))
	for i, k := range it.keys {
		if other, twice := first[k]; twice {
			what := "Give each task its own with each_key."
			if t.step.args.own("each_key") != nil {
				what = "Make each_key different for every item."
			}
			t.diags = append(t.diags, errorf(rng, "Duplicate task key", "Items %d and %d (counted from 0) would both be the task %s. %s",
				other, i, engine.TaskName(engine.StepName(t.step.name), true, k), what))
			return
		}
		first[k] = i
	}
}

// plainKeys leaves out keys that are the index of their task.
func (it *items) plainKeys() {
	for i, k := range it.keys {
		if k != strconv.Itoa(i) {
			return
		}
	}
	it.keys = nil
}

// cells are the combinations of a matrix: all values of the first axis with all of the
// second and so on, the last one running fastest, without what exclude names, and then
// what include adds.
func (t *task) cells(m *matrixConfig) *items {
	axes := make([][]cty.Value, len(m.axes))
	known := true
	total := 1
	for i, a := range m.axes {
		list, ok := value(t, a, toElements)
		known = known && ok
		axes[i] = list
		total = min(total*len(list), 1<<40)
	}
	include, ok1 := t.partial(m.include)
	exclude, ok2 := t.partial(m.exclude)
	if !known || !ok1 || !ok2 || len(t.diags) > 0 {
		if t.final && len(t.diags) == 0 && t.absent == "" {
			t.errorf(m.rng, "An axis of the matrix is null. Give a list.")
		}
		return nil
	}
	if limit := t.ev.p.budget.tasks; total > limit {
		t.errorf(m.rng, "The matrix has %d combinations; the limit is %d.", total, limit)
		return nil
	}
	var keys []string
	var values []cty.Value
	cell := make([]cty.Value, len(axes))
	add := func() {
		attrs := make(map[string]cty.Value, len(axes))
		var words []string
		for i, a := range m.axes {
			attrs[a.name] = cell[i]
			if s, err := toText(cell[i]); err == nil {
				words = append(words, s)
			} else if cell[i].IsNull() {
				continue
			} else {
				words = append(words, strconv.Itoa(len(keys)))
			}
		}
		keys = append(keys, strings.Join(words, "-"))
		values = append(values, cty.ObjectVal(attrs))
	}
	for n := range total {
		rest := n
		for i := len(axes) - 1; i >= 0; i-- {
			cell[i] = axes[i][rest%len(axes[i])]
			rest /= len(axes[i])
		}
		if !m.excluded(cell, exclude) {
			add()
		}
	}
	for _, in := range include {
		for i, a := range m.axes {
			cell[i] = in[a.name]
			if cell[i] == cty.NilVal {
				cell[i] = cty.NullVal(cty.DynamicPseudoType)
			}
		}
		add()
	}
	return t.visible(keys, values, m.rng)
}

// partial evaluates include or exclude blocks.
func (t *task) partial(blocks []*blockConfig) ([]map[string]cty.Value, bool) {
	out := make([]map[string]cty.Value, len(blocks))
	for i, b := range blocks {
		out[i] = map[string]cty.Value{}
		for _, a := range b.args {
			v, ok := t.eval(a)
			if !ok {
				if len(t.diags) > 0 {
					return nil, false
				}
				continue
			}
			if !v.IsWhollyKnown() {
				t.wrong(a.name, a.expr.Range(), errUnknown)
				return nil, false
			}
			out[i][a.name] = v
		}
	}
	return out, true
}

// excluded reports whether the cell has every value that one of the exclude blocks names.
func (m *matrixConfig) excluded(cell []cty.Value, exclude []map[string]cty.Value) bool {
	for _, ex := range exclude {
		hit := len(ex) > 0
		for i, a := range m.axes {
			if want, named := ex[a.name]; named && !same(cell[i], want) {
				hit = false
			}
		}
		if hit {
			return true
		}
	}
	return false
}

// same reports whether two known values are equal; 1 and "1" are.
func same(a, b cty.Value) bool {
	if a.RawEquals(b) {
		return true
	}
	x, err1 := toText(a)
	y, err2 := toText(b)
	return err1 == nil && err2 == nil && x == y
}
