package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"flow/engine"
	"flow/executor"
)

// Batch User Guide, job_states: the way of a plain job.
func TestPlainJob(t *testing.T) {
	w := newWorld(t, Config{})
	if err := w.Submit(w.now, "a", req("a")); err != nil {
		t.Fatal(err)
	}
	w.want("a", "SUBMITTED")
	w.now = w.now.Add(time.Second)
	w.tick()
	w.want("a", "STARTING")
	w.now = w.now.Add(time.Second)
	w.runs("a")
	w.want("a", "RUNNING")
	w.now = w.now.Add(time.Second)
	w.exits("a", 0)
	w.want("a", "SUCCEEDED: "+engine.ReasonExited)

	v := w.get("a")
	if !v.Created.Equal(begin) || !v.Started.Equal(begin.Add(2*time.Second)) || !v.Stopped.Equal(begin.Add(3*time.Second)) {
		t.Errorf("created, started, stopped: %v %v %v", v.Created, v.Started, v.Stopped)
	}
	if v.Index != -1 || v.Try != 1 || v.ExitCode == nil || *v.ExitCode != 0 {
		t.Errorf("job is %+v", v)
	}
	// The log stream is <definition>/default/<id of the task> (job_states, AttemptContainerDetail).
	if len(v.Attempts) != 1 || !strings.HasPrefix(v.Attempts[0].LogStream, "def/default/") || len(v.Attempts[0].LogStream) != len("def/default/")+32 {
		t.Errorf("attempts: %+v", v.Attempts)
	}
}

// The exit code is absent, not 0, if the container never reported one; a failed start
// is an attempt (job_retries: "Task failed to start").
func TestFailedStart(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", tries(2, engine.EvaluateOn{StatusReason: "Task failed*", Retry: true}, engine.EvaluateOn{Reason: "*"}))
	failed := Exit{Reason: "CannotStartContainerError: x", StatusReason: engine.ReasonStartFailed}
	w.ends("a", failed)
	w.want("a", "STARTING")
	w.ends("a", failed)
	w.want("a", "FAILED: "+engine.ReasonStartFailed)
	v := w.get("a")
	if v.ExitCode != nil || len(v.Attempts) != 2 || !v.Started.IsZero() || v.Stopped.IsZero() || v.Reason != failed.Reason {
		t.Errorf("job is %+v", v)
	}
}

// A container's reason has at most 255 characters (AttemptContainerDetail).
func TestLongReason(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a")
	code := 1
	w.ends("a", Exit{ExitCode: &code, Reason: strings.Repeat("ä", 200)})
	if v := w.get("a"); v.Reason != strings.Repeat("ä", 127) {
		t.Errorf("reason has %d bytes", len(v.Reason))
	}
}

// array_jobs: the parent is SUBMITTED, PENDING, then FAILED or SUCCEEDED, never RUNNING;
// FAILED only when all children have ended.
func TestArrayParent(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 2, MemoryMiB: 1024}})
	if err := w.Submit(w.now, "a", req("a", size(4))); err != nil {
		t.Fatal(err)
	}
	w.want("a", "SUBMITTED")
	w.summary("a", "4 0 0 0 0 0 0")
	if _, ok := w.Describe("a:0"); ok {
		t.Error("a child is known before it is spawned")
	}
	w.pass(time.Second)
	w.want("a", "PENDING", "a:0", "STARTING", "a:3", "RUNNABLE")
	w.summary("a", "0 0 2 2 0 0 0")
	w.runs("a:0")
	w.summary("a", "0 0 2 1 1 0 0")
	w.exits("a:0", 1)
	w.want("a", "PENDING", "a:0", "FAILED: "+engine.ReasonExited)
	for _, id := range []engine.JobID{"a:1", "a:2", "a:3"} {
		w.want("a", "PENDING")
		w.exits(id, 0)
	}
	w.want("a", "FAILED: "+engine.ReasonArrayChild)
	w.summary("a", "0 0 0 0 0 3 1")
	v := w.get("a:2")
	if v.Index != 2 || v.Name != "a" || !v.Created.Equal(begin.Add(time.Second)) {
		t.Errorf("a child was created when spawned (JobDetail.createdAt), got %+v", v)
	}
	if _, ok := w.Describe("a:4"); ok {
		t.Error("a child beyond the array is known")
	}
	w.submit("b", size(2))
	w.drain()
	w.want("b", "SUCCEEDED: ")
}

