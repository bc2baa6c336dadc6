package state

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// fileSystem returns the kind of file system that dir is on.
func fileSystem(dir string) (int64, error) {
	st, err := statfs(dir)
	return int64(uint32(st.Type)), err // signed 32 bits on some architectures
}

// room returns how many bytes may be written below dir; 0 also if no file can be made there.
func room(dir string) uint64 {
	st, err := statfs(dir)
	switch {
	case err != nil:
		return math.MaxUint64
	case st.Files > 0 && st.Ffree == 0: // some file systems count no inodes
		return 0
	}
	return uint64(st.Bavail) * uint64(st.Bsize)
}

func statfs(dir string) (st unix.Statfs_t, err error) {
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return st, nil
		}
		if err != unix.EINTR {
			return st, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
	}
}
