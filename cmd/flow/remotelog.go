package main

import (
	"context"
	"strings"
	"time"

	"flow/engine"
)

// tailTimeout is how long a run that goes on waits for the log of a task that failed, so
// that what is shown stays near to what happens.
const tailTimeout = 3 * time.Second

// tail returns a function that reads the last lines of the log of a failed task.
func (s *session) tail(x engine.Executor) func(*engine.TaskStatus) []string {
	if s.executor == localExecutor {
		return func(t *engine.TaskStatus) []string { return logTailOf(hereDir(s.home, t.Dir), logTail) }
	}
	return func(t *engine.TaskStatus) []string {
		if t.Job == "" {
			return nil
		}
		return lastOfLog(context.Background(), x, jobOf(t))
	}
}

// jobOf returns the job or child of the last try of a task.
func jobOf(t *engine.TaskStatus) engine.JobID {
	if t.Child >= 0 {
		return t.Job.Child(t.Child)
	}
	return t.Job
}

// shortened cuts a line to what is shown of it beside a failed task.
func shortened(line string) string {
	if len(line) <= longestTailLine {
		return line
	}
	return strings.ToValidUTF8(line[:longestTailLine], "") + "…"
}

// A remoteLog is the log of one attempt that an executor keeps, read piece by piece while
// it grows.
type remoteLog struct {
	executor engine.Executor
	job      engine.JobID
	attempt  int // of the job, from 1; 0: the last

	lines int  // read so far
	whole bool // nothing more will come
}

// read calls line with each line behind those that were read before. tail > 0 skips all
// but that many last lines, the first time. whole says that the attempt has ended.
func (l *remoteLog) read(ctx context.Context, tail int, whole bool, line func([]byte) error) error {
	if l.whole {
		return nil
	}
	skip := l.lines
	cut := tail > 0 && skip == 0 // of these lines the last ones are wanted
	o := engine.LogOptions{Attempt: l.attempt}
	if cut && whole {
		o.Tail = tail // nobody will have to know how many there are
	}
	var last [][]byte
	n := 0
	for got, err := range l.executor.Logs(ctx, l.job, o) {
		if err != nil {
			return err
		}
		if n++; n <= skip {
			continue
		}
		text := []byte(got.Text)
		if cut {
			last = append(last, text)
			last = last[max(len(last)-tail, 0):]
			continue
		}
		if err := line(text); err != nil {
			return err
		}
		l.lines = n
	}
	for _, text := range last {
		if err := line(text); err != nil {
			return err
		}
	}
	l.lines, l.whole = max(n, skip), whole
	return nil
}

// openRemote returns the log of an attempt of a task in a job, 0: of the newest one; nil if
// there was none.
func (l *logCommand) openRemote(run *engine.Run, t *engine.TaskStatus, attempt int) attemptLog {
	switch {
	case t.Status == engine.Cached && t.Hit != nil, t.Job == "":
		return nil
	case attempt == 0 && t.Status == engine.Pending && t.Attempts > 0:
		attempt = t.Attempts // the next one has not begun
	case attempt == 0:
		return &remoteLog{executor: l.jobs, job: jobOf(t)}
	}
	job, n, ok := run.Attempt(t.Step, t.Index, attempt)
	if !ok {
		return nil
	}
	return &remoteLog{executor: l.jobs, job: job, attempt: n}
}
