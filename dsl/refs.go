package dsl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// refs is what expressions refer to.
type refs struct {
	locals  []*localConfig // each once
	steps   []stepRef
	infra   []infraRef // each block once
	each    bool
	eachVal bool // each.value.value
	attempt bool
	run     bool
	lost    []string // root names that mean nothing here
}

// A stepRef is a reference to a step.
type stepRef struct {
	step *stepConfig
	need engine.Need
	each bool // to its tasks one by one: step.x.each
	item bool // to what its tasks are made for: step.x.each[...].value
	made bool // the same, also by each.value.value: what those items come from is used as well
	// elem: through each.value, or as for_each = step.x.each: only the task of the
	// same index is concerned.
	elem bool
	outs outputSet // those of its outputs that are read
	rng  hcl.Range
}

// lostNames are names that were used but are not there. Each use was told once; while
// validating they stand for an unknown value, so that nothing more is told of them.
type lostNames struct {
	vars   map[string]bool
	locals map[string]bool
	steps  map[string]bool
	// hidden names are those that a syntax error or a misspelled block may have hidden:
	// using them is no mistake of its own.
	hidden    map[string]bool
	anyLocals bool
	anything  bool // a whole file could not be read
}

// hides reports whether a name may be there, where an error hides it.
func (l *lostNames) hides(name string) bool { return l.anything || l.hidden[name] }

// An analysis finds the references of expressions.
type analysis struct {
	p     *Program
	diags hcl.Diagnostics
	early bool // cycles were not looked for yet
}

var rootNames = []string{"var", "local", "step", "each", "attempt", "run", "path"}

// analyze finds what a refers to, and reports names that do not exist or may not be
// used there. step is the step that a belongs to, or nil.
func (an *analysis) analyze(a *arg, step *stepConfig) {
	r := &a.refs
	for _, trav := range a.expr.Variables() {
		if trav.IsRelative() {
			continue
		}
		root := trav.RootName()
		var next string
		hasNext := len(trav) > 1
		if hasNext {
			next, hasNext = stepName(trav[1])
		}
		if a.spec.uses&useSchedule != 0 && (root == "var" || root == "local") {
			an.forbidden(a, trav, root)
			continue
		}
		switch root {
		case "var":
			if !hasNext {
				an.needsName(a, trav, "var", "a variable's name: var.reads")
				continue
			}
			an.variable(trav, next)
		case "local":
			if !hasNext {
				an.needsName(a, trav, "local", "the name of a local value: local.results")
				continue
			}
			an.local(a, r, trav, next)
		case "step":
			if a.spec.uses&useSteps == 0 || a.inherited {
				an.forbidden(a, trav, "step")
				continue
			}
			if !hasNext {
				an.needsName(a, trav, "step", "a step's name: step.align.outputs.bam")
				continue
			}
			an.step(r, trav, next)
		case "each":
			if a.spec.uses&useEach == 0 || step == nil || !step.fanOut() {
				an.forbidden(a, trav, "each")
				continue
			}
			r.each = true
			an.each(r, trav, step)
		case "attempt":
			if a.spec.uses&useAttempt == 0 {
				an.forbidden(a, trav, "attempt")
				continue
			}
			r.attempt = true
		case "run":
			if a.spec.uses&useRun == 0 {
				an.forbidden(a, trav, "run")
				continue
			}
			r.run = true
			an.member(r, trav, "run", []string{"id", "time", "workflow"})
		case "schedule":
			if a.spec.uses&useSchedule == 0 {
				an.forbidden(a, trav, "schedule")
				continue
			}
			an.member(r, trav, "schedule", scheduleMembers)
		case "path":
			an.member(r, trav, "path", []string{"module", "workflow"})
		case kindEnvironment, kindQueue, kindDefinition, kindPolicy, kindConsumable:
			an.infraRef(a, trav)
		default:
			an.unknownRoot(a, trav)
		}
	}
}

func (an *analysis) add(summary, detail string, rng hcl.Range) {
	an.diags = append(an.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng})
}

func (an *analysis) needsName(a *arg, trav hcl.Traversal, root, what string) {
	a.refs.lost = append(a.refs.lost, root)
	an.add("Incomplete reference", fmt.Sprintf("%q must be followed by %s.", root, what), trav.SourceRange())
}

var whyForbidden = map[string]string{
	"step":     "The results of steps are not known here; use variables, or values that are written out.",
	"each":     "\"each\" is the item of a task: it has a meaning only in the arguments of a step that has for_each or matrix.",
	"attempt":  "\"attempt\" is the number of a try: it may be used in resources, and for memory and vcpus of a retry rule.",
	"run":      "\"run\" is not known here; use variables, or values that are written out.",
	"schedule": "A run may well be started by hand, so \"schedule\" is known only in vars of a schedule. Give what is needed of it to a variable there: vars = { day = schedule.time }.",
}

