package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/executortest/fetched"
)

// s3KillWorkflow hands contents on whose last line is a sum of the others. A task that gets
// another notes it in the file bad, and each its attempt in the file ran before that.
const s3KillWorkflow = `
workflow "kill" {
  defaults {
    env   = { SEEN = var.seen }
    shell = ["sh", "-euc"]
    retry {
      attempts = 10
      when "damage" {
        exit_code = 221
        action    = "exit"
      }
      when "killed" { exit_code = 137 }
      when "lost" { reason = "OutputMissing: the job succeeded*" }
    }
  }
}
variable "seen" { type = string }
locals {
  note = <<-SH
    echo "$FLOW_RUN_ID $FLOW_STEP $FLOW_KEY $FLOW_ATTEMPT" >> "$SEEN/ran"
    part() {
      sed '$d' "$1" > part
      test "$(cksum < part)" = "$(tail -n 1 "$1")" || echo "$FLOW_RUN_ID $FLOW_STEP $FLOW_KEY" >> "$SEEN/bad"
    }
  SH
}
step "make" {
  for_each = ["a", "b", "c"]
  script   = "${local.note}\nseq -f \"$FLOW_KEY %g\" 3000 > all; { cat all; cksum < all; } > $out"
  output "out" { file = "out" }
}
step "turn" {
  for_each = step.make.each
  inputs   = { in = each.value.outputs.out }
  script   = "${local.note}\npart $in; sed 's/^/+/' part > all; { cat all; cksum < all; } > $out"
  output "out" { file = "out" }
}
step "join" {
  inputs = { in = step.turn.outputs.out }
  script = "${local.note}\nfor p in $in/*; do part $p; cat part; done > $all"
  output "all" { file = "all.txt" }
}
output "all" {
  value   = step.join.outputs.all
  publish = "all.txt"
}
`

// s3KillTasks are the tasks of a run.
const s3KillTasks = 3 + 3 + 1

// s3KillResult is what a run publishes.
var s3KillResult = sync.OnceValue(func() []byte {
	var all bytes.Buffer
	for _, key := range []string{"a", "b", "c"} {
		for i := range 3000 {
			fmt.Fprintf(&all, "+%s %d\n", key, i+1)
		}
	}
	return all.Bytes()
})

var s3Kills = flag.Int("s3.kills", 0, "how often TestS3KilledAnywhere kills flow and its agents; half of them each; 0: 16 times")

// TestS3KilledAnywhere kills the processes that drive runs and the agents that run their
// tasks, while Batch and S3 lose answers and break, and damages what is on S3. No command is
// to run twice for an attempt, no content that is not whole is to be taken, and every run is
// to come to the right result: where the result of a task was damaged before it was read,
// with `flow resume -from`, after the run has failed and has named it.
func TestS3KilledAnywhere(t *testing.T) {
	t.Parallel()
	kills, drivers := often(*s3Kills, 16, 8), often(0, 6, 2)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	// Batch shows a job later than flow waits for it, so that jobs are submitted twice.
	c, server := newS3Cloud(t, "--keep-jobs", "0", "--vcpus", "8", "--chaos", fmt.Sprintf("lost-reply=15%%,5xx=5%%,list-lag=3s,spot=3%%,spot-within=1s,seed=%d", seed%1000))
	front := newBadS3(t, server.URL, seed)
	c.env = append(c.env, "AWS_ENDPOINT_URL_S3="+front.url)
	c.flags = append(c.flags, "-doubt", "500ms")
	b := &s3KillBench{cloud: c, server: server, front: front, vandal: newVandal(server), done: map[string]int{}, others: map[int]int{}}
	b.left.Store(int64(kills - kills/2))
	b.agentsLeft.Store(int64(kills / 2))
	over := make(chan struct{})
	var agents, all sync.WaitGroup
	agents.Go(func() { b.killAgents(rand.New(rand.NewPCG(seed, 1<<32)), over) })
	begun := time.Now()
	for n := range drivers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for b.left.Load() > 0 || b.agentsLeft.Load() > 0 {
				k := &s3Killed{s3KillBench: b, killBench: killBench{t: t, dir: filepath.Join(c.dir, fmt.Sprintf("run-%d", b.runs.Add(1))), env: c.env}, random: random}
				k.toTheEnd()
			}
		})
	}
	all.Wait()
	close(over)
	agents.Wait()
	t.Logf("%d kills of flow and %d of agents, of %d runs in %v; damage: %v, of which runs failed: %d; S3: %s; Batch: %v",
		b.killedDrivers.Load(), b.killedAgents.Load(), b.runs.Load(), time.Since(begun).Round(time.Second), b.damages(), b.failed.Load(), front, c.calls())
	c.calm()
	b.oracle()
}

