package model

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// newShared has a queue "fair" on the environment "e" with a policy.
func newShared(t testing.TB, vcpus float64, p Policy) *world {
	w := &world{TB: t, Model: New(Config{Declared: true}), now: begin}
	p.Name = "p"
	w.accept(w.CreateEnvironment(w.now, Environment{Name: "e", MaxVCPUs: vcpus}))
	w.accept(w.PutPolicy(w.now, p))
	w.accept(w.CreateQueue(w.now, Queue{Name: "q", Policy: "p", Environments: []string{"e"}}))
	return w
}

func ofShare(id string) func(*Request) { return func(r *Request) { r.ShareID = id } }
func priority(n int) func(*Request)    { return func(r *Request) { r.Priority = n } }
func needs(n ...Need) func(*Request)   { return func(r *Request) { r.Consumables = n } }
func (w *world) running() (out string) { return fmt.Sprint(w.ids()) }

// counts returns how many tries of each share are live.
func (w *world) counts() map[string]int {
	out := map[string]int{}
	for _, e := range w.live {
		out[e.Request.ShareID]++
	}
	return out
}

// The vCPUs are shared by the inverse of the weight factors: 0.125 gets 8 times what 1
// gets (ShareAttributes).
func TestFairShares(t *testing.T) {
	w := newShared(t, 18, Policy{Weights: []Weight{{"heavy*", 0.125}, {"twice", 0.5}}})
	w.accept(w.Block(w.now, "q", "x"))
	for _, id := range []string{"plain", "twice", "heavyA", "heavyB"} {
		w.submit(id, size(100), ofShare(id))
	}
	w.accept(w.Block(w.now, "q", ""))
	w.tick()
	got := w.counts()
	// 1 : 2 : 8 : 8 of 18, and each gets its first.
	if diff := cmp.Diff(map[string]int{"plain": 1, "twice": 2, "heavyA": 8, "heavyB": 7}, got); diff != "" {
		t.Error(diff)
	}
	vcpus, shares := w.Use("q")
	if diff := cmp.Diff([]ShareUse{{"heavyA", 8}, {"heavyB", 7}, {"twice", 2}, {"plain", 1}}, shares); diff != "" || vcpus != 18 {
		t.Errorf("%v vCPUs in use: %s", vcpus, diff)
	}
}

// What a share has used lately counts, the less the longer ago it was (FairsharePolicy,
// shareDecaySeconds).
func TestUsageDecays(t *testing.T) {
	for _, test := range []struct {
		name string
		idle time.Duration
		want string
	}{
		{"a has just used all of it", 0, "[b1 b2]"},
		{"that is long forgotten", 24 * time.Hour, "[a3 b1]"},
	} {
		w := newShared(t, 2, Policy{Decay: time.Minute})
		w.submit("a1", ofShare("a"))
		w.submit("a2", ofShare("a"))
		w.pass(10 * time.Minute)
		w.exits("a1", 0)
		w.exits("a2", 0)
		w.pass(test.idle)
		for _, id := range []engine.JobID{"a3", "b1", "b2"} {
			w.accept(w.Submit(w.now, id, req(string(id), ofShare(string(id[:1])))))
		}
		w.tick()
		if got := w.running(); got != test.want {
			t.Errorf("%s: %s run, want %s", test.name, got, test.want)
		}
	}
}

// Within a share a higher schedulingPriority goes first, and a retry before all.
func TestPriorityWithinShare(t *testing.T) {
	w := newShared(t, 1, Policy{})
	w.submit("first", ofShare("a"), tries(2))
	w.submit("low", ofShare("a"), priority(1))
	w.submit("high", ofShare("a"), priority(9), size(2))
	w.submit("low2", ofShare("a"), priority(1))
	var waiting []engine.JobID
	w.exits("first", 1)
	for _, at := range w.Waiting("q", 10) {
		waiting = append(waiting, at.ID)
	}
	w.drain()
	want := []engine.JobID{"first", "first", "high:0", "high:1", "low", "low2"}
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[2:], waiting); diff != "" {
		t.Error(diff)
	}
}

// (computeReservation/100)^active of the vCPUs are kept for shares that are not active
// (FairsharePolicy).
func TestReservation(t *testing.T) {
	w := newShared(t, 16, Policy{Reservation: 50})
	for i, want := range []int{8, 12, 14, 15, 15} {
		id := fmt.Sprint("share", i)
		w.submit(id, size(20), ofShare(id))
		if len(w.live) != want {
			t.Errorf("%d run of %d shares, want %d", len(w.live), i+1, want)
		}
	}
	if got := w.counts()["share1"]; got != 4 {
		t.Errorf("the second share has %d, want the 4 that were kept for it", got)
	}
	none := newShared(t, 16, Policy{Reservation: 99})
	none.submit("a", ofShare("a"), asks(16, 64))
	none.submit("b", ofShare("a"))
	none.want("a", "STARTING", "b", "RUNNABLE: ")
}

