package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"flow/engine"
	"flow/executor/agent"
)

// containers is the Runner that runs tasks with an image in containers, by the command
// of docker or podman, and all others as processes.
//
// A container is started detached, so that an error of the engine and one of the
// program are never mixed up: if `run -d` fails, the program did not run; when it has
// returned, the program runs, and its exit code is what `inspect` says at the end.
type containers struct {
	*processes
	cli string // path of the command

	kind   sync.Once
	podman bool // what cli is

	mu     sync.Mutex
	images map[string]*imageState
}

var (
	_ Runner    = (*containers)(nil)
	_ Recoverer = (*containers)(nil)
)

// Labels of containers.
const (
	labelRun  = "flow.run"
	labelStep = "flow.step"
	labelJob  = "flow.job"
	labelTask = "flow.task" // the id of a Task
)

func newContainers(name string, p *processes) (*containers, error) {
	cli, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("containers were asked for, but %s is not installed: %w", name, err)
	}
	return &containers{processes: p, cli: cli, images: map[string]*imageState{}}, nil
}

// isPodman reports whether the command is podman, under whatever name.
func (c *containers) isPodman() bool {
	c.kind.Do(func() {
		out, _ := c.command(context.Background(), nil, "--version").Output()
		c.podman = bytes.Contains(bytes.ToLower(out), []byte("podman"))
	})
	return c.podman
}

// command is a call of the engine's command, in a process group of its own, so that
// Ctrl-C at the terminal does not reach it. extra is added to flow's own environment.
func (c *containers) command(ctx context.Context, extra []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.cli, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if extra != nil {
		cmd.Env = append(ownEnviron(), extra...)
	}
	return cmd
}

// An engineError is what the command of the engine said when it failed.
type engineError struct {
	text string
	code int
}

func (e *engineError) Error() string { return e.text }

// call runs the engine's command and returns its stdout.
func (c *containers) call(ctx context.Context, args ...string) ([]byte, error) {
	out, err := c.command(ctx, nil, args...).Output()
	return out, engineFailure(err, nil)
}

// noise are beginnings of lines that docker and podman put around an error.
var noise = []string{"Run '", "See '", "Usage:", "WARNING: ", "time=\""}

// engineFailure turns the failure of a command into what it said last, on stderr or in said.
func engineFailure(err error, said []byte) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if said == nil {
		said = exit.Stderr
	}
	text := ""
	for line := range strings.Lines(string(said)) {
		line = strings.TrimSpace(line)
		isNoise := func(prefix string) bool { return strings.HasPrefix(line, prefix) }
		if line != "" && !slices.ContainsFunc(noise, isNoise) {
			text = line
		}
	}
	for _, prefix := range []string{"docker: ", "Error: ", "Error response from daemon: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if text == "" {
		text = err.Error()
	}
	return &engineError{text, exit.ExitCode()}
}

// A contained is a program that is to be started in a container.
type contained struct {
	*beginning
	name    string
	image   string
	labels  []string // name=value
	workDir string   // "": the image's
	props   *engine.Container
	res     engine.Resources
	mounts  []string // arguments of run
	monitor string   // a directory for podman's monitor of the container to be started in
}

// Run runs a try in a container, or as a process if its task names no image.
func (c *containers) Run(t *Try, started func()) Exit {
	switch {
	case t.Task != nil:
		return c.runTask(t, c, started)
	case t.Spec.Task.Image == "":
		return c.processes.Run(t, started)
	}
	pr := newProc()
	c.enter(t.Job, pr)
	defer c.leave(t.Job)
	defer pr.cancel()
	if exit, ok := c.haveImage(pr, t.Spec.Task.Image, t.Spec.Task.Container); !ok {
		return exit
	}
	b, exit := c.begin(pr, t)
	if b == nil {
		return exit
	}
	log, err := openLog(b.logPath)
	if err != nil {
		return startFailed("CannotCreateContainerError: ", errors.New(agent.Explain(err)))
	}
	b.log = os.NewFile(uintptr(log), b.logPath)
	defer b.log.Close()
	in, err := containedJob(b)
	if err != nil {
		return startFailed("CannotCreateContainerError: ", err)
	}
	defer os.RemoveAll(in.monitor) // only podman makes it
	if exit := c.contain(pr, in, started); exit.ExitCode == nil || *exit.ExitCode != 0 {
		return exit
	}
	return c.finish(pr, b.at, 0)
}

