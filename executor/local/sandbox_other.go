//go:build unix && !linux

package local

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ownExecutable is this program.
var ownExecutable, _ = os.Executable()

// rlimitNames are the names of ulimits that a process can be given.
var rlimitNames = map[string]int{
	"core": syscall.RLIMIT_CORE, "cpu": syscall.RLIMIT_CPU, "data": syscall.RLIMIT_DATA, "fsize": syscall.RLIMIT_FSIZE,
	"nofile": syscall.RLIMIT_NOFILE, "stack": syscall.RLIMIT_STACK,
}

// attempts returns how the process that makes the view may be started.
func (v *view) attempts() []*syscall.SysProcAttr { return []*syscall.SysProcAttr{sysProcAttr} }

func (v *view) build() error { return fmt.Errorf("only Linux has them (%w)", errors.ErrUnsupported) }

// limit sets the limits, as far as this process may raise them.
func (v *view) limit() error {
	for _, l := range v.Limits {
		var have syscall.Rlimit
		if err := syscall.Getrlimit(l.Resource, &have); err != nil {
			return err
		}
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: min(l.Soft, have.Max), Max: min(l.Hard, have.Max)}); err != nil {
			return err
		}
	}
	return nil
}

// drop makes this process that of the user.
func (v *view) drop() error { return v.User.become() }
