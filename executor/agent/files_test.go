package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// age makes a file old enough to be remembered.
func age(t testing.TB, path string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

func identify(t testing.TB, f *Files, path string) string {
	t.Helper()
	id, err := f.Identify(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentifyFile(t *testing.T) {
	m := &memo{}
	f := &Files{Memo: m}
	path := write(t, t.TempDir()+"/f", "abc")
	age(t, path)
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for range 2 {
		if got := identify(t, f, path); got != want {
			t.Error(got)
		}
	}
	if m.hits != 1 {
		t.Errorf("%d hits in the memo, want 1", m.hits)
	}
	link(t, path, path+"-link")
	if got := identify(t, f, path+"-link"); got != want || m.hits != 2 {
		t.Error("a link is not its file:", got, m.hits)
	}
	write(t, path, "abd")
	if identify(t, f, path) == want {
		t.Error("the change was not seen")
	}
	young := len(m.sums)
	identify(t, f, path)
	if len(m.sums) != young {
		t.Error("a file was remembered that may change within the tick of the clock")
	}
}

func TestIdentifyErrors(t *testing.T) {
	dir := t.TempDir()
	link(t, "nowhere", dir+"/dangling")
	if err := syscall.Mkfifo(dir+"/fifo", 0o666); err != nil {
		t.Fatal(err)
	}
	link(t, ".", dir+"/loop")
	tests := []struct {
		path, want string
		notFound   bool
	}{
		{dir + "/no", "/no is not there: not found", true},
		{dir + "/dangling", "is a link to nowhere, which is not there: not found", true},
		{dir + "/fifo", "is neither a file nor a directory", false},
		{dir, "loop is a link to a directory that it is in", false},
		{"s3://b/k", "is on S3, and there is no S3 here", false},
	}
	for _, tt := range tests {
		_, err := (&Files{}).Identify(context.Background(), tt.path)
		if tt.path == dir {
			if err := os.Remove(dir + "/fifo"); err != nil {
				t.Fatal(err)
			}
			_, err = (&Files{}).Identify(context.Background(), tt.path)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, engine.ErrNotFound) != tt.notFound {
			t.Errorf("%s: %v, want %s", tt.path, err, tt.want)
		}
	}
}

// TestIdentifyDirectory: two directories have one identity just if they have the same
// names and contents.
func TestIdentifyDirectory(t *testing.T) {
	base := func(dir string) {
		write(t, dir+"/a", "1")
		write(t, dir+"/b/c", "2")
	}
	want := ""
	for _, tt := range []struct {
		name   string
		same   bool
		change func(dir string)
	}{
		{"same", true, func(string) {}},
		{"mode and time", true, func(dir string) { age(t, dir+"/a"); os.Chmod(dir+"/a", 0o600) }},
		{"link instead", true, func(dir string) {
			link(t, write(t, t.TempDir()+"/x", "1"), dir+"/l")
			if err := os.Rename(dir+"/l", dir+"/a"); err != nil {
				t.Fatal(err)
			}
		}},
		{"content", false, func(dir string) { write(t, dir+"/b/c", "3") }},
		{"another file", false, func(dir string) { write(t, dir+"/b/d", "") }},
		{"empty directory", false, func(dir string) { os.Mkdir(dir+"/e", 0o777) }},
		{"dangling link", false, func(dir string) { link(t, "x", dir+"/l") }},
		{"name", false, func(dir string) { os.Rename(dir+"/a", dir+"/A") }},
		{"moved", false, func(dir string) { os.Rename(dir+"/a", dir+"/b/a") }},
	} {
		dir := t.TempDir()
		base(dir)
		if want == "" {
			want = identify(t, &Files{}, dir)
		}
		tt.change(dir)
		if got := identify(t, &Files{Memo: &memo{}}, dir); (got == want) != tt.same {
			t.Errorf("%s: same identity is %v", tt.name, got == want)
		}
	}
}

// TestOutputsAreIdentifiedWithoutReading: what an attempt has hashed costs nothing downstream.
func TestOutputsAreIdentifiedWithoutReading(t *testing.T) {
	m := &memo{}
	a := Agent{Files: Files{Memo: m}}
	task := newTask(t, engine.TaskSpec{Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}})
	at := begin(t, &a, task)
	write(t, at.Dir+"/o", "x")
	if _, err := at.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	identify(t, &a.Files, engine.ResultPath(task.Dir, "o"))
	if m.hits != 1 || m.miss != 0 {
		t.Errorf("%d hits, %d misses", m.hits, m.miss)
	}
}

// TestDamageIsNoticed cuts, changes or removes something of a result at random.
func TestDamageIsNoticed(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir := freshDir(rt, base)
		defer os.RemoveAll(dir)
		content := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(rt, "content")
		task := &Task{Run: "run", Step: "s", Attempt: 1, Dir: dir + "/t", Spec: &engine.TaskSpec{
			Outputs: []engine.Output{{Name: "o", Kind: engine.OutputDirectory, Path: "o"}},
		}}
		var a Agent
		at, err := a.Begin(context.Background(), task)
		if err != nil {
			rt.Fatal(err)
		}
		file := at.Dir + "/o/f"
		if err := errors.Join(os.Mkdir(at.Dir+"/o", 0o777), os.WriteFile(file, content, 0o666)); err != nil {
			rt.Fatal(err)
		}
		if _, err := at.Finish(context.Background()); err != nil {
			rt.Fatal(err)
		}
		where := rapid.IntRange(0, len(content)-1).Draw(rt, "where")
		manifest := ManifestPath(task.Dir, 1)
		switch kind := rapid.IntRange(0, 6).Draw(rt, "damage"); kind {
		case 0: // truncated
			err = os.Truncate(file, int64(where))
		case 1: // one byte changed, even long ago
			changed := append([]byte(nil), content...)
			changed[where] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			err = errors.Join(os.WriteFile(file, changed, 0o666), os.Chtimes(file, time.Unix(0, 1), time.Unix(0, 1)))
		case 2:
			err = os.Remove(file)
		case 3:
			err = os.Remove(task.Dir + "/result")
		case 4:
			err = os.Remove(manifest)
		case 5: // half a manifest
			info, serr := os.Stat(manifest)
			if serr != nil {
				rt.Fatal(serr)
			}
			err = os.Truncate(manifest, int64(where)%(info.Size()-2))
		case 6: // a file of the same content in its place is no damage
			err = errors.Join(os.Remove(file), os.WriteFile(file, content, 0o666))
			if err == nil {
				if _, err := a.Files.Manifest(context.Background(), task.Dir); err != nil {
					rt.Fatal(err)
				}
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if _, err := a.Files.Manifest(context.Background(), task.Dir); !errors.Is(err, engine.ErrNotFound) {
			rt.Fatalf("the damage was not noticed: %v", err)
		}
	})
}

func TestManifestOfAnother(t *testing.T) {
	task := newTask(t, engine.TaskSpec{Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}})
	if _, err := finish(t, task, func(dir string) { write(t, dir+"/o", "x") }); err != nil {
		t.Fatal(err)
	}
	var a Agent
	if _, err := a.Recover(context.Background(), task); err != nil {
		t.Error("not recovered")
	}
	other := *task
	other.Run = "another"
	if _, err := a.Recover(context.Background(), &other); err == nil {
		t.Error("recovered the result of another run")
	}
	var m map[string]any
	path := ManifestPath(task.Dir, 1)
	if err := json.Unmarshal([]byte(read(t, path)), &m); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]any{"version": 2, "attempt": 7} {
		old := m[key]
		m[key] = value
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(b))
		if _, err := a.Files.Manifest(context.Background(), task.Dir); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s %v: %v", key, value, err)
		}
		m[key] = old
	}
	if _, err := a.Files.Manifest(context.Background(), "s3://b/t"); err == nil {
		t.Error("no error for S3")
	}
}

