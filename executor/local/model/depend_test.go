package model

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"flow/engine"
)

// job_dependencies: only success satisfies; a failure fails what depends on it, on and
// on.
func TestDependencies(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a")
	w.submit("b", after("a"))
	w.submit("c", after("a"), after("b"), size(2))
	w.submit("d", after("c"))
	w.want("a", "STARTING", "b", "PENDING", "c", "PENDING", "c:0", "PENDING", "d", "PENDING")
	w.summary("c", "0 2 0 0 0 0 0")
	w.exits("a", 0)
	w.want("b", "STARTING", "c", "PENDING")
	w.exits("b", 1)
	w.want("b", "FAILED: "+engine.ReasonExited, "c", "FAILED: "+engine.ReasonDependency, "c:1", "FAILED: "+engine.ReasonDependency, "d", "FAILED: "+engine.ReasonDependency)
	if v := w.get("d"); v.Stopped.IsZero() || !v.Started.IsZero() || len(v.Attempts) != 0 {
		t.Errorf("d is %+v", v)
	}
	w.summary("c", "0 0 0 0 0 0 2")
}

// A dependency that fails an attempt and is retried is not FAILED yet.
func TestDependencyThatIsRetried(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", tries(2))
	w.submit("b", after("a"))
	w.exits("a", 1)
	w.want("b", "PENDING")
	w.exits("a", 0)
	w.want("b", "STARTING")
}

func TestDependencyOnEndedJobs(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("good", size(2))
	w.drain()
	w.submit("bad", size(2))
	w.exits("bad:0", 1)
	w.exits("bad:1", 0)
	w.submit("a", after("good"))
	w.submit("b", size(2), nToN("good"))
	w.want("a", "STARTING", "b:0", "STARTING")
	w.submit("c", after("bad"))
	w.submit("d", size(2), nToN("bad"))
	w.submit("e", size(2), nToN("bad"), sequential)
	w.want("c", "FAILED: "+engine.ReasonDependency, "d:0", "FAILED: "+engine.ReasonDependency, "d:1", "STARTING", "d", "PENDING")
	w.want("e", "FAILED: "+engine.ReasonArrayChild, "e:1", "FAILED: "+engine.ReasonDependency)
}

// Jobs that were submitted one after the other without the scheduler between.
func TestDependenciesAmongSubmitted(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("bad", size(3))
	w.exits("bad:1", 1)
	w.drain()
	for _, r := range []*Request{
		req("a", after("bad")), req("b", size(3), nToN("bad")), req("c", after("a")), req("d", size(3), nToN("b")), req("e", after("d"), after("c")),
	} {
		if err := w.Submit(w.now, engine.JobID(r.Name), r); err != nil {
			t.Fatal(err)
		}
	}
	w.want("a", "SUBMITTED", "e", "SUBMITTED")
	w.tick()
	w.want("a", "FAILED", "c", "FAILED", "e", "FAILED", "b:0", "STARTING", "b:1", "FAILED", "d:0", "PENDING", "d:1", "FAILED")
	w.drain()
	w.summary("d", "0 0 0 0 0 2 1")
}

// array_jobs, N_TO_N: child i waits for child i, and one failure fails only its like.
func TestNToN(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 3, MemoryMiB: 1024}})
	w.submit("a", size(3))
	w.submit("b", size(3), nToN("a"))
	w.submit("c", size(3), nToN("a"), nToN("b"))
	w.want("b", "PENDING", "b:0", "PENDING")
	w.exits("a:1", 0)
	w.want("b:0", "PENDING", "b:1", "STARTING", "c:1", "PENDING")
	w.exits("a:0", 1)
	w.want("b:0", "FAILED: "+engine.ReasonDependency, "c:0", "FAILED: "+engine.ReasonDependency, "b", "PENDING", "a", "PENDING")
	w.exits("a:2", 0)
	w.drain()
	w.want("a", "FAILED: "+engine.ReasonArrayChild, "b", "FAILED: "+engine.ReasonArrayChild, "c", "FAILED: "+engine.ReasonArrayChild)
	w.summary("c", "0 0 0 0 0 2 1")
}

