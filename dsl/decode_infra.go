package dsl

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// infraBlock decodes a block about AWS Batch itself.
func (d *decoder) infraBlock(b *hcl.Block) {
	c := &infraConfig{kind: b.Type, label: b.Labels[0]}
	c.rng = b.DefRange
	ok := d.name(b, c.label, b.LabelRanges[0])
	headers := make([]hcl.BlockHeaderSchema, 0, len(infraParts[c.kind])+len(definitionBlocks))
	for _, p := range infraParts[c.kind] {
		headers = append(headers, p.BlockHeaderSchema)
	}
	if c.kind == kindDefinition {
		headers = append(headers, definitionBlocks...)
	}
	as, blocks, diags := d.block(b.Body, infraArgs[c.kind], headers...)
	c.args = as
	c.incomplete = diags.HasErrors() || d.isBroken(bodyRange(b))
	for _, p := range infraParts[c.kind] {
		d.partBlocks(c, p, blocks)
	}
	if c.kind == kindDefinition {
		d.definitionParts(c, blocks)
	}
	c.everything(func(a *arg) { a.infra = true })
	switch {
	case ok:
		d.p.infra = append(d.p.infra, c)
	case !hclsyntax.ValidIdentifier(c.label):
		d.p.lost.hidden[c.label] = true
	}
}

// partBlocks decodes the blocks of one type in c.
func (d *decoder) partBlocks(c *infraConfig, p infraPart, blocks hcl.Blocks) {
	n := 0
	for _, b := range blocks {
		if b.Type != p.Type {
			continue
		}
		if n++; p.most > 0 && n == p.most+1 {
			d.tooManyParts(b, p.most)
		}
		as, _, diags := d.block(b.Body, p.args)
		part := &partConfig{blockConfig: blockConfig{b.DefRange, as}, typ: p.Type, incomplete: diags.HasErrors() || d.isBroken(bodyRange(b))}
		if len(b.Labels) > 0 {
			part.label = b.Labels[0]
			d.partLabel(c, part, b.LabelRanges[0])
		}
		if p.most == 0 || n <= p.most {
			c.parts = append(c.parts, part)
		}
	}
}

func (d *decoder) tooManyParts(b *hcl.Block, most int) {
	detail := "There is one already. Put everything into one."
	if most > 1 {
		detail = fmt.Sprintf("AWS Batch takes at most %d of them. Remove one.", most)
	}
	d.errorf(b.DefRange, "Duplicate "+b.Type+" block", "%s", detail)
}

// partLabel checks that no block of its type had the label before.
func (d *decoder) partLabel(c *infraConfig, part *partConfig, rng hcl.Range) {
	for _, other := range c.parts {
		if other.typ == part.typ && other.label == part.label {
			d.errorf(rng, "Duplicate "+part.typ+" block", "There is already a %s %q, at line %d. Rename one of them.", part.typ, part.label, other.rng.Start.Line)
			return
		}
	}
}

// definitionParts decodes what a job definition has as a step has it. Its expressions can
// use less: a definition knows nothing of runs.
func (d *decoder) definitionParts(c *infraConfig, blocks hcl.Blocks) {
	c.step = &stepConfig{rng: c.rng, args: c.args}
	d.stepParts(c.step, blocks)
	c.step.each(func(a *arg) {
		spec := *a.spec
		spec.uses = useNone
		a.spec = &spec
	})
	r := c.step.retry
	if r == nil {
		return
	}
	for _, rule := range r.rules {
		kept := rule.args[:0:0]
		var engine []*arg
		for _, a := range rule.args {
			switch a.name {
			case "delay", "memory", "vcpus", "queue":
				engine = append(engine, a)
			default:
				kept = append(kept, a)
			}
		}
		rule.args = kept
		if len(engine) > 0 {
			d.errorf(engine[0].nameRange, "Not possible in a job definition",
				"%s is what flow does itself when a task of a step has failed; AWS Batch, to which a job definition belongs, does nothing but retry or exit (evaluateOnExit). Move it to a retry block of the steps.", engine[0].name)
		}
	}
}

// budgetBlock decodes the budget of a workflow.
func (d *decoder) budgetBlock(b *hcl.Block) *blockConfig {
	as, _, diags := d.block(b.Body, budgetArgs)
	if as.get("max_usd") == nil && !diags.HasErrors() && !d.isBroken(bodyRange(b)) {
		d.errorf(b.DefRange, "Missing required argument", "Say what a run may cost, in US dollars: max_usd = 5.")
	}
	return &blockConfig{b.DefRange, as}
}
