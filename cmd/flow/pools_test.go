package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// poolsWorkflow has tasks that each hold one of four locks while they run: a fifth finds none.
const poolsWorkflow = `
workflow "pools" {}
variable "dir" { type = string }
variable "tag" { type = string }
variable "tasks" { type = number }
pool "db" { slots = 4 }
step "load" {
  for_each = range(var.tasks)
  pools    = { db = 1 }
  cache    = false
  env      = { DIR = var.dir, TAG = var.tag }
  script   = <<-SH
    for i in 1 2 3 4; do
      exec 9> "$DIR/slot-$i"
      if flock -n 9; then
        echo $TAG >> "$DIR/ran"
        sleep 0.02 9>&-
        exit 0
      fi
    done
    echo $TAG >> "$DIR/wrong"
  SH
}
`

// TestPoolsOfProcesses: two processes with one state file never use more of a pool together
// than there is, and what one has that is killed is there for the other.
func TestPoolsOfProcesses(t *testing.T) {
	t.Parallel()
	b := &killBench{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(b.dir, "pools.hcl"), []byte(poolsWorkflow), 0o666); err != nil {
		t.Fatal(err)
	}
	args := func(tag, tasks string) []string {
		return []string{"run", "-vcpus", "16", "-memory", "64GiB", "-var", "dir=" + b.dir, "-var", "tag=" + tag, "-var", "tasks=" + tasks, "pools.hcl"}
	}
	killed, other := b.command(args("killed", "100")...), b.command(args("other", "12")...)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	b.ran("killed", 3)
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	b.ran("other", 3) // it gets its turn though the first one has much to do
	_ = killed.Process.Signal(syscall.SIGKILL)
	if err := killed.Wait(); err == nil {
		t.Error("it was over before it could be killed")
	}
	if err := other.Wait(); err != nil {
		t.Errorf("the run that was not killed: %v", err)
	}
	var runs []struct{ Run, Status string }
	b.decode(&runs, "list", "-json")
	for _, r := range runs {
		if r.Status != "SUCCEEDED" {
			b.output("resume", r.Run)
		}
	}
	if wrong, err := os.ReadFile(filepath.Join(b.dir, "wrong")); err == nil {
		t.Errorf("%d tasks were one too many", strings.Count(string(wrong), "\n"))
	}
	b.ran("killed", 100)
	b.ran("other", 12)
}

// ran waits until so many tasks of a run have begun, and returns how many have.
func (b *killBench) ran(tag string, least int) int {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(b.dir, "ran"))
		n := strings.Count(string(text), tag+"\n")
		if n >= least {
			return n
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("of %s, %d tasks have run, want %d", tag, n, least)
		}
	}
}
