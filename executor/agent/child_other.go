//go:build unix && !linux

package agent

import "syscall"

// sysProcAttr makes a process the leader of a group of its own.
var sysProcAttr = &syscall.SysProcAttr{Setpgid: true}

// maxrssUnit is what getrusage(2) counts memory in on macOS.
const maxrssUnit = 1

// ownPeak is for Linux, where children inherit it.
func ownPeak() int64 { return 0 }

// containerPeak is for control groups, which only Linux has.
func containerPeak() int64 { return 0 }
