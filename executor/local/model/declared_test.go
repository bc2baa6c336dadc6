package model

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor"
)

// newDeclared is a Batch with the environments "large" (16 vCPUs, jobs of at most 8) and
// "small" (4 vCPUs, jobs of at most 2) and the queue "q" on both, small first.
func newDeclared(t testing.TB, cfg Config) *world {
	cfg.Declared = true
	w := &world{TB: t, Model: New(cfg), now: begin}
	w.accept(w.CreateEnvironment(w.now, Environment{Name: "large", MaxVCPUs: 16, Largest: Capacity{VCPUs: 8, MemoryMiB: 1 << 15}}))
	w.accept(w.CreateEnvironment(w.now, Environment{Name: "small", MaxVCPUs: 4, Largest: Capacity{VCPUs: 2}}))
	w.pass(cfg.Settle)
	w.accept(w.CreateQueue(w.now, Queue{Name: "q", Priority: 1, Environments: []string{"small", "large"}}))
	w.pass(cfg.Settle)
	return w
}

func (w *world) accept(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused checks that an error is a refusal with that text.
func (w *world) refused(err error, want string) {
	w.Helper()
	var r executor.Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Error(), want) {
		w.Errorf("got %v, want a refusal with %q", err, want)
	}
}

// health returns the health of an environment or of a queue; "": there is none.
func (w *world) health(name string) Health {
	if _, life, ok := w.Environment(name); ok {
		return life.Health
	}
	_, life, _ := w.JobQueue(name)
	return life.Health
}

