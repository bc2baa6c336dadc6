package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// cleanWorkflow makes many files, and takes over what an earlier run has made of them; with
// hold it is a run that goes on.
const cleanWorkflow = `
workflow "clean" {}
variable "n" { type = string }
variable "hold" { default = "" }
step "make" {
  env    = { N = var.n }
  script = "mkdir -p d && cd d && seq 400 | xargs touch && cd .. && echo $N > $o"
  output "o" { file = "o" }
  output "d" { directory = "d" }
}
step "use" {
  inputs = { o = step.make.outputs.o }
  env    = { HOLD = var.hold }
  script = "test -z \"$HOLD\" || { echo > \"$HOLD\"; sleep 600; }; cp $o $p"
  output "p" { file = "p" }
}
`

// TestCleanKilled kills flow clean for real, later each time, until it gets to its end: at
// each moment what a run has taken over that goes on is there, and so are all files of every
// run that flow still knows. In the end nothing is left of the others.
func TestCleanKilled(t *testing.T) {
	t.Parallel()
	b := &killBench{t: t, dir: t.TempDir()}
	if err := makeStateDir(filepath.Join(b.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "w.hcl"), []byte(cleanWorkflow), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2", "3", "4"} {
		b.output("run", "-q", "w.hcl", "-var", "n="+n)
	}
	began := filepath.Join(b.dir, "began")
	if out, err := exec.Command("mkfifo", began).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	live := b.command("run", "-q", "w.hcl", "-var", "n=2", "-var", "hold="+began)
	if err := live.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = live.Process.Kill()
		_ = live.Wait()
	}()
	if _, err := os.ReadFile(began); err != nil { // it has taken the result of the second run over
		t.Fatal(err)
	}
	killed := 0
	for delay := time.Duration(0); ; delay += 4 * time.Millisecond {
		clean := b.command("clean", "-q", "-keep", "0s")
		if err := clean.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- clean.Wait() }()
		var err error
		select {
		case err = <-done:
		case <-time.After(delay):
			killed++
			_ = clean.Process.Kill()
			<-done
			checkKnown(t, b, 2)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if killed == 0 {
		t.Error("it was never killed")
	}
	if runs := checkKnown(t, b, 2); len(runs) != 2 {
		t.Errorf("these runs are left: %v", runs)
	}
	left, _ := filepath.Glob(filepath.Join(b.dir, ".flow/work/*"))
	notes, _ := filepath.Glob(filepath.Join(b.dir, ".flow/clean/*"))
	if len(left) != 2 || len(notes) != 0 {
		t.Errorf("left in work_dir: %v, notes: %v", left, notes)
	}
}

// checkKnown checks that every run which flow knows has its files: least of them, the one
// that goes on and the one whose result it uses. It returns the runs.
func checkKnown(t *testing.T, b *killBench, least int) (runs []string) {
	t.Helper()
	var list []listedJSON
	b.decode(&list, "list", "-json")
	for _, r := range list {
		runs = append(runs, r.Run)
		dir := filepath.Join(b.dir, ".flow/work", r.Run)
		if _, err := os.Stat(dir + "/.run/run.json"); err != nil {
			t.Errorf("run %s is known: %v", r.Run, err)
		}
		if r.Status != engine.Succeeded {
			continue // its first task is CACHED
		}
		made, err := filepath.Glob(dir + "/make/_/result/d/*")
		if err != nil || len(made) != 400 {
			t.Errorf("run %s is known, and has %d of its 400 files (%v)", r.Run, len(made), err)
		}
	}
	if len(runs) < least {
		t.Errorf("only %s are known", strings.Join(runs, ", "))
	}
	return runs
}
