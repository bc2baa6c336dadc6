package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// stateDir is the directory that holds the state of runs, and their files unless
// work_dir says otherwise.
const (
	stateDir  = ".flow"
	stateFile = "flow.db"
)

// findStateDir returns the .flow directory in dir or the nearest one above; without any,
// the one that dir would get.
func findStateDir(dir string) (path string, found bool) {
	for at := dir; ; at = filepath.Dir(at) {
		path := filepath.Join(at, stateDir)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path, true
		}
		if at == filepath.Dir(at) {
			return filepath.Join(dir, stateDir), false
		}
	}
}

// statePath returns the absolute path of the state file: --state, FLOW_STATE, or flow.db
// in the .flow directory here or above. All commands look for it in the same way,
// whatever workflow they are about, so that a run is found where it was started.
func (a *app) statePath() (string, error) {
	if a.state != "" {
		return filepath.Abs(a.state)
	}
	if env := os.Getenv("FLOW_STATE"); env != "" {
		return filepath.Abs(env)
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	dir, _ := findStateDir(here)
	return filepath.Join(dir, stateFile), nil
}

// makeStateDir makes the directory of a state file, which version control leaves alone.
func makeStateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if filepath.Base(dir) != stateDir {
		return nil // not ours
	}
	f, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}
