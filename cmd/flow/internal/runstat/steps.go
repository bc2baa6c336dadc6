package runstat

import (
	"time"

	"flow/engine"
)

// A Step is what the tasks of a step took of what they asked for. Only tasks that ran in this
// run count, each by its last try.
type Step struct {
	Step     engine.StepName
	Duration Five  // milliseconds that a task ran, of those that have ended
	Memory   Five  // bytes at its peak, of those of which it is known
	Bounded  int   // tasks of whose peak only AtMost is known, see [engine.Used]
	AtMost   int64 // bytes that none of those has exceeded
	CPU      Five  // milliseconds of processor time, of those of which it is known
	// Asked and AskedMost are what tasks asked for: the least and the most of each. They differ
	// where resources depend on the task or on the attempt.
	Asked, AskedMost engine.Resources
	Cores            float64 // that tasks kept busy on average; 0: not known
	Advice           []Advice
}

// Steps returns what the steps of a run took, in source order; also of those whose tasks have
// not run, with nothing in it.
func Steps(run *engine.Run) []Step {
	views := run.Steps()
	out := make([]Step, len(views))
	for i := range views {
		out[i] = Of(run, views[i].Step.Name)
	}
	return out
}

// Of returns what a step took.
func Of(run *engine.Run, name engine.StepName) Step {
	s := Step{Step: name}
	g := gathering{run: run, columns: run.Columns(name), asked: map[int32]engine.Resources{}}
	for i := range g.columns.Status {
		g.add(i)
	}
	s.Duration, s.Memory, s.CPU = FiveOf(g.took), FiveOf(g.memory), FiveOf(g.cpu)
	s.Bounded, s.AtMost = g.bounded, g.atMost
	s.Asked, s.AskedMost = g.least, g.most
	if g.measured > 0 {
		s.Cores = float64(s.CPU.Sum) / float64(g.measured)
	}
	s.Advice = g.advice(&s)
	return s
}

// A gathering is the tasks of a step, while they are looked at.
type gathering struct {
	run     *engine.Run
	columns engine.Columns
	asked   map[int32]engine.Resources // by job

	took, memory, cpu []int64
	bounded           int   // tasks of whose peak only a bound is known
	atMost            int64 // the greatest of these bounds, in bytes
	measured          int64 // milliseconds that those ran whose processor time is known
	least, most       engine.Resources
	fullest           float64 // the greatest share of the memory that it asked for that a task had
	peak              usage   // of the task with the greatest peak
	tightest          usage   // of the fullest task
}

// A usage is what a task had at its peak, and what it asked for.
type usage struct {
	memory int64 // bytes
	asked  engine.Resources
}

func (g *gathering) add(i int) {
	c := &g.columns
	job := c.Job[i]
	if job == 0 {
		return
	}
	asked, known := g.asked[job]
	if !known {
		asked, _ = g.run.Asked(int(job))
		g.spread(asked)
		g.asked[job] = asked
	}
	took := c.Stopped[i] - c.Started[i]
	if !c.Status[i].Ended() || c.Started[i] == 0 || took < 0 {
		return
	}
	g.took = append(g.took, took)
	used := c.Used(i)
	memory, cpu := used.PeakMemory, used.CPUMillis
	switch {
	case used.AtMost:
		g.bounded++
		g.atMost = max(g.atMost, memory)
	case memory > 0:
		g.memory = append(g.memory, memory)
		if memory > g.peak.memory {
			g.peak = usage{memory, asked}
		}
		if full := float64(memory) / float64(mib(asked.MemoryMiB)); full > g.fullest {
			g.fullest, g.tightest = full, usage{memory, asked}
		}
	}
	if cpu > 0 {
		g.cpu = append(g.cpu, cpu)
		g.measured += took
	}
}

// spread takes in what a job asked for.
func (g *gathering) spread(r engine.Resources) {
	if len(g.asked) == 0 {
		g.least, g.most = r, r
		return
	}
	g.least = engine.Resources{
		VCPUs: min(g.least.VCPUs, r.VCPUs), MemoryMiB: min(g.least.MemoryMiB, r.MemoryMiB),
		GPUs: min(g.least.GPUs, r.GPUs), DiskGiB: min(g.least.DiskGiB, r.DiskGiB),
	}
	g.most = engine.Resources{
		VCPUs: max(g.most.VCPUs, r.VCPUs), MemoryMiB: max(g.most.MemoryMiB, r.MemoryMiB),
		GPUs: max(g.most.GPUs, r.GPUs), DiskGiB: max(g.most.DiskGiB, r.DiskGiB),
	}
}

// mib returns a number of MiB in bytes, and at least one.
func mib(n int) int64 { return int64(max(n, 1)) << 20 }

// Milliseconds returns a number of milliseconds as a duration.
func Milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
