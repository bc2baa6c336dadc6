// Package logstore keeps log groups and streams, as CloudWatch Logs has them, in a tree of
// directories: a stream is a file, which processes write into themselves.
//
//	s, err := logstore.Open(dir, time.Now)
//	f, err := s.Open("/aws/batch/job", "align/default/<task id>", false)
//	... a process writes into f ...
//	s.Ended("/aws/batch/job", "align/default/<task id>")
//	l, err := s.Log("/aws/batch/job", "align/default/<task id>")
//	for event, err := range l.Forward(0, l.End()) { ... }
//
// An event is a line. Nobody is told when it is written, so its time comes from looking:
// while a stream is open, the store looks at its file four times a second and before each
// reading, and marks how far it had grown and when it was last written. The time of a line
// is that of the first mark behind its end: it is at most a quarter of a second late, and
// it stays. A stream with one mark needs none on disk, since its file has that time; the
// marks of others are in a small file beside it, so that all of it reads the same when the
// store is opened anew.
//
// Times are counted in milliseconds since 1970, as CloudWatch Logs does.
package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// What a Store refuses. The first is what a container runtime says of a missing group.
var (
	ErrNoGroup      = errors.New("ResourceNotFoundException: The specified log group does not exist.") //nolint:staticcheck // the text is the service's
	ErrNoStream     = errors.New("the log stream does not exist")
	ErrGroupExists  = errors.New("the log group already exists")
	ErrStreamExists = errors.New("the log stream already exists")
	ErrName         = errors.New("a name has 1 to 512 characters")
)

// DefaultGroup is the group of jobs that name none. It is there from the start, and
// again when it was deleted and the store is opened anew.
const DefaultGroup = "/aws/batch/job"

// A Store keeps log groups and streams below one directory. Its methods can be called
// at the same time. One process at a time may have a directory open.
type Store struct {
	root  *os.Root
	now   func() time.Time
	every time.Duration

	mu     sync.Mutex
	groups map[string]Group
	live   map[string]*live // of streams that are open, by path
	ticks  bool             // the goroutine that looks at them is there
	closed chan struct{}
	wait   sync.WaitGroup
}

// An Option changes how a Store works.
type Option func(*Store)

// Every sets how often open streams are looked at: every 250 ms if not given, and only
// when they are read or Look is called if 0.
func Every(d time.Duration) Option { return func(s *Store) { s.every = d } }

// Open opens the store in a directory, which is made if it is missing. Its clock is now.
func Open(dir string, now func() time.Time, options ...Option) (*Store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		root: root, now: now, every: 250 * time.Millisecond,
		groups: map[string]Group{}, live: map[string]*live{}, closed: make(chan struct{}),
	}
	for _, o := range options {
		o(s)
	}
	if err = s.loadGroups(); err == nil {
		err = s.ensureGroup(DefaultGroup)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return s, nil
}

// Now returns what the clock of the store says.
func (s *Store) Now() int64 { return s.now().UnixMilli() }

// Close marks what open streams have grown to, and closes the store. Files that it has
// handed out stay open.
func (s *Store) Close() error {
	s.mu.Lock()
	select {
	case <-s.closed:
		s.mu.Unlock()
		return nil
	default:
	}
	close(s.closed)
	s.mu.Unlock()
	s.wait.Wait()
	for _, o := range s.opened() {
		s.end(o)
	}
	return s.root.Close()
}

// Open opens a stream for append, and makes it if it is new. The stream counts as open
// until Ended is called as often as this. Without create, the group must be there already:
// else the error is ErrNoGroup.
func (s *Store) Open(group, stream string, create bool) (*os.File, error) {
	if create && !s.hasGroup(group) {
		if err := s.ensureGroup(group); err != nil {
			return nil, err
		}
	}
	return s.openStream(group, stream, 0)
}

// CreateStream makes an empty stream, which must not exist.
func (s *Store) CreateStream(group, stream string) error {
	f, err := s.openStream(group, stream, os.O_EXCL)
	if errors.Is(err, fs.ErrExist) {
		return ErrStreamExists
	}
	if err != nil {
		return err
	}
	s.Ended(group, stream)
	return f.Close()
}

func (s *Store) openStream(group, stream string, flags int) (*os.File, error) {
	if !s.hasGroup(group) {
		return nil, ErrNoGroup
	}
	if err := checkName(stream); err != nil {
		return nil, err
	}
	at := streamPath(group, stream)
	f, err := s.append(at+streamSuffix, flags)
	if err != nil {
		if !s.hasGroup(group) {
			err = ErrNoGroup // deleted meanwhile
		}
		return nil, err
	}
	if err := s.begin(at, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// append opens a file for append. Its directories are made where they are missing, though
// not the group's: it was deleted then.
func (s *Store) append(file string, flags int) (f *os.File, err error) {
	flags |= os.O_WRONLY | os.O_CREATE | os.O_APPEND
	for range 100 { // Remove may take away a directory that has just been made
		f, err = s.root.OpenFile(file, flags, 0o666)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		group := strings.Index(file, groupSuffix) + len(groupSuffix)
		inside, err := s.root.OpenRoot(file[:group])
		if err != nil {
			return nil, err
		}
		err = inside.MkdirAll(path.Dir(file[group+1:]), 0o777)
		inside.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, err
}

// Remove removes a stream, and what becomes empty by that. It is no error that there is
// none of that name.
func (s *Store) Remove(group, stream string) error {
	if !s.hasGroup(group) {
		return ErrNoGroup
	}
	at := streamPath(group, stream)
	err := s.root.Remove(at + streamSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.root.Remove(at + marksSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(at); !strings.HasSuffix(dir, groupSuffix); dir = path.Dir(dir) {
		if s.root.Remove(dir) != nil {
			break // there are others in it
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName && utf8.RuneCountInString(name) > maxName {
		return fmt.Errorf("%w: %.80q", ErrName, name)
	}
	return nil
}
