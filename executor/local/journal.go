package local

import (
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
// of the model, in order, one line each and one write(2) per line. A line that was
// written survives the process; nothing is synced, so a machine that loses its power
// may lose the last lines, and the jobs in them are then unknown.
//
//	flow-journal 1
//	o <ms> <instance> <pid> <vcpus> <memory MiB> <gpus>    opened: whatever ran is lost
//	s <ms> <job id> <JobSpec as JSON>                      submitted; the lines below name it by its number, from 0
//	r <ms> <job> <index> <attempt>                         started
//	x <ms> <job> <index> <attempt> <exit code> <reason> <status reason>
//	f ...                                                  as x, found out after a crash
//	t <ms> <job> <index> <reason>                          terminate
//	k <ms>                                                 a timeout has passed
//
// index is -1 for a plain job, and for all of an array; an exit code that is not there
// is "-"; texts are quoted as in Go. It is written with the executor's lock held.
type journal struct {
	f    *os.File
	line []byte
	size int64
	err  error // it could not be written: nothing more is
}

const journalHeader = "flow-journal 1"

// openJournal opens or creates the journal, and locks it against other processes.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal of the local executor: %w", err)
	}
	if err := lockJournal(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{f: f}, nil
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
	_, err := replay(f, func(r *record) {
		if r.kind == 'o' {
			pid = r.pid
		}
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
		j.line = append(j.line[:0], journalHeader+"\n"...)
		return j.flush()
	}
	return nil
}

// begin starts a line; end writes it. A nil journal keeps nothing.
func (j *journal) begin(kind byte, ms int64) []byte {
	b := append(j.line[:0], kind, ' ')
	return strconv.AppendInt(b, ms, 10)
}

func (j *journal) end(line []byte) error {
	j.line = append(line, '\n')
	return j.flush()
}

func (j *journal) flush() error {
	if j.err != nil {
		return j.err
	}
	n, err := j.f.Write(j.line)
	if err != nil {
		// Half a line would hide every line after it.
		if n > 0 {
			err = errors.Join(err, j.f.Truncate(j.size))
		}
		j.err = fmt.Errorf("cannot write the journal of the local executor: %w", err)
		return j.err
	}
	j.size += int64(n)
	if cap(j.line) > 1<<20 {
		j.line = nil
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

func (j *journal) opened(ms int64, instance string, c model.Capacity) error {
	if j == nil {
		return nil
	}
	b := j.begin('o', ms)
	b = fmt.Appendf(b, " %s %d %s %d %d", instance, os.Getpid(), strconv.FormatFloat(c.VCPUs, 'g', -1, 64), c.MemoryMiB, c.GPUs)
	return j.end(b)
}

func (j *journal) submitted(ms int64, id engine.JobID, spec []byte) error {
	if j == nil {
		return nil
	}
	b := append(j.begin('s', ms), ' ')
	b = append(append(b, id...), ' ')
	return j.end(append(b, spec...))
}

func appendTry(b []byte, job, index, attempt int) []byte {
	b = strconv.AppendInt(append(b, ' '), int64(job), 10)
	b = strconv.AppendInt(append(b, ' '), int64(index), 10)
	return strconv.AppendInt(append(b, ' '), int64(attempt), 10)
}

func (j *journal) started(ms int64, job, index, attempt int) error {
	if j == nil {
		return nil
	}
	return j.end(appendTry(j.begin('r', ms), job, index, attempt))
}

// exited writes an x line, or with kind 'f' an f line.
func (j *journal) exited(kind byte, ms int64, job, index, attempt int, e Exit) error {
	if j == nil {
		return nil
	}
	b := append(appendTry(j.begin(kind, ms), job, index, attempt), ' ')
	if e.ExitCode != nil {
		b = strconv.AppendInt(b, int64(*e.ExitCode), 10)
	} else {
		b = append(b, '-')
	}
	b = strconv.AppendQuote(append(b, ' '), e.Reason)
	return j.end(strconv.AppendQuote(append(b, ' '), e.StatusReason))
}

func (j *journal) terminated(ms int64, job, index int, reason string) error {
	if j == nil {
		return nil
	}
	b := strconv.AppendInt(append(j.begin('t', ms), ' '), int64(job), 10)
	b = strconv.AppendInt(append(b, ' '), int64(index), 10)
	return j.end(strconv.AppendQuote(append(b, ' '), reason))
}

func (j *journal) ticked(ms int64) error {
	if j == nil {
		return nil
	}
	return j.end(j.begin('k', ms))
}
