package agent

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// sysProcAttr makes a process the leader of a group of its own, and has the kernel kill
// it when the thread that started it dies (prctl(2), PR_SET_PDEATHSIG).
var sysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

// maxrssUnit is what getrusage(2) counts memory in.
const maxrssUnit = 1 << 10

// cgroups are where a container sees its own control group, with the file that has its
// highest use of memory and the line of memory.stat that has how much of it is page cache,
// which the kernel takes back when it has to (Linux, admin-guide: cgroup-v2, and
// cgroup-v1/memory).
var cgroups = []struct{ dir, peak, cache string }{
	{"/", "memory.peak", "file"},
	{"/memory/", "memory.max_usage_in_bytes", "total_cache"},
}

// ownPeak returns the most memory that this process has had since it is this program, in
// bytes (proc_pid_status(5), VmHWM); 0: not known.
func ownPeak() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(data), "\nVmHWM:")
	line, _, _ := strings.Cut(after, "kB")
	n, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n << 10
}

// containerPeak returns the most memory that all processes of this container have had
// together, without page cache, as far as the kernel tells; 0: not known, or this process
// is not in a container of its own.
func containerPeak() int64 {
	if os.Getpid() != 1 && os.Getppid() != 1 {
		return 0
	}
	return peakBelow("/sys/fs/cgroup")
}

// peakBelow is containerPeak with the place where control groups are.
func peakBelow(root string) int64 {
	for _, g := range cgroups {
		data, err := os.ReadFile(root + g.dir + g.peak)
		if err != nil {
			continue
		}
		peak, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
		if err != nil {
			continue
		}
		return max(0, peak-statOf(root+g.dir+"memory.stat", g.cache))
	}
	return 0
}

// statOf returns the number of a line "name number" of a file; 0 if it has none.
func statOf(path, name string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return n
		}
	}
	return 0
}
