package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// oddNames are file names that trip whatever pastes names into text.
var oddNames = []string{
	"plain.txt", "a b", "q'u\"o", "new\nline", "$(touch PWNED)", "`id`", "-rf", "*", "~", "é", "e\u0301", "\xff\xfe", "a\\b", "%41",
	strings.Repeat("n", 251) + ".txt",
}

// memo is a Memo in memory that counts.
type memo struct {
	mu         sync.Mutex
	sums       map[string]Sum
	hits, miss int
}

func memoKey(path string, size, mtime int64, inode uint64) string {
	return strings.Join([]string{path, strconv.FormatInt(size, 10), strconv.FormatInt(mtime, 10), strconv.FormatUint(inode, 10)}, "\x00")
}

func (m *memo) Get(path string, size, mtime int64, inode uint64) (Sum, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum, ok := m.sums[memoKey(path, size, mtime, inode)]
	if ok {
		m.hits++
	} else {
		m.miss++
	}
	return sum, ok
}

func (m *memo) Put(path string, size, mtime int64, inode uint64, sum Sum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sums == nil {
		m.sums = map[string]Sum{}
	}
	m.sums[memoKey(path, size, mtime, inode)] = sum
}

// newTask returns a task in a work directory of its own.
func newTask(t testing.TB, spec engine.TaskSpec) *Task {
	t.Helper()
	return &Task{
		Run: "run", Step: "step", Key: "k", Attempt: 1, Spec: &spec,
		Dir: engine.TaskDir(t.TempDir(), "run", "step", engine.KeyDir(true, "k")),
	}
}

