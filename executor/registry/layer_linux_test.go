package registry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestMounts keeps the directory of a mount, and leaves out what is mounted there.
func TestMounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := filepath.Join(dir, "proc")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", at, "tmpfs", 0, ""); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	for _, name := range []string{"proc/secret", "kept"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var notes, names []string
	l, _ := made(t, &From{Path: dir, Root: Root{Platform: &Platform{OS: "linux", Architecture: "amd64"}}}, &notes)
	for _, f := range filesOf(t, l) {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"kept", "proc/"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"what is mounted at /proc is left out"}, notes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