func (an *analysis) forbidden(a *arg, trav hcl.Traversal, root string) {
	a.refs.lost = append(a.refs.lost, root)
	detail := whyForbidden[root]
	switch {
	case a.spec.uses&useSchedule != 0:
		detail = "The values that a schedule gives to variables are made from schedule.time and values that are written out: " + list(scheduleMemberNames(), "and") + " are known here."
	case a.infra:
		detail = "What a workflow says of AWS Batch itself holds for all of its runs, so it knows nothing of steps and runs; use variables, or values that are written out."
	case root == "each" && isSensorArg(a.spec):
		detail = "A step waits as a whole, before its tasks are known. Wait for what all of them need: with a pattern, or with a prefix and a count."
	case !a.inherited:
	case root == "each":
		detail = "\"each\" cannot be used in defaults, which also hold for steps without for_each. Give the argument in the step itself."
	case root == "step":
		detail = "The results of steps cannot be used in defaults, since those also hold for the steps that they come from. Give the argument in the steps themselves."
	}
	an.add("Reference not allowed here", detail, trav.SourceRange())
}

func (an *analysis) unknownRoot(a *arg, trav hcl.Traversal) {
	root := trav.RootName()
	a.refs.lost = append(a.refs.lost, root)
	detail := fmt.Sprintf("There is no variable named %q.", root)
	switch _, isStep := an.p.stepIndex[root]; {
	case a.name == "script": // improve adds how to pass it to the shell
	case isStep:
		detail += fmt.Sprintf(" Did you mean step.%s?", root)
	case an.p.variables[root] != nil:
		detail += fmt.Sprintf(" Did you mean var.%s?", root)
	case an.p.locals[root] != nil:
		detail += fmt.Sprintf(" Did you mean local.%s?", root)
	case root == "resources":
		detail += " In a script, $FLOW_VCPUS and $FLOW_MEMORY_MIB tell what the task may use."
	case suggest(root, rootNames) != "":
		detail += suggest(root, rootNames)
	case suggest(root, infraKinds) != "":
		detail += suggest(root, infraKinds)
	case a.spec.uses&useSchedule != 0:
		detail += " References begin with schedule or path here."
	default:
		detail += " References begin with " + strings.Join(rootNames[:len(rootNames)-1], ", ") + " or " + rootNames[len(rootNames)-1] + "."
	}
	an.add("Unknown variable", detail, trav[0].SourceRange())
}

func (an *analysis) member(r *refs, trav hcl.Traversal, root string, names []string) {
	if len(trav) < 2 {
		return
	}
	name, ok := stepName(trav[1])
	if !ok || slices.Contains(names, name) {
		return
	}
	r.lost = append(r.lost, root)
	hint := suggest(name, names)
	if hint == "" {
		hint = " There are " + root + "." + strings.Join(names, ", "+root+".") + "."
	}
	an.add("Unsupported attribute", fmt.Sprintf("%q has no attribute named %q.%s", root, name, hint), travRange(trav, 2))
}

func (an *analysis) variable(trav hcl.Traversal, name string) {
	if an.p.variables[name] != nil {
		return
	}
	an.p.lost.vars[name] = true
	if an.p.lost.hides(name) {
		return
	}
	names := make([]string, 0, len(an.p.Variables))
	for _, v := range an.p.Variables {
		names = append(names, v.Name)
	}
	hint := suggest(name, names)
	if hint == "" {
		hint = fmt.Sprintf(" Declare it with a block: variable %q { ... }.", name)
	}
	an.add("Reference to undeclared variable", fmt.Sprintf("There is no variable %q.%s", name, hint), travRange(trav, 2))
}

func (an *analysis) step(r *refs, trav hcl.Traversal, name string) {
	s := an.p.stepIndex[name]
	if s == nil {
		an.p.lost.steps[name] = true
		if an.p.lost.hides(name) {
			return
		}
		hint := an.p.movedTo(name)
		if hint == "" {
			hint = suggest(name, an.p.stepNames())
		}
		an.add("Reference to undeclared step", fmt.Sprintf("There is no step %q.%s", name, hint), travRange(trav, 2))
		return
	}
	ref := stepRef{step: s, rng: trav.SourceRange()}
	rest := trav[2:]
	var part string
	if len(rest) > 0 {
		var ok bool
		if part, ok = stepName(rest[0]); !ok {
			part = "?"
		}
	}
	switch part {
	case "":
		ref.need = allNeed(s)
		ref.each, ref.item, ref.made = s.fanOut(), s.fanOut(), s.fanOut()
		ref.outs.all = true
	case "outputs":
		ref.need = an.outputs(s, trav, 3, s.partial)
		ref.outs = readAt(trav, 3)
	case "each":
		if !s.fanOut() {
			an.p.loseOutput(s, "each")
			an.add("Unsupported attribute", fmt.Sprintf("Step %q has no for_each or matrix, so it has one task only: write step.%s.outputs.", name, name), travRange(trav, 3))
			break
		}
		ref.each = true
		ref.need, ref.item = an.tasks(s, trav)
		ref.outs = readOfTask(trav)
		ref.made = ref.item
	default:
		detail := fmt.Sprintf("A step has outputs and each: step.%s.outputs.<name>.", name)
		if ix, ok := rest[0].(hcl.TraverseIndex); ok && s.fanOut() {
			detail = fmt.Sprintf("The tasks of a step are in its each: step.%s.each[%s].outputs.<name>.", name, indexText(ix))
		} else if s.output(part) != nil {
			detail = fmt.Sprintf("Did you mean step.%s.outputs.%s?", name, part)
		} else if hint := suggest(part, []string{"outputs", "each"}); hint != "" {
			detail = fmt.Sprintf("A step has no attribute named %q.%s", part, hint)
		}
		an.p.loseOutput(s, part)
		an.add("Unsupported attribute", detail, travRange(trav, 3))
	}
	r.steps = append(r.steps, ref)
}