// begin stages a task in.
func begin(t testing.TB, a *Agent, task *Task) *Attempt {
	t.Helper()
	at, err := a.Begin(context.Background(), task)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// write makes a file and its directory.
func write(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func link(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// env returns the value that an attempt's command finds in a variable.
func env(t testing.TB, at *Attempt, name string) string {
	t.Helper()
	for _, kv := range at.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	t.Fatalf("no variable %s in %q", name, at.Env)
	return ""
}

// assertError fails unless err is of a class and its text contains want.
func assertError(t testing.TB, err error, class, want string) {
	t.Helper()
	var own *Error
	if !errors.As(err, &own) {
		t.Fatalf("error %v, want %s%s", err, class, want)
	}
	if own.Class != class || !strings.Contains(own.Msg, want) {
		t.Errorf("error %q, want %q", err, class+want)
	}
}

func TestTaskWithoutFilesCostsTwoDirectories(t *testing.T) {
	task := newTask(t, engine.TaskSpec{Command: []string{"true"}})
	var a Agent
	at := begin(t, &a, task)
	m, err := at.Finish(context.Background())
	if m != nil || err != nil {
		t.Error(m, err)
	}
	var names []string
	err = filepath.WalkDir(task.Dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(path, task.Dir))
		return err
	})
	if diff := cmp.Diff([]string{"", "/1"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := a.Recover(context.Background(), task); err == nil {
		t.Error("a task without a manifest cannot be recovered")
	}
}

func TestStageIn(t *testing.T) {
	src := t.TempDir()
	one := write(t, src+"/one.fq", "1")
	write(t, src+"/d/in", "dir")
	producer := engine.TaskDir(t.TempDir(), "run", "split", "_")
	write(t, producer+"/2/shard.fq", "shard")
	link(t, "2", producer+"/result")
	link(t, one, src+"/link.fq")
	task := newTask(t, engine.TaskSpec{
		Inputs: []engine.Input{
			{Name: "one", Paths: []string{one}},
			{Name: "dir", Paths: []string{src + "/d/"}},
			{Name: "result", Paths: []string{engine.ResultPath(producer, "shard.fq")}},
			{Name: "link", Paths: []string{src + "/link.fq"}},
		},
		Outputs: []engine.Output{
			{Name: "out", Kind: engine.OutputFile, Path: "a/b/out.txt"},
			{Name: "dirs", Kind: engine.OutputDirectory, Path: "c/d"},
			{Name: "many", Kind: engine.OutputFiles, Path: "m/*.x"},
			{Name: "stats", Kind: engine.OutputJSON, Path: "j/s.json"},
		},
	})
	var a Agent
	at := begin(t, &a, task)
	want := []string{
		"one=" + at.Dir + "/inputs/one/one.fq",
		"dir=" + at.Dir + "/inputs/dir/d",
		"result=" + at.Dir + "/inputs/result/shard.fq",
		"link=" + at.Dir + "/inputs/link/link.fq",
		"out=" + at.Dir + "/a/b/out.txt",
		"dirs=" + at.Dir + "/c/d",
	}
	if diff := cmp.Diff(want, at.Env); diff != "" {
		t.Error(diff)
	}
	if got := read(t, env(t, at, "one")) + read(t, env(t, at, "dir")+"/in") + read(t, env(t, at, "link")); got != "1dir1" {
		t.Error(got)
	}
	for _, dir := range []string{"a/b", "c", "j"} {
		if info, err := os.Stat(at.Dir + "/" + dir); err != nil || !info.IsDir() {
			t.Errorf("%s was not made: %v", dir, err)
		}
	}
	// The producer runs again: this consumer keeps what it began with.
	write(t, producer+"/3/shard.fq", "another")
	if err := os.Remove(producer + "/result"); err != nil {
		t.Fatal(err)
	}
	link(t, "3", producer+"/result")
	if got := read(t, env(t, at, "result")); got != "shard" {
		t.Errorf("a retry of the producer changed the input to %q", got)
	}
}

func TestStageInLists(t *testing.T) {
	src := t.TempDir()
	differ := []string{write(t, src+"/x/b", "0"), write(t, src+"/y/a", "1"), write(t, src+"/z/new\nline", "2")}
	var same []string
	for i := range 11 {
		same = append(same, write(t, src+"/"+strconv.Itoa(i)+"/s.txt", strconv.Itoa(i)))
	}
	long := strings.Repeat("é", 125) + ".txt" // 254 bytes
	cut := []string{write(t, src+"/p/"+long, "p"), write(t, src+"/q/"+long, "q")}
	task := newTask(t, engine.TaskSpec{Inputs: []engine.Input{
		{Name: "differ", List: true, Paths: differ},
		{Name: "same", List: true, Paths: same},
		{Name: "cut", List: true, Paths: cut},
		{Name: "none", List: true},
	}})
	var a Agent
	at := begin(t, &a, task)
	names := func(name string) (names []string) {
		entries, err := os.ReadDir(env(t, at, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	contents := func(name string) (all []string) {
		for line := range strings.Lines(read(t, env(t, at, name+"_list"))) {
			all = append(all, read(t, strings.TrimSuffix(line, "\n")))
		}
		return all
	}
	if diff := cmp.Diff([]string{"a", "b", "new\nline"}, names("differ")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, contents("differ")); diff != "" {
		t.Error(diff)
	}
	if got := names("same"); got[0] != "00-s.txt" || got[10] != "10-s.txt" {
		t.Error(got)
	}
	if got := contents("same"); got[2] != "2" || len(got) != 11 {
		t.Error(got)
	}
	if got := names("cut"); len(got) != 2 || len(got[0]) > maxName || !strings.HasSuffix(got[1], "éé.txt") || !strings.HasPrefix(got[1], "1-é") {
		t.Errorf("%q", got)
	}
	if got := names("none"); got != nil || contents("none") != nil {
		t.Error(got)
	}
}

func TestListInDirectoryWithNewline(t *testing.T) {
	task := newTask(t, engine.TaskSpec{Inputs: []engine.Input{{Name: "in", List: true, Paths: []string{write(t, t.TempDir()+"/x", "x")}}}})
	task.Dir = t.TempDir() + "/a\nb/step/_"
	var a Agent
	_, err := a.Begin(context.Background(), task)
	if err == nil || !strings.Contains(err.Error(), "has a newline in it") {
		t.Errorf("a list whose lines are no paths: %v", err)
	}
}

func TestStageInErrors(t *testing.T) {
	src := t.TempDir()
	link(t, "/no/such", src+"/dangling")
	taskDir := src + "/run/split/_"
	write(t, taskDir+"/1/x", "")
	tests := []struct {
		name  string
		input engine.Input
		want  string
	}{
		{"missing", engine.Input{Paths: []string{"/no/such.fq"}}, `input "in": /no/such.fq is not there`},
		{"odd name", engine.Input{Paths: []string{"/no/such\n"}}, `input "in": "/no/such\n" is not there`},
		{"dangling", engine.Input{Paths: []string{src + "/dangling"}}, "/dangling is a link to /no/such, which is not there"},
		{"no result", engine.Input{Paths: []string{taskDir + "/result/x"}}, "/result/x is not there: the task that makes it has no result"},
		{"one of a list", engine.Input{List: true, Paths: []string{src, "/no/such.fq"}}, `input "in": /no/such.fq is not there`},
		{"URI", engine.Input{Paths: []string{"s3://bucket/key"}}, "s3://bucket/key is on S3, and there is no S3 here"},
		{"relative", engine.Input{Paths: []string{"x"}}, "x is not an absolute path"},
		{"two paths", engine.Input{Paths: []string{src, src}}, "has 2 paths and is no list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.input.Name = "in"
			var a Agent
			_, err := a.Begin(context.Background(), newTask(t, engine.TaskSpec{Inputs: []engine.Input{tt.input}}))
			assertError(t, err, StageIn, tt.want)
		})
	}
	for _, path := range []string{"../x", "/x", "inputs/x", "", "a/../../x"} {
		var a Agent
		_, err := a.Begin(context.Background(), newTask(t, engine.TaskSpec{Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: path}}}))
		assertError(t, err, StageIn, `output "o": `)
	}
	var a Agent
	_, err := a.Begin(context.Background(), newTask(t, engine.TaskSpec{Inputs: []engine.Input{{Name: "../up", Paths: []string{src}}}}))
	assertError(t, err, StageIn, `"../up" is no name for an input`)
}

func TestDeadAttemptIsRemoved(t *testing.T) {
	task := newTask(t, engine.TaskSpec{Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}})
	write(t, task.Dir+"/1/o", "half")
	write(t, task.Dir+"/1.json", "{}")
	var a Agent
	at := begin(t, &a, task)
	for _, path := range []string{"/1/o", "/1.json"} {
		if _, err := os.Lstat(task.Dir + path); err == nil {
			t.Errorf("%s of the dead attempt is there", path)
		}
	}
	_, err := at.Finish(context.Background())
	assertError(t, err, OutputMissing, `output "o": o is not there; the directory is empty`)
}

// freshDir makes a directory in base, for one round of a property.
func freshDir(rt *rapid.T, base string) string {
	entries, err := os.ReadDir(base)
	dir := base + "/" + strconv.Itoa(len(entries))
	if err = errors.Join(err, os.Mkdir(dir, 0o777)); err != nil {
		rt.Fatal(err)
	}
	return dir
}

// TestNamesAndContentsSurvive takes any name and content through input and output.
func TestNamesAndContentsSurvive(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.OneOf(
			rapid.SampledFrom(oddNames),
			rapid.Custom(func(t *rapid.T) string {
				return strings.NewReplacer("/", "-", "\x00", "-").Replace(string(rapid.SliceOfN(rapid.Byte(), 1, 255).Draw(t, "bytes")))
			}).Filter(func(s string) bool { return s != "." && s != ".." }),
		).Draw(rt, "name")
		content := string(rapid.SliceOf(rapid.Byte()).Draw(rt, "content"))
		dir := freshDir(rt, base)
		defer os.RemoveAll(dir)
		src := dir + "/src/" + name
		if err := errors.Join(os.Mkdir(dir+"/src", 0o777), os.WriteFile(src, []byte(content), 0o666)); err != nil {
			rt.Fatal(err)
		}
		task := &Task{Run: "run", Step: "step", Attempt: 1, Dir: dir + "/run/step/_", Spec: &engine.TaskSpec{
			Inputs: []engine.Input{{Name: "in", Paths: []string{src}}},
			Outputs: []engine.Output{
				{Name: "out", Kind: engine.OutputFile, Path: "f/" + name},
				{Name: "dir", Kind: engine.OutputDirectory, Path: "d"},
			},
		}}
		var a Agent
		at, err := a.Begin(context.Background(), task)
		if err != nil {
			rt.Fatal(err)
		}
		in, err := os.ReadFile(at.Dir + "/inputs/in/" + name)
		if err != nil {
			rt.Fatal(err)
		}
		if err := errors.Join(os.Mkdir(at.Dir+"/d", 0o777), os.WriteFile(at.Dir+"/d/"+name, in, 0o666), os.WriteFile(at.Dir+"/f/"+name, in, 0o666)); err != nil {
			rt.Fatal(err)
		}
		if _, err := at.Finish(context.Background()); err != nil {
			rt.Fatal(err)
		}
		m, err := a.Files.Manifest(context.Background(), task.Dir)
		if err != nil {
			rt.Fatal(err)
		}
		if got := []string{m.Files[0].Path, m.Files[1].Path}; !cmp.Equal(got, []string{"d/" + name, "f/" + name}) {
			rt.Fatalf("manifest has %q", got)
		}
		if err := a.Files.Publish(context.Background(), engine.ResultPath(task.Dir, "f/"+name), dir+"/results/"); err != nil {
			rt.Fatal(err)
		}
		out, err := os.ReadFile(dir + "/results/" + name)
		if err != nil || string(out) != content {
			rt.Fatalf("%q %v, want %q", out, err, content)
		}
	})
}

// FuzzOutputPath lets no path of an output read or name anything outside.
func FuzzOutputPath(f *testing.F) {
	for _, s := range []string{"a", "../canary", "/etc/passwd", "a/../../canary", "link/canary", "inputs/in/canary", "**", "{a,../canary}", "[", "./../canary"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, path string, glob bool) {
		outer := t.TempDir()
		write(t, outer+"/canary", "CANARY")
		kind := engine.OutputText
		if glob {
			kind = engine.OutputFiles
		}
		task := &Task{Run: "run", Step: "s", Attempt: 1, Dir: outer + "/w", Spec: &engine.TaskSpec{
			Outputs: []engine.Output{{Name: "o", Kind: kind, Path: path, Optional: true}},
		}}
		var a Agent
		at, err := a.Begin(context.Background(), task)
		if err != nil {
			return
		}
		if os.Symlink("../..", at.Dir+"/link") != nil {
			return // path is a directory of that name
		}
		m, err := at.Finish(context.Background())
		if err != nil {
			return
		}
		if text, _ := json.Marshal(m); strings.Contains(string(text), "CANARY") || len(m.Files) > 0 {
			t.Errorf("output %q: %s", path, text)
		}
	})
}
