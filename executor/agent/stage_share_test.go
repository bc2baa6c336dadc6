package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"flow/engine"
	"flow/executor/store/storetest"
)

// TestShared: on a work_dir on this machine an input comes once for its content, whatever it
// is called, and once more if somebody has changed it there.
func TestShared(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a", "hello", "s3://in/copy", "hello", "s3://in/d/x", "1", "s3://in/d/y/z", "2", "s3://in/e/", "")
	var downloads atomic.Int32
	m.Fault = func(op, _ string) storetest.Fault {
		if op == "Download" {
			downloads.Add(1)
		}
		return storetest.Fault{}
	}
	work := t.TempDir() + "/w"
	task := func(i int) *Task {
		task := farTask(t, engine.Input{Name: "a", Paths: []string{"s3://in/a"}}, engine.Input{Name: "c", Paths: []string{"s3://in/copy"}},
			engine.Input{Name: "d", Paths: []string{"s3://in/d"}}, engine.Input{Name: "e", Paths: []string{"s3://in/e/"}})
		task.Dir = engine.TaskDir(work, "run", "step", fmt.Sprint(i))
		return task
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			at, err := beginOn(m, task(i))
			if err != nil {
				t.Error(err)
				return
			}
			if read(t, env(t, at, "a")) != "hello" || read(t, env(t, at, "c")) != "hello" || read(t, env(t, at, "d")+"/y/z") != "2" {
				t.Error("other contents")
			}
			if len(at.Mounts) != 4 || !strings.Contains(at.Mounts[0], "/.inputs/"+hexSum("hello")+"/") {
				t.Errorf("mounts are %q", at.Mounts)
			}
			if info, err := os.Stat(env(t, at, "a")); err != nil || info.Mode().Perm()&0o222 != 0 {
				t.Errorf("%v: a task may change what others read: %v", err, info.Mode())
			}
		})
	}
	wg.Wait()
	if got := downloads.Load(); got != 3 {
		t.Errorf("%d downloads, want 3", got)
	}
	shared := work + "/.inputs/" + hexSum("hello")
	entries, err := os.ReadDir(shared)
	if err != nil {
		t.Fatal(err)
	}
	path := shared + "/" + entries[0].Name()
	for _, damage := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.Remove(shared + ".json") },
		func() error { return os.WriteFile(shared+".json", []byte("{"), 0o666) },
		func() error {
			return errors.Join(os.Chmod(path, 0o666), os.WriteFile(path, []byte("HELLO"), 0o666))
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		before := downloads.Load()
		at, err := beginOn(m, task(9))
		if err != nil {
			t.Fatal(err)
		}
		if read(t, env(t, at, "a")) != "hello" || downloads.Load() != before+1 {
			t.Errorf("%q after %d downloads", read(t, env(t, at, "a")), downloads.Load()-before)
		}
		if entries, err = os.ReadDir(shared); err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		path = shared + "/" + entries[0].Name()
	}
	left, err := filepath.Glob(work + "/.inputs/.new-*")
	if err != nil || len(left) > 0 {
		t.Error("left behind:", left, err)
	}
}

// TestSharedKey: what differs is not shared, and what nobody knows is not either.
func TestSharedKey(t *testing.T) {
	file := func(uri string, mode uint32) *remote {
		return &remote{uri: uri, id: "sha256:" + hexSum("x"), files: []remoteFile{{sha256: hexSum("x"), mode: mode}}}
	}
	tag := func(uri string) *remote { return &remote{uri: uri, id: "etag:1:1", files: []remoteFile{{}}} }
	plain := shareKey(file("s3://a", 0), "s3://a", "1")
	if plain != hexSum("x") || plain != shareKey(file("s3://b", 0), "s3://b", "2") {
		t.Error("one content has two keys")
	}
	seen := map[string]bool{plain: true}
	for _, key := range []string{
		shareKey(file("s3://a", 0o755), "s3://a", "1"), shareKey(tag("s3://a"), "s3://a", "1"), shareKey(tag("s3://b"), "s3://b", "1"),
		shareKey(&page{url: "https://h/a"}, "https://h/a", "1"), shareKey(&page{url: "https://h/a"}, "https://h/a", "2"),
		shareKey(&page{url: "https://h/a", tag: "1"}, "https://h/a", "1"), shareKey(&page{url: "https://h/a", tag: "2"}, "https://h/a", "1"),
	} {
		if seen[key] || len(key) != 64 {
			t.Error("two have the key", key)
		}
		seen[key] = true
	}
	if shareKey(&page{url: "https://h/a", sha256: hexSum("x")}, "https://h/a", "1") != plain {
		t.Error("a known content has another key")
	}
}

// TestSharedStopped: a task that is stopped while it brings an input for many stops no other.
func TestSharedStopped(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a", "hello")
	stopped, cancel := context.WithCancel(context.Background())
	begun := make(chan struct{})
	first := true
	place := func(ctx context.Context, root *os.Root, name string) ([]engine.ManifestFile, error) {
		if first {
			first = false
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if err := root.WriteFile(name, []byte("x"), 0o666); err != nil {
			return nil, err
		}
		info, err := root.Stat(name)
		return []engine.ManifestFile{manifestFile(name, info, sha256.Sum256([]byte("x")))}, err
	}
	dir, f := t.TempDir(), filesOn(m)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := f.share(stopped, dir, "key", "x", place); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-begun
	wg.Go(func() {
		real, _, err := f.share(context.Background(), dir, "key", "x", place)
		if err != nil || read(t, real) != "x" {
			t.Error(real, err)
		}
	})
	cancel()
	wg.Wait()
}
