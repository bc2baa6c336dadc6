//go:build unix && !linux

package agent

import "syscall"

// sysProcAttr makes a process the leader of a group of its own.
var sysProcAttr = &syscall.SysProcAttr{Setpgid: true}
