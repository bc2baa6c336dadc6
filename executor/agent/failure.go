package agent

import (
	"context"
	"encoding/json"
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
	var f failure
	if json.Unmarshal(b, &f) != nil || f.Class == "" {
		return "", false
	}
	return f.Class + f.Message, true
}

// Failure implements engine.Files.
func (*Files) Failure(_ context.Context, taskDir string, attempt int) string {
	why, _ := Failure(taskDir, attempt)
	return why
}

func failurePath(taskDir string, attempt int) string {
	return attemptDir(taskDir, attempt) + failureExt
}

// writeFailure writes down why an attempt has failed.
func writeFailure(taskDir string, attempt int, e *Error) error {
	b, err := marshal(failure{e.Class, e.Msg})
	if err != nil {
		return err
	}
	return putFile(failurePath(taskDir, attempt), b)
}
