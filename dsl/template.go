package dsl

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"flow/engine"
)

// A RunContext is what is known of a run before it begins.
type RunContext struct {
	ID   engine.RunID
	Time time.Time // when it was created
	// WorkDir is where task files live instead of where the workflow says: an absolute
	// path or a URI. "": where the workflow says.
	WorkDir string
	// Defaults are those of the site.
	Defaults Defaults
	// PublishTo is the URI below which is published what has a relative path. "": the workflow's
	// directory.
	PublishTo string
}

// A Template is a program with the values of its variables. It implements
// [engine.Template], and is safe for concurrent use.
type Template struct {
	p      *Program
	wf     *engine.Workflow
	vars   cty.Value
	stored map[string]string
	base   engine.TaskSpec // what every task has unless the workflow says otherwise

	run   engine.RunID
	at    time.Time
	fixed map[*localConfig]cty.Value // of this run: locals that use no step
	// originals are paths as they are on disk, by what cty made of them; see evaluator.
	originals map[string]string
	totals    map[string]int64 // see evaluator
	publishTo string           // see RunContext
}

// Bind gives a program the values of its variables, and checks everything that these
// decide. The template is nil if there are errors.
func (p *Program) Bind(in VarInput, run RunContext) (*Template, hcl.Diagnostics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	vals, diags := p.values(in)
	if diags.HasErrors() {
		diags = improve(diags, p.Files)
		return nil, diags
	}
	ev := p.unknowns(vals)
	ev.publishTo = run.PublishTo
	if run.ID != "" {
		ev.run = p.runValue(run.ID, run.Time)
	}
	b, checkDiags := p.check(ev)
	for _, d := range checkDiags { // warnings were given by Load
		if d.Severity == hcl.DiagError {
			diags = append(diags, d)
		}
	}
	diags = improve(diags, p.Files)
	sortDiagnostics(diags)
	if diags.HasErrors() {
		return nil, diags
	}
	t := &Template{p: p, vars: ev.vars, stored: map[string]string{}, originals: map[string]string{}, publishTo: run.PublishTo}
	for _, v := range p.Variables {
		if v.Sensitive {
			continue
		}
		raw, err := v.encode(vals[v.Name])
		if err != nil {
			diags = append(diags, errorf(v.Range, "Invalid value for variable", "The value cannot be stored: %s.", err))
			continue
		}
		t.stored[v.Name] = string(raw)
	}
	t.wf = p.bound(b, run)
	t.totals = totalsOf(t.wf.Infra)
	t.base = engine.TaskSpec{Image: run.Defaults.Image, Queue: run.Defaults.Queue, Tags: t.wf.Tags}
	return t, diags
}

// bound returns the workflow with what variables decide filled in.
func (p *Program) bound(b *bound, run RunContext) *engine.Workflow {
	wf := *p.Workflow
	wf.Description, wf.MaxParallel, wf.Timeout = b.wf.Description, b.wf.MaxParallel, b.wf.Timeout
	wf.Executor, wf.OnLost = b.wf.Executor, b.wf.OnLost
	wf.Budget, wf.Expect, wf.Infra, wf.Pools, wf.Notices = b.wf.Budget, b.wf.Expect, b.wf.Infra, b.wf.Pools, b.wf.Notices
	if wf.Tags = b.wf.Tags; len(run.Defaults.Tags) > 0 {
		wf.Tags = maps.Clone(run.Defaults.Tags)
		maps.Copy(wf.Tags, b.wf.Tags)
	}
	if b.wf.WorkDir != "" {
		wf.WorkDir = b.wf.WorkDir
	}
	if run.WorkDir != "" {
		wf.WorkDir = run.WorkDir
	}
	if b.wf.OnFailure != "" {
		wf.OnFailure = b.wf.OnFailure
	}
	wf.Steps = make([]*engine.Step, len(p.steps))
	for i, s := range p.steps {
		step := *p.Workflow.Steps[i]
		sh := b.shapes[s]
		step.Sequential, step.MaxParallel, step.Tolerate, step.Description = sh.sequential, sh.maxParallel, sh.tolerate, sh.description
		wf.Steps[i] = &step
	}
	return &wf
}

