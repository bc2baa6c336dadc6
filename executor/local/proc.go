package local

import (
	"context"
	"sync"
	"syscall"
	"time"

	"flow/engine"
	"flow/executor/agent"
)

// A proc is a try that a Runner has in hand: a process group, or a container.
type proc struct {
	ctx      context.Context // done when the try is to stop
	cancel   context.CancelFunc
	used     agent.Usage   // by the process, once wait has returned
	patience time.Duration // the grace of a stop that is not at once; 0: as the stop says

	mu       sync.Mutex
	pid      int                 // of the leader of the group; 0: not started, or ended
	end      func(time.Duration) // how to end it if it is no process group: see containers
	deadline time.Time           // when SIGKILL is due; zero: nobody has called stop
	timer    *time.Timer
}

func newProc() *proc {
	pr := &proc{}
	pr.ctx, pr.cancel = context.WithCancel(context.Background())
	return pr
}

// enter makes a try known to Stop.
func (p *processes) enter(id engine.JobID, s stopper) {
	p.mu.Lock()
	p.live[id] = s
	p.mu.Unlock()
}

// leave is the end of enter.
func (p *processes) leave(id engine.JobID) {
	p.mu.Lock()
	delete(p.live, id)
	p.mu.Unlock()
}

// Stop asks a try to end.
func (p *processes) Stop(id engine.JobID, grace time.Duration) {
	p.mu.Lock()
	s := p.live[id]
	p.mu.Unlock()
	if s != nil {
		s.stop(grace)
	}
}

// stop sends SIGTERM the first time, and SIGKILL when the shortest grace is over. A try
// that is not started yet will not be.
func (pr *proc) stop(grace time.Duration) {
	pr.cancel()
	if grace > 0 && pr.patience > 0 {
		grace = pr.patience
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	due := time.Now().Add(grace)
	first := pr.deadline.IsZero()
	if !first && !due.Before(pr.deadline) {
		return
	}
	pr.deadline = due
	switch {
	case pr.end != nil:
		pr.end(grace)
	case pr.pid == 0:
	case grace <= 0:
		pr.signal(syscall.SIGKILL)
	default:
		if first {
			pr.signal(syscall.SIGTERM)
			pr.signal(syscall.SIGCONT) // a suspended process can only then heed it
		}
		if pr.timer != nil {
			pr.timer.Stop()
		}
		pr.timer = time.AfterFunc(grace, pr.kill)
	}
}

// stopped reports whether somebody has called stop.
func (pr *proc) stopped() bool { return pr.ctx.Err() != nil }

// kill is called when the grace is over.
func (pr *proc) kill() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.signal(syscall.SIGKILL)
}

// signal sends a signal to the whole group. It is called with the lock held, which
// settle takes before the kernel may give the number of the group to somebody else.
func (pr *proc) signal(sig syscall.Signal) {
	if pr.pid > 0 {
		_ = syscall.Kill(-pr.pid, sig) // it may have no process any more
	}
}

// fork starts a program as the leader of a new group, unless the try was stopped.
func (pr *proc) fork(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.stopped() {
		return 0, errStopped
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, err
	}
	pr.pid = pid
	pr.used.Started = time.Now().UnixMilli()
	return pid, nil
}

// wait waits for the end of the process and ends what is left of its group. When it
// returns, nothing of the group is alive.
func (pr *proc) wait(pid int) (ws syscall.WaitStatus) {
	if awaitExit(pid) {
		pr.settle()
		ws = reap(pid, &pr.used)
	} else {
		ws = reap(pid, &pr.used)
		pr.settle()
	}
	pr.used.Stopped = time.Now().UnixMilli()
	awaitGroup(pid)
	return ws
}

// settle ends the rest of a group whose leader has ended, as a container ends with its
// first process, and lets nobody send it signals from then on.
func (pr *proc) settle() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.signal(syscall.SIGKILL)
	pr.pid = 0
	if pr.timer != nil {
		pr.timer.Stop()
	}
}

// reap takes the status of a child and what it has taken, and waits for its end if need be.
func reap(pid int, used *agent.Usage) (ws syscall.WaitStatus) {
	var taken syscall.Rusage
	for {
		if _, err := syscall.Wait4(pid, &ws, 0, &taken); err != syscall.EINTR {
			used.Add(&taken)
			return ws
		}
	}
}

// groupWait is how long the rest of a group that was sent SIGKILL is waited for.
const groupWait = time.Second

// awaitGroup waits until a group that was killed is gone. Mostly there is nobody left
// and it costs one system call.
func awaitGroup(pgid int) {
	pause := 100 * time.Microsecond
	for waited := time.Duration(0); waited < groupWait; waited += pause {
		if syscall.Kill(-pgid, 0) == syscall.ESRCH {
			return
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}
