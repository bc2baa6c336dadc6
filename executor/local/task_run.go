package local

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"flow/executor/agent"
)

// tasks is what runs Tasks as processes or containers.
type tasks struct {
	logs    LogStore
	scratch *scratch
	env     []string // see RunnerOptions.TaskEnv
}

func newTasks(o *RunnerOptions) tasks {
	return tasks{logs: o.Logs, scratch: &scratch{dir: o.Scratch}, env: o.TaskEnv}
}

// A containerRunner runs the containers of Tasks, as processes or real ones.
type containerRunner interface {
	// runContainer runs a container to its end, as Runner.Run does with a try: it calls
	// started once the program runs, and returns when nothing of the container is left.
	runContainer(pr *proc, m *mission, c *Container, started func()) Exit

	// sweep ends what the containers of a task that were stopped have left running.
	sweep(t *Try)
}

// A mission is a try of a Task.
type mission struct {
	*Try
	dir   string // of all that is made for it
	alone bool   // it is one container with no volume: dir is its scratch directory
}

// runTask runs a try of a Task.
func (p *processes) runTask(t *Try, by containerRunner, started func()) Exit {
	if len(t.Task.Containers) == 0 {
		return startFailed("CannotCreateContainerError: ", errors.New("the task has no container"))
	}
	dir, err := p.scratch.take()
	if err != nil {
		return startFailed("CannotCreateContainerError: ", err)
	}
	defer p.scratch.give(dir)
	m := &mission{Try: t, dir: dir, alone: len(t.Task.Containers) == 1 && len(t.Task.Volumes) == 0}
	if err := m.makeDirs(); err != nil {
		return startFailed("CannotCreateContainerError: ", err)
	}
	if c := t.Task.Containers; len(c) > 1 || c[0].Name != DefaultContainer {
		return p.runTeam(m, by, started)
	}
	c := &t.Task.Containers[0]
	pr := newProc()
	pr.patience = c.StopTimeout
	p.enter(t.Job, pr)
	defer p.leave(t.Job)
	defer pr.cancel()
	exit := by.runContainer(pr, m, c, started)
	if pr.stopped() {
		by.sweep(t)
	}
	return exit
}

// makeDirs makes the directories of a task: one for each container to start in, and one
// for each volume that is nowhere yet.
func (m *mission) makeDirs() error {
	if m.alone {
		return nil
	}
	for i := range m.Task.Containers {
		if err := os.Mkdir(m.scratch(i), 0o755); err != nil {
			return err
		}
	}
	for i, v := range m.Task.Volumes {
		if err := m.makeVolume(i, v); err != nil {
			return err
		}
	}
	return nil
}

// makeVolume makes the directory of a volume. Whoever its containers run as may write to
// it. One of the host that is not there is made, as Docker does.
func (m *mission) makeVolume(i int, v TaskVolume) error {
	if v.HostPath != "" {
		return os.MkdirAll(v.HostPath, 0o755)
	}
	if err := os.Mkdir(m.volume(i), 0o777); err != nil {
		return err
	}
	return os.Chmod(m.volume(i), 0o777) // whatever the umask
}

// scratch returns the directory that container i starts in.
func (m *mission) scratch(i int) string {
	if m.alone {
		return m.dir
	}
	return filepath.Join(m.dir, "c"+strconv.Itoa(i))
}

// volume returns the directory of volume i.
func (m *mission) volume(i int) string {
	if host := m.Task.Volumes[i].HostPath; host != "" {
		return host
	}
	return filepath.Join(m.dir, "v"+strconv.Itoa(i))
}

// root returns where the root of what container i sees is made, if it sees anything of
// its own.
func (m *mission) root(i int) string { return filepath.Join(m.dir, "r"+strconv.Itoa(i)) }

// index returns which of its containers c is.
func (m *mission) index(c *Container) int {
	return slices.IndexFunc(m.Task.Containers, func(o Container) bool { return o.Name == c.Name })
}

// errNoCommand is what Docker says where neither image nor job names a command.
var errNoCommand = errors.New("Error response from daemon: No command specified")

// runContainer runs a container as a process.
func (p *processes) runContainer(pr *proc, m *mission, c *Container, started func()) Exit {
	b, exit := p.beginContainer(pr, m, c)
	if b == nil {
		return exit
	}
	defer p.closeStream(m, c, b.log)
	b.env = withBase(withBase(p.base, b.user.environ()), b.env)
	pid, err := p.start(pr, b)
	b.log.Close() // the program has it
	if err != nil {
		return startFailed("CannotStartContainerError: ", err)
	}
	started()
	return exited(exitCode(pr.wait(pid)))
}

// sweep ends the processes of a task that have left their group.
func (p *processes) sweep(t *Try) { endEscaped(t) }

// beginContainer prepares what a container needs to run as a process. nil: it cannot be
// started, for the reason in the Exit.
func (p *processes) beginContainer(pr *proc, m *mission, c *Container) (*beginning, Exit) {
	if len(c.Command) == 0 {
		return nil, startFailed("CannotStartContainerError: ", errNoCommand)
	}
	if !p.files.enter(pr.ctx) {
		return nil, startFailed("", errStopped)
	}
	defer p.files.leave()
	i := m.index(c)
	b := &beginning{try: m.Try, argv: c.Command, dir: m.scratch(i)}
	var err error
	if b.user, err = credentialOf(c.Props); err == nil && b.user != nil {
		err = os.Chown(b.dir, b.user.UID, b.user.GID)
	}
	if err != nil {
		return nil, startFailed("CannotStartContainerError: ", err)
	}
	if b.view, err = m.view(i); err != nil {
		return nil, startFailed("CannotCreateContainerError: ", err)
	}
	if b.view != nil {
		b.view.User = b.user
	}
	if b.env, err = p.containerEnviron(m, c); err != nil {
		return nil, startFailed(noSecret, err)
	}
	if b.log, err = p.openStream(m, c); err != nil {
		return nil, startFailed(noStream, err)
	}
	return b, Exit{}
}

// containerEnviron returns the environment of a container of a Task: what all have, what
// its definition says, its secrets, and Batch's own, of which the later ones win.
func (p *processes) containerEnviron(m *mission, c *Container) ([]string, error) {
	own := m.Environment()
	env := make([]string, 0, len(p.env)+len(c.Env)+len(c.Secrets)+len(own))
	env = append(append(env, p.env...), c.Env...)
	env, err := p.secrets(env, c.Secrets)
	if err != nil {
		return nil, err
	}
	return agent.Unique(append(env, own...)), nil
}

// noSecret is what ECS says when it cannot read a secret.
const noSecret = "ResourceInitializationError: unable to pull secrets or registry auth: "

// noStream is what Docker's awslogs driver says when it cannot write to a log stream.
const noStream = "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream: "

// openStream opens what a container writes to. Without a log group it is nothing.
func (k *tasks) openStream(m *mission, c *Container) (*os.File, error) {
	if k.logs == nil || c.LogGroup == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	return k.logs.Open(c.LogGroup, m.stream(c), c.LogCreateGroup)
}

// closeStream closes what openStream has opened, when its container has ended.
func (k *tasks) closeStream(m *mission, c *Container, f *os.File) {
	f.Close()
	if k.logs != nil && c.LogGroup != "" {
		k.logs.Ended(c.LogGroup, m.stream(c))
	}
}

// stream returns the name of the log stream of a container.
func (m *mission) stream(c *Container) string {
	if c.Name == DefaultContainer {
		return m.LogStream
	}
	return c.LogPrefix + "/" + c.Name + "/" + m.TaskID
}
