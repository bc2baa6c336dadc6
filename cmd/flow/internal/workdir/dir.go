// Package workdir keeps, beside the files of tasks, what outlives the state file and what
// machines that share a work_dir have to know of each other: what each run is, who uses its
// results, and that it is being removed.
//
//	<work_dir>/<run>/.run/run.json   what the run is: a [Record]
//	<work_dir>/<run>/.used/<other>   run <other> has taken results of this one over: a [Mark]
//	<work_dir>/<run>/.removing       the run is being removed: see [Removal]
//	<work_dir>/.runs/<run>           on S3: there is such a run; see [List]
//
// A run is there as long as its record is.
package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"flow/engine"
	"flow/executor/store"
)

// A Dir is a work_dir: a directory of this machine, or a prefix on S3.
type Dir struct {
	Path string // an absolute path, or "s3://bucket/prefix"
	// Store returns the store of objects; it is called when there is something on S3 to look
	// at, and answers the same every time.
	Store func(context.Context) (store.Store, error)
}

// Far reports whether the directory is on S3.
func (d Dir) Far() bool { return store.Is(d.Path) }

// Run returns where the files of a run are.
func (d Dir) Run(run engine.RunID) string {
	return strings.TrimRight(d.Path, "/") + "/" + string(run)
}

// RecordDir returns where the record of a run is, of the directory of that run.
func RecordDir(dir string) string { return strings.TrimRight(dir, "/") + path.Dir(recordName) }

// RunDir returns the directory of the run that a task is of, of that of the task:
// <dir>/<step>/<key>.
func RunDir(taskDir string) string {
	for range 2 {
		taskDir = taskDir[:max(strings.LastIndexByte(taskDir, '/'), 0)]
	}
	return taskDir
}

// Names in a work_dir, and in the directory of a run. No step has one of the latter: those
// begin with a letter.
const (
	recordName   = "/.run/run.json"
	recordDir    = "/.run/"
	usedDir      = "/.used/"
	removingName = "/.removing"
	runsDir      = "/.runs/"
)

// get returns the content of a file or object; fs.ErrNotExist, wrapped, if there is none.
func (d Dir) get(ctx context.Context, name string) ([]byte, error) {
	if !store.Is(name) {
		return os.ReadFile(name)
	}
	st, err := d.Store(ctx)
	if err != nil {
		return nil, err
	}
	data, _, err := st.Get(ctx, name)
	return data, err
}

// there reports whether a file or object is there.
func (d Dir) there(ctx context.Context, name string) (bool, error) {
	var err error
	if store.Is(name) {
		var st store.Store
		if st, err = d.Store(ctx); err == nil {
			_, err = st.Head(ctx, name)
		}
	} else {
		_, err = os.Stat(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// putNew makes a file or object, durably, that must not be there; fs.ErrExist or
// store.ErrExists, wrapped, if it is.
func (d Dir) putNew(ctx context.Context, name string, data []byte) error {
	if !store.Is(name) {
		return writeNew(name, data)
	}
	st, err := d.Store(ctx)
	if err != nil {
		return err
	}
	_, err = st.PutNew(ctx, name, data)
	return err
}

// writeNew makes a file that is there whole or not at all, with the directories above.
func writeNew(name string, data []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if _, err := os.Lstat(name); err == nil {
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	return os.Rename(f.Name(), name)
}

// exists reports whether an error of putNew says that there is one already.
func exists(err error) bool { return errors.Is(err, fs.ErrExist) || errors.Is(err, store.ErrExists) }

// Split parts the directory of a run into its work_dir and its id.
func Split(dir string) (workDir string, run engine.RunID, err error) {
	dir = strings.TrimRight(dir, "/")
	run = engine.RunID(path.Base(dir))
	if !IsRun(string(run)) {
		return "", "", fmt.Errorf("%s does not end in the id of a run", dir)
	}
	return strings.TrimRight(dir[:len(dir)-len(run)], "/"), run, nil
}

// IsRun reports whether a name is that of the directory of a run: a lower-case ULID.
func IsRun(name string) bool {
	return len(name) == 26 && strings.Trim(name, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}
