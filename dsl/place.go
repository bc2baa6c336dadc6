package dsl

import (
	"strings"

	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// A Place is where an argument of a step stands.
type Place struct {
	Range hcl.Range // of its value, or of the nearest block around where it would stand
	Given bool      // it is there, in the step or in the defaults
	Own   bool      // it is there in the step itself
	// Hidden says that it may be there all the same, where an error hides it.
	Hidden bool
}

// Place finds an argument of a step by its path: "image", "tags.project",
// "resources.memory", "retry.when.oom.reason", "container.volume.data.efs_root". What the
// step does not say is looked for in the defaults of the workflow, and tags in those of the
// workflow as well.
func (p *Program) Place(step engine.StepName, arg string) (place Place) {
	s := p.stepIndex[string(step)]
	if s == nil {
		return Place{}
	}
	pl := &placer{defaults: p.defaults(), Place: Place{Range: s.rng}}
	defer func() {
		place.Hidden = !place.Given && (p.broken || p.lost.anything || s.incomplete || s.shaky || pl.defaults.incomplete)
	}()
	head, rest, _ := strings.Cut(arg, ".")
	switch head {
	case "resources":
		pl.block(s.resources, rest)
	case "retry":
		pl.retry(s.retry, rest)
	case "container":
		pl.container(s.container, rest)
	case "output":
		pl.output(s, rest)
	default:
		pl.arg(s.args, head, rest)
	}
	if head == "tags" && p.workflow != nil && p.workflow.args.get(head) != nil && !pl.exact {
		over := pl.Place
		if pl.arg(p.workflow.args, head, rest); over.Given && !pl.exact {
			pl.Place = over
		}
	}
	return pl.Place
}

// Diagnose returns an error about an argument of a step, which points to where it stands.
func (p *Program) Diagnose(step engine.StepName, arg, summary, detail string) *hcl.Diagnostic {
	return errorf(p.Place(step, arg).Range, summary, "%s", detail)
}

// defaults returns the `defaults` block, or an empty one.
func (p *Program) defaults() *stepConfig {
	if p.workflow == nil || p.workflow.defaults == nil {
		return &stepConfig{}
	}
	return p.workflow.defaults
}

// A placer goes from blocks to those in them.
type placer struct {
	Place
	defaults *stepConfig
	exact    bool // the value of the key was found
}

// enter goes into a block, of which own says whether the step itself has it.
func (pl *placer) enter(rng hcl.Range, own bool) {
	pl.Place = Place{Range: rng, Given: true, Own: own}
}

// arg goes to an argument, and in it to the value of a key if that is written out. Of an
// argument that merges the last counts that has the key.
func (pl *placer) arg(as args, name, key string) {
	found := false
	for i := len(as) - 1; i >= 0; i-- {
		a := as[i]
		if a.name != name {
			continue
		}
		rng := a.expr.Range()
		if key != "" {
			_, value := keyRange(a.expr, key)
			rng, pl.exact = value, value != rng
		}
		if !found || pl.exact {
			pl.enter(rng, !a.inherited)
			found = true
		}
		if key == "" || pl.exact {
			return
		}
	}
	if !found {
		pl.Given, pl.Own = false, false
	}
}

func (pl *placer) block(b *blockConfig, name string) {
	if b == nil {
		return
	}
	pl.enter(b.rng, b != pl.defaults.resources)
	if name != "" {
		pl.arg(b.args, name, "")
	}
}

func (pl *placer) retry(r *retryConfig, rest string) {
	if r == nil {
		return
	}
	pl.enter(r.rng, !r.inherited)
	if rest == "attempts" && r.attempts != nil {
		pl.arg(args{r.attempts}, rest, "")
		return
	}
	rest, ok := strings.CutPrefix(rest, "when.")
	for _, rule := range r.rules {
		if name, is := cutName(rest, rule.class); ok && is {
			pl.enter(rule.rng, !r.inherited)
			pl.arg(rule.args, name, "")
			return
		}
	}
}

// cutName returns what stands behind a name, which may have dots in it, in a path.
func cutName(s, name string) (rest string, ok bool) {
	if s == name {
		return "", true
	}
	return strings.CutPrefix(s, name+".")
}

func (pl *placer) container(c *containerConfig, rest string) {
	if c == nil {
		return
	}
	def := pl.defaults.container
	pl.enter(c.rng, def == nil || c.rng != def.rng)
	if rest == "" {
		return
	}
	if path, ok := strings.CutPrefix(rest, "volume."); ok {
		pl.volume(c, path)
		return
	}
	if name, ok := strings.CutPrefix(rest, "log_configuration."); ok {
		if l := c.logging; l != nil {
			pl.enter(l.rng, def == nil || l != def.logging)
			pl.arg(l.args, name, "")
		}
		return
	}
	name, key, _ := strings.Cut(rest, ".")
	pl.arg(c.args, name, key)
}

func (pl *placer) volume(c *containerConfig, path string) {
	for _, v := range c.volumes {
		if name, ok := cutName(path, v.name); ok {
			pl.enter(v.rng, true)
			if name != "" {
				pl.arg(v.args, name, "")
			}
			return
		}
	}
}

func (pl *placer) output(s *stepConfig, path string) {
	for _, o := range s.outputs {
		if name, ok := cutName(path, o.name); ok {
			pl.enter(o.rng, true)
			if name == "publish" && o.publish != nil {
				pl.enter(o.publish.expr.Range(), true)
			}
			return
		}
	}
}
