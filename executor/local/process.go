package local

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
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
	// Store returns the store of objects; see agent.Files. nil: files are on this machine.
	Store func(context.Context) (store.Store, error)
	// TaskScratch is where the directories of attempts are made of tasks whose files are on
	// S3; see [ScratchDir]. It must be absolute.
	TaskScratch string
	// TaskEnv are variables, NAME=value, that every container of a Task has beside its own,
	// which win: as the role of an instance would give it credentials.
	TaskEnv []string
	// Logs keeps what the containers of Tasks write; nil: nobody does.
	Logs LogStore
	// Path is a directory in which programs are looked for last, after those of flow's own
	// PATH; "": none. Containers see none of it.
	Path string
	// Scratch is the directory in which those of Tasks and their volumes are made. It must
	// be absolute and exist, and be used by nobody else: what an earlier process has left
	// there is removed. "": one of its own in os.TempDir.
	Scratch string
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
	where  string   // see RunnerOptions.TaskScratch
	null   *os.File
	finder finder
	files  descriptors
	tasks

	mu   sync.Mutex
	live map[engine.JobID]stopper
}

// A stopper is a try that is under way: a proc or a crew.
type stopper interface{ stop(grace time.Duration) }

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
		agent:  agent.Agent{Files: agent.Files{Memo: o.Memo, Store: o.Store}},
		secret: o.Secret,
		base:   baseEnviron(ownEnviron(), o.Path),
		where:  o.TaskScratch,
		null:   null,
		files:  newDescriptors(),
		tasks:  newTasks(&o),
		live:   map[engine.JobID]stopper{},
	}, nil
}

// Close frees what the processes share.
func (p *processes) Close() {
	p.null.Close()
	p.scratch.close()
}

// Run runs a try as a process, or a Task as one for each of its containers.
func (p *processes) Run(t *Try, started func()) Exit {
	if t.Task != nil {
		return p.runTask(t, p, started)
	}
	pr := newProc()
	p.enter(t.Job, pr)
	defer p.leave(t.Job)
	defer pr.cancel()
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
	b.at.Usage = pr.used
	exit = p.finish(pr, b.at, exitCode(ws))
	exit.Used = pr.used.Used()
	return exit
}

// Finished reports whether the result of a try is complete though nobody has said so.
// Nobody can tell that of a Task.
func (p *processes) Finished(t *Try) (Exit, bool) {
	if t.Task != nil {
		return Exit{}, false
	}
	m, err := p.agent.Recover(context.Background(), p.taskOf(t))
	if err != nil {
		return Exit{}, false
	}
	exit := exited(0)
	exit.Used = m.Used()
	return exit, true
}

// taskOf returns what the agent is to know of a try.
func (p *processes) taskOf(t *Try) *agent.Task {
	task := &agent.Task{
		Run: t.Spec.Run, Step: t.Spec.Step, Key: t.Spec.Key(t.Index), Attempt: t.Attempt, Job: t.Job,
		Spec: t.Spec.Task.With(t.Spec.Item(t.Index)), Dir: t.Spec.TaskDir(t.Index),
	}
	if t.Spec.Task.NeedsAgent() { // who else keeps a result
		task.CacheKey = t.Spec.CacheKey(t.Index)
	}
	if store.Is(task.Dir) {
		task.Scratch = ScratchDir(p.where, t.Spec, t.Index)
	}
	return task
}

// A beginning is a program that is about to be started, for a job of flow or as a
// container of a Task.
type beginning struct {
	try  *Try
	argv []string
	env  []string // without what is inherited
	dir  string   // where it starts
	log  *os.File // its stdout and stderr; nil: a new file at logPath

	logPath string
	user    *credential    // nil: who we are
	view    *view          // nil: it sees the machine as it is
	task    *agent.Task    // of a job of flow
	at      *agent.Attempt // of a job of flow
}

// begin stages a try in. nil: it cannot be started, for the reason in the Exit.
func (p *processes) begin(pr *proc, t *Try) (*beginning, Exit) {
	if !p.files.enter(pr.ctx) {
		return nil, startFailed("", errStopped)
	}
	defer p.files.leave()
	b := &beginning{try: t, task: p.taskOf(t)}
	var err error
	if b.at, err = p.agent.Begin(pr.ctx, b.task); err != nil {
		return nil, startFailed("", err)
	}
	b.dir, b.logPath = b.at.Dir, b.at.Log
	if b.env, err = p.environ(t, b.task, b.at); err != nil {
		return nil, startFailed("ResourceInitializationError: ", err)
	}
	if b.argv, err = agent.CommandLine(b.task.Spec, b.at.Dir+agent.ScriptSuffix); err != nil {
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
		tidy(at)
		return exited(0)
	}
	if p.files.enter(pr.ctx) {
		defer p.files.leave()
	}
	switch _, err := at.Finish(pr.ctx); {
	case err == nil:
		tidy(at)
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
