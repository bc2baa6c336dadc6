// Package executor holds what executors share: the names of jobs, the limits of AWS
// Batch with the texts of its refusals, and the rule that decides whether a failed
// attempt is tried again. It does no I/O.
package executor