func (w *world) healths(pairs ...string) {
	w.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := w.health(pairs[i]); string(got) != pairs[i+1] {
			w.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// Environments and queues go through CREATING, UPDATING and DELETING, and can be removed
// in the documented order only (Batch API, DeleteComputeEnvironment and DeleteJobQueue).
func TestLifeOfEnvironmentsAndQueues(t *testing.T) {
	const settle = time.Second
	w := &world{TB: t, Model: New(Config{Declared: true, Settle: settle}), now: begin}
	e := Environment{Name: "e", MaxVCPUs: 4, Detail: "kept"}
	w.accept(w.CreateEnvironment(w.now, e))
	w.refused(w.CreateEnvironment(w.now, e), "Object already exists")
	w.healths("e", "CREATING")
	q := Queue{Name: "q", Environments: []string{"e"}, Detail: 7}
	w.refused(w.CreateQueue(w.now, q), "Compute Environments must be created and valid before attaching them to a job queue")
	if got := w.Wake(); !got.Equal(w.now.Add(settle)) {
		t.Errorf("Wake is %v, want %v", got, w.now.Add(settle))
	}
	w.pass(settle)
	w.healths("e", "VALID")
	w.accept(w.CreateQueue(w.now, q))
	w.refused(w.CreateQueue(w.now, q), "Object already exists")
	w.healths("q", "CREATING")
	w.submit("early") // waits for the queue
	w.want("early", "RUNNABLE")
	w.refused(w.DeleteQueue(w.now, "q"), "Cannot delete, resource is being modified")
	w.pass(settle)
	w.want("early", "STARTING")
	got, life, ok := w.JobQueue("q")
	if diff := cmp.Diff(q, got); diff != "" || !ok {
		t.Error(diff)
	}
	if diff := cmp.Diff(Life{Valid, "JobQueue Healthy", begin.Add(settle)}, life); diff != "" {
		t.Error(diff)
	}

	w.refused(w.DeleteQueue(w.now, "q"), "must be DISABLED")
	w.refused(w.DeleteEnvironment(w.now, "e"), "must be DISABLED")
	e.Disabled, q.Disabled = true, true
	w.accept(w.UpdateEnvironment(w.now, e))
	w.healths("e", "UPDATING")
	w.refused(w.UpdateEnvironment(w.now, e), "Cannot update, resource is being modified")
	more := q
	more.Environments = []string{"e", "f"}
	w.refused(w.UpdateQueue(w.now, more), "created and valid")
	w.accept(w.UpdateQueue(w.now, q)) // it has been on e
	w.refused(w.CreateQueue(w.now, Queue{Name: "late", Environments: []string{"e"}}), "created and valid")
	w.pass(settle)
	w.refused(w.DeleteEnvironment(w.now, "e"), "Cannot delete, found existing JobQueue relationship")
	w.accept(w.UpdateQueue(w.now, q))
	w.refused(w.DeleteQueue(w.now, "q"), "Cannot delete, resource is being modified")
	w.refused(w.Submit(w.now, "late", req("late")), "DISABLED")
	w.pass(settle)
	w.accept(w.DeleteQueue(w.now, "q"))
	w.pass(settle)
	w.healths("q", "DELETING") // its job has not ended yet
	if len(w.stops) != 1 {
		t.Fatalf("stopped %v", w.stops)
	}
	w.exits("early", 143)
	w.healths("q", "")
	w.want("early", "FAILED: JobQueue deleted")
	w.refused(w.Submit(w.now, "late", req("late")), "JobQueue q not found.")
	w.accept(w.DeleteEnvironment(w.now, "e"))
	w.healths("e", "DELETING")
	w.refused(w.DeleteEnvironment(w.now, "e"), "Cannot delete, resource is being modified")
	w.pass(settle)
	w.healths("e", "")
	w.refused(w.DeleteEnvironment(w.now, "e"), "compute-environment/e does not exist")
	w.refused(w.UpdateEnvironment(w.now, e), "compute-environment/e does not exist")
	w.refused(w.DeleteQueue(w.now, "q"), "job-queue/q does not exist")
	w.refused(w.UpdateQueue(w.now, q), "job-queue/q does not exist")
	if got := w.Wake(); !got.IsZero() {
		t.Errorf("Wake is %v, want never", got)
	}
}

// With nothing to wait for, everything is VALID or gone at once.
func TestSettleAtOnce(t *testing.T) {
	w := newDeclared(t, Config{})
	w.healths("large", "VALID", "q", "VALID")
	w.accept(w.UpdateQueue(w.now, Queue{Name: "q", Disabled: true, Environments: []string{"large"}}))
	w.accept(w.DeleteQueue(w.now, "q"))
	w.healths("q", "")
}

func TestDeclarationRefusals(t *testing.T) {
	w := newDeclared(t, Config{})
	w.accept(w.CreateEnvironment(w.now, Environment{Name: "fargate", Fargate: true, MaxVCPUs: 4}))
	w.refused(w.CreateEnvironment(w.now, Environment{Name: "a b"}), "Provided name a b is not supported pattern")
	w.refused(w.CreateEnvironment(w.now, Environment{Name: "x", MaxVCPUs: -1}), "maxvCpus")
	w.refused(w.UpdateEnvironment(w.now, Environment{Name: "large", Fargate: true}), "cannot be changed between")
	for _, test := range []struct {
		name  string
		queue Queue
		want  string
	}{
		{"name", Queue{Name: "a b", Environments: []string{"large"}}, "Job Queue name should match a valid pattern."},
		{"none", Queue{Name: "x"}, "1 to 3 compute environments"},
		{"four", Queue{Name: "x", Environments: []string{"large", "small", "a", "b"}}, "1 to 3 compute environments"},
		{"unknown", Queue{Name: "x", Environments: []string{"nobody"}}, "created and valid"},
		{"twice", Queue{Name: "x", Environments: []string{"large", "large"}}, "named twice"},
		{"mixed", Queue{Name: "x", Environments: []string{"large", "fargate"}}, "Fargate and EC2 compute environments can not be mixed."},
		{"priority", Queue{Name: "x", Environments: []string{"large"}, Priority: -1}, "Priority"},
		{"limit", Queue{Name: "x", Environments: []string{"large"}, Limits: []StateLimit{{"UNDETERMINED", time.Hour}}}, "Invalid job reason"},
	} {
		w.refused(w.CreateQueue(w.now, test.queue), test.want)
		test.queue.Name = "q"
		if test.name != "name" {
			w.refused(w.UpdateQueue(w.now, test.queue), test.want)
		}
	}
	w.accept(w.CreateQueue(w.now, Queue{Name: "serverless", Environments: []string{"fargate"}}))
	w.refused(w.Submit(w.now, "a", req("a", inQueue("serverless"))), "Job Queue is attached to Compute Environment that can not run Jobs with capability EC2")
	w.refused(w.Submit(w.now, "a", req("a", func(r *Request) { r.Fargate = true })), "capability FARGATE")
	w.refused(w.Submit(w.now, "a", req("a", limit(59*time.Second))), "Timeout")

	w.fresh.all = make([]*job, maxSubmitted)
	w.refused(w.Submit(w.now, "a", req("a")), "No more than 1000000 jobs can be in SUBMITTED state")

	implicit := newWorld(t, Config{})
	implicit.refused(implicit.CreateEnvironment(w.now, Environment{Name: "e"}), "cannot be changed")
	implicit.refused(implicit.CreateQueue(w.now, Queue{Name: "x"}), "cannot be changed")
}

func TestQuotasOfDeclarations(t *testing.T) {
	w := newDeclared(t, Config{})
	for i := range maxEnvironments - 2 {
		w.accept(w.CreateEnvironment(w.now, Environment{Name: fmt.Sprint("e", i), MaxVCPUs: 1}))
	}
	w.refused(w.CreateEnvironment(w.now, Environment{Name: "more"}), "more than 50 compute environments")
	for i := range maxQueues - 1 {
		w.accept(w.CreateQueue(w.now, Queue{Name: fmt.Sprint("q", i), Environments: []string{"e0", "e1", "e2"}}))
	}
	w.refused(w.CreateQueue(w.now, Queue{Name: "more", Environments: []string{"e0"}}), "more than 50 job queues")
	var names []string
	for q := range w.JobQueues() {
		if names = append(names, q.Name); len(names) == 3 {
			break
		}
	}
	for e := range w.Environments() {
		if names = append(names, e.Name); len(names) == 6 {
			break
		}
	}
	if diff := cmp.Diff([]string{"q", "q0", "q1", "e0", "e1", "e10"}, names); diff != "" {
		t.Error(diff)
	}
}

// The environments of a queue are tried in order (ComputeEnvironmentOrder), each up to
// its maxvCpus.
func TestEnvironmentsInOrder(t *testing.T) {
	w := newDeclared(t, Config{})
	w.submit("a", size(30), asks(2, 64))
	got := map[string]int{}
	for _, e := range w.live {
		got[e.Environment]++
		if v := w.get(e.ID()); v.Environment != e.Environment || v.TaskID != e.TaskID || len(e.TaskID) != 32 {
			t.Errorf("%s was placed on %s as %s: %+v", e.ID(), e.Environment, e.TaskID, v)
		}
	}
	if diff := cmp.Diff(map[string]int{"small": 2, "large": 8}, got); diff != "" {
		t.Error(diff)
	}
	if vcpus, _ := w.Use("q"); vcpus != 20 {
		t.Errorf("%v vCPUs are in use, want 20", vcpus)
	}
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "small", Disabled: true, MaxVCPUs: 4}))
	w.drain()
	for _, id := range w.log[10:] {
		if v := w.get(id); v.Environment != "large" {
			t.Errorf("%s ran on %s", id, v.Environment)
		}
	}
	if vcpus, _ := w.Use("q"); vcpus != 0 || len(w.log) != 30 || w.used != (amount{}) {
		t.Errorf("%v vCPUs are in use, %+v taken, %d ran", vcpus, w.used, len(w.log))
	}
}

