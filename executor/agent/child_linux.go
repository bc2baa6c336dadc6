package agent

import "syscall"

// sysProcAttr makes a process the leader of a group of its own, and has the kernel kill
// it when the thread that started it dies (prctl(2), PR_SET_PDEATHSIG).
var sysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
