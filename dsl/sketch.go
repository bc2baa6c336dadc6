package dsl

import (
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// Sketch returns the workflow as far as variables decide it, and of each step what a task
// of it runs as far as that is known before anything has run: what is unknown, or wrong, is
// left out. Steps whose `when` is false have none. It tells no mistakes, which Load and Bind
// do, and works on a program that has some.
func (p *Program) Sketch(in VarInput, run RunContext) (*engine.Workflow, map[engine.StepName]*engine.TaskSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	vals, _ := p.values(in)
	for _, v := range p.Variables {
		if vals[v.Name] == cty.NilVal {
			vals[v.Name] = cty.UnknownVal(v.typ)
		}
	}
	ev := p.unknowns(vals)
	ev.publishTo = run.PublishTo
	if run.ID != "" {
		ev.run = p.runValue(run.ID, run.Time)
	}
	b, _ := p.check(ev)
	wf := p.bound(b, run)
	wf.Infra, _ = p.checkInfra(ev, true)
	specs := make(map[engine.StepName]*engine.TaskSpec, len(p.steps))
	for _, s := range p.steps {
		base := &engine.TaskSpec{Image: run.Defaults.Image, Queue: run.Defaults.Queue, Tags: wf.Tags}
		if spec := p.sketch(ev, s, base); spec != nil {
			specs[engine.StepName(s.name)] = spec
		}
	}
	return wf, specs
}

// sketch fills in what is known of a task of step s; nil if it will not run.
func (p *Program) sketch(ev *evaluator, s *stepConfig, spec *engine.TaskSpec) *engine.TaskSpec {
	t := &task{ev: ev, step: s, spec: spec, sketch: true}
	t.ctx = ev.context(s.names)
	if s.fanOut() {
		t.ctx.Variables["each"] = ev.unknownEach(s)
	}
	if a := s.args.get("when"); a != nil {
		if on, ok := value(t, a, toTruth); ok && !on {
			return nil
		}
	}
	t.render(func(*arg) bool { return true })
	t.setRetry()
	if t.setResources(); !t.sizeKnown() {
		t.spec.Resources = nil
	}
	t.setContainer()
	t.setOutputs()
	return t.spec
}

// sizeKnown reports whether everything that the step says of its resources is known.
func (t *task) sizeKnown() bool {
	if t.step.resources == nil {
		return true
	}
	known := true
	for _, a := range t.step.resources.args {
		t.attempts(1, func(int) {
			v, ok := t.eval(a)
			known = known && ok && v.IsWhollyKnown()
		})
	}
	return known
}
