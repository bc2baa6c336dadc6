package main

import (
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// highest returns the highest peak of memory of the tasks of a step, and what the task asked
// for that had it; zeros: of none is it known. Only where no peak is known does it say what
// none of them has exceeded.
func highest(run *engine.Run, step engine.StepName) (used engine.Used, asked engine.Resources) {
	columns, job := run.Columns(step), 0
	for i := range columns.Status {
		u := columns.Used(i)
		switch {
		case u.PeakMemory == 0, used.PeakMemory > 0 && u.AtMost && !used.AtMost:
		case u.PeakMemory > used.PeakMemory, used.AtMost && !u.AtMost:
			used, job = u, int(columns.Job[i])
		}
	}
	asked, _ = run.Asked(job)
	return used, asked
}

func memoryData(run *engine.Run, step engine.StepName) *memoryJSON {
	used, asked := highest(run, step)
	if used.PeakMemory == 0 {
		return nil
	}
	return &memoryJSON{used.PeakMemory, used.AtMost, int64(asked.MemoryMiB) << 20}
}

// memoryTexts write, of each step, its highest peak and what was asked for: 3.1 GiB of
// 16.0 GiB; nil if no peak is known of any.
func memoryTexts(run *engine.Run, steps []engine.StepStatus) map[engine.StepName]string {
	var out map[engine.StepName]string
	for _, v := range steps {
		used, asked := highest(run, v.Step.Name)
		if used.PeakMemory == 0 || used.AtMost {
			continue
		}
		if out == nil {
			out = map[engine.StepName]string{}
		}
		out[v.Step.Name] = view.Bytes(used.PeakMemory)
		if asked.MemoryMiB > 0 {
			out[v.Step.Name] += " of " + view.Bytes(int64(asked.MemoryMiB)<<20)
		}
	}
	return out
}
