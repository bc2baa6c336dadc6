package logstore

import (
	"bytes"
	"errors"
	"io/fs"
	"iter"
	"os"
)

// An Event is one line of a stream, or a piece of one that is too long. It takes up the
// bytes from Start to End, with the end of its line. Text is valid until the next one.
type Event struct {
	Start, End int64
	Time       int64
	Text       []byte
}

// block is the size of the blocks of a file that the cutting of long lines goes by.
const block = 256 << 10

// cut returns where a line is cut that begins at pos and goes on behind that: where the
// first block ends that lies in it as a whole. So a line of up to 256 KiB is whole, and a
// piece has less than 512 KiB; and pieces are the same in whichever direction one reads.
func cut(pos int64) int64 { return ((pos+block-1)/block + 1) * block }

// A Log reads a stream as it was when the Log was opened, however it grows. It is for one
// reader at a time.
type Log struct {
	Created int64 // when the stream was made; within 0.1 s if it has ended and was short
	file    *os.File
	size    int64
	grows   bool // the stream is open: what has no end of line is not all of its line
	end     int64
	marks   marks
	buf     []byte // what the file has from base on
	base    int64
	err     error // the first one that reading met
}

// Log opens a stream for reading, after a look at it if it is open.
func (s *Store) Log(group, stream string) (*Log, error) {
	if !s.hasGroup(group) {
		return nil, ErrNoGroup
	}
	at := streamPath(group, stream)
	l, err := s.log(at)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoStream
	}
	if err != nil {
		return nil, err
	}
	if l.end = l.size; l.grows {
		l.end = l.bound(l.size)
	}
	if err := l.failed(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (s *Store) log(at string) (*Log, error) {
	o := s.liveAt(at)
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, err := s.note(o); err != nil {
			return nil, err
		}
	}
	f, err := s.root.Open(at + streamSuffix)
	if err != nil {
		return nil, err
	}
	l := &Log{file: f, grows: o != nil}
	if err := s.measure(l, o, at); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// measure finds out the size and the times of a stream.
func (s *Store) measure(l *Log, o *live, at string) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if o != nil && o.kept == 0 {
		l.marks = marks{few: []mark{{time: o.created}}}
		if o.first.size > 0 {
			l.marks.few = append(l.marks.few, o.first)
		}
		l.marks.n = len(l.marks.few)
	} else if l.marks, err = s.marksOf(at); err != nil {
		return err
	}
	if o != nil {
		l.size, l.marks.tail = min(o.last.size, info.Size()), o.last.time
	} else {
		l.size, l.marks.tail = info.Size(), max(l.marks.tail, info.ModTime().UnixMilli())
	}
	if l.Created = l.marks.tail; l.marks.n > 0 {
		l.Created = l.marks.get(0).time
	}
	return l.marks.err
}

// Close closes the files of the Log.
func (l *Log) Close() {
	l.file.Close()
	l.marks.close()
}

// Last returns the time of what was written last; if nothing was, when the stream was made.
func (l *Log) Last() int64 { return l.marks.tail }

// End returns where the last event ends. A line that has no end yet is none, unless the
// stream has ended.
func (l *Log) End() int64 { return l.end }

// Since returns where the first event begins whose time is t or later; End if there is none.
func (l *Log) Since(t int64) (int64, error) {
	at := min(l.end, l.marks.before(t))
	if at < l.end {
		at = l.bound(at)
	}
	return at, l.failed()
}

// Forward yields the events between two offsets, which are those of other events, or of
// Since or End.
func (l *Log) Forward(from, to int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for pos := from; pos < to; {
			end := l.next(pos)
			if !l.hand(pos, end, yield) {
				return
			}
			pos = end
		}
	}
}

// Backward yields the same events from the last to the first.
func (l *Log) Backward(from, to int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for pos := to; pos > from; {
			start := l.prev(pos)
			if !l.hand(start, pos, yield) {
				return
			}
			pos = start
		}
	}
}

// hand hands on the event between two offsets, whose text is in the buffer.
func (l *Log) hand(start, end int64, yield func(Event, error) bool) bool {
	e := Event{Start: start, End: end, Time: l.marks.time(end)}
	if err := l.failed(); err != nil {
		return yield(Event{}, err) && false
	}
	e.Text = bytes.TrimSuffix(l.buf[start-l.base:end-l.base], []byte("\n"))
	return yield(e, nil)
}

func (l *Log) failed() error {
	if l.err != nil {
		return l.err
	}
	return l.marks.err
}

// next returns where the event ends that begins at pos, which is before the end of the file.
func (l *Log) next(pos int64) int64 {
	c := cut(pos)
	limit := min(c+1, l.size)
	have := min(l.has(pos), limit)
	for _, want := range []int64{have, min(pos+chunk, limit), limit} {
		if want <= pos {
			continue
		}
		if i := bytes.IndexByte(l.fill(pos, want, max(want, pos+chunk)), '\n'); i >= 0 || l.err != nil {
			return pos + int64(i) + 1
		}
	}
	if c < l.size {
		return c
	}
	return l.size
}

// prev returns where the event begins that ends at end, which is not 0.
func (l *Log) prev(end int64) int64 {
	start := l.line(end)
	if l.byte(end-1) == '\n' {
		end--
	}
	for c := cut(start); c < end; c = cut(start) {
		start = c
	}
	return start
}

// bound returns the last offset up to pos where an event begins or would begin.
func (l *Log) bound(pos int64) int64 {
	l.fill(max(0, pos-chunk), pos, pos)
	if pos == 0 || l.byte(pos-1) == '\n' {
		return pos
	}
	start := l.line(pos)
	for c := cut(start); c < pos || c == pos && pos < l.size && l.byte(pos) != '\n'; c = cut(start) {
		start = c
	}
	return start
}

// line returns where the line begins that the byte before end is in. If that is far away,
// it is where a block begins in the line, from which the same cuts follow.
func (l *Log) line(end int64) int64 {
	far := max(0, end-2*block-2)
	near := max(end-chunk, far)
	if l.base < end && l.has(l.base) >= end {
		near = max(l.base, far)
	}
	for _, want := range []int64{near, min(near, max(end-chunk, far)), far} {
		b := l.fill(want, end, end)
		if l.err != nil {
			return want
		}
		if i := bytes.LastIndexByte(b[:len(b)-1], '\n'); i >= 0 {
			return want + int64(i) + 1
		}
	}
	return (far + block - 1) / block * block
}

// chunk is how much is read at a time.
const chunk = 64 << 10

// has returns up to where the file is in the buffer from pos on; pos if it is not.
func (l *Log) has(pos int64) int64 {
	if end := l.base + int64(len(l.buf)); l.base <= pos && pos < end {
		return end
	}
	return pos
}

func (l *Log) byte(pos int64) byte {
	if b := l.fill(pos, pos+1, pos+1); len(b) > 0 {
		return b[0]
	}
	return 0
}

// fill returns the bytes of the file from one offset to another. If they must be read,
// those up to ahead are read along.
func (l *Log) fill(from, to, ahead int64) []byte {
	if l.base > from || l.has(from) < to {
		size := int(min(max(to, ahead), l.size) - from)
		if cap(l.buf) < size {
			l.buf = make([]byte, 0, max(size, min(chunk, int(l.size))))
		}
		n, err := l.file.ReadAt(l.buf[:size], from)
		l.buf, l.base = l.buf[:n], from
		if n < size && l.err == nil {
			l.err = err // the file was made shorter: io.EOF
		}
		if l.has(from) < to {
			return nil
		}
	}
	return l.buf[from-l.base : to-l.base]
}
