package runstat

import (
	"time"

	"flow/engine"
)

// Concurrency returns how many tasks of the run ran in each of n equal parts of the time from
// from to to, on average. Of each task only its last try counts.
func Concurrency(run *engine.Run, from, to time.Time, n int) []float64 {
	out := make([]float64, n)
	first, last := from.UnixMilli(), to.UnixMilli()
	if n == 0 || last <= first {
		return out
	}
	width := float64(last-first) / float64(n)
	for _, v := range run.Steps() {
		c := run.Columns(v.Step.Name)
		for i, begun := range c.Started {
			if begun == 0 {
				continue
			}
			end := c.Stopped[i]
			if c.Status[i] == engine.Running {
				end = last
			}
			share(out, width, float64(begun-first), float64(end-first))
		}
	}
	return out
}

// share adds the time from begin to end to the parts that it falls into.
func share(parts []float64, width, begin, end float64) {
	begin, end = max(begin, 0), min(end, width*float64(len(parts)))
	for k := int(begin / width); k < len(parts) && begin < end; k++ {
		until := min(end, width*float64(k+1))
		parts[k] += max(until-begin, 0) / width
		begin = max(begin, until)
	}
}
