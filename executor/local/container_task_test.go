package local

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local/model"
)

// imaged gives the containers of a Task the test image.
func imaged(task *Task) *Task {
	for i := range task.Containers {
		if c := &task.Containers[i]; c.Image == "" {
			c.Image = testImage
		}
	}
	return task
}

func assertNoTaskContainers(t *testing.T, engineName string) {
	t.Helper()
	out, err := exec.Command(engineName, "ps", "-aq", "--filter", "label="+labelTask).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("containers are left: %s %v", out, err)
	}
}

// testContainerTasks runs Tasks in containers.
func testContainerTasks(t *testing.T, name string) {
	logs := newTestLogs(t)
	scratch := t.TempDir()
	r := newTestRunner(t, RunnerOptions{Containers: name, Logs: logs, Scratch: scratch, Secret: func(string) (string, error) { return "s3cr3t", nil }})
	started := func(on string, c Container) Container {
		c.DependsOn = []ContainerDependency{{Container: on, Condition: ContainerStarted}}
		return c
	}
	host := t.TempDir()
	change := func(task *Task, f func(c *Container)) *Task {
		f(&task.Containers[0])
		return task
	}
	read := mounted("main", "h", "/data", "cat /data/given; if touch /data/x 2>/dev/null; then exit 9; fi")
	read.Mounts[0].ReadOnly = true
	if err := os.WriteFile(host+"/given", []byte("given\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	oom := code(137)
	oom.Reason = engine.ReasonOutOfMemory
	failed := func(reason string) Exit { return Exit{StatusReason: engine.ReasonStartFailed, Reason: reason} }
	tests := []struct {
		name string
		task *Task
		want Exit // the reason: how it begins
		log  string
	}{
		{"environment", change(sh(`echo "$A $TOKEN $AWS_BATCH_JOB_ATTEMPT" >&2`), func(c *Container) {
			c.Env, c.Secrets = []string{"A=a  b"}, map[string]string{"TOKEN": "x"}
		}), code(0), "a  b s3cr3t 1\n"},
		{"failure", sh("exit 3"), code(3), ""},
		{"out of memory", change(sh(""), func(c *Container) {
			c.Command = []string{"awk", `BEGIN { s = "xxxxxxxxxxxxxxxx"; while (1) s = s s }`}
		}), oom, ""},
		{"properties", change(sh("id -u; ulimit -n; if touch /bin/x 2>/dev/null; then exit 8; fi"), func(c *Container) {
			c.Props = &engine.Container{User: "1000", ReadOnly: true, Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}, {Name: "nproc", Soft: 4096, Hard: 4096}}}
		}), code(0), "1000\n100\n"},
		{"no image", change(sh("true"), func(c *Container) { c.Image = "localhost:1/nosuch:1" }), failed("CannotPullContainerError: "), ""},
		{"no program", change(sh("true"), func(c *Container) { c.Command = []string{"nosuchprogram"} }), failed("CannotStartContainerError: "), ""},
		{"no command", change(sh("true"), func(c *Container) { c.Command = nil }), failed("CannotCreateContainerError: "), ""},
		{"no group", change(sh("true"), func(c *Container) { c.LogGroup = "none" }), failed(noStream), ""},
		{"no log", change(sh("echo x"), func(c *Container) { c.LogGroup = "" }), code(0), ""},
		{"no log and no program", change(sh("true"), func(c *Container) { c.LogGroup, c.Command = "", []string{"nosuchprogram"} }), failed("CannotStartContainerError: "), ""},
		{"a volume", teamOf([]TaskVolume{{Name: "v"}},
			mounted("init", "v", "/shared/deep", `mkdir /shared/deep/bin; printf '#!/bin/sh\necho "ran $*"\n' > /shared/deep/bin/program; busybox chmod +x /shared/deep/bin/program`),
			Container{Name: "main", Essential: true, Command: []string{"/flow-agent/bin/program", "an argument"}, Mounts: []Mount{{Volume: "v", Path: "/flow-agent", ReadOnly: true}},
				DependsOn: []ContainerDependency{{Container: "init", Condition: ContainerSucceeded}}}), code(0), "ran an argument\n"},
		{"a directory of the host", teamOf([]TaskVolume{{Name: "h", HostPath: host}}, read), code(0), "given\n"},
		{"no volume", teamOf(nil, read), failed("CannotCreateContainerError: unknown "), ""},
		{"a helper", teamOf(nil,
			Container{Name: "helper", StopTimeout: time.Second, Command: script("trap 'exit 9' TERM; while :; do sleep 0.05; done")},
			started("helper", Container{Name: "main", Essential: true, Command: script("exit 6")})), code(6), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try := taskTry(t, imaged(tt.task))
			exit, _ := run(r, try)
			exit.Containers = nil
			if tt.want.ExitCode == nil {
				if !strings.HasPrefix(exit.Reason, tt.want.Reason) || len(exit.Reason) < len(tt.want.Reason)+5 {
					t.Errorf("reason %q, want %s...", exit.Reason, tt.want.Reason)
				}
				t.Log(exit.Reason)
				exit.Reason, tt.want.Reason = "", ""
			}
			if diff := cmp.Diff(tt.want, exit); diff != "" {
				t.Error(diff)
			}
			if tt.log != "" {
				c := &tt.task.Containers[len(tt.task.Containers)-1]
				if diff := cmp.Diff(tt.log, logs.read(t, (&mission{Try: try}).stream(c))); diff != "" {
					t.Error(diff)
				}
			}
			assertNoTaskContainers(t, name)
		})
	}
	assertEmpty(t, scratch)
	t.Run("stop", func(t *testing.T) { testContainerTaskStop(t, r, name) })
	t.Run("leftovers", func(t *testing.T) { testContainerTaskLeftovers(t, r, name) })
	t.Run("batch", func(t *testing.T) { testContainerBatch(t, name) })
}

