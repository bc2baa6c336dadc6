package agent

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/store/storetest"
)

func upload(t testing.TB, f *Files, paths ...string) map[string]string {
	t.Helper()
	uris, err := f.Upload(context.Background(), "s3://work/w/", paths, nil)
	if err != nil {
		t.Fatal(err)
	}
	return uris
}

// TestUpload: what is uploaded is staged in as it was: names, contents, programs, empty
// directories; and it is what the run has looked at.
func TestUpload(t *testing.T) {
	m := storetest.New()
	f := filesOn(m)
	src := t.TempDir()
	var inputs []engine.Input
	var paths []string
	add := func(path string) {
		paths = append(paths, path)
		inputs = append(inputs, engine.Input{Name: "i" + string(rune('a'+len(inputs))), Paths: []string{path}, IDs: []string{identify(t, f, path)}})
	}
	for _, name := range oddNames {
		add(write(t, src+"/"+name, "content of "+name))
	}
	add(write(t, src+"/empty", ""))
	if err := os.Chmod(write(t, src+"/tool.sh", "#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	add(src + "/tool.sh")
	for _, name := range oddNames {
		write(t, src+"/dir/sub/"+name, name)
	}
	if err := os.Chmod(write(t, src+"/dir/tool.sh", "#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(src+"/dir/void/void", 0o777); err != nil {
		t.Fatal(err)
	}
	link(t, src+"/empty", src+"/dir/link")
	add(src + "/dir")
	link(t, src+"/dir", src+"/linked dir")
	add(src + "/linked dir")
	uris := upload(t, f, append(paths, "s3://in/x", "https://h/x")...)
	if uris["s3://in/x"] != "s3://in/x" || uris["https://h/x"] != "https://h/x" {
		t.Error("URIs do not stand for themselves")
	}
	for i := range inputs {
		inputs[i].Paths = []string{uris[inputs[i].Paths[0]]}
		if strings.Contains(inputs[i].Paths[0], src) {
			t.Error("a path of this machine in", inputs[i].Paths[0])
		}
	}
	at, err := beginOn(m, farTask(t, inputs...))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		got := env(t, at, inputs[i].Name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			if diff := cmp.Diff(read(t, path), read(t, got)); diff != "" {
				t.Error(path, diff)
			}
			continue
		}
		if diff := cmp.Diff(contents(t, src+"/dir"), contents(t, got)); diff != "" {
			t.Error(path, diff)
		}
		for _, name := range []string{"/tool.sh", "/sub/a b"} {
			info, err := os.Stat(got + name)
			if err != nil || (info.Mode().Perm()&0o111 != 0) != (name == "/tool.sh") {
				t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
			}
		}
	}
	if info, err := os.Stat(env(t, at, inputs[len(oddNames)+1].Name)); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Error("a program is none any more", err)
	}
}

// TestUploadOnce: each content is sent once, by however many, and in however many runs.
func TestUploadOnce(t *testing.T) {
	m := storetest.New()
	dir := t.TempDir()
	a := write(t, dir+"/a", "hello")
	write(t, dir+"/d/x", "1")
	write(t, dir+"/d/y", "2")
	ops := map[string]int{}
	m.Fault = func(op, _ string) storetest.Fault { ops[op]++; return storetest.Fault{} }
	f := filesOn(m)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { upload(t, f, a, dir+"/d") })
	}
	wg.Wait()
	if ops["Upload"] != 3 {
		t.Error(ops)
	}
	before := m.Calls()
	upload(t, f, a, dir+"/d", a)
	if m.Calls() != before {
		t.Error("the store is asked again for what is known to be there")
	}
	upload(t, filesOn(m), a, dir+"/d") // another run
	if ops["Upload"] != 3 {
		t.Error(ops)
	}
	write(t, a, "hallo")
	uris := upload(t, f, a)
	if ops["Upload"] != 4 || !strings.Contains(uris[a], hexSum("hallo")) {
		t.Error(ops, uris)
	}
}

// TestUploadKilled: whenever an upload ends, what is there is whole, and the next one goes on.
func TestUploadKilled(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/d/x", "1")
	write(t, dir+"/d/y", "2")
	for n := 1; ; n++ {
		m := storetest.New()
		own := m.Again()
		own.DieAt(n)
		_, err := filesOn(own).Upload(context.Background(), "s3://work/w", []string{dir + "/d"}, nil)
		if err != nil {
			_, ierr := beginOn(m.Again(), farTask(t, engine.Input{Name: "d", Paths: []string{"s3://work/w/.inputs/" + strings.TrimPrefix(identify(t, &Files{}, dir+"/d"), "sha256:") + "/d/"}, IDs: []string{identify(t, &Files{}, dir+"/d")}}))
			if ierr == nil {
				t.Errorf("death at call %d: half a directory is taken for a whole one", n)
			}
		}
		uris := upload(t, filesOn(m.Again()), dir+"/d")
		at, berr := beginOn(m.Again(), farTask(t, engine.Input{Name: "d", Paths: []string{uris[dir+"/d"]}}))
		if berr != nil {
			t.Fatal(berr)
		}
		if diff := cmp.Diff(map[string]string{"x": "1", "y": "2"}, contents(t, env(t, at, "d"))); diff != "" {
			t.Error(diff)
		}
		if err == nil {
			return
		}
	}
}

func TestUploadErrors(t *testing.T) {
	dir := t.TempDir()
	a := write(t, dir+"/a", "hello")
	m := storetest.New()
	_, err := filesOn(m).Upload(context.Background(), "s3://work/w", []string{a, dir + "/none"}, nil)
	if !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "/none is not there") {
		t.Error(err)
	}
	if _, err := (&Files{}).Upload(context.Background(), "s3://work/w", []string{a}, nil); err == nil || !strings.Contains(err.Error(), "there is no S3 here") {
		t.Error(err)
	}
	m.Fault = func(op, _ string) storetest.Fault {
		if op == "Head" {
			return storetest.Refused
		}
		return storetest.Fault{}
	}
	f := filesOn(m)
	if _, err := f.Upload(context.Background(), "s3://work/w", []string{a}, nil); err == nil || errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	// It changes while it is sent: nobody is to take it for what it was.
	m = storetest.New()
	f = filesOn(m)
	m.Fault = func(op, _ string) storetest.Fault {
		if op == "Head" {
			write(t, a, "HELLO")
		}
		return storetest.Fault{}
	}
	if _, err := f.Upload(context.Background(), "s3://work/w", []string{a}, nil); err == nil || !strings.Contains(err.Error(), "changed while it was uploaded") || len(m.Objects()) > 0 {
		t.Error(err, m.Objects())
	}
}

// TestUploadNotice: what takes its time is told of.
func TestUploadNotice(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/large", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(dir+"/large", noticeFrom); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/small", "x")
	var said []string
	_, err := filesOn(storetest.New()).Upload(context.Background(), "s3://work/w", []string{dir + "/large", dir + "/small"}, func(text string) { said = append(said, text) })
	if err != nil || len(said) != 1 || !strings.Contains(said[0], "/large (32 MiB) to s3://work/w/.inputs/") {
		t.Error(said, err)
	}
}
