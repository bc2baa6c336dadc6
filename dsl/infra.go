package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// Infra evaluates the blocks about AWS Batch itself with the values of variables, and
// nothing else: a variable that they do not use needs no value. Without such blocks it is
// nil. There is none if there are errors.
func (p *Program) Infra(in VarInput) (*engine.Infra, hcl.Diagnostics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	used := p.infraVariables()
	vals, diags := p.valuesOf(in, func(name string) bool { return used[name] })
	if diags.HasErrors() {
		return nil, improve(diags, p.Files)
	}
	ev := p.unknowns(vals)
	out, more := p.checkInfra(ev, false)
	diags = append(diags, ev.diags...)
	diags = improve(append(diags, more...), p.Files)
	sortDiagnostics(diags)
	if diags.HasErrors() {
		return nil, diags
	}
	return out, diags
}

// infraVariables are the variables that the blocks about AWS Batch itself use, also through
// local values and names of one another.
func (p *Program) infraVariables() map[string]bool {
	used := map[string]bool{}
	seen := map[*arg]bool{}
	var visit func(a *arg)
	visit = func(a *arg) {
		if seen[a] {
			return
		}
		seen[a] = true
		for _, trav := range a.expr.Variables() {
			if !trav.IsRelative() && trav.RootName() == "var" && len(trav) > 1 {
				name, _ := stepName(trav[1])
				used[name] = true
			}
		}
		for _, l := range a.refs.locals {
			visit(l.arg)
		}
		for _, ref := range a.refs.infra {
			for _, n := range ref.block.nameArgs() {
				visit(n)
			}
		}
	}
	for _, c := range p.infra {
		c.everything(visit)
	}
	return used
}

// An infraReader evaluates the blocks about AWS Batch itself.
type infraReader struct {
	ev     *evaluator
	sketch bool // see Program.Sketch
	out    engine.Infra
	envs   map[string]*engine.ComputeEnvironment // by name in AWS
	names  map[string]*infraConfig               // by kind and name in AWS
	diags  hcl.Diagnostics
}

// checkInfra evaluates the blocks about AWS Batch itself as far as values are known in ev.
// nil: there are none.
func (p *Program) checkInfra(ev *evaluator, sketch bool) (*engine.Infra, hcl.Diagnostics) {
	if len(p.infra) == 0 {
		return nil, nil
	}
	r := &infraReader{ev: ev, sketch: sketch, envs: map[string]*engine.ComputeEnvironment{}, names: map[string]*infraConfig{}}
	first := func(c *infraConfig) bool {
		return c.kind == kindEnvironment || c.kind == kindConsumable || c.kind == kindPool
	} // the others look at them
	for _, c := range p.infra {
		if first(c) {
			r.read(c)
		}
	}
	for _, c := range p.infra {
		if !first(c) {
			r.read(c)
		}
	}
	return &r.out, r.diags
}

// read evaluates a block.
func (r *infraReader) read(c *infraConfig) {
	var n nameSet
	c.everything(func(a *arg) { n.of(&a.refs) })
	t := &task{ev: r.ev, ctx: r.ev.context(n), step: c.step, spec: &engine.TaskSpec{}, sketch: r.sketch, infra: true, kinds: map[string]string{}}
	b := &infraBlock{task: t, c: c, what: c.rng, noun: fmt.Sprintf("%s %q", sentenceStart(infraNouns[c.kind]), c.label), incomplete: c.incomplete, as: t.present(c.args), known: map[string]bool{}}
	blk := b.identity()
	r.unique(b, &blk)
	switch c.kind {
	case kindEnvironment:
		e := b.environment(blk)
		r.out.Environments = append(r.out.Environments, e)
		if e.Name != "" && r.envs[e.Name] == nil {
			r.envs[e.Name] = e
		}
	case kindQueue:
		r.out.Queues = append(r.out.Queues, b.queue(blk, r.envs))
	case kindDefinition:
		r.out.Definitions = append(r.out.Definitions, b.definition(blk))
	case kindPolicy:
		r.out.Policies = append(r.out.Policies, b.policy(blk))
	case kindConsumable:
		c := b.consumable(blk)
		r.out.Consumables = append(r.out.Consumables, c)
		if c.Name != "" && b.known["total_quantity"] {
			r.ev.setTotal(c.Name, c.Total)
		}
	case kindPool:
		c := b.pool(blk)
		r.out.Consumables = append(r.out.Consumables, c)
		if b.known["slots"] {
			r.ev.setTotal(c.Name, c.Total)
		}
	}
	r.diags = append(r.diags, t.diags...)
}

