package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"flow/engine"
	"flow/executor/agent"
)

// RunnerOptions say how tries are to be run.
type RunnerOptions struct {
	// Containers is the command that tasks with an image are run with: "docker",
	// "podman", or a path of either. "": they run as processes.
	Containers string
	// Secret resolves a reference of TaskSpec.Secrets; nil: there are none.
	Secret func(ref string) (string, error)
	// Memo remembers the sha256 of outputs; nil: nobody does.
	Memo agent.Memo
}

// NewRunner returns a Runner that runs tries as processes of this machine, or in
// containers on it. It is a [Recoverer], too. An error means that the command of
// RunnerOptions.Containers is not installed.
func NewRunner(o RunnerOptions) (Runner, error) {
	p, err := newProcesses(o)
	if err != nil || o.Containers == "" {
		return p, err
	}
	c, err := newContainers(o.Containers, p)
	if err != nil {
		p.Close()
		return nil, err
	}
	return c, nil
}

// processes is the Runner that runs tries as processes.
//
// A process is started by fork and exec and nothing else: its log file is its stdout
// and stderr, so that no byte of output goes through flow, and a worker waits for it in
// wait4. It leads a process group, which is ended with it, and the kernel kills it when
// the worker's thread dies.
type processes struct {
	agent  agent.Agent
	secret func(ref string) (string, error)
	base   []string // what every process inherits
	null   *os.File
	finder finder
	files  descriptors

	mu   sync.Mutex
	live map[engine.JobID]*proc
}

var (
	_ Runner    = (*processes)(nil)
	_ Recoverer = (*processes)(nil)
)

func newProcesses(o RunnerOptions) (*processes, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	return &processes{
		agent:  agent.Agent{Files: agent.Files{Memo: o.Memo}},
		secret: o.Secret,
		base:   baseEnviron(ownEnviron()),
		null:   null,
		files:  newDescriptors(),
		live:   map[engine.JobID]*proc{},
	}, nil
}

// Close closes what every process shares.
func (p *processes) Close() { p.null.Close() }

// Run runs a try as a process.
func (p *processes) Run(t *Try, started func()) Exit {
	pr := p.enter(t.Job)
	defer p.leave(t.Job, pr)
	b, exit := p.begin(pr, t)
	if b == nil {
		return exit
	}
	b.env = withBase(p.base, b.env)
	pid, err := p.start(pr, b)
	if err != nil {
		return startFailed("CannotStartContainerError: ", err)
	}
	started()
	ws := pr.wait(pid)
	if pr.stopped() {
		endEscaped(t)
	}
	return p.finish(pr, b.at, exitCode(ws))
}

// Finished reports whether the result of a try is complete though nobody has said so.
func (p *processes) Finished(t *Try) (Exit, bool) {
	if _, ok := p.agent.Recover(context.Background(), taskOf(t)); !ok {
		return Exit{}, false
	}
	return exited(0), true
}

// taskOf returns what the agent is to know of a try.
func taskOf(t *Try) *agent.Task {
	return &agent.Task{
		Run: t.Spec.Run, Step: t.Spec.Step, Key: t.Spec.Key(t.Index), Attempt: t.Attempt,
		Spec: t.Spec.Task.With(t.Spec.Item(t.Index)), Dir: t.Spec.TaskDir(t.Index),
	}
}

// A beginning is a try that is about to be started.
type beginning struct {
	try  *Try
	task *agent.Task
	at   *agent.Attempt
	argv []string
	env  []string // without what is inherited
}

// begin stages a try in. nil: it cannot be started, for the reason in the Exit.
func (p *processes) begin(pr *proc, t *Try) (*beginning, Exit) {
	if !p.files.enter(pr.ctx) {
		return nil, startFailed("", errStopped)
	}
	defer p.files.leave()
	b := &beginning{try: t, task: taskOf(t)}
	var err error
	if b.at, err = p.agent.Begin(b.task); err != nil {
		return nil, startFailed("", err)
	}
	if b.env, err = p.environ(t, b.task, b.at); err != nil {
		return nil, startFailed("ResourceInitializationError: ", err)
	}
	if b.argv, err = commandLine(b.task.Spec, b.at.Dir+scriptSuffix); err != nil {
		return nil, startFailed("CannotCreateContainerError: ", err)
	}
	return b, Exit{}
}

