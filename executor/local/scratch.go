package local

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A scratch makes empty directories for tries. One that is given back as it was is used
// again: to make and remove one for every try costs half as much as a program that does
// nothing, on ext4 at least, which is slow to make what has just been removed.
type scratch struct {
	dir  string    // where they are made; "": in a new directory, which goes with them
	once sync.Once // before the first one

	mu   sync.Mutex
	err  error
	own  bool // dir was made here
	made int
	free []string
}

// scratchName is how the names of the directories begin.
const scratchName = "task-"

// take returns an empty directory.
func (s *scratch) take() (string, error) {
	s.once.Do(s.begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		dir := s.free[n-1]
		s.free = s.free[:n-1]
		return dir, nil
	}
	if s.err != nil {
		return "", s.err
	}
	s.made++
	dir := filepath.Join(s.dir, scratchName+strconv.Itoa(s.made))
	if err := os.Mkdir(dir, scratchMode); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, scratchMode) // whatever the umask
}

// scratchMode lets everybody look: a container may run as another user.
const scratchMode = 0o755

// begin makes the directory of the directories if need be, and clears it of what an
// earlier process has left.
func (s *scratch) begin() {
	if s.dir != "" {
		s.err = s.sweep()
		return
	}
	s.own = true
	s.dir, s.err = os.MkdirTemp("", "flow-tasks-")
}

// sweep removes what an earlier process has left, before anything was made.
func (s *scratch) sweep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" || s.made > 0 {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), scratchName) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return err
}

// give takes a directory back.
func (s *scratch) give(dir string) {
	if !isNew(dir) {
		os.RemoveAll(dir)
		return
	}
	s.mu.Lock()
	s.free = append(s.free, dir)
	s.mu.Unlock()
}

// isNew reports whether a directory is as it was made: empty, ours, and with its mode.
func isNew(dir string) bool {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() != scratchMode {
		return false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return false
	}
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// close removes the directories that nobody has.
func (s *scratch) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dir := range s.free {
		os.RemoveAll(dir)
	}
	s.free = nil
	if s.own {
		os.Remove(s.dir) // what is in it is still in use
	}
}
