package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

const placed = `workflow "w" {
  tags = {
    project = "hg38" # tags.project
  }
  defaults {
    image = "debian:13" # image
    tags  = {
      team = "a" # tags.team
      dc   = "b"
    }
    retry { # retry
      attempts = 3 # retry.attempts
      when "a.b" { # retry.when.a.b.exit_code
        reason = "x" # retry.when.a.b.reason
      }
    }
    container { # container.execution_role
      user = "nobody" # container.user
      volume "def" {
        path = "/def" # container.volume.def.path
      }
    }
  }
}
step "s" { # queue
  command = ["true"] # command
  tags = {
    dc = "c" # tags.dc
    # of the step itself
  }
  env = { A = "1" } # env.A
  resources { # resources.vcpus
    memory = "1GiB" # resources.memory
  }
  container {
    ulimits = {
      nofile = 5 # container.ulimits.nofile
    }
    volume "data" { # container.volume.data
      efs  = "fs-1" # container.volume.data.efs
      path = "/data"
    }
    log_configuration {
      driver = "syslog" # container.log_configuration.driver
    }
  }
  output "o" { # output.o
    file    = "o"
    publish = "p" # output.o.publish
  }
}
step "bare" { # output.o
  command = ["true"]
}
`

// TestPlace looks up every path that stands as a comment in a line, of the step s unless
// the line is one of another step.
func TestPlace(t *testing.T) {
	p, diags := Load(t.TempDir(), []Source{{Name: "w.hcl", Bytes: []byte(placed)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for i, line := range strings.Split(placed, "\n") {
		code, path, ok := strings.Cut(line, "# ")
		if !ok || strings.Contains(path, " ") {
			continue
		}
		step := engine.StepName("s")
		if strings.Contains(code, `"bare"`) {
			step = "bare"
		}
		if strings.TrimSpace(code) == "container {" {
			continue // below: the step has a block of its own
		}
		place := p.Place(step, path)
		if place.Range.Start.Line != i+1 {
			t.Errorf("%s %s: line %d, want %d", step, path, place.Range.Start.Line, i+1)
		}
		d := p.Diagnose(step, path, "Summary", "50% of it")
		if d.Subject.Start != place.Range.Start || d.Detail != "50% of it" {
			t.Errorf("%s: %v at %v", path, d, d.Subject)
		}
	}
	for path, want := range map[string][2]bool{ // given, own
		"image": {true, false}, "queue": {false, false}, "command": {true, true}, "resources.vcpus": {false, false},
		"resources.memory": {true, true}, "retry": {true, false}, "container": {true, true}, "container.user": {true, false},
		"container.execution_role": {false, false}, "container.ulimits": {true, true}, "inputs": {false, false},
	} {
		place := p.Place("s", path)
		if got := [2]bool{place.Given, place.Own}; got != want {
			t.Errorf("%s: given, own are %v, want %v", path, got, want)
		}
	}
	if place := p.Place("bare", "container"); !place.Given || place.Own || place.Range.Start.Line != 17 {
		t.Errorf("the container of the defaults: %+v", place)
	}
	if place := p.Place("nobody", "image"); place != (Place{}) {
		t.Errorf("a step that is not there: %+v", place)
	}
}

func TestSketch(t *testing.T) {
	const src = `
workflow "w" {
  executor = "batch"
  tags     = { all = "1" }
}
variable "n" { type = number }
variable "missing" { type = string }
step "list" {
  command = ["ls"]
  output "files" { files = "*" }
}
step "each" {
  for_each = step.list.outputs.files
  command  = ["wc", each.value]
  inputs   = { f = each.value, known = "k" }
  image    = "not an image"
  timeout  = "${var.n}s"
  env      = { A = var.missing, B = "b" }
  retry { attempts = 2 }
  resources { memory = "${attempt * 4} MiB" }
  container {
    platform = "FARGATE"
    user     = var.missing
  }
}
step "unknown" {
  command = ["true"]
  resources {
    vcpus  = 4
    memory = var.missing
  }
}
step "off" {
  when    = var.n > 100
  command = ["true"]
}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "k"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, _ := Load(dir, []Source{{Name: "w.hcl", Bytes: []byte(src)}}) // with an error: the image
	wf, specs := p.Sketch(VarInput{Args: []VarArg{{Set: "n=30"}}}, RunContext{Defaults: Defaults{Queue: "q", Tags: map[string]string{"site": "2"}}})
	if wf.Executor != "batch" {
		t.Errorf("executor %q", wf.Executor)
	}
	if specs["off"] != nil || len(specs) != 3 {
		t.Errorf("%d sketches, and of a step that does not run %v", len(specs), specs["off"])
	}
	if got := specs["unknown"].Resources; got != nil {
		t.Errorf("resources that are not known: %v", got)
	}
	got := specs["each"]
	want := &engine.TaskSpec{
		Command: []string{"wc", "?"}, Queue: "q", Env: map[string]string{"A": "", "B": "b"}, Timeout: 30e9,
		Inputs: []engine.Input{{Name: "f"}, {Name: "known", Paths: []string{filepath.Join(dir, "k")}}}, Outputs: []engine.Output{},
		Resources: []engine.Resources{{VCPUs: 1, MemoryMiB: 4}, {VCPUs: 1, MemoryMiB: 8}},
		Retry:     engine.Retry{Attempts: 2}, Tags: map[string]string{"all": "1", "site": "2"},
		Container: &engine.Container{Platform: "FARGATE"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
