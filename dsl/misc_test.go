package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"flow/engine"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.hcl": "b", "a.hcl": "a", "c.hcl.json": "{}", "flow.config.hcl": "no", "prod.vars.hcl": "no", ".hidden.hcl": "no", "notes.txt": "no",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d.hcl"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, sources, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Source{{"a.hcl", []byte("a")}, {"b.hcl", []byte("b")}, {"c.hcl.json", []byte("{}")}}
	if diff := cmp.Diff(want, sources); diff != "" || got != dir {
		t.Error(got, diff)
	}
	if got, sources, err = Read(filepath.Join(dir, "b.hcl")); err != nil || got != dir || len(sources) != 1 || sources[0].Name != "b.hcl" {
		t.Error(got, sources, err)
	}
	for _, path := range []string{"notes.txt", "missing.hcl"} {
		if _, _, err := Read(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
	if _, _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no .hcl") {
		t.Errorf("empty directory: %v", err)
	}
}

func TestSeveralFiles(t *testing.T) {
	p, diags := Load("/w", []Source{
		{"a.hcl", []byte("step \"a\" {\n  command = [\"x\", local.v]\n  output \"f\" { file = \"f\" }\n}\n")},
		{"b.hcl.json", []byte(`{"locals": {"v": "text"}, "step": {"b": {"inputs": {"f": "${step.a.outputs.f}"}, "command": ["y"]}}}`)},
	})
	if len(diags) > 0 {
		t.Fatal(show(p, diags))
	}
	if got := deps(t, p, "b"); got != "a:whole:1" || p.Workflow.Name != "w" {
		t.Errorf("deps %q, name %q", got, p.Workflow.Name)
	}
	// A file that cannot be read at all hides names; using them is no further mistake.
	p, diags = Load("/w", []Source{
		{"a.hcl", []byte("step \"a\" { command = [\"x\", step.b.outputs.f, var.v, local.w] }\n")},
		{"b.hcl.json", []byte(`{"step": {`)},
	})
	if len(diags) != 1 || diags[0].Subject.Filename != "b.hcl.json" {
		t.Error(show(p, diags))
	}
}

// TestGuarded: a step whose `when` is false needs no values.
func TestGuarded(t *testing.T) {
	w := bind(t, `
variable "token" {
  type    = string
  default = null
}
step "a" {
  when    = var.token != null
  command = ["x", "--token=${var.token}"]
}
`)
	if exp := w.expand("a"); exp.Absent[0] != engine.ReasonWhen {
		t.Errorf("%+v", exp)
	}
}

func TestSkippedThroughLocal(t *testing.T) {
	w := bind(t, `
locals { arg = "--f=${step.maybe.outputs.f}" }
step "maybe" {
  when    = false
  command = ["x"]
  output "f" { file = "f" }
}
step "a" { command = ["x", local.arg] }
`)
	w.expand("maybe")
	if exp := w.expand("a"); exp.Absent[0] != "maybe" {
		t.Errorf("%+v", exp)
	}
}

