package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// TestMain lets the tests run this program as an agent, in a process of its own: with
// envProgram, the name of a job file.
func TestMain(m *testing.M) {
	path := os.Getenv(envProgram)
	if path == "" {
		os.Exit(m.Run())
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	p := Program{Environ: os.Environ(), Stderr: os.Stderr, Signals: signals}
	os.Exit(p.Run(context.Background(), path))
}

const envProgram = "FLOW_TEST_PROGRAM"

// A programTest is a job whose agent is run as Batch would run it.
type programTest struct {
	t    *testing.T
	spec *engine.JobSpec
	path string
}

// newProgramTest writes the job file of a script with the output "out".
func newProgramTest(t *testing.T, script string) *programTest {
	t.Helper()
	spec := &engine.JobSpec{
		Name: "job", Run: "run", Step: "step", WorkDir: t.TempDir(), Tasks: engine.Upto(1), Attempt: 1,
		Resources: engine.Resources{VCPUs: 1.5, MemoryMiB: 64},
		Task: &engine.TaskSpec{
			Script: script, Shell: []string{"sh", "-euc"},
			Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out"}},
		},
	}
	p := &programTest{t, spec, JobPath(spec.WorkDir, spec.Run, spec.Name)}
	p.write()
	return p
}

func (p *programTest) write() {
	p.t.Helper()
	if err := WriteJob(p.path, p.spec); err != nil {
		p.t.Fatal(err)
	}
}

// command returns an attempt of a job, with variables over those that Batch sets.
func (p *programTest) command(id string, attempt int, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envProgram+"="+p.path, "AWS_BATCH_JOB_ID="+id, fmt.Sprint("AWS_BATCH_JOB_ATTEMPT=", attempt))
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// run runs an attempt of a job, and fails unless it ends with a code and has written that.
func (p *programTest) run(id string, attempt, code int, want string, env ...string) {
	p.t.Helper()
	cmd := p.command(id, attempt, env...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
	if diff := cmp.Diff(want, string(out)); diff != "" {
		p.t.Error(diff)
	}
}

func TestProgramEnviron(t *testing.T) {
	p := newProgramTest(t, `for v in all job own TOKEN AWS_BATCH_JQ_NAME FLOW_KEY FLOW_VCPUS out; do eval "echo $v=\$$v"; done; touch "$out"`)
	p.spec.Task.Env = map[string]string{"all": "task", "own": "task", "TOKEN": "not this", "AWS_BATCH_JQ_NAME": "not this", "FLOW_KEY": "not this"}
	p.spec.Task.Secrets = map[string]string{"TOKEN": "arn:x"}
	p.spec.FanOut, p.spec.ArraySize, p.spec.Tasks, p.spec.Keys = true, 2, engine.RangesOf(3, 8), []string{"a", "b"}
	p.spec.Items = []*engine.Item{nil, {Env: map[string]string{"own": "item"}}}
	p.write()
	p.run("job:1", 1, 0, "all=task\njob=container\nown=item\nTOKEN=secret\nAWS_BATCH_JQ_NAME=q\nFLOW_KEY=b\nFLOW_VCPUS=2\nout="+p.spec.TaskDir(1)+"/1/out\n",
		"AWS_BATCH_JOB_ARRAY_INDEX=1", "all=container", "job=container", "TOKEN=secret", "AWS_BATCH_JQ_NAME=q", "FLOW_KEY=container")
}

// What is set where it must not be, or not set where it must.
func TestProgramVariables(t *testing.T) {
	p := newProgramTest(t, "exit 1")
	for _, tt := range []struct{ variable, want string }{
		{"AWS_BATCH_JOB_ID=", "AWS_BATCH_JOB_ID is not set: this is for jobs of AWS Batch to run"},
		{"AWS_BATCH_JOB_ATTEMPT=0", `AWS_BATCH_JOB_ATTEMPT is "0", and no number of an attempt`},
		{"AWS_BATCH_JOB_ARRAY_INDEX=-1", `AWS_BATCH_JOB_ARRAY_INDEX is "-1", and no index`},
		{"AWS_BATCH_JOB_ARRAY_INDEX=1", p.path + " has no child 1: there are 1"},
	} {
		p.run("job", 1, ExitStageIn, "flow: StageInError: "+tt.want+"\n", tt.variable)
	}
}

// How the command ends is how the container ends.
func TestProgramExitCodes(t *testing.T) {
	text := write(t, t.TempDir()+"/text", "")
	for _, tt := range []struct {
		name    string
		command []string
		code    int
		want    string
	}{
		{"its own", []string{"sh", "-c", "exit 7"}, 7, ""},
		{"a signal", []string{"sh", "-c", "kill -9 $$"}, 137, ""},
		{"no such program", []string{"nosuchprogram"}, 127, `CannotStartContainerError: exec: "nosuchprogram": executable file not found in $PATH`},
		{"no such path", []string{"./no"}, 127, `CannotStartContainerError: exec: "./no": no such file, or the interpreter that its first line names does not exist`},
		{"no program", []string{text}, 126, `CannotStartContainerError: exec: "` + text + `": permission denied: it is not executable`},
		{"no command", nil, 127, "CannotStartContainerError: the task has no command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProgramTest(t, "")
			p.spec.Task = &engine.TaskSpec{Command: tt.command}
			p.write()
			line := ""
			if tt.want != "" {
				line = "flow: " + tt.want + "\n"
			}
			p.run("job", 1, tt.code, line)
			if got, ok := Failure(p.spec.TaskDir(0), 1); got != tt.want || ok != (tt.want != "") {
				t.Errorf("the failure is %q, want %q", got, tt.want)
			}
		})
	}
}

// An attempt that has succeeded does not run its command again: Batch has lost the host
// before it saw the end, and has it tried again, or the same number a second time.
func TestProgramSucceededBefore(t *testing.T) {
	p := newProgramTest(t, `echo "$FLOW_ATTEMPT" | tee "$out"`)
	p.spec.Attempt = 3
	p.write()
	p.run("job", 2, 0, "4\n")
	for _, attempt := range []int{2, 3} {
		p.run("job", attempt, 0, "flow: attempt 4 has succeeded already, though its end was not seen\n")
	}
	if got := read(t, engine.ResultPath(p.spec.TaskDir(0), "out")); got != "4\n" {
		t.Errorf("the result is %q", got)
	}
}

// The same attempt a second time, after its host was lost in the midst of it: it is ours.
func TestProgramSameAttempt(t *testing.T) {
	p := newProgramTest(t, `echo ran >> ../ran; test ! -e out; touch out; test -e ../again || exit 1`)
	p.run("job", 1, 1, "")
	write(t, p.spec.TaskDir(0)+"/again", "")
	p.run("job", 1, 0, "")
	p.run("other", 1, ExitClaimed, "flow: another job (job) runs attempt 1: this one is a twin\n")
	if got := read(t, p.spec.TaskDir(0)+"/ran"); got != "ran\nran\n" {
		t.Errorf("the command ran as %q", got)
	}
}

// A later job of the same task is no twin, and the retries of the one before are.
func TestProgramLaterJob(t *testing.T) {
	p := newProgramTest(t, `test "$FLOW_ATTEMPT" = 2; touch out`)
	p.run("first", 1, 1, "")
	p.spec.Attempt = 2
	p.write()
	p.run("second", 1, 0, "")
	p.spec.Attempt = 1
	p.write()
	p.run("first", 2, ExitClaimed, "flow: another job (second) runs attempt 2: this one is a twin\n")
}

// A failure does not outlive the attempt that is run once more.
func TestProgramFailureIsForgotten(t *testing.T) {
	p := newProgramTest(t, `if test -e ../again; then touch out; fi`)
	p.run("job", 1, ExitOutput, "flow: OutputMissing: output \"out\": out is not there; the directory is empty\n")
	if got, _ := Failure(p.spec.TaskDir(0), 1); !strings.HasPrefix(got, "OutputMissing: ") {
		t.Errorf("the failure is %q", got)
	}
	write(t, p.spec.TaskDir(0)+"/again", "")
	p.run("job", 1, 0, "")
	if got, ok := Failure(p.spec.TaskDir(0), 1); ok {
		t.Errorf("there is still %q", got)
	}
}

// Signals go to the whole group of the command. One that comes to a command which then
// exits with 0 does not make it a success.
func TestProgramSignals(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		signal       syscall.Signal
		code         int
	}{
		{"heeded", `trap 'exit 5' TERM; touch ../on; while :; do sleep 0.01; done`, syscall.SIGTERM, 5},
		{"not heeded", `touch ../on; exec sleep 600`, syscall.SIGTERM, 143},
		{"interrupt", `touch ../on; exec sleep 600`, syscall.SIGINT, 130},
		{"a child of the command", `trap : TERM
			sh -c 'trap "exit 3" TERM; touch ../on; for i in $(seq 1000); do sleep 0.01; done' || exit 6`, syscall.SIGTERM, 6},
		{"suspended", `touch ../on; kill -STOP $$; exec sleep 600`, syscall.SIGTERM, 143},
		{"as if nothing was", `trap 'touch out; exit 0' TERM; touch ../on; while :; do sleep 0.01; done`, syscall.SIGTERM, 143},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProgramTest(t, tt.script)
			cmd := p.command("job", 1)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitFile(t, p.spec.TaskDir(0)+"/on")
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if _, err := ReadManifest(p.spec.TaskDir(0), 1); err == nil {
				t.Error("it has a result")
			}
		})
	}
}