// Children become RUNNABLE in any order, and start by index.
func TestNToNOutOfOrder(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 200, MemoryMiB: 1 << 20}})
	w.submit("a", size(200))
	w.submit("b", size(200), nToN("a"))
	w.log = nil
	for _, i := range []int{150, 0, 199, 64, 63} {
		w.exits(engine.JobID("a").Child(i), 0)
	}
	if want := []engine.JobID{"b:150", "b:0", "b:199", "b:64", "b:63"}; !slices.Equal(w.log, want) {
		t.Errorf("started %v, want %v", w.log, want)
	}
	w.drain()
	w.want("b", "SUCCEEDED")
}

// A job that has ended keeps its reason, whatever becomes of its other dependencies.
func TestDependencyThatFailsLater(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("bad", size(2))
	w.exits("bad:0", 1)
	w.exits("bad:1", 1)
	w.submit("slow")
	w.submit("a", size(2), nToN("bad"), after("slow"))
	w.want("a", "FAILED: "+engine.ReasonArrayChild, "a:1", "FAILED: "+engine.ReasonDependency)
	w.exits("slow", 1)
	w.want("a", "FAILED: "+engine.ReasonArrayChild)
}

// N_TO_N together with a whole job: both are waited for.
func TestNToNAndWhole(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("slow")
	w.submit("a", size(2))
	w.submit("b", size(2), nToN("a"), after("slow"))
	w.exits("a:0", 0)
	w.want("b:0", "PENDING")
	w.exits("slow", 0)
	w.want("b:0", "STARTING", "b:1", "PENDING")
	w.exits("a:1", 0)
	w.want("b:1", "STARTING")
}

// array_jobs, SEQUENTIAL: child i waits for child i-1; a failure fails the rest.
func TestSequential(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", size(4), sequential, tries(2))
	w.want("a:0", "STARTING", "a:1", "PENDING", "a:3", "PENDING")
	w.exits("a:0", 1)
	w.want("a:0", "STARTING", "a:1", "PENDING")
	w.exits("a:0", 0)
	w.want("a:1", "STARTING", "a:2", "PENDING")
	w.exits("a:1", 1)
	w.exits("a:1", 1)
	w.want("a:1", "FAILED: "+engine.ReasonExited, "a:2", "FAILED: "+engine.ReasonDependency, "a:3", "FAILED: "+engine.ReasonDependency, "a", "FAILED: "+engine.ReasonArrayChild)
}

// The same dependency twice is one.
func TestDuplicateDependency(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", size(2))
	w.submit("b", size(2), after("a"), after("a"), nToN("a"), nToN("a"), sequential)
	w.exits("a:0", 0)
	w.want("b:0", "PENDING")
	w.exits("a:1", 0)
	w.want("b:0", "STARTING")
	w.drain()
	w.want("b", "SUCCEEDED: ")
}

// example_array_job: JobA, arrays JobB and JobC after it, element-wise or one after
// the other, and JobE that gathers.
func TestUserGuideJobAToE(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 16, MemoryMiB: 1 << 20}})
	w.submit("JobA")
	w.submit("JobB", size(6), after("JobA"))
	w.submit("JobC", size(6), nToN("JobB"))
	w.submit("JobD", size(6), after("JobC"), sequential)
	w.submit("JobE", after("JobD"))
	w.want("JobA", "STARTING", "JobB:5", "PENDING", "JobC:5", "PENDING", "JobD:0", "PENDING", "JobE", "PENDING")
	w.exits("JobA", 0)
	w.summary("JobB", "0 0 0 6 0 0 0")
	w.exits("JobB:4", 0)
	w.summary("JobC", "0 5 0 1 0 0 0")
	for _, i := range []int{0, 1, 2, 3, 5} {
		w.exits(engine.JobID("JobB").Child(i), 0)
	}
	w.want("JobB", "SUCCEEDED: ")
	for i := range 6 {
		w.want("JobD:0", "PENDING")
		w.exits(engine.JobID("JobC").Child(i), 0)
	}
	for i := range 6 {
		w.summary("JobD", fmt.Sprintf("0 %d 0 1 0 %d 0", 5-i, i))
		w.exits(engine.JobID("JobD").Child(i), 0)
	}
	w.exits("JobE", 0)
	w.want("JobE", "SUCCEEDED: "+engine.ReasonExited)
}

// array_index_example: seven colours, one child each, chosen by the index.
func TestUserGuideSevenColours(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 7, MemoryMiB: 1 << 20}})
	w.submit("print-color", size(7))
	colours := []string{"red", "orange", "yellow", "green", "blue", "indigo", "violet"}
	var got []string
	for _, e := range w.live {
		got = append(got, colours[e.Index])
	}
	if !slices.Equal(got, colours) {
		t.Errorf("started %v, want %v", got, colours)
	}
	w.drain()
	w.summary("print-color", "0 0 0 0 0 7 0")
}

