package engine

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxInfra is how often a task is tried again after a loss that was not its own fault.
const maxInfra = 10

// The two ways in which infrastructure takes a try away from a task, as its status reason
// tells them (Batch User Guide, bestpractice6, and Amazon ECS, fargate-capacity-providers).
var losses = [...]JobAttempt{
	{StatusReason: ReasonHostLost + " (instance i-0) terminated."},
	{StatusReason: ReasonSpotFargate + "."},
}

// lossRule returns the first rule that names a loss, or nil: one that has a pattern for the
// status reason, and fits. A rule about exit codes is none, though "*" fits no exit code as
// well: losses are not what it is about.
func (r *Retry) lossRule(loss *JobAttempt) *RetryRule {
	for i := range r.Rules {
		if rule := &r.Rules[i]; rule.StatusReason != "" && rule.matches(loss) {
			return rule
		}
	}
	return nil
}

// batchRetries is what Batch may do by itself about failures of a job.
type batchRetries struct {
	attempts int  // tries, the first among them
	losses   bool // only infrastructure losses are tried again, by the entries of lossEntries
}

// batchRetriesOf returns what Batch may do by itself of a task that has left tries to go by
// its own retry block, and was lost infra times. Where the block asks for no more than
// Batch can do, Batch does it, losses among them. Else it tries again after losses only,
// which cost none of the tries: the budget stays exact, and nobody has to be there when an
// instance goes. On this machine (near) it does not: jobs are lost there with the driver
// that runs them, and it is the next driver that says whether they run again.
func batchRetriesOf(s *Step, r Retry, rule, left, infra int, near bool) batchRetries {
	if rule == 0 && left > 1 && !s.EngineRetries && len(r.Rules) <= maxEntries-1 && !slices.ContainsFunc(r.Rules, func(r RetryRule) bool { return r.Engine() }) {
		return batchRetries{attempts: min(left, maxBatchAttempts)}
	}
	if again := maxInfra - infra; !near && again > 0 && len(lossEntries(r)) > 0 {
		return batchRetries{attempts: min(again+1, maxBatchAttempts), losses: true}
	}
	return batchRetries{attempts: 1}
}

// Limits of a retry strategy (Batch API, RetryStrategy).
const (
	maxBatchAttempts = 10
	maxEntries       = 5
)

// lossEntries returns the entries of evaluateOnExit that let Batch try again after
// infrastructure losses, but for those that a rule wants to end, or to be tried elsewhere.
func lossEntries(r Retry) (out []EvaluateOn) {
	for i, prefix := range []string{ReasonHostLost, ReasonSpotFargate} {
		if rule := r.lossRule(&losses[i]); rule == nil || !rule.Exit && !rule.Engine() {
			out = append(out, EvaluateOn{StatusReason: prefix + "*", Retry: true})
		}
	}
	return out
}

// evaluateOnExit returns what Batch is told about retries: rules that it can carry out, in
// its own form, those about losses that no rule names in front of them as far as five
// entries go, and the closing one, that what nothing names is not retried. nil: every
// failure is retried.
func evaluateOnExit(r Retry, lossesOnly, near bool) (out []EvaluateOn) {
	closing := EvaluateOn{Reason: "*"}
	if lossesOnly {
		return append(lossEntries(r), closing)
	}
	if len(r.Rules) == 0 {
		return nil
	}
	for i, prefix := range []string{ReasonHostLost, ReasonSpotFargate} {
		if !near && len(out)+len(r.Rules)+1 < maxEntries && r.lossRule(&losses[i]) == nil {
			out = append(out, EvaluateOn{StatusReason: prefix + "*", Retry: true})
		}
	}
	for _, rule := range r.Rules {
		out = append(out, EvaluateOn{ExitCode: rule.ExitCode, Reason: rule.Reason, StatusReason: rule.StatusReason, Retry: !rule.Exit})
	}
	return append(out, closing)
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

// isTwin reports whether a try was none, since another job had its attempt.
func isTwin(a *JobAttempt) bool { return strings.HasPrefix(a.Reason, ReasonTwin) }

// verdict is what becomes of a task whose job has FAILED.
type verdict struct {
	outcome Outcome
	rule    *RetryRule
	wait    time.Duration
}

// judge decides what becomes of a task after a failed try; used is how many tries
// count against its retry block, this one included unless it was an infrastructure loss,
// and infra how many were losses. A rule that names the loss says how it is tried again, or
// that it is not; it costs none of the tries.
func judge(spec *TaskSpec, last *JobAttempt, used, infra int) verdict {
	if isInfra(last.StatusReason) {
		rule := spec.Retry.lossRule(last)
		switch {
		case infra > maxInfra, rule != nil && rule.Exit:
			return verdict{outcome: TaskFailed}
		case rule != nil:
			return verdict{TaskRetrying, rule, rule.Delay}
		}
		return verdict{outcome: TaskRetrying}
	}
	failed := verdict{outcome: TaskFailed}
	switch {
	case isTwin(last) && infra > maxInfra:
		return failed
	case isTwin(last): // whatever the rules: nothing of the task has run
		return verdict{outcome: TaskRetrying}
	}
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
