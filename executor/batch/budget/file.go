package budget

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A file holds a state. The lock is that of flock(2): it goes with the process that holds
// it, however that ends.
type file struct {
	path string
	f    *os.File // nil: not open
}

// A process holds the lock for some microseconds. One that was stopped meanwhile, or a
// server of locks that does not answer, is waited for no longer than a second.
const (
	lockPause = time.Millisecond
	lockTries = 1000
)

// lock opens the file if it is not open, and locks it.
func (s *file) lock(ctx context.Context) error {
	for tries := 0; ; tries++ {
		err := s.open()
		if err != nil {
			return err
		}
		err = unix.Flock(int(s.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil && s.linked():
			return nil
		case err == nil:
			// Somebody has cleared the cache: others use another file by now.
			s.close()
		case tries == lockTries || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return &os.PathError{Op: "lock", Path: s.path, Err: err}
		}
		if err := sleep(ctx, lockPause); err != nil {
			return err
		}
	}
}

func (s *file) open() error {
	if s.f != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s.f = f
	return nil
}

// linked reports whether the open file still has a name.
func (s *file) linked() bool {
	var st unix.Stat_t
	return unix.Fstat(int(s.f.Fd()), &st) == nil && st.Nlink > 0
}

func (s *file) unlock() { _ = unix.Flock(int(s.f.Fd()), unix.LOCK_UN) }

func (s *file) close() {
	if s.f != nil {
		s.f.Close()
		s.f = nil
	}
}

// read returns the content, and no more of it than shows that it is too long.
func (s *file) read() ([]byte, error) {
	content := make([]byte, size+1)
	n, err := s.f.ReadAt(content, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return content[:n], nil
}

// write replaces the content. It is not synced: what a power failure takes is forgotten.
func (s *file) write(content []byte) error {
	if _, err := s.f.WriteAt(content, 0); err != nil {
		return err
	}
	info, err := s.f.Stat()
	if err != nil || info.Size() == int64(len(content)) {
		return err
	}
	return s.f.Truncate(int64(len(content)))
}
