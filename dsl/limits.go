package dsl

import (
	"fmt"
	"unicode/utf8"
)

// Limits and patterns of AWS Batch, which also hold for local runs, so that a file that
// runs here runs there.
const (
	maxTags      = 50  // on a resource
	maxTagKey    = 128 // characters
	maxTagValue  = 256
	maxAttempts  = 10 // RetryStrategy.attempts
	maxPattern   = 512
	maxExitCodes = 5 // EvaluateOnExit has five entries
	maxVCPUs     = 1024
)

var (
	imagePattern      = lazily(`^[A-Za-z0-9_:./#@-]{1,255}$`) // ContainerProperties.image
	resourcePattern   = lazily(`^[a-zA-Z0-9_-]{1,128}$`)      // names of queues and definitions
	definitionPattern = lazily(`^[a-zA-Z0-9_-]{1,128}(:[0-9]+)?$`)
	exitPattern       = lazily(`^[0-9]*\*?$`)                 // EvaluateOnExit.onExitCode
	reasonPattern     = lazily(`^[0-9A-Za-z.:\s]*\*?$`)       // onReason, onStatusReason
	userPattern       = lazily(`^[a-z0-9_][a-z0-9_-]{0,30}$`) // ContainerProperties.user
	volumePattern     = lazily(`^[A-Za-z0-9_-]{1,255}$`)      // Volume.name
)

// checkTag returns why a tag is not possible, or "".
func checkTag(name, value string) string {
	switch {
	case name == "" || utf8.RuneCountInString(name) > maxTagKey:
		return fmt.Sprintf("The name of a tag has 1 to %d characters.", maxTagKey)
	case utf8.RuneCountInString(value) > maxTagValue:
		return fmt.Sprintf("The value of tag %q has more than %d characters.", name, maxTagValue)
	}
	return ""
}

// checkPattern returns what is wrong with a pattern of a retry rule, or "". exit says
// that it is one over exit codes.
func checkPattern(p string, exit bool) string {
	allowed := reasonPattern
	what := "letters, digits, dots, colons and blanks"
	if exit {
		allowed, what = exitPattern, "digits"
	}
	switch {
	case p == "":
		return "The pattern is empty. Leave it out, or write \"*\" for anything."
	case len(p) > maxPattern:
		return fmt.Sprintf("A pattern has at most %d characters.", maxPattern)
	case !allowed().MatchString(p):
		return fmt.Sprintf("A pattern is made of %s, with at most one * at its end, as AWS Batch has it (evaluateOnExit). End it with * before the first other character.", what)
	}
	return ""
}
