package model

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// job_scheduling: jobs start in the order of their submission, once what they depend on
// has succeeded, children by index.
func TestOrderOfStarts(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a")
	w.submit("b", after("a")) // older than c: goes first once it may
	w.submit("c", size(3))
	w.submit("d", size(3), nToN("c"))
	w.submit("e")
	w.drain()
	want := []engine.JobID{"a", "b", "c:0", "c:1", "c:2", "d:0", "d:1", "d:2", "e"}
	if !slices.Equal(w.log, want) {
		t.Errorf("started %v, want %v", w.log, want)
	}
}

// job_stuck_in_runnable: what does not fit blocks what is behind it in its queue, and
// only there.
func TestHeadOfLineBlocking(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 4, MemoryMiB: 1024}})
	w.submit("a", asks(3, 64))
	w.submit("big", asks(2, 64))
	w.submit("small")
	w.submit("elsewhere", inQueue("other"))
	w.want("a", "STARTING", "big", "RUNNABLE: ", "small", "RUNNABLE", "elsewhere", "STARTING")
	w.exits("a", 0)
	w.want("big", "STARTING", "small", "STARTING")
}

// Queues take turns.
func TestQueuesTakeTurns(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", size(3))
	w.submit("b", size(2), inQueue("other"))
	w.drain()
	if want := []engine.JobID{"a:0", "a:1", "b:0", "a:2", "b:1"}; !slices.Equal(w.log, want) {
		t.Errorf("started %v, want %v", w.log, want)
	}
}

// vCPUs, memory and GPUs are packed on one instance.
func TestPacking(t *testing.T) {
	for _, test := range []struct {
		name     string
		capacity Capacity
		request  func(*Request)
		want     int // that run at once, of 20
	}{
		{"vCPUs", Capacity{VCPUs: 4, MemoryMiB: 4096}, asks(1, 64), 4},
		{"parts of a vCPU", Capacity{VCPUs: 1, MemoryMiB: 4096}, asks(0.1, 64), 10},
		{"quarters", Capacity{VCPUs: 2, MemoryMiB: 4096}, asks(0.25, 64), 8},
		{"a part of the machine", Capacity{VCPUs: 1.5, MemoryMiB: 4096}, asks(0.5, 64), 3},
		{"memory", Capacity{VCPUs: 64, MemoryMiB: 4096}, asks(1, 1500), 2},
		{"GPUs", Capacity{VCPUs: 64, MemoryMiB: 4096, GPUs: 3}, func(r *Request) { r.GPUs = 1 }, 3},
		{"cut down to all there is", Capacity{VCPUs: 2, MemoryMiB: 4096}, asks(16, 64), 1},
		{"cut down to all memory", Capacity{VCPUs: 2, MemoryMiB: 1000}, asks(1, 1<<20), 1},
		{"no GPU to be had", Capacity{VCPUs: 2, MemoryMiB: 4096}, func(r *Request) { r.GPUs = 8 }, 2},
	} {
		w := newWorld(t, Config{Capacity: test.capacity})
		w.submit("a", size(20), test.request)
		if len(w.live) != test.want || w.Active() != test.want {
			t.Errorf("%s: %d run at once, want %d", test.name, len(w.live), test.want)
		}
		g := w.live[0].Granted
		if g.VCPUs > test.capacity.VCPUs || g.MemoryMiB > test.capacity.MemoryMiB || g.GPUs > test.capacity.GPUs {
			t.Errorf("%s: granted %+v of %+v", test.name, g, test.capacity)
		}
		w.drain()
		if w.used != (amount{}) {
			t.Errorf("%s: %+v are still taken", test.name, w.used)
		}
	}
}

// Strict: what can never be placed waits in RUNNABLE at the head of its queue, and says
// why (job_stuck_in_runnable).
func TestStrictNeverFits(t *testing.T) {
	w := newWorld(t, Config{Strict: true, Capacity: Capacity{VCPUs: 4, MemoryMiB: 1024}})
	w.submit("cpu", asks(5, 64), inQueue("q1"))
	w.submit("behind", inQueue("q1"))
	w.submit("memory", size(2), asks(1, 1025), inQueue("q2"))
	w.submit("gpu", func(r *Request) { r.GPUs = 1; r.Queue = "q3" })
	w.want("cpu", "RUNNABLE: "+ReasonMaxVCPUs, "behind", "RUNNABLE: ",
		"memory:0", "RUNNABLE: "+ReasonTooLarge, "memory:1", "RUNNABLE: ", "gpu", "RUNNABLE: "+ReasonTooLarge)
	if err := w.Terminate(w.now, "cpu", "too big"); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.want("cpu", "FAILED: too big", "behind", "STARTING")
}

