package model

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// consumablesAre checks what there is, as "name in use/total, available".
func (w *world) consumablesAre(want ...string) {
	w.Helper()
	var got []string
	for c := range w.Consumables() {
		got = append(got, fmt.Sprintf("%s %d/%d %d", c.Name, c.InUse, c.Total, c.Available))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Error(diff)
	}
}

// resource-aware-scheduling-how-to-for-jobs: a job waits in RUNNABLE, at the head of its
// queue, takes what it needs when it is STARTING and has it until it has ended.
func TestConsumables(t *testing.T) {
	w := newDeclared(t, Config{})
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "license", Total: 3, Replenishes: true, Detail: "kept"}))
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "tokens", Total: 5}))
	both := needs(Need{"license", 1}, Need{"tokens", 2})
	w.submit("a", size(4), both, tries(2))
	w.submit("b")
	w.want("a:1", "STARTING", "a:2", "RUNNABLE: ", "b", "RUNNABLE: ")
	w.consumablesAre("license 2/3 1", "tokens 4/1 1")

	w.exits("a:0", 1) // its next try has what it needs already
	w.want("a:0", "STARTING", "a:2", "RUNNABLE")
	w.consumablesAre("license 2/3 1", "tokens 4/1 1")
	w.exits("a:0", 1)
	w.want("a:0", "FAILED")
	w.consumablesAre("license 1/3 2", "tokens 2/1 1")
	w.accept(w.SetConsumable(w.now, Consumable{Name: "tokens", Total: 10}))
	w.tick()
	w.want("a:3", "STARTING", "b", "STARTING")
	w.consumablesAre("license 3/3 0", "tokens 6/6 6")
	w.accept(w.SetConsumable(w.now, Consumable{Name: "license", Total: 1}))
	w.consumablesAre("license 3/1 0", "tokens 6/6 6")
	w.drain()
	w.consumablesAre("license 0/1 1", "tokens 0/6 6")
	if c, ok := w.Consumable("license"); !ok || c.Detail != nil || !c.Created.Equal(begin) || !c.Replenishes {
		t.Errorf("got %+v", c)
	}
}

// A waiting job gives back what it has when it is ended.
func TestConsumablesOfEndedJobs(t *testing.T) {
	w := newDeclared(t, Config{})
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "c", Total: 1, Replenishes: true}))
	w.submit("a", needs(Need{"c", 1}), tries(2))
	w.submit("b", needs(Need{"c", 1}))
	w.accept(w.Block(w.now, "q", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"))
	w.exits("a", 1)
	w.consumablesAre("c 1/1 0")
	w.accept(w.Terminate(w.now, "a", "x"))
	w.consumablesAre("c 0/1 1")
	w.accept(w.Block(w.now, "q", ""))
	w.tick()
	w.want("b", "STARTING")
}

// resource-aware-scheduling-how-to-delete: at any time; what is created again is the same.
func TestDeleteConsumable(t *testing.T) {
	w := newDeclared(t, Config{})
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "c", Total: 2, Replenishes: true}))
	w.submit("a", size(3), needs(Need{"c", 1}))
	w.submit("zero", needs(Need{"c", 0}))
	w.accept(w.DeleteConsumable(w.now, "c"))
	w.consumablesAre()
	w.refused(w.Submit(w.now, "b", req("b", needs(Need{"c", 1}))), "Consumable resource c does not exist")
	w.exits("a:0", 0)
	w.want("a:2", "RUNNABLE")
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "c", Total: 1, Replenishes: true}))
	w.tick()
	w.consumablesAre("c 1/1 0")
	w.want("a:2", "RUNNABLE")
	w.accept(w.DeleteConsumable(w.now, "c"))
	w.exits("a:1", 0)
	if len(w.consumables) != 0 {
		t.Errorf("%v are left", w.consumables)
	}
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "c", Total: 1}))
	w.tick()
	w.want("a:2", "STARTING", "zero", "STARTING")
	w.exits("a:2", 0)
	w.accept(w.DeleteConsumable(w.now, "c"))
	w.exits("zero", 0)
}

