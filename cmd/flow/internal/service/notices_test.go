package service

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestNoticesAreKnown has the service know whom to tell that a slot was missed.
func TestNoticesAreKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "workflow \"w\" {}\nstep \"a\" { script = \"true\" }\nnotify \"me\" {\n  on = [\"missed\"]\n  command { argv = [\"tell\"] }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "w.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := NewFiles(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := files.Look(t.Context(), time.Now())
	if err != nil || len(found) != 1 || len(found[0].Notices) != 1 || found[0].Notices[0].Name != "me" {
		t.Errorf("%+v, %v", found, err)
	}
}
