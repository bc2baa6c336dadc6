package local

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr makes a process the leader of a group of its own, and has the kernel kill
// it when the thread that started it dies (prctl(2), PR_SET_PDEATHSIG).
var sysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

// awaitExit waits until a child has ended, and leaves it a zombie, so that its number
// still belongs to its group and to nobody else. It reports whether it could.
func awaitExit(pid int) bool {
	for {
		switch unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) {
		case nil:
			return true
		case unix.EINTR:
		default:
			return false
		}
	}
}
