package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killWorkflow has every kind of step. Each of its tasks notes in the file ran that it
// begins, and takes a few hundredths of a second.
const killWorkflow = `
workflow "kill" {}
variable "ran" { type = string }
locals { note = "echo \"$FLOW_RUN_ID $FLOW_STEP $FLOW_KEY\" >> \"$RAN\"; sleep 0.02" }
step "split" {
  env    = { RAN = var.ran }
  script = "${local.note}; for i in 1 2 3 4 5 6 7 8; do echo part $i > part-$i; done"
  output "parts" { files = "part-*" }
}
step "work" {
  for_each = step.split.outputs.parts
  inputs   = { part = each.value }
  env      = { RAN = var.ran }
  script   = "${local.note}; tr a-z A-Z < $part > $big"
  output "big" { file = "big" }
}
step "bare" {
  for_each = range(6)
  env      = { RAN = var.ran }
  script   = local.note
}
step "each" {
  for_each = step.work.each
  inputs   = { big = each.value.outputs.big }
  env      = { RAN = var.ran }
  script   = "${local.note}; rev $big > $small"
  output "small" { file = "small" }
}
step "merge" {
  inputs     = { smalls = step.each.outputs.small }
  depends_on = [step.bare]
  env        = { RAN = var.ran }
  script     = "${local.note}; cat $smalls/* > $all"
  output "all" { file = "all" }
}
output "all" { value = step.merge.outputs.all }
`

// A killBench runs the real command in a directory of its own.
type killBench struct {
	t   testing.TB
	dir string
	env []string // of commands, over the test's own
}

// command returns the command of a new process.
func (b *killBench) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"flow"}, args...) // see testscript.Main
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), b.env...)
	return cmd
}

// output runs a command that must succeed, and returns what it prints.
func (b *killBench) output(args ...string) []byte {
	b.t.Helper()
	cmd := b.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("flow %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// finished returns the tasks of the newest run that flow says have finished, with their attempts.
func (b *killBench) finished() (run string, tasks map[string]int) { return b.finishedOf("@last") }

// finishedOf is finished, of any run.
func (b *killBench) finishedOf(ref string) (run string, tasks map[string]int) {
	var status runJSON
	b.decode(&status, "status", "-json", ref)
	tasks = map[string]int{}
	for _, s := range status.Steps {
		if s.Size == nil {
			continue
		}
		var list []taskJSON
		b.decode(&list, "status", "-json", status.Run+"/"+s.Step)
		for _, t := range list {
			if t.Status.OK() {
				tasks[t.Task] = t.Attempts
			}
		}
	}
	return status.Run, tasks
}

func (b *killBench) decode(v any, args ...string) {
	b.t.Helper()
	if err := json.Unmarshal(b.output(args...), v); err != nil {
		b.t.Fatalf("flow %s: %v", strings.Join(args, " "), err)
	}
}

// begins returns how often each task of a run has begun.
func (b *killBench) begins(run string) map[string]int {
	text, err := os.ReadFile(filepath.Join(b.dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	n := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == run {
			name := f[1]
			if len(f) > 2 {
				name = fmt.Sprintf("%s[%q]", f[1], f[2])
			}
			n[name]++
		}
	}
	return n
}

var killTimes = flag.Int("kills", 0, "how often TestKilledAnywhere kills flow; 0: 20 times, with -short 4")

// often returns how often to do something: as a flag says, or else, of two numbers, the one
// for a whole test or the one for -short.
func often(said, whole, short int) int {
	switch {
	case said > 0:
		return said
	case testing.Short():
		return short
	}
	return whole
}

// TestKilledAnywhere kills the process that drives a run, at random moments and without
// warning, and resumes the run each time. It must end SUCCEEDED with the same result, and
// what flow had said to be finished must not have run again.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	const tasks = 24
	kills := often(*killTimes, 20, 4)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := &killBench{t: t, dir: t.TempDir()}
	if err := makeStateDir(filepath.Join(b.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "w.hcl"), []byte(killWorkflow), 0o644); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "w.hcl", "-no-cache", "-var", "ran=" + filepath.Join(b.dir, "ran")}
	begun := time.Now()
	b.output(run...)
	whole := time.Since(begun)
	want := b.result()

	resume := []string{"resume", "@last"}
	args, killed, runs := run, 0, 1
	before := map[string]int{} // attempts of the tasks of the run that were finished, at the last kill
	beganBefore := map[string]int{}
	for killed < kills || len(before) > 0 {
		newest := b.newest()
		moment := time.Duration(random.Int64N(int64(whole)))
		if killed == kills {
			moment = time.Hour
		}
		if b.endsBefore(moment, args...) {
			id, done := b.finished()
			if len(done) != tasks {
				t.Errorf("run %s has %d tasks that are finished, want %d", id, len(done), tasks)
			}
			b.same(before, done, beganBefore, b.begins(id))
			if got := b.result(); got != want {
				t.Errorf("the result of run %s differs:\n%s\nwant:\n%s", id, got, want)
			}
			args, before, beganBefore = run, map[string]int{}, map[string]int{}
			runs++
			continue
		}
		killed++
		if args[0] == "run" && b.newest() == newest {
			continue // it was killed before there was a run
		}
		id, done := b.finished()
		began := b.begins(id)
		b.same(before, done, beganBefore, began)
		args, before, beganBefore = resume, done, began
		if len(done) == 0 {
			before = map[string]int{"": 0} // the run is to be resumed nevertheless
		}
	}
	t.Logf("%d kills in %d runs, each about %v", killed, runs, whole.Round(time.Millisecond))
}

// endsBefore runs a command that must succeed, and kills it at the moment given, unless it
// has ended before.
func (b *killBench) endsBefore(moment time.Duration, args ...string) bool {
	b.t.Helper()
	cmd := b.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	killer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	err := cmd.Wait()
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return false
	}
	if err != nil {
		b.t.Fatalf("flow %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return true
}

// same checks that what was finished before still is, and has not begun again.
func (b *killBench) same(before, after, beganBefore, began map[string]int) {
	b.t.Helper()
	for task, attempts := range before {
		if task == "" {
			continue
		}
		if now, ok := after[task]; !ok || now != attempts || began[task] != beganBefore[task] {
			b.t.Errorf("%s was finished after %d attempts; now finished: %v, attempts: %d, begun %d times, before %d",
				task, attempts, ok, now, began[task], beganBefore[task])
		}
	}
}

// newest returns the id of the newest run, or "".
func (b *killBench) newest() string {
	id, _, _ := strings.Cut(string(b.output("list", "-n", "1")), "\t")
	return id
}

// result returns the content of the output of the newest run.
func (b *killBench) result() string { return b.resultOf("@last") }

// resultOf is result, of any run.
func (b *killBench) resultOf(ref string) string {
	b.t.Helper()
	text, err := os.ReadFile(string(b.output("outputs", "-raw", "all", ref)))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}
