package executor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"flow/engine"
)

// Limits of AWS Batch. Sources: Batch User Guide, service_limits; the types of
// SubmitJobRequest, RetryStrategy and EvaluateOnExit in the service's own model.
const (
	MaxNameLength     = engine.MaxJobName
	MinArraySize      = 2
	MaxArraySize      = engine.MaxArraySize
	MaxDependencies   = engine.MaxDependencies
	MaxAttempts       = 10
	MaxEvaluateOnExit = 5   // the model, the API reference and live refusals; the newest User Guide says 6
	MaxPatternLength  = 512 // of a condition of evaluateOnExit
	MaxReasonLength   = 1024
	MaxTags           = 50
	MaxTagKey         = 128
	MaxTagValue       = 256
	MinTimeout        = 60 * time.Second
	MinMemoryMiB      = 4
)

// A Refusal is a request that Batch would answer with a ClientException; the value is
// its text, as it was seen of the service where it is known.
type Refusal string

func (r Refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return Refusal(fmt.Sprintf(format, args...)) }

// CheckName reports what Batch would say against a job name, or nil.
func CheckName(name string) error {
	ok := len(name) >= 1 && len(name) <= MaxNameLength && name[0] != '-' && name[0] != '_'
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	if !ok {
		return refuse("Job name should match valid pattern: %q is not 1 to %d letters, digits, hyphens and underscores that begin with a letter or digit", name, MaxNameLength)
	}
	return nil
}

// CheckArraySize reports what is wrong with the size of an array job; 0 is a plain job.
func CheckArraySize(n int) error {
	if n != 0 && (n < MinArraySize || n > MaxArraySize) {
		return refuse("Array job size should be between %d and %d, got %d", MinArraySize, MaxArraySize, n)
	}
	return nil
}

// CheckRetry reports what Batch would say against a retry strategy. Zero attempts
// with no entries are no strategy, that is one attempt.
func CheckRetry(attempts int, entries []engine.EvaluateOn) error {
	switch {
	case attempts == 0 && len(entries) > 0:
		return refuse("RetryAttempts must be provided with retry strategy.")
	case attempts < 0 || attempts > MaxAttempts:
		return refuse("RetryAttempts should be between 1 and %d, got %d", MaxAttempts, attempts)
	case len(entries) > MaxEvaluateOnExit:
		return refuse("Up to %d evaluateOnExit condition can be specified.", MaxEvaluateOnExit)
	}
	for i := range entries {
		if err := checkEntry(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkEntry(e *engine.EvaluateOn) error {
	if e.ExitCode == "" && e.Reason == "" && e.StatusReason == "" {
		return refuse("EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason")
	}
	for _, p := range []string{e.ExitCode, e.Reason, e.StatusReason} {
		if len(p) > MaxPatternLength {
			return refuse("Evaluate on exit condition cannot exceed %d characters.", MaxPatternLength)
		}
	}
	if !allIn(e.ExitCode, isDigit) || !allIn(e.Reason, isPatternByte) || !allIn(e.StatusReason, isPatternByte) {
		return refuse("Evaluate on exit condition contains restricted characters.")
	}
	return nil
}

// allIn reports whether every byte of pattern is allowed, but for one trailing *.
func allIn(pattern string, allowed func(byte) bool) bool {
	literal := strings.TrimSuffix(pattern, "*")
	for i := 0; i < len(literal); i++ {
		if !allowed(literal[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isPatternByte: letters, digits, periods, colons and white space (EvaluateOnExit).
func isPatternByte(c byte) bool {
	switch c {
	case '.', ':', ' ', '\t', '\n', '\v', '\f', '\r':
		return true
	}
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// CheckTags reports what is wrong with the tags of a job (Batch User Guide, using-tags).
func CheckTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return refuse("A resource cannot have more than %d tags, got %d", MaxTags, len(tags))
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if k == "" || utf8.RuneCountInString(k) > MaxTagKey || utf8.RuneCountInString(tags[k]) > MaxTagValue || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return refuse("Tag %q is not valid: a key has 1 to %d characters and does not begin with aws:, a value has at most %d", k, MaxTagKey, MaxTagValue)
		}
	}
	return nil
}
