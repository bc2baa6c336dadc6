package state_test

import (
	"os"
	"path/filepath"
	"testing"

	"flow/state"
)

func TestStorage(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []string{dir, filepath.Join(dir, "not", "made")} {
		network, free, err := state.Storage(at)
		if err != nil || network != "" || free == 0 {
			t.Errorf("%s: %q, %d, %v", at, network, free, err)
		}
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := state.Storage(filepath.Join(file, "x")); err == nil {
		t.Error("below a file there is no directory, and Storage says nothing")
	}
}
