package runstat_test

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/runstat/runstattest"
	"flow/engine"
)

// five finds out the long way how values are spread.
func five(values []int64) runstat.Five {
	if len(values) == 0 {
		return runstat.Five{}
	}
	values = slices.Sorted(slices.Values(values))
	f := runstat.Five{N: len(values), Min: values[0], Max: values[len(values)-1]}
	for _, v := range values {
		f.Sum += v
	}
	for quarter, to := range map[float64]*int64{0.25: &f.Low, 0.5: &f.Median, 0.75: &f.High} {
		at := quarter * float64(len(values)-1)
		below := values[int(math.Floor(at))]
		above := values[int(math.Ceil(at))]
		*to = below + int64(float64(above-below)*(at-math.Floor(at)))
	}
	return f
}

// TestRandom compares what is said of runs with what is counted task by task, event by event.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := runstattest.Draw(t)
		run, log := r.Fold(), &runstat.Log{}
		var tries []runstattest.Try
		for i := range r.Events {
			log.Add(&r.Events[i])
			for try := range runstat.Tries(&r.Events[i]) {
				memory := try.Memory
				if try.AtMost {
					memory = -memory
				}
				tries = append(tries, runstattest.Try{Step: try.Step, Index: try.Index, Job: try.Job, Attempt: try.Attempt, Outcome: try.Outcome,
					Started: try.Started, Stopped: try.Stopped, Memory: memory, CPU: try.CPU})
			}
		}
		same(t, "tries", r.Tries, tries)
		for _, s := range runstat.Steps(run) {
			steps(t, r, &s)
		}
		concurrency(t, r, run)
		for _, lane := range log.Lanes(run) {
			for _, b := range lane.Bars {
				bar(t, r, &b)
			}
			failed := 0
			for _, g := range runstat.Failures(run, lane.Step) {
				failed += g.Tasks
				if g.Indices.Len() != g.Tasks {
					t.Fatalf("%d tasks are %s", g.Tasks, g.Indices)
				}
			}
			if failed != lane.Counts[engine.Failed] {
				t.Fatalf("%d failures of %s, of %d", failed, lane.Step, lane.Counts[engine.Failed])
			}
		}
	})
}

func same(t *rapid.T, what string, want, got any) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-counted +said):\n%s", what, diff)
	}
}

func steps(t *rapid.T, r *runstattest.Run, s *runstat.Step) {
	var took, memory, cpu []int64
	var busy, bounded, atMost int64
	var asked []engine.Resources
	for _, v := range r.Tasks[s.Step] {
		if v.Job > 0 {
			asked = append(asked, r.Asked[v.Job])
		}
		if v.Job == 0 || !v.Status.Ended() || v.Started == 0 || v.Stopped < v.Started {
			continue
		}
		took = append(took, v.Stopped-v.Started)
		switch {
		case v.Memory > 0:
			memory = append(memory, v.Memory)
		case v.Memory < 0:
			bounded, atMost = bounded+1, max(atMost, -v.Memory)
		}
		if v.CPU > 0 {
			cpu, busy = append(cpu, v.CPU), busy+v.Stopped-v.Started
		}
	}
	want := runstat.Step{Step: s.Step, Duration: five(took), Memory: five(memory), CPU: five(cpu), Bounded: int(bounded), AtMost: atMost, Advice: s.Advice}
	if len(asked) > 0 {
		vcpus := func(a, b engine.Resources) int { return cmp.Compare(a.VCPUs, b.VCPUs) }
		mem := func(a, b engine.Resources) int { return a.MemoryMiB - b.MemoryMiB }
		want.Asked = engine.Resources{VCPUs: slices.MinFunc(asked, vcpus).VCPUs, MemoryMiB: slices.MinFunc(asked, mem).MemoryMiB}
		want.AskedMost = engine.Resources{VCPUs: slices.MaxFunc(asked, vcpus).VCPUs, MemoryMiB: slices.MaxFunc(asked, mem).MemoryMiB}
	}
	if busy > 0 {
		want.Cores = float64(want.CPU.Sum) / float64(busy)
	}
	same(t, "step "+string(s.Step), want, *s)
}

// concurrency counts millisecond by millisecond, in parts of 100 ms.
func concurrency(t *rapid.T, r *runstattest.Run, run *engine.Run) {
	const width, parts = 100, 50
	from := runstattest.Start.Add(time.Duration(rapid.IntRange(0, 20000).Draw(t, "from")) * time.Millisecond)
	first := from.UnixMilli()
	var want [parts]float64
	for _, tasks := range r.Tasks {
		for _, v := range tasks {
			if v.Status == engine.Running {
				v.Stopped = first + width*parts
			}
			for at := max(v.Started, first); v.Started > 0 && at < min(v.Stopped, first+width*parts); at++ {
				want[(at-first)/width] += 1.0 / width
			}
		}
	}
	got := runstat.Concurrency(run, from, from.Add(width*parts*time.Millisecond), parts)
	for i := range want {
		if math.Abs(want[i]-got[i]) > 1e-6 {
			t.Fatalf("part %d: %v, counted %v", i, got[i], want[i])
		}
	}
}

// bar looks at all events for one job.
func bar(t *rapid.T, r *runstattest.Run, got *runstat.Bar) {
	want := runstat.Bar{Job: got.Job}
	var over, running, starting, stopped int64
	ended := 0
	for _, e := range r.Events {
		if e.Job != got.Job {
			continue
		}
		at := e.At.UnixMilli()
		switch e.Kind {
		case engine.JobPlanned:
			want.Queued, want.Attempt, want.Tasks = e.At, e.Plan.Attempt, e.Tasks.Len()
		case engine.JobStarts:
			starting = e.Started[0]
		case engine.TasksRunning:
			running = earlier(running, at)
		case engine.JobRefused:
			over, want.Failed = at, want.Tasks
		case engine.JobEnded:
			over = at
		}
	}
	for _, try := range r.Tries {
		if try.Job != got.Job {
			continue
		}
		ended++
		running, stopped = earlier(running, try.Started), max(stopped, try.Stopped)
		switch try.Outcome {
		case engine.TaskFailed:
			want.Failed++
		case engine.TaskRetrying:
			want.Retried++
		}
	}
	if starting <= running || running == 0 {
		want.Starting = moment(starting)
	}
	want.Running = moment(running)
	if over > 0 || ended == want.Tasks {
		want.Ended = moment(cmp.Or(stopped, over))
	}
	same(t, "bar", want, *got)
}

func earlier(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
