package dsl

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A decoder turns the blocks of parsed files into configs. Nothing is evaluated, but
// for what must be written out.
type decoder struct {
	p      *Program
	diags  hcl.Diagnostics
	broken []hcl.Range  // of syntax errors
	steps  []*hcl.Block // to be decoded when the defaults are known
	seen   map[string]hcl.Range
}

func (d *decoder) errorf(rng hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, errorf(rng, summary, format, args...))
}

// file takes in the top-level blocks of one file.
func (d *decoder) file(file *hcl.File) {
	content, diags := file.Body.Content(rootSchema)
	d.diags = append(d.diags, diags...)
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		d.hide(body, file, diags.HasErrors())
	}
	for _, b := range content.Blocks {
		switch b.Type {
		case "workflow":
			d.workflowBlock(b)
		case "variable":
			d.variableBlock(b)
		case "locals":
			d.localsBlock(b)
		case "step":
			d.steps = append(d.steps, b)
		case "output":
			d.outputBlock(b)
		case "moved":
			d.movedBlock(b)
		case kindEnvironment, kindQueue, kindDefinition, kindPolicy, kindConsumable, kindPool:
			d.infraBlock(b)
		case "notify":
			d.notifyBlock(b)
		case "schedule":
			d.scheduleBlock(b)
		default:
			d.errorf(b.DefRange, "Block not supported yet",
				"%s blocks come in a later version of flow; this one knows workflow, variable, locals, step, output, moved, notify, schedule, %s.", b.Type, list(infraKinds, "and"))
			d.hideLabels(b.Labels)
		}
	}
}

// hide notes the names that misspelled blocks and syntax errors hide.
func (d *decoder) hide(body *hclsyntax.Body, file *hcl.File, misfit bool) {
	if misfit {
		for _, b := range body.Blocks {
			known := slices.ContainsFunc(rootSchema.Blocks, func(s hcl.BlockHeaderSchema) bool { return s.Type == b.Type })
			if known {
				continue
			}
			d.hideLabels(b.Labels)
			for name := range b.Body.Attributes {
				d.p.lost.hidden[name] = true
			}
		}
	}
	for _, rng := range d.broken {
		if rng.Filename != body.SrcRange.Filename {
			continue
		}
		d.hideText(file.Bytes)
		break
	}
}

func (d *decoder) hideLabels(labels []string) {
	for _, l := range labels {
		d.p.lost.hidden[l] = true
	}
}

// hideText notes everything in a file with syntax errors that looks like the label of
// a block, or like an argument in a `locals` block.
func (d *decoder) hideText(src []byte) {
	for line := range strings.Lines(string(src)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch {
		case fields[0] == "step", fields[0] == "variable", fields[0] == kindPool, isInfra(fields[0]):
			d.p.lost.hidden[strings.Trim(fields[1], `"{`)] = true
		case fields[0] == "locals":
			d.p.lost.anyLocals = true
		}
	}
}

// isBroken reports whether a syntax error lies in lines from to to of a file, so that
// what is missing there may be missing because of it.
func (d *decoder) isBroken(rng hcl.Range) bool {
	for _, b := range d.broken {
		if b.Filename == rng.Filename && b.Start.Line >= rng.Start.Line && b.Start.Line <= rng.End.Line {
			return true
		}
	}
	return false
}

// name checks that a label is an identifier, and that no block of its kind had it before.
func (d *decoder) name(b *hcl.Block, name string, rng hcl.Range) bool {
	if !hclsyntax.ValidIdentifier(name) {
		d.errorf(rng, "Invalid name", "%q cannot be the name of a %s: it must start with a letter and may have letters, digits, underscores and dashes.", name, b.Type)
		return false
	}
	if d.seen == nil {
		d.seen = map[string]hcl.Range{}
	}
	id := b.Type + " " + name
	if first, twice := d.seen[id]; twice {
		d.errorf(rng, "Duplicate "+b.Type, "There is already a %s %q, at %s:%d. Rename one of them.", b.Type, name, first.Filename, first.Start.Line)
		return false
	}
	d.seen[id] = rng
	return true
}

// block decodes a body that has arguments, and blocks as listed. Arguments come in
// source order.
func (d *decoder) block(body hcl.Body, spec blockSpec, blocks ...hcl.BlockHeaderSchema) (args, hcl.Blocks, hcl.Diagnostics) {
	content, diags := body.Content(spec.schema(blocks...))
	d.diags = append(d.diags, diags...)
	var as args
	for _, attr := range content.Attributes {
		as = append(as, newArg(attr, spec.find(attr.Name)))
	}
	sort.Slice(as, func(i, k int) bool { return before(as[i].rng, as[k].rng) })
	return as, content.Blocks, diags
}

func newArg(attr *hcl.Attribute, spec *argSpec) *arg {
	return &arg{name: attr.Name, expr: attr.Expr, rng: attr.Range, nameRange: attr.NameRange, spec: spec}
}