// job_retries and bestpractice6, the examples: retry a lost host, a failed start and a
// code, and nothing else.
func TestUserGuideRetries(t *testing.T) {
	strategy := []engine.EvaluateOn{
		{StatusReason: "Host EC2*", Retry: true},
		{StatusReason: "Task failed to start", Retry: true},
		{Reason: "AGENT", Retry: true},
		{ExitCode: "40*", Retry: true},
		{Reason: "*"},
	}
	code := func(n int) *int { return &n }
	for _, test := range []struct {
		name string
		exit Exit
		want bool
	}{
		{"host", Exit{StatusReason: HostLost("i-0123456789abcdef0")}, true},
		{"start", Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotPullContainerError: x"}, true},
		{"agent", Exit{Reason: "AGENT"}, true},
		{"code 404", Exit{ExitCode: code(404)}, true},
		{"code 1", Exit{ExitCode: code(1)}, false},
		{"out of memory", Exit{ExitCode: code(137), Reason: engine.ReasonOutOfMemory}, false},
	} {
		w := newWorld(t, Config{})
		w.submit("a", tries(3, strategy...))
		w.ends("a", test.exit)
		if got := !w.get("a").Status.Ended(); got != test.want {
			t.Errorf("%s: retried %v, want %v", test.name, got, test.want)
		}
	}
}

// Nothing is quadratic: long chains, wide gathers, arrays element-wise behind one
// another: what is would not end before go test's time is up.
func TestScale(t *testing.T) {
	wide := Config{Capacity: Capacity{VCPUs: 64, MemoryMiB: 1 << 20}}
	for _, test := range []struct {
		name string
		cfg  Config
		run  func(w *world)
	}{
		{"chain of 10,000", wide, func(w *world) {
			w.submit("0")
			for i := 1; i < 10_000; i++ {
				w.submit(fmt.Sprint(i), after(engine.JobID(fmt.Sprint(i-1))))
			}
			w.drain()
			w.want("9999", "SUCCEEDED")
		}},
		{"failing chain of 10,000", wide, func(w *world) {
			w.submit("0")
			for i := 1; i < 10_000; i++ {
				w.submit(fmt.Sprint(i), after(engine.JobID(fmt.Sprint(i-1))))
			}
			w.exits("0", 1)
			w.want("9999", "FAILED: "+engine.ReasonDependency)
		}},
		{"10,000 wait for an array of 10,000", wide, func(w *world) {
			w.submit("a", size(10_000))
			for i := range 10_000 {
				w.submit(fmt.Sprint("b", i), after("a"))
			}
			w.drain()
			w.want("b9999", "SUCCEEDED")
		}},
		{"20 arrays of 10,000 element-wise", wide, func(w *world) {
			w.submit("0", size(10_000))
			for i := 1; i < 20; i++ {
				w.submit(fmt.Sprint(i), size(10_000), nToN(engine.JobID(fmt.Sprint(i-1))))
			}
			w.drain()
			w.want("19", "SUCCEEDED")
		}},
		{"10,000 arrays of 2 element-wise", wide, func(w *world) {
			w.submit("0", size(2))
			for i := 1; i < 10_000; i++ {
				w.submit(fmt.Sprint(i), size(2), nToN(engine.JobID(fmt.Sprint(i-1))))
			}
			w.drain()
			w.want("9999", "SUCCEEDED")
		}},
		{"sequential array that fails at once", wide, func(w *world) {
			w.submit("a", size(10_000), sequential)
			w.exits("a:0", 1)
			w.summary("a", "0 0 0 0 0 0 10000")
		}},
		{"timeouts that are not needed", wide, func(w *world) {
			for i := range 20 {
				w.submit(fmt.Sprint(i), size(10_000), limit(time.Hour))
			}
			for len(w.live) > 0 {
				w.runs(w.live[0].ID())
				w.exits(w.live[0].ID(), 0)
			}
			if n := len(w.timeouts.all); n > 1000 {
				w.Errorf("%d timeouts are kept of ended tries", n)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(newWorld(t, test.cfg)) // what is quadratic does not end before the time is up
		})
	}
}
