package model

import (
	"fmt"
	"testing"
	"time"

	"flow/engine"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A world is a Batch whose instance does what a test says.
type world struct {
	testing.TB
	*Model
	now   time.Time
	live  []Effect // started and not ended, oldest first
	stops []Effect
	log   []engine.JobID // whatever was started, in order
}

func newWorld(t testing.TB, cfg Config) *world {
	if cfg.Capacity == (Capacity{}) {
		cfg.Capacity = Capacity{VCPUs: 4, MemoryMiB: 1 << 20}
	}
	return &world{TB: t, Model: New(cfg), now: begin}
}

// req is a plain job of one vCPU.
func req(name string, options ...func(*Request)) *Request {
	r := &Request{Name: name, Queue: "q", Definition: "def", Attempts: 1, Resources: engine.Resources{VCPUs: 1, MemoryMiB: 64}}
	for _, o := range options {
		o(r)
	}
	return r
}

func size(n int) func(*Request) { return func(r *Request) { r.ArraySize = n } }
func on(id engine.JobID, kind engine.DependencyType) func(*Request) {
	return func(r *Request) { r.DependsOn = append(r.DependsOn, engine.Dependency{Job: id, Type: kind}) }
}
func after(id engine.JobID) func(*Request) { return on(id, engine.DependAll) }
func nToN(id engine.JobID) func(*Request)  { return on(id, engine.DependNToN) }
func sequential(r *Request)                { on("", engine.DependSequential)(r) }
func tries(n int, e ...engine.EvaluateOn) func(*Request) {
	return func(r *Request) { r.Attempts, r.Evaluate = n, e }
}
func limit(d time.Duration) func(*Request) { return func(r *Request) { r.Timeout = d } }
func asks(vcpus float64, memory int) func(*Request) {
	return func(r *Request) { r.VCPUs, r.MemoryMiB = vcpus, memory }
}
func inQueue(q string) func(*Request) { return func(r *Request) { r.Queue = q } }

// submit submits a job under its name and lets the scheduler work.
func (w *world) submit(name string, options ...func(*Request)) engine.JobID {
	w.Helper()
	id := engine.JobID(name)
	if err := w.Submit(w.now, id, req(name, options...)); err != nil {
		w.Fatalf("Submit(%s): %v", name, err)
	}
	w.tick()
	return id
}

func (w *world) tick() {
	for _, e := range w.Tick(w.now) {
		if e.Kind == Start {
			w.live = append(w.live, e)
			w.log = append(w.log, e.ID())
		} else {
			w.stops = append(w.stops, e)
		}
	}
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.tick()
}

// take removes the live try of a job.
func (w *world) take(id engine.JobID) Effect {
	w.Helper()
	for i, e := range w.live {
		if e.ID() == id {
			w.live = append(w.live[:i:i], w.live[i+1:]...)
			return e
		}
	}
	w.Fatalf("%s has no live try, only %v", id, w.ids())
	return Effect{}
}

func (w *world) ids() []engine.JobID {
	var out []engine.JobID
	for _, e := range w.live {
		out = append(out, e.ID())
	}
	return out
}

// runs reports the program of a try as running.
func (w *world) runs(id engine.JobID) {
	w.Helper()
	for _, e := range w.live {
		if e.ID() == id {
			if !w.Started(w.now, e.Job, e.Index, e.Attempt) {
				w.Fatalf("%s cannot be started", id)
			}
			w.tick()
			return
		}
	}
	w.Fatalf("%s has no live try", id)
}

// ends reports the end of a try.
func (w *world) ends(id engine.JobID, exit Exit) {
	w.Helper()
	e := w.take(id)
	if !w.Exited(w.now, e.Job, e.Index, e.Attempt, exit) {
		w.Fatalf("%s cannot be ended", id)
	}
	w.tick()
}

func (w *world) exits(id engine.JobID, code int) {
	w.Helper()
	w.ends(id, Exit{ExitCode: &code})
}

// drain runs everything there is with exit code 0.
func (w *world) drain() {
	w.Helper()
	for n := 0; len(w.live) > 0; n++ {
		if n > 10_000_000 {
			w.Fatal("it never ends")
		}
		w.exits(w.live[0].ID(), 0)
	}
}

func (w *world) get(id engine.JobID) View {
	w.Helper()
	v, ok := w.Describe(id)
	if !ok {
		w.Fatalf("%s is unknown", id)
	}
	return v
}

// want checks the status of jobs: pairs of id and status, with ": reason" if that matters.
func (w *world) want(pairs ...string) {
	w.Helper()
	for i := 0; i < len(pairs); i += 2 {
		v := w.get(engine.JobID(pairs[i]))
		got := v.Status.String()
		if got != pairs[i+1] {
			got += ": " + v.StatusReason
		}
		if got != pairs[i+1] {
			w.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// summary checks the summary of an array parent, as "SUBMITTED PENDING RUNNABLE STARTING RUNNING SUCCEEDED FAILED".
func (w *world) summary(id engine.JobID, want string) {
	w.Helper()
	if got := fmt.Sprint(w.get(id).Summary); got != "["+want+"]" {
		w.Errorf("summary of %s is %s, want [%s]", id, got, want)
	}
}
