package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestBackupTo(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align")
	ro := mustOpen(t, db.Path(), Options{ReadOnly: true})
	far := mustOpen(t, filepath.Join(t.TempDir(), "nfs.db"), Options{FileSystem: func(string) (int64, error) { return 0x6969, nil }})
	mustCreate(t, far, "run1", "align")
	for name, db := range map[string]*DB{"local": db, "for reading only": ro, "on a network file system": far} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "copy.db")
			must(t, db.BackupTo(t.Context(), path))
			if got := value(os.Stat(path))(t).Mode().Perm(); got != 0o600 {
				t.Errorf("mode %o", got)
			}
			if err := db.BackupTo(t.Context(), path); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a file that is there: %v", err)
			}
			copied := mustOpen(t, path, Options{})
			must(t, copied.Check(t.Context()))
			value(copied.Run(t.Context(), "run1"))(t)
			mustCreate(t, copied, "run2", "align")
		})
	}
	nowhere := filepath.Join(t.TempDir(), "no", "copy.db")
	if err := db.BackupTo(t.Context(), nowhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to no directory: %v", err)
	}
}