func TestOptional(t *testing.T) {
	w := bind(t, `
step "a" {
  command = ["x"]
  output "f" {
    file     = "f"
    optional = true
  }
  output "fs" {
    files    = "*"
    optional = true
  }
}
step "b" {
  inputs  = { f = step.a.outputs.f, fs = step.a.outputs.fs }
  command = ["x"]
}
`)
	w.expand("a")
	w.ends("a", 0, engine.Succeeded, `{"f": null, "fs": null}`)
	want := []engine.Input{{Name: "fs", List: true, Paths: []string{}}}
	if diff := cmp.Diff(want, w.expand("b").Specs[0].Inputs); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	w := bind(t, `
workflow "d" {
  defaults {
    shell  = ["sh", "-c"]
    env    = { A = "1", B = "1", C = "1" }
    inputs = { ref = "ref.fa" }
    resources { memory = "4 GiB" }
    retry { attempts = 5 }
  }
}
step "s" {
  script = "x"
  env    = { B = "2", C = null }
  resources { vcpus = 8 }
}
step "c" {
  command = ["x"]
  inputs  = { ref = null, own = "o" }
  retry { attempts = 2 }
}
`)
	s := w.expand("s").Specs[0]
	want := &engine.TaskSpec{
		Script: "x", Shell: []string{"sh", "-c"}, Env: map[string]string{"A": "1", "B": "2"},
		Inputs:    []engine.Input{{Name: "ref", Paths: []string{w.tmpl.p.abs("ref.fa")}}},
		Outputs:   []engine.Output{},
		Resources: []engine.Resources{{VCPUs: 8, MemoryMiB: 4096}},
		Retry:     engine.Retry{Attempts: 5},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	c := w.expand("c").Specs[0]
	if c.Shell != nil || len(c.Inputs) != 1 || c.Inputs[0].Name != "own" || c.Retry.Attempts != 2 {
		t.Errorf("%+v", c)
	}
}

func TestConversions(t *testing.T) {
	for text, want := range map[string]string{
		"1d": "24h0m0s", "1d12h": "36h0m0s", "90s": "1m30s", "1h30m": "1h30m0s", "0s": "", "-1h": "", "2": "", "1 day": "", "": "", "d": "", "9999d": "",
	} {
		d, err := parseDuration(text)
		got := d.String()
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("duration %q: %s (%v), want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]int{
		"4 GiB": 4096, "512MiB": 512, "512": 512, "1.5GiB": 1536, "1 TiB": 1 << 20, "1 KiB": 1, "4 GB": 0, "4g": 0, "-1": 0, "0": 0, "": 0, "x": 0,
	} {
		got, err := parseMiB(text)
		if (err != nil) != (want == 0) || err == nil && got != want {
			t.Errorf("size %q: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	once := Format([]byte("step \"a\" {\ncommand=[\"x\"]\n  env = {A=1}\n}\n"))
	if want := "step \"a\" {\n  command = [\"x\"]\n  env     = { A = 1 }\n}\n"; string(once) != want {
		t.Errorf("got %s", once)
	}
	if twice := Format(once); string(twice) != string(once) {
		t.Error("formatting twice changes more")
	}
}

// TestCycles: a graph has cycles if it cannot be sorted, and each one told is a way round.
func TestCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "n")
		to := make([][]int, n)
		for v := range to {
			to[v] = rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 2).Draw(t, "to")
		}
		edges := func(v int) (out []edge) {
			for _, w := range to[v] {
				out = append(out, edge{w, hcl.Range{Start: hcl.Pos{Byte: v}}})
			}
			return out
		}
		found := cycles(n, edges)
		for _, c := range found {
			at := c.way[len(c.way)-1].to
			for _, e := range c.way {
				ok := false
				for _, w := range to[at] {
					ok = ok || w == e.to
				}
				if !ok {
					t.Fatalf("%v: no edge %d -> %d", to, at, e.to)
				}
				at = e.to
			}
		}
		left := n
		gone := make([]bool, n)
		for again := true; again; {
			again = false
			for v := range to {
				free := !gone[v]
				for _, w := range to[v] {
					free = free && gone[w]
				}
				if free {
					gone[v], again = true, true
					left--
				}
			}
		}
		if (left > 0) != (len(found) > 0) {
			t.Fatalf("%v: %d vertices wait for each other, %d cycles found", to, left, len(found))
		}
	})
}

func TestEmbedded(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"run.sh": "echo one", "t.txt": "text", "x.tpl": "${a}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sources := []Source{{"main.hcl", []byte(`
variable "n" { default = "t.txt" }
step "a" {
  script_file = "${path.module}/run.sh"
  env         = { T = file("t.txt"), U = templatefile("x.tpl", { a = 1 }), V = file(var.n) }
}
`)}}
	p, diags := Load(dir, sources)
	if len(diags) > 0 {
		t.Fatal(show(p, diags))
	}
	sources = append(sources, p.Embedded()...)
	if len(sources) != 4 {
		t.Fatalf("embedded: %v", sources[1:])
	}
	if err := os.WriteFile(filepath.Join(dir, "run.sh"), []byte("echo two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, diags = Load(dir, sources); len(diags) > 0 {
		t.Fatal(show(p, diags))
	}
	if spec := bindProgram(t, p).expand("a").Specs[0]; spec.Script != "echo one" || spec.Env["U"] != "1" {
		t.Errorf("%+v", spec)
	}
}
