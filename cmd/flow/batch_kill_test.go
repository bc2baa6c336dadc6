package main

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flow/engine"
)

// batchKillWorkflow has plain tasks and arrays, with and without flow's agent, known
// beforehand and at run time. Each task notes in the file ran that it begins.
const batchKillWorkflow = `
workflow "kill" {
  defaults {
    env   = { RAN = var.ran }
    shell = ["sh", "-euc"]
  }
}
variable "ran" { type = string }
locals { note = "echo \"$FLOW_RUN_ID $FLOW_STEP $FLOW_KEY\" >> \"$RAN\"" }
step "one" {
  script = local.note
}
step "fan" {
  for_each = range(5)
  script   = local.note
}
step "each" {
  for_each = step.fan.each
  script   = local.note
}
step "late" {
  depends_on = [step.one, step.each]
  for_each   = ["x", "y y", "z"]
  script     = local.note
}
step "split" {
  depends_on = [step.one]
  script     = "${local.note}; for i in 1 2 3; do echo part $i > part-$i; done"
  output "parts" { files = "part-*" }
}
step "work" {
  for_each = step.split.outputs.parts
  inputs   = { part = each.value }
  script   = "${local.note}; tr a-z A-Z < $part > $big"
  output "big" { file = "big" }
}
`

const batchKillTasks = 1 + 5 + 5 + 3 + 1 + 3

var batchKills = flag.Int("batch.kills", 0, "how often TestBatchKilledAnywhere kills flow; 0: 1000 times, with -short 20")

// TestBatchKilledAnywhere kills the processes that drive runs on a Batch that loses answers,
// throttles, breaks, and lists jobs late. The files that tasks write into, and the list of
// all jobs of the server, are the oracle: every task has run once, no job is alive or
// known to nobody.
func TestBatchKilledAnywhere(t *testing.T) {
	t.Parallel()
	kills, drivers := often(*batchKills, 1000, 20), often(0, 10, 3)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	lag, doubt := "20s", "25s"
	if raceEnabled { // which looks at flow, and not at how long Batch may take
		lag, doubt = "3s", "8s"
	}
	c := newCloud(t, "--runner", "process", "--keep-jobs", "0", "--chaos", fmt.Sprintf("lost-reply=5%%,5xx=5%%,throttle=50/s,list-lag=%s,seed=%d", lag, seed%1000))
	c.flags = append(c.flags, "-doubt", doubt)
	var left atomic.Int64
	left.Store(int64(kills))
	var all sync.WaitGroup
	var ended atomic.Int64
	begun := time.Now()
	for n := range drivers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for left.Load() > 0 {
				k := &killed{cloud: c, killBench: killBench{t: t, dir: filepath.Join(c.dir, fmt.Sprintf("%d-%d", n, ended.Add(1)))}, random: random, left: &left}
				k.toTheEnd()
			}
		})
	}
	all.Wait()
	t.Logf("%d kills of %d runs in %v; calls: %v", kills, ended.Load(), time.Since(begun).Round(time.Second), c.calls())
	c.calm()
	c.oracle()
}

// killed is one run that is killed again and again.
type killed struct {
	*cloud
	killBench
	random *rand.Rand
	left   *atomic.Int64 // kills, of all runs
}

// toTheEnd runs a workflow, killing it on the way as long as there are kills left.
func (k *killed) toTheEnd() {
	t := k.killBench.t
	if err := makeStateDir(filepath.Join(k.killBench.dir, stateDir)); err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(k.killBench.dir, "w.hcl"), []byte(batchKillWorkflow), 0o644); err != nil {
		t.Error(err)
		return
	}
	args := append([]string{"run", "w.hcl", "-no-cache", "-var", "ran=" + filepath.Join(k.cloud.dir, "ran")}, k.flags...)
	for {
		moment := time.Hour
		if k.left.Add(-1) >= 0 {
			moment = time.Duration(k.random.ExpFloat64() * float64(700*time.Millisecond))
		}
		if k.killBench.endsBefore(moment, args...) {
			return
		}
		if args[0] == "run" && k.killBench.newest() == "" {
			continue // it was killed before there was a run
		}
		args = []string{"resume", "@last"}
	}
}

// oracle compares what has happened with what had to.
func (c *cloud) oracle() {
	t := c.killBench.t
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{} // by run, step and key
	of := map[string]int{}  // by run
	for line := range strings.Lines(string(text)) {
		ran[strings.TrimSpace(line)]++
		of[strings.Fields(line)[0]]++
	}
	for _, task := range slices.Sorted(maps.Keys(ran)) {
		if n := ran[task]; n != 1 {
			t.Errorf("%q ran %d times", task, n)
		}
	}
	for run, n := range of {
		if n != batchKillTasks {
			t.Errorf("of run %s %d tasks ran, want %d", run, n, batchKillTasks)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(c.dir, "*-*", stateDir))
	if err != nil || len(dirs) != len(of) {
		t.Errorf("%d directories and %d runs, %v", len(dirs), len(of), err)
	}
	known := map[string]bool{}
	for _, dir := range dirs {
		b := &killBench{t: t, dir: filepath.Dir(dir)}
		var status runJSON
		b.decode(&status, "status", "-json", "@last")
		if status.Status != engine.Succeeded || status.Tasks["SUCCEEDED"] != batchKillTasks {
			t.Errorf("run %s is %v: %v", status.Run, status.Status, status.Tasks)
		}
		known[status.Run] = true
	}
	for _, j := range c.jobs() {
		run := strings.Split(*j.JobName, "-")[1]
		if alive(j.Status) {
			t.Errorf("%s (%s) is still %s", *j.JobName, *j.JobId, j.Status)
		}
		if !known[run] {
			t.Errorf("%s (%s) is of no run", *j.JobName, *j.JobId)
		}
	}
}
