package state

import (
	"os"

	"golang.org/x/sys/unix"
)

// fileSystem returns the kind of file system that dir is on.
func fileSystem(dir string) (int64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return int64(uint32(st.Type)), nil // signed 32 bits on some architectures
		}
		if err != unix.EINTR {
			return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
	}
}
