package local

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"flow/executor/local/model"
)

// The journal of a service is rewritten when it has grown to compactFactor times what it
// was after the last time, or to that of the jobs that are still known if that is more,
// and to compactFloor bytes.
const (
	compactFactor = 4
	compactFloor  = 8 << 20
)

// newSuffix is that of the file that will be the journal.
const newSuffix = ".new"

// compact has the journal rewritten if it has grown enough. It is called with the lock
// held. What is written then is taken now; it is written without the lock, while more
// lines go to the old file. In that a mark says where they begin.
func (b *Batch) compact() {
	j := b.journal
	if !b.compacts || b.closed || j == nil || j.err != nil || j.rewriting || j.size < max(j.floor, compactFactor*j.base) ||
		j.size < compactFactor*j.least(b.model.Known()) {
		return
	}
	ms := b.now().UnixMilli()
	j.marked(ms)
	if j.flush() != nil {
		return
	}
	s, err := b.snapshot(ms)
	if err != nil {
		b.notRewritten(err)
		return
	}
	j.rewriting = true
	from := j.size
	b.rewriters.Go(func() {
		if err := b.rewrite(s, from); err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notRewritten(err)
		}
	})
}

// least returns about how many bytes so many jobs take at least.
func (j *journal) least(jobs int) int64 {
	if j.inputs == 0 {
		return 0
	}
	return int64(jobs) * (j.inputBytes / j.inputs)
}

// notRewritten goes on with the old journal, and tries again when that has grown much
// more.
func (b *Batch) notRewritten(err error) {
	b.journal.rewriting = false
	b.journal.base = b.journal.size
	b.rewriteErr = fmt.Errorf("cannot compact the journal of the local executor: %w", err)
}

// rewrite makes a new journal of a snapshot and what is in the old one from a place on,
// and puts it in the place of that.
func (b *Batch) rewrite(s *snapshot, from int64) error {
	j := b.journal
	f, err := os.OpenFile(j.path+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := lockJournal(f); err != nil {
		return err
	}
	base, err := s.write(f, &b.mu)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(j.flush(), j.failed()); err != nil {
		return err
	}
	n, err := io.Copy(f, io.NewSectionReader(j.f, from, j.size-from))
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), j.path); err != nil {
		return err
	}
	done = true
	syncDir(filepath.Dir(j.path))
	j.f.Close() // and nobody has its lock any more
	j.f, j.base, j.size, j.rewriting = f, base, base+n, false
	return nil
}

// syncDir makes a rename outlive the loss of power, where the file system can.
func syncDir(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync() // without it, there is the old file, or the new one
		d.Close()
	}
}

// A snapshot is what a compacted journal begins with.
type snapshot struct {
	head  []byte       // its lines up to the jobs
	saved *model.Saved // for its jobs, of which the model changes nothing any more
}

// snapshot returns what there is now. It is called with the lock held.
func (b *Batch) snapshot(ms int64) (*snapshot, error) {
	saved := b.model.Save()
	jobs := saved.Jobs
	saved.Jobs = nil
	declared, err := json.Marshal(saved)
	if err != nil {
		return nil, err
	}
	saved.Jobs = jobs
	line := fmt.Appendf(nil, "%s\nc %d %d %d ", journalHeader, ms, os.Getpid(), len(jobs))
	line = append(strconv.AppendQuote(line, string(b.save())), ' ')
	return &snapshot{head: append(append(line, declared...), '\n'), saved: saved}, nil
}

// jobsAtOnce bounds how long the lock is held for the jobs of a snapshot.
const jobsAtOnce = 64

// write writes a snapshot as the beginning of a journal, and returns its size. Jobs are
// looked at under the lock, since the owner of a payload may change it under that.
func (s *snapshot) write(f *os.File, lock sync.Locker) (int64, error) {
	out := &counter{to: bufio.NewWriterSize(f, 1<<20)}
	if _, err := out.Write(s.head); err != nil {
		return 0, err
	}
	var lines []byte
	for at := 0; at < len(s.saved.Jobs); at += jobsAtOnce {
		var err error
		lock.Lock()
		lines, err = s.appendJobs(lines[:0], at, min(at+jobsAtOnce, len(s.saved.Jobs)))
		lock.Unlock()
		if err != nil {
			return 0, err
		}
		if _, err := out.Write(lines); err != nil {
			return 0, err
		}
	}
	return out.n, out.to.Flush()
}

func (s *snapshot) appendJobs(lines []byte, from, to int) ([]byte, error) {
	for i := from; i < to; i++ {
		job, err := json.Marshal(&s.saved.Jobs[i])
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", s.saved.Jobs[i].ID, err)
		}
		lines = append(append(append(lines, "j 0 "...), job...), '\n')
	}
	return lines, nil
}

// A counter counts what is written.
type counter struct {
	to *bufio.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// A restoring is a snapshot that is being read.
type restoring struct {
	model.Saved
	left int // jobs
}

// restore takes the lines of a snapshot.
func (b *Batch) restore(r *record) error {
	switch {
	case r.kind == 'c':
		if err := b.load(r.body); err != nil {
			return err
		}
		b.restoring = &restoring{left: r.job}
		if err := json.Unmarshal(r.saved, &b.restoring.Saved); err != nil {
			return err
		}
	case b.restoring == nil:
		return errors.New("a job is in no snapshot")
	default:
		if err := appendJSON(&b.restoring.Jobs, r.saved); err != nil {
			return err
		}
		b.restoring.left--
	}
	if b.restoring.left > 0 {
		return nil
	}
	m, err := model.Restore(b.config, &b.restoring.Saved, b.decode)
	if err != nil {
		return err
	}
	b.model, b.restoring = m, nil
	return nil
}

// appendJSON appends what is read from JSON, of a type that need not have a name here.
func appendJSON[T any](to *[]T, text []byte) error {
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*to = append(*to, v)
	return nil
}

// decodeTask reads the Payload of a job.
func decodeTask(text json.RawMessage) (any, error) {
	t := new(Task)
	return t, json.Unmarshal(text, t)
}
