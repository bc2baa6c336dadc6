package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

// filesOn returns Files with a store.
func filesOn(m *storetest.Mem) *Files {
	return &Files{Store: func(context.Context) (store.Store, error) { return m, nil }}
}

// put makes objects: URI, content, URI, content, ...
func put(t testing.TB, m *storetest.Mem, objects ...string) {
	t.Helper()
	for i := 0; i < len(objects); i += 2 {
		if _, err := m.Again().Put(context.Background(), objects[i], []byte(objects[i+1])); err != nil {
			t.Fatal(err)
		}
	}
}

// farTask returns a task with inputs whose work_dir is s3://work/w.
func farTask(t testing.TB, inputs ...engine.Input) *Task {
	t.Helper()
	return &Task{
		Run: "run", Step: "step", Key: "k", Attempt: 1, Spec: &engine.TaskSpec{Inputs: inputs},
		Dir: "s3://work/w/run/step/k", Scratch: t.TempDir() + "/scratch",
	}
}

// beginOn stages a task in with a store.
func beginOn(m *storetest.Mem, task *Task) (*Attempt, error) {
	a := &Agent{}
	a.Files.Store = filesOn(m).Store
	return a.Begin(context.Background(), task)
}

// succeed makes the result of a task on S3, from files with their contents.
func succeed(t testing.TB, m *storetest.Mem, dir string, outputs []engine.Output, files ...string) *engine.Manifest {
	t.Helper()
	parts := strings.Split(dir, "/")
	task := &Task{
		Run: engine.RunID(parts[len(parts)-3]), Step: engine.StepName(parts[len(parts)-2]), Key: "k", Attempt: 1,
		Dir: dir, Scratch: t.TempDir() + "/scratch", Spec: &engine.TaskSpec{Outputs: outputs},
	}
	at, err := beginOn(m, task)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		write(t, at.Dir+"/"+files[i], files[i+1])
		if strings.HasSuffix(files[i], ".sh") {
			if err := os.Chmod(at.Dir+"/"+files[i], 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	man, err := at.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return man
}

// contents returns the files below a directory, and the empty directories with a slash.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			if entries, _ := os.ReadDir(path); len(entries) == 0 && rel != "." {
				found[rel+"/"] = ""
			}
			return nil
		}
		found[rel] = read(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// oddKeys are names of objects that trip whatever takes a URI for one of the web.
var oddKeys = []string{"a b", "100%", "%41", "a+b", "é", "x#y", "q?r=s", "new\nline", "[a]", "*", "'\"", "a&b=c", "=", strings.Repeat("n", 250)}

func TestStageFarFile(t *testing.T) {
	for _, name := range oddKeys {
		m := storetest.New()
		uri := "s3://in/some dir/" + name
		put(t, m, uri, "hello")
		at, err := beginOn(m, farTask(t, engine.Input{Name: "in", Paths: []string{uri}}))
		if err != nil {
			t.Fatal(err)
		}
		got := env(t, at, "in")
		if got != at.Dir+"/inputs/in/"+name || read(t, got) != "hello" {
			t.Errorf("%q is staged at %q", uri, got)
		}
		if at.bytesIn != 5 {
			t.Errorf("%d bytes in, want 5", at.bytesIn)
		}
	}
}

func TestStageFarDirectory(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/ref/", "", "s3://in/ref/a", "1", "s3://in/ref/sub/deep/b", "", "s3://in/ref/void/", "", "s3://in/reference", "no")
	for _, uri := range []string{"s3://in/ref", "s3://in/ref/"} {
		at, err := beginOn(m, farTask(t, engine.Input{Name: "in", Paths: []string{uri}}))
		if err != nil {
			t.Fatal(err)
		}
		if got := env(t, at, "in"); got != at.Dir+"/inputs/in/ref" {
			t.Error(got)
		}
		want := map[string]string{"a": "1", "sub/deep/b": "", "void/": ""}
		if diff := cmp.Diff(want, contents(t, env(t, at, "in"))); diff != "" {
			t.Error(uri, diff)
		}
	}
}

func TestStageFarList(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a/x", "1", "s3://in/b/x", "2", "s3://in/new\nline", "3")
	local := write(t, t.TempDir()+"/l", "4")
	paths := []string{"s3://in/a/x", "s3://in/b/x", local, "s3://in/new\nline"}
	at, err := beginOn(m, farTask(t, engine.Input{Name: "in", List: true, Paths: paths}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"0-x": "1", "1-x": "2", "2-l": "4", "3-new\nline": "3"}
	got := map[string]string{}
	entries, err := os.ReadDir(env(t, at, "in"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got[e.Name()] = read(t, env(t, at, "in")+"/"+e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text := ""
	for line := range strings.Lines(read(t, env(t, at, "in_list"))) {
		text += read(t, strings.TrimSuffix(line, "\n"))
	}
	if text != "1243" {
		t.Errorf("the list has the contents %q", text)
	}
}

// TestStageFarResult: files and directories of results on S3 are those of the attempt that
// succeeded, programs are executable, and a result of another bucket is as good.
func TestStageFarResult(t *testing.T) {
	m := storetest.New()
	outputs := []engine.Output{{Name: "f", Kind: engine.OutputFile, Path: "result/f"}, {Name: "d", Kind: engine.OutputDirectory, Path: "d"}, {Name: "e", Kind: engine.OutputDirectory, Path: "e"}}
	for _, dir := range []string{"s3://work/w/run0/make/_", "s3://other/result/x/run/make/_"} {
		if err := os.Mkdir(t.TempDir()+"/e", 0o777); err != nil {
			t.Fatal(err)
		}
		task := farTask(t)
		task.Dir, task.Spec = dir, &engine.TaskSpec{Outputs: outputs}
		at, err := beginOn(m, task)
		if err != nil {
			t.Fatal(err)
		}
		write(t, at.Dir+"/result/f", "new")
		if err := os.Chmod(write(t, at.Dir+"/d/sub/run.sh", "#!"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, at.Dir+"/d/\xff", "raw")
		if err := os.MkdirAll(at.Dir+"/e", 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := at.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		put(t, m, dir+"/2/result/f", "half") // of an attempt that never ended
		var inputs []engine.Input
		for name, rel := range map[string]string{"f": "result/f", "d": "d", "e": "e", "g": "d/sub/run.sh"} {
			inputs = append(inputs, engine.Input{Name: name, Paths: []string{engine.ResultPath(dir, rel)}, IDs: []string{"task:abc"}})
		}
		got, err := beginOn(m, farTask(t, inputs...))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"f/f": "new", "d/d/sub/run.sh": "#!", "d/d/\xff": "raw", "e/e/": "", "g/run.sh": "#!"}
		if diff := cmp.Diff(want, contents(t, got.Dir+"/inputs")); diff != "" {
			t.Error(diff)
		}
		for _, path := range []string{"/inputs/d/d/sub/run.sh", "/inputs/g/run.sh"} {
			if info, err := os.Stat(got.Dir + path); err != nil || info.Mode().Perm()&0o111 == 0 {
				t.Errorf("%s: %v, and is not executable", path, err)
			}
		}
	}
}

func TestStageFarErrors(t *testing.T) {
	m := storetest.New()
	dir := "s3://work/w/run0/make/_"
	succeed(t, m, dir, []engine.Output{{Name: "f", Kind: engine.OutputFile, Path: "f"}, {Name: "g", Kind: engine.OutputFile, Path: "g"}}, "f", "hello", "g", "hello")
	m.Corrupt(dir+"/1/f", true, func(b []byte) []byte { return b[:3] })
	m.Corrupt(dir+"/1/g", false, func([]byte) []byte { return []byte("HELLO") })
	put(t, m, "s3://in/a", "hello", "s3://in/up/../../../x", "evil", "s3://in/abs//x", "evil", "s3://in/both/x", "", "s3://in/both/x/y", "",
		"s3://work/w/run0/other/_/1.claim", "job")
	tests := []struct {
		name, uri, id, want string
	}{
		{"not there", "s3://in/b", "", "s3://in/b is not there"},
		{"not below", "s3://in/a/", "", "s3://in/a/ is not there"},
		{"no bucket", "s3://", "", "is no URI of S3"},
		{"another scheme", "gs://in/a", "", "gs is not known here"},
		{"plain http", "http://in/a", "", "http is not known here"},
		{"no result", "s3://work/w/run0/other/_/result/x", "", "the task that makes it has no result; flow resume RUN -from other"},
		{"not in the result", "s3://work/w/run0/make/_/result/x", "", "the result of its task has no such file"},
		{"cut result", "s3://work/w/run0/make/_/result/f", "task:abc", "has 3 bytes, and not the 5 that it had; flow resume RUN -from make makes it again, or flow run with -replace make"},
		{"another result", "s3://work/w/run0/make/_/result/g", "task:abc", "changed since the run looked at it; flow resume RUN -from make makes it again"},
		{"changed", "s3://in/a", "sha256:" + hexSum("hallo"), "s3://in/a changed since the run looked at it: it was sha256 "},
		{"changed tag", "s3://in/a", "etag:abc:5", "changed since the run looked at it"},
		{"changed directory", "s3://in/both", "list:abc", "changed since the run looked at it"},
		{"escapes", "s3://in/up", "", "whose name no file can have"},
		{"empty element", "s3://in/abs", "", "whose name no file can have"},
		{"file and directory", "s3://in/both", "", "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := engine.Input{Name: "in", Paths: []string{tt.uri}}
			if tt.id != "" {
				in.IDs = []string{tt.id}
			}
			for _, local := range []bool{false, true} {
				task := farTask(t, in)
				if local {
					task.Dir = t.TempDir() + "/w/run/step/k"
				}
				_, err := beginOn(m, task)
				assertError(t, err, StageIn, `input "in": `)
				assertError(t, err, StageIn, tt.want)
			}
		})
	}
}

// TestStageFarTransient: what S3 does not tell is never taken for something that is not there.
func TestStageFarTransient(t *testing.T) {
	m := storetest.New()
	dir := "s3://work/w/run0/make/_"
	succeed(t, m, dir, []engine.Output{{Name: "f", Kind: engine.OutputFile, Path: "f"}}, "f", "hello")
	put(t, m, "s3://in/a/b", "1")
	local := t.TempDir()
	write(t, local+"/x", "1")
	for _, uri := range []string{upload(t, filesOn(m), local)[local], engine.ResultPath(dir, "f"), "s3://in/a", "s3://in/a/b", "s3://in/result/none"} {
		for n := 1; ; n++ {
			own := m.Again()
			calls := 0
			own.Fault = func(string, string) storetest.Fault {
				if calls++; calls == n {
					return storetest.Refused
				}
				return storetest.Fault{}
			}
			_, err := beginOn(own, farTask(t, engine.Input{Name: "in", Paths: []string{uri}}))
			_, ierr := filesOn(own).Identify(context.Background(), uri)
			if calls < n {
				break
			}
			if err != nil && errors.Is(err, engine.ErrNotFound) && !strings.HasSuffix(uri, "none") || errors.Is(ierr, engine.ErrNotFound) && !strings.HasSuffix(uri, "none") {
				t.Errorf("%s, call %d: %v, %v", uri, n, err, ierr)
			}
		}
	}
}

// TestStageFarManyFiles: a directory of 10,000 files.
func TestStageFarManyFiles(t *testing.T) {
	m := storetest.New()
	for i := range 10_000 {
		put(t, m, fmt.Sprintf("s3://in/d/%d/%d", i%10, i), "")
	}
	at, err := beginOn(m, farTask(t, engine.Input{Name: "d", Paths: []string{"s3://in/d/"}}))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range 10 {
		entries, err := os.ReadDir(env(t, at, "d") + fmt.Sprint("/", i))
		if err != nil {
			t.Fatal(err)
		}
		n += len(entries)
	}
	if n != 10_000 {
		t.Errorf("%d files", n)
	}
}

// TestDenied: where one may not list, S3 says "forbidden" of what is not there, as of the
// result that an object with such a key might have belonged to.
func TestDenied(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/result/a", "hello")
	m.Fault = func(op, uri string) storetest.Fault {
		if uri != "s3://in/result/a" {
			return storetest.Fault{Err: fs.ErrPermission}
		}
		return storetest.Fault{}
	}
	if got := identify(t, filesOn(m), "s3://in/result/a"); got != "sha256:"+hexSum("hello") {
		t.Error(got)
	}
	if _, err := filesOn(m).Identify(context.Background(), "s3://in/result/b"); !errors.Is(err, fs.ErrPermission) || errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

// TestOutputIsFarInput: an output may be a link to an input that came from S3.
func TestOutputIsFarInput(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a", "hello")
	task := farTask(t, engine.Input{Name: "a", Paths: []string{"s3://in/a"}})
	task.Spec.Outputs = []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}
	at, err := beginOn(m, task)
	if err != nil {
		t.Fatal(err)
	}
	link(t, "inputs/a/a", at.Dir+"/o")
	if _, err := at.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := string(m.Objects()[task.Dir+"/1/o"]); got != "hello" {
		t.Errorf("the object has %q", got)
	}
}

// TestTreeIsTree: a directory has one identity, be it on this machine or the result of a
// task on S3.
func TestTreeIsTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,2}(/[a-c]{1,2}){0,2}`), 0, 8, rapid.ID).Draw(rt, "names")
		dir := t.TempDir()
		var files []remoteFile
		for _, name := range names {
			if os.MkdirAll(filepath.Dir(dir+"/"+name), 0o777) != nil || os.WriteFile(dir+"/"+name, []byte(name), 0o666) != nil {
				continue // a file is a directory as well
			}
			files = append(files, remoteFile{rel: name, sha256: hexSum(name)})
		}
		if os.Mkdir(dir+"/void", 0o777) == nil {
			files = append(files, remoteFile{rel: "void/"})
		}
		slices.Reverse(files)
		want, err := (&Files{}).Identify(context.Background(), dir)
		if err != nil {
			rt.Fatal(err)
		}
		if got := treeID(files); got != want {
			rt.Fatalf("%s and %s for %q", got, want, names)
		}
	})
}

func TestIdentifyFar(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a", "hello", "s3://in/d/x", "1", "s3://in/d/y", "2", "s3://in/e/x", "1", "s3://in/e/y", "2", "s3://in/e/z/", "")
	f := filesOn(m)
	if got := identify(t, f, "s3://in/a"); got != "sha256:"+hexSum("hello") {
		t.Error(got)
	}
	d := identify(t, f, "s3://in/d/")
	if !strings.HasPrefix(d, "list:") || d == identify(t, f, "s3://in/e") || d != identify(t, f, "s3://in/d") {
		t.Error(d)
	}
	put(t, m, "s3://in/d/y", "3")
	if d == identify(t, f, "s3://in/d") {
		t.Error("the change was not seen")
	}
	dir := "s3://work/w/run0/make/_"
	succeed(t, m, dir, []engine.Output{{Name: "d", Kind: engine.OutputDirectory, Path: "d"}}, "d/x", "1", "d/s/y", "2")
	local := t.TempDir()
	write(t, local+"/x", "1")
	write(t, local+"/s/y", "2")
	if got, want := identify(t, f, engine.ResultPath(dir, "d")), identify(t, f, local); got != want {
		t.Errorf("%s, and locally %s", got, want)
	}
	for _, uri := range []string{"s3://in/none", "s3://in/none/", engine.ResultPath(dir, "none")} {
		if _, err := f.Identify(context.Background(), uri); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// noSums is a store whose objects have no sha256 that S3 knows, as large ones have not.
type noSums struct{ *storetest.Mem }

func (s noSums) Head(ctx context.Context, uri string) (store.Object, error) {
	o, err := s.Mem.Head(ctx, uri)
	o.SHA256 = ""
	return o, err
}

// TestNoSums: what S3 has no sha256 of is known by its ETag, and checked when it comes if its
// sha256 is known from elsewhere.
func TestNoSums(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a", "hello")
	f := &Files{Store: func(context.Context) (store.Store, error) { return noSums{m}, nil }}
	tag := identify(t, f, "s3://in/a")
	if !strings.HasPrefix(tag, "etag:") || !strings.HasSuffix(tag, ":5") {
		t.Error(tag)
	}
	for id, ok := range map[string]bool{tag: true, "": true, sumID(hexSum("hello")): true, sumID(hexSum("hallo")): false, "etag:1:5": false} {
		a := &Agent{}
		a.Files.Store = f.Store
		_, err := a.Begin(context.Background(), farTask(t, engine.Input{Name: "in", Paths: []string{"s3://in/a"}, IDs: []string{id}}))
		if (err == nil) != ok {
			t.Errorf("%s: %v", id, err)
		}
	}
}
