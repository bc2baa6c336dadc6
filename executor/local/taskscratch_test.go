package local

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

// onS3 returns options of a runner whose tasks have their files in a store in memory.
func onS3(t *testing.T) (RunnerOptions, *storetest.Mem) {
	objects := storetest.New()
	return RunnerOptions{
		Store:       func(context.Context) (store.Store, error) { return objects, nil },
		TaskScratch: t.TempDir(),
	}, objects
}

// namesIn returns the names in a directory.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestScratchTask: a task whose files are on S3 works in the scratch directory, of which
// nothing but the logs is left when it has succeeded, and all of it until then.
func TestScratchTask(t *testing.T) {
	t.Parallel()
	o, objects := onS3(t)
	r, err := newProcesses(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	given := filepath.Join(t.TempDir(), "given")
	if err := os.WriteFile(given, []byte("given\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	try := newTry(t, engine.TaskSpec{
		Script:  `echo "try $FLOW_ATTEMPT"; cat "$given" > "$out"; test "$FLOW_ATTEMPT" = 2 #` + strings.Repeat("x", agent.MaxArg),
		Inputs:  []engine.Input{{Name: "given", Paths: []string{given}}},
		Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "sub/out.txt"}},
	})
	try.Spec.WorkDir = "s3://bucket/work"
	key := engine.CacheKey{1, 2, 3}
	try.Spec.CacheKeys = engine.StoredKeys(engine.Upto(1), key[:])
	here := ScratchDir(o.TaskScratch, try.Spec, 0)
	if want := engine.TaskDir(o.TaskScratch, try.Spec.Run, "step", engine.NoKeyDir); here != want {
		t.Fatalf("it works in %s, want %s", here, want)
	}
	if exit, _ := run(r, try); !cmp.Equal(exit, code(1)) {
		t.Fatalf("the first try: %+v", exit)
	}
	if diff := cmp.Diff([]string{"1", "1.log", "1.script"}, namesIn(t, here)); diff != "" {
		t.Error("after a failure:", diff)
	}
	try.Attempt = 2
	if exit, _ := run(r, try); !cmp.Equal(exit, code(0)) {
		t.Fatalf("the second try: %+v", exit)
	}
	if diff := cmp.Diff([]string{"1.log", "2.log"}, namesIn(t, here)); diff != "" {
		t.Error("after a success:", diff)
	}
	dir := try.Spec.TaskDir(0)
	if got := string(objects.Objects()[dir+"/2/sub/out.txt"]); got != "given\n" {
		t.Errorf("the output is %q", got)
	}
	var m engine.Manifest
	if err := json.Unmarshal(objects.Objects()[agent.ManifestPath(dir, 2)], &m); err != nil {
		t.Fatal(err)
	}
	if m.CacheKey != hex.EncodeToString(key[:]) || m.Job != try.Job {
		t.Errorf("the manifest has key %s and job %s", m.CacheKey, m.Job)
	}
	if m.Started == 0 || m.Stopped < m.Started || m.PeakMemory < 1<<16 || m.CPUSeconds <= 0 || m.BytesOut != 6 {
		t.Errorf("it took from %d to %d, %d bytes, %v s, and left %d bytes", m.Started, m.Stopped, m.PeakMemory, m.CPUSeconds, m.BytesOut)
	}
	want := code(0)
	want.Used = m.Used()
	if exit, ok := r.Finished(try); !ok || !cmp.Equal(exit, want) {
		t.Errorf("its result is not found: %+v, %v", exit, ok)
	}
}

// TestScratchAlone: a task that needs no agent leaves only its log as well.
func TestScratchAlone(t *testing.T) {
	t.Parallel()
	o, objects := onS3(t)
	r, err := newProcesses(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	try := newTry(t, engine.TaskSpec{Script: `echo hello > file; cat file`})
	try.Spec.WorkDir = "s3://bucket/work"
	if exit, _ := run(r, try); !cmp.Equal(exit, code(0)) {
		t.Fatalf("%+v", exit)
	}
	here := ScratchDir(o.TaskScratch, try.Spec, 0)
	if diff := cmp.Diff([]string{"1.log"}, namesIn(t, here)); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(LogPath(here, 1)); err != nil || string(b) != "hello\n" {
		t.Errorf("its log: %q, %v", b, err)
	}
	if n := objects.Calls(); n != 0 {
		t.Errorf("it made %d calls", n)
	}
}

// TestScratchLogs: the executor finds the logs of such tasks.
func TestScratchLogs(t *testing.T) {
	t.Parallel()
	o, _ := onS3(t)
	x := openTest(t, Options{VCPUs: 1, MemoryMiB: 1024, Store: o.Store, TaskScratch: o.TaskScratch})
	try := newTry(t, engine.TaskSpec{Script: `echo hello`})
	try.Spec.Name, try.Spec.WorkDir, try.Spec.Attempts = "flow-logs", "s3://bucket/work", 1
	id, err := x.Submit(t.Context(), try.Spec)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line, err := range x.Logs(t.Context(), id, engine.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line.Text)
	}
	if diff := cmp.Diff([]string{"hello"}, lines); diff != "" {
		t.Error(diff)
	}
}