// s3KillBench is where runs are killed.
type s3KillBench struct {
	*cloud
	server *fetched.S3Server
	front  *badS3

	left, agentsLeft                          atomic.Int64 // kills of flow, and of agents
	runs, failed, killedDrivers, killedAgents atomic.Int64

	others map[int]int // processes that are no agents: how often they were seen, since one may still become one

	vandal *vandal
	mu     sync.Mutex
	done   map[string]int // how often, by kind of damage
}

// agentPause is how long the killer of agents waits between two looks.
const agentPause = 25 * time.Millisecond

// killAgents kills agents at random moments, and leaves something where a dead one was, until
// over is closed.
func (b *s3KillBench) killAgents(random *rand.Rand, over <-chan struct{}) {
	tick := time.NewTicker(agentPause)
	defer tick.Stop()
	met := map[int]time.Time{} // when each is to be killed
	for {
		select {
		case <-over:
			return
		case now := <-tick.C:
			for _, a := range b.agents() {
				due, ok := met[a.pid]
				switch {
				case !ok && random.IntN(100) < 60:
					met[a.pid] = now.Add(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
				case !ok:
					met[a.pid] = now.Add(time.Hour)
				case now.After(due) && b.agentsLeft.Load() > 0:
					met[a.pid] = now.Add(time.Hour)
					b.killAgent(a, random)
				}
			}
		}
	}
}

// killAgent kills an agent, and leaves something where it was.
func (b *s3KillBench) killAgent(a agentProcess, random *rand.Rand) {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", a.pid))
	job, _ := agent.LookEnv(strings.Split(string(environ), "\x00"), "AWS_BATCH_JOB_ID")
	if syscall.Kill(a.pid, syscall.SIGKILL) != nil {
		return
	}
	b.agentsLeft.Add(-1)
	b.killedAgents.Add(1)
	for gone := false; !gone; {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.pid))
		gone = err != nil || len(line) == 0 // a process that has ended has no words, proc_pid_cmdline(5)
	}
	if job != "" {
		b.note("grave: " + b.vandal.bury(path.Base(path.Dir(path.Dir(a.job))), engine.JobID(job), random))
	}
}

// note counts what was done.
func (b *s3KillBench) note(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[what]++
}

// An agentProcess is an agent that runs.
type agentProcess struct {
	pid int
	job string // the URI of its job file
}

// agents returns the agents of this bench that run.
func (b *s3KillBench) agents() (out []agentProcess) {
	dirs, _ := os.ReadDir("/proc")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(dir.Name())
		if err != nil || b.others[pid] > 2 {
			continue
		}
		line, err := os.ReadFile("/proc/" + dir.Name() + "/cmdline")
		words := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		if err == nil && len(words) > 3 && words[1] == "agent" && words[2] == "run" && slices.Contains(words, b.front.url) {
			out = append(out, agentProcess{pid, words[len(words)-1]})
		} else {
			b.others[pid]++
		}
	}
	return out
}

// s3Killed is one run that is killed again and again.
type s3Killed struct {
	*s3KillBench
	killBench
	random *rand.Rand
	id     string

	damaged []string // directories of tasks whose results were damaged
}

// toTheEnd runs the workflow, killing it on the way as long as there are kills left, until it
// has succeeded.
func (k *s3Killed) toTheEnd() {
	t := k.killBench.t
	dir := k.killBench.dir
	if err := errors.Join(makeStateDir(filepath.Join(dir, stateDir)), os.WriteFile(filepath.Join(dir, "w.hcl"), []byte(s3KillWorkflow), 0o644)); err != nil {
		t.Error(err)
		return
	}
	args := append([]string{"run", "w.hcl", "-no-cache", "-var", "seen=" + k.cloud.dir}, k.flags...)
	for tries := 0; tries < 1000; tries++ {
		ended, code, said := k.lives(args...)
		if k.id == "" {
			k.id = k.newest()
		}
		switch {
		case k.id == "" && !ended:
			continue // it was killed before there was a run
		case !ended && args[0] == "resume" && len(args) > 2:
			continue // maybe before it was recorded that something is to run again
		case !ended:
			args = []string{"resume", "@last"}
		case code == exitOK:
			k.check()
			return
		case code == exitRunFailed:
			args = k.after()
		case args[0] == "resume" && len(args) > 2 && strings.Contains(said, "not ended"): // it was killed behind the beginning of that
			args = []string{"resume", "@last"}
		default:
			t.Errorf("flow %s: exit code %d\n%s", strings.Join(args, " "), code, said)
			return
		}
	}
	t.Errorf("run %s does not end", k.id)
}