// containedJob puts the task of a job of flow into a container.
func containedJob(b *beginning) (*contained, error) {
	spec := b.task.Spec
	mounts, err := mountArgs(b)
	if err != nil {
		return nil, err
	}
	return &contained{
		beginning: b, name: containerName(b.try), image: spec.Image, workDir: b.dir, props: spec.Container,
		res: b.try.Resources, mounts: mounts, monitor: b.dir + ".podman",
		labels: []string{
			labelRun + "=" + string(b.try.Spec.Run),
			labelStep + "=" + string(b.try.Spec.Step),
			labelJob + "=" + string(b.try.Job),
		},
	}, nil
}

// haveImage sees to it that an image is on this machine. If it cannot be, the Exit says
// why.
func (c *containers) haveImage(pr *proc, image string, p *engine.Container) (Exit, bool) {
	err := c.ensureImage(pr.ctx, image, p)
	switch {
	case err == nil:
		return Exit{}, true
	case pr.stopped():
		return startFailed("", errStopped), false
	default:
		return startFailed("CannotPullContainerError: ", err), false
	}
}

// contain runs a container from its creation to its removal.
func (c *containers) contain(pr *proc, b *contained, started func()) Exit {
	defer c.remove(b.name)
	if err := c.launch(pr, b); err != nil {
		return c.notStarted(b.name, err)
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	ctx, ended := context.WithCancel(context.Background())
	defer ended()
	c.arm(ctx, &calls, pr, b.name)
	started()
	code, err := c.await(b.name, b.log)
	pr.disarm()
	if err != nil {
		return Exit{StatusReason: engine.ReasonExited, Reason: shorten("ContainerVanishedError: " + err.Error())}
	}
	exit := exited(code)
	if code != 0 && c.outOfMemory(b, code == 128+int(syscall.SIGKILL) && !pr.stopped()) {
		exit.Reason = engine.ReasonOutOfMemory
	}
	return exit
}

// launch creates and starts the container. podman hands its own stdout and stderr, the
// log, on to the program; docker keeps the program's output by itself, see await.
func (c *containers) launch(pr *proc, b *contained) error {
	args, err := c.runArgs(b)
	if err != nil {
		return err
	}
	env, file, names := splitEnviron(b.env)
	for _, n := range names {
		args = append(args, "--env", n)
	}
	var extra []*os.File
	if len(file) > 0 {
		r, err := pipeWith(file)
		if err != nil {
			return err
		}
		defer r.Close()
		extra = []*os.File{r}
		args = append(args, "--env-file", "/dev/fd/3")
	}
	args = append(append(args, b.image), b.argv...)
	if pr.stopped() {
		return errStopped
	}
	// Not bound to pr.ctx: a half-created container would be left without a name.
	cmd := c.command(context.Background(), env, args...)
	cmd.ExtraFiles = extra
	if c.isPodman() {
		cmd.Dir = b.monitor
		if err := os.MkdirAll(cmd.Dir, 0o777); err != nil {
			return err
		}
	}
	if b.log == nil || !c.passesThrough() {
		_, err := cmd.Output()
		return engineFailure(err, nil)
	}
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if err := cmd.Run(); err != nil {
		said := make([]byte, 16<<10) // the program did not run: it is podman that spoke
		n, _ := pread(b.log.Name(), said)
		return engineFailure(err, said[:n])
	}
	return nil
}

// pread reads the beginning of a file.
func pread(path string, buf []byte) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.ReadFull(f, buf)
}

// passesThrough reports whether the program of a container gets the log itself as its
// stdout and stderr: podman can do that, unless its service runs elsewhere.
func (c *containers) passesThrough() bool {
	return c.isPodman() && runtime.GOOS == "linux" && os.Getenv("CONTAINER_HOST") == ""
}

// notStarted tells why a program did not run.
func (c *containers) notStarted(name string, err error) Exit {
	if errors.Is(err, errStopped) {
		return startFailed("", err)
	}
	var own *engineError
	if !errors.As(err, &own) {
		return startFailed("CannotCreateContainerError: ", err)
	}
	if _, ierr := c.inspect(name); ierr == nil {
		return startFailed("CannotStartContainerError: ", err)
	}
	return startFailed("CannotCreateContainerError: ", err)
}

