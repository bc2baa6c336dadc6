package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
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
		if line != "" && !strings.HasPrefix(line, "Run '") && !strings.HasPrefix(line, "See '") && !strings.HasPrefix(line, "WARNING: ") {
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

// Run runs a try in a container, or as a process if its task names no image.
func (c *containers) Run(t *Try, started func()) Exit {
	image := t.Spec.Task.Image
	if image == "" {
		return c.processes.Run(t, started)
	}
	pr := c.enter(t.Job)
	defer c.leave(t.Job, pr)
	if err := c.ensureImage(pr.ctx, image, t.Spec.Task.Container); err != nil {
		if pr.stopped() {
			return startFailed("", errStopped)
		}
		return startFailed("CannotPullContainerError: ", err)
	}
	b, exit := c.begin(t)
	if b == nil {
		return exit
	}
	log, err := openLog(b.at.Log)
	if err != nil {
		return startFailed("CannotCreateContainerError: ", errors.New(agent.Explain(err)))
	}
	file := os.NewFile(uintptr(log), b.at.Log)
	defer file.Close()
	return c.contain(pr, b, file, started)
}

// contain runs the container of a try from its creation to its removal.
func (c *containers) contain(pr *proc, b *beginning, log *os.File, started func()) Exit {
	name := containerName(b.try)
	defer c.remove(name)
	if err := c.launch(pr, b, name, log); err != nil {
		return c.notStarted(pr, name, err)
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	ctx, ended := context.WithCancel(context.Background())
	defer ended()
	c.arm(ctx, &calls, pr, name)
	started()
	st, err := c.await(name, log)
	pr.disarm()
	if err != nil {
		return Exit{StatusReason: engine.ReasonExited, Reason: shorten("ContainerVanishedError: " + err.Error())}
	}
	exit := c.finish(pr, b.at, st.ExitCode)
	if exit.ExitCode != nil && *exit.ExitCode != 0 && c.outOfMemory(pr, b, st) {
		exit.Reason = engine.ReasonOutOfMemory
	}
	return exit
}

// launch creates and starts the container. podman hands its own stdout and stderr, the
// log, on to the program; docker keeps the program's output by itself, see await.
func (c *containers) launch(pr *proc, b *beginning, name string, log *os.File) error {
	args, err := c.runArgs(b, name)
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
	args = append(append(args, b.task.Spec.Image), b.argv...)
	if pr.stopped() {
		return errStopped
	}
	// Not bound to pr.ctx: a half-created container would be left without a name.
	cmd := c.command(context.Background(), env, args...)
	cmd.ExtraFiles = extra
	if !c.passesThrough() {
		_, err := cmd.Output()
		return engineFailure(err, nil)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		said := make([]byte, 16<<10) // the program did not run: it is podman that spoke
		n, _ := pread(log.Name(), said)
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
func (c *containers) notStarted(pr *proc, name string, err error) Exit {
	if errors.Is(err, errStopped) {
		return startFailed("", err)
	}
	var own *engineError
	if !errors.As(err, &own) {
		return startFailed("CannotCreateContainerError: ", err)
	}
	if _, ierr := c.inspect(pr.ctx, name); ierr == nil {
		return startFailed("CannotStartContainerError: ", err)
	}
	return startFailed("CannotCreateContainerError: ", err)
}

// containerState is what `inspect` says of a container.
type containerState struct {
	ID        string `json:"-"`
	Status    string
	Running   bool
	ExitCode  int
	OOMKilled bool
}

func (c *containers) inspect(ctx context.Context, name string) (st containerState, err error) {
	out, err := c.call(ctx, "container", "inspect", "--format", "{{.Id}} {{json .State}}", name)
	if err != nil {
		return st, err
	}
	id, state, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err := json.Unmarshal([]byte(state), &st); err != nil {
		return st, fmt.Errorf("inspect %s: %w", name, err)
	}
	st.ID = id
	return st, nil
}

// await returns when a container has ended, with its log written.
func (c *containers) await(name string, log *os.File) (containerState, error) {
	ctx := context.Background()
	if !c.passesThrough() {
		cmd := c.command(ctx, nil, "logs", "--follow", name)
		cmd.SysProcAttr = sysProcAttr
		cmd.Stdout, cmd.Stderr = log, log
		_ = cmd.Run() // whatever it says, the state decides
	}
	for {
		cmd := c.command(ctx, nil, "wait", name)
		cmd.SysProcAttr = sysProcAttr
		if _, err := cmd.Output(); err != nil {
			return containerState{}, engineFailure(err, nil)
		}
		st, err := c.inspect(ctx, name)
		if err != nil || !st.Running {
			return st, err
		}
	}
}

// remove removes a container and its volumes, running or not.
func (c *containers) remove(name string) {
	_, _ = c.call(context.Background(), "rm", "--force", "--volumes", name) // it may never have been made
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

// Leftovers removes the containers of tries whose flow was killed, and what it had
// started as processes.
func (c *containers) Leftovers(tries []*Try, grace time.Duration) error {
	if len(tries) == 0 {
		return nil
	}
	ctx := context.Background()
	seen := map[engine.RunID]bool{}
	for _, t := range tries {
		if t.Spec.Task.Image == "" || seen[t.Spec.Run] {
			continue
		}
		seen[t.Spec.Run] = true
		out, err := c.call(ctx, "ps", "--all", "--quiet", "--filter", "label="+labelRun+"="+string(t.Spec.Run))
		if err != nil {
			return fmt.Errorf("cannot look for containers of an earlier flow run: %w", err)
		}
		ids := strings.Fields(string(out))
		if len(ids) == 0 {
			continue
		}
		if grace > 0 {
			seconds := strconv.Itoa(int(math.Ceil(grace.Seconds())))
			_, _ = c.call(ctx, append([]string{"stop", "-t", seconds}, ids...)...) // rm ends what this does not
		}
		if _, err := c.call(ctx, append([]string{"rm", "--force", "--volumes"}, ids...)...); err != nil {
			return fmt.Errorf("cannot remove containers of an earlier flow run: %w", err)
		}
	}
	return c.processes.Leftovers(tries, grace)
}

// outOfMemory reports whether a program failed for want of memory. docker says so. podman
// does not always (OOMKilled stays false without cgroup v2), so a SIGKILL that nobody here
// has sent is looked up in the kernel's log; where that may not be read, it is taken for it.
func (c *containers) outOfMemory(pr *proc, b *beginning, st containerState) bool {
	if st.OOMKilled {
		return true
	}
	if !c.isPodman() || st.ExitCode != 137 || pr.stopped() || b.try.Resources.MemoryMiB == 0 {
		return false
	}
	killed, known := kernelKilled(st.ID)
	return killed || !known
}
