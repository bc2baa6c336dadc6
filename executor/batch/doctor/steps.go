package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"flow/engine"
	"flow/executor/batch"
	"flow/executor/batch/capacity"
)

// placement tells of each step whether its jobs can ever be placed, in every attempt.
func (p *patient) placement(context.Context) []Line {
	if len(p.o.Steps) == 0 {
		return nil
	}
	w, err := p.world()
	if err != nil {
		return p.failed("steps", err)
	}
	var lines []Line
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		if !s.Sized {
			continue
		}
		for k := range w.queues {
			if q := &w.queues[k]; slices.Contains(q.steps, i) {
				lines = append(lines, p.place(w, q, s)...)
			}
		}
	}
	return lines
}

// A demand is what an attempt of a step asks for.
type demand struct {
	capacity.Need
	arg, when string // the argument that says so, and the attempt
	agent     string // how much of it is flow's agent's
}

// demands returns what the attempts of a step ask for, each once: those of its resources,
// and those of its retry rules.
func (s *Step) demands() []demand {
	var list []demand
	add := func(r engine.Resources, arg, when string) {
		spec := *s.Spec
		spec.Resources = r
		d := demand{capacity.NeedOf(&spec), arg, when, agentShare(&spec)}
		if !slices.ContainsFunc(list, func(o demand) bool { return o.Need == d.Need }) {
			list = append(list, d)
		}
	}
	task := s.Spec.Task
	for i := range max(len(task.Resources), 1) {
		when := ""
		if i > 0 {
			when = fmt.Sprintf(" in attempt %d", i+1)
		}
		add(task.ResourcesFor(i+1), "resources", when)
	}
	for _, rule := range task.Retry.Rules {
		for n := range max(len(rule.MemoryMiB), len(rule.VCPUs)) {
			r := task.ResourcesFor(n + 1)
			if len(rule.MemoryMiB) > 0 {
				r.MemoryMiB = rule.MemoryMiB[min(n, len(rule.MemoryMiB)-1)]
			}
			if len(rule.VCPUs) > 0 {
				r.VCPUs = rule.VCPUs[min(n, len(rule.VCPUs)-1)]
			}
			add(r, "retry.when."+rule.Class, " after a failure of the class "+rule.Class)
		}
	}
	return list
}

// places returns the environments of a queue: those that take jobs, if none does all that are
// there, else those that its block says flow is to make.
func (p *patient) places(w *world, q *queue) []capacity.Environment {
	var list []capacity.Environment
	there := w.of(q)
	some := slices.ContainsFunc(there, takes)
	for _, e := range there {
		if takes(e) || !some {
			list = append(list, capacity.FromDetail(*e))
		}
	}
	if b := p.queueBlock(q.title()); q.there == nil && b != nil {
		for _, ref := range b.Environments {
			if e := p.environmentBlock(lastPart(ref)); e != nil {
				list = append(list, capacity.FromBlock(e))
			}
		}
	}
	return list
}

// place tells whether the jobs of a step can be placed in a queue.
func (p *patient) place(w *world, q *queue, s *Step) []Line {
	name := string(s.Spec.Step)
	environments := p.places(w, q)
	if len(environments) == 0 {
		return nil // that is said of the queue
	}
	var lines []Line
	var fits, unsure []string
	for _, d := range s.demands() {
		var why, fixes []string
		placed := false
		for _, e := range environments {
			v := e.Judge(d.Need)
			switch {
			case v.Why != "":
				why = append(why, v.Why)
				if !slices.Contains(fixes, v.Fix) {
					fixes = append(fixes, v.Fix)
				}
			default:
				placed = true
				if !v.Sure() {
					unsure = append(unsure, v.Unknown...)
				}
				fits = appendNew(fits, e.Name)
			}
		}
		if !placed && !slices.ContainsFunc(lines, func(l Line) bool { return l.Where == s.where(d.arg) }) { // of several attempts the first
			if d.agent != "" {
				why = append(why, d.agent+" of what it needs is for flow's agent")
			}
			lines = append(lines, fault(name, strings.Join(fixes, "; or "), "its jobs can never be placed%s: %s", d.when, strings.Join(why, "; ")).at(s.where(d.arg)))
		}
	}
	switch demands := s.demands(); {
	case len(lines) > 0:
	case len(unsure) > 0:
		lines = append(lines, warning(name, "compare what the step asks for with these instance types yourself", "whether its jobs can be placed is not known: flow has no figures of %s", names(unsure)).at(s.where("resources")))
	default:
		lines = append(lines, ok(name, "%s can be placed in %s", largest(demands), names(fits)))
	}
	return lines
}

// largest says what the largest of the demands is.
func largest(list []demand) string {
	top := slices.MaxFunc(list, func(a, b demand) int {
		if a.VCPUs != b.VCPUs {
			return int(4*a.VCPUs) - int(4*b.VCPUs)
		}
		return a.MemoryMiB - b.MemoryMiB
	})
	if top.agent == "" {
		return top.String()
	}
	return fmt.Sprintf("%s (%s of it for flow's agent)", top.Need, top.agent)
}

// agentShare says how much of what a job needs is flow's agent's and not what its step asks
// for; "": nothing.
func agentShare(spec *engine.JobSpec) string {
	if !batch.NeedsAgent(spec) {
		return ""
	}
	all, task := batch.Asks(spec), spec.Resources
	var parts []string
	if n := all.VCPUs - cmp.Or(task.VCPUs, 1); n > 0 {
		parts = append(parts, capacity.VCPUs(n))
	}
	if n := all.MemoryMiB - cmp.Or(task.MemoryMiB, engine.DefaultMemoryMiB); n > 0 {
		parts = append(parts, fmt.Sprintf("%d MiB", n))
	}
	return strings.Join(parts, " and ")
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
