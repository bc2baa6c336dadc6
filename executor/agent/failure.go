package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// failureExt is that of the file, beside the log of an attempt, that says why it failed
// around its command, where the exit code is all that a job can tell.
const failureExt = ".error"

// A failure is the content of such a file.
type failure struct {
	Class   string `json:"class"` // see Error
	Message string `json:"message"`
}

// Failure returns why an attempt has failed around its command, as its agent has written
// it down: what [Error.Error] says, such as "OutputMissing: ...". false: nothing is known.
func Failure(taskDir string, attempt int) (string, bool) {
	b, err := os.ReadFile(failurePath(taskDir, attempt))
	if err != nil {
		return "", false
	}
	return failureOf(b)
}

// failureOf returns what the content of such a file says.
func failureOf(b []byte) (string, bool) {
	var f failure
	if json.Unmarshal(b, &f) != nil || f.Class == "" {
		return "", false
	}
	return f.Class + f.Message, true
}

func (d directory) failure(_ context.Context, attempt int) (string, bool) {
	return Failure(d.path, attempt)
}

func failurePath(taskDir string, attempt int) string {
	return attemptDir(taskDir, attempt) + failureExt
}

func (d directory) putFailure(_ context.Context, attempt int, e *Error) error {
	b, err := marshal(failure{e.Class, e.Msg})
	if err != nil {
		return err
	}
	return putFile(failurePath(d.path, attempt), b)
}

func (d directory) dropFailure(_ context.Context, attempt int) error {
	return remove(failurePath(d.path, attempt))
}

// remove removes a file; that it is not there is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