// job_retries: children have the attempts of the job each; a retry goes to the front
// of the queue (bestpractice6), and keeps its index.
func TestRetryGoesToTheFront(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", size(3), tries(2))
	w.submit("b")
	w.exits("a:0", 1)
	w.exits("a:0", 1)
	w.want("a:0", "FAILED: "+engine.ReasonExited)
	w.exits("a:1", 1)
	w.exits("a:1", 0)
	w.drain()
	if want := []engine.JobID{"a:0", "a:0", "a:1", "a:1", "a:2", "b"}; !slices.Equal(w.log, want) {
		t.Errorf("started %v, want %v", w.log, want)
	}
	v := w.get("a:1")
	if len(v.Attempts) != 2 || *v.Attempts[0].ExitCode != 1 || *v.Attempts[1].ExitCode != 0 || *v.ExitCode != 0 {
		t.Errorf("child is %+v", v)
	}
	if v.Attempts[0].LogStream == v.Attempts[1].LogStream {
		t.Error("two attempts share a log stream")
	}
}

// The front of the queue is before everything that was submitted earlier, too.
func TestRetryGoesBeforeOlderJobs(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 2, MemoryMiB: 1024}})
	w.submit("gate")
	w.submit("old", after("gate"))
	w.submit("young", tries(3))
	zero, one := 0, 1
	w.Exited(w.now, "gate", -1, w.take("gate").Attempt, Exit{ExitCode: &zero})
	w.Exited(w.now, "young", -1, w.take("young").Attempt, Exit{ExitCode: &one})
	w.want("old", "RUNNABLE", "young", "RUNNABLE: "+engine.ReasonExited)
	w.tick()
	if want := []engine.JobID{"gate", "young", "young", "old"}; !slices.Equal(w.log, want) {
		t.Errorf("started %v, want %v", w.log, want)
	}
}

// What has an exit code has run, though nobody said that it started.
func TestExitOfWhatNobodySawStart(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a")
	w.exits("a", 0)
	w.submit("b")
	w.ends("b", Exit{})
	if a, b := w.get("a"), w.get("b"); a.Started.IsZero() || !b.Started.IsZero() {
		t.Errorf("started %v and %v, want the first only", a.Started, b.Started)
	}
}

// A job that waits for its next attempt shows the last one; it begins with a clean
// slate.
func TestBetweenAttempts(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", tries(3))
	w.runs("a")
	e, code := w.take("a"), 9
	w.Exited(w.now, "a", -1, e.Attempt, Exit{ExitCode: &code, Reason: "because", StatusReason: "something"})
	w.want("a", "RUNNABLE: something")
	v := w.get("a")
	if *v.ExitCode != 9 || v.Reason != "because" || v.Started.IsZero() || !v.Stopped.IsZero() || len(v.Attempts) != 1 {
		t.Errorf("waiting: %+v", v)
	}
	w.tick()
	v = w.get("a")
	if v.Status != engine.JobStarting || v.ExitCode != nil || v.Reason != "" || !v.Started.IsZero() || v.StatusReason != "" {
		t.Errorf("next attempt: %+v", v)
	}
	w.exits("a", 0)
	v = w.get("a")
	if len(v.Attempts) != 2 || v.Attempts[0].StatusReason != "something" || v.Attempts[1].Reason != "" {
		t.Errorf("ended: %+v", v.Attempts)
	}
	*v.Attempts[0].ExitCode = 77 // what is handed out is the caller's
	if v = w.get("a"); *v.Attempts[0].ExitCode != 9 {
		t.Error("the model shares its memory")
	}
}

// evaluateOnExit is for failed attempts only: exit code 0 is a success whatever the
// status reason.
func TestExitZeroOfAnInterruptedTry(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", tries(3, engine.EvaluateOn{StatusReason: "Your Spot*", Retry: true}))
	code := 0
	w.ends("a", Exit{ExitCode: &code, StatusReason: "Your Spot Task was interrupted."})
	w.want("a", "SUCCEEDED: Your Spot Task was interrupted.")
}

