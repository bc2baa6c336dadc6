package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow/engine"
	"flow/executor/agent"
)

// bash is the default shell of scripts.
var bash = []string{"bash", "-euo", "pipefail", "-c"}

// newTestRunner returns a Runner of processes that is closed, and has leaked nothing,
// when the test ends.
func newTestRunner(t testing.TB, o RunnerOptions) Runner {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	r, err := NewRunner(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		goleak.VerifyNone(t, leaks)
	})
	return r
}

// newTry returns a try of a plain job, in a work directory of its own.
func newTry(t testing.TB, spec engine.TaskSpec) *Try {
	t.Helper()
	if spec.Script != "" && spec.Shell == nil {
		spec.Shell = bash
	}
	return &Try{
		Job: engine.JobID("job-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(t.Name())), Attempt: 1, BatchAttempt: 1,
		Spec: &engine.JobSpec{
			Run: engine.RunID("run-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(t.Name())), Step: "step",
			Task: &spec, Tasks: engine.Upto(1), WorkDir: t.TempDir(),
		},
		Resources: engine.Resources{VCPUs: 1, MemoryMiB: 64},
		Queue:     "local", ComputeEnvironment: "machine",
	}
}

// onThread calls f on a goroutine that is locked to its thread, as the executor does.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// run runs a try to its end, and reports whether its program was started. What that has
// used is left out.
func run(r Runner, t *Try) (exit Exit, started bool) {
	onThread(func() { exit = r.Run(t, func() { started = true }) })
	exit.Used = engine.Used{}
	return exit, started
}

// log returns what a try wrote.
func logOf(t testing.TB, try *Try) string {
	t.Helper()
	b, err := os.ReadFile(agent.LogPath(try.Spec.TaskDir(try.Index), try.Attempt))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func code(n int) Exit { return Exit{ExitCode: &n, StatusReason: engine.ReasonExited} }

func TestProcessExits(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "plain")
	noInterpreter := filepath.Join(t.TempDir(), "script")
	noFormat := filepath.Join(t.TempDir(), "noformat")
	for path, content := range map[string]string{notExecutable: "x", noInterpreter: "#!/no/such\n", noFormat: "echo hi\n"} {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(notExecutable, 0o644); err != nil {
		t.Fatal(err)
	}
	failed := func(reason string) Exit {
		return Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotStartContainerError: " + reason}
	}
	tests := []struct {
		name    string
		spec    engine.TaskSpec
		want    Exit
		started bool
	}{
		{"success", engine.TaskSpec{Command: []string{"true"}}, code(0), true},
		{"failure", engine.TaskSpec{Command: []string{"false"}}, code(1), true},
		{"code", engine.TaskSpec{Script: "exit 42"}, code(42), true},
		{"pipefail", engine.TaskSpec{Script: "false | true"}, code(1), true},
		{"unset variable", engine.TaskSpec{Script: `echo "$nosuch"`}, code(1), true},
		{"shell's 127", engine.TaskSpec{Script: "nosuchprogram"}, code(127), true},
		{"signal", engine.TaskSpec{Script: "kill -SEGV $$"}, code(128 + 11), true},
		{"killed", engine.TaskSpec{Script: "kill -KILL $$"}, code(137), true},
		{"not found", engine.TaskSpec{Command: []string{"nosuchprogram"}},
			failed(`exec: "nosuchprogram": executable file not found in $PATH`), false},
		{"no such path", engine.TaskSpec{Command: []string{"/no/such"}},
			failed(`exec: "/no/such": no such file, or the interpreter that its first line names does not exist`), false},
		{"not executable", engine.TaskSpec{Command: []string{notExecutable}},
			failed(`exec: ` + strconv.Quote(notExecutable) + `: permission denied: it is not executable`), false},
		{"no interpreter", engine.TaskSpec{Command: []string{noInterpreter}},
			failed(`exec: ` + strconv.Quote(noInterpreter) + `: no such file, or the interpreter that its first line names does not exist`), false},
		{"no format", engine.TaskSpec{Command: []string{noFormat}},
			failed(`exec: ` + strconv.Quote(noFormat) + `: exec format error: it is no program for this machine; a script begins with #! and its interpreter`), false},
		{"NUL", engine.TaskSpec{Command: []string{"echo", "a\x00b"}},
			failed(`exec: "echo": the command, a variable or a value has a NUL byte in it`), false},
		{"long argument", engine.TaskSpec{Command: []string{"echo", strings.Repeat("x", agent.MaxArg)}},
			failed(`exec: "echo": an argument has 131072 bytes, and Linux takes 131072 in one: put it into a file`), false},
		{"long variable", engine.TaskSpec{Command: []string{"true"}, Env: map[string]string{"big": strings.Repeat("x", agent.MaxArg)}},
			failed(`exec: "true": the value of big has 131072 bytes, and Linux takes 131072 in one: put it into a file`), false},
		{"no command", engine.TaskSpec{},
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotCreateContainerError: the task has no command"}, false},
	}
	r := newTestRunner(t, RunnerOptions{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, started := run(r, newTry(t, tt.spec))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if started != tt.started {
				t.Errorf("started = %v", started)
			}
		})
	}
}

// TestProcessUsage: what a try has used is told, whether it succeeds or fails, and also of
// a program that its shell has started.
func TestProcessUsage(t *testing.T) {
	t.Parallel()
	// Far more than this process has, which Linux counts to those that it starts: under the race
	// detector that is much.
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	much := max(150<<20, 3*own.Maxrss<<10)
	r := newTestRunner(t, RunnerOptions{})
	for script, used := range map[string]int64{
		fmt.Sprintf("dd if=/dev/zero of=/dev/null bs=%d count=1; exit 3", much): much,
		"while ((n++ < 20000)); do :; done":                                     0,
	} {
		var exit Exit
		onThread(func() { exit = r.Run(newTry(t, engine.TaskSpec{Script: script}), func() {}) })
		low, high := used, used+used/5
		if used == 0 {
			low, high = 1<<20, much
		}
		if got := exit.Used; got.PeakMemory < low || got.PeakMemory > high || used > 0 && got.AtMost || got.CPUMillis < 1 || got.CPUMillis > 60_000 {
			t.Errorf("%s has used %+v, want %d to %d bytes", script, got, low, high)
		}
	}
}

func TestProcessEnvironment(t *testing.T) {
	t.Setenv("FLOW_TEST_CANARY", "inherited")
	t.Setenv("LC_TIME", "C")
	r := newTestRunner(t, RunnerOptions{Secret: func(ref string) (string, error) { return "value of " + ref, nil }})
	odd := "a b\n'\"$(touch PWNED)`id`\\ *"
	try := newTry(t, engine.TaskSpec{
		Command: []string{"env", "-0"},
		Env:     map[string]string{"ODD": odd, "HOME": "/own", "FLOW_STEP": "stolen"},
		Secrets: map[string]string{"TOKEN": "env:X"},
	})
	try.Job, try.Array, try.Index = try.Job.Child(2), true, 2
	try.BatchAttempt, try.Attempt = 3, 5
	try.Spec.FanOut, try.Spec.ArraySize, try.ArraySize = true, 4, 4
	try.Spec.Tasks, try.Spec.Keys = engine.RangesOf(10, 11, 17, 18), []string{"a", "b", "c d", "e"}
	try.Resources = engine.Resources{VCPUs: 1.5, MemoryMiB: 512}
	if exit, _ := run(r, try); *exit.ExitCode != 0 {
		t.Fatal(exit)
	}
	got := map[string]string{}
	for kv := range strings.SplitSeq(strings.TrimSuffix(logOf(t, try), "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		if _, ok := got[name]; ok {
			t.Errorf("%s is there twice", name)
		}
		got[name] = value
	}
	want := map[string]string{
		"ODD": odd, "HOME": "/own", "TOKEN": "value of env:X", "LC_TIME": "C",
		"FLOW_RUN_ID": string(try.Spec.Run), "FLOW_STEP": "step", "FLOW_KEY": "c d", "FLOW_INDEX": "17", "FLOW_ATTEMPT": "5",
		"FLOW_VCPUS": "2", "FLOW_MEMORY_MIB": "512",
		"AWS_BATCH_JOB_ID": string(try.Job), "AWS_BATCH_JOB_ATTEMPT": "3", "AWS_BATCH_JQ_NAME": "local", "AWS_BATCH_CE_NAME": "machine",
		"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "4",
	}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok && want[name] == "" {
			want[name] = v
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "LC_") && want[name] == "" {
			want[name] = os.Getenv(name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBaseEnviron(t *testing.T) {
	for _, tt := range []struct{ path, last, want string }{
		{"PATH=/a:/b", "", "PATH=/a:/b"},
		{"PATH=/a:/b", "/own", "PATH=/a:/b:/own"},
		{"PATH=", "/own", "PATH=/own"},
		{"OTHER=x", "/own", "PATH=" + agent.DefaultPath + ":/own"},
	} {
		want := []string{"HOME=/h", "LC_ALL=C", tt.want}
		if diff := cmp.Diff(want, baseEnviron([]string{"HOME=/h", tt.path, "SECRET=s", "LC_ALL=C"}, tt.last)); diff != "" {
			t.Errorf("%s and %s: %s", tt.path, tt.last, diff)
		}
	}
}

func TestSecretThatCannotBeRead(t *testing.T) {
	spec := engine.TaskSpec{Command: []string{"true"}, Secrets: map[string]string{"TOKEN": "env:NOPE"}}
	for _, secret := range []func(string) (string, error){nil, func(string) (string, error) { return "", errors.New("NOPE is not set") }} {
		exit, started := run(newTestRunner(t, RunnerOptions{Secret: secret}), newTry(t, spec))
		if started || exit.ExitCode != nil || !strings.HasPrefix(exit.Reason, "ResourceInitializationError: secret TOKEN: ") {
			t.Errorf("%+v, started %v", exit, started)
		}
	}
}

func TestSecretIsWrittenNowhere(t *testing.T) {
	const canary = "canary-7d1f"
	r := newTestRunner(t, RunnerOptions{Secret: func(string) (string, error) { return canary, nil }})
	try := newTry(t, engine.TaskSpec{
		Script:  `test "$TOKEN" = canary-` + `7d1f; tr '\0' ' ' < /proc/$$/cmdline | wc -c > n; touch out # ` + strings.Repeat("x", agent.MaxArg),
		Secrets: map[string]string{"TOKEN": "env:X"},
		Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out"}},
	})
	// The script itself must not hold the canary as one word, or the search below finds it.
	try.Spec.Task.Script = strings.Replace(try.Spec.Task.Script, "= canary-7d1f", `= "canary-""7d1f"`, 1)
	if exit, _ := run(r, try); exit.ExitCode == nil || *exit.ExitCode != 0 {
		t.Fatalf("%+v: %s", exit, logOf(t, try))
	}
	err := filepath.WalkDir(try.Spec.WorkDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), canary) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProcessLogKeepsOrder(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	try := newTry(t, engine.TaskSpec{Script: `for i in 1 2 3; do echo out$i; echo err$i >&2; done; cat; pwd; ls -A`})
	if exit, _ := run(r, try); *exit.ExitCode != 0 {
		t.Fatal(exit)
	}
	want := "out1\nerr1\nout2\nerr2\nout3\nerr3\n" + try.Spec.TaskDir(0) + "/1\n"
	if diff := cmp.Diff(want, logOf(t, try)); diff != "" {
		t.Error(diff)
	}
}

func TestHugeLogDoesNotGoThroughFlow(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	try := newTry(t, engine.TaskSpec{Script: `head -c 200000000 /dev/zero; yes | head -c 100000000`})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if exit, _ := run(r, try); exit.ExitCode == nil || *exit.ExitCode&^141 != 0 {
		t.Fatalf("%+v", exit)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("flow allocated %d bytes", got)
	}
	info, err := os.Stat(agent.LogPath(try.Spec.TaskDir(0), 1))
	if err != nil || info.Size() != 300000000 {
		t.Error(info.Size(), err)
	}
}

func TestLongScript(t *testing.T) {
	pad := "# " + strings.Repeat("x", 100) + "\n"
	long := strings.Repeat(pad, (1<<20)/len(pad)+1)
	tests := []struct {
		name, script string
		shell        []string
	}{
		{"bash", long + `[[ -o pipefail && -o nounset ]]; echo "$ODD"; false | true`, bash},
		{"sh", long + `echo "$ODD"; exit 1`, []string{"sh", "-ec"}},
		{"perl", long + `print "$ENV{ODD}\n"; exit 1;`, []string{"perl", "-e"}},
	}
	r := newTestRunner(t, RunnerOptions{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try := newTry(t, engine.TaskSpec{Script: tt.script, Shell: tt.shell, Env: map[string]string{"ODD": "$(touch PWNED)\nx"}})
			exit, _ := run(r, try)
			if diff := cmp.Diff(code(1), exit); diff != "" {
				t.Error(diff)
			}
			if got := logOf(t, try); got != "$(touch PWNED)\nx\n" {
				t.Errorf("log %q", got)
			}
		})
	}
	exit, started := run(r, newTry(t, engine.TaskSpec{Script: long, Shell: []string{"myshell", "--text"}}))
	if started || !strings.Contains(exit.Reason, `does not know how "myshell --text" reads a script from a file`) {
		t.Errorf("%+v", exit)
	}
}

// background starts a try and returns when its program runs.
func background(r Runner, t *Try) (ended <-chan Exit) {
	running, done := make(chan struct{}), make(chan Exit, 1)
	go func() {
		runtime.LockOSThread()
		done <- r.Run(t, func() { close(running) })
	}()
	select {
	case <-running:
	case e := <-done:
		done <- e
	}
	return done
}

// await waits for the end of a try. What it has used is left out.
func await(t *testing.T, ended <-chan Exit) Exit {
	t.Helper()
	select {
	case e := <-ended:
		e.Used = engine.Used{}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("the try does not end")
		panic("unreachable")
	}
}

// awaitFile waits until a file has a line, and returns its fields.
func awaitFile(t *testing.T, path string) []string {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if b, _ := os.ReadFile(path); strings.HasSuffix(string(b), "\n") {
			return strings.Fields(string(b))
		}
		runtime.Gosched()
	}
	t.Fatal(path + " does not come")
	return nil
}

// assertGone fails for each process that is alive.
func assertGone(t *testing.T, pids ...string) {
	t.Helper()
	for _, p := range pids {
		pid, err := strconv.Atoi(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); err == nil && !isZombie(pid) {
			t.Errorf("process %d is alive", pid)
		}
	}
}

func isZombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(b), ") Z ")
}

func TestStop(t *testing.T) {
	tests := []struct {
		name, script string
		grace        time.Duration
		want         int
	}{
		{"TERM", `sleep 1000 & echo $$ $! >&9; wait`, time.Minute, 143},
		{"trap", `trap 'exit 42' TERM; sleep 1000 & echo $$ $! >&9; wait`, time.Minute, 42},
		{"KILL after grace", `trap '' TERM; sleep 1000 & echo $$ $! >&9; while :; do wait; done`, 50 * time.Millisecond, 137},
		{"KILL at once", `sleep 1000 & echo $$ $! >&9; wait`, 0, 137},
		{"suspended", `sleep 1000 & echo $$ $! >&9; kill -STOP $$; wait`, time.Minute, 143},
		{"new session", `setsid sleep 1000 & setsid bash -c 'trap "" TERM; echo $$ > ../three; sleep 1000' & while ! test -s ../three; do :; done; echo $$ $! $(cat ../three) >&9; wait`, time.Minute, 143},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newTestRunner(t, RunnerOptions{})
			pids := filepath.Join(t.TempDir(), "pids")
			try := newTry(t, engine.TaskSpec{Script: `exec 9>"$pids"; ` + tt.script, Env: map[string]string{"pids": pids}})
			ended := background(r, try)
			lives := awaitFile(t, pids)
			r.Stop(try.Job, tt.grace)
			exit := await(t, ended)
			if diff := cmp.Diff(code(tt.want), exit); diff != "" {
				t.Error(diff)
			}
			assertGone(t, lives...)
			r.Stop(try.Job, tt.grace) // has ended: no error
		})
	}
}

