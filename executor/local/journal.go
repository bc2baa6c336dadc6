package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// A journal is the file that makes the embedded Batch outlive its process: the inputs
// of the model, in order, one line each. A line that was written survives the process;
// nothing is synced, so a machine that loses its power may lose the last lines, and the
// jobs in them are then unknown.
//
//	flow-journal 1
//	o <ms> <instance> <pid> <vcpus> <memory MiB> <gpus> [shared]   opened: whatever ran is lost
//	s <ms> <job id> <JobSpec as JSON>                      submitted; the lines below name it by its number, from 0
//	a <ms> <op> <body>                                     an input of Batch.Do
//	n <ms> <job id>                                        gives the next number to a job that a line submitted
//	g <ms> <job> <index>                                   there was room for it: after "shared" nothing else is STARTING
//	r <ms> <job> <index> <attempt>                         started
//	x <ms> <job> <index> <attempt> <exit code> <reason> <status reason> [u <memory> <cpu>] [<containers as JSON>]
//	f ...                                                  as x, found out after a crash
//	t <ms> <job> <index> <reason>                          terminate
//	k <ms>                                                 the time has come for something
//	m <ms>                                                 the lines below number jobs anew
//	c <ms> <pid> <jobs> <caller's> <Saved as JSON>         a snapshot, in place of all that came before it
//	j 0 <job of Saved as JSON>                             as many as the snapshot says
//
// index is -1 for a plain job, and for all of an array; an exit code that is not there
// is "-"; what was used is in bytes, as engine.Used.Memory, and milliseconds; texts are quoted as in Go. A body is quoted if it has several lines or begins
// with a quote.
//
// It is written with the lock of the Batch held. Lines are gathered until flush, which
// comes before the lock is freed, so that nobody has seen what is not written.
type journal struct {
	path  string
	f     *os.File
	lines []byte // not written yet
	size  int64  // of what is written
	err   error  // it could not be written: nothing more is

	number map[engine.JobID]int
	ids    []engine.JobID // the other way round

	base, floor int64 // size after it was rewritten, and from which on it is
	rewriting   bool

	inputs, inputBytes int64 // lines about jobs that were submitted, and what they take
}

const (
	journalHeader = "flow-journal 1"
	sharedMark    = "shared" // at the end of an o line
)

// openJournal opens or creates the journal, and locks it against other processes.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) // it has the environments of jobs
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal of the local executor: %w", err)
	}
	if err := lockJournal(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !isAt(f, path) { // it was rewritten by another process, which has gone
		f.Close()
		return openJournal(path)
	}
	os.Remove(path + newSuffix) // that of a process that was killed
	j := newJournal(f)
	j.path = path
	return j, nil
}

// isAt reports whether a file is the one of a path.
func isAt(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func newJournal(f *os.File) *journal {
	return &journal{f: f, number: map[engine.JobID]int{}, floor: compactFloor}
}

// lockWait is how long the lock of a process that is dead is waited for. A child that it
// was about to start has it, too, until it runs its program.
const (
	lockWait  = 10 * time.Second
	lockPause = 5 * time.Millisecond
)

func lockJournal(f *os.File) error {
	for began := time.Now(); ; time.Sleep(lockPause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("cannot lock the journal of the local executor %s: %w", f.Name(), err)
		}
		pid := journalHolder(f)
		if pid == 0 || syscall.Kill(pid, 0) != syscall.ESRCH || time.Since(began) > lockWait {
			return &LockedError{Path: f.Name(), PID: pid}
		}
	}
}

// A LockedError says that another process runs jobs with the same journal.
type LockedError struct {
	Path string
	PID  int // 0: not known
}

func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s runs jobs with the journal %s: wait for it to end, or stop it, and try again", who, e.Path)
}

