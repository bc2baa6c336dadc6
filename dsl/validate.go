package dsl

import (
	"errors"
	"math"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"flow/engine"
)

// validate checks all expressions with unknown values of the right types.
func (p *Program) validate() hcl.Diagnostics {
	vals := make(map[string]cty.Value, len(p.Variables))
	for _, v := range p.Variables {
		vals[v.Name] = cty.UnknownVal(v.typ)
		if v.Sensitive {
			vals[v.Name] = vals[v.Name].Mark(sensitive)
		}
	}
	ev := p.unknowns(vals)
	ev.functions, ev.offline = p.offline, true
	var diags hcl.Diagnostics
	for _, v := range p.Variables {
		diags = append(diags, p.checkValidations(v, vals[v.Name])...)
	}
	_, more := p.check(ev)
	diags = append(diags, more...)
	for _, s := range p.schedules {
		_, more := p.scheduleVars(s, unknownSlot(s), p.offline)
		diags = append(diags, more...)
	}
	return diags
}

// unknowns returns an evaluator in which nothing is known of the run and its steps.
func (p *Program) unknowns(vals map[string]cty.Value) *evaluator {
	p.budget.reset()
	ev := &evaluator{
		p:         p,
		functions: p.functions,
		vars:      p.varsValue(vals),
		path:      p.pathValue(),
		run: cty.ObjectVal(map[string]cty.Value{
			"id":       cty.UnknownVal(cty.String).RefineNotNull(),
			"time":     cty.UnknownVal(cty.String).RefineNotNull(),
			"workflow": cty.StringVal(p.name()),
		}),
		locals: map[*localConfig]cty.Value{},
		steps:  map[*stepConfig]cty.Value{},
	}
	ev.stepValue = ev.unknownStep
	return ev
}

func (p *Program) name() string {
	if p.workflow != nil {
		return p.workflow.name
	}
	return p.defaultName()
}

// checkValidations checks that the conditions of a variable fit its type.
func (p *Program) checkValidations(v *Variable, val cty.Value) (diags hcl.Diagnostics) {
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{v.Name: val})},
		Functions: p.offline,
	}
	for _, c := range v.validations {
		ok, condDiags := p.budget.value(c.condition, ctx)
		diags = append(diags, condDiags...)
		if _, err := convert.Convert(ok, cty.Bool); err != nil && !condDiags.HasErrors() {
			diags = append(diags, errorf(c.condition.Range(), "Unsuitable value", "The condition of a validation must be true or false; this is %s.", typeName(ok.Type())))
		}
		_, msgDiags := p.budget.value(c.message, ctx)
		diags = append(diags, msgDiags...)
	}
	return diags
}

// A shape is what variables decide about a step as a whole.
type shape struct {
	sequential  bool
	maxParallel int
	description string
	tolerate    engine.Tolerance
}

// A bound is what variables decide about a workflow.
type bound struct {
	wf     engine.Workflow // its scalar fields, budget, infra and notices
	shapes map[*stepConfig]shape
}

// check evaluates every expression once and reports what is wrong as far as values are
// known in ev.
func (p *Program) check(ev *evaluator) (*bound, hcl.Diagnostics) {
	out := &bound{shapes: make(map[*stepConfig]shape, len(p.steps))}
	for _, l := range p.localList {
		ev.local(l)
	}
	diags := ev.diags
	ev.diags = nil
	infra, infraDiags := p.checkInfra(ev, false) // steps ask for what it has
	out.wf.Infra, out.wf.Pools = infra, poolsOf(infra)
	diags = append(diags, infraDiags...)
	if w := p.workflow; w != nil {
		diags = append(diags, p.checkWorkflow(ev, w, &out.wf)...)
		if w.defaults != nil {
			t := &task{ev: ev, step: w.defaults, spec: &engine.TaskSpec{}, kinds: map[string]string{}}
			var n nameSet
			w.defaults.each(func(a *arg) { n.of(&a.refs) })
			t.ctx = ev.context(n)
			t.checkAll()
			diags = append(diags, t.diags...)
		}
	}
	for _, s := range p.steps {
		sh, stepDiags := p.checkStep(ev, s)
		out.shapes[s] = sh
		diags = append(diags, stepDiags...)
	}
	for _, o := range p.outputs {
		diags = append(diags, p.checkOutput(ev, o)...)
	}
	notices, noticeDiags := p.checkNotices(ev)
	out.wf.Notices = notices
	return out, append(diags, noticeDiags...)
}

