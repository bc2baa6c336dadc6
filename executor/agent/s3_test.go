package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/engine"
	"flow/executor/executortest/fetched"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

const testWork = "s3://bucket/work"

// An s3Test is a job with its work_dir on S3, whose agents are run by this process, so that
// they can share a store in memory. They reap every child of this process: no such test is
// to run beside another one.
type s3Test struct {
	t    *testing.T
	mem  *storetest.Mem
	spec *engine.JobSpec
	ran  string // has a line for each time that the command was started
	said bytes.Buffer
}

// newS3Test writes the job file of a script with outputs.
func newS3Test(t *testing.T, script string, outputs ...engine.Output) *s3Test {
	t.Helper()
	s := &s3Test{t: t, mem: storetest.New(), ran: t.TempDir() + "/ran"}
	s.spec = &engine.JobSpec{
		Name: "job", Run: "run", Step: "step", WorkDir: testWork, Tasks: engine.Upto(1), Attempt: 1,
		Resources: engine.Resources{VCPUs: 1, MemoryMiB: 64},
		Task: &engine.TaskSpec{
			Script: `echo "$FLOW_ATTEMPT" >> "$RAN"; ` + script, Shell: []string{"/bin/sh", "-euc"},
			Env: map[string]string{"RAN": s.ran}, Outputs: outputs,
		},
	}
	s.write()
	return s
}

func (s *s3Test) files(st store.Store) *Files { return &Files{Store: always(st)} }

func always(st store.Store) func(context.Context) (store.Store, error) {
	return func(context.Context) (store.Store, error) { return st, nil }
}

func (s *s3Test) write() {
	s.t.Helper()
	f := s.files(s.mem.Again())
	if err := f.WriteJob(s.t.Context(), s.path(), s.spec); err != nil {
		s.t.Fatal(err)
	}
}

// input gives the task an input on S3.
func (s *s3Test) input(content string) {
	s.t.Helper()
	if _, err := s.mem.Put(s.t.Context(), "s3://bucket/in/a", []byte(content)); err != nil {
		s.t.Fatal(err)
	}
	s.spec.Task.Inputs = []engine.Input{{Name: "in", Paths: []string{"s3://bucket/in/"}}}
	s.write()
}

func (s *s3Test) path() string { return JobPath(testWork, s.spec.Run, s.spec.Name) }

func (s *s3Test) dir() string { return s.spec.TaskDir(0) }

// program returns an agent that sees a store, in a container of its own.
func (s *s3Test) program(st store.Store, id string, attempt int, env ...string) *Program {
	return &Program{
		Agent: Agent{Files: Files{Store: always(st)}}, Scratch: s.t.TempDir(), Stderr: &s.said,
		Environ: append([]string{"PATH=" + DefaultPath, "AWS_BATCH_JOB_ID=" + id, fmt.Sprint("AWS_BATCH_JOB_ATTEMPT=", attempt)}, env...),
	}
}

// run runs an attempt and returns its exit code and what the agent has said.
func (s *s3Test) run(st store.Store, id string, attempt int, env ...string) (int, string) {
	s.said.Reset()
	code := s.program(st, id, attempt, env...).Run(s.t.Context(), s.path())
	return code, s.said.String()
}

// must runs an attempt that is to end with a code and say that.
func (s *s3Test) must(id string, attempt, code int, want string) {
	s.t.Helper()
	if got, said := s.run(s.mem.Again(), id, attempt); got != code || said != want {
		s.t.Errorf("attempt %d ended with %d, want %d; it said %q, want %q", attempt, got, code, said, want)
	}
}

// result returns the manifest of the result, if it is there and whole.
func (s *s3Test) result() (*engine.Manifest, error) {
	f := s.files(s.mem.Again())
	return f.Manifest(s.t.Context(), s.dir())
}

// starts returns how often the command of each attempt was started.
func (s *s3Test) starts() map[string]int {
	n := map[string]int{}
	data, _ := os.ReadFile(s.ran)
	for line := range strings.Lines(string(data)) {
		n[strings.TrimSpace(line)]++
	}
	return n
}

// Outputs of every kind.
var (
	fileOutput = engine.Output{Name: "out", Kind: engine.OutputFile, Path: "sub/out"}
	allOutputs = []engine.Output{
		fileOutput,
		{Name: "dir", Kind: engine.OutputDirectory, Path: "dir"},
		{Name: "parts", Kind: engine.OutputFiles, Path: "part-*"},
		{Name: "n", Kind: engine.OutputJSON, Path: "n.json"},
	}
)

