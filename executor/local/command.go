package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"flow/engine"
)

// maxArg is how long one argument or variable may be, its closing NUL included
// (execve(2), MAX_ARG_STRLEN).
const maxArg = 128 << 10

// scriptSuffix is that of the file, beside the log of an attempt, of a script that is
// too long for an argument.
const scriptSuffix = ".script"

// commandLine returns what a task runs. A script that is too long for an argument is
// written to file, and the shell is told to read that.
func commandLine(spec *engine.TaskSpec, file string) ([]string, error) {
	if len(spec.Command) > 0 {
		return spec.Command, nil
	}
	if len(spec.Shell) == 0 {
		return nil, errors.New("the task has no command")
	}
	shell := spec.Shell[:len(spec.Shell):len(spec.Shell)]
	if len(spec.Script) < maxArg {
		return append(shell, spec.Script), nil
	}
	shell, ok := shellForFile(shell)
	if !ok {
		return nil, fmt.Errorf("the script has %d bytes, and Linux takes %d in one argument; flow does not know how %q reads a script from a file: use script_file or a shorter one",
			len(spec.Script), maxArg, strings.Join(spec.Shell, " "))
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

// errNotInPath says that there is no such program.
var errNotInPath = errors.New("not found")

// A finder looks programs up in a PATH, and remembers where they were.
type finder struct {
	mu    sync.RWMutex
	known map[[2]string]string // of name and PATH
}

// find returns the path of a program. A name with a slash is a path already, relative
// to the task's directory.
func (f *finder) find(name, search string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	f.mu.RLock()
	path, ok := f.known[[2]string{name, search}]
	f.mu.RUnlock()
	if ok {
		return path, nil
	}
	path, err := lookPath(name, search)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	if f.known == nil {
		f.known = map[[2]string]string{}
	}
	f.known[[2]string{name, search}] = path
	f.mu.Unlock()
	return path, nil
}

// forget drops what is known of a program, and reports whether anything was.
func (f *finder) forget(name, search string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.known[[2]string{name, search}]
	delete(f.known, [2]string{name, search})
	return ok
}

// lookPath looks a program up in the absolute directories of a PATH: what is relative
// would mean another place for flow than for the task.
func lookPath(name, search string) (string, error) {
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
		found = fmt.Errorf("exec: %q: executable file %w in $PATH", name, errNotInPath)
	}
	return "", found
}
