package dsl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"flow/engine"
)

// A runScope turns what is known of a run into values, for one expansion.
type runScope struct {
	ev    *evaluator
	scope engine.Scope
	base  *engine.TaskSpec // of every task; see Template
	views map[*stepConfig]*view
	items map[*stepConfig]*items
	paths map[string]bool // results that were given to expressions; nil: nobody asks
	diags hcl.Diagnostics // of json outputs that do not fit their type
}

// A view is a step as the run knows it.
type view struct {
	*engine.StepView
	last int // the task that was asked for last, and what is known of it
	seen *engine.TaskView
}

// task returns what is known of task i.
func (v *view) task(i int) *engine.TaskView {
	if v.seen == nil || v.last != i {
		tv := v.Task(i)
		v.last, v.seen = i, &tv
	}
	return v.seen
}

// view returns what is known of s; nil: it is not expanded yet.
func (r *runScope) view(s *stepConfig) *view {
	if v, ok := r.views[s]; ok {
		return v
	}
	var v *view
	if sv := r.scope.Step(engine.StepName(s.name)); sv != nil {
		v = &view{StepView: sv}
	}
	r.views[s] = v
	return v
}

// key returns the key of task i.
func (v *view) key(i int) string {
	it := items{keys: v.Keys}
	return it.key(i)
}

// absent reports whether a task of s will have no result: it has no spec, since its
// `when` is false or it lacks something itself. settled says that the values of s must
// be known, so that also a task that failed is absent.
func absent(s *stepConfig, tv *engine.TaskView, settled bool) bool {
	if settled && tv.Status.Ended() {
		return !tv.Status.OK()
	}
	for _, o := range s.outputs {
		if o.kind.Static() {
			return tv.Static == nil
		}
	}
	return tv.Status == engine.Skipped
}

// stepValue is step.<name> in a run.
func (r *runScope) stepValue(s *stepConfig) cty.Value {
	v := r.view(s)
	if v == nil {
		return cty.DynamicVal
	}
	if !s.fanOut() {
		var tv engine.TaskView
		if v.Size > 0 {
			tv = *v.task(0)
		}
		return cty.ObjectVal(map[string]cty.Value{"outputs": r.outputs(s, &tv, v, 0)})
	}
	all := map[string]cty.Value{"outputs": r.gather(s, v)}
	if s.usesTasks {
		all["each"] = r.tasks(s, v)
	}
	return cty.ObjectVal(all)
}

// gather is step.<name>.outputs of a step with fan-out: for each output the list of what
// the tasks have that are there, in their order.
func (r *runScope) gather(s *stepConfig, v *view) cty.Value {
	lists := make(map[string]cty.Value, len(s.outputs))
	for _, o := range s.outputs {
		lists[o.name] = r.gatherOne(s, o, v)
	}
	return cty.ObjectVal(lists)
}

func (r *runScope) gatherOne(s *stepConfig, o *stepOutput, v *view) cty.Value {
	settled := s.partial || !o.static()
	ty := o.valueType()
	list := make([]cty.Value, 0, v.Size)
	for i := range v.Size {
		tv := v.task(i)
		if settled && !tv.Status.Ended() {
			if ty.HasDynamicTypes() {
				return cty.DynamicVal
			}
			return cty.UnknownVal(cty.List(ty))
		}
		if absent(s, tv, settled) {
			continue
		}
		list = append(list, r.output(s, o, tv, v, i))
	}
	switch {
	case ty.HasDynamicTypes():
		return cty.TupleVal(list)
	case len(list) == 0:
		return cty.ListValEmpty(ty)
	}
	return cty.ListVal(list)
}

// tasks is step.<name>.each: an object for each task that is there, by key.
func (r *runScope) tasks(s *stepConfig, v *view) cty.Value {
	var it *items
	if s.usesEachItems {
		it = r.itemsOf(s)
	}
	all := make(map[string]cty.Value, v.Size)
	var first cty.Type
	equal := true
	for i := range v.Size {
		if absent(s, v.task(i), s.partial) {
			continue
		}
		task := r.task(s, v, i, it)
		if len(all) == 0 {
			first = task.Type()
		} else {
			equal = equal && task.Type().Equals(first)
		}
		all[v.key(i)] = task
	}
	switch {
	case len(all) == 0:
		return cty.EmptyObjectVal
	case equal:
		return cty.MapVal(all)
	}
	return cty.ObjectVal(all)
}

// task is one task of a step: its key, index, outputs and, if it holds the items of the
// step, what it is made for.
func (r *runScope) task(s *stepConfig, v *view, i int, it *items) cty.Value {
	attrs := map[string]cty.Value{
		"key":     cty.StringVal(v.key(i)),
		"index":   cty.NumberIntVal(int64(i)),
		"outputs": r.outputs(s, v.task(i), v, i),
		"value":   cty.DynamicVal,
	}
	if it != nil && i < it.n {
		attrs["value"] = it.at(i)
	}
	return cty.ObjectVal(attrs)
}

// outputs is what one task leaves.
func (r *runScope) outputs(s *stepConfig, tv *engine.TaskView, v *view, i int) cty.Value {
	attrs := make(map[string]cty.Value, len(s.outputs))
	for _, o := range s.outputs {
		attrs[o.name] = r.output(s, o, tv, v, i)
	}
	return cty.ObjectVal(attrs)
}

