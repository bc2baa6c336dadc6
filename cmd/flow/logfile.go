package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"flow/executor/agent"
)

// lastAttempt returns the number of the newest attempt in a task directory that has a
// log; 0 if none has.
func lastAttempt(dir string) int {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	last := 0
	for _, e := range entries {
		if number, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				last = max(last, n)
			}
		}
	}
	return last
}

const (
	// longestLine is what is read of a line at a time; what is longer comes in pieces.
	longestLine = 64 << 10
	// tailBlock is how much is read of the end of a log at a time.
	tailBlock = 64 << 10
)

// tailOffset returns where the last n lines of f begin. A last line without a newline counts.
func tailOffset(f io.ReaderAt, size int64, n int) (int64, error) {
	block := make([]byte, tailBlock)
	newlines := 0
	for end := size; end > 0; {
		begin := max(end-tailBlock, 0)
		part := block[:end-begin]
		if _, err := f.ReadAt(part, begin); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] != '\n' || begin+int64(i) == size-1 {
				continue
			}
			if newlines++; newlines == n {
				return begin + int64(i) + 1, nil
			}
		}
		end = begin
	}
	return 0, nil
}

// A logFile is the log of one attempt, read piece by piece while it grows.
type logFile struct {
	path   string
	offset int64
}

// openLog opens a log. Tasks can put other things in its place, such as a pipe that nobody writes
// to: whoever opened that would wait for ever.
func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file, but %s", path, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// read calls line with each line from where the last read stopped, without its newline. A
// last line that is not finished is left for later, unless whole is set. tail > 0 skips
// all but that many last lines, the first time. A log that is not there has no lines.
func (l *logFile) read(_ context.Context, tail int, whole bool, line func([]byte) error) error {
	f, err := openLog(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if tail > 0 && l.offset == 0 {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if l.offset, err = tailOffset(f, info.Size(), tail); err != nil {
			return err
		}
	}
	if _, err := f.Seek(l.offset, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, longestLine)
	for {
		piece, err := r.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull), errors.Is(err, io.EOF) && whole && len(piece) > 0:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
		l.offset += int64(len(piece))
		if err := line(bytes.TrimSuffix(piece, []byte("\n"))); err != nil {
			return err
		}
	}
}

// longestTailLine is how much of a line is shown of the log of a failed task.
const longestTailLine = 400

// logTailOf returns the last lines of the newest log in a task directory.
func logTailOf(dir string, lines int) []string {
	n := lastAttempt(dir)
	if n == 0 {
		return nil
	}
	return lastLines(agent.LogPath(dir, n), lines)
}

// mostOfTail is how much of a log is read for its last lines, in bytes: a task may write one
// line without an end.
const mostOfTail = 1 << 20

// lastLines returns the last lines of a file, none if it cannot be read.
func lastLines(path string, lines int) []string {
	var out []string
	file := logFile{path: path}
	if info, err := os.Stat(path); err == nil && info.Size() > mostOfTail {
		file.offset = info.Size() - mostOfTail
	}
	_ = file.read(context.Background(), lines, true, func(line []byte) error {
		out = append(out, shortened(string(line)))
		return nil
	})
	if len(out) > lines { // a long line came in pieces
		out = out[len(out)-lines:]
	}
	return out
}