// unique checks that no other block of the kind has the name in AWS.
func (r *infraReader) unique(b *infraBlock, blk *engine.Block) {
	if blk.Name == "" {
		return
	}
	kind := b.c.kind
	if kind == kindPool {
		kind = kindConsumable
	}
	id := kind + " " + blk.Name
	first := r.names[id]
	if first == nil {
		r.names[id] = b.c
		return
	}
	rng := b.c.rng
	for _, name := range []string{"name", "existing"} {
		if a := b.as.get(name); a != nil {
			rng = a.expr.Range()
		}
	}
	b.diags = append(b.diags, errorf(rng, "Duplicate name", "In an account and region there is one %s %q, and %s, at %s:%d, is that one. Give one of them another name.",
		infraNouns[kind], blk.Name, first.reference(), first.rng.Filename, first.rng.Start.Line))
}

// An infraBlock is a block about AWS Batch itself, or one in it, that is being evaluated.
type infraBlock struct {
	*task
	c    *infraConfig
	what hcl.Range // its header
	noun string    // what it is, with its label
	// incomplete: an error in it may have hidden an argument.
	incomplete bool
	as         args // those that are not null
	// known are the arguments whose value is known, and right.
	known map[string]bool
}

// present returns the arguments that are not null, which is the same as not giving them.
func (t *task) present(as args) args {
	return slices.DeleteFunc(slices.Clone(as), func(a *arg) bool {
		v, diags := t.ev.eval(a, t.ctx)
		return !diags.HasErrors() && !v.IsMarked() && v.IsKnown() && v.IsNull()
	})
}

// part returns a block in b to read from.
func (b *infraBlock) part(p *partConfig) *infraBlock {
	noun := "The block " + p.typ
	if p.label != "" {
		noun += fmt.Sprintf(" %q", p.label)
	}
	return &infraBlock{task: b.task, c: b.c, what: p.rng, noun: noun, incomplete: p.incomplete, as: b.present(p.args), known: map[string]bool{}}
}

// has reports whether an argument is given, and not null.
func (b *infraBlock) has(name string) bool { return b.as.get(name) != nil }

// read converts the value of an argument, if it is given.
func read[T any](b *infraBlock, name string, to *T, conv func(cty.Value) (T, error)) {
	a := b.as.get(name)
	if a == nil {
		return
	}
	if v, ok := value(b.task, a, conv); ok {
		*to = v
		b.known[name] = true
	}
}

// texts reads a list of texts that check finds nothing wrong with. It is left out if an
// element is not known yet.
func (b *infraBlock) texts(name string, to *[]string, check func(string) string) {
	a := b.as.get(name)
	if a == nil {
		return
	}
	list, ok := b.words(a)
	if !ok {
		return
	}
	if v, _ := b.ev.eval(a, b.ctx); !v.IsWhollyKnown() {
		return
	}
	seen := map[string]bool{}
	for i, s := range list {
		if why := check(s); why != "" {
			b.errorf(itemRange(a.expr, i), "%s", why)
			return
		}
		if seen[s] {
			b.errorf(itemRange(a.expr, i), "%s has %q twice. Remove one.", name, s)
			return
		}
		seen[s] = true
	}
	*to = list
	b.known[name] = true
}

// wrongArg reports a mistake at the value of an argument.
func (b *infraBlock) wrongArg(name, format string, args ...any) {
	rng := b.what
	if a := b.as.get(name); a != nil {
		rng = a.expr.Range()
	}
	b.errorf(rng, format, args...)
}

