package model

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"flow/engine"
)

var benchTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// BenchmarkArray is the cost of one child of an array of 10,000, from submission to end.
func BenchmarkArray(b *testing.B) {
	zero := 0
	for b.Loop() {
		m := New(Config{Capacity: Capacity{VCPUs: 2, MemoryMiB: 1 << 20}})
		if err := m.Submit(benchTime, "a", &Request{Name: "a", ArraySize: 10_000, Resources: engine.Resources{VCPUs: 1, MemoryMiB: 2048}}); err != nil {
			b.Fatal(err)
		}
		var todo []Effect
		todo = append(todo, m.Tick(benchTime)...)
		for len(todo) > 0 {
			e := todo[0]
			todo = todo[1:]
			m.Started(benchTime, e.Job, e.Index, e.Attempt)
			todo = append(todo, m.Tick(benchTime)...)
			m.Exited(benchTime, e.Job, e.Index, e.Attempt, Exit{ExitCode: &zero})
			todo = append(todo, m.Tick(benchTime)...)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/child")
}

// BenchmarkSubmit is the cost of a job in SUBMITTED, however many there are.
func BenchmarkSubmit(b *testing.B) {
	m := New(Config{Capacity: Capacity{VCPUs: 2, MemoryMiB: 4096}})
	r := &Request{Name: "a", Resources: engine.Resources{VCPUs: 1, MemoryMiB: 64}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := m.Submit(benchTime, engine.JobID(strconv.Itoa(i)), r); err != nil {
			b.Fatal(err)
		}
	}
}

// heapOf returns what f leaves on the heap.
func heapOf(f func() any) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return after.HeapAlloc - before.HeapAlloc
}

// An array of 10,000 that has run costs less than 1 MB; a job in SUBMITTED less than 500
// bytes beside its request.
func TestMemory(t *testing.T) {
	array := heapOf(func() any {
		w := newWorld(t, Config{})
		w.submit("a", size(10_000))
		w.drain()
		w.log = nil
		return w.Model
	})
	if array > 1_000_000 {
		t.Errorf("an array of 10,000 takes %d bytes", array)
	}
	const n = 100_000
	r := req("a")
	jobs := heapOf(func() any {
		m := New(Config{})
		for i := range n {
			if err := m.Submit(benchTime, engine.JobID(strconv.Itoa(i)), r); err != nil {
				t.Fatal(err)
			}
		}
		return m
	})
	if each := jobs / n; each > 500 {
		t.Errorf("a SUBMITTED job takes %d bytes", each)
	}
	t.Logf("array of 10,000: %d bytes; SUBMITTED job: %d bytes", array, jobs/n)
}
