package local

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// team makes a Task of several containers, with scripts.
func teamOf(volumes []TaskVolume, containers ...Container) *Task {
	for i := range containers {
		c := &containers[i]
		if c.LogGroup == "" {
			c.LogGroup, c.LogPrefix = "group", "prefix"
		}
	}
	return &Task{Containers: containers, Volumes: volumes}
}

func script(text string) []string { return []string{"sh", "-euc", text} }

// taskTry returns a try of a Task that is run by a Runner itself.
func taskTry(t testing.TB, task *Task) *Try {
	try := newTry(t, engine.TaskSpec{})
	id := fmt.Sprintf("%x", filepath.Base(t.Name()))
	try.Spec, try.Task, try.TaskID, try.LogStream = nil, task, id, "prefix/default/"+id
	return try
}

// Several containers: what they share, their order, and how the task ends.
func TestTeam(t *testing.T) {
	ready := []ContainerDependency{{Container: "init", Condition: ContainerSucceeded}}
	tests := []struct {
		name    string
		task    *Task
		want    Exit
		results map[string]string // exit code, or reason, of each container
		logs    map[string]string
	}{
		{
			"one with a name of its own", teamOf(nil, Container{Name: "main", Essential: true, Command: script("echo hello; exit 4")}),
			code(4), map[string]string{"main": "4"}, map[string]string{"main": "hello\n"},
		},
		{
			"each its own directory", teamOf(nil,
				Container{Name: "init", Command: script("touch x")},
				Container{Name: "main", Essential: true, DependsOn: ready, Command: script("ls -A; echo $A"), Env: []string{"A=b"}}),
			code(0), map[string]string{"init": "0", "main": "0"}, map[string]string{"main": "b\n"},
		},
		{
			"a helper is stopped", teamOf(nil,
				Container{Name: "helper", Command: script("trap 'exit 9' TERM; while :; do sleep 0.01; done")},
				Container{Name: "main", Essential: true, DependsOn: []ContainerDependency{{Container: "helper", Condition: ContainerStarted}}, Command: script("sleep 0.1")}),
			code(0), map[string]string{"helper": "9", "main": "0"}, nil,
		},
		{
			"and killed if it does not heed that", teamOf(nil,
				Container{Name: "helper", StopTimeout: 20 * time.Millisecond, Command: script("trap '' TERM; while :; do sleep 0.01; done")},
				Container{Name: "main", Essential: true, Command: script("sleep 0.1; exit 2")}),
			code(2), map[string]string{"helper": "137", "main": "2"}, nil,
		},
		{
			"init fails", teamOf(nil,
				Container{Name: "init", Command: script("exit 3")},
				Container{Name: "main", Essential: true, DependsOn: ready, Command: script("echo never")}),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency init as dependency did not exit successfully"},
			map[string]string{"init": "3", "main": "143 CannotStartContainerError"}, nil,
		},
		{
			"init takes too long", teamOf(nil,
				Container{Name: "init", StartTimeout: 10 * time.Millisecond, Command: script("while :; do sleep 0.01; done")},
				Container{Name: "main", Essential: true, DependsOn: ready, Command: script("echo never")}),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotStartContainerError: dependency graph: container ordering dependency init has timed out"},
			map[string]string{"init": "143", "main": "143 CannotStartContainerError"}, nil,
		},
		{
			"main cannot be started", teamOf(nil,
				Container{Name: "init", Command: script("exit 0")},
				Container{Name: "main", Essential: true, DependsOn: ready}),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotStartContainerError: Error response from daemon: No command specified"},
			map[string]string{"init": "0", "main": "- CannotStartContainerError"}, nil,
		},
	}
	logs := newTestLogs(t)
	scratch := t.TempDir()
	r := newTestRunner(t, RunnerOptions{Logs: logs, Scratch: scratch})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try := taskTry(t, tt.task)
			exit, _ := run(r, try)
			assertResults(t, exit.Containers, tt.results)
			for name, want := range tt.logs {
				if diff := cmp.Diff(want, logs.read(t, "prefix/"+name+"/"+try.TaskID)); diff != "" {
					t.Errorf("log of %s: %s", name, diff)
				}
			}
			exit.Containers = nil
			if diff := cmp.Diff(tt.want, exit); diff != "" {
				t.Error(diff)
			}
		})
	}
	assertEmpty(t, scratch)
}

// assertEmpty fails if there is more in a scratch directory than empty ones for the next.
func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(dir + "/*/*"); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
}

// assertResults compares the exit code of each container, or "-", and how its reason
// begins.
func assertResults(t *testing.T, got []engine.ContainerResult, want map[string]string) {
	t.Helper()
	have := map[string]string{}
	for _, r := range got {
		text := "-"
		if r.ExitCode != nil {
			text = fmt.Sprint(*r.ExitCode)
		}
		if class, _, ok := strings.Cut(r.Reason, ":"); ok {
			text += " " + class
		}
		have[r.Name] = text
		if ran := r.LogStream != ""; ran != (r.Reason == "") {
			t.Errorf("%s has the log stream %q", r.Name, r.LogStream)
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("containers: %s", diff)
	}
}

// A task is RUNNING when all of its containers have started, and a stop ends them all,
// with what they have started elsewhere.
func TestTeamStop(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this needs setsid(1)")
	}
	dir := t.TempDir()
	note := func(name string) string {
		return `echo $$ > "$DIR/` + name + `"; trap 'exit 5' TERM; while :; do sleep 0.01; done`
	}
	started := []ContainerDependency{{Container: "a", Condition: ContainerStarted}}
	env := []string{"DIR=" + dir}
	for _, grace := range []time.Duration{time.Minute, 0} {
		t.Run(grace.String(), func(t *testing.T) {
			r := newTestRunner(t, RunnerOptions{Logs: newTestLogs(t), Scratch: t.TempDir()})
			try := taskTry(t, teamOf(nil,
				Container{Name: "a", Env: env, Command: script(note("a"))},
				Container{Name: "b", Env: env, Essential: true, DependsOn: started, Command: script(`setsid sh -c 'echo $$ > "$DIR/c.new"; mv "$DIR/c.new" "$DIR/c"; sleep 1000' & ` + note("b"))}))
			running := make(chan struct{})
			done := make(chan Exit, 1)
			go onThread(func() { done <- r.Run(try, func() { close(running) }) })
			<-running
			var pids []string
			for _, name := range []string{"a", "b", "c"} {
				pids = append(pids, awaitFile(t, filepath.Join(dir, name))...)
			}
			r.Stop(try.Job, grace)
			want, codes := code(5), map[string]string{"a": "5", "b": "5"}
			if grace == 0 {
				want, codes = code(137), map[string]string{"a": "137", "b": "137"}
			}
			exit := await(t, done)
			assertResults(t, exit.Containers, codes)
			exit.Containers = nil
			if diff := cmp.Diff(want, exit); diff != "" {
				t.Error(diff)
			}
			assertGone(t, pids...)
			for _, name := range []string{"a", "b", "c"} {
				os.Remove(filepath.Join(dir, name))
			}
		})
	}
}
