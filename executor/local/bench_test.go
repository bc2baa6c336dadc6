package local

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// A nothingRunner ends every try as soon as it has begun.
type nothingRunner struct{}

func (nothingRunner) Run(t *Try, started func()) Exit {
	started()
	code := 0
	return Exit{ExitCode: &code, StatusReason: engine.ReasonExited}
}
func (nothingRunner) Stop(engine.JobID, time.Duration) {}
func (nothingRunner) Close()                           {}

// BenchmarkOverhead is what the executor itself costs for each child of an array of
// 10,000, journal included.
func BenchmarkOverhead(b *testing.B) {
	for _, parallel := range []float64{1, 2} {
		b.Run(map[float64]string{1: "one", 2: "two"}[parallel], func(b *testing.B) {
			x := openTest(b, Options{Runner: nothingRunner{}, Journal: journalPath(b), VCPUs: parallel, MemoryMiB: 1 << 20})
			const n = 10_000
			before := cpuTime(b)
			for b.Loop() {
				runArray(b, x, n)
			}
			used := cpuTime(b) - before
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "wall-us/child")
			b.ReportMetric(float64(used.Microseconds())/float64(b.N)/n, "cpu-us/child")
		})
	}
}

// BenchmarkTrue is a child of an array of 10,000 that runs "true", two at a time.
func BenchmarkTrue(b *testing.B) {
	x := openTest(b, Options{Journal: journalPath(b), VCPUs: 2, MemoryMiB: 1 << 20})
	const n = 10_000
	before := cpuTime(b)
	for b.Loop() {
		runArray(b, x, n)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "wall-us/child")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N)/n, "cpu-us/child")
}

func runArray(b *testing.B, x *Executor, n int) {
	id, err := x.Submit(b.Context(), &engine.JobSpec{
		Name: "flow-bench", Run: "01jbench", Step: "bench", FanOut: true, ArraySize: n, Tasks: engine.Upto(n),
		Task: &engine.TaskSpec{Command: []string{"true"}}, WorkDir: b.TempDir(),
	})
	if err != nil {
		b.Fatal(err)
	}
	for {
		jobs, err := x.Describe(b.Context(), []engine.JobID{id})
		if err != nil {
			b.Fatal(err)
		}
		if jobs[0].Status.Ended() {
			if jobs[0].Status != engine.JobSucceeded {
				b.Fatalf("%+v", jobs[0])
			}
			return
		}
		time.Sleep(10 * time.Millisecond) // as a driver does
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTaskTrue is BenchmarkTrue with a Task.
func BenchmarkTaskTrue(b *testing.B) {
	x := openBatch(b, BatchOptions{Journal: journalPath(b), Model: model.Config{Capacity: model.Capacity{VCPUs: 2, MemoryMiB: 1 << 20}}})
	const n = 10_000
	before := cpuTime(b)
	for b.Loop() {
		task := &Task{Containers: []Container{{Name: DefaultContainer, Command: []string{"true"}, Essential: true, LogGroup: "group"}}}
		id := do(b, x, submission{Name: "bench", Size: n, VCPUs: 1, Task: task})
		for {
			if j := look(b, x, id)[0]; j.Status.Ended() {
				if j.Status != engine.JobSucceeded {
					b.Fatalf("%+v", j)
				}
				break
			}
			time.Sleep(10 * time.Millisecond) // as a client does
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "wall-us/child")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N)/n, "cpu-us/child")
}

// BenchmarkRoom is BenchmarkOverhead in a room, and what an executor takes of memory that has
// nothing to do, of 100 in one.
func BenchmarkRoom(b *testing.B) {
	room := NewRoom(model.Capacity{VCPUs: 2, MemoryMiB: 1 << 20})
	open := func() *Executor {
		return openTest(b, Options{Journal: journalPath(b), Room: room, Runner: nothingRunner{}})
	}
	x := open()
	const n = 10_000
	for b.Loop() {
		runArray(b, x, n)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "wall-us/child")
	const executors = 100
	before := heapInUse()
	for range executors {
		open()
	}
	b.ReportMetric(float64(heapInUse()-before)/executors, "B/executor")
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
