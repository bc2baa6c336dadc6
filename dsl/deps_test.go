package dsl

import (
	"fmt"
	"strings"
	"testing"

	"flow/engine"
)

func deps(t *testing.T, p *Program, step string) string {
	t.Helper()
	var out []string
	for _, d := range p.Workflow.Step(engine.StepName(step)).Deps {
		out = append(out, fmt.Sprintf("%s:%s:%d", d.Step, d.Kind, d.Need))
	}
	return strings.Join(out, " ")
}

const (
	order  = int(engine.NeedOrder)
	tasks  = int(engine.NeedTasks)
	values = int(engine.NeedValues)
)

func TestDeps(t *testing.T) {
	p := loadText(t, `
locals {
  bams = step.x.outputs.bam
  both = [local.bams, step.single.outputs.f]
}
step "single" {
  script = "true"
  output "f" { file = "f" }
  output "opt" {
    file     = "o"
    optional = true
  }
  output "j" { json = "j" }
}
step "x" {
  for_each = [1, 2]
  script   = "true"
  output "bam" { file = "bam" }
}
step "mixed" {
  for_each = ["a", "b"]
  script   = "true"
  output "f" { file = "f" }
  output "n" { text = "n" }
}
step "tolerant" {
  for_each = [1, 2]
  script   = "true"
  output "f" { file = "f" }
  tolerate { failed = 1 }
}
step "static" { command = ["a", step.single.outputs.f] }
step "optional" { command = ["a", jsonencode(step.single.outputs.opt)] }
step "json" { command = ["a", step.single.outputs.j] }
step "wholestep" { command = ["a", jsonencode(step.single)] }
step "order" {
  command    = ["a"]
  depends_on = [step.single, step.x]
}
step "gather" {
  inputs = { b = step.x.outputs.bam }
  command = ["a"]
}
step "tolerated" {
  inputs = { b = step.tolerant.outputs.f }
  command = ["a"]
}
step "element" {
  for_each = step.x.each
  command  = ["a", each.value.outputs.bam]
}
step "elementvalues" {
  for_each = step.mixed.each
  command  = ["a", each.value.outputs.n]
}
step "elementstatic" {
  for_each = step.mixed.each
  command  = ["a", each.value.outputs.f, each.key]
}
step "elementtolerant" {
  for_each = step.tolerant.each
  command  = ["a", each.value.outputs.f]
}
step "elementall" {
  for_each = step.mixed.each
  command  = ["a", jsonencode(each.value)]
}
step "both" {
  for_each = step.x.each
  command  = ["a", each.value.outputs.bam, length(step.x.outputs.bam)]
}
step "orderelement" {
  for_each   = step.x.each
  command    = ["a"]
  depends_on = [step.x]
}
step "vialocal" { command = ["a", jsonencode(local.both)] }
step "eachkeys" { command = concat(["a"], keys(step.mixed.each)) }
step "eachone" { command = ["a", step.mixed.each["a"].outputs.f] }
step "eachonevalue" { command = ["a", step.mixed.each["a"].outputs.n] }
step "through" {
  for_each = step.elementstatic.each
  command  = ["a", each.value.value.outputs.n]
}
step "dynamicfan" {
  for_each = step.x.outputs.bam
  command  = ["a"]
}
step "throughpath" {
  for_each = step.element.each
  inputs   = { bam = each.value.value.outputs.bam }
  command  = ["a"]
}
step "throughitem" {
  for_each = step.dynamicfan.each
  inputs   = { bam = each.value.value }
  command  = ["a"]
}
step "throughwhole" {
  for_each = step.elementstatic.each
  command  = ["a", jsonencode(each.value)]
}
step "throughkey" {
  for_each = step.element.each
  command  = ["a", each.value.value.key]
}
step "eachitems" {
  inputs  = { bams = [for t in step.dynamicfan.each : t.value] }
  command = ["a"]
}
step "eachtasks" {
  command = ["a", jsonencode([for t in step.elementstatic.each : t.value.outputs.n])]
}
step "eachlocal" { command = ["a", jsonencode(local.items)] }
locals { items = step.dynamicfan.each["0"].value }
`)
	d := func(step, kind string, need int) string { return fmt.Sprintf("%s:%s:%d", step, kind, need) }
	for step, want := range map[string]string{
		"static":          d("single", "whole", tasks),
		"optional":        d("single", "whole", values),
		"json":            d("single", "whole", values),
		"wholestep":       d("single", "whole", values),
		"order":           d("single", "whole", order) + " " + d("x", "whole", order),
		"gather":          d("x", "whole", tasks),
		"tolerated":       d("tolerant", "whole", values),
		"element":         d("x", "element", tasks),
		"elementvalues":   d("mixed", "element", values),
		"elementstatic":   d("mixed", "element", tasks),
		"elementtolerant": d("tolerant", "element", tasks),
		"elementall":      d("mixed", "element", values),
		"both":            d("x", "whole", tasks),
		"orderelement":    d("x", "whole", tasks),
		"vialocal":        d("single", "whole", tasks) + " " + d("x", "whole", tasks),
		"eachkeys":        d("mixed", "whole", values),
		"eachone":         d("mixed", "whole", tasks),
		"eachonevalue":    d("mixed", "whole", values),
		"through":         d("elementstatic", "element", tasks) + " " + d("mixed", "element", values),
		// What the items of another step are made from is used as well.
		"throughpath":  d("element", "element", tasks) + " " + d("x", "element", tasks),
		"throughitem":  d("dynamicfan", "element", tasks) + " " + d("x", "whole", tasks),
		"throughwhole": d("elementstatic", "element", tasks) + " " + d("mixed", "element", values),
		"throughkey":   d("element", "element", tasks) + " " + d("x", "element", tasks),
		"eachitems":    d("dynamicfan", "whole", tasks) + " " + d("x", "whole", tasks),
		"eachtasks":    d("elementstatic", "whole", tasks) + " " + d("mixed", "whole", values),
		"eachlocal":    d("dynamicfan", "whole", tasks) + " " + d("x", "whole", tasks),
		"dynamicfan":   d("x", "whole", tasks),
		"single":       "",
	} {
		if got := deps(t, p, step); got != want {
			t.Errorf("%s: deps %q, want %q", step, got, want)
		}
	}
}

