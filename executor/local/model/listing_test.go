package model

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// bunch is a queue of many jobs in all kinds of states.
func bunch(t testing.TB, n int) *world {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 300, MemoryMiB: 1 << 20}})
	for i := range n {
		name := []string{"one", "Two", "three"}[i%3]
		r := req(name, inQueue([]string{"q", "q", "other"}[i%3]))
		if i%50 == 7 {
			size(3)(r)
		}
		if err := w.Submit(w.now, engine.JobID(fmt.Sprint("job", i)), r); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			w.pass(time.Millisecond)
		}
		if i%3 == 0 && i > n/2 && len(w.live) > 0 {
			e := w.live[i*7%len(w.live)]
			w.exits(e.ID(), i%2)
		}
	}
	return w
}

func ids(views func(func(View) bool)) (out []engine.JobID) {
	for v := range views {
		out = append(out, v.ID)
	}
	return out
}

// Listings are what a look at every job finds, newest first.
func TestListings(t *testing.T) {
	const n = 3000
	w := bunch(t, n)
	byStatus := map[string][]engine.JobID{}
	for i := n - 1; i >= 0; i-- {
		v := w.get(engine.JobID(fmt.Sprint("job", i)))
		if v.Seq != int64(i+1) {
			t.Fatalf("%s has Seq %d", v.ID, v.Seq)
		}
		for _, key := range []string{v.Queue + " " + v.Status.String(), v.Queue + " named " + v.Name, v.Queue} {
			byStatus[key] = append(byStatus[key], v.ID)
		}
	}
	got := map[string][]engine.JobID{}
	for _, q := range []string{"q", "other", "nobody"} {
		for s := range engine.JobStatus(engine.NumJobStatuses) {
			if list := pages(t, func(before int64) func(func(View) bool) { return w.Jobs(q, s, before) }); list != nil {
				got[q+" "+s.String()] = list
			}
		}
		for _, name := range []string{"one", "Two", "three"} {
			if list := pages(t, func(before int64) func(func(View) bool) { return w.JobsNamed(q, "T"+name[1:], before) }); list != nil && name != "one" {
				got[q+" named "+name] = list
			}
			if list := ids(w.JobsNamed(q, name, 0)); list != nil {
				got[q+" named "+name] = list
			}
		}
		all := func(time.Time, *Request) bool { return true }
		if list := pages(t, func(before int64) func(func(View) bool) { return w.JobsWhere(q, before, all) }); list != nil {
			got[q] = list
		}
	}
	if diff := cmp.Diff(byStatus, got); diff != "" {
		t.Error(diff)
	}
	for _, key := range []string{"q PENDING", "q RUNNABLE", "q STARTING", "q SUCCEEDED", "q FAILED"} {
		if len(got[key]) == 0 {
			t.Errorf("none is in %s: the test tests little", key)
		}
	}
	if late := ids(w.JobsWhere("q", 0, func(c time.Time, _ *Request) bool { return c.After(w.now.Add(-2 * time.Millisecond)) })); len(late) == 0 || len(late) > 20 {
		t.Errorf("created in the last moments: %v", late)
	}
}

// pages lists by sevens, as a client with a token does.
func pages(t *testing.T, list func(before int64) func(func(View) bool)) (out []engine.JobID) {
	before := int64(0)
	for {
		n := 0
		for v := range list(before) {
			if before > 0 && v.Seq >= before {
				t.Fatalf("%s has Seq %d, asked for less than %d", v.ID, v.Seq, before)
			}
			out, before = append(out, v.ID), v.Seq
			if n++; n == 7 {
				break
			}
		}
		if n < 7 {
			return out
		}
	}
}

// A page goes on though the job it stopped at, or a whole chunk, is forgotten meanwhile.
func TestListingGoesOn(t *testing.T) {
	w := newWorld(t, Config{KeepEnded: 10, Capacity: Capacity{VCPUs: 1 << 16, MemoryMiB: 1 << 30}})
	for i := range 3 * chunkSize {
		if err := w.Submit(w.now, engine.JobID(fmt.Sprint("job", i)), req([]string{"x", "y"}[i%2])); err != nil {
			t.Fatal(err)
		}
	}
	w.tick()
	for _, e := range slices.Clone(w.live) {
		if e.Job != "job0" && e.Job != "job1" && e.Job < "job3" {
			w.exits(e.ID(), 0)
		}
	}
	if n := len(w.byQueue["q"].chunks); n != 2 {
		t.Fatalf("there are %d chunks, want 2: all jobs of the second are forgotten", n)
	}
	for _, before := range []int64{0, 1 << 40, 3000, 1500, 40, 3, 2, 1} {
		var want, named []engine.JobID
		for i := 3*chunkSize - 1; i >= 0; i-- {
			id := engine.JobID(fmt.Sprint("job", i))
			if v, ok := w.Describe(id); ok && (before == 0 || v.Seq < before) {
				want = append(want, id)
				if v.Name == "y" {
					named = append(named, id)
				}
			}
		}
		if diff := cmp.Diff(want, ids(w.JobsWhere("q", before, func(time.Time, *Request) bool { return true }))); diff != "" {
			t.Errorf("before %d: %s", before, diff)
		}
		if diff := cmp.Diff(named, ids(w.JobsNamed("q", "Y", before))); diff != "" {
			t.Errorf("named, before %d: %s", before, diff)
		}
	}
	for _, e := range slices.Clone(w.live) {
		w.exits(e.ID(), 0)
	}
	if n, k := len(w.byQueue["q"].chunks), w.kept; n > 2 || k != 10 || len(w.jobs) != 10 {
		t.Errorf("%d chunks are left, %d tasks, %d jobs", n, k, len(w.jobs))
	}
}

// Waiting is the order in which jobs are then started, retries first.
func TestWaiting(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 2, MemoryMiB: 1 << 20}})
	w.submit("first", tries(2))
	w.submit("second", tries(2))
	w.submit("a", size(70))
	w.submit("b")
	w.submit("c", size(3))
	w.accept(w.Terminate(w.now, "a:5", "x"))
	w.accept(w.Terminate(w.now, "b", "x"))
	w.pass(time.Second)
	w.submit("late")
	w.accept(w.Block(w.now, "q", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"))
	w.exits("first", 1)
	w.exits("second", 1)
	w.want("second", "RUNNABLE: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "first", "RUNNABLE: Essential container in task exited")
	var order []engine.JobID
	for _, at := range w.Waiting("q", 1000) {
		order = append(order, at.ID)
	}
	if few := w.Waiting("q", 3); len(few) != 3 || few[2].ID != order[2] || few[2].ID != "a:0" || !few[2].Since.Equal(begin) || !few[0].Since.Equal(w.now) {
		t.Errorf("the first three are %+v", few)
	}
	w.accept(w.Block(w.now, "q", ""))
	w.tick()
	w.log = w.log[2:]
	w.drain()
	if diff := cmp.Diff(order, w.log); diff != "" || len(order) != 75 {
		t.Error(diff)
	}
	if got := w.Waiting("q", 10); len(got) > 0 {
		t.Errorf("still waiting: %v", got)
	}
}
