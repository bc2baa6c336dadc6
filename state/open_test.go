package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flow/engine"
)

const nfs = 0x6969

func onNFS(string) (int64, error) { return nfs, nil }

func TestOpenCreates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "project", ".flow")
	path := filepath.Join(dir, "flow.db")
	db := mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")

	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600, path + "-wal": 0o600} {
		if got := value(os.Stat(name))(t).Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", name, got, want)
		}
	}
	if got := string(value(os.ReadFile(filepath.Join(dir, ".gitignore")))(t)); got != "*\n" {
		t.Errorf(".gitignore is %q", got)
	}
	if left := value(filepath.Glob(path + ".new-*"))(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if db.Path() != path || db.Network() != "" {
		t.Errorf("path %q, network %q", db.Path(), db.Network())
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "auto_vacuum": "2"} {
		var got string
		must(t, db.write(t.Context(), func(tx *tx) error { return tx.get("PRAGMA "+pragma, nil, &got) }))
		if got != want {
			t.Errorf("%s = %s, want %s", pragma, got, want)
		}
	}
	must(t, db.Check(t.Context()))
}

func TestOpenExistingDirectory(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, filepath.Join(dir, "flow.db"), Options{})
	if _, err := os.Stat(filepath.Join(dir, ".gitignore")); err == nil {
		t.Error(".gitignore in a directory that is not .flow")
	}
}

func TestOpenOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%20 'd'\n\"é;&=", "x?mode=memory&.db")
	db := mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")
	must(t, db.Close())
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	value(mustOpen(t, path, Options{ReadOnly: true}).Run(t.Context(), "run1"))(t)
}

func TestOpenRefuses(t *testing.T) {
	tests := map[string]struct {
		make func(t *testing.T, path string)
		what error
		text string
	}{
		"empty": {
			func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) },
			ErrCorrupt, "it is empty",
		},
		"no database": {
			func(t *testing.T, path string) {
				must(t, os.WriteFile(path, []byte(strings.Repeat("workflow {}\n", 1000)), 0o600))
			},
			ErrCorrupt, "nothing was written to it",
		},
		"of another program": {
			func(t *testing.T, path string) {
				pool := value(sql.Open("sqlite", dsn(path, nil)))(t)
				value(pool.Exec("CREATE TABLE runs (id TEXT); INSERT INTO runs VALUES ('mine')"))(t)
				must(t, pool.Close())
			},
			ErrCorrupt, "another program",
		},
		"newer": {
			func(t *testing.T, path string) {
				must(t, value(Open(path, Options{}))(t).Close())
				pool := value(sql.Open("sqlite", dsn(path, nil)))(t)
				value(pool.Exec("PRAGMA user_version = 9999"))(t)
				must(t, pool.Close())
			},
			ErrVersion, "a newer flow wrote it (its version is 9999",
		},
		"version below zero": {
			func(t *testing.T, path string) {
				must(t, value(Open(path, Options{}))(t).Close())
				pool := value(sql.Open("sqlite", dsn(path, nil)))(t)
				value(pool.Exec("PRAGMA user_version = -7"))(t)
				must(t, pool.Close())
			},
			ErrCorrupt, "its version is -7",
		},
		"directory": {
			func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) },
			ErrCantOpen, "directory",
		},
		"only -wal": {
			func(t *testing.T, path string) { must(t, os.WriteFile(path+"-wal", []byte("changes"), 0o600)) },
			ErrCorrupt, "-wal file is still there",
		},
		"cut off": {
			func(t *testing.T, path string) {
				must(t, value(Open(path, Options{}))(t).Close())
				must(t, os.Truncate(path, 50))
			},
			ErrCorrupt, "nothing was written to it",
		},
	}
	for name, tt := range tests {
		for _, readOnly := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "flow.db")
				tt.make(t, path)
				before := snapshot(t, path)
				_, err := Open(path, Options{ReadOnly: readOnly})
				if !errors.Is(err, tt.what) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %v, want %v with %q", err, tt.what, tt.text)
				}
				if after := snapshot(t, path); after != before {
					t.Errorf("something was written: %q, was %q", after, before)
				}
			})
		}
	}
}

// snapshot identifies the content of a database's files.
func snapshot(t *testing.T, path string) string {
	var b strings.Builder
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err == nil && len(data) > 0 {
			fmt.Fprintf(&b, "%s %d bytes, sha256 %x; ", suffix, len(data), sha256.Sum256(data))
		}
	}
	return b.String()
}

func TestOpenReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	if _, err := Open(path, Options{ReadOnly: true}); !errors.Is(err, engine.ErrNotFound) {
		t.Fatalf("error %v, want ErrNotFound", err)
	}
	rw := mustOpen(t, path, Options{})
	mustCreate(t, rw, "run1", "align")
	ro := mustOpen(t, path, Options{ReadOnly: true})
	if got := value(ro.Run(t.Context(), "run1"))(t); got.Workflow != "genome" {
		t.Errorf("run %+v", got)
	}
	if err := ro.Append(t.Context(), "run1", 1, engine.Event{Kind: engine.RunResumed}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("append: %v", err)
	}
	if err := ro.Vacuum(t.Context()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("vacuum: %v", err)
	}
	ro.Put("/a", 1, 2, 3, [32]byte{})
	must(t, ro.Flush(t.Context()))
	last, changed, err := ro.Changed(t.Context(), 0)
	if err != nil || changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	value(rw.AddRequest(t.Context(), "run1", RequestCancel, ""))(t)
	if _, changed, err = ro.Changed(t.Context(), last); err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
}

// TestOpenAtOnce has many processes' worth of Open make one file.
func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".flow", "flow.db")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := Open(path, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.CreateRun(t.Context(), NewRun{Info: info(engine.RunID('a' + rune(i)))}); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := value(mustOpen(t, path, Options{}).Runs(t.Context(), RunFilter{}))(t); len(got) != 8 {
		t.Errorf("%d runs, want 8", len(got))
	}
}

func TestNetworkFileSystem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flow.db")
	o := Options{FileSystem: onNFS, BusyTimeout: 10 * time.Millisecond}
	db := mustOpen(t, path, o)
	if db.Network() != "NFS" {
		t.Errorf("network %q", db.Network())
	}
	mustCreate(t, db, "run1", "align*")
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 1000, "")))
	for e, err := range db.Events(t.Context(), "run1", 0) { // one connection, and yet both at once
		must(t, err)
		if e.Seq == 1 {
			must(t, db.Append(t.Context(), "run1", 2, planned("align", 1, engine.Upto(1000))))
		}
	}
	value(db.Tasks(t.Context(), "run1", TaskFilter{}))(t)
	for _, entry := range value(os.ReadDir(dir))(t) {
		if n := entry.Name(); n != "flow.db" && n != "flow.db-journal" {
			t.Errorf("%s on a network file system", n)
		}
	}
	_, err := Open(path, o)
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "network file system (NFS)") {
		t.Errorf("second process: %v", err)
	}
	must(t, db.Close())
	again := mustOpen(t, path, o)
	if got := len(collect(t, again, "run1", 0)); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
}

// TestMoveBetweenFileSystems opens one file as a local one and as one on a network.
func TestMoveBetweenFileSystems(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	seq := int64(0)
	for i, fs := range []func(string) (int64, error){nil, onNFS, nil, onNFS} {
		db := mustOpen(t, path, Options{FileSystem: fs})
		if i == 0 {
			mustCreate(t, db, "run1", "align")
		} else {
			must(t, db.Append(t.Context(), "run1", seq, engine.Event{At: epoch, Kind: engine.RunResumed}))
		}
		seq++
		must(t, db.Check(t.Context()))
		must(t, db.Close())
	}
}

func TestFileSystemMagics(t *testing.T) {
	for magic, name := range networks {
		db, err := Open(filepath.Join(t.TempDir(), "flow.db"), Options{FileSystem: func(string) (int64, error) { return magic, nil }})
		if err != nil || db.Network() != name {
			t.Fatalf("%#x: %v", magic, err)
		}
		must(t, db.Close())
	}
	if magic, err := fileSystem(t.TempDir()); err != nil || magic == 0 {
		t.Errorf("this file system: %#x, %v", magic, err)
	}
	if _, err := fileSystem(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestClosed(t *testing.T) {
	db := mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{})
	must(t, db.Close())
	must(t, db.Close())
	if err := db.Append(t.Context(), "run1", 0, engine.Event{Kind: engine.RunStarted}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("append: %v", err)
	}
}

func TestCancelledContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	db, other := mustOpen(t, path, Options{}), mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")
	ctx, cancel := context.WithCancel(t.Context())
	must(t, other.write(t.Context(), func(*tx) error { // keeps the file locked meanwhile
		done := make(chan error)
		go func() { done <- db.Append(ctx, "run1", 1, engine.Event{At: epoch, Kind: engine.RunResumed}) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("append: %v", err)
		}
		return nil
	}))
	if got := len(collect(t, db, "run1", 0)); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
	must(t, db.Append(t.Context(), "run1", 1, engine.Event{At: epoch, Kind: engine.RunResumed}))
}

func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	db, other := mustOpen(t, path, Options{BusyTimeout: time.Millisecond}), mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")
	must(t, other.write(t.Context(), func(*tx) error {
		if err := db.DropRequests(t.Context(), "run1"); !errors.Is(err, ErrBusy) {
			t.Errorf("write: %v", err)
		}
		_, err := db.Run(t.Context(), "run1") // readers never wait for writers
		return err
	}))
	must(t, db.DropRequests(t.Context(), "run1"))
}