// only keeps the first of blocks of one type, and reports the others.
func (d *decoder) only(blocks hcl.Blocks, typ string) *hcl.Block {
	var first *hcl.Block
	for _, b := range blocks {
		switch {
		case b.Type != typ:
		case first == nil:
			first = b
		default:
			d.errorf(b.DefRange, "Duplicate "+typ+" block", "There is already a %s block at line %d. Put everything into one.", typ, first.DefRange.Start.Line)
		}
	}
	return first
}

func (d *decoder) workflowBlock(b *hcl.Block) {
	if w := d.p.workflow; w != nil {
		d.errorf(b.DefRange, "Duplicate workflow block", "The workflow is already described at %s:%d. Put everything into one block.", w.rng.Filename, w.rng.Start.Line)
		return
	}
	w := &workflowConfig{name: b.Labels[0], rng: b.DefRange}
	d.name(b, w.name, b.LabelRanges[0])
	var blocks hcl.Blocks
	w.args, blocks, _ = d.block(b.Body, workflowArgs, hcl.BlockHeaderSchema{Type: "defaults"}, hcl.BlockHeaderSchema{Type: "budget"}, hcl.BlockHeaderSchema{Type: "expect"})
	if def := d.only(blocks, "defaults"); def != nil {
		w.defaults = d.defaultsBlock(def)
	}
	if b := d.only(blocks, "budget"); b != nil {
		w.budget = d.budgetBlock(b)
	}
	if b := d.only(blocks, "expect"); b != nil {
		w.expect = d.expectBlock(b)
	}
	d.p.workflow = w
}

// finish decodes what had to wait for other blocks.
func (d *decoder) finish() {
	for _, b := range d.steps {
		d.stepBlock(b)
	}
}

func (d *decoder) localsBlock(b *hcl.Block) {
	attrs, diags := b.Body.JustAttributes()
	d.diags = append(d.diags, diags...)
	var list []*localConfig
	for _, attr := range attrs {
		list = append(list, &localConfig{arg: newArg(attr, &localArg)})
	}
	sort.Slice(list, func(i, k int) bool { return before(list[i].rng, list[k].rng) })
	for _, l := range list {
		if first := d.p.locals[l.name]; first != nil {
			d.errorf(l.nameRange, "Duplicate local value", "There is already a local value %q, at %s:%d. Rename one of them.",
				l.name, first.rng.Filename, first.rng.Start.Line)
			continue
		}
		d.p.locals[l.name] = l
		d.p.localList = append(d.p.localList, l)
	}
}

func (d *decoder) outputBlock(b *hcl.Block) {
	o := &outputConfig{name: b.Labels[0], rng: b.DefRange}
	ok := d.name(b, o.name, b.LabelRanges[0])
	as, _, diags := d.block(b.Body, outputArgs)
	o.value = as.get("value")
	o.publish = as.get("publish")
	o.description = d.constString(as.get("description"))
	o.sensitive = d.constBool(as.get("sensitive"))
	if o.value == nil && !diags.HasErrors() && !d.isBroken(bodyRange(b)) {
		d.errorf(b.DefRange, "Missing required argument", "Output %q has no value. Add: value = step.<name>.outputs.<output>.", o.name)
		return
	}
	if ok && o.value != nil {
		d.p.outputs = append(d.p.outputs, o)
	}
}

// bodyRange is the range of a whole block.
func bodyRange(b *hcl.Block) hcl.Range {
	if body, ok := b.Body.(*hclsyntax.Body); ok {
		return hcl.RangeBetween(b.DefRange, body.SrcRange)
	}
	return b.DefRange
}

// constString evaluates an argument that must be a text that is written out.
func (d *decoder) constString(a *arg) string {
	var s string
	d.constant(a, "a text in quotes, written out: it cannot refer to anything", func(v literal) bool {
		s = v.text
		return v.isText
	})
	return s
}

func (d *decoder) constBool(a *arg) bool {
	var b bool
	d.constant(a, "true or false, written out: it cannot refer to anything", func(v literal) bool {
		b = v.truth
		return v.isBool
	})
	return b
}

// A literal is the value of an argument that refers to nothing.
type literal struct {
	isText, isBool bool
	text           string
	truth          bool
}

func (d *decoder) constant(a *arg, what string, take func(literal) bool) {
	if a == nil {
		return
	}
	var lit literal
	if len(a.expr.Variables()) == 0 {
		v, diags := d.p.budget.value(a.expr, nil)
		if diags.HasErrors() {
			d.diags = append(d.diags, diags...)
			return
		}
		lit = literalOf(v)
	}
	if !take(lit) {
		d.errorf(a.expr.Range(), "Unsuitable value", "%q must be %s.", a.name, what)
	}
}

// list joins names for a sentence: a, b or c.
func list(names []string, last string) string {
	switch n := len(names); n {
	case 0:
		return "none"
	case 1:
		return names[0]
	default:
		return fmt.Sprintf("%s %s %s", strings.Join(names[:n-1], ", "), last, names[n-1])
	}
}
