package model

import (
	"encoding/json"
	"testing"
	"time"
)

// What is INVALID gets no jobs, and says why, until it is mended (Batch User Guide,
// invalid_compute_environment); the head of a queue on nothing else says so.
func TestInvalidate(t *testing.T) {
	const why = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole"
	w := newDeclared(t, Config{Settle: time.Second})
	invalid := func(name, reason string) {
		t.Helper()
		w.accept(w.Invalidate(w.now, name, reason))
		w.tick()
	}
	reason := func(name, want string) {
		t.Helper()
		if _, life, _ := w.Environment(name); life.Reason != want {
			t.Errorf("the reason of %s is %q, want %q", name, life.Reason, want)
		}
	}
	invalid("small", why)
	w.healths("small", "INVALID", "large", "VALID")
	reason("small", why)
	w.submit("a")
	if e := w.get("a").Environment; e != "large" {
		t.Errorf("it is placed on %q", e)
	}
	invalid("large", why)
	w.want("a", "STARTING") // what runs goes on
	w.submit("b")
	w.want("b", "RUNNABLE: "+ReasonInvalid)

	// Its state does not mend it, other settings do.
	large := Environment{Name: "large", MaxVCPUs: 16, Largest: Capacity{VCPUs: 8, MemoryMiB: 1 << 15}}
	off := large
	off.Disabled = true
	w.accept(w.UpdateEnvironment(w.now, off))
	w.healths("large", "UPDATING")
	w.want("b", "RUNNABLE: "+ReasonInvalid)
	w.pass(time.Second)
	w.healths("large", "INVALID")
	reason("large", why)
	w.accept(w.UpdateEnvironment(w.now, large))
	w.pass(time.Second)
	w.healths("large", "INVALID")
	w.want("b", "RUNNABLE: "+ReasonInvalid)
	large.MaxVCPUs = 32
	w.accept(w.UpdateEnvironment(w.now, large))
	w.tick()
	w.want("b", "STARTING")
	w.pass(time.Second)
	w.healths("large", "VALID")
	reason("large", "ComputeEnvironment Healthy")

	invalid("small", "")
	w.healths("small", "VALID")
	w.refused(w.Invalidate(w.now, "nobody", why), "compute-environment/nobody does not exist")
}

// It can be deleted as it is.
func TestDeleteInvalid(t *testing.T) {
	w := newDeclared(t, Config{})
	e := Environment{Name: "e", MaxVCPUs: 1}
	w.accept(w.CreateEnvironment(w.now, e))
	w.accept(w.Invalidate(w.now, "e", "why"))
	w.refused(w.CreateQueue(w.now, Queue{Name: "x", Environments: []string{"e"}}), "created and valid")
	w.refused(w.DeleteEnvironment(w.now, "e"), "must be DISABLED")
	e.Disabled = true
	w.accept(w.UpdateEnvironment(w.now, e))
	w.healths("e", "INVALID")
	w.accept(w.DeleteEnvironment(w.now, "e"))
	w.healths("e", "")
}

func TestInvalidIsSaved(t *testing.T) {
	w := newDeclared(t, Config{})
	w.accept(w.Invalidate(w.now, "small", "why"))
	w.accept(w.Invalidate(w.now, "large", "why"))
	b, err := json.Marshal(w.Save())
	w.accept(err)
	var s Saved
	w.accept(json.Unmarshal(b, &s))
	again, err := Restore(Config{Declared: true}, &s, Decoders{})
	w.accept(err)
	w.Model = again
	w.submit("a")
	w.want("a", "RUNNABLE: "+ReasonInvalid)
	w.accept(w.Invalidate(w.now, "large", ""))
	w.tick()
	w.want("a", "STARTING")
}
