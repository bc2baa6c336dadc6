package agent

import (
	"cmp"
	"context"
	"math/bits"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A child is the command of a task, run as the leader of a process group.
type child struct {
	mu      sync.Mutex
	pid     int            // of the group; 0: not started, or ended
	stopped syscall.Signal // the first signal that came; 0: none

	used Usage // by what has been reaped
}

// passOn passes signals on to the command until done is closed; the end of ctx is one as
// well. With the first one it calls stop.
func (c *child) passOn(ctx context.Context, signals <-chan os.Signal, done <-chan struct{}, stop func()) {
	ended := ctx.Done()
	for {
		select {
		case got := <-signals:
			if sig, ok := got.(syscall.Signal); ok {
				c.signal(sig, stop)
			}
		case <-ended:
			ended = nil
			c.signal(syscall.SIGTERM, stop)
		case <-done:
			return
		}
	}
}

// signal sends a signal to the command, which is not started any more if it is not yet.
func (c *child) signal(sig syscall.Signal, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = cmp.Or(c.stopped, sig)
	stop()
	if c.pid > 0 {
		_ = syscall.Kill(-c.pid, sig)             // it may just have ended
		_ = syscall.Kill(-c.pid, syscall.SIGCONT) // a suspended process can only then heed it
	}
}

// stoppedBy returns the first signal that came, or 0.
func (c *child) stoppedBy() syscall.Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// run runs a command in dir and returns its exit code. The command writes where this
// process does, and no byte of that goes through it. An error says that it could not be
// started.
func (c *child) run(argv, env []string, dir string) (int, error) {
	path := argv[0]
	if !strings.Contains(path, "/") {
		search, _ := LookEnv(env, "PATH")
		var err error
		if path, err = LookPath(path, search); err != nil {
			return 0, err
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	c.used.Started = time.Now().UnixMilli()
	pid, err := c.start(path, argv, &syscall.ProcAttr{Dir: dir, Env: env, Files: []uintptr{null.Fd(), 1, 2}, Sys: sysProcAttr})
	if err != nil {
		return 0, err
	}
	ws := c.reapUntil(pid)
	c.used.Stopped = time.Now().UnixMilli()
	c.settle(pid)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// start starts a command, unless a signal has come before.
func (c *child) start(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != 0 {
		return 0, syscall.EINTR
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err == nil {
		c.pid = pid
	}
	return pid, err
}

// reapUntil waits for the end of a child. Whatever else ends meanwhile is reaped as well:
// the first process of a container inherits the orphans of all others (pid_namespaces(7)).
func (c *child) reapUntil(pid int) (ws syscall.WaitStatus) {
	for {
		var used syscall.Rusage
		got, err := syscall.Wait4(-1, &ws, 0, &used)
		if err == nil {
			c.add(&used)
		}
		if got == pid || err != nil && err != syscall.EINTR {
			return ws
		}
	}
}

// groupWait is how long the rest of a group that was sent SIGKILL is waited for.
const groupWait = time.Second

// settle ends what is left of a group whose leader has ended, so that nothing writes to
// the outputs any more. While the group has a process, its number is nobody else's.
func (c *child) settle(pgid int) {
	c.mu.Lock()
	c.pid = 0
	c.mu.Unlock()
	pause := 100 * time.Microsecond
	for waited := time.Duration(0); waited < groupWait; waited += pause {
		if syscall.Kill(-pgid, syscall.SIGKILL) != nil {
			return
		}
		c.reapOrphans()
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// reapOrphans reaps what has ended.
func (c *child) reapOrphans() {
	for {
		var used syscall.Rusage
		if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, &used); pid <= 0 {
			return
		}
		c.add(&used)
	}
}

// add counts what a process that was reaped has taken, with those that it has reaped
// itself (wait4(2), getrusage(2)).
func (c *child) add(used *syscall.Rusage) { c.used.Add(used) }

// Add adds what a process has taken that has ended, with those it had waited for
// (getrusage(2)).
func (u *Usage) Add(used *syscall.Rusage) {
	u.CPUSeconds += seconds(used.Utime) + seconds(used.Stime)
	u.peak(peakOf(int64(used.Maxrss)*maxrssUnit, ownPeak))
}

// peak takes in what one of its processes has had at most.
func (u *Usage) peak(bytes int64, atMost bool) {
	if bytes > u.PeakMemory {
		u.PeakMemory, u.PeakAtMost = bytes, atMost
	}
}

// inContainer takes in what all processes of its container have had together at most; 0: not
// known.
func (u *Usage) inContainer(bytes int64) {
	if u.PeakAtMost && bytes > 0 {
		u.PeakMemory, u.PeakAtMost = 0, false
	}
	u.peak(bytes, false)
}

// seenPeak is up to where a peak may have been that of this process, in bytes: it never falls.
var seenPeak atomic.Int64

// peakOf returns what a child has had at most of which the kernel says peak, where this
// process has had own, which is asked only if need be. Linux counts what a process had before it became another program:
// of a child, all that is its parent's (execve(2) of a vfork(2), getrusage(2)). So a peak of
// no more than that says only what it cannot exceed, and is rounded up to a power of two,
// as it would else show how this process grows. The kernel counts pages roughly while a
// process has several threads, so a little more than own is no peak either.
func peakOf(peak int64, own func() int64) (bytes int64, atMost bool) {
	if seen := seenPeak.Load(); peak > seen {
		seen = own()
		if seen += seen / 8; peak > seen {
			return peak, false
		}
		seenPeak.Store(seen)
	}
	if peak <= 0 {
		return 0, false
	}
	return 1 << bits.Len64(uint64(peak-1)), true
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