// What fits on no environment says so while it is at the head of its queue, and only
// then (job_stuck_in_runnable).
func TestNeverFits(t *testing.T) {
	w := newDeclared(t, Config{})
	w.submit("cpu", asks(17, 64))
	w.submit("large", asks(9, 64))
	w.submit("memory", asks(1, 1<<16))
	w.submit("fits", asks(8, 64))
	w.want("cpu", "RUNNABLE: "+ReasonMaxVCPUs, "large", "RUNNABLE: ", "memory", "RUNNABLE: ", "fits", "RUNNABLE: ")
	w.accept(w.Terminate(w.now, "cpu", "x"))
	w.tick()
	w.want("large", "RUNNABLE: "+ReasonTooLarge)
	w.accept(w.Terminate(w.now, "large", "x"))
	w.tick()
	w.want("memory", "STARTING") // small has no limit of memory
	w.want("fits", "STARTING")
	if v := w.get("fits"); v.Environment != "large" {
		t.Errorf("8 vCPUs were placed on %s", v.Environment)
	}
	w.submit("again", asks(9, 64))
	w.want("again", "RUNNABLE: "+ReasonTooLarge)
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "large", MaxVCPUs: 32}))
	w.tick()
	w.want("again", "STARTING: ")
}

// Every job is cut down to the machine behind the environments.
func TestMachineBehindEnvironments(t *testing.T) {
	w := newDeclared(t, Config{Capacity: Capacity{VCPUs: 2}})
	w.submit("a", asks(8, 1<<14))
	w.submit("b", asks(1, 64))
	w.want("a", "STARTING", "b", "RUNNABLE: ")
	want := engine.Resources{VCPUs: 2, MemoryMiB: 1 << 14}
	if got := w.live[0].Granted; got != want {
		t.Errorf("granted %+v, want %+v", got, want)
	}
	if vcpus, _ := w.Use("q"); vcpus != 8 {
		t.Errorf("%v vCPUs are in use by AWS's reckoning, want 8", vcpus)
	}
}

