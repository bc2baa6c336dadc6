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

// Matches reports whether an entry of evaluateOnExit fits a failed attempt: all
// conditions that it gives do (Batch User Guide, job_retries).
func (e *EvaluateOn) Matches(a *JobAttempt) bool {
	code := ""
	if a.ExitCode != nil {
		code = strconv.Itoa(*a.ExitCode)
	}
	return matchPattern(e.ExitCode, code) && matchPattern(e.Reason, a.Reason) && matchPattern(e.StatusReason, a.StatusReason)
}

// matchPattern compares a value with a condition: literal text, or a prefix and a "*". No
// condition ("") matches everything, and so does "*", even a value that is absent: the
// closing {onReason: "*", action: EXIT} of Batch's own examples has to fire on a plain
// exit code 1, where there is no reason. Upper and lower case differ.
func matchPattern(pattern, value string) bool {
	if pattern == "" {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(value, prefix)
	}
	return pattern == value
}

// matches reports whether all patterns that the rule gives fit a failed try.
func (r *RetryRule) matches(a *JobAttempt) bool {
	e := EvaluateOn{ExitCode: r.ExitCode, Reason: r.Reason, StatusReason: r.StatusReason}
	return e.Matches(a)
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
