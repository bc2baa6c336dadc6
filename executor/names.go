package executor

import "flow/engine"

// RunPrefix is what the names of all jobs of a run begin with, and of no other run: with a
// "*" behind it, it is the JOB_NAME filter that finds them.
func RunPrefix(run engine.RunID) string { return engine.RunPrefix(run) }