func TestStopSoonerThanBefore(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	pids := filepath.Join(t.TempDir(), "pids")
	try := newTry(t, engine.TaskSpec{Script: `trap '' TERM; echo $$ > "$pids"; while :; do sleep 1000; done`, Env: map[string]string{"pids": pids}})
	ended := background(r, try)
	awaitFile(t, pids)
	r.Stop(try.Job, time.Hour)
	r.Stop(try.Job, 2*time.Hour) // later: changes nothing
	r.Stop(try.Job, 0)
	if diff := cmp.Diff(code(137), await(t, ended)); diff != "" {
		t.Error(diff)
	}
}

func TestStopBeforeStart(t *testing.T) {
	asked := make(chan struct{})
	goOn := make(chan struct{})
	r := newTestRunner(t, RunnerOptions{Secret: func(string) (string, error) {
		close(asked)
		<-goOn
		return "", nil
	}})
	try := newTry(t, engine.TaskSpec{Command: []string{"true"}, Secrets: map[string]string{"X": "env:X"}})
	done := make(chan Exit)
	started := false
	go onThread(func() { done <- r.Run(try, func() { started = true }) })
	<-asked
	r.Stop(try.Job, time.Minute)
	close(goOn)
	exit := <-done
	if started || exit.ExitCode != nil || exit.StatusReason != engine.ReasonStartFailed {
		t.Errorf("%+v, started %v", exit, started)
	}
	r.Stop("unknown", 0)
}

