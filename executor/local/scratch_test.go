package local

import (
	"os"
	"path/filepath"
	"testing"
)

// A directory is used again if nobody can tell.
func TestScratch(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"task-1/left", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &scratch{dir: dir}
	take := func() string {
		t.Helper()
		path, err := s.take()
		if err != nil {
			t.Fatal(err)
		}
		if !isNew(path) {
			t.Errorf("%s is not new", path)
		}
		return path
	}
	first, second := take(), take()
	if first == second {
		t.Fatal("two have the same directory")
	}
	s.give(first)
	if again := take(); again != first {
		t.Errorf("what was given back as it was is not used again")
	}
	for name, change := range map[string]func() error{
		"a file":      func() error { return os.WriteFile(first+"/.x", nil, 0o644) },
		"a directory": func() error { return os.Mkdir(first+"/x", 0o755) },
		"its mode":    func() error { return os.Chmod(first, 0o700) },
		"it is gone":  func() error { return os.Remove(first) },
		"it is a link": func() error {
			if err := os.Remove(first); err != nil {
				return err
			}
			return os.Symlink(t.TempDir(), first)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		s.give(first)
		if _, err := os.Lstat(first); err == nil {
			t.Errorf("%s: it is still there", name)
		}
		first = take()
	}
	if err := s.sweep(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(second); err != nil {
		t.Error("a directory that is in use was removed:", err)
	}
	s.give(first)
	s.give(second)
	s.close()
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) != 1 || filepath.Base(left[0]) != "other" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Without a directory of its own it makes one, when it is needed.
func TestScratchOfItsOwn(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := &scratch{}
	s.close()
	dir, err := s.take()
	if err != nil {
		t.Fatal(err)
	}
	s.give(dir)
	s.close()
	if left, err := filepath.Glob(os.TempDir() + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	none := &scratch{dir: "/no/such/directory"}
	if _, err := none.take(); err == nil {
		t.Error("a directory that is not there is taken")
	}
}
