package registry

import (
	"os"

	"golang.org/x/sys/unix"
)

// capabilityOf returns the capabilities of a program, as the kernel keeps them with it; ""
// if it has none.
func capabilityOf(f *os.File) string {
	value := make([]byte, 64) // struct vfs_ns_cap_data has 24
	n, err := unix.Fgetxattr(int(f.Fd()), "security.capability", value)
	if err != nil || n <= 0 {
		return ""
	}
	return string(value[:n])
}