// TestJournaledKeys: the journal keeps the cache keys of a job whose files are on S3.
func TestJournaledKeys(t *testing.T) {
	keys := []byte(strings.Repeat("a", 32) + strings.Repeat("b", 32))
	spec := &engine.JobSpec{
		Run: "r", Step: "s", FanOut: true, WorkDir: "s3://bucket/work", ArraySize: 2, Tasks: engine.RangesOf(3, 7),
		Task:      &engine.TaskSpec{Command: []string{"true"}, Outputs: []engine.Output{{Name: "out", Path: "out"}}},
		CacheKeys: engine.StoredKeys(engine.RangesOf(3, 7), keys),
	}
	for _, workDir := range []string{"s3://bucket/work", "/work"} {
		spec.WorkDir = workDir
		line, err := json.Marshal(journaled(spec))
		if err != nil {
			t.Fatal(err)
		}
		got := readJournaled(string(line))
		if got == nil || got.Step != "s" || got.WorkDir != workDir {
			t.Fatalf("%s: %+v", line, got)
		}
		for i := range 2 {
			want := engine.CacheKey{}
			if store.Is(workDir) {
				want = spec.CacheKey(i)
			}
			if got.CacheKey(i) != want {
				t.Errorf("%s: child %d has %x, want %x", workDir, i, got.CacheKey(i), want)
			}
		}
	}
	if readJournaled("{") != nil {
		t.Error("half a line is a job")
	}
}

// TestTaskEnv: every container of a Task has the variables of the runner, and its own win.
func TestTaskEnv(t *testing.T) {
	t.Parallel()
	logs := &testLogs{dir: t.TempDir(), open: map[string]int{}}
	r, err := newProcesses(RunnerOptions{Logs: logs, TaskEnv: []string{"GIVEN=role", "BOTH=role", "AWS_BATCH_JOB_ID=fake"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	try := newTry(t, engine.TaskSpec{})
	try.Spec, try.TaskID, try.LogStream = nil, "id", "stream"
	try.Task = &Task{Containers: []Container{{
		Name: DefaultContainer, Essential: true, LogGroup: "group", LogCreateGroup: true, Env: []string{"BOTH=own"},
		Command: []string{"sh", "-c", `echo "$GIVEN $BOTH $AWS_BATCH_JOB_ID"`},
	}}}
	if exit, _ := run(r, try); !cmp.Equal(exit, code(0)) {
		t.Fatalf("%+v", exit)
	}
	if got, want := logs.read(t, "stream"), "role own "+string(try.Job)+"\n"; got != want {
		t.Errorf("it has %q, want %q", got, want)
	}
}

// testContainerScratch: a container sees its scratch directory, with what was fetched, and
// the inputs of this machine.
func testContainerScratch(t *testing.T, name string) {
	o, objects := onS3(t)
	o.Containers = name
	r := newTestRunner(t, o)
	if _, err := objects.Put(t.Context(), "s3://bucket/in/far.txt", []byte("far\n")); err != nil {
		t.Fatal(err)
	}
	near := filepath.Join(t.TempDir(), "near.txt")
	if err := os.WriteFile(near, []byte("near\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	try := inContainer(t, engine.TaskSpec{
		Script: `cat "$far" "$near" > "$out"; echo done`,
		Inputs: []engine.Input{
			{Name: "far", Paths: []string{"s3://bucket/in/far.txt"}}, {Name: "near", Paths: []string{near}},
		},
		Outputs:   []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out.txt"}},
		Container: &engine.Container{User: "1000:1000"},
	})
	try.Spec.WorkDir = "s3://bucket/work"
	here := ScratchDir(o.TaskScratch, try.Spec, 0)
	if exit, _ := run(r, try); !cmp.Equal(exit, code(0)) {
		log, _ := os.ReadFile(LogPath(here, 1))
		t.Fatalf("%+v\n%s", exit, log)
	}
	if got := string(objects.Objects()[try.Spec.TaskDir(0)+"/1/out.txt"]); got != "far\nnear\n" {
		t.Errorf("the output is %q", got)
	}
	if diff := cmp.Diff([]string{"1.log"}, namesIn(t, here)); diff != "" {
		t.Error(diff)
	}
}