// lives runs a command and kills it at a random moment, unless it ends before.
func (k *s3Killed) lives(args ...string) (ended bool, code int, said string) {
	cmd := k.killBench.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		k.killBench.t.Error(err)
		return true, -1, err.Error()
	}
	moment := time.Hour
	if k.left.Add(-1) >= 0 {
		moment = time.Duration(k.random.ExpFloat64() * float64(900*time.Millisecond))
	}
	killer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
	hurt := make(chan struct{})
	ill := time.AfterFunc(time.Duration(k.random.Int64N(int64(2*time.Second))), func() {
		defer close(hurt)
		if k.id != "" && k.random.IntN(100) < 25 {
			k.hurt()
		}
	})
	_ = cmd.Wait()
	killer.Stop()
	if !ill.Stop() {
		<-hurt
	}
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		k.killedDrivers.Add(1)
		return false, 0, ""
	}
	if moment < time.Hour {
		k.left.Add(1)
	}
	return true, cmd.ProcessState.ExitCode(), out.String()
}

// hurt damages a result.
func (k *s3Killed) hurt() {
	if how, what := k.vandal.damage(k.id, k.random); how != "" {
		k.note(how)
		k.damaged = append(k.damaged, what)
	}
}

// after checks why the run has failed, and returns what is to be done.
func (k *s3Killed) after() []string {
	var status runJSON
	k.killBench.decode(&status, "status", "-json", "@last")
	why := []string{status.Reason}
	for _, f := range status.Failed {
		why = append(why, f.Task+": "+f.Reason)
	}
	k.failed.Add(1)
	named := func(what string) bool { return strings.Contains(strings.Join(why, "\n"), what) }
	if !slices.ContainsFunc(k.damaged, named) {
		k.killBench.t.Errorf("run %s has failed, and damage was done to %q: %s", k.id, k.damaged, strings.Join(why, "\n"))
	}
	k.killBench.t.Logf("run %s has failed, damage was done to %q: %s", k.id, k.damaged, strings.Join(why, "\n"))
	k.damaged = nil
	return []string{"resume", "@last", "-from", "make"}
}

// check checks what a run that has succeeded has published.
func (k *s3Killed) check() {
	got, err := os.ReadFile(filepath.Join(k.killBench.dir, "all.txt"))
	if err != nil || !bytes.Equal(got, s3KillResult()) {
		k.killBench.t.Errorf("run %s has published %d bytes, want %d others: %v", k.id, len(got), len(s3KillResult()), err)
	}
}

// damages tells how often what was damaged.
func (b *s3KillBench) damages() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.done)
}

// oracle compares what has happened with what had to.
func (b *s3KillBench) oracle() {
	t := b.cloud.killBench.t
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for line := range strings.Lines(string(text)) {
		ran[line]++
	}
	for _, attempt := range slices.Sorted(maps.Keys(ran)) {
		if n := ran[attempt]; n != 1 {
			t.Errorf("the command of %q ran %d times", strings.TrimSpace(attempt), n)
		}
	}
	if bad, err := os.ReadFile(filepath.Join(b.dir, "bad")); err == nil {
		t.Errorf("tasks got what was not whole:\n%s", bad)
	}
	known := map[string]bool{}
	for n := range b.runs.Load() {
		one := &killBench{t: t, dir: filepath.Join(b.dir, fmt.Sprintf("run-%d", n+1)), env: b.env}
		var status runJSON
		one.decode(&status, "status", "-json", "@last")
		if status.Status != engine.Succeeded || status.Tasks["SUCCEEDED"] != s3KillTasks {
			t.Errorf("run %s is %v: %v", status.Run, status.Status, status.Tasks)
		}
		known[status.Run] = true
	}
	until(t, func() bool {
		return !slices.ContainsFunc(b.jobs(), func(j types.JobSummary) bool { return alive(j.Status) })
	})
	for _, j := range b.jobs() {
		if run := strings.Split(*j.JobName, "-")[1]; !known[run] {
			t.Errorf("%s (%s) is of no run", *j.JobName, *j.JobId)
		}
	}
}