// journalHolder returns the process that wrote the last o line, or 0.
func journalHolder(f *os.File) int {
	pid := 0
	_, err := replay(f, func(r *record) error {
		if r.kind == 'o' || r.kind == 'c' {
			pid = r.pid
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return pid
}

// resume cuts off what is behind the good bytes, and makes the journal ready for more.
func (j *journal) resume(good int64) error {
	if err := j.f.Truncate(good); err != nil {
		return err
	}
	j.size = good
	if good == 0 {
		j.lines = append(j.lines[:0], journalHeader+"\n"...)
		return j.flush()
	}
	return nil
}

// enter gives a job the next number.
func (j *journal) enter(id engine.JobID) {
	j.number[id] = len(j.ids)
	j.ids = append(j.ids, id)
}

// renumber forgets all numbers.
func (j *journal) renumber() {
	j.number, j.ids = map[engine.JobID]int{}, nil
}

// marked says that all numbers are forgotten.
func (j *journal) marked(ms int64) {
	j.begin('m', ms)
	j.end()
	j.renumber()
}

// id returns the job of a number, or "".
func (j *journal) id(number int) engine.JobID {
	if number < 0 || number >= len(j.ids) {
		return ""
	}
	return j.ids[number]
}

// of returns the number of a job, after a line that gives it one if need be.
func (j *journal) of(ms int64, id engine.JobID) int {
	n, ok := j.number[id]
	if !ok {
		n = len(j.ids)
		j.enter(id)
		j.begin('n', ms)
		j.lines = append(append(append(j.lines, ' '), id...), '\n')
	}
	return n
}

// begin starts a line. A nil journal keeps nothing.
func (j *journal) begin(kind byte, ms int64) {
	j.lines = strconv.AppendInt(append(j.lines, kind, ' '), ms, 10)
}

func (j *journal) int(n int) { j.lines = strconv.AppendInt(append(j.lines, ' '), int64(n), 10) }

func (j *journal) quoted(s string) { j.lines = strconv.AppendQuote(append(j.lines, ' '), s) }

func (j *journal) end() { j.lines = append(j.lines, '\n') }

// failed returns why the journal cannot be written, or nil.
func (j *journal) failed() error {
	if j == nil {
		return nil
	}
	return j.err
}

// flush writes the lines that have been gathered.
func (j *journal) flush() error {
	if j == nil || len(j.lines) == 0 {
		return j.failed()
	}
	lines := j.lines
	j.lines = lines[:0]
	if cap(lines) > 1<<20 {
		j.lines = nil
	}
	if j.err != nil {
		return j.err
	}
	n, err := j.f.Write(lines)
	if err != nil {
		// Half a line would hide every line after it.
		if n > 0 {
			err = errors.Join(err, j.f.Truncate(j.size))
		}
		j.err = fmt.Errorf("cannot write the journal of the local executor: %w", err)
		return j.err
	}
	j.size += int64(n)
	return nil
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}

func (j *journal) opened(ms int64, instance string, c model.Capacity, shared bool) error {
	if j == nil {
		return nil
	}
	j.begin('o', ms)
	j.lines = fmt.Appendf(j.lines, " %s %d %s %d %d", instance, os.Getpid(), strconv.FormatFloat(c.VCPUs, 'g', -1, 64), c.MemoryMiB, c.GPUs)
	if shared {
		j.lines = append(append(j.lines, ' '), sharedMark...)
	}
	j.end()
	return j.flush()
}

func (j *journal) submitted(ms int64, id engine.JobID, spec []byte) error {
	if j == nil {
		return nil
	}
	j.begin('s', ms)
	j.lines = append(append(append(j.lines, ' '), id...), ' ')
	j.lines = append(append(j.lines, spec...), '\n')
	if err := j.flush(); err != nil {
		return err
	}
	j.enter(id)
	return nil
}

func (j *journal) applied(ms int64, op string, body []byte) {
	if j == nil {
		return
	}
	j.begin('a', ms)
	before := len(j.lines)
	j.lines = append(append(j.lines, ' '), op...)
	if bytes.HasPrefix(body, []byte{'"'}) || bytes.IndexByte(body, '\n') >= 0 {
		j.quoted(string(body))
	} else {
		j.lines = append(append(j.lines, ' '), body...)
	}
	j.end()
	j.count(len(j.lines) - before)
}

// count notes the size of a line about a job.
func (j *journal) count(size int) {
	j.inputs++
	j.inputBytes += int64(size)
}

// try begins a line about a try.
func (j *journal) try(kind byte, ms int64, job engine.JobID, index, attempt int) {
	n := j.of(ms, job)
	j.begin(kind, ms)
	j.int(n)
	j.int(index)
	j.int(attempt)
}

// granted says that there was room for a try.
func (j *journal) granted(ms int64, job engine.JobID, index int) {
	if j == nil {
		return
	}
	n := j.of(ms, job)
	j.begin('g', ms)
	j.int(n)
	j.int(index)
	j.end()
}

func (j *journal) started(ms int64, job engine.JobID, index, attempt int) {
	if j != nil {
		j.try('r', ms, job, index, attempt)
		j.end()
	}
}

// exited writes an x line, or with kind 'f' an f line.
func (j *journal) exited(kind byte, ms int64, job engine.JobID, index, attempt int, e Exit) {
	if j == nil {
		return
	}
	j.try(kind, ms, job, index, attempt)
	if e.ExitCode != nil {
		j.int(*e.ExitCode)
	} else {
		j.lines = append(j.lines, " -"...)
	}
	j.quoted(e.Reason)
	j.quoted(e.StatusReason)
	if e.Used != (engine.Used{}) {
		j.lines = append(j.lines, " u"...)
		j.int(int(e.Used.Memory()))
		j.int(int(e.Used.CPUMillis))
	}
	if e.Containers != nil {
		if b, err := json.Marshal(e.Containers); err == nil {
			j.lines = append(append(j.lines, ' '), b...)
		}
	}
	j.end()
}

func (j *journal) terminated(ms int64, job engine.JobID, index int, reason string) error {
	if j == nil {
		return nil
	}
	n := j.of(ms, job)
	j.begin('t', ms)
	j.int(n)
	j.int(index)
	j.quoted(reason)
	j.end()
	return j.flush()
}

func (j *journal) ticked(ms int64) {
	if j != nil {
		j.begin('k', ms)
		j.end()
	}
}
