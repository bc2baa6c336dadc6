package dsl

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// PlaceOf returns where an argument of a block about AWS Batch itself stands, so that what
// others find wrong can be pointed at: its value, or the nearest block around where it would
// stand. kind is the kind of block ("job_queue"), label the block's, and arg a path:
// "subnets", "tags.project", "launch_template.version", "state_time_limit.ice.max_time",
// "share.lab.weight_factor"; in a job_definition also what [Program.Place] takes of a step,
// with its names for arguments ("env.PATH", "priority") as well as the block's own. "" is
// the block itself. Of the workflow block ("workflow", "") there is "budget.max_usd". The
// range is empty if there is no such block.
func (p *Program) PlaceOf(kind, label, arg string) hcl.Range {
	if kind == "workflow" {
		return p.placeOfBudget(arg)
	}
	c := p.infraBlock(kind, label)
	if c == nil {
		return hcl.Range{}
	}
	pl := &placer{defaults: &stepConfig{}, Place: Place{Range: c.rng}}
	head, rest, _ := strings.Cut(arg, ".")
	if c.step != nil {
		switch head {
		case "resources":
			pl.block(c.step.resources, rest)
			return pl.Range
		case "retry":
			pl.retry(c.step.retry, rest)
			return pl.Range
		case "container":
			pl.container(c.step.container, rest)
			return pl.Range
		case "env":
			head = "environment"
		case "priority":
			head = "scheduling_priority"
		}
	}
	for _, part := range c.parts {
		if path, ok := cutName(arg, part.typ); ok && pl.part(part, path) {
			return pl.Range
		}
	}
	pl.arg(c.args, head, rest)
	return pl.Range
}

// part goes to an argument of a block in a block, by the rest of its path. It is not ok if
// the path is of another one.
func (pl *placer) part(c *partConfig, rest string) bool {
	if c.label != "" {
		name, ok := cutName(rest, c.label)
		if !ok {
			return false
		}
		rest = name
	}
	pl.enter(c.rng, true)
	if rest != "" {
		pl.arg(c.args, rest, "")
	}
	return true
}

func (p *Program) placeOfBudget(arg string) hcl.Range {
	w := p.workflow
	if w == nil {
		return hcl.Range{}
	}
	pl := &placer{Place: Place{Range: w.rng}}
	head, rest, _ := strings.Cut(arg, ".")
	switch {
	case head != "budget":
		pl.arg(w.args, head, rest)
	case w.budget != nil:
		pl.enter(w.budget.rng, true)
		pl.arg(w.budget.args, rest, "")
	}
	return pl.Range
}
