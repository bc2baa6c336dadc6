package executor

import (
	"strconv"
	"strings"

	"flow/engine"
)

// A Failure is what a retry strategy looks at after an attempt that failed.
type Failure struct {
	ExitCode     *int   // nil: the container never reported one
	Reason       string // container reason; "": absent
	StatusReason string
}

// Retries reports whether attempt number n (from 1) of a job is followed by another
// one, after it failed. It is not to be asked after what Batch never retries: an
// attempt that was cancelled, terminated or ran into its timeout (Batch User Guide,
// job_retries and job_timeouts).
//
// The first entry decides all of whose conditions match; with none, the job is tried
// again.
func Retries(n, attempts int, entries []engine.EvaluateOn, f Failure) bool {
	if n >= attempts {
		return false
	}
	for i := range entries {
		e := &entries[i]
		code := ""
		if f.ExitCode != nil {
			code = strconv.Itoa(*f.ExitCode)
		}
		if matches(e.ExitCode, code) && matches(e.Reason, f.Reason) && matches(e.StatusReason, f.StatusReason) {
			return e.Retry
		}
	}
	return true
}

// matches compares a value with a condition: literal text, or a prefix and a "*". No
// condition ("") matches everything, and so does "*", even a value that is absent:
// the closing {onReason: "*", action: EXIT} of Batch's own examples has to fire on a
// plain exit code 1, where there is no reason. Upper and lower case differ.
func matches(pattern, value string) bool {
	if pattern == "" {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(value, prefix)
	}
	return pattern == value
}
