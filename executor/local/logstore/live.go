package logstore

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// A live stream is one that is open: its file may grow.
type live struct {
	path string // without a suffix
	refs int    // how often it is open; under the lock of the store

	mu      sync.Mutex
	created int64
	first   mark // waits until there is a second one; size 0: there is none
	last    mark // of all marks; before the first one, when it was made
	kept    int  // how many are in the file of marks
}

// briefly is within how many milliseconds a stream must be written to for the first time
// for that to count as when it was made, too, once it has ended.
const briefly = 100

// begin counts a stream as open, whose file is f.
func (s *Store) begin(at string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.live[at]
	if o == nil {
		made := s.made(info)
		o = &live{path: at, created: made, last: mark{time: made}}
		if info.Size() > 0 {
			if err := s.resume(o, info); err != nil {
				return err
			}
		}
		s.live[at] = o
	}
	o.refs++
	if !s.ticks && s.every > 0 {
		s.ticks = true
		s.wait.Add(1)
		go s.watch()
	}
	return nil
}

// made returns when a stream was made that has just been opened: what its file says, so
// that no other time has to be written down, unless the clock says otherwise.
func (s *Store) made(info fs.FileInfo) int64 {
	now := s.now()
	if age := now.Sub(info.ModTime()); age < 0 || age > time.Second && info.Size() == 0 {
		return now.UnixMilli()
	}
	return info.ModTime().UnixMilli()
}

// resume takes up the marks of a stream that was there before.
func (s *Store) resume(o *live, info fs.FileInfo) error {
	m, err := s.marksOf(o.path)
	if err != nil {
		return err
	}
	defer m.close()
	o.last = mark{info.Size(), max(m.tail, info.ModTime().UnixMilli())}
	if m.n == 0 {
		o.first = o.last
		return nil
	}
	o.kept, o.created = m.n, m.get(0).time
	if m.get(m.n-1).size < o.last.size {
		s.keep(o, o.last)
	}
	return m.err
}

// Ended says that a stream that Open opened is written to no more.
func (s *Store) Ended(group, stream string) {
	at := streamPath(group, stream)
	s.mu.Lock()
	o := s.live[at]
	last := o != nil && o.refs == 1
	if o != nil && !last {
		o.refs--
	}
	s.mu.Unlock()
	if last {
		s.end(o)
		s.mu.Lock()
		if o.refs--; o.refs == 0 {
			delete(s.live, at)
		}
		s.mu.Unlock()
	}
}

// end marks what an open stream has grown to, and sees to it that its file has the time
// of its last event.
func (s *Store) end(o *live) {
	o.mu.Lock()
	defer o.mu.Unlock()
	info, err := s.note(o)
	if err == nil && info.ModTime().UnixMilli() != o.last.time {
		t := time.UnixMilli(o.last.time)
		// If it fails, events that have one time for all get that of the file.
		_ = s.root.Chtimes(o.path+streamSuffix, t, t)
	}
}

// Look looks at all open streams.
func (s *Store) Look() {
	for _, o := range s.opened() {
		o.mu.Lock()
		_, _ = s.note(o) // fails if it was removed, and then there is nothing to see
		o.mu.Unlock()
	}
}

func (s *Store) opened() []*live {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*live, 0, len(s.live))
	for _, o := range s.live {
		all = append(all, o)
	}
	return all
}

func (s *Store) liveAt(path string) *live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[path]
}

// watch looks at the open streams again and again, as long as there are any.
func (s *Store) watch() {
	defer s.wait.Done()
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-tick.C:
		}
		s.Look()
		s.mu.Lock()
		if len(s.live) == 0 {
			s.ticks = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// note marks how far an open stream has grown, if it has. The caller has its lock.
func (s *Store) note(o *live) (fs.FileInfo, error) {
	info, err := s.root.Lstat(o.path + streamSuffix)
	if err != nil {
		return nil, err
	}
	if info.Size() <= o.last.size {
		return info, nil
	}
	m := mark{info.Size(), s.written(info, o.last.time)}
	if o.kept == 0 && o.first.size == 0 && m.time-o.created < briefly {
		o.first = m
	} else {
		s.keep(o, m)
	}
	o.last = m
	return info, nil
}

// written returns when a file was written last, which was not before last: what the file
// says, unless the clock says otherwise.
func (s *Store) written(info fs.FileInfo, last int64) int64 {
	now, t := s.now().UnixMilli(), info.ModTime().UnixMilli()
	if last <= t && t <= now {
		return t
	}
	return max(last, now)
}

// keep writes down a mark. If it cannot, what it marks gets the time of the next one.
func (s *Store) keep(o *live, m mark) {
	var b []byte
	if o.kept == 0 {
		b = mark{time: o.created}.append(b)
		if o.first.size > 0 {
			b = o.first.append(b)
		}
	}
	b = m.append(b)
	f, err := s.root.OpenFile(o.path+marksSuffix, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.WriteAt(b, int64(o.kept)*markSize); err == nil {
		o.kept += len(b) / markSize
	}
}

// marksOf opens the file of marks of a stream: without one, there are none. tail is the
// time of the last one.
func (s *Store) marksOf(at string) (marks, error) {
	f, err := s.root.Open(at + marksSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return marks{}, nil
	}
	if err != nil {
		return marks{}, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return marks{}, err
	}
	m := newMarks(f, info.Size())
	if m.n > 0 {
		m.tail = m.get(m.n - 1).time
	}
	return m, m.err
}

func (m *marks) close() {
	if m.file != nil {
		m.file.Close()
	}
}
