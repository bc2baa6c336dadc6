package local

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// findMarked returns the processes that have one of marks in their environment, but for
// this one and those that it descends from. Zombies have no environment any more, and
// those of other users cannot be read.
func findMarked(marks []string) ([]process, error) {
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
		if err != nil || ours[pid] || !marked(name, marks) {
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
		if pr := (process{pid, handle}); marked(name, marks) {
			found = append(found, pr)
		} else {
			pr.close()
		}
	}
	return found, nil
}

func marked(pid string, marks []string) bool {
	environ, err := os.ReadFile("/proc/" + pid + "/environ")
	return err == nil && hasMark(string(environ), marks)
}

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
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// pid (command) state ppid ...: the command may have anything in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
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
