//go:build unix && !linux

package local

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// findMarked asks ps for the processes with one of the marks in their environment, but for
// this one and its parent. The system shows only the environments of the user's own.
func findMarked(m marks) ([]process, error) {
	out, err := exec.Command("ps", "-axEww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, err
	}
	var found []process
	for line := range strings.Lines(string(out)) {
		number, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(number)
		if err != nil || pid == os.Getpid() || pid == os.Getppid() {
			continue
		}
		if m.in(strings.ReplaceAll(rest, " ", "\x00")) {
			found = append(found, process{pid, -1})
		}
	}
	return found, nil
}

func (pr process) signal(sig syscall.Signal) { _ = syscall.Kill(pr.pid, sig) }

func (pr process) close() {}
