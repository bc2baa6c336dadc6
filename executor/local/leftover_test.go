package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"flow/engine"
)

// TestLeftovers kills a flow (this test's own program, run again) with SIGKILL while a
// task runs that has a child in its group, one in another session, and one that ignores
// SIGTERM there.
func TestLeftovers(t *testing.T) {
	run, dir := os.Getenv("FLOW_TEST_RUN"), os.Getenv("FLOW_TEST_DIR")
	if run != "" {
		runTaskForever(t, run, dir)
		return
	}
	dir, run = t.TempDir(), "left-"+strconv.Itoa(os.Getpid())
	pids := filepath.Join(dir, "pids")
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeftovers$")
	cmd.Env = append(os.Environ(), "FLOW_TEST_RUN="+run, "FLOW_TEST_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lives := awaitFile(t, pids)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	try := newTry(t, engine.TaskSpec{Command: []string{"true"}})
	try.Spec.Run = engine.RunID(run)
	other := exec.Command("sleep", "1000") // of another run
	other.Env = []string{"FLOW_RUN_ID=" + run + "x", "PATH=" + os.Getenv("PATH")}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Process.Kill(); err != nil {
			t.Error("a process of another run was ended:", err)
		}
		_ = other.Wait()
	}()
	r := newTestRunner(t, RunnerOptions{}).(Recoverer)
	if err := r.Leftovers([]*Try{try, try}, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if len(lives) != 4 {
		t.Errorf("%d processes, want 4: %q", len(lives), lives)
	}
	assertGone(t, lives...)
	if err := r.Leftovers(nil, time.Hour); err != nil {
		t.Error(err)
	}
	if err := r.Leftovers([]*Try{try}, time.Hour); err != nil { // nothing is left: returns at once
		t.Error(err)
	}
}

// runTaskForever is the flow that is killed.
func runTaskForever(t *testing.T, run, dir string) {
	r, err := NewRunner(RunnerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	try := newTry(t, engine.TaskSpec{
		Env: map[string]string{"dir": dir},
		Script: `
			sleep 1000 & echo $$ $! > "$dir/a"
			setsid sleep 1000 & echo $! > "$dir/b"
			setsid bash -c 'trap "" TERM HUP; echo $$ > "$dir/c"; while :; do sleep 1000; done' &
			while ! test -s "$dir/c"; do :; done
			echo $(cat "$dir/a" "$dir/b" "$dir/c") > "$dir/pids"
			wait`,
	})
	try.Spec.Run = engine.RunID(run)
	runtime.LockOSThread()
	r.Run(try, func() {})
}

func TestMarks(t *testing.T) {
	tests := []struct {
		environ string
		want    bool
	}{
		{"A=1\x00FLOW_RUN_ID=x\x00B=2\x00", true},
		{"FLOW_RUN_ID=x", true},
		{"FLOW_RUN_ID=xy\x00", false},
		{"OTHER_FLOW_RUN_ID=x\x00", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := (marks{"FLOW_RUN_ID=x": true}).in(tt.environ); got != tt.want {
			t.Errorf("%q: %v", tt.environ, got)
		}
	}
}
