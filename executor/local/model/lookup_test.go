package model

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

func TestNamesAndQueues(t *testing.T) {
	w := newWorld(t, Config{})
	for i, name := range []string{"x", "X", "y", "x"} {
		q := []string{"q", "other"}[i%2]
		if err := w.Submit(w.now, engine.JobID(string(rune('a'+i))), req(name, inQueue(q))); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(views func(func(View) bool)) (out []engine.JobID) {
		for v := range views {
			out = append(out, v.ID)
		}
		return out
	}
	if got, want := ids(w.Named("X")), []engine.JobID{"a", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("named X: %v, want %v, oldest first", got, want)
	}
	if got, want := ids(w.Jobs("q", engine.JobSubmitted, 0)), []engine.JobID{"c", "a"}; !slices.Equal(got, want) {
		t.Errorf("in q: %v, want %v, newest first", got, want)
	}
	w.tick()
	if got := ids(w.Jobs("q", engine.JobSubmitted, 0)); got != nil {
		t.Errorf("SUBMITTED in q: %v", got)
	}
	if got := ids(w.Named("z")); got != nil {
		t.Errorf("named z: %v", got)
	}
}

// Ended jobs age out; then they are unknown (job_states: kept at least 7 days).
func TestRetention(t *testing.T) {
	w := newWorld(t, Config{Retention: time.Hour, Capacity: Capacity{VCPUs: 1000, MemoryMiB: 1 << 20}})
	for i := range 300 {
		w.submit("job" + string(rune('A'+i%26)) + strings.Repeat("x", i/26))
	}
	w.submit("array", size(3))
	w.submit("waits", after("array"))
	for _, e := range slices.Clone(w.live) {
		if e.Job != "array" {
			w.exits(e.ID(), 0)
		}
	}
	w.pass(time.Hour - time.Millisecond)
	w.want("jobA", "SUCCEEDED")
	w.pass(time.Millisecond)
	if _, ok := w.Describe("jobA"); ok {
		t.Error("an old job is still known")
	}
	for v := range w.Named("jobA") {
		t.Errorf("found %v", v.ID)
	}
	w.want("array", "PENDING", "waits", "PENDING")
	if q := w.byQueue["q"]; len(w.past) > 0 || q.chunks[0].left != 2 || len(w.jobs) != 2 || len(q.names) != 2 {
		t.Errorf("kept: %d ended, %d in the list, %d jobs, %d names", len(w.past), q.chunks[0].left, len(w.jobs), len(q.names))
	}
	if err := w.Submit(w.now, "late", req("late", after("jobA"))); !isRefusal(err) {
		t.Errorf("a dependency that has aged out: %v", err)
	}
	w.submit("same", inQueue("q2"))
	if err := w.Submit(w.now, "same2", req("same")); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.exits("same2", 0)
	w.pass(time.Hour)
	for _, id := range []engine.JobID{"same3", "same4"} {
		if err := w.Submit(w.now, id, req("same")); err != nil {
			t.Fatal(err)
		}
	}
	w.tick()
	w.exits("same3", 0) // in the middle of the name's list
	w.pass(time.Hour)
	var same []engine.JobID
	for v := range w.Named("same") {
		same = append(same, v.ID)
	}
	if want := []engine.JobID{"same", "same4"}; !slices.Equal(same, want) {
		t.Errorf("found %v, want %v", same, want)
	}
	w.exits("same4", 0)
	w.pass(time.Hour)
	n := 0
	for v := range w.Named("same") {
		if n++; v.ID != "same" {
			t.Errorf("found %v", v.ID)
		}
	}
	if n != 1 {
		t.Errorf("found %d, want the one that has not ended", n)
	}
}

func TestChildrenByPages(t *testing.T) {
	w := newWorld(t, Config{Capacity: Capacity{VCPUs: 100, MemoryMiB: 1 << 20}})
	w.submit("a", size(10), tries(2))
	w.submit("plain")
	for _, e := range slices.Clone(w.live) {
		w.exits(e.ID(), e.Index%2)
	}
	var got []int
	buf := make([]View, 0, 2)
	for next := 0; next >= 0; {
		buf, next = w.Children(buf[:0], "a", engine.JobSucceeded, next)
		for _, v := range buf {
			got = append(got, v.Index)
		}
	}
	if want := []int{0, 2, 4, 6, 8}; !slices.Equal(got, want) {
		t.Errorf("children %v, want %v", got, want)
	}
	for _, id := range []engine.JobID{"plain", "nobody"} {
		if buf, next := w.Children(buf[:0], id, engine.JobFailed, 0); len(buf) > 0 || next >= 0 {
			t.Errorf("%s has children %v", id, buf)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got := Variables("ce", "q", "a:3", 2, 10)
	want := []string{"AWS_BATCH_CE_NAME=ce", "AWS_BATCH_JQ_NAME=q", "AWS_BATCH_JOB_ID=a:3", "AWS_BATCH_JOB_ATTEMPT=2", "AWS_BATCH_JOB_ARRAY_INDEX=3", "AWS_BATCH_JOB_ARRAY_SIZE=10"}
	if !slices.Equal(got, want) {
		t.Errorf("child: %q", got)
	}
	if got := Variables("ce", "q", "a", 1, 0); !slices.Equal(got, []string{"AWS_BATCH_CE_NAME=ce", "AWS_BATCH_JQ_NAME=q", "AWS_BATCH_JOB_ID=a", "AWS_BATCH_JOB_ATTEMPT=1"}) {
		t.Errorf("plain job: %q", got)
	}
}