func (p *Program) runValue(id engine.RunID, at time.Time) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"id":       cty.StringVal(string(id)),
		"time":     cty.StringVal(timeText(at)),
		"workflow": cty.StringVal(p.name()),
	})
}

// Workflow returns the workflow with everything that variables decide. It must not be
// changed.
func (t *Template) Workflow() *engine.Workflow { return t.wf }

// StoredVariables returns the values of all variables but sensitive ones, as JSON, to be
// given to a later Bind as VarInput.Stored.
func (t *Template) StoredVariables() map[string]string { return t.stored }

// SensitiveValue returns the value of a sensitive variable as text, for a task that asks
// for it as a secret: a string as it is, anything else as JSON. It is not ok if there is
// no such variable, it is not sensitive, or it is null.
func (t *Template) SensitiveValue(name string) (value string, ok bool) {
	v := t.p.variables[name]
	if v == nil || !v.Sensitive {
		return "", false
	}
	val, _ := t.vars.GetAttr(name).UnmarkDeep()
	if val.IsNull() {
		return "", false
	}
	if text, err := toText(val); err == nil {
		return text, true
	}
	raw, err := v.encode(val)
	return string(raw), err == nil
}

// scope begins an evaluation in what is known of a run.
func (t *Template) scope(s engine.Scope) *runScope {
	if id, at := s.RunID(), s.RunTime(); t.fixed == nil || id != t.run || !at.Equal(t.at) {
		t.run, t.at = id, at
		t.fixed = make(map[*localConfig]cty.Value)
	}
	t.p.budget.reset()
	ev := &evaluator{
		p:         t.p,
		functions: t.p.functions,
		vars:      t.vars,
		run:       t.p.runValue(t.run, t.at),
		path:      t.p.pathValue(),
		locals:    map[*localConfig]cty.Value{},
		fixed:     t.fixed,
		steps:     map[*stepConfig]cty.Value{},
		originals: t.originals,
		totals:    t.totals,
		publishTo: t.publishTo,
	}
	r := &runScope{ev: ev, scope: s, base: &t.base, views: map[*stepConfig]*view{}, items: map[*stepConfig]*items{}}
	ev.stepValue, ev.skipped = r.stepValue, r.skipped
	return r
}

// Expand implements [engine.Template]. The error is an [hcl.Diagnostics].
func (t *Template) Expand(name engine.StepName, scope engine.Scope) (*engine.Expansion, error) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	s := t.p.stepIndex[string(name)]
	if s == nil {
		return nil, fmt.Errorf("step %q: %w", name, engine.ErrNotFound)
	}
	r := t.scope(scope)
	exp, diags := r.expand(s)
	if diags.HasErrors() {
		return nil, improve(diags, t.p.Files)
	}
	return exp, nil
}

// expand makes the tasks of a step.
func (r *runScope) expand(s *stepConfig) (*engine.Expansion, hcl.Diagnostics) {
	x := &expansion{r: r, s: s, out: &engine.Expansion{}}
	t := &task{ev: r.ev, step: s, spec: &engine.TaskSpec{}, final: true, skipped: r.skipped, kinds: map[string]string{}}
	t.ctx = r.ev.context(s.names)
	x.t = t
	if len(r.ev.diags)+len(r.diags) > 0 { // of locals and outputs
		return nil, append(r.ev.diags, r.diags...)
	}
	n := 1
	if s.fanOut() {
		if s.elementOf != nil {
			x.items = r.elements(s.elementOf, s.valueOfEach || s.usesEachItems)
		} else {
			x.items = t.items()
		}
		if len(t.diags)+len(r.diags) > 0 {
			return nil, append(t.diags, r.diags...)
		}
		if x.items == nil { // for_each is null, since what it is made from was skipped
			if t.absent == "" {
				return nil, hcl.Diagnostics{errorf(s.rng, "Cannot evaluate", "The tasks of step %q cannot be told yet.", s.name)}
			}
			return x.out, nil
		}
		n = x.items.n
		x.out.Keys = x.items.keys
		x.shown()
	}
	x.out.Specs = make([]*engine.TaskSpec, n)
	for i := range n {
		if x.alike() {
			x.out.Specs[i] = x.base
			continue
		}
		x.task(i)
		if len(t.diags)+len(r.diags) > 0 {
			return nil, append(t.inTask(i, x.items), r.diags...)
		}
	}
	if diags := x.clashes(); diags.HasErrors() {
		return nil, diags
	}
	return x.out, nil
}

