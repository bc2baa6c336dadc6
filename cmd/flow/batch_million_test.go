package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A million tasks, as one step and as a hundred of 10,000, are 100 arrays: flow submits,
// follows and ends them in bounded memory and with a small state file, and is quick to
// tell of them and to take them up again.
func TestBatchMillion(t *testing.T) {
	t.Parallel()
	if testing.Short() || raceEnabled {
		t.Skip("two million tasks; the race detector has memory of its own")
	}
	hundred := "workflow \"hundred\" {}\n"
	for i := range 100 {
		hundred += fmt.Sprintf("step \"s%d\" {\n  for_each = range(10000)\n  command  = [\"true\"]\n}\n", i)
	}
	flow := buildBinary(t)
	for name, text := range map[string]string{
		"one step":      "workflow \"one\" {}\nstep \"a\" {\n  for_each = range(1000000)\n  command  = [\"true\"]\n}\n",
		"hundred steps": hundred,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, "--runner", "instant", "--keep-jobs", "0")
			c.write("w.hcl", text)
			m := &measured{t, flow, c.dir}
			peak, took := m.run(append([]string{"run", "w.hcl", "-no-cache", "-q"}, c.flags...)...)
			calls := c.calls()
			if calls["SubmitJob"] != 100 {
				t.Errorf("%d SubmitJob calls, want 100", calls["SubmitJob"])
			}
			if peak > 200 {
				t.Errorf("peak memory is %d MB, want less than 200", peak)
			}
			size := sizeOf(t, filepath.Join(c.dir, stateDir, "flow.db*"))
			if size > 100<<20 {
				t.Errorf("the state file has %d MB, want less than 100", size>>20)
			}
			status, statusTook := m.run("status")
			resume, resumeTook := m.run("resume", "@last")
			t.Logf("run: %v, peak %d MB, state %.1f MB, %d calls; status: %v, %d MB; resume: %v, %d MB",
				took.Round(time.Second/10), peak, float64(size)/(1<<20), sum(calls), statusTook.Round(time.Millisecond), status, resumeTook.Round(time.Millisecond), resume)
			c.wantTasks(map[string]int{"SUCCEEDED": 1_000_000})
		})
	}
}

type measured struct {
	t    *testing.T
	flow string
	dir  string
}

// run runs a command that must succeed, and returns its peak of memory in MB, and its time.
func (m *measured) run(args ...string) (megabytes int, took time.Duration) {
	m.t.Helper()
	cmd := exec.Command(m.flow, args...)
	cmd.Dir = m.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("flow %s: %v\n%s", strings.Join(args, " "), err, &out)
	}
	return int(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10), time.Since(begun)
}

func sum(calls map[string]int) (n int) {
	for _, c := range calls {
		n += c
	}
	return n
}

func sizeOf(t *testing.T, pattern string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
