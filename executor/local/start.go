package local

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"flow/executor/agent"
)

// openLog makes a new log. That of a dead attempt is not written to: something of that
// one might still do so.
func openLog(path string) (int, error) {
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_APPEND | syscall.O_CLOEXEC
	for {
		fd, err := syscall.Open(path, flags, 0o666)
		switch err {
		case nil:
			return fd, nil
		case syscall.EINTR:
		case syscall.EEXIST:
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return -1, err
			}
		default:
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// output returns the descriptor of what a program writes to, and what closes it again.
func (b *beginning) output() (fd uintptr, done func(), err error) {
	if b.log != nil {
		return b.log.Fd(), func() {}, nil
	}
	log, err := openLog(b.logPath)
	if err != nil {
		return 0, nil, err
	}
	return uintptr(log), func() { _ = syscall.Close(log) }, nil
}

// Patience with a machine that is short of processes, memory or descriptors.
const (
	firstPause = 5 * time.Millisecond
	longPause  = 500 * time.Millisecond
	patience   = 10 * time.Second
)

// start starts the process of a try and returns its id. When the machine is short of
// something that others will give back soon, it waits a little.
func (p *processes) start(pr *proc, b *beginning) (pid int, err error) {
	pause := firstPause
	for waited := time.Duration(0); ; waited += pause {
		if !p.files.enter(pr.ctx) {
			return 0, errStopped
		}
		pid, err = p.tryStart(pr, b)
		p.files.leave()
		if err == nil || !scarce(err) || waited >= patience {
			return pid, explain(b, err)
		}
		pause = min(2*pause, longPause)
		select {
		case <-time.After(pause):
		case <-pr.ctx.Done():
			return 0, errStopped
		}
	}
}

var errStopped = errors.New("stopped before it had started")

// scarce reports whether a program could not be started for want of something that
// comes back.
func scarce(err error) bool {
	for _, e := range []syscall.Errno{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (p *processes) tryStart(pr *proc, b *beginning) (int, error) {
	search, _ := agent.LookEnv(b.env, "PATH")
	var path string
	var err error
	if b.view == nil {
		if path, err = p.finder.find(b.argv[0], search); err != nil {
			return 0, err
		}
	}
	log, closeLog, err := b.output()
	if err != nil {
		return 0, err
	}
	defer closeLog()
	if b.view != nil {
		pid, err := p.forkSandbox(pr, b, log)
		if errors.Is(err, errNoView) {
			if plain := b.withoutMounts(); plain != nil {
				return p.tryStart(pr, plain)
			}
		}
		return pid, err
	}
	attr := &syscall.ProcAttr{
		Dir: b.dir, Env: b.env, Sys: b.user.sys(),
		Files: []uintptr{p.null.Fd(), log, log},
	}
	pid, err := pr.fork(path, b.argv, attr)
	if errors.Is(err, fs.ErrNotExist) && p.finder.forget(b.argv[0], search) {
		if path, err = p.finder.find(b.argv[0], search); err != nil {
			return 0, err
		}
		pid, err = pr.fork(path, b.argv, attr)
	}
	return pid, err
}

// explain words why a program could not be started.
func explain(b *beginning, err error) error {
	var said saidError
	if errors.Is(err, errStopped) || errors.Is(err, errNoView) || errors.As(err, &said) {
		return err
	}
	return agent.StartError(b.argv, b.env, err)
}