// What the command leaves running in its group ends with it.
func TestProgramEndsTheGroup(t *testing.T) {
	p := newProgramTest(t, `sleep 600 > /dev/null 2>&1 & echo $! > "$out"`)
	p.run("job", 1, 0, "")
	pid := strings.TrimSpace(read(t, engine.ResultPath(p.spec.TaskDir(0), "out")))
	if state, _ := exec.Command("ps", "-o", "stat=", "-p", pid).Output(); len(state) > 0 && state[0] != 'Z' {
		t.Errorf("process %s is in state %s", pid, state)
	}
}

// awaitFile waits until there is a file.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-poll.C {
		if _, err := os.Lstat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s is not there after a minute", path)
}

// As the first process of a container, the agent reaps what the command leaves behind. The
// script waits until there is no zombie any more.
func TestProgramReaps(t *testing.T) {
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("unshare(1) may make no namespace of processes: %v, %s", err, out)
	}
	p := newProgramTest(t, `for i in 1 2 3; do (sh -c 'exit 0' & exec true); done
		until test "$(grep -l '^State:.Z' /proc/[0-9]*/status 2> /dev/null | wc -l)" = 0; do :; done; echo $PPID; touch "$out"`)
	p.spec.Task.Shell = []string{"timeout", "60", "sh", "-c"}
	p.spec.Task.Script = strings.ReplaceAll(p.spec.Task.Script, "$PPID", "$(ps -o ppid= -p $PPID | tr -d ' ')")
	p.write()
	cmd := p.command("job", 1)
	cmd.Args = append([]string{"unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"}, cmd.Path)
	var err error
	if cmd.Path, err = exec.LookPath("unshare"); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1\n" {
		t.Errorf("%v: the parent of the command is %s", err, out)
	}
}