func TestConsumableRefusals(t *testing.T) {
	w := newDeclared(t, Config{})
	c := Consumable{Name: "c", Total: 1}
	w.accept(w.CreateConsumable(w.now, c))
	w.refused(w.CreateConsumable(w.now, c), "Object already exists")
	w.refused(w.CreateConsumable(w.now, Consumable{Name: "a b"}), "Provided name a b is not supported pattern")
	w.refused(w.CreateConsumable(w.now, Consumable{Name: "x", Total: -1}), "negative")
	w.refused(w.SetConsumable(w.now, Consumable{Name: "c", Total: -1}), "negative")
	w.refused(w.SetConsumable(w.now, Consumable{Name: "x"}), "does not exist")
	w.refused(w.DeleteConsumable(w.now, "x"), "does not exist")
	w.refused(w.Submit(w.now, "a", req("a", needs(Need{"x", 1}))), "does not exist")
	w.refused(w.Submit(w.now, "a", req("a", needs(Need{"c", -1}))), "negative")
	w.refused(w.Submit(w.now, "a", req("a", needs(Need{"c", 1}, Need{"c", 1}))), "Cannot have duplicate consumableResource in consumableResourceProperties")
	w.refused(w.Submit(w.now, "a", req("a", needs(make([]Need, 6)...))), "more than 5")
}

// jobStateTimeLimitActions: the job at the head of its queue is cancelled when it has had
// a reason for so long.
func TestStateTimeLimits(t *testing.T) {
	const limit = 10 * time.Minute
	w := newDeclared(t, Config{})
	capacity, max := "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
	q := Queue{Name: "q", Environments: []string{"large"}, Limits: []StateLimit{{capacity, limit}, {max, 2 * limit}}}
	w.accept(w.UpdateQueue(w.now, q))
	w.submit("wide", size(2), asks(17, 64))
	w.submit("ok")
	w.want("wide:0", "RUNNABLE: "+ReasonMaxVCPUs, "wide:1", "RUNNABLE: ")
	if got, want := w.Wake(), begin.Add(2*limit); !got.Equal(want) {
		t.Errorf("Wake is %v, want %v", got, want)
	}
	w.pass(2*limit - time.Millisecond)
	w.want("wide:0", "RUNNABLE")
	w.pass(time.Millisecond)
	w.want("wide:0", "FAILED: Canceled by JobStateTimeLimit action due to reason: "+max, "wide:1", "RUNNABLE: "+ReasonMaxVCPUs)
	if v := w.get("wide:0"); !v.Cancelled || v.Terminated {
		t.Errorf("got %+v", v)
	}
	w.accept(w.Block(w.now, "q", capacity+" - Service cannot fulfill the capacity requested for instance type [m5.large]"))
	w.tick()
	w.pass(limit - time.Millisecond)
	w.accept(w.Block(w.now, "q", "")) // another reason: the time begins anew
	w.tick()
	w.want("wide:1", "RUNNABLE: "+ReasonMaxVCPUs)
	w.pass(2*limit - time.Millisecond)
	w.want("wide:1", "RUNNABLE", "ok", "RUNNABLE: ")
	w.pass(time.Millisecond)
	w.want("wide", "FAILED: Array Child Job failed", "ok", "STARTING: ")
	w.refused(w.UpdateQueue(w.now, Queue{Name: "q", Environments: []string{"large"}, Limits: []StateLimit{{capacity, limit}, {capacity, limit}}}), "Duplicate job state limit actions are not allowed.")
	w.refused(w.UpdateQueue(w.now, Queue{Name: "q", Environments: []string{"large"}, Limits: []StateLimit{{capacity, time.Minute}}}), "maxTimeSeconds")
}
