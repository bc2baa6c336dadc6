package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

// filesOn makes a store of objects that of the executor.
func filesOn(x *Executor, s store.Store) {
	x.o.Files = &agent.Files{Store: func(context.Context) (store.Store, error) { return s, nil }}
}

// write makes a file.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// onS3 is a job whose files are on S3, with inputs of everywhere.
func onS3(t *testing.T, dir string) *engine.JobSpec {
	t.Helper()
	spec := agentSpec("s3://lab/flow")
	a, b, ref := write(t, dir+"/a.fq", "a"), write(t, dir+"/b.fq", "b"), filepath.Dir(write(t, dir+"/ref/genome.fa", "g"))
	spec.Keys = []string{"a", "b"}
	spec.Task.Inputs = []engine.Input{
		{Name: "model", Paths: []string{"https://example.org/model"}}, {Name: "reads", Paths: []string{"s3://lab/r.fq"}}, {Name: "ref", Paths: []string{ref}, IDs: []string{"sha256:1"}},
	}
	spec.Task.Outputs[0].Publish = dir + "/results/"
	spec.Items = []*engine.Item{{Inputs: []engine.Input{{Name: "x", List: true, Paths: []string{a, "s3://lab/c.fq", b}}}}, nil}
	spec.Items[1] = &engine.Item{Outputs: []engine.Output{{Name: "out", Path: "x", Publish: "s3://lab/results/"}}}
	return spec
}