func (p *Program) checkWorkflow(ev *evaluator, w *workflowConfig, wf *engine.Workflow) hcl.Diagnostics {
	var n nameSet
	for _, a := range w.args {
		n.of(&a.refs)
	}
	if w.budget != nil {
		for _, a := range w.budget.args {
			n.of(&a.refs)
		}
	}
	if w.expect != nil {
		for _, a := range w.expect.args {
			n.of(&a.refs)
		}
	}
	t := &task{ev: ev, ctx: ev.context(n), spec: &engine.TaskSpec{}}
	for _, a := range w.args {
		switch a.name {
		case "description":
			wf.Description, _ = t.text(a)
		case "work_dir":
			if s, ok := t.text(a); ok {
				wf.WorkDir = p.checkWorkDir(t, a, s)
			}
		case "max_parallel":
			wf.MaxParallel, _ = value(t, a, positive)
		case "executor":
			wf.Executor, _ = value(t, a, oneOf(executorLocal, executorBatch))
		case "on_lost":
			s, ok := value(t, a, oneOf(string(engine.LostFails), string(engine.LostRetries)))
			if ok {
				wf.OnLost = engine.OnLost(s)
			}
		case "on_failure":
			s, ok := value(t, a, oneOf(string(engine.Finish), string(engine.CancelOnErr)))
			if ok {
				wf.OnFailure = engine.OnFailure(s)
			}
		case "timeout":
			wf.Timeout, _ = value(t, a, toDuration)
		case "tags":
			t.setTags(a)
			wf.Tags = t.spec.Tags
		}
	}
	if w.budget != nil {
		wf.Budget = t.checkBudget(w.budget)
	}
	if w.expect != nil {
		wf.Expect = t.checkExpect(w.expect)
	}
	return t.diags
}

// checkWorkDir returns where the files of tasks live; "" after a mistake.
func (p *Program) checkWorkDir(t *task, a *arg, s string) string {
	if s == "" {
		t.errorf(a.expr.Range(), "work_dir is empty. Name a directory or an s3:// URI, or leave it out.")
		return ""
	}
	dir, err := CheckWorkDir(s)
	if err != nil {
		t.wrong("work_dir", a.expr.Range(), err)
		return ""
	}
	return p.abs(dir)
}

func positive(v cty.Value) (int, error) { return toInt(v, 1, math.MaxInt32) }

// checkStep checks a step as a whole and the spec of one task of it.
func (p *Program) checkStep(ev *evaluator, s *stepConfig) (shape, hcl.Diagnostics) {
	t := &task{ev: ev, step: s, spec: &engine.TaskSpec{}, own: true, kinds: map[string]string{}}
	t.ctx = ev.context(s.names)
	var diags hcl.Diagnostics
	if s.fanOut() {
		t.ctx.Variables["each"] = ev.unknownEach(s)
		if a := s.args.own("each_key"); a != nil {
			value(t, a, toText)
		}
		if s.elementOf == nil && len(t.diags) == 0 {
			t.items() // for duplicate keys, where all is known
			t.ctx.Variables["each"] = ev.unknownEach(s)
		}
		diags = append(diags, t.diags...)
		t.diags = nil
	}
	sh := t.checkAll()
	return sh, append(diags, t.diags...)
}

