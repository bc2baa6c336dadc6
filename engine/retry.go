package engine

import (
	"strconv"
	"strings"
	"time"
)

// maxInfra is how often a task is tried again after a loss that was not its own fault.
const maxInfra = 10

// evaluateOnExit turns retry rules that Batch can carry out into its own form, with the
// closing rule that what no rule names is not retried. nil: every failure is retried.
func evaluateOnExit(r Retry) []EvaluateOn {
	if len(r.Rules) == 0 {
		return nil
	}
	out := make([]EvaluateOn, 0, len(r.Rules)+1)
	for _, rule := range r.Rules {
		out = append(out, EvaluateOn{ExitCode: rule.ExitCode, Reason: rule.Reason, StatusReason: rule.StatusReason, Retry: !rule.Exit})
	}
	return append(out, EvaluateOn{Reason: "*"})
}

// batchAttempts returns how many tries Batch may make by itself of a task that has
// left tries to go.
func batchAttempts(s *Step, r Retry, left int) int {
	if s.EngineRetries || len(r.Rules) > 4 { // Batch takes five rules, the closing one among them
		return 1
	}
	for i := range r.Rules {
		if r.Rules[i].Engine() {
			return 1
		}
	}
	return min(max(left, 1), 10)
}

// apply returns what an attempt gets after a failure that the rule matched.
func (r *RetryRule) apply(res Resources, attempt int) Resources {
	if n := len(r.MemoryMiB); n > 0 {
		res.MemoryMiB = r.MemoryMiB[min(max(attempt, 1), n)-1]
	}
	if n := len(r.VCPUs); n > 0 {
		res.VCPUs = r.VCPUs[min(max(attempt, 1), n)-1]
	}
	return res
}

// matchPattern is Batch's match: literal, or a prefix before a trailing *. The * alone
// matches a value that is not there, too (Batch User Guide, job_retries).
func matchPattern(pattern string, value *string) bool {
	if pattern == "*" {
		return true
	}
	if value == nil {
		return false
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(*value, prefix)
	}
	return *value == pattern
}

// matches reports whether all patterns that the rule gives fit a failed try.
func (r *RetryRule) matches(a *JobAttempt) bool {
	var code, reason *string
	if a.ExitCode != nil {
		s := strconv.Itoa(*a.ExitCode)
		code = &s
	}
	if a.Reason != "" {
		reason = &a.Reason
	}
	return (r.ExitCode == "" || matchPattern(r.ExitCode, code)) &&
		(r.Reason == "" || matchPattern(r.Reason, reason)) &&
		(r.StatusReason == "" || matchPattern(r.StatusReason, &a.StatusReason))
}

// isInfra reports whether a try failed since its host went away.
func isInfra(statusReason string) bool {
	return strings.HasPrefix(statusReason, ReasonHostLost) || strings.HasPrefix(statusReason, ReasonSpotFargate)
}

// verdict is what becomes of a task whose job has FAILED.
type verdict struct {
	outcome Outcome
	rule    *RetryRule
	wait    time.Duration
}

// judge decides what becomes of a task after a failed try; used is how many tries
// count against its retry block, this one included unless it was an infrastructure loss.
func judge(spec *TaskSpec, last *JobAttempt, used, infra int) verdict {
	if isInfra(last.StatusReason) {
		if infra <= maxInfra {
			return verdict{outcome: TaskRetrying}
		}
		return verdict{outcome: TaskFailed}
	}
	failed := verdict{outcome: TaskFailed}
	if used >= max(spec.Retry.Attempts, 1) {
		return failed
	}
	timeout := last.StatusReason == ReasonTimeout
	for i := range spec.Retry.Rules {
		if rule := &spec.Retry.Rules[i]; rule.matches(last) {
			// Batch never retries a time-out; only a rule that names it makes the engine do so.
			if rule.Exit || (timeout && rule.StatusReason == "") {
				return failed
			}
			return verdict{TaskRetrying, rule, rule.Delay}
		}
	}
	if timeout || len(spec.Retry.Rules) > 0 {
		return failed
	}
	return verdict{outcome: TaskRetrying}
}
