package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"flow/engine"
)

// MaxArg is how long one argument or variable may be, its closing NUL included
// (execve(2), MAX_ARG_STRLEN).
const MaxArg = 128 << 10

// ScriptSuffix is that of the file, beside the log of an attempt, of a script that is
// too long for an argument.
const ScriptSuffix = ".script"

// CommandLine returns what a task runs. A script that is too long for an argument is
// written to file, and the shell is told to read that.
func CommandLine(spec *engine.TaskSpec, file string) ([]string, error) {
	if len(spec.Command) > 0 {
		return spec.Command, nil
	}
	if len(spec.Shell) == 0 {
		return nil, errors.New("the task has no command")
	}
	shell := spec.Shell[:len(spec.Shell):len(spec.Shell)]
	if len(spec.Script) < MaxArg {
		return append(shell, spec.Script), nil
	}
	shell, ok := shellForFile(shell)
	if !ok {
		return nil, fmt.Errorf("the script has %d bytes, and Linux takes %d in one argument; flow does not know how %q reads a script from a file: use script_file or a shorter one",
			len(spec.Script), MaxArg, strings.Join(spec.Shell, " "))
	}
	if err := os.WriteFile(file, []byte(spec.Script), 0o666); err != nil {
		return nil, err
	}
	return append(shell, file), nil
}

// clusters are short flags of which the last says that a script follows: -c, -ec.
var clusters = regexp.MustCompile(`^-[A-Za-z]*c$`)

// shellForFile returns the command that runs a script file as shell runs its text:
// bash -euo pipefail -c and python3 -c lose their c, perl -e and node -e their e.
func shellForFile(shell []string) ([]string, bool) {
	last := shell[len(shell)-1]
	rest := shell[: len(shell)-1 : len(shell)-1]
	switch {
	case len(rest) == 0:
		return nil, false
	case last == "-c", last == "-e", last == "--eval", last == "--command":
		return rest, true
	case clusters.MatchString(last):
		return append(rest, strings.TrimSuffix(last, "c")), true
	}
	return nil, false
}

// ErrNotInPath says that there is no such program.
var ErrNotInPath = errors.New("not found")

// LookPath looks a program up in the absolute directories of a PATH: what is relative
// would mean another place for flow than for the task.
func LookPath(name, search string) (string, error) {
	var found error
	for _, dir := range filepath.SplitList(search) {
		if name == "" || !filepath.IsAbs(dir) {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue
		}
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
		found = syscall.EACCES
	}
	if found == nil {
		found = fmt.Errorf("exec: %q: executable file %w in $PATH", name, ErrNotInPath)
	}
	return "", found
}