// finish ends a try whose program has ended by itself or was stopped.
func (p *processes) finish(pr *proc, at *agent.Attempt, code int) Exit {
	if code != 0 {
		return exited(code)
	}
	if !at.Task.Spec.NeedsAgent() {
		return exited(0)
	}
	if p.files.enter(pr.ctx) {
		defer p.files.leave()
	}
	switch _, err := at.Finish(pr.ctx); {
	case err == nil:
		return exited(0)
	case pr.stopped(): // as a command that is sent SIGTERM
		e := exited(128 + int(syscall.SIGTERM))
		e.Reason = "stopped while its outputs were looked at"
		return e
	default:
		return failedAround(err)
	}
}

// failedAround is the end of a try whose command has succeeded and whose outputs are
// not in order.
func failedAround(err error) Exit {
	code := agent.ExitStageOut
	var own *agent.Error
	if errors.As(err, &own) {
		code = own.ExitCode()
	}
	e := exited(code)
	e.Reason = shorten(err.Error())
	return e
}

func exited(code int) Exit { return Exit{ExitCode: &code, StatusReason: engine.ReasonExited} }

func startFailed(class string, err error) Exit {
	return Exit{StatusReason: engine.ReasonStartFailed, Reason: shorten(class + err.Error())}
}

// maxReason is how long a reason may be, in bytes.
const maxReason = 1000

func shorten(s string) string {
	if len(s) > maxReason {
		return strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return s
}

// exitCode returns the code of a process that has ended, as a shell would: 128 and the
// number of the signal if it was ended by one.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

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
	search, _ := lookEnv(b.env, "PATH")
	path, err := p.finder.find(b.argv[0], search)
	if err != nil {
		return 0, err
	}
	log, err := openLog(b.at.Log)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(log)
	attr := &syscall.ProcAttr{
		Dir: b.at.Dir, Env: b.env, Sys: sysProcAttr,
		Files: []uintptr{p.null.Fd(), uintptr(log), uintptr(log)},
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
	name := b.argv[0]
	var why string
	var file *fs.PathError
	switch {
	case err == nil || errors.Is(err, errStopped) || errors.Is(err, errNotInPath):
		return err
	case errors.As(err, &file):
		return errors.New(agent.Explain(err))
	case errors.Is(err, syscall.ENOENT):
		why = "no such file, or the interpreter that its first line names does not exist"
		if !strings.Contains(name, "/") {
			why = "the interpreter that its first line names does not exist"
		}
	case errors.Is(err, syscall.EACCES):
		why = "permission denied: it is not executable"
	case errors.Is(err, syscall.ENOEXEC):
		why = "exec format error: it is no program for this machine; a script begins with #! and its interpreter"
	case errors.Is(err, syscall.EINVAL):
		why = "the command, a variable or a value has a NUL byte in it"
	case errors.Is(err, syscall.E2BIG):
		return tooLong(b)
	case errors.Is(err, syscall.EAGAIN):
		why = "no more processes may be started (ulimit -u)"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		why = "too many open files (ulimit -n)"
	case errors.Is(err, syscall.ENOMEM):
		why = "there is no memory to start a process"
	default:
		why = err.Error()
	}
	return fmt.Errorf("exec: %q: %s", name, why)
}

// tooLong says what is too long about a command.
func tooLong(b *beginning) error {
	name, size := longest(b.env)
	if size >= maxArg {
		return fmt.Errorf("exec: %q: the value of %s has %d bytes, and Linux takes %d in one: put it into a file", b.argv[0], name, size-len(name)-1, maxArg)
	}
	for _, arg := range b.argv {
		if len(arg) >= maxArg {
			return fmt.Errorf("exec: %q: an argument has %d bytes, and Linux takes %d in one: put it into a file", b.argv[0], len(arg), maxArg)
		}
	}
	return fmt.Errorf("exec: %q: the command has %d bytes and its environment %d, more than the kernel takes: put the long ones into files",
		b.argv[0], environSize(b.argv), environSize(b.env))
}
