package executor

import "flow/engine"

// Retries reports whether attempt number n (from 1) of a job is followed by another
// one, after it failed. It is not to be asked after what Batch never retries: an
// attempt that was cancelled, terminated or ran into its timeout (Batch User Guide,
// job_retries and job_timeouts).
//
// The first entry decides all of whose conditions match; with none, the job is tried
// again.
func Retries(n, attempts int, entries []engine.EvaluateOn, failed *engine.JobAttempt) bool {
	if n >= attempts {
		return false
	}
	for i := range entries {
		if entries[i].Matches(failed) {
			return entries[i].Retry
		}
	}
	return true
}
