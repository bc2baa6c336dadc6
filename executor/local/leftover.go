package local

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// A process is one that carries the variables of a task.
type process struct {
	pid int
	// handle names this very process, whoever has its number later; -1: there is none.
	handle int
}

// Leftovers ends the processes of tries whose flow was killed. The kernel has killed
// their leaders with it; what these had started may live on, in groups and sessions of
// their own. All of it still has the run's FLOW_RUN_ID in its environment or, of a Task,
// the AWS_BATCH_JOB_ID. The directories of Tasks are removed.
func (p *processes) Leftovers(tries []*Try, grace time.Duration) error {
	m := marks{}
	for _, t := range tries {
		if t.Task != nil {
			m[jobMark(t)] = true
		} else {
			m["FLOW_RUN_ID="+string(t.Spec.Run)] = true
		}
	}
	if err := endMarked(m, grace); err != nil {
		return err
	}
	_ = p.scratch.sweep() // it is tried again before the first Task, which then says why
	return nil
}

// marks are variables, as NAME=value, that tell whose a process is.
type marks map[string]bool

func jobMark(t *Try) string { return "AWS_BATCH_JOB_ID=" + string(t.Job) }

// endEscaped ends what a try that was stopped has started outside its process group.
func endEscaped(t *Try) {
	_ = endMarked(marks{jobMark(t): true}, 0) // what cannot be ended is not ours to tell of
}

// Waiting for processes that were sent a signal.
const (
	scanPause = 20 * time.Millisecond
	killGrace = 10 * time.Second // after SIGKILL
)

// endMarked ends every process that has one of these variables in its environment: with
// SIGTERM, and after the grace with SIGKILL. It looks again until there is none, since
// one may have started another in the meantime.
func endMarked(m marks, grace time.Duration) error {
	if len(m) == 0 {
		return nil
	}
	began := time.Now()
	asked := map[int]bool{}
	for {
		found, err := findMarked(m)
		if err != nil || len(found) == 0 {
			return err
		}
		waited := time.Since(began)
		for _, pr := range found {
			switch {
			case waited >= grace:
				pr.signal(syscall.SIGKILL)
			case !asked[pr.pid]:
				asked[pr.pid] = true
				pr.signal(syscall.SIGTERM)
				pr.signal(syscall.SIGCONT)
			}
			pr.close()
		}
		if waited >= grace+killGrace {
			return stillThere(found)
		}
		time.Sleep(scanPause)
	}
}

func stillThere(found []process) error {
	pids := make([]string, len(found))
	for i, pr := range found {
		pids[i] = fmt.Sprint(pr.pid)
	}
	return errors.New("processes of an earlier flow run cannot be ended: " + strings.Join(pids, ", ") +
		"; end them by hand (kill -9), then resume")
}

// in reports whether an environment, NUL between its variables, has one of the marks.
func (m marks) in(environ string) bool {
	for kv := range strings.SplitSeq(environ, "\x00") {
		if m[kv] {
			return true
		}
	}
	return false
}