func TestRestOfGroupEndsWithItsLeader(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	pids := filepath.Join(t.TempDir(), "pids")
	try := newTry(t, engine.TaskSpec{Script: `(trap '' TERM HUP; sleep 1000) & echo $! > "$pids"`, Env: map[string]string{"pids": pids}})
	exit, _ := run(r, try)
	if diff := cmp.Diff(code(0), exit); diff != "" {
		t.Error(diff)
	}
	assertGone(t, awaitFile(t, pids)...)
}

func TestDeadAttemptIsNotReused(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	try := newTry(t, engine.TaskSpec{Script: "ls -A; echo run"})
	dir := try.Spec.TaskDir(0)
	if err := os.MkdirAll(dir+"/1/old", 0o777); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(dir + "/1.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if exit, _ := run(r, try); *exit.ExitCode != 0 {
		t.Fatal(exit)
	}
	if _, err := log.WriteString("a leftover writes\n"); err != nil {
		t.Fatal(err)
	}
	if got := logOf(t, try); got != "run\n" {
		t.Errorf("log %q", got)
	}
}

func TestOutputsAndManifest(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	spec := engine.TaskSpec{
		Script:  `echo hello > "$out"; test "$FLOW_ATTEMPT" = 1`,
		Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "deep/out.txt"}},
	}
	try := newTry(t, spec)
	rec := r.(Recoverer)
	if _, ok := rec.Finished(try); ok {
		t.Error("finished before it began")
	}
	if exit, _ := run(r, try); *exit.ExitCode != 0 {
		t.Fatal(exit)
	}
	// The process dies before it has said so, and before the link was made.
	link := try.Spec.TaskDir(0) + "/result"
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	exit, ok := rec.Finished(try)
	if exit.Used.PeakMemory == 0 {
		t.Error("what it used is in its manifest, and not found")
	}
	exit.Used = engine.Used{}
	if diff := cmp.Diff(code(0), exit); diff != "" || !ok {
		t.Error(diff, ok)
	}
	if b, err := os.ReadFile(engine.ResultPath(try.Spec.TaskDir(0), "deep/out.txt")); err != nil || string(b) != "hello\n" {
		t.Errorf("%q %v", b, err)
	}
	files := &agent.Files{}
	if _, err := files.Manifest(context.Background(), try.Spec.TaskDir(0)); err != nil {
		t.Error(err)
	}

	spec.Script = "touch a.sam b.log"
	try = newTry(t, spec)
	exit, started := run(r, try)
	n := agent.ExitOutput
	want := Exit{ExitCode: &n, StatusReason: engine.ReasonExited, Reason: `OutputMissing: output "out": deep/out.txt is not there; deep is empty`}
	if diff := cmp.Diff(want, exit); diff != "" || !started {
		t.Error(diff, started)
	}
	if _, ok := rec.Finished(try); ok {
		t.Error("a failed try has a result")
	}
}