// An expansion makes the tasks of one step: first what all of them share, once, then of
// each what uses `each`.
type expansion struct {
	r     *runScope
	s     *stepConfig
	t     *task
	items *items // nil: one task
	out   *engine.Expansion

	base *engine.TaskSpec // what does not use each; nil: not made yet
	lack string           // the task whose missing result makes every task impossible
	when *bool            // value of `when`, if it is the same for all
}

// alike reports whether every further task is what all of them share.
func (x *expansion) alike() bool {
	return x.base != nil && x.lack == "" && !x.s.use.each && x.s.elementOf == nil && (x.when == nil || *x.when)
}

// task makes task i.
func (x *expansion) task(i int) {
	t := x.t
	t.absent = ""
	if x.items != nil {
		if i == 0 || x.s.use.each {
			t.ctx.Variables["each"] = x.items.eachValue(i)
		}
		if name := x.upstream(i); name != "" {
			x.skip(i, name)
			return
		}
	}
	switch runs, name := x.runs(); {
	case len(t.diags) > 0:
		return
	case name != "":
		x.skip(i, name)
		return
	case !runs:
		x.skip(i, engine.ReasonWhen)
		return
	}
	if x.base == nil {
		x.makeBase()
	}
	spec := x.base
	if x.lack == "" && x.s.usesEach && len(t.diags) == 0 {
		c := *x.base
		spec = &c
		t.spec = spec
		x.own()
	}
	switch {
	case len(t.diags) > 0:
	case x.lack != "":
		x.skip(i, x.lack)
	case t.absent != "":
		x.skip(i, t.absent)
	default:
		x.out.Specs[i] = spec
	}
}

func (x *expansion) skip(i int, why string) {
	if x.out.Absent == nil {
		x.out.Absent = map[int]string{}
	}
	x.out.Absent[i] = why
}

// upstream returns the task that task i is made for, if it has no result.
func (x *expansion) upstream(i int) string {
	from := x.s.elementOf
	if from == nil {
		return ""
	}
	v := x.r.view(from)
	settled := false
	for _, d := range x.s.use.steps {
		settled = settled || d.step == from && d.need == engine.NeedValues
	}
	if !absent(from, v.task(i), settled) {
		return ""
	}
	return engine.TaskName(engine.StepName(from.name), true, v.key(i))
}

// runs evaluates `when`: whether the task runs, or which task is missing to say so.
func (x *expansion) runs() (bool, string) {
	if x.when != nil {
		return *x.when, ""
	}
	a := x.s.args.get("when")
	if a == nil {
		return true, ""
	}
	t := x.t
	had := len(t.diags)
	on, ok := value(t, a, toTruth)
	switch {
	case t.absent != "":
		return false, t.absent
	case len(t.diags) > had:
		return false, ""
	case !ok:
		t.errorf(a.expr.Range(), "when is null; it must be true or false.")
		return false, ""
	}
	if !a.refs.each {
		x.when = &on
	}
	return on, ""
}

// makeBase makes what all tasks share.
func (x *expansion) makeBase() {
	t := x.t
	base := *x.r.base
	x.base = &base
	t.spec = x.base
	t.render(func(a *arg) bool { return !a.refs.each })
	parts := x.s.eachIn
	if !parts.retry {
		t.setRetry()
	}
	if !parts.resources {
		t.setResources()
	}
	if !parts.container {
		t.setContainer()
	}
	t.outputVariables()
	if !parts.outputs {
		t.setOutputs()
	}
	t.kinds = nil // names that use each were not seen; the others need no second look
	x.lack = t.absent
	t.absent = ""
}