const allScript = `echo content > "$out"; mkdir -p dir/empty; echo x > dir/x; chmod 755 dir/x; touch part-1 part-2; echo '{"a": 1}' > n.json`

func TestProgramOnS3(t *testing.T) {
	s := newS3Test(t, allScript, allOutputs...)
	code, said := s.run(s.mem, "job", 1)
	if code != 0 || said != "" {
		t.Fatalf("exit code %d: %s", code, said)
	}
	m, err := s.result()
	if err != nil {
		t.Fatal(err)
	}
	have := s.mem.Objects()
	var want []string
	for _, f := range m.Files {
		uri := s.dir() + "/1/" + f.Path
		want = append(want, uri)
		data, ok := have[uri]
		if !ok || int64(len(data)) != f.Size {
			t.Errorf("%s has %d bytes, and the manifest says %d", uri, len(data), f.Size)
		}
		if got, err := s.mem.Head(t.Context(), uri); err != nil || got.ETag != f.ETag || got.SHA256 != f.SHA256 {
			t.Errorf("%+v is not %+v (%v)", got, f, err)
		}
		if x := f.Path == "dir/x"; x != (f.Mode == 0o755) {
			t.Errorf("%s has mode %o", f.Path, f.Mode)
		}
	}
	for _, rel := range []string{"sub/out", "dir/x", "dir/empty/", "part-1", "part-2", "n.json"} {
		if !slices.Contains(want, s.dir()+"/1/"+rel) {
			t.Errorf("the manifest has no %s", rel)
		}
	}
	want = append(want, s.path(), ClaimPath(s.dir(), 1), ManifestPath(s.dir(), 1), s.dir()+"/result")
	if diff := cmp.Diff(want, keys(have), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Error(diff)
	}
	if string(have[s.dir()+"/1/sub/out"]) != "content\n" || string(have[s.dir()+"/result"]) != "1\n" || string(have[ClaimPath(s.dir(), 1)]) != "job\n" {
		t.Errorf("there is %q", have)
	}
	if m.Job != "job" || m.Started == 0 || m.Stopped < m.Started || m.PeakMemory < 1<<16 || m.CPUSeconds <= 0 || m.BytesOut != 8+2+9 {
		t.Errorf("the manifest says %+v", m)
	}
	if got := string(m.Outputs["parts"]) + string(m.Outputs["n"]); got != `["part-1","part-2"]{"a":1}` {
		t.Errorf("the values are %s", got)
	}
	f := s.files(s.mem)
	if by, err := f.ReadClaim(t.Context(), s.dir(), 1); by != "job" || err != nil {
		t.Errorf("claimed by %q (%v)", by, err)
	}
	if _, err := f.ReadClaim(t.Context(), s.dir(), 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an attempt that was never made: %v", err)
	}
	s.must("job", 2, 0, "flow: attempt 1 has succeeded already, though its end was not seen\n")
	s.must("job", 1, 0, "flow: attempt 1 has succeeded already, though its end was not seen\n")
	s.must("twin", 1, ExitClaimed, "flow: another job (job) runs attempt 1: this one is a twin\n")
	s.must("twin", 3, ExitClaimed, "flow: another job (job) runs attempt 1: this one is a twin\n")
	if diff := cmp.Diff(map[string]int{"1": 1}, s.starts()); diff != "" {
		t.Error(diff)
	}
}

