package dsl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// TestConsumables: those of the step are added to those of the defaults, by name, and what
// each task asks for is checked when it is known.
func TestConsumables(t *testing.T) {
	const infra = `
consumable_resource "license" {
  name           = "lab-license"
  total_quantity = 2
}
consumable_resource "theirs" { existing = "theirs" }
variable "most" { default = 2 }
workflow "w" {
  defaults { consumable_resources = { (consumable_resource.license.name) = 1, tokens = 5 } }
}
`
	w := bind(t, infra+`
step "plain" { command = ["x"] }
step "more" {
  command              = ["x"]
  consumable_resources = { lab-license = 2, (consumable_resource.theirs.name) = 1000 }
}
step "less" {
  command              = ["x"]
  consumable_resources = { lab-license = null, absent = null }
}
step "none" {
  command              = ["x"]
  consumable_resources = { lab-license = null, tokens = null }
}
step "each" {
  for_each             = range(1, var.most + 1)
  command              = ["x"]
  consumable_resources = { lab-license = each.value }
}
`)
	for step, want := range map[engine.StepName][]engine.Consumable{
		"plain": {{Resource: "lab-license", Quantity: 1}, {Resource: "tokens", Quantity: 5}},
		"more":  {{Resource: "lab-license", Quantity: 2}, {Resource: "theirs", Quantity: 1000}, {Resource: "tokens", Quantity: 5}},
		"less":  {{Resource: "tokens", Quantity: 5}},
		"none":  {},
		"each":  {{Resource: "lab-license", Quantity: 1}, {Resource: "tokens", Quantity: 5}},
	} {
		if diff := cmp.Diff(want, w.expand(step).Specs[0].Consumables); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}

	// What is known only when the tasks are made.
	w = bind(t, infra+`
step "first" {
  command = ["x"]
  output "n" { text = "n" }
}
step "asks" {
  command              = ["x"]
  consumable_resources = { lab-license = tonumber(step.first.outputs.n) }
}
`)
	w.expand("first")
	for n, want := range map[string]string{"2": "", "3": "there are only 2", "0": "at least 1"} {
		w.ends("first", 0, engine.Succeeded, `{"n": "`+n+`"}`)
		if want == "" {
			w.expand("asks")
		} else if got := w.fails("asks"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", n, got, want)
		}
	}
}
