package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// LogPath returns the file that holds the output of an attempt of a task, counted over
// all jobs that tried it.
func LogPath(taskDir string, attempt int) string {
	return filepath.Join(taskDir, strconv.Itoa(attempt)+".log")
}

// followEvery is how often a log that is followed is looked at.
const followEvery = 100 * time.Millisecond

// Logs yields the lines of the last try of a plain job or child, or of the one that o
// asks for. A line of more than 64 KiB comes in pieces. With Follow it goes on until
// the job has ended, from try to try if none is asked for.
func (x *Executor) Logs(ctx context.Context, id engine.JobID, o engine.LogOptions) iter.Seq2[engine.LogLine, error] {
	return func(yield func(engine.LogLine, error) bool) {
		wait := time.NewTicker(followEvery)
		defer wait.Stop()
		l := &logReader{want: o, ok: yield, scratch: x.scratch}
		defer l.close()
		for {
			// Asked before reading: what is written before a try ends is there then.
			v, known := x.view(id)
			if !known || v.Size > 0 {
				return
			}
			if !l.read(v) || !o.Follow || v.Status.Ended() || o.Attempt > 0 && l.over {
				return
			}
			select {
			case <-wait.C:
			case <-ctx.Done():
				yield(engine.LogLine{}, ctx.Err())
				return
			}
		}
	}
}

func (x *Executor) view(id engine.JobID) (model.View, bool) {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	return x.b.model.Describe(id)
}

// A logReader hands on what is new in the logs of a job.
type logReader struct {
	want    engine.LogOptions
	ok      func(engine.LogLine, error) bool
	scratch string // see Options.TaskScratch

	try  int  // being read; 0: none yet
	over bool // it has ended
	file *os.File
	in   *lineReader
}

// read hands on the lines that there are now; false: nobody wants more.
func (l *logReader) read(v model.View) bool {
	last := v.Try
	if l.want.Attempt > 0 {
		last = min(l.want.Attempt, v.Try)
		if last < l.want.Attempt {
			return true // not begun
		}
	}
	if l.try == 0 {
		l.try = last
	}
	for ; l.try > 0 && l.try <= last; l.try++ {
		l.over = l.try <= len(v.Attempts) || v.Status.Ended()
		if !l.lines(v) {
			return false
		}
		if !l.over || l.want.Attempt > 0 {
			break
		}
		l.close()
	}
	return true
}

// lines hands on what is new in the log of the try at hand.
func (l *logReader) lines(v model.View) bool {
	if l.file == nil {
		if err := l.open(v); errors.Is(err, fs.ErrNotExist) {
			return true
		} else if err != nil {
			l.ok(engine.LogLine{}, err)
			return false
		}
	}
	for {
		// A line without its end may still grow, but not when nobody follows it.
		line, err := l.in.next(l.over || !l.want.Follow)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			l.ok(engine.LogLine{}, err)
			return false
		}
		if !l.ok(engine.LogLine{Text: line}, nil) {
			return false
		}
	}
}

func (l *logReader) open(v model.View) error {
	spec := v.Request.Payload.(*engine.JobSpec)
	f, err := os.Open(LogPath(localDir(l.scratch, spec, max(v.Index, 0)), taskAttempt(spec, l.try)))
	if err != nil {
		return err
	}
	l.file, l.in = f, newLineReader(f)
	if n := l.want.Tail; n > 0 {
		l.want.Tail = 0 // of the tries that follow, everything
		at, err := tail(f, n)
		if err == nil {
			_, err = f.Seek(at, io.SeekStart)
		}
		return err
	}
	return nil
}

func (l *logReader) close() {
	if l.file != nil {
		l.file.Close()
		l.file, l.in = nil, nil
	}
}

// maxLine is the most of a line that is kept in memory.
const maxLine = 64 << 10

// A lineReader reads lines from a file that may still grow.
type lineReader struct {
	from       io.Reader
	buf        []byte
	start, end int // of what is in buf and not handed out
}

func newLineReader(from io.Reader) *lineReader {
	return &lineReader{from: from, buf: make([]byte, maxLine)}
}

// next returns the next line, or a piece of one that is too long. io.EOF says that
// there is no whole line yet; with all, what is there of the last one is returned.
func (r *lineReader) next(all bool) (string, error) {
	searched := 0
	for {
		have := r.buf[r.start:r.end]
		if n := bytes.IndexByte(have[searched:], '\n'); n >= 0 {
			n += searched
			r.start += n + 1
			return string(have[:n]), nil
		}
		searched = len(have)
		if r.start > 0 {
			r.end = copy(r.buf, have)
			r.start = 0
		}
		if r.end == len(r.buf) {
			r.start, r.end = 0, 0
			return string(r.buf), nil
		}
		n, err := r.from.Read(r.buf[r.end:])
		r.end += n
		switch {
		case n > 0:
		case err != io.EOF && err != nil:
			return "", err
		case all && r.end > 0:
			have := string(r.buf[:r.end])
			r.end = 0
			return have, nil
		default:
			return "", io.EOF
		}
	}
}

// tail returns where the last n lines of a file begin.
func tail(f *os.File, n int) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, maxLine)
	for at := end; at > 0; {
		size := min(at, int64(len(buf)))
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil {
			return 0, err
		}
		block := buf[:size]
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block[:i], '\n') {
			if at+int64(i) == end-1 {
				continue // the end of the last line
			}
			if n--; n == 0 {
				return at + int64(i) + 1, nil
			}
		}
	}
	return 0, nil
}
