package agent

import (
	"math"
	"strconv"
	"strings"

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

// DefaultPath is where programs are looked for if an environment has no PATH.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LookEnv returns the value of a variable in an environment.
func LookEnv(environ []string, name string) (string, bool) {
	for _, kv := range environ {
		if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
			return kv[len(name)+1:], true
		}
	}
	return "", false
}

// Unique drops every variable that a later one of the same name hides.
func Unique(env []string) []string {
	seen := make(map[string]bool, len(env))
	at := len(env)
	for i := len(env) - 1; i >= 0; i-- {
		name, _, _ := strings.Cut(env[i], "=")
		if !seen[name] {
			seen[name] = true
			at--
			env[at] = env[i]
		}
	}
	return env[at:]
}