// inspect returns whether the engine knows a container, and has seen it run out of memory.
func (c *containers) inspect(name string) (outOfMemory bool, err error) {
	out, err := c.call(context.Background(), "container", "inspect", "--format", "{{.State.OOMKilled}}", name)
	return strings.TrimSpace(string(out)) == "true", err
}

// await returns the exit code of a container when it has ended, with its log written.
func (c *containers) await(name string, log *os.File) (int, error) {
	ctx := context.Background()
	apart := log != nil && !c.passesThrough() // the log has to be fetched
	if apart {
		cmd := c.command(ctx, nil, "logs", "--follow", name)
		cmd.SysProcAttr = sysProcAttr
		cmd.Stdout, cmd.Stderr = log, log
		_ = cmd.Run() // whatever it says, its end decides nothing
	}
	args := []string{"wait", name}
	if c.isPodman() {
		args = []string{"wait", "--interval", "100ms", name}
	}
	cmd := c.command(ctx, nil, args...)
	cmd.SysProcAttr = sysProcAttr
	out, err := cmd.Output()
	if err != nil {
		return 0, engineFailure(err, nil)
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || code < 0 {
		return 0, fmt.Errorf("the exit code of %s is not known (%q)", name, out)
	}
	if apart {
		c.completeLog(name, log)
	}
	return code, nil
}

// completeLog writes what of a container's log is not in the file yet: docker before 23
// stops following, when a container ends, without having sent everything.
func (c *containers) completeLog(name string, log *os.File) {
	info, err := log.Stat()
	if err != nil {
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	cmd := c.command(context.Background(), nil, "logs", name)
	cmd.SysProcAttr = sysProcAttr
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, r, info.Size()); err == nil {
		_, err = io.Copy(log, r)
		if err != nil {
			_, _ = io.Copy(io.Discard, r) // the disk is full: let the command end
		}
	}
	_ = cmd.Wait()
}

// remove removes a container and its volumes, running or not.
func (c *containers) remove(name string) {
	_, _ = c.call(context.Background(), c.rmArgs(name)...) // it may never have been made
}

// rmArgs are the arguments that remove containers at once. podman would give them ten
// seconds first.
func (c *containers) rmArgs(names ...string) []string {
	args := []string{"rm", "--force", "--volumes"}
	if c.isPodman() {
		args = append(args, "--time", "0")
	}
	return append(args, names...)
}

// arm lets Stop end the container, at once if it has been called already.
func (c *containers) arm(ctx context.Context, calls *sync.WaitGroup, pr *proc, name string) {
	end := func(grace time.Duration) {
		calls.Go(func() {
			if grace > 0 {
				seconds := strconv.Itoa(int(math.Ceil(grace.Seconds())))
				_, _ = c.call(ctx, "stop", "-t", seconds, name)
			} else {
				_, _ = c.call(ctx, "kill", name)
			}
		})
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.end = end
	if !pr.deadline.IsZero() {
		end(max(0, time.Until(pr.deadline)))
	}
}

// disarm is called when there is nothing to stop any more.
func (pr *proc) disarm() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.end = func(time.Duration) {}
}

// oomWait is how long docker is waited for to notice that a program ran out of memory:
// it learns of the end of a container and of that in two ways.
const (
	oomWait  = time.Second
	oomPause = 100 * time.Millisecond
)

// outOfMemory reports whether a program that failed has run out of memory, it or one
// that it had started. docker knows, but perhaps only after a moment, which it is given
// if the program was killed and nobody knows by whom. podman does with cgroup v2 only,
// but its monitor leaves a mark in the directory where it was started.
func (c *containers) outOfMemory(b *contained, killed bool) bool {
	if _, err := os.Lstat(b.monitor + "/oom"); err == nil {
		return true
	}
	for waited := time.Duration(0); ; waited += oomPause {
		known, err := c.inspect(b.name)
		if known || err != nil || !killed || waited >= oomWait || c.isPodman() {
			return err == nil && known
		}
		time.Sleep(oomPause)
	}
}