// A bigger instance lets go on what was too large for the one before.
func TestStrictLargerInstance(t *testing.T) {
	w := newWorld(t, Config{Strict: true, Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", asks(2, 64))
	w.Restart(w.now, Capacity{VCPUs: 2, MemoryMiB: 1024}, "i-2")
	w.tick()
	w.want("a", "STARTING: ")
}

// Terminating what is queued leaves no trace in the queue.
func TestQueueAfterTerminate(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("first")
	w.submit("a", size(200))
	w.submit("b")
	w.submit("c")
	for _, id := range []engine.JobID{"a:0", "a:63", "a:64", "a:199", "b"} {
		if err := w.Terminate(w.now, id, "x"); err != nil {
			t.Fatal(err)
		}
	}
	w.tick()
	w.drain()
	if n := len(w.log); n != 1+196+1 || w.log[1] != "a:1" || w.log[n-1] != "c" {
		t.Errorf("started %d: %v", n, w.log)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("plain")
	w.submit("array", size(3))
	for _, test := range []struct {
		name string
		req  *Request
		want string
	}{
		{"name", req("a.b"), "Job name should match valid pattern"},
		{"array of 1", req("a", size(1)), "Array job size should be between 2 and 10000, got 1"},
		{"array of 10,001", req("a", size(10_001)), "Array job size"},
		{"negative array", req("a", size(-1)), "Array job size"},
		{"attempts", req("a", tries(11)), "RetryAttempts"},
		{"negative timeout", req("a", limit(-1)), "Timeout"},
		{"no vCPU", req("a", asks(0, 64)), "vCPU must be more than 0"},
		{"NaN vCPUs", req("a", asks(math.NaN(), 64)), "vCPU must be more than 0"},
		{"infinite vCPUs", req("a", asks(math.Inf(1), 64)), "vCPU must be more than 0"},
		{"memory", req("a", asks(1, 3)), "Memory must be at least 4 Mib, got 3 Mib."},
		{"GPUs", req("a", func(r *Request) { r.GPUs = -1 }), "GPU"},
		{"tags", req("a", func(r *Request) { r.Tags = map[string]string{"aws:x": ""} }), "Tag"},
		{"unknown job", req("a", after("nobody")), "nobody does not exist"},
		{"a child", req("a", after("array:1")), "child of an array job"},
		{"N_TO_N of a plain job", req("a", nToN("array")), "for array jobs only"},
		{"N_TO_N on a plain job", req("a", size(3), nToN("plain")), "equal size"},
		{"N_TO_N of unequal sizes", req("a", size(4), nToN("array")), "equal size"},
		{"N_TO_N on nothing", req("a", size(3), nToN("")), "needs a jobId"},
		{"no job", req("a", after("")), "needs a jobId"},
		{"SEQUENTIAL of a plain job", req("a", sequential), "for array jobs only"},
		{"SEQUENTIAL on a job", req("a", size(3), on("array", engine.DependSequential)), "takes no jobId"},
		{"type", req("a", size(3), on("array", "N_TO_1")), "is not one of"},
		{"21 dependencies", req("a", slices.Repeat([]func(*Request){after("plain")}, 21)...), "Job cannot have more than 20 dependencies"},
	} {
		err := w.Submit(w.now, "refused", test.req)
		if !isRefusal(err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want something with %q", test.name, err, test.want)
		}
	}
	if _, ok := w.Describe("refused"); ok {
		t.Error("a refused job is known")
	}
	for _, id := range []engine.JobID{"plain", "", "x:1"} {
		if err := w.Submit(w.now, id, req("a")); err == nil {
			t.Errorf("the id %q was taken", id)
		}
	}
	if err := w.Submit(w.now, "edge", req("a", slices.Repeat([]func(*Request){after("plain")}, 20)...)); err != nil {
		t.Errorf("20 dependencies: %v", err)
	}
	// Only AWS wants timeouts of a minute (JobTimeout).
	if err := w.Submit(w.now, "short", req("a", limit(time.Second))); err != nil {
		t.Error(err)
	}
	strict := newWorld(t, Config{Strict: true})
	if err := strict.Submit(w.now, "short", req("a", limit(59*time.Second))); !isRefusal(err) {
		t.Errorf("Strict took a timeout of 59 s: %v", err)
	}
	if err := strict.Submit(w.now, "minute", req("a", limit(time.Minute))); err != nil {
		t.Error(err)
	}
}