func TestPublishFile(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	src := write(t, dir+"/src/x.txt", "one")
	if err := os.Chmod(src, 0o750); err != nil {
		t.Fatal(err)
	}
	age(t, src)
	var f Files
	for _, target := range []string{dir + "/new/deep/y.txt", dir + "/into/"} {
		if err := f.Publish(ctx, src, target); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dir + "/new/deep/y.txt", dir + "/into/x.txt"} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o750 || read(t, path) != "one" {
			t.Error(path, info.Mode(), err)
		}
	}
	// A reader that has the old file open keeps it whole.
	target := dir + "/into/x.txt"
	old, err := os.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	write(t, src, "another")
	if err := f.Publish(ctx, src, target); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	n, _ := old.Read(buf)
	if string(buf[:n]) != "one" || read(t, target) != "another" {
		t.Errorf("%q, %q", buf[:n], read(t, target))
	}
	// What is there already is not copied again, and the original is not shared.
	before, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Publish(ctx, src, target); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(target); err != nil || !os.SameFile(before, after) {
		t.Error("copied again", err)
	}
	write(t, target, "edited by its user")
	if read(t, src) != "another" {
		t.Error("an edit of the copy changed the result")
	}
	assertNoTemporaries(t, dir)
}

// assertNoTemporaries fails if publishing has left something.
func assertNoTemporaries(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), ".flow-publish") {
			t.Error("left over: " + path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPublishDirectory(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	write(t, dir+"/src/a", "1")
	write(t, dir+"/src/sub/b", "2")
	link(t, "sub/b", dir+"/src/l")
	var f Files
	for i := range 2 { // the second replaces the first
		if err := f.Publish(ctx, dir+"/src", dir+"/out/r"); err != nil {
			t.Fatal(err)
		}
		if got := read(t, dir+"/out/r/a") + read(t, dir+"/out/r/sub/b") + read(t, dir+"/out/r/l"); got != "122" {
			t.Error(got)
		}
		if i == 0 {
			write(t, dir+"/out/r/stale", "")
		}
	}
	if _, err := os.Lstat(dir + "/out/r/stale"); err == nil {
		t.Error("what was there before was not replaced")
	}
	if info, err := os.Lstat(dir + "/out/r/l"); err != nil || !info.Mode().IsRegular() {
		t.Error("the link was not replaced by its file", err)
	}
	assertNoTemporaries(t, dir)
}

func TestPublishErrors(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	t.Setenv("HOME", dir+"/home/me")
	write(t, dir+"/home/me/x", "")
	src := write(t, dir+"/src/d/x", "x")
	write(t, dir+"/there/y", "y")
	tests := []struct{ source, target, want string }{
		{src, "s3://b/k", "cannot publish to s3://b/k: s3://b/k is on S3, and there is no S3 here"},
		{src, "relative", "cannot publish to relative: it is not an absolute path"},
		{dir + "/no", dir + "/t", "/no: no such file or directory"},
		{src, dir + "/there", "a directory is there; end the path in / to publish into it"},
		{dir + "/src/d", dir + "/src", "that would replace the files to publish"},
		{dir + "/src/d", dir + "/home", "that would replace your home directory; end the path in / to publish into it"},
		{dir + "/src/d", dir + "/src/d/e", "it is inside what is to be published"},
		{src, dir + "/there/y/z", "not a directory"},
	}
	for _, tt := range tests {
		err := (&Files{}).Publish(ctx, tt.source, tt.target)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s to %s: %v, want %s", tt.source, tt.target, err, tt.want)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := (&Files{}).Publish(canceled, src, dir+"/there/z"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := read(t, dir+"/there/y") + read(t, src); got != "yx" {
		t.Error("something was changed:", got)
	}
	if _, err := os.Lstat(dir + "/there/z"); err == nil {
		t.Error("half a copy is there")
	}
	assertNoTemporaries(t, dir)
}

func TestPublishOfTask(t *testing.T) {
	dir := t.TempDir()
	task := newTask(t, engine.TaskSpec{Outputs: []engine.Output{
		{Name: "o", Kind: engine.OutputFile, Path: "o", Publish: dir + "/final.txt"},
		{Name: "fs", Kind: engine.OutputFiles, Path: "*.fq", Publish: dir + "/reads"},
		{Name: "none", Kind: engine.OutputFile, Path: "none", Publish: dir + "/none", Optional: true},
	}})
	_, err := finish(t, task, func(at string) {
		write(t, at+"/o", "o")
		write(t, at+"/a.fq", "a")
		write(t, at+"/b.fq", "b")
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("oab", read(t, dir+"/final.txt")+read(t, dir+"/reads/a.fq")+read(t, dir+"/reads/b.fq")); diff != "" {
		t.Error(diff)
	}
}
