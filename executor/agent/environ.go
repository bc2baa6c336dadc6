package agent

import (
	"math"
	"strconv"

	"flow/engine"
)

// Environ returns the FLOW_ variables of a task, as "name=value": index is its place in
// its step, and res what it is granted. FLOW_VCPUS is a whole number, at least 1, since
// it is what programs are told as their number of threads.
func (t *Task) Environ(index int, res engine.Resources) []string {
	return []string{
		"FLOW_RUN_ID=" + string(t.Run),
		"FLOW_STEP=" + string(t.Step),
		"FLOW_KEY=" + t.Key,
		"FLOW_INDEX=" + strconv.Itoa(index),
		"FLOW_ATTEMPT=" + strconv.Itoa(t.Attempt),
		"FLOW_VCPUS=" + strconv.Itoa(max(1, int(math.Ceil(res.VCPUs)))),
		"FLOW_MEMORY_MIB=" + strconv.Itoa(res.MemoryMiB),
	}
}