func keys(m map[string][]byte) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// So much is asked of S3 for a task, and no more.
func TestRequestsOfATask(t *testing.T) {
	s := newS3Test(t, `echo > "$out"`, fileOutput)
	s.spec.FanOut, s.spec.ArraySize, s.spec.Tasks = true, 10_000, engine.Upto(10_000)
	s.write()
	var calls []string
	s.mem.Fault = func(op, uri string) storetest.Fault {
		calls = append(calls, op+" "+strings.TrimPrefix(uri, testWork+"/run/"))
		return storetest.Fault{}
	}
	if code, said := s.run(s.mem, "job:9999", 1, "AWS_BATCH_JOB_ARRAY_INDEX=9999"); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	want := []string{
		"Range .jobs/job.job", "Range .jobs/job.job", "PutNew step/9999/1.claim",
		"Upload step/9999/1/sub/out", "PutNew step/9999/result", "PutNew step/9999/1.json",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
}

// A job file is read in as few requests as its size allows, and all of them see one file.
func TestJobFileOnS3(t *testing.T) {
	s := newS3Test(t, "", fileOutput)
	f := s.files(s.mem)
	for _, tt := range []struct {
		script int // bytes
		want   int // requests
	}{{100, 1}, {60 << 10, 1}, {200 << 10, 2}} {
		s.spec.Task.Script = strings.Repeat("#", tt.script)
		s.write()
		before := s.mem.Calls()
		job, err := f.ReadJob(t.Context(), s.path(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.mem.Calls() - before; got != tt.want || job.Spec.Script != s.spec.Task.Script || job.Dir != s.dir() {
			t.Errorf("of a script of %d bytes: %d requests for %d bytes, want %d; %s", tt.script, got, len(job.Spec.Script), tt.want, job.Dir)
		}
	}
	r, err := openObject(t.Context(), s.mem, s.path(), 100)
	if err != nil {
		t.Fatal(err)
	}
	s.spec.Task.Script = strings.Repeat("!", 200<<10)
	s.write()
	if _, err := readJob(s.path(), r, r.size, 0); !errors.Is(err, store.ErrChanged) {
		t.Errorf("of a file that was replaced: %v", err)
	}
	if _, err := f.ReadJob(t.Context(), s.path()+"x", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a file that is not there: %v", err)
	}
	other := JobPath(testWork+"2", s.spec.Run, s.spec.Name)
	if _, err := s.mem.Copy(t.Context(), s.path(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadJob(t.Context(), other, 0); err == nil || err.Error() != other+" belongs into "+testWork+"/run/.jobs" {
		t.Errorf("of a file that is elsewhere: %v", err)
	}
}

// A result is made known by its cache key, beside the runs.
func TestIndexEntry(t *testing.T) {
	s := newS3Test(t, `echo > "$out"`, fileOutput)
	a := Agent{Files: Files{Store: always(s.mem)}}
	task := &Task{Run: "run", Step: "step", Key: "", Attempt: 1, Spec: s.spec.Task, Dir: s.dir(), Scratch: t.TempDir(), CacheKey: engine.CacheKey{0xab, 1}}
	at, err := a.Begin(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	write(t, at.Dir+"/sub/out", "")
	m, err := at.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := hex.EncodeToString(task.CacheKey[:])
	if m.CacheKey != key {
		t.Errorf("the manifest has cache key %q", m.CacheKey)
	}
	path := testWork + "/.cache/ab/" + key
	check := func() {
		t.Helper()
		var e IndexEntry
		if err := json.Unmarshal(s.mem.Objects()[path], &e); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(IndexEntry{Run: "run", Step: "step", Dir: s.dir(), Attempt: 1}, e); diff != "" {
			t.Error(diff)
		}
	}
	check()
	// One that lacks comes with the next look at the attempt.
	if err := s.mem.Remove(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Recover(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	check()
}

// The pointer does not go back to an attempt that was taken for lost, unless the later one has
// no result.
func TestResultGoesForward(t *testing.T) {
	mem := storetest.New()
	o := objects{mem, testWork + "/run/step/_"}
	manifest := func(attempt int) {
		t.Helper()
		data, err := encodeManifest(&engine.Manifest{Version: manifestVersion, Attempt: attempt})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mem.Put(t.Context(), ManifestPath(o.uri, attempt), data); err != nil {
			t.Fatal(err)
		}
	}
	manifest(2)
	for _, tt := range []struct {
		attempt int
		whole   bool // its manifest is there
		want    int
	}{{2, true, 2}, {1, false, 2}, {1, true, 2}, {3, false, 3}, {2, false, 3}, {2, true, 2}} {
		set := o.point
		if tt.whole {
			set = o.setResult
		}
		if err := set(t.Context(), tt.attempt); err != nil {
			t.Fatal(err)
		}
		if got, err := o.result(t.Context()); got != tt.want || err != nil {
			t.Errorf("after attempt %d the result is %d (%v)", tt.attempt, got, err)
		}
	}
}

// A counting store counts the uploads that are under way.
type counting struct {
	store.Store
	now, most atomic.Int64
	gate      chan struct{} // closed when enough have come
	open      sync.Once
	enough    int64
}

func (c *counting) Upload(ctx context.Context, uri string, r io.ReaderAt, size int64) (store.Object, store.Sum, error) {
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	if n == c.enough {
		c.open.Do(func() { close(c.gate) })
	}
	<-c.gate
	o, sum, err := c.Store.Upload(ctx, uri, r, size)
	c.now.Add(-1)
	return o, sum, err
}

// Small files go side by side, but not all at once.
func TestManyUploads(t *testing.T) {
	s := newS3Test(t, `for i in $(seq 100); do echo $i > part-$i; done`, engine.Output{Name: "parts", Kind: engine.OutputFiles, Path: "part-*"})
	c := &counting{Store: s.mem, gate: make(chan struct{}), enough: smallAtOnce}
	if code, said := s.run(c, "job", 1); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if c.most.Load() != smallAtOnce {
		t.Errorf("%d uploads at once", c.most.Load())
	}
	if m, err := s.result(); err != nil || len(m.Files) != 100 {
		t.Errorf("the result is %+v (%v)", m, err)
	}
}

// What has no place on S3, and what has one though no key could be its name.
func TestNamesOnS3(t *testing.T) {
	dir := engine.Output{Name: "dir", Kind: engine.OutputDirectory, Path: "dir"}
	s := newS3Test(t, `mkdir dir; : > "dir/$(printf 'a\377')"; : > 'dir/ü b%'`, dir)
	s.must("job", 1, 0, "")
	m, err := s.result()
	if err != nil || len(m.Files) != 2 || m.Files[0].Path != "dir/a\xff" || m.Files[1].Path != "dir/ü b%" {
		t.Errorf("the result is %+v (%v)", m, err)
	}
	long := strings.Repeat("n", 200)
	s = newS3Test(t, `d=dir; for i in 1 2 3 4 5 6; do d=$d/`+long+`; done; mkdir -p $d; : > $d/x`, dir)
	code, said := s.run(s.mem, "job", 1)
	if want := "x has a key of 1229 bytes on S3, which takes 1024: give the file or its directories shorter names\n"; code != ExitOutput || !strings.HasSuffix(said, want) {
		t.Errorf("exit code %d, %s", code, said)
	}
}

// An agent publishes to S3. What belongs on the disk of who started the run is left to flow.
func TestPublishOfTaskOnS3(t *testing.T) {
	outputs := slices.Clone(allOutputs)
	elsewhere := t.TempDir()
	for i, target := range []string{"s3://bucket/results/file", "s3://bucket/results/tree", "s3://bucket/results/", elsewhere + "/n.json"} {
		outputs[i].Publish = target
	}
	s := newS3Test(t, allScript, outputs...)
	s.must("job", 1, 0, "")
	have := s.mem.Objects()
	for rel, want := range map[string]string{"file": "content\n", "tree/x": "x\n", "part-1": "", "part-2": ""} {
		if got, ok := have["s3://bucket/results/"+rel]; !ok || string(got) != want {
			t.Errorf("%s is %q (there: %t)", rel, got, ok)
		}
	}
	if names, err := os.ReadDir(elsewhere); len(names) > 0 || err != nil {
		t.Errorf("there is %v (%v)", names, err)
	}
}

// The same on a server of S3, as the next task sees it.
func TestProgramOnAServer(t *testing.T) {
	server := fetched.S3(t)
	server.MakeBucket("bucket")
	for _, kv := range server.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	st, err := store.Open(t.Context(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s := newS3Test(t, allScript+`; : > "dir/$(printf 'a\377')"; mkdir none`, append(slices.Clone(allOutputs), engine.Output{Name: "none", Kind: engine.OutputDirectory, Path: "none"})...)
	run := func(id string, attempt, code int) {
		t.Helper()
		if err := (&Files{Store: always(st)}).WriteJob(t.Context(), s.path(), s.spec); err != nil {
			t.Fatal(err)
		}
		if got, said := s.run(st, id, attempt); got != code {
			t.Fatalf("exit code %d: %s", got, said)
		}
	}
	run("job", 1, 0)
	run("job", 2, 0)
	run("twin", 1, ExitClaimed)
	f := &Files{Store: always(st)}
	dir := s.dir()
	m, err := f.Manifest(t.Context(), dir)
	if err != nil || len(m.Files) != 8 {
		t.Errorf("the result is %+v (%v)", m, err)
	}
	s.spec.Name, s.spec.Step = "next", "next"
	s.spec.Task.Inputs = []engine.Input{
		{Name: "dir", Paths: []string{engine.ResultPath(dir, "dir")}}, {Name: "n", Paths: []string{engine.ResultPath(dir, "n.json")}},
		{Name: "none", Paths: []string{engine.ResultPath(dir, "none")}}}
	s.spec.Task.Script = `test -s "$n"; test -d "$none"; test -d "$dir/empty"; test -x "$dir/x"; test -e "$dir/$(printf 'a\377')"; echo > "$out"`
	s.spec.Task.Outputs = []engine.Output{fileOutput}
	run("next", 1, 0)
}