// job_timeouts: from RUNNING, for each attempt; SIGTERM, then SIGKILL after 30 s; never
// retried, whatever the exit code.
func TestTimeout(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", limit(time.Minute), tries(5))
	w.pass(time.Hour) // STARTING does not count
	if !w.Wake().IsZero() {
		t.Errorf("wakes at %v though nothing runs", w.Wake())
	}
	w.runs("a")
	w.pass(50 * time.Second)
	w.exits("a", 1) // it failed by itself: the countdown starts again
	w.runs("a")
	if want := w.now.Add(time.Minute); !w.Wake().Equal(want) {
		t.Errorf("wakes at %v, want %v", w.Wake(), want)
	}
	w.pass(time.Minute - time.Millisecond)
	if len(w.stops) > 0 {
		t.Fatal("stopped too early")
	}
	w.pass(time.Millisecond)
	if len(w.stops) != 1 || w.stops[0].ID() != "a" || w.stops[0].Attempt != 2 || w.stops[0].Grace != 30*time.Second {
		t.Fatalf("stops: %+v", w.stops)
	}
	w.want("a", "RUNNING")
	if err := w.Terminate(w.now, "a", "too late"); err != nil { // the first reason holds
		t.Fatal(err)
	}
	w.exits("a", 0)
	w.want("a", "FAILED: "+engine.ReasonTimeout)
	if v := w.get("a"); v.Terminated || len(v.Attempts) != 2 || v.Attempts[1].StatusReason != engine.ReasonTimeout {
		t.Errorf("job is %+v", v)
	}
	if !w.Wake().IsZero() || len(w.stops) != 1 {
		t.Errorf("wakes at %v, stops %v", w.Wake(), w.stops)
	}
}

// TerminateJob: what has not begun is FAILED at once, what runs is stopped, and nothing
// is retried; the reason is what the user said.
func TestTerminate(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 2, MemoryMiB: 1024}})
	w.submit("a", size(4), tries(3))
	w.submit("b", after("a"))
	w.runs("a:0")
	terminate := func(id engine.JobID, reason string) {
		t.Helper()
		if err := w.Terminate(w.now, id, reason); err != nil {
			t.Fatal(err)
		}
		w.tick()
	}
	terminate("a:3", "just this")
	w.want("a", "PENDING", "a:3", "FAILED: just this", "a:2", "RUNNABLE")
	terminate("a", "all")
	w.want("a", "PENDING", "a:0", "RUNNING", "a:1", "STARTING", "a:2", "FAILED: all", "a:3", "FAILED: just this", "b", "PENDING")
	if len(w.stops) != 2 || w.stops[0].ID() != "a:0" || w.stops[1].ID() != "a:1" {
		t.Fatalf("stops: %+v", w.stops)
	}
	terminate("a", "again")
	if len(w.stops) != 2 {
		t.Fatalf("stopped twice: %+v", w.stops)
	}
	w.exits("a:0", 143)
	w.ends("a:1", Exit{})
	w.want("a", "FAILED: all", "a:0", "FAILED: all", "a:1", "FAILED: all", "b", "FAILED: "+engine.ReasonDependency)
	for id, want := range map[engine.JobID]bool{"a": true, "a:0": true, "a:1": true, "a:2": true, "a:3": true, "b": false} {
		if v := w.get(id); v.Terminated != want || v.Cancelled {
			t.Errorf("%s: terminated %v, cancelled %v", id, v.Terminated, v.Cancelled)
		}
	}
	if n := len(w.get("a:2").Attempts); n != 0 {
		t.Errorf("a child that never began has %d attempts", n)
	}
	terminate("b", "ended")
	terminate("nobody", "unknown")
	terminate("nobody:7", "unknown")
	terminate("a:9", "unknown")
	w.want("b", "FAILED: "+engine.ReasonDependency)
	for id, reason := range map[engine.JobID]string{"": "x", "a": "", "b": strings.Repeat("x", 1025)} {
		if err := w.Terminate(w.now, id, reason); !isRefusal(err) {
			t.Errorf("Terminate(%q) with a reason of %d: %v", id, len(reason), err)
		}
	}
	terminate("b", strings.Repeat("é", 1024)) // characters, not bytes
}

// A job that waits for its retry ends without one more attempt.
func TestTerminateBetweenAttempts(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", tries(3))
	w.submit("b")
	code := 1
	w.Exited(w.now, "a", -1, w.take("a").Attempt, Exit{ExitCode: &code})
	w.want("a", "RUNNABLE: "+engine.ReasonExited)
	if err := w.Terminate(w.now, "a", "no more"); err != nil {
		t.Fatal(err)
	}
	w.want("a", "FAILED: no more")
	if v := w.get("a"); len(v.Attempts) != 1 {
		t.Errorf("attempts: %+v", v.Attempts)
	}
	w.tick()
	w.drain()
	w.want("b", "SUCCEEDED: "+engine.ReasonExited)
}

