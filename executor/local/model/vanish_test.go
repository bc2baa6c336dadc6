package model

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// A try whose host is gone is killed, has no exit code whatever it reports, and is
// retried by the job's strategy (bestpractice6).
func TestLose(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", tries(2, engine.EvaluateOn{StatusReason: "Host EC2*", Retry: true}, engine.EvaluateOn{Reason: "*"}))
	w.submit("b")
	w.runs("a")
	for _, test := range []struct {
		id             engine.JobID
		index, attempt int
	}{{"a", -1, 2}, {"a", 0, 1}, {"nobody", -1, 1}, {"a:1", -1, 1}} {
		if w.Lose(w.now, test.id, test.index, test.attempt) {
			t.Errorf("lost %+v", test)
		}
	}
	if !w.Lose(w.now, "a", -1, 1) || w.Lose(w.now, "a", -1, 1) {
		t.Error("a try is lost once")
	}
	w.tick()
	want := Effect{Kind: Stop, Job: "a", Index: -1, Attempt: 1, Request: w.live[0].Request, Lost: true}
	if diff := cmp.Diff([]Effect{want}, w.stops); diff != "" {
		t.Error(diff)
	}
	w.exits("a", 0) // even then: nobody has heard of it
	w.want("a", "STARTING: ")
	at := w.get("a").Attempts[0]
	if at.ExitCode != nil || at.Reason != "" || !strings.HasPrefix(at.StatusReason, "Host EC2 (instance i-") || !strings.HasSuffix(at.StatusReason, ") terminated.") {
		t.Errorf("got %+v", at)
	}
	w.accept(w.Terminate(w.now, "a", "stop it"))
	w.Lose(w.now, "a", -1, 2)
	w.tick()
	if n := len(w.stops); n != 3 || w.stops[1].Lost || !w.stops[2].Lost {
		t.Errorf("stops %+v", w.stops)
	}
	w.ends("a", Exit{})
	w.want("a", "FAILED: stop it")
	w.Lose(w.now, "b", -1, 1)
	w.accept(w.Terminate(w.now, "b", "stop it"))
	w.tick()
	if n := len(w.stops); n != 4 {
		t.Errorf("stops %+v", w.stops)
	}
	w.exits("b", 137)
	w.want("b", "FAILED: stop it")
	if v := w.get("b"); v.ExitCode != nil || !v.Terminated {
		t.Errorf("got %+v", v)
	}
}

// On Fargate there is no instance to be named (fargate-capacity-providers).
func TestLoseOnFargate(t *testing.T) {
	w := &world{TB: t, Model: New(Config{Declared: true}), now: begin}
	w.accept(w.CreateEnvironment(w.now, Environment{Name: "f", Fargate: true, MaxVCPUs: 4}))
	w.accept(w.CreateQueue(w.now, Queue{Name: "q", Environments: []string{"f"}}))
	w.submit("a", func(r *Request) { r.Fargate = true })
	w.Lose(w.now, "a", -1, 1)
	w.tick()
	w.exits("a", 137)
	w.want("a", "FAILED: Your Spot Task was interrupted.")
}

