package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flow/engine"
)

func TestMain(m *testing.M) {
	RunSandboxed()
	if dir := os.Getenv(killDir); dir != "" {
		run := runToBeKilled
		if os.Getenv(killTasks) != "" {
			run = runTasksToBeKilled
		}
		if err := run(dir, func() { fmt.Println("ready") }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// An execRunner is the least Runner that runs a command: no staging, no clearing up.
type execRunner struct {
	mu    sync.Mutex
	procs map[engine.JobID]*os.Process
}

func newExecRunner() *execRunner { return &execRunner{procs: map[engine.JobID]*os.Process{}} }

func (r *execRunner) Run(t *Try, started func()) Exit {
	dir := t.Spec.TaskDir(t.Index)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Exit{Reason: err.Error(), StatusReason: engine.ReasonStartFailed}
	}
	log, err := os.Create(LogPath(dir, t.Attempt))
	if err != nil {
		return Exit{Reason: err.Error(), StatusReason: engine.ReasonStartFailed}
	}
	defer log.Close()
	task := t.Spec.Task.With(t.Spec.Item(t.Index))
	argv := task.Command
	if argv == nil {
		argv = append(append([]string{}, task.Shell...), task.Script)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, t.Environment()...)
	for k, v := range task.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if err := cmd.Start(); err != nil {
		return Exit{Reason: "CannotStartContainerError: " + err.Error(), StatusReason: engine.ReasonStartFailed}
	}
	r.mu.Lock()
	r.procs[t.Job] = cmd.Process
	r.mu.Unlock()
	started()
	err = cmd.Wait()
	r.mu.Lock()
	delete(r.procs, t.Job)
	r.mu.Unlock()
	code := cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return Exit{Reason: err.Error(), StatusReason: engine.ReasonStartFailed}
	}
	return Exit{ExitCode: &code, StatusReason: engine.ReasonExited}
}

func (r *execRunner) Stop(id engine.JobID, grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.procs[id]; p != nil {
		signal := syscall.SIGTERM
		if grace <= 0 {
			signal = syscall.SIGKILL
		}
		_ = syscall.Kill(-p.Pid, signal) // gone already is as good
	}
}

func (r *execRunner) Close() {}

// openTest opens an executor that is closed with the test.
func openTest(t testing.TB, o Options) *Executor {
	t.Helper()
	x, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, x) })
	return x
}

func closeTest(t testing.TB, x *Executor) {
	t.Helper()
	if err := x.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func journalPath(t testing.TB) string { return filepath.Join(t.TempDir(), "journal") }