// output is one output of one task: null if the task is skipped or did not make it,
// unknown if that is not decided yet.
func (r *runScope) output(s *stepConfig, o *stepOutput, tv *engine.TaskView, v *view, i int) cty.Value {
	ty := o.valueType()
	raw, has := tv.Values[o.name]
	if has && bytes.Equal(bytes.TrimSpace(raw), []byte("null")) && o.kind != engine.OutputJSON {
		if o.kind == engine.OutputFiles { // an optional pattern that matched nothing
			return cty.ListValEmpty(cty.String)
		}
		return cty.NullVal(ty)
	}
	if o.kind.Static() {
		rel, ok := tv.Static[o.name]
		switch {
		case !ok:
			return cty.NullVal(ty)
		case o.optional && !tv.Status.Ended():
			return cty.UnknownVal(ty)
		case o.optional && !tv.Status.OK():
			return cty.NullVal(ty)
		}
		return r.result(tv.PathOf(o.name, rel))
	}
	switch {
	case !tv.Status.Ended():
		return cty.UnknownVal(ty)
	case !tv.Status.OK() || !has:
		return cty.NullVal(ty)
	}
	val, err := r.decode(o, tv, raw)
	if err != nil {
		name := engine.TaskName(engine.StepName(s.name), v.FanOut, v.key(i))
		r.diags = append(r.diags, errorf(o.rng, "Output does not fit its type", "Output %q of task %s: %s", o.name, name, sentence(err.Error())))
		return cty.DynamicVal
	}
	return val
}

// result is the path of a file that a task leaves.
func (r *runScope) result(p string) cty.Value {
	if r.paths != nil {
		r.paths[p] = true
	}
	return r.ev.pathText(p)
}

// decode reads the recorded value of a files, json or text output.
func (r *runScope) decode(o *stepOutput, tv *engine.TaskView, raw json.RawMessage) (cty.Value, error) {
	switch o.kind {
	case engine.OutputFiles:
		var rels []string
		if err := json.Unmarshal(raw, &rels); err != nil {
			return cty.NilVal, fmt.Errorf("the record is damaged: %w", err)
		}
		if len(rels) == 0 {
			return cty.ListValEmpty(cty.String), nil
		}
		list := make([]cty.Value, len(rels))
		for i, rel := range rels {
			list[i] = r.result(tv.PathOf(o.name, rel))
		}
		return cty.ListVal(list), nil
	case engine.OutputText:
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return cty.NilVal, fmt.Errorf("the record is damaged: %w", err)
		}
		return cty.StringVal(s), nil
	}
	return decodeJSON(o, raw)
}

// decodeJSON gives JSON that a task wrote the type that its output declares.
func decodeJSON(o *stepOutput, raw []byte) (cty.Value, error) {
	if o.defaults == nil && !o.typ.HasDynamicTypes() {
		if v, err := ctyjson.Unmarshal(raw, o.typ); err == nil {
			return v, nil
		}
	}
	ty, err := ctyjson.ImpliedType(raw)
	if err != nil {
		return cty.NilVal, err
	}
	v, err := ctyjson.Unmarshal(raw, ty)
	if err != nil {
		return cty.NilVal, err
	}
	if o.defaults != nil && !v.IsNull() {
		v = o.defaults.Apply(v)
	}
	v, err = convertTo(v, o.constraint)
	if err != nil {
		var path cty.PathError
		if errors.As(err, &path) && len(path.Path) > 0 {
			return cty.NilVal, fmt.Errorf("%s: %w", pathString(path.Path), err)
		}
		return cty.NilVal, err
	}
	return v, nil
}

// itemsOf returns what the tasks of s are made for, evaluated again: the scope does not
// hold it. nil: that cannot be said.
func (r *runScope) itemsOf(s *stepConfig) *items {
	if it, ok := r.items[s]; ok {
		return it
	}
	r.items[s] = nil
	v := r.view(s)
	if v == nil {
		return nil
	}
	var it *items
	if from := s.elementOf; from != nil {
		it = r.elements(from, true)
	} else {
		t := &task{ev: r.ev, step: s, spec: &engine.TaskSpec{}, final: true, skipped: r.skipped}
		var n nameSet
		for _, a := range s.fanOutArgs() {
			n.of(&a.refs)
		}
		t.ctx = r.ev.context(n)
		it = t.items()
		r.diags = append(r.diags, t.diags...)
	}
	if it != nil && it.n != v.Size {
		it = nil // was made from something else: the results it came from are new
	}
	r.items[s] = it
	return it
}

// fanOutArgs are the arguments that decide about the tasks of a step.
func (s *stepConfig) fanOutArgs() []*arg {
	var out []*arg
	for _, name := range []string{"for_each", "each_key"} {
		if a := s.args.own(name); a != nil {
			out = append(out, a)
		}
	}
	if m := s.matrix; m != nil {
		out = append(out, m.axes...)
		for _, b := range m.include {
			out = append(out, b.args...)
		}
		for _, b := range m.exclude {
			out = append(out, b.args...)
		}
	}
	return out
}

// elements are the items of a step with for_each = step.<from>.each: the tasks of from.
// values says that what those are made for is used.
func (r *runScope) elements(from *stepConfig, values bool) *items {
	v := r.view(from)
	if v == nil {
		return nil
	}
	var made *items
	if values {
		made = r.itemsOf(from)
	}
	return &items{keys: v.Keys, n: v.Size, at: func(i int) cty.Value { return r.task(from, v, i, made) }}
}

// skipped returns the name of the first task without fan-out that refs use and that has
// no result since it was skipped; "" if there is none.
func (r *runScope) skipped(refs *refs) string {
	find := func(steps []stepRef) string {
		for _, ref := range steps {
			if ref.step.fanOut() {
				continue
			}
			v := r.view(ref.step)
			if v != nil && v.Size > 0 && absent(ref.step, v.task(0), true) {
				return ref.step.name
			}
		}
		return ""
	}
	if name := find(refs.steps); name != "" {
		return name
	}
	for _, l := range refs.locals {
		steps, _ := l.reach()
		if name := find(steps); name != "" {
			return name
		}
	}
	return ""
}
