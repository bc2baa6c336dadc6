package main

import (
	"errors"
	"fmt"

	"flow/engine"
)

// Exit codes of flow. They are part of its interface: docs/cli.md lists them.
const (
	exitOK          = 0
	exitProblem     = 1
	exitHasWork     = 2   // plan -detailed-exitcode: something would run; of infra plan: would change
	exitDiffers     = 3   // fmt -check: a file is not in canonical form
	exitRunFailed   = 4   // the run ended FAILED
	exitCancelled   = 5   // the run ended CANCELLED
	exitTimedOut    = 6   // the run ended because its time was up, or is paused because its budget is
	exitNotStarted  = 7   // another process drives the run
	exitInterrupted = 130 // Ctrl-C or SIGTERM; the run can be resumed
)

const exitCodesHelp = `Exit codes:
    0  all is well; of a run: it SUCCEEDED
    1  an error: arguments, files, state
    2  plan -detailed-exitcode: something would run; of infra plan: would change
    3  fmt -check: a file is not in canonical form
    4  the run FAILED
    5  the run was CANCELLED
    6  the run's time was up, or its budget, and it is paused; of wait -timeout: the time to wait
    7  not started: another process drives the run
  130  interrupted by Ctrl-C or SIGTERM (a second one does not wait); flow resume goes on,
       and jobs on AWS Batch do so by themselves
`

// An exitError ends the command with a code. With a nil err nothing more is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit returns an error that ends the command with code and prints nothing more; nil for 0.
func exit(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// A usageError is a mistake in the arguments; the message is followed by where to find help.
type usageError struct {
	cmd string // path of the command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// exitCodeOf returns the exit code for how a run ended. Cause is its Cause: "timeout" if
// its time was up.
func exitCodeOf(status engine.Status, cause string) int {
	switch status {
	case engine.Succeeded, engine.Cached, engine.Skipped:
		return exitOK
	case engine.Failed:
		if cause == causeTimeout {
			return exitTimedOut
		}
		return exitRunFailed
	case engine.Cancelled:
		if cause == causeTimeout {
			return exitTimedOut
		}
		return exitCancelled
	}
	return exitInterrupted
}

// causeTimeout is the cause of a run that was ended by its own timeout.
const causeTimeout = "timeout"

// errUsage makes a usageError.
func errUsage(cmd string, format string, args ...any) error {
	return &usageError{cmd: cmd, err: fmt.Errorf(format, args...)}
}

// asExit finds the exit code in err.
func asExit(err error) (code int, quiet bool) {
	var e *exitError
	if errors.As(err, &e) {
		return e.code, e.err == nil
	}
	return exitProblem, false
}
