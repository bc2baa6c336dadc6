package state

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bootOf returns the id of the host's present boot, and of the pid namespace:
// containers of one host do not see each other's processes (proc(5), namespaces(7)).
func bootOf() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		space = ""
	}
	return strings.TrimSpace(string(boot)) + "/" + space
}

// startOf returns when a process was started, in clock ticks since boot: field 22 of
// /proc/PID/stat (proc(5)). 0: there is no such process, or nobody may know.
func startOf(pid int) int64 {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, field 2, is in brackets, and may have any character.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" { // a zombie does nothing any more
		return 0
	}
	start, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return start
}

// processAlive reports whether process pid, started at start, runs.
func processAlive(pid int, start int64) bool {
	if now := startOf(pid); now != 0 && start != 0 {
		return now == start
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		_, err := os.Stat("/proc/" + strconv.Itoa(pid))
		return err == nil && startOf(pid) != 0
	}
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}