// Of all that claim an attempt at once, one has it; it has it every time it asks.
func claim(dir string, attempt int, id engine.JobID) error {
	_, err := directory{path: dir}.claim(context.Background(), attempt, id)
	return err
}

func TestClaim(t *testing.T) {
	dir := t.TempDir() + "/run/step/key"
	if _, err := ReadClaim(dir, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before, %v", err)
	}
	const jobs = 16
	errs := make([]error, jobs)
	var all sync.WaitGroup
	for i := range jobs {
		all.Go(func() { errs[i] = claim(dir, 1, engine.JobID(fmt.Sprint("job", i))) })
	}
	all.Wait()
	winner, err := ReadClaim(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		var claimed *ClaimedError
		if own := engine.JobID(fmt.Sprint("job", i)); own == winner {
			if err != nil || claim(dir, 1, own) != nil {
				t.Errorf("the one that has it: %v", err)
			}
		} else if !errors.As(err, &claimed) || claimed.By != winner {
			t.Errorf("another: %v", err)
		}
	}
	if err := claim(dir, 2, "job0"); err != nil {
		t.Errorf("another attempt: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"1.claim", "2.claim"}) {
		t.Errorf("there are %q", names)
	}
	write(t, ClaimPath(dir, 3), "") // by one that died, where there are no hard links
	if err := claim(dir, 3, "job"); err == nil || err.Error() != "another job (its claim names none) runs attempt 3: this one is a twin" {
		t.Errorf("with an empty claim: %v", err)
	}
}

func TestFailure(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.error", "{}")
	write(t, dir+"/2.error", "torn")
	if err := (directory{path: dir}).putFailure(t.Context(), 4, &Error{Class: OutputMissing, Msg: "a <b>"}); err != nil {
		t.Fatal(err)
	}
	for attempt, want := range map[int]string{1: "", 2: "", 3: "", 4: "OutputMissing: a <b>"} {
		if got, ok := Failure(dir, attempt); got != want || ok != (want != "") {
			t.Errorf("attempt %d: %q, %v", attempt, got, ok)
		}
	}
}

func TestInstall(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir, authority := t.TempDir()+"/volume", "-----BEGIN CERTIFICATE-----\n"
	file := filepath.Join(t.TempDir(), "authorities")
	if err := os.WriteFile(file, []byte(authority), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	for range 2 {
		path, err := Install(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o755 || path != dir+"/flow" {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	cmd := exec.Command(dir+"/flow", "-test.run=^$")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if entries, err := filepath.Glob(dir + "/*"); err != nil || !slices.Equal(entries, []string{dir + "/certificates.pem", dir + "/flow"}) {
		t.Errorf("there are %q, %v", entries, err)
	}
	if got, err := os.ReadFile(dir + "/certificates.pem"); err != nil || string(got) != authority {
		t.Errorf("the certificates are %q, %v", got, err)
	}
	if _, err := Install("/dev/null/x"); err == nil || err.Error() != "cannot install the agent: /dev/null: not a directory" {
		t.Error(err)
	}
}
