package endpoint

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor"
)

// checkRetry refuses a retryStrategy that Batch would refuse; none is fine.
func checkRetry(r *types.RetryStrategy) error {
	if r == nil {
		return nil
	}
	if r.Attempts == nil {
		return refuse("RetryAttempts must be provided with retry strategy.")
	}
	if *r.Attempts < 1 {
		return refuse("RetryAttempts should be between 1 and %d, got %d", executor.MaxAttempts, *r.Attempts)
	}
	attempts, entries := retryOf(r)
	if err := executor.CheckRetry(attempts, entries); err != nil {
		return err
	}
	for i := range r.EvaluateOnExit {
		if r.EvaluateOnExit[i].Action == "" {
			return refuse("EvaluateOnExit action is required, it is one of [RETRY, EXIT]")
		}
	}
	return nil
}

// retryOf returns a retryStrategy as the model has it. The case of an action does not
// matter (EvaluateOnExit).
func retryOf(r *types.RetryStrategy) (attempts int, entries []engine.EvaluateOn) {
	if r == nil {
		return 0, nil
	}
	for i := range r.EvaluateOnExit {
		e := &r.EvaluateOnExit[i]
		entries = append(entries, engine.EvaluateOn{
			ExitCode: value(e.OnExitCode), Reason: value(e.OnReason), StatusReason: value(e.OnStatusReason),
			Retry: strings.EqualFold(string(e.Action), string(types.RetryActionRetry)),
		})
	}
	return int(value(r.Attempts)), entries
}

// shownRetry returns a retryStrategy as answers show it: actions in lower case, an
// empty list of entries rather than none. nil stays nil.
func shownRetry(r *types.RetryStrategy) *types.RetryStrategy {
	if r == nil {
		return nil
	}
	shown := types.RetryStrategy{Attempts: r.Attempts, EvaluateOnExit: []types.EvaluateOnExit{}}
	for _, e := range r.EvaluateOnExit {
		e.Action = types.RetryAction(strings.ToLower(string(e.Action)))
		shown.EvaluateOnExit = append(shown.EvaluateOnExit, e)
	}
	return &shown
}

// checkTimeout refuses a timeout that Batch would refuse; none is fine.
func checkTimeout(t *types.JobTimeout) error {
	if t == nil || t.AttemptDurationSeconds == nil {
		return nil
	}
	if least := int32(executor.MinTimeout.Seconds()); *t.AttemptDurationSeconds < least {
		return refuse("Timeout attemptDurationSeconds must be at least %d, got %d", least, *t.AttemptDurationSeconds)
	}
	return nil
}