// own makes what a task has of its own.
func (x *expansion) own() {
	t := x.t
	t.render(func(a *arg) bool { return a.refs.each })
	parts := x.s.eachIn
	if parts.retry {
		t.setRetry()
	}
	if parts.resources {
		t.setResources()
	}
	if parts.container {
		t.setContainer()
	}
	if parts.outputs {
		t.setOutputs()
	}
}

// eachParts says which blocks of a step use each.
type eachParts struct{ retry, resources, container, outputs bool }

// inTask returns the mistakes with the task they came up in.
func (t *task) inTask(i int, it *items) hcl.Diagnostics {
	if it == nil {
		return t.diags
	}
	name := engine.TaskName(engine.StepName(t.step.name), true, it.key(i))
	out := make(hcl.Diagnostics, len(t.diags))
	for k, d := range t.diags {
		c := *d
		c.Detail = fmt.Sprintf("%s (In task %s.)", c.Detail, name)
		out[k] = &c
	}
	return out
}

// Results implements [engine.Template]. The error is an [hcl.Diagnostics].
func (t *Template) Results(scope engine.Scope) ([]engine.Result, error) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	r := t.scope(scope)
	r.paths = map[string]bool{}
	var out []engine.Result
	var diags hcl.Diagnostics
	for _, o := range t.p.outputs {
		res, resDiags := r.resultOf(o)
		diags = append(diags, resDiags...)
		out = append(out, res)
	}
	diags = append(append(diags, r.ev.diags...), r.diags...)
	if diags.HasErrors() {
		return nil, improve(diags, t.p.Files)
	}
	return out, nil
}

// resultOf evaluates an output of the workflow.
func (r *runScope) resultOf(o *outputConfig) (engine.Result, hcl.Diagnostics) {
	res := engine.Result{Name: o.name, Sensitive: o.sensitive}
	var n nameSet
	n.of(&o.value.refs)
	if o.publish != nil {
		n.of(&o.publish.refs)
	}
	t := &task{ev: r.ev, ctx: r.ev.context(n), final: true, skipped: r.skipped}
	val, diags := r.ev.eval(o.value, t.ctx)
	if diags.HasErrors() {
		if !t.lacks(&o.value.refs) {
			return res, diags
		}
		val = cty.NullVal(cty.DynamicPseudoType) // made from what was skipped
	}
	if o.sensitive {
		return res, nil
	}
	if val.ContainsMarked() {
		t.wrong("output "+o.name, o.value.expr.Range(), errors.New("the value is made from a sensitive value, and would be stored and shown; say sensitive = true, or leave that out of it"))
		return res, t.diags
	}
	if !val.IsWhollyKnown() {
		t.wrong("output "+o.name, o.value.expr.Range(), errUnknown)
		return res, t.diags
	}
	raw, err := ctyjson.Marshal(val, val.Type())
	if err != nil {
		t.wrong("output "+o.name, o.value.expr.Range(), err)
		return res, t.diags
	}
	res.Value = raw
	if o.publish != nil {
		res.Publish = t.target(o.publish)
	}
	res.Files = r.filesIn(val, res.Publish != "")
	if res.Publish != "" && len(res.Files) == 0 && !val.IsNull() && val.Type().IsPrimitiveType() {
		t.errorf(o.value.expr.Range(), "Only files can be published, and %s is no path of one.", raw)
	}
	return res, append(t.diags, sameNames(o, res)...)
}

// filesIn returns the paths in a value: results of tasks, and with all every absolute
// path and URI.
func (r *runScope) filesIn(val cty.Value, all bool) []string {
	var files []string
	seen := map[string]bool{}
	_ = cty.Walk(val, func(_ cty.Path, v cty.Value) (bool, error) { // the function makes no error
		if v.IsNull() || v.Type() != cty.String {
			return true, nil
		}
		s := r.ev.original(v.AsString())
		if (r.paths[s] || all && isLocation(s)) && !seen[s] {
			seen[s] = true
			files = append(files, s)
		}
		return true, nil
	})
	return files
}
