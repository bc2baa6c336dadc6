package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// StartError words why a program could not be started by execve(2) or the like.
func StartError(argv, env []string, err error) error {
	name := argv[0]
	var why string
	var file *fs.PathError
	switch {
	case err == nil || errors.Is(err, ErrNotInPath):
		return err
	case errors.As(err, &file):
		return errors.New(Explain(err))
	case errors.Is(err, syscall.ENOENT):
		why = "no such file, or the interpreter that its first line names does not exist"
		if !strings.Contains(name, "/") {
			why = "the interpreter that its first line names does not exist"
		}
	case errors.Is(err, syscall.EACCES):
		why = "permission denied: it is not executable"
	case errors.Is(err, syscall.ENOEXEC):
		why = "exec format error: it is no program for this machine; a script begins with #! and its interpreter"
	case errors.Is(err, syscall.EINVAL):
		why = "the command, a variable or a value has a NUL byte in it"
	case errors.Is(err, syscall.E2BIG):
		return tooLong(argv, env)
	case errors.Is(err, syscall.EAGAIN):
		why = "no more processes may be started (ulimit -u)"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		why = "too many open files (ulimit -n)"
	case errors.Is(err, syscall.ENOMEM):
		why = "there is no memory to start a process"
	default:
		why = err.Error()
	}
	return fmt.Errorf("exec: %q: %s", name, why)
}

// tooLong says what is too long about a command.
func tooLong(argv, env []string) error {
	name, size := longest(env)
	if size >= MaxArg {
		return fmt.Errorf("exec: %q: the value of %s has %d bytes, and Linux takes %d in one: put it into a file", argv[0], name, size-len(name)-1, MaxArg)
	}
	for _, arg := range argv {
		if len(arg) >= MaxArg {
			return fmt.Errorf("exec: %q: an argument has %d bytes, and Linux takes %d in one: put it into a file", argv[0], len(arg), MaxArg)
		}
	}
	return fmt.Errorf("exec: %q: the command has %d bytes and its environment %d, more than the kernel takes: put the long ones into files",
		argv[0], environSize(argv), environSize(env))
}

// longest returns the name of the longest variable, and its length in bytes.
func longest(env []string) (name string, size int) {
	kv := slices.MaxFunc(env, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	name, _, _ = strings.Cut(kv, "=")
	return name, len(kv)
}

// environSize returns how many bytes an environment or a command line has.
func environSize(env []string) (n int) {
	for _, kv := range env {
		n += len(kv) + 1
	}
	return n
}
