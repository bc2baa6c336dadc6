package model

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"flow/engine"
)

const million = 1_000_000

// crowd is a declared queue with a million jobs that are SUBMITTED or, once the scheduler
// has looked at them, PENDING; and a hundred that are RUNNING among them.
func crowd(b *testing.B, submitted bool) *world {
	w := newDeclared(b, Config{Submitting: time.Hour})
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "large", MaxVCPUs: 1000}))
	w.accept(w.Submit(w.now, "first", req("first")))
	wait := req("waits", after("first"))
	for i := range million - 200 {
		r := wait
		if i%10_000 == 5000 {
			r = req("runs")
		}
		w.accept(w.Submit(w.now, engine.JobID("job"+strconv.Itoa(i)), r))
	}
	if !submitted {
		w.pass(time.Hour)
		for _, e := range w.live {
			w.Started(w.now, e.Job, e.Index, e.Attempt)
		}
	}
	return w
}

// BenchmarkSubmitCrowded is the cost of SubmitJob beside a million jobs that are SUBMITTED.
func BenchmarkSubmitCrowded(b *testing.B) {
	w := crowd(b, true)
	r := req("a")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%100 == 99 { // the quota is a million
			w.fresh.all = w.fresh.all[:million-200]
		}
		w.accept(w.Submit(w.now, engine.JobID("new"+strconv.Itoa(i)), r))
	}
}

// BenchmarkList is the cost of a page of a hundred jobs, or of all there are, in a queue
// of a million that are PENDING.
func BenchmarkList(b *testing.B) {
	w := crowd(b, false)
	page := func(b *testing.B, views func(func(View) bool), want int) {
		n := 0
		for range views {
			if n++; n == 100 {
				break
			}
		}
		if n != want {
			b.Fatalf("%d jobs, want %d", n, want)
		}
	}
	b.Run("RUNNING", func(b *testing.B) {
		for b.Loop() {
			page(b, w.Jobs("q", engine.JobRunning, 0), 100)
		}
	})
	b.Run("FAILED", func(b *testing.B) {
		for b.Loop() {
			page(b, w.Jobs("q", engine.JobFailed, 0), 0)
		}
	})
	b.Run("PENDING", func(b *testing.B) {
		for b.Loop() {
			page(b, w.Jobs("q", engine.JobPending, million/2), 100)
		}
	})
	b.Run("Named", func(b *testing.B) {
		for b.Loop() {
			page(b, w.JobsNamed("q", "WAITS", million/2), 100)
		}
	})
	b.Run("Where", func(b *testing.B) { // all are looked at
		for b.Loop() {
			page(b, w.JobsWhere("q", 0, func(created time.Time, _ *Request) bool { return created.After(w.now) }), 0)
		}
	})
}

// BenchmarkWaiting is the cost of the first hundred of a million that are RUNNABLE.
func BenchmarkWaiting(b *testing.B) {
	w := newDeclared(b, Config{})
	w.accept(w.Block(w.now, "q", capacityReason))
	for i := range million / 2 {
		w.accept(w.Submit(w.now, engine.JobID("job"+strconv.Itoa(i)), req("a")))
		if i%1000 == 0 {
			w.tick()
		}
	}
	for b.Loop() {
		if n := len(w.Waiting("q", 100)); n != 100 {
			b.Fatal(n)
		}
	}
}

// BenchmarkSave is the cost of writing down and reading back 100,000 ended children.
func BenchmarkSave(b *testing.B) {
	w := newWorld(b, Config{Capacity: Capacity{VCPUs: 20_000, MemoryMiB: 1 << 30}})
	for i := range 10 {
		w.submit("a"+strconv.Itoa(i), size(10_000))
		for k := range 10_000 {
			w.Exited(w.now, engine.JobID("a"+strconv.Itoa(i)), k, 1, Exit{ExitCode: new(k & 1)})
			w.now = w.now.Add(time.Millisecond)
		}
		w.tick()
	}
	size := 0
	for b.Loop() {
		text, err := json.Marshal(w.Save())
		if err != nil {
			b.Fatal(err)
		}
		var s Saved
		if err := json.Unmarshal(text, &s); err != nil {
			b.Fatal(err)
		}
		if _, err := Restore(Config{}, &s, Decoders{}); err != nil {
			b.Fatal(err)
		}
		size = len(text)
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkArrayOfShares is the cost of one child of an array of 10,000 in a queue with
// five share identifiers and two environments, from submission to end.
func BenchmarkArrayOfShares(b *testing.B) {
	for b.Loop() {
		w := newDeclared(b, Config{})
		w.accept(w.PutPolicy(w.now, Policy{Name: "p"}))
		w.accept(w.CreateQueue(w.now, Queue{Name: "fair", Policy: "p", Environments: []string{"small", "large"}}))
		for i := range 5 {
			w.accept(w.Submit(w.now, engine.JobID("a"+strconv.Itoa(i)), req("a", inQueue("fair"), size(2000), ofShare(strconv.Itoa(i)))))
		}
		todo := append([]Effect(nil), w.Tick(w.now)...)
		for n := 0; n < len(todo); n++ {
			e := &todo[n]
			w.now = w.now.Add(time.Millisecond)
			w.Started(w.now, e.Job, e.Index, e.Attempt)
			w.Exited(w.now, e.Job, e.Index, e.Attempt, Exit{ExitCode: new(0)})
			todo = append(todo, w.Tick(w.now)...)
		}
		if len(todo) != 10_000 {
			b.Fatal(len(todo))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/child")
}