func testContainerTaskStop(t *testing.T, r Runner, name string) {
	dir := t.TempDir()
	volumes := []TaskVolume{{Name: "h", HostPath: dir}}
	text := "trap 'exit 5' TERM; echo ready > /h/$NAME; while :; do sleep 0.05; done"
	a, b := mounted("a", "h", "/h", text), mounted("main", "h", "/h", text)
	a.Env, b.Env = []string{"NAME=a"}, []string{"NAME=b"}
	try := taskTry(t, imaged(teamOf(volumes, a, b)))
	done := background(r, try)
	awaitFile(t, dir+"/a")
	awaitFile(t, dir+"/b")
	r.Stop(try.Job, time.Minute)
	assertResults(t, await(t, done).Containers, map[string]string{"a": "5", "main": "5"})
	assertNoTaskContainers(t, name)
}

func testContainerTaskLeftovers(t *testing.T, r Runner, name string) {
	dir := t.TempDir()
	task := imaged(teamOf([]TaskVolume{{Name: "h", HostPath: dir}}, mounted("main", "h", "/h", "echo ready > /h/ready; while :; do sleep 0.05; done")))
	try := taskTry(t, task)
	done := background(r, try)
	awaitFile(t, dir+"/ready")
	other := taskTry(t, task)
	other.TaskID, other.Job = "0123", "other"
	if err := r.(Recoverer).Leftovers([]*Try{other}, 0); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(name, "ps", "-q", "--filter", "label="+labelTask).Output(); err != nil || len(out) == 0 {
		t.Errorf("what is none of another task was removed: %v", err)
	}
	if err := r.(Recoverer).Leftovers([]*Try{try, other}, 0); err != nil {
		t.Fatal(err)
	}
	assertNoTaskContainers(t, name)
	if exit := await(t, done); exit.ExitCode != nil && *exit.ExitCode == 0 {
		t.Errorf("%+v", exit)
	}
}

// testContainerBatch is the whole of it, with an array of containers.
func testContainerBatch(t *testing.T, name string) {
	logs := newTestLogs(t)
	b := openBatch(t, BatchOptions{
		Runner:  newTestRunner(t, RunnerOptions{Containers: name, Logs: logs, Scratch: t.TempDir()}),
		Journal: journalPath(t), Model: model.Config{Capacity: model.Capacity{VCPUs: 2, MemoryMiB: 1 << 20}},
	})
	task := imaged(sh("echo $AWS_BATCH_JOB_ARRAY_INDEX; exit $AWS_BATCH_JOB_ARRAY_INDEX"))
	array := do(t, b, submission{Name: "a", Size: 3, VCPUs: 1, Task: task})
	ended(t, b, array)
	for i, j := range look(t, b, array.Child(0), array.Child(1), array.Child(2)) {
		if j.ExitCode == nil || *j.ExitCode != i || len(j.Attempts) != 1 {
			t.Errorf("child %d is %+v", i, j)
		} else if got, want := logs.read(t, j.Attempts[0].LogStream), []string{"0\n", "1\n", "2\n"}[i]; got != want {
			t.Errorf("child %d wrote %q", i, got)
		}
	}
	assertNoTaskContainers(t, name)
}
