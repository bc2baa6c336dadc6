package executor

import (
	"strings"

	"flow/engine"
)

// RunPrefix is what the names of all jobs of a run begin with, and of no other run:
// see engine.JobName. With a "*" behind it, it is the JOB_NAME filter that finds them.
func RunPrefix(run engine.RunID) string { return "flow-" + strings.ToLower(string(run)) + "-" }
