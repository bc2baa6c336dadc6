package local

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// findMarked returns the processes that have one of the marks in their environment, but for
// this one and those that it descends from. Zombies have no environment any more, and
// those of other users cannot be read.
func findMarked(m marks) ([]process, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := proc.Readdirnames(-1)
	proc.Close()
	if err != nil {
		return nil, err
	}
	ours := ancestors()
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || ours[pid] || !markedSoon(name, m) {
			continue
		}
		// The number may have gone to another since: look again once it is held fast.
		handle, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			handle = -1
			if errors.Is(err, unix.ESRCH) {
				continue
			}
		}
		if pr := (process{pid, handle}); markedSoon(name, m) {
			found = append(found, pr)
		} else {
			pr.close()
		}
	}
	return found, nil
}

// markedSoon reports whether a process has one of the marks in its environment. In the midst
// of execve it seems to have none at all: then it is looked at again for a while, which
// is much longer than that takes.
func markedSoon(pid string, m marks) bool {
	for range 20 {
		environ, err := os.ReadFile("/proc/" + pid + "/environ")
		if err != nil {
			return false
		}
		if len(environ) > 0 {
			return m.in(string(environ))
		}
		if !mayExec(pid) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
	return false
}

// mayExec reports whether a process may be in the midst of execve: it is neither a zombie
// nor of the kernel, neither of which ever has an environment.
func mayExec(pid string) bool {
	state, parent := stat(pid)
	return state != "" && state != "Z" && state != "X" && parent != kthreadd && pid != strconv.Itoa(kthreadd)
}

// kthreadd is the process that all threads of the kernel descend from.
const kthreadd = 2

// ancestors returns this process and all that it descends from.
func ancestors() map[int]bool {
	ours := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !ours[pid]; pid = parent(pid) {
		ours[pid] = true
	}
	return ours
}

// parent returns the parent of a process, or 0.
func parent(pid int) int {
	_, ppid := stat(strconv.Itoa(pid))
	return ppid
}

// stat returns the state of a process, a letter, and its parent; "" and 0 if it is gone.
func stat(pid string) (state string, parent int) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return "", 0
	}
	// pid (command) state ppid ...: the command may have anything in it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

func (pr process) signal(sig syscall.Signal) {
	if pr.handle < 0 {
		_ = syscall.Kill(pr.pid, sig)
		return
	}
	_ = unix.PidfdSendSignal(pr.handle, sig, nil, 0)
}

func (pr process) close() {
	if pr.handle >= 0 {
		_ = unix.Close(pr.handle)
	}
}