// indexText writes an index as it stands between brackets, in quotes: tasks have keys.
func indexText(ix hcl.TraverseIndex) string {
	key, err := toText(ix.Key)
	if err != nil {
		key = "key"
	}
	return strconv.Quote(key)
}

// loseOutput notes that name of step s (an output, or what stands in the place of
// "outputs") is used but not there.
func (p *Program) loseOutput(s *stepConfig, name string) {
	if s.lost == nil {
		s.lost = map[string]int{}
	}
	s.lost[name]++
}

// allNeed is the need of a reference to everything a step has.
func allNeed(s *stepConfig) engine.Need {
	if s.static() && !s.partial {
		return engine.NeedTasks
	}
	return engine.NeedValues
}

// outputs looks at the part of a reference after `outputs`, which is trav[at:].
func (an *analysis) outputs(s *stepConfig, trav hcl.Traversal, at int, tolerant bool) engine.Need {
	all := func() engine.Need {
		if tolerant || !s.static() {
			return engine.NeedValues
		}
		return engine.NeedTasks
	}
	if len(trav) <= at {
		return all()
	}
	name, ok := stepName(trav[at])
	if !ok {
		return all()
	}
	o := s.output(name)
	if o == nil {
		an.p.loseOutput(s, name)
		if s.shaky {
			return engine.NeedTasks
		}
		names := make([]string, len(s.outputs))
		for i, o := range s.outputs {
			names[i] = o.name
		}
		hint := suggest(name, names)
		switch {
		case hint != "":
		case len(names) == 0:
			hint = fmt.Sprintf(" It declares none; add a block: output %q { file = \"...\" }.", name)
		default:
			hint = " It has " + strings.Join(names, ", ") + "."
		}
		an.add("Reference to undeclared output", fmt.Sprintf("Step %q has no output %q.%s", s.name, name, hint), travRange(trav, at+1))
		return engine.NeedTasks
	}
	if tolerant || !o.static() {
		return engine.NeedValues
	}
	return engine.NeedTasks
}

// tasks looks at a reference step.x.each...: which need it has, and whether it uses
// the items of the tasks.
func (an *analysis) tasks(s *stepConfig, trav hcl.Traversal) (need engine.Need, item bool) {
	if len(trav) <= 4 { // all tasks, or one of them as a whole
		return allNeed(s), true
	}
	part, _ := stepName(trav[4])
	switch part {
	case "key", "index":
		return engine.NeedTasks, false
	case "value":
		return engine.NeedTasks, true
	case "outputs":
		return an.outputs(s, trav, 5, s.partial), false
	}
	return allNeed(s), true
}

// each looks at a reference each.x.... In a step with for_each = step.y.each it is one
// to the task of y with the same index.
func (an *analysis) each(r *refs, trav hcl.Traversal, step *stepConfig) {
	an.member(r, trav, "each", []string{"key", "value", "index"})
	from := step.elementOf
	if from == nil {
		return
	}
	part := ""
	if len(trav) > 1 {
		part, _ = stepName(trav[1])
	}
	if part == "key" || part == "index" {
		return
	}
	// Down each.value.value.outputs.x: through as many steps as there are `value`s.
	ref := stepRef{step: from, elem: true, need: engine.NeedTasks, rng: trav.SourceRange()}
	for at := 2; ; at++ {
		if len(trav) <= at { // the task as a whole
			r.eachVal = true
			ref.need, ref.made, ref.outs.all = engine.NeedTasks, true, true
			if !ref.step.static() {
				ref.need = engine.NeedValues
			}
			break
		}
		part, _ := stepName(trav[at])
		if part == "outputs" {
			ref.need = max(ref.need, an.outputs(ref.step, trav, at+1, false))
			ref.outs = readAt(trav, at+1)
			break
		}
		if part != "value" {
			break // key, index; anything else is told when it is evaluated
		}
		r.eachVal = true
		next := ref.step.elementOf
		if next == nil || at > len(an.p.steps)+1 {
			ref.made = true
			break
		}
		r.steps = append(r.steps, ref)
		ref.step = next
	}
	r.steps = append(r.steps, ref)
}