// A blocked queue starts nothing; its head says why, and others go on.
func TestBlock(t *testing.T) {
	w := newDeclared(t, Config{})
	w.accept(w.CreateQueue(w.now, Queue{Name: "other", Environments: []string{"large"}}))
	w.refused(w.Block(w.now, "nobody", "x"), "job-queue/nobody does not exist")
	w.accept(w.Block(w.now, "q", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none"))
	w.submit("a", size(2))
	w.submit("b", inQueue("other"))
	w.want("a:0", "RUNNABLE: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none", "a:1", "RUNNABLE: ", "a", "PENDING: ", "b", "STARTING")
	w.accept(w.Cancel(w.now, "a:0", "x"))
	w.tick()
	w.want("a:0", "FAILED: x", "a:1", "RUNNABLE: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none")
	w.accept(w.Block(w.now, "q", ""))
	w.tick()
	w.want("a:1", "STARTING: ")
}

// What vanishes is unknown at once; what waits for it fails, what of it runs is stopped,
// and what that had is given back when it has ended.
func TestForget(t *testing.T) {
	w := newDeclared(t, Config{Capacity: Capacity{VCPUs: 2}})
	w.submit("a", size(4))
	w.submit("child", size(4), nToN("a"))
	w.submit("whole", after("a"))
	w.submit("b")
	if w.Forget(w.now, "nobody") || w.Forget(w.now, "a:1") {
		t.Error("forgot what is no job")
	}
	if !w.Forget(w.now, "a") || w.Forget(w.now, "a") {
		t.Error("a job vanishes once")
	}
	w.tick()
	for _, id := range []engine.JobID{"a", "a:0"} {
		if _, ok := w.Describe(id); ok {
			t.Errorf("%s is known", id)
		}
	}
	w.want("child", "PENDING", "child:2", "FAILED: Dependent Job failed", "child:0", "PENDING", "whole", "PENDING", "b", "RUNNABLE")
	all := func(time.Time, *Request) bool { return true }
	for _, got := range [][]engine.JobID{ids(w.JobsWhere("q", 0, all)), slices.Concat(ids(w.Jobs("q", engine.JobPending, 0)), ids(w.Jobs("q", engine.JobRunnable, 0)))} {
		slices.Sort(got)
		if diff := cmp.Diff([]engine.JobID{"b", "child", "whole"}, got); diff != "" {
			t.Error(diff)
		}
	}
	if got := slices.Concat(ids(w.JobsNamed("q", "a", 0)), ids(w.Named("a"))); got != nil {
		t.Errorf("found %v", got)
	}
	live := 0
	for e := range w.Live() { // its tries go on until they have ended
		if live++; e.Job != "a" {
			t.Errorf("%s runs", e.ID())
		}
	}
	if len(w.stops) != 2 || live != 2 {
		t.Errorf("%d stopped, %d live", len(w.stops), live)
	}
	w.refused(w.Submit(w.now, "c", req("c", after("a"))), "Job a does not exist")
	w.exits("a:0", 143)
	w.exits("a:1", 143)
	w.want("child", "FAILED", "whole", "FAILED: Dependent Job failed", "b", "STARTING")
	if w.jobs["a"] != nil || len(w.vanished) != 0 {
		t.Error("a is still kept")
	}
	w.drain()
	if !w.Forget(w.now, "b") || w.used != (amount{}) {
		t.Errorf("b cannot vanish, or %+v is still taken", w.used)
	}
	w.tick()
	if w.jobs["b"] != nil || len(w.jobs) != 2 || w.kept != 5 {
		t.Errorf("%d jobs are kept, %d tasks", len(w.jobs), w.kept)
	}
}

// At most KeepEnded ended tasks are known, and the last job in any case.
func TestKeepEnded(t *testing.T) {
	w := newDeclared(t, Config{KeepEnded: 5})
	for _, id := range []string{"a", "b", "c"} {
		w.submit(id, size(2))
		w.drain()
	}
	if _, ok := w.Describe("a"); ok {
		t.Error("a is known")
	}
	w.want("b", "SUCCEEDED", "c", "SUCCEEDED")
	w.submit("large", size(100))
	w.submit("waits", after("large"))
	w.want("waits", "PENDING")
	w.Forget(w.now, "b")
	w.drain()
	if len(w.jobs) != 1 { // the array alone was too many
		t.Errorf("%d jobs are known", len(w.jobs))
	}
	w.want("waits", "SUCCEEDED")
}

// A job that has ended is kept for as long as one that is SUBMITTED waits for its
// children one by one.
func TestKeepForSubmitted(t *testing.T) {
	for _, vanish := range []bool{false, true} {
		w := newDeclared(t, Config{KeepEnded: 1, Submitting: time.Second})
		w.submit("a", size(3))
		w.pass(time.Second)
		w.exits("a:0", 0)
		w.exits("a:1", 1)
		w.exits("a:2", 0)
		w.submit("b", size(3), nToN("a"))
		if vanish {
			w.Forget(w.now, "a")
		}
		w.submit("c")
		w.accept(w.Terminate(w.now, "c", "x"))
		w.pass(time.Second)
		w.want("b:0", "STARTING", "b:1", "FAILED: Dependent Job failed")
		w.pass(time.Second)
		if _, ok := w.Describe("a"); ok || w.jobs["a"] != nil {
			t.Error("a is kept")
		}
	}
}

// What the containers of a job reported is kept, and only what was given.
func TestContainers(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", tries(3), func(r *Request) { r.LogPrefix = "my/prefix" })
	results := []engine.ContainerResult{{Name: "main", ExitCode: new(1), LogStream: "s"}, {Name: "side", Reason: "none"}}
	first := w.live[0]
	w.ends("a", Exit{ExitCode: new(1), Containers: results})
	if v := w.get("a"); v.Containers != nil {
		t.Errorf("the try under way has %+v", v.Containers)
	}
	w.exits("a", 1)
	w.ends("a", Exit{ExitCode: new(0), Containers: results[:1]})
	v := w.get("a")
	got := [][]engine.ContainerResult{v.Attempts[0].Containers, v.Attempts[1].Containers, v.Attempts[2].Containers, v.Containers}
	if diff := cmp.Diff([][]engine.ContainerResult{results, nil, results[:1], results[:1]}, got); diff != "" {
		t.Error(diff)
	}
	if at := v.Attempts[0]; at.LogStream != "my/prefix/default/"+at.TaskID || at.TaskID != first.TaskID || at.LogStream != first.LogStream || len(at.TaskID) != 32 {
		t.Errorf("got %+v, started as %+v", at, first)
	}
	*v.Containers[0].ExitCode = 99
	if got := w.get("a").Containers[0].ExitCode; *got != 1 {
		t.Errorf("what is handed out is shared: %d", *got)
	}
}

// A job that cannot be dispatched fails at the head of its queue, with no attempt.
func TestUndispatchable(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("first")
	w.submit("a", size(3), tries(3), func(r *Request) { r.Undispatchable = "Container Overrides length must be at most 8192" })
	w.submit("b")
	w.submit("waits", after("a"))
	w.want("a:0", "RUNNABLE", "b", "RUNNABLE")
	w.exits("first", 0)
	w.want("a:2", "FAILED: Container Overrides length must be at most 8192", "a", "FAILED: Array Child Job failed",
		"waits", "FAILED: Dependent Job failed", "b", "STARTING")
	if v := w.get("a:0"); v.Try != 0 || v.Attempts != nil {
		t.Errorf("got %+v", v)
	}
}

// Who keeps things of a job elsewhere is told the tasks of the jobs that are forgotten.
func TestForgotten(t *testing.T) {
	got := map[string]int{}
	w := newWorld(t, Config{KeepEnded: 1, Forgotten: func(r *Request, tasks iter.Seq[string]) {
		for task := range tasks {
			got[task]++
		}
	}})
	w.submit("a", size(2), tries(2))
	w.exits("a:0", 1)
	w.drain()
	w.submit("b")
	want := map[string]int{}
	for _, id := range []engine.JobID{"a:0", "a:1"} {
		for _, at := range w.get(id).Attempts {
			want[at.TaskID] = 1
		}
	}
	w.drain()
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 3 {
		t.Error(diff)
	}
}
