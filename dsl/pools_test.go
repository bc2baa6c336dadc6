package dsl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// TestPools: those of a step are added to those of the defaults, by name; to AWS Batch they
// are consumable resources.
func TestPools(t *testing.T) {
	const head = `
variable "slots" { default = 4 }
pool "db" { slots = var.slots }
pool "api" { slots = 2 }
workflow "w" {
  defaults { pools = { db = 1 } }
}
`
	w := bind(t, head+`
step "plain" { command = ["x"] }
step "more" {
  command              = ["x"]
  pools                = { db = 3, api = 2 }
  consumable_resources = { license = 1 }
}
step "none" {
  command = ["x"]
  pools   = { db = null, api = null }
}
step "each" {
  for_each = range(2, 5)
  command  = ["x"]
  pools    = { db = each.value }
}
`)
	for step, want := range map[engine.StepName][]engine.Consumable{
		"plain": {{Resource: "db", Quantity: 1, Pool: true}},
		"more":  {{Resource: "api", Quantity: 2, Pool: true}, {Resource: "db", Quantity: 3, Pool: true}, {Resource: "license", Quantity: 1}},
		"none":  {},
		"each":  {{Resource: "db", Quantity: 2, Pool: true}},
	} {
		if diff := cmp.Diff(want, w.expand(step).Specs[0].Consumables); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	var got []engine.Pool
	for _, p := range w.tmpl.wf.Pools {
		got = append(got, engine.Pool{Name: p.Name, Slots: p.Slots})
	}
	if diff := cmp.Diff([]engine.Pool{{Name: "db", Slots: 4}, {Name: "api", Slots: 2}}, got); diff != "" {
		t.Errorf("pools (-want +got):\n%s", diff)
	}
	if c := w.tmpl.wf.Infra.Consumables[0]; c.Name != "db" || c.Total != 4 || !c.Pool || c.NonReplenished {
		t.Errorf("on AWS Batch the pool is %+v", c)
	}

	w = bind(t, head+`
step "first" {
  command = ["x"]
  output "n" { text = "n" }
}
step "asks" {
  command = ["x"]
  pools   = { db = tonumber(step.first.outputs.n) }
}
`)
	w.expand("first")
	for n, want := range map[string]string{"4": "", "5": "there are only 4", "0": "at least 1"} {
		w.ends("first", 0, engine.Succeeded, `{"n": "`+n+`"}`)
		if want == "" {
			w.expand("asks")
		} else if got := w.fails("asks"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", n, got, want)
		}
	}
}
