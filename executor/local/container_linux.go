package local

import (
	"strings"

	"golang.org/x/sys/unix"
)

// kernelKilled looks into the kernel's log whether it has killed a process of a
// container for want of memory. known is false if the log may not be read.
func kernelKilled(id string) (killed, known bool) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	buf := make([]byte, 16<<10) // more than one record
	for {
		n, err := unix.Read(fd, buf)
		switch err {
		case nil:
			if line := string(buf[:n]); strings.Contains(line, "oom-kill:") && strings.Contains(line, id) {
				return true, true
			}
		case unix.EINTR, unix.EPIPE: // EPIPE: records were overwritten meanwhile
		default:
			return false, true // EAGAIN: that was all
		}
	}
}