// Queues of higher priority go first, those of the same take turns (JobQueueDetail).
func TestPriorityOfQueues(t *testing.T) {
	w := newDeclared(t, Config{Capacity: Capacity{VCPUs: 1}})
	w.accept(w.CreateQueue(w.now, Queue{Name: "urgent", Priority: 9, Environments: []string{"large"}}))
	w.accept(w.CreateQueue(w.now, Queue{Name: "same", Priority: 1, Environments: []string{"large"}}))
	w.submit("first")
	w.submit("a", size(2))
	w.submit("b", size(2), inQueue("same"))
	w.submit("c", size(2), inQueue("urgent"))
	w.drain()
	want := []engine.JobID{"first", "c:0", "c:1", "b:0", "a:0", "b:1", "a:1"}
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Error(diff)
	}
	w.log = nil
	w.submit("d")
	w.submit("e", inQueue("same"))
	w.submit("f", inQueue("urgent"))
	w.accept(w.UpdateQueue(w.now, Queue{Name: "same", Priority: 10, Environments: []string{"large"}}))
	w.drain()
	if diff := cmp.Diff([]engine.JobID{"d", "e", "f"}, w.log); diff != "" {
		t.Error(diff)
	}
}

// Deleting a queue ends its jobs, whatever their state, and what depends on them.
func TestDeleteQueueWithJobs(t *testing.T) {
	w := newDeclared(t, Config{Capacity: Capacity{VCPUs: 1}, Settle: time.Second})
	w.accept(w.CreateQueue(w.now, Queue{Name: "other", Environments: []string{"large"}}))
	w.pass(time.Second)
	w.submit("runs")
	w.submit("array", size(3))
	w.submit("waits", after("array"))
	w.submit("elsewhere", after("array"), inQueue("other"))
	w.submit("free", inQueue("other"))
	w.accept(w.UpdateQueue(w.now, Queue{Name: "q", Disabled: true, Environments: []string{"large"}}))
	w.pass(time.Second)
	w.accept(w.DeleteQueue(w.now, "q"))
	w.tick()
	w.want("runs", "STARTING", "array", "FAILED: JobQueue deleted", "array:2", "FAILED: JobQueue deleted",
		"waits", "FAILED: JobQueue deleted", "elsewhere", "FAILED: Dependent Job failed", "free", "RUNNABLE")
	w.exits("runs", 0)
	w.want("runs", "FAILED: JobQueue deleted", "free", "STARTING")
	w.healths("q", "DELETING")
	w.pass(time.Second)
	w.healths("q", "")
	if !w.get("runs").Terminated {
		t.Error("not terminated")
	}
	w.accept(w.CreateQueue(w.now, Queue{Name: "q", Environments: []string{"large"}}))
	for s := range engine.JobStatus(engine.NumJobStatuses) {
		for v := range w.Jobs("q", s, 0) {
			t.Errorf("the new queue has %s", v.ID)
		}
	}
}

