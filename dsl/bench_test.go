package dsl

import (
	"fmt"
	"strings"
	"testing"

	"flow/engine"
)

// chain is a workflow of n steps, each of which reads what the one before it made.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("variable \"first\" {\n  type    = string\n  default = \"a.fq\"\n}\nlocals { dir = \"out\" }\n")
	for i := range n {
		in := "var.first"
		if i > 0 {
			in = fmt.Sprintf("step.s%d.outputs.o", i-1)
		}
		fmt.Fprintf(&b, `
step "s%d" {
  inputs  = { reads = %s }
  env     = { N = %d, DIR = "${local.dir}/%d" }
  timeout = "2h"
  script  = <<-SH
    sort "$reads" > $o
    echo ${local.dir} done
  SH
  output "o" { file = "o%d.txt" }
  resources {
    vcpus  = 2
    memory = "${2 * attempt} GiB"
  }
}
`, i, in, i, i, i)
	}
	return b.String()
}

func BenchmarkLoad1000Steps(b *testing.B) {
	src := []Source{{Name: "chain.hcl", Bytes: []byte(chain(1000))}}
	for b.Loop() {
		p, diags := Load("/w", src)
		if len(diags) > 0 {
			b.Fatal(show(p, diags))
		}
	}
}

func BenchmarkExpand1000Steps(b *testing.B) {
	p := loadText(b, chain(1000))
	for b.Loop() {
		w := bindProgram(b, p)
		for _, s := range p.Workflow.Steps {
			w.expand(s.Name)
		}
	}
}

// BenchmarkElementChain is 300 steps in a row, element by element, of 10 tasks each.
func BenchmarkElementChain(b *testing.B) {
	var t strings.Builder
	t.WriteString("step \"s0\" {\n  for_each = range(10)\n  command = [\"x\", each.key]\n  output \"o\" { file = \"${each.key}.txt\" }\n}\n")
	for i := 1; i < 300; i++ {
		fmt.Fprintf(&t, "step \"s%d\" {\n  for_each = step.s%d.each\n  command = [\"x\", each.value.outputs.o]\n  output \"o\" { file = \"${each.key}.txt\" }\n}\n", i, i-1)
	}
	text := t.String()
	for b.Loop() {
		w := bind(b, text)
		for _, s := range w.tmpl.Workflow().Steps {
			w.expand(s.Name)
		}
	}
}

func benchmarkExpand(b *testing.B, text string, last engine.StepName) {
	w := bind(b, text)
	for _, s := range w.tmpl.Workflow().Steps {
		if s.Name != last {
			w.expand(s.Name)
		}
	}
	for b.Loop() {
		if n := len(w.expand(last).Specs); n == 0 {
			b.Fatal("no tasks")
		}
	}
}

const tenThousand = `
step "a" {
  for_each = range(10000)
  command  = ["true"]
  output "o" { file = "o.txt" }
}
`

func BenchmarkExpandShared(b *testing.B) { benchmarkExpand(b, tenThousand, "a") }

func BenchmarkExpandEach(b *testing.B) {
	benchmarkExpand(b, `
step "a" {
  for_each = [for i in range(10000) : "data/sample-${i}.fq"]
  inputs   = { reads = each.value }
  env      = { KEY = each.key, N = "${each.index}" }
  script   = "align $reads ${each.key} > $bam"
  output "bam" { file = "${each.key}.bam" }
}
`, "a")
}

func BenchmarkExpandElement(b *testing.B) {
	benchmarkExpand(b, tenThousand+`
step "b" {
  for_each = step.a.each
  inputs   = { o = each.value.outputs.o }
  command  = ["cat", each.key]
}
`, "b")
}

func BenchmarkExpandGather(b *testing.B) {
	benchmarkExpand(b, tenThousand+`
step "b" {
  inputs  = { all = step.a.outputs.o }
  command = ["cat"]
}
`, "b")
}

func BenchmarkExpandGroups(b *testing.B) {
	benchmarkExpand(b, tenThousand+`
step "b" {
  inputs  = { all = [for t in step.a.each : t.outputs.o if t.value < 5000] }
  command = ["cat"]
}
`, "b")
}