// identity returns what all blocks have.
func (b *infraBlock) identity() engine.Block {
	c := b.c
	blk := engine.Block{Label: c.label, Pos: posOf(c.rng)}
	switch {
	case c.cyclic:
	case b.has("existing"):
		read(b, "existing", &blk.Name, toExisting(c.kind))
		blk.Existing = b.known["existing"]
		if blk.Existing {
			b.alone()
		}
	case b.has("name"):
		read(b, "name", &blk.Name, toResourceName)
	case !resourcePattern().MatchString(c.label):
		b.errorf(c.rng, "The name in AWS is the label where name says no other, and %q is not possible: it is 1 to 128 letters, digits, _ and -. Add: name = \"...\".", c.label)
	default:
		blk.Name = c.label
	}
	blk.Tags = b.tagMap("tags", maxTags-1)
	return blk
}

// alone reports what stands beside existing.
func (b *infraBlock) alone() {
	var names []string
	var first hcl.Range
	add := func(name string, rng hcl.Range) {
		if len(names) == 0 || before(rng, first) {
			first = rng
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, a := range b.as {
		if a.name != "existing" {
			add(a.name, a.nameRange)
		}
	}
	for _, p := range b.c.parts {
		add(p.typ, p.rng)
	}
	if s := b.c.step; s != nil {
		if s.resources != nil {
			add("resources", s.resources.rng)
		}
		if s.retry != nil {
			add("retry", s.retry.rng)
		}
		if s.container != nil {
			add("container", s.container.rng)
		}
	}
	if len(names) == 0 {
		return
	}
	b.diags = append(b.diags, errorf(first, "Conflicting arguments", "This %s is there already, as existing says, and flow leaves it as it is. Remove %s, or existing.", infraNouns[b.c.kind], list(names, "and")))
	b.as = slices.DeleteFunc(b.as, func(a *arg) bool { return a.name != "existing" })
}

// require reports arguments that are missing: each comes with how it may be written.
func (b *infraBlock) require(examples ...string) {
	if b.incomplete {
		return
	}
	var names, missing []string
	for _, example := range examples {
		name, _, _ := strings.Cut(example, " ")
		if !b.has(name) {
			names = append(names, name)
			missing = append(missing, example)
		}
	}
	if len(missing) == 0 {
		return
	}
	b.diags = append(b.diags, errorf(b.what, "Missing required argument", "%s needs %s. Add: %s.",
		b.noun, list(names, "and"), strings.Join(missing, ", ")))
}

func sentenceStart(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// tagMap reads tags, of which there may be so many.
func (b *infraBlock) tagMap(name string, most int) map[string]string {
	a := b.as.get(name)
	if a == nil {
		return nil
	}
	m := map[string]string{}
	b.pairs(a, func(key, val string, present bool) {
		if !present {
			return
		}
		rng, _ := keyRange(a.expr, key)
		why := checkTag(key, val)
		for _, prefix := range []string{"aws:", "flow:"} {
			if strings.HasPrefix(strings.ToLower(key), prefix) {
				why = fmt.Sprintf("Tags that begin with %s belong to %s. Rename %q.", prefix, map[string]string{"aws:": "AWS", "flow:": "flow"}[prefix], key)
			}
		}
		if why != "" {
			b.errorf(rng, "%s", why)
			return
		}
		m[key] = val
	})
	if len(m) > most {
		b.errorf(a.expr.Range(), "There are %d tags; AWS takes %d, and one of them is flow's.", len(m), most+1)
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// toResourceName reads the name of something in AWS Batch.
func toResourceName(v cty.Value) (string, error) {
	s, err := toText(v)
	if err == nil && !resourcePattern().MatchString(s) {
		err = fmt.Errorf("%q is not possible: a name in AWS Batch is 1 to 128 letters, digits, _ and -", s)
	}
	return s, err
}

// toExisting reads the name of something of a kind that is there.
func toExisting(kind string) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := toText(v)
		if err != nil {
			return "", err
		}
		if i := strings.LastIndexByte(s, '/'); strings.HasPrefix(s, "arn:") && i >= 0 {
			return "", fmt.Errorf("existing takes the name of the %s, not its ARN: write %q", infraNouns[kind], s[i+1:])
		}
		if kind == kindDefinition && definitionPattern().MatchString(s) {
			return s, nil
		}
		return toResourceName(v)
	}
}
