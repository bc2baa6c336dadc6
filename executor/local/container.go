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
	b, exit := c.begin(pr, t)
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
	defer func() {
		c.remove(name)
		_ = os.RemoveAll(b.monitorDir()) // only podman makes it
	}()
	if err := c.launch(pr, b, name, log); err != nil {
		return c.notStarted(name, err)
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	ctx, ended := context.WithCancel(context.Background())
	defer ended()
	c.arm(ctx, &calls, pr, name)
	started()
	code, err := c.await(name, log)
	pr.disarm()
	if err != nil {
		return Exit{StatusReason: engine.ReasonExited, Reason: shorten("ContainerVanishedError: " + err.Error())}
	}
	if code != 0 && c.outOfMemory(b, name) {
		exit := exited(code)
		exit.Reason = engine.ReasonOutOfMemory
		return exit
	}
	return c.finish(pr, b.at, code)
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
	cmd.Dir = b.monitorDir()
	if err := os.MkdirAll(cmd.Dir, 0o777); err != nil {
		return err
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
	if !c.passesThrough() {
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
	if !c.passesThrough() {
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
		if _, err := c.call(ctx, c.rmArgs(ids...)...); err != nil {
			return fmt.Errorf("cannot remove containers of an earlier flow run: %w", err)
		}
	}
	return c.processes.Leftovers(tries, grace)
}

// outOfMemory reports whether a program that failed has run out of memory, it or one
// that it had started. docker knows. podman does with cgroup v2 only, but its monitor
// leaves a mark in the directory where it was started.
func (c *containers) outOfMemory(b *beginning, name string) bool {
	if _, err := os.Lstat(b.monitorDir() + "/oom"); err == nil {
		return true
	}
	known, err := c.inspect(name)
	return err == nil && known
}

// monitorDir is where podman's monitor of the container is started. It is removed with
// the container.
func (b *beginning) monitorDir() string { return b.at.Dir + ".podman" }