// What jobs read of this machine is uploaded first, once, and what they are told has no path
// of this machine.
func TestSubmitFilesOnS3(t *testing.T) {
	dir := t.TempDir()
	spec := onS3(t, dir)
	before, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	mem := storetest.New()
	var mu sync.Mutex
	puts := map[string]int{}
	mem.Fault = func(op, uri string) storetest.Fault {
		if op == "Put" || op == "Upload" {
			puts[uri]++ // one call at a time
		}
		return storetest.Fault{}
	}
	r := &registry{}
	var commands []string
	_, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
		if operation == "submitjob" {
			text, _ := json.Marshal(body)
			mu.Lock()
			commands = append(commands, string(text))
			mu.Unlock()
			if file := mem.Objects()[jobFile(spec)]; file == nil || bytes.Contains(file, []byte(dir)) {
				t.Errorf("the job file, before the job: %q", file)
			}
		}
		r.answer(w, operation, body)
	})
	filesOn(x, mem)
	for _, name := range []string{"one", "two"} {
		spec.Name = name
		if _, err := x.Submit(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	if want := `"-scratch","/flow-work","-region","us-east-1","--","s3://lab/flow/01jrun/.jobs/two.job"`; len(commands) != 2 || !strings.Contains(commands[1], want) || strings.Contains(commands[1], dir) {
		t.Errorf("submitted %v, want %s", commands, want)
	}
	spec.Name = "flow-01jrun-step-1-abcdef"
	var was engine.JobSpec
	if err := json.Unmarshal(before, &was); err != nil {
		t.Fatal(err)
	}
	spec.Name = was.Name
	if after, err := json.Marshal(spec); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the job was changed to %s: %v", after, err)
	}
	for uri, n := range puts {
		if n != 1 {
			t.Errorf("%s was put %d times", uri, n)
		}
	}

	var got [2][]string
	for i := range got {
		job, err := x.o.Files.ReadJob(t.Context(), agent.JobPath("s3://lab/flow", "01jrun", "two"), i)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range job.Spec.Inputs {
			got[i] = append(got[i], in.Paths...)
			if in.Name == "ref" && !slices.Equal(in.IDs, []string{"sha256:1"}) {
				t.Errorf("ref is known as %v", in.IDs)
			}
		}
		for _, out := range job.Spec.Outputs {
			got[i] = append(got[i], "> "+out.Publish)
		}
	}
	uris, err := x.o.Files.Upload(t.Context(), "s3://lab/flow", []string{dir + "/a.fq", dir + "/b.fq", dir + "/ref"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := [2][]string{
		{uris[dir+"/a.fq"], "s3://lab/c.fq", uris[dir+"/b.fq"], "> "},
		{"https://example.org/model", "s3://lab/r.fq", uris[dir+"/ref"], "> s3://lab/results/"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What goes wrong before SubmitJob is no reason to think that there is a job.
func TestSubmitFaultsOfS3(t *testing.T) {
	broken := errors.New("connection reset")
	for _, test := range []struct {
		name string
		op   string
		fail storetest.Fault
		want string
	}{
		{"job file refused", "Put", storetest.Refused, wantLater},
		{"answer lost", "Put", storetest.Lost, wantLater},
		{"not allowed", "Put", storetest.Fault{Err: fs.ErrPermission}, wantRefused},
		{"no bucket", "Put", storetest.Fault{Err: store.ErrNoBucket}, wantRefused},
		{"upload breaks off", "Upload", storetest.Fault{Err: broken}, wantLater},
		{"upload not allowed", "Upload", storetest.Fault{Err: fs.ErrPermission}, wantRefused},
		{"cannot be looked at", "Head", storetest.Fault{Err: broken}, wantLater},
	} {
		t.Run(test.name, func(t *testing.T) {
			mem := storetest.New()
			mem.Fault = func(op, uri string) storetest.Fault {
				if op == test.op {
					return test.fail
				}
				return storetest.Fault{}
			}
			r := &registry{}
			f, x := newFake(t, r.answer)
			filesOn(x, mem)
			spec := onS3(t, t.TempDir())
			if _, err := x.Submit(t.Context(), spec); outcome(err) != test.want || test.want == wantLater && errors.Is(err, engine.ErrRefused) {
				t.Errorf("%s: %v, want %s", outcome(err), err, test.want)
			}
			if len(f.called()) > 0 {
				t.Errorf("AWS Batch was called: %v", f.called())
			}
			mem.Fault = nil
			if _, err := x.Submit(t.Context(), spec); err != nil || r.jobs != 1 {
				t.Errorf("the next time: %v; %d jobs", err, r.jobs)
			}
		})
	}
	for name, test := range map[string]struct {
		open func(context.Context) (store.Store, error)
		gone bool
		want string
	}{
		"no store":           {nil, false, wantRefused},
		"store out of reach": {func(context.Context) (store.Store, error) { return nil, broken }, false, wantLater},
		"input gone":         {func(context.Context) (store.Store, error) { return storetest.New(), nil }, true, wantRefused},
	} {
		f, x := newFake(t, (&registry{}).answer)
		x.o.Files = &agent.Files{Store: test.open}
		dir := t.TempDir()
		spec := onS3(t, dir)
		if test.gone {
			if err := os.Remove(dir + "/b.fq"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := x.Submit(t.Context(), spec); outcome(err) != test.want || test.gone && !strings.Contains(err.Error(), dir+"/b.fq") {
			t.Errorf("%s: %s: %v, want %s", name, outcome(err), err, test.want)
		}
		if len(f.called()) > 0 {
			t.Errorf("%s: AWS Batch was called: %v", name, f.called())
		}
	}
}

// elsewhereStore is a store that says where it is.
type elsewhereStore struct{ *storetest.Mem }

func (elsewhereStore) Region() string   { return "eu-west-1" }
func (elsewhereStore) Endpoint() string { return "http://minio:9000" }

// The agent is told where S3 is, also of a job that only reads something there.
func TestAgentIsToldOfS3(t *testing.T) {
	var command string
	r := &registry{}
	_, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
		if operation == "submitjob" {
			text, _ := json.Marshal(body["ecsPropertiesOverride"])
			command = string(text)
		}
		r.answer(w, operation, body)
	})
	filesOn(x, elsewhereStore{storetest.New()})
	work := t.TempDir()
	for i, test := range []struct {
		spec *engine.JobSpec
		want string
	}{
		{agentSpec("s3://lab/flow"), `"run","-scratch","/flow-work","-region","eu-west-1","-endpoint","http://minio:9000","--",`},
		{agentSpec(work), `"run","--",`},
		{agentSpec(work), `"run","-region","eu-west-1","-endpoint","http://minio:9000","--",`},
		{agentSpec(work), `"run","-region","eu-west-1","-endpoint","http://minio:9000","--",`},
	} {
		switch i {
		case 2:
			test.spec.Task.Inputs = []engine.Input{{Name: "a", Paths: []string{"s3://lab/a"}}}
		case 3:
			test.spec.Items = []*engine.Item{nil, {Outputs: []engine.Output{{Name: "out", Path: "o", Publish: "s3://lab/o"}}}}
		}
		if _, err := x.Submit(t.Context(), test.spec); err != nil || !strings.Contains(command, test.want) {
			t.Errorf("%d: %v: %s, want %s", i, err, command, test.want)
		}
	}
}

// What does not fit into a job goes by way of S3, for steps without files as well, and a child
// reads little of it.
func TestLargeJobsGoByS3(t *testing.T) {
	const size = 10_000
	mem := storetest.New()
	r := &registry{}
	_, x := newFake(t, r.answer)
	filesOn(x, mem)
	item := strings.Repeat("x", 1000)
	many := arraySpec(engine.Upto(size))
	many.WorkDir, many.Keys = "s3://lab/flow", make([]string, size)
	for i := range size {
		many.Keys[i] = fmt.Sprint("sample-", i)
		many.Items = append(many.Items, &engine.Item{Env: map[string]string{"SAMPLE": fmt.Sprint(item, i)}})
	}
	long := arraySpec(engine.Upto(2))
	long.WorkDir, long.Task.Command, long.Task.Shell, long.Task.Script = "s3://lab/flow", nil, []string{"sh", "-c"}, strings.Repeat("true\n", 40_000)
	for name, test := range map[string]struct {
		spec  *engine.JobSpec
		child int
		calls int // that a child makes at most, to read its part
		has   func(*agent.Job) bool
	}{
		"items":  {many, size - 1, 2, func(j *agent.Job) bool { return j.Spec.Env["SAMPLE"] == item+"9999" && j.Key == "sample-9999" }},
		"script": {long, 1, 4, func(j *agent.Job) bool { return j.Spec.Script == long.Task.Script }},
	} {
		test.spec.Name = name
		if _, err := x.Submit(t.Context(), test.spec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p := PayloadOf(test.spec, CheckOptions{AgentImage: "flow"}); !p.Agent || p.Submit > 3000 || p.Overrides > 3000 {
			t.Errorf("%s: %+v", name, p)
		}
		calls := mem.Calls()
		job, err := x.o.Files.ReadJob(t.Context(), jobFile(test.spec), test.child)
		if err != nil || !test.has(job) {
			t.Errorf("%s: %+v, %v", name, job, err)
		}
		if n := mem.Calls() - calls; n > test.calls {
			t.Errorf("%s: %d calls of one child", name, n)
		}
	}
}
