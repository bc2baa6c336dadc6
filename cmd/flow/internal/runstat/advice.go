package runstat

import (
	"fmt"
	"math"
	"strconv"

	"flow/cmd/flow/internal/view"
)

// An Advice says what a step should ask for instead of what it does.
type Advice struct {
	Kind AdviceKind `json:"kind"`
	Text string     `json:"text"` // for people: asked 16.0 GiB, peak 3.1 GiB: 4 GiB would do
}

// AdviceKind is what an advice is about, for programs.
type AdviceKind string

// What an advice is about.
const (
	LessMemory AdviceKind = "less-memory" // it asks for far more than its tasks had
	MoreMemory AdviceKind = "more-memory" // some task had nearly all of it, or more
	FewerVCPUs AdviceKind = "fewer-vcpus" // it asks for far more than its tasks kept busy
)

const (
	spare   = 1.25            // what is advised over the greatest peak that was seen
	worth   = 1.5             // an advice saves at least a third
	nearly  = 0.95            // of the memory: one that needs a little more is killed
	atLeast = int64(60 * 1e3) // milliseconds that tasks ran in all: of less, nothing is worth saving
)

func (g *gathering) advice(s *Step) (out []Advice) {
	if g.peak.memory > 0 {
		asked := mib(g.tightest.asked.MemoryMiB)
		enough := roundMemory(int64(float64(g.peak.memory) * spare))
		switch {
		case g.fullest >= nearly:
			out = append(out, Advice{MoreMemory, fmt.Sprintf("asked %s, peak %s: a task that needs more is killed where that is the limit; %s would do",
				view.Bytes(asked), view.Bytes(g.tightest.memory), memoryText(roundMemory(int64(float64(g.tightest.memory)*spare))))})
		// Where a task may have had more than any peak that is known, nobody can say what would do.
		case g.peak.memory >= g.atMost && s.Duration.Sum >= atLeast && float64(mib(g.least.MemoryMiB)) >= worth*float64(enough):
			out = append(out, Advice{LessMemory, fmt.Sprintf("asked %s, peak %s: %s would do",
				view.Bytes(mib(g.least.MemoryMiB)), view.Bytes(g.peak.memory), memoryText(enough))})
		}
	}
	if enough := math.Max(1, math.Ceil(s.Cores*spare)); g.measured >= atLeast && g.least.VCPUs >= worth*enough {
		out = append(out, Advice{FewerVCPUs, fmt.Sprintf("asked %s vCPUs, used %.1f on average: %s would do",
			number(g.least.VCPUs), s.Cores, number(enough))})
	}
	return out
}

// roundMemory rounds a number of bytes up to what somebody would write: to 128 MiB up to
// 1 GiB, to 512 MiB up to 8 GiB, else to 1 GiB.
func roundMemory(n int64) int64 {
	step := int64(1 << 30)
	switch {
	case n <= 1<<30:
		step = 128 << 20
	case n <= 8<<30:
		step = 512 << 20
	}
	return (n + step - 1) / step * step
}

// memoryText writes a rounded number of bytes: 640 MiB, 4 GiB, 4.5 GiB.
func memoryText(n int64) string {
	if n < 1<<30 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return number(float64(n)/(1<<30)) + " GiB"
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