// checkAll checks everything that a task is made from.
func (t *task) checkAll() shape {
	s := t.step
	runs := true
	if a := s.args.get("when"); a != nil && (!t.own || !a.inherited) {
		on, ok := value(t, a, toTruth)
		runs = on || !ok
	}
	told := len(t.diags)
	t.render(func(*arg) bool { return true })
	if a := s.args.own("script"); a != nil {
		t.checkScript(a)
	}
	t.setRetry()
	t.setResources()
	t.setContainer()
	t.outputVariables()
	t.setOutputs()
	t.sensors()
	if !runs && !t.ev.offline { // values it was not made for do not matter
		t.diags = t.diags[:told]
	}
	t.own = false
	return t.shape()
}

// checkScript checks the syntax of a script in a file in native syntax.
func (t *task) checkScript(a *arg) {
	expr, ok := a.expr.(hclsyntax.Expression)
	file := t.ev.p.Files[a.rng.Filename]
	if ok && file != nil {
		t.diags = append(t.diags, checkScript(expr, file.Bytes, t.shell())...)
	}
}

// shell returns what runs the script of the step, as far as it is known; nil: unknown.
func (t *task) shell() []string {
	a := t.step.args.get("shell")
	if a == nil {
		return defaultShell
	}
	list, err := toElements(discard(t.ev.eval(a, t.ctx)))
	if err != nil {
		return nil
	}
	words := make([]string, len(list))
	for i, v := range list {
		if words[i], err = toText(v); err != nil {
			return nil
		}
	}
	return words
}

func discard(v cty.Value, _ hcl.Diagnostics) cty.Value { return v }

// shape evaluates what holds for all tasks of a step.
func (t *task) shape() (sh shape) {
	s := t.step
	if a := s.args.get("sequential"); a != nil {
		sh.sequential, _ = value(t, a, toTruth)
	}
	if a := s.args.own("description"); a != nil {
		sh.description, _ = t.text(a)
	}
	if a := s.args.get("max_parallel"); a != nil {
		sh.maxParallel, _ = value(t, a, positive)
	}
	if a := s.tolerate.get("failed"); a != nil {
		sh.tolerate, _ = value(t, a, toTolerance)
	}
	return sh
}

// toTolerance reads 3 or "1%".
func toTolerance(v cty.Value) (engine.Tolerance, error) {
	s, err := toText(v)
	if err != nil {
		return engine.Tolerance{}, err
	}
	text, percent := cutPercent(s)
	n, err := convert.Convert(cty.StringVal(text), cty.Number)
	bad := errors.New("write how many tasks may fail, failed = 3, or how many percent of them, failed = \"1%\"")
	if err != nil {
		return engine.Tolerance{}, bad
	}
	if percent {
		f, err := toFloat(n)
		if err != nil || f < 0 || f > 100 {
			return engine.Tolerance{}, bad
		}
		return engine.Tolerance{Percent: f}, nil
	}
	count, err := toInt(n, 0, math.MaxInt32)
	if err != nil {
		return engine.Tolerance{}, bad
	}
	return engine.Tolerance{Count: count}, nil
}

func (p *Program) checkOutput(ev *evaluator, o *outputConfig) hcl.Diagnostics {
	var n nameSet
	n.of(&o.value.refs)
	if o.publish != nil {
		n.of(&o.publish.refs)
	}
	t := &task{ev: ev, ctx: ev.context(n)}
	v, diags := ev.eval(o.value, t.ctx)
	t.diags = append(t.diags, diags...)
	if !diags.HasErrors() && !o.sensitive && v.ContainsMarked() {
		t.errorf(o.value.expr.Range(), "The value of output %q is made from a sensitive value, and would be stored and shown. Say sensitive = true, or leave that out of it.", o.name)
	}
	if o.publish != nil {
		t.target(o.publish)
		if o.sensitive {
			t.errorf(o.publish.nameRange, "A sensitive output is neither stored nor shown, so it cannot be published.")
		}
	}
	return t.diags
}

// timeText is how run.time is written.
func timeText(at time.Time) string { return at.UTC().Format(time.RFC3339) }
