package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// driverLog is where a process in the background that drives the session's run writes.
func (s *session) driverLog() string { return driverLogPath(s.home, s.id) }

// driverLogPath is where it is for a run, beside the state.
func driverLogPath(home string, id engine.RunID) string {
	return filepath.Join(home, "driver", string(id)+".log")
}

// background starts a process that drives the session's run on, and outlives this one. It
// returns when that process is the driver; nil: the run has ended meanwhile. The lease must
// have been given back.
func (s *session) background(ctx context.Context, f *runFlags) (*state.Owner, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path := s.driverLog()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"--state", s.db.Path(), "resume", "--background"}
	args = append(append(args, f.again()...), s.varsAgain(f)...)
	cmd := exec.Command(exe, append(args, "--", string(s.id))...)
	cmd.Args[0] = "flow" // whatever the file is called
	cmd.Env = s.driverEnv()
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: neither Ctrl-C nor a closed terminal reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process in the background: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return s.untilDriven(ctx, cmd.Process.Pid, ended)
}

// driverEvery is how often to look whether a process that was started drives the run.
const driverEvery = 20 * time.Millisecond

// untilDriven waits until process pid holds the lease, or the run has ended. ended tells
// that the process has.
func (s *session) untilDriven(ctx context.Context, pid int, ended <-chan error) (*state.Owner, error) {
	tick := time.NewTicker(driverEvery)
	defer tick.Stop()
	for {
		gone := false
		var failed error
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case failed = <-ended:
			gone = true
		case <-tick.C:
		}
		row, err := s.db.Run(ctx, s.id)
		if err != nil {
			return nil, err
		}
		held, err := s.db.Holder(ctx, s.id)
		switch {
		case err != nil:
			return nil, err
		case !row.Ended.IsZero():
			return nil, nil
		case held != nil && held.Owner.PID == pid:
			return &held.Owner, nil
		case gone:
			return nil, fmt.Errorf("the process in the background has ended at once: %w. %s says why:\n%s", failed, s.driverLog(),
				strings.Join(lastLines(s.driverLog(), logTail), "\n"))
		}
	}
}

// again writes flags once more that are not kept with a run.
func (f *runFlags) again() (args []string) {
	add := func(flag, value string) {
		if value != "" {
			args = append(args, "--"+flag+"="+value)
		}
	}
	number := func(flag string, n float64) {
		if n > 0 {
			add(flag, fmt.Sprint(n))
		}
	}
	b, m := &f.batch, &f.machine
	add("site", f.site)
	add("queue", b.Queue)
	add("image", b.Image)
	add("region", b.Region)
	add("profile", b.Profile)
	add("endpoint", b.Endpoint)
	add("agent-image", b.AgentImage)
	for flag, d := range map[string]time.Duration{"poll": b.Poll, "doubt": b.Doubt} {
		if d > 0 {
			add(flag, d.String())
		}
	}
	add("containers", m.Containers)
	number("vcpus", m.VCPUs)
	number("memory", float64(m.MemoryMiB))
	number("gpus", float64(m.GPUs))
	return args
}

// varsAgain writes what was said of variables once more; what is sensitive is left to
// driverEnv, since everybody on the machine can read arguments.
func (s *session) varsAgain(f *runFlags) (args []string) {
	if !s.takenUp {
		return nil // they are kept with it
	}
	for _, arg := range f.vars {
		name, _, _ := strings.Cut(arg.Set, "=")
		switch {
		case arg.File != "":
			args = append(args, "--var-file="+arg.File)
		case !s.program.Sensitive(strings.TrimSpace(name)):
			args = append(args, "--var="+arg.Set)
		}
	}
	return args
}

// driverEnv is the environment of a process in the background: ours, with the values of
// sensitive variables, which are kept nowhere else, and which nobody else can read there.
func (s *session) driverEnv() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, dsl.EnvPrefix) {
			env = append(env, kv)
		}
	}
	if t, ok := s.template.(*dsl.Template); ok {
		env = append(env, t.SensitiveEnv()...)
	}
	return env
}