func TestMissingInput(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	exit, started := run(r, newTry(t, engine.TaskSpec{
		Command: []string{"true"}, Inputs: []engine.Input{{Name: "reads", Paths: []string{"/no/such.fq"}}},
	}))
	want := Exit{StatusReason: engine.ReasonStartFailed, Reason: `StageInError: input "reads": /no/such.fq is not there`}
	if diff := cmp.Diff(want, exit); diff != "" || started {
		t.Error(diff, started)
	}
}

func TestProgramThatMoves(t *testing.T) {
	r := newTestRunner(t, RunnerOptions{})
	one, two := t.TempDir(), t.TempDir()
	env := map[string]string{"PATH": one + ":relative:" + two}
	write := func(dir, script string) {
		if err := os.WriteFile(dir+"/prog", []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(one, "exit 1")
	write(two, "exit 2")
	for want := 1; want <= 2; want++ {
		exit, _ := run(r, newTry(t, engine.TaskSpec{Command: []string{"prog"}, Env: env}))
		if diff := cmp.Diff(code(want), exit); diff != "" {
			t.Error(diff)
		}
		if want == 1 {
			if err := os.Remove(one + "/prog"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestScarceDescriptorsAreWaitedFor(t *testing.T) {
	if !withFewDescriptors(t) {
		return
	}
	r, err := NewRunner(RunnerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	try := newTry(t, engine.TaskSpec{Command: []string{"true"}})
	var held []*os.File
	for {
		f, err := os.Open("/")
		if err != nil {
			break
		}
		held = append(held, f)
	}
	release := time.AfterFunc(100*time.Millisecond, func() {
		for _, f := range held {
			f.Close()
		}
	})
	defer release.Stop()
	exit, started := run(r, try)
	if !started || exit.ExitCode == nil || *exit.ExitCode != 0 {
		t.Errorf("%+v", exit)
	}
}

// TestMoreTriesThanDescriptors has more tries begin and end at once than there may be
// open files: each must find its input and keep its outputs nevertheless.
func TestMoreTriesThanDescriptors(t *testing.T) {
	if !withFewDescriptors(t) {
		return
	}
	r := newTestRunner(t, RunnerOptions{})
	dir := t.TempDir()
	input, start := filepath.Join(dir, "in"), filepath.Join(dir, "start")
	if err := os.WriteFile(input, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	const tries = 150
	var running, all sync.WaitGroup
	running.Add(tries)
	var exits [tries]Exit
	for i := range tries {
		try := newTry(t, engine.TaskSpec{
			Script:  "until [ -e " + start + " ]; do sleep 0.05; done; mkdir -p d/e; cp $in d/e/f; cp $in g",
			Inputs:  []engine.Input{{Name: "in", Paths: []string{input}}},
			Outputs: []engine.Output{{Name: "d", Kind: engine.OutputDirectory, Path: "d"}, {Name: "g", Kind: engine.OutputFiles, Path: "g*"}},
		})
		try.Job += engine.JobID("-" + strconv.Itoa(i))
		all.Go(func() {
			onThread(func() {
				has := false
				exits[i] = r.Run(try, func() { has = true; running.Done() })
				if !has {
					running.Done()
				}
			})
		})
	}
	running.Wait()
	if err := os.WriteFile(start, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for i, exit := range exits {
		if exit.ExitCode == nil || *exit.ExitCode != 0 {
			t.Fatalf("try %d: %s %s", i, exit.StatusReason, exit.Reason)
		}
	}
}

// withFewDescriptors has a test run in a process of its own that may have 64 open files
// and no more, and reports whether this is that process.
func withFewDescriptors(t *testing.T) bool {
	t.Helper()
	const files = 64
	if os.Getenv("FLOW_TEST_NOFILE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "FLOW_TEST_NOFILE=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return false
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		t.Fatal(err)
	}
	return true
}

// BenchmarkProcess runs `true`, beside the least that starting it can cost.
func BenchmarkProcess(b *testing.B) {
	path, err := exec.LookPath("true")
	if err != nil {
		b.Fatal(err)
	}
	perOp := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "us/op")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("ForkExec", func(b *testing.B) {
		null, err := os.Open(os.DevNull)
		if err != nil {
			b.Fatal(err)
		}
		defer null.Close()
		attr := &syscall.ProcAttr{Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}, Env: os.Environ()}
		for b.Loop() {
			pid, err := syscall.ForkExec(path, []string{"true"}, attr)
			if err != nil {
				b.Fatal(err)
			}
			reap(pid, &agent.Usage{})
		}
		perOp(b)
	})
	bench := func(name string, spec engine.TaskSpec) {
		b.Run(name, func(b *testing.B) {
			r := newTestRunner(b, RunnerOptions{})
			try := newTry(b, spec)
			try.Array, try.Spec.FanOut = true, true
			try.Spec.ArraySize, try.Spec.Tasks = 1<<30, engine.Upto(1<<30)
			onThread(func() {
				for b.Loop() {
					if exit := r.Run(try, func() {}); exit.ExitCode == nil || *exit.ExitCode != 0 {
						b.Fatal(exit)
					}
					try.Index++
				}
			})
			perOp(b)
		})
	}
	bench("Run", engine.TaskSpec{Command: []string{"true"}})
	bench("RunWithOutput", engine.TaskSpec{
		Command: []string{"touch", "out"}, Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out"}},
	})
}