// Deleting an environment of EC2 takes its instances away; one of Fargate with active
// jobs is INVALID (Batch API, DeleteComputeEnvironment).
func TestDeleteEnvironmentWithJobs(t *testing.T) {
	w := newDeclared(t, Config{})
	w.submit("a", asks(1, 64), tries(2))
	w.accept(w.UpdateQueue(w.now, Queue{Name: "q", Environments: []string{"large"}}))
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "small", Disabled: true}))
	w.accept(w.DeleteEnvironment(w.now, "small"))
	w.tick()
	w.healths("small", "DELETING")
	if len(w.stops) != 1 || !w.stops[0].Lost || w.stops[0].Grace != 0 {
		t.Fatalf("stops %+v", w.stops)
	}
	w.exits("a", 137)
	w.healths("small", "")
	v := w.get("a")
	if v.Environment != "large" || len(v.Attempts) != 1 || !strings.HasPrefix(v.Attempts[0].StatusReason, "Host EC2 (instance i-") || v.Attempts[0].ExitCode != nil {
		t.Errorf("got %+v", v)
	}

	w.accept(w.CreateEnvironment(w.now, Environment{Name: "fargate", Fargate: true, MaxVCPUs: 4}))
	w.accept(w.CreateEnvironment(w.now, Environment{Name: "fargate2", Fargate: true, MaxVCPUs: 4}))
	w.accept(w.CreateQueue(w.now, Queue{Name: "f", Environments: []string{"fargate"}}))
	w.submit("b", inQueue("f"), func(r *Request) { r.Fargate = true })
	w.accept(w.UpdateQueue(w.now, Queue{Name: "f", Environments: []string{"fargate2"}}))
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "fargate", Fargate: true, Disabled: true}))
	w.accept(w.DeleteEnvironment(w.now, "fargate"))
	w.healths("fargate", "INVALID")
	w.exits("b", 0)
	w.accept(w.DeleteEnvironment(w.now, "fargate"))
	w.healths("fargate", "")
}

// A job stays SUBMITTED for as long as Batch takes to look at it; what is ended
// meanwhile is FAILED then.
func TestSubmitting(t *testing.T) {
	const wait = 2 * time.Second
	w := newDeclared(t, Config{Submitting: wait})
	w.submit("a", size(2))
	w.submit("b")
	w.submit("c")
	w.submit("d", size(2), nToN("a"))
	w.pass(wait - time.Millisecond)
	w.accept(w.Terminate(w.now, "b", "no more"))
	w.accept(w.Cancel(w.now, "c", "not wanted"))
	w.accept(w.Terminate(w.now, "a:1", "too early"))
	w.submit("e")
	w.want("a", "SUBMITTED", "b", "SUBMITTED", "c", "SUBMITTED", "d", "SUBMITTED")
	w.summary("a", "2 0 0 0 0 0 0")
	if got, want := w.Wake(), begin.Add(wait); !got.Equal(want) {
		t.Errorf("Wake is %v, want %v", got, want)
	}
	w.pass(time.Millisecond)
	w.want("a:1", "STARTING", "b", "FAILED: no more", "c", "FAILED: not wanted", "d:1", "PENDING", "e", "SUBMITTED")
	if b, c := w.get("b"), w.get("c"); !b.Terminated || b.Cancelled || c.Terminated || !c.Cancelled {
		t.Errorf("terminated %v, cancelled %v; then %v, %v", b.Terminated, b.Cancelled, c.Terminated, c.Cancelled)
	}
	w.pass(wait)
	w.want("e", "STARTING")
}
