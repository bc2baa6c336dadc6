//go:build unix && !linux

package local

import "syscall"

// sysProcAttr makes a process the leader of a group of its own. When flow is killed it
// lives on, until its run is resumed, see Leftovers.
var sysProcAttr = &syscall.SysProcAttr{Setpgid: true}

// awaitExit reports that there is no call that would wait and leave a zombie.
func awaitExit(int) bool { return false }