// CancelJob: RUNNABLE at once, PENDING when its dependencies have ended, and no effect
// on what is STARTING or RUNNING.
func TestCancel(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 1, MemoryMiB: 1024}})
	w.submit("a", size(3))
	w.submit("good", after("a"))
	w.submit("bad")
	w.submit("never", after("bad"))
	cancel := func(id engine.JobID) {
		t.Helper()
		if err := w.Cancel(w.now, id, "not needed"); err != nil {
			t.Fatal(err)
		}
		w.tick()
	}
	cancel("a:0")
	w.want("a:0", "STARTING")
	cancel("a:2")
	w.want("a:2", "FAILED: not needed")
	cancel("good")
	cancel("never")
	w.want("good", "PENDING", "never", "PENDING")
	w.exits("a:0", 0)
	w.exits("a:1", 0)
	w.want("a", "FAILED: "+engine.ReasonArrayChild, "good", "FAILED: not needed")
	w.exits("bad", 0)
	w.want("never", "FAILED: not needed")
	if v := w.get("never"); !v.Cancelled || v.Terminated {
		t.Errorf("job is %+v", v)
	}
	if len(w.stops) > 0 {
		t.Errorf("stops: %v", w.stops)
	}

	w.submit("wait")
	w.submit("whole", size(2))
	cancel("whole")
	w.want("whole", "FAILED: not needed", "whole:1", "FAILED: not needed")
	if v := w.get("whole"); !v.Cancelled {
		t.Errorf("parent is %+v", v)
	}
}

// A lost host: the reason ends with a period, and the retry strategy decides
// (bestpractice6).
func TestRestart(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 3, MemoryMiB: 1024}, Instance: "i-1"})
	w.submit("a", size(3), tries(2, engine.EvaluateOn{StatusReason: "Host EC2*", Retry: true}, engine.EvaluateOn{Reason: "*"}))
	w.submit("b")
	w.runs("a:1")
	w.exits("a:0", 0)
	if err := w.Terminate(w.now, "a:2", "stop"); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.live = nil
	w.Restart(w.now, Capacity{VCPUs: 1, MemoryMiB: 512}, "i-2")
	w.tick()
	w.want("a:0", "SUCCEEDED", "a:1", "STARTING", "a:2", "FAILED: stop", "b", "FAILED: Host EC2 (instance i-1) terminated.")
	v := w.get("a:1")
	if len(v.Attempts) != 1 || v.Attempts[0].ExitCode != nil || v.Attempts[0].StatusReason != "Host EC2 (instance i-1) terminated." {
		t.Errorf("child is %+v", v)
	}
	if w.Exited(w.now, "a", 1, 1, Exit{}) {
		t.Error("a lost try can still end")
	}
	if w.Active() != 1 {
		t.Errorf("%d are active, want 1", w.Active())
	}
	w.drain()
	w.want("a", "FAILED: "+engine.ReasonArrayChild)
}

// What is reported of another try, or twice, changes nothing.
func TestStaleReports(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", tries(2))
	w.submit("b", size(2))
	for _, ok := range []bool{
		w.Started(w.now, "a", -1, 2), w.Started(w.now, "a", 0, 1), w.Started(w.now, "b", -1, 1), w.Started(w.now, "b", 2, 1),
		w.Started(w.now, "c", -1, 1), w.Exited(w.now, "a", -1, 2, Exit{}), w.Exited(w.now, "b", 5, 1, Exit{}),
	} {
		if ok {
			t.Error("a report of something else was taken")
		}
	}
	w.runs("a")
	if w.Started(w.now, "a", -1, 1) {
		t.Error("started twice")
	}
	w.exits("a", 1)
	if w.Exited(w.now, "a", -1, 1, Exit{}) {
		t.Error("the first try ended twice")
	}
	w.want("a", "STARTING")
}

// Time never goes back, whatever the clock does.
func TestClockGoesBack(t *testing.T) {
	w := newWorld(t, Config{})
	w.submit("a", limit(time.Minute))
	w.runs("a")
	w.now = w.now.Add(-time.Hour)
	w.exits("a", 0)
	if v := w.get("a"); v.Stopped.Before(v.Started) || v.Started.Before(v.Created) {
		t.Errorf("job is %+v", v)
	}
}

func isRefusal(err error) bool {
	var r executor.Refusal
	return errors.As(err, &r)
}