// The outputs that a step reads of another are known by name, where a reference says it.
func TestReads(t *testing.T) {
	p := loadText(t, `
locals { f = step.single.outputs.f }
step "single" {
  script = "true"
  output "f" { file = "f" }
  output "g" { file = "g" }
}
step "x" {
  for_each = [step.single.outputs.g]
  script   = "true"
  output "a" { file = "a" }
  output "b" { file = "b" }
}
step "one" { command = ["a", step.single.outputs.f] }
step "two" { command = ["a", local.f, step.single.outputs["g"]] }
step "whole" { command = ["a", jsonencode(step.single)] }
step "outputs" { command = ["a", jsonencode(step.single.outputs)] }
step "order" {
  command    = ["a"]
  depends_on = [step.single]
}
step "gather" { command = ["a", step.x.outputs.a[0]] }
step "element" {
  for_each = step.x.each
  command  = ["a", each.value.outputs.b]
}
step "keys" {
  for_each = step.x.each
  command  = ["a", each.key]
}
step "made" {
  for_each = step.x.each
  command  = ["a", each.value.value]
}
step "task" { command = ["a", step.x.each["k"].outputs.a] }
step "all" { command = ["a", jsonencode([for t in step.x.each : t.outputs.a])] }
step "items" {
  for_each = step.x.each
  command  = ["a", jsonencode(each.value)]
}
`)
	for step, want := range map[string]string{
		"one": "single[f]", "two": "single[f g]", "whole": "single*", "outputs": "single*", "order": "single[]", "gather": "x[a]", "element": "x[b]",
		"keys": "x[]", "made": "x[] single[g]", "task": "x[a]", "all": "x* single[g]", "items": "x* single[g]",
	} {
		var got []string
		for _, d := range p.Workflow.Step(engine.StepName(step)).Deps {
			text := string(d.Step) + fmt.Sprint(d.Outputs)
			if d.Outputs == nil {
				text = string(d.Step) + "*"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s reads %s, not %s", step, strings.Join(got, " "), want)
		}
	}
}