// Of an environment whose instances are not Batch's, as much is kept as of Planned
// (CreateComputeEnvironmentRequest, unmanagedvCpus).
func TestReservationOfUnmanaged(t *testing.T) {
	for planned, want := range map[float64]int{0: 20, 8: 4} {
		w := newShared(t, 1000, Policy{Reservation: 50})
		w.accept(w.UpdateEnvironment(w.now, Environment{Name: "e", MaxVCPUs: 1000, Unmanaged: true, Planned: planned}))
		w.submit("a", size(20), ofShare("a"))
		if len(w.live) != want {
			t.Errorf("%d run of %v planned, want %d", len(w.live), planned, want)
		}
	}
}

// Waiting tells the order of a queue with shares as well.
func TestWaitingOfShares(t *testing.T) {
	w := newShared(t, 1, Policy{Weights: []Weight{{"b", 0.5}}})
	w.accept(w.Block(w.now, "q", "x"))
	w.submit("a", size(3), ofShare("a"), asks(0.25, 64))
	w.submit("b", size(6), ofShare("b"), asks(0.25, 64))
	w.submit("c", ofShare("a"), priority(5), asks(0.25, 64))
	var order []engine.JobID
	for _, at := range w.Waiting("q", 100) {
		order = append(order, at.ID)
	}
	want := []engine.JobID{"b:0", "c", "b:1", "a:0", "b:2", "b:3", "a:1", "b:4", "b:5", "a:2"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error(diff)
	}
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "e", MaxVCPUs: 100}))
	w.accept(w.Block(w.now, "q", ""))
	w.tick()
	if diff := cmp.Diff(order, w.log); diff != "" {
		t.Error(diff)
	}
}

func TestPolicies(t *testing.T) {
	w := newShared(t, 4, Policy{Detail: "kept"})
	w.accept(w.CreateQueue(w.now, Queue{Name: "fifo", Environments: []string{"e"}}))
	for _, test := range []struct {
		policy Policy
		want   string
	}{
		{Policy{Name: "a b"}, "Provided name a b is not supported pattern"},
		{Policy{Name: "x", Decay: -1}, "shareDecaySeconds"},
		{Policy{Name: "x", Reservation: 100}, "computeReservation"},
		{Policy{Name: "x", Weights: []Weight{{"a-b", 1}}}, "letters and digits"},
		{Policy{Name: "x", Weights: []Weight{{"", 1}}}, "1 to 255 characters"},
		{Policy{Name: "x", Weights: []Weight{{"a", 0}}}, "weightFactor"},
		{Policy{Name: "x", Weights: []Weight{{"User*", 1}, {"User1", 2}}}, "overlap"},
		{Policy{Name: "x", Weights: []Weight{{"User1", 1}, {"User1", 2}}}, "overlap"},
	} {
		w.refused(w.PutPolicy(w.now, test.policy), test.want)
	}
	w.accept(w.PutPolicy(w.now, Policy{Name: "b", Weights: []Weight{{"User1", 1}, {"Other*", 2}}}))
	var names []string
	for p := range w.Policies() {
		names = append(names, p.Name)
	}
	if p, ok := w.Policy("p"); !ok || p.Detail != "kept" || fmt.Sprint(names) != "[b p]" {
		t.Errorf("got %+v of %v", p, names)
	}
	w.refused(w.DeletePolicy(w.now, "p"), "is used by a job queue")
	w.refused(w.DeletePolicy(w.now, "x"), "does not exist")
	w.accept(w.UpdateQueue(w.now, Queue{Name: "q", Policy: "b", Environments: []string{"e"}}))
	w.accept(w.DeletePolicy(w.now, "p"))
	if _, ok := w.Policy("p"); ok {
		t.Error("p is still there")
	}
	w.refused(w.UpdateQueue(w.now, Queue{Name: "q", Environments: []string{"e"}}), "can be replaced, but not added or removed")
	w.refused(w.UpdateQueue(w.now, Queue{Name: "fifo", Policy: "b", Environments: []string{"e"}}), "can be replaced, but not added or removed")
	w.refused(w.CreateQueue(w.now, Queue{Name: "new", Policy: "p", Environments: []string{"e"}}), "SchedulingPolicy p not found.")

	w.refused(w.Submit(w.now, "a", req("a")), "must have shareIdentifier")
	w.refused(w.Submit(w.now, "a", req("a", ofShare("a_b"))), "letters and digits")
	w.refused(w.Submit(w.now, "a", req("a", ofShare("a"), inQueue("fifo"))), "Job with shareIdentifier or schedulingPriority can only be submitted to job queue with fair share scheduling policy.")
	for i := range maxShares {
		w.submit(fmt.Sprint("a", i), ofShare(fmt.Sprint("a", i)))
	}
	w.refused(w.Submit(w.now, "b", req("b", ofShare("b"))), "active share identifiers")
	w.submit("a", ofShare("a0"))
	w.drain()
	for i := range 3 * maxShares {
		w.submit(fmt.Sprint("b", i), ofShare(fmt.Sprint("b", i)))
		w.drain()
		w.pass(time.Hour)
	}
	if n := len(w.byQueue["q"].shares); n > 1100 {
		t.Errorf("%d share identifiers are remembered", n)
	}
}
