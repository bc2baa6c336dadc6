package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"

	"flow/executor/agent"
	"flow/executor/store"
)

// remains are the files of an attempt without a result, on this machine or on S3.
type remains struct {
	dir     string // of the attempt
	attempt int
	files   []leftFile
	objects store.Store // nil: they are on this machine
}

// findRemains returns what the newest attempt of a task has left; nil if that is nothing. home
// is the directory of the state.
func findRemains(ctx context.Context, files *agent.Files, home, taskDir string) (*remains, error) {
	if r, err := remainsHere(hereDir(home, taskDir)); r != nil || err != nil || !store.Is(taskDir) {
		return r, err
	}
	objects, err := files.Store(ctx)
	if err != nil {
		return nil, err
	}
	return remainsThere(ctx, objects, taskDir)
}

// remainsHere finds remains in a directory of this machine.
func remainsHere(taskDir string) (*remains, error) {
	entries, err := os.ReadDir(taskDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	last := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() {
			last = max(last, n)
		}
	}
	if last == 0 {
		return nil, nil
	}
	r := &remains{dir: taskDir + "/" + strconv.Itoa(last), attempt: last}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == agent.InputsDir:
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err == nil {
			r.files = append(r.files, leftFile{Path: name, Size: info.Size()})
		}
		return err
	})
	if err != nil || len(r.files) == 0 {
		return nil, err
	}
	return r, nil
}

// remainsThere finds remains below a task directory on S3: <attempt>/<path>.
func remainsThere(ctx context.Context, objects store.Store, taskDir string) (*remains, error) {
	r := &remains{objects: objects}
	for o, err := range objects.List(ctx, taskDir+"/") {
		if err != nil {
			return nil, err
		}
		number, name, _ := strings.Cut(strings.TrimPrefix(o.URI, taskDir+"/"), "/")
		n, err := strconv.Atoi(number)
		if err != nil || name == "" || n < r.attempt {
			continue
		}
		if n > r.attempt {
			r.attempt, r.files = n, nil
		}
		r.files = append(r.files, leftFile{Path: name, Size: o.Size, SHA256: o.SHA256})
	}
	if r.attempt == 0 {
		return nil, nil
	}
	r.dir = taskDir + "/" + strconv.Itoa(r.attempt)
	sort.Slice(r.files, func(i, k int) bool { return r.files[i].Path < r.files[k].Path })
	return r, nil
}

// fetch copies remains into a directory. What is there already stays: it is an error.
func (r *remains) fetch(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range r.files {
		if err := r.copy(ctx, root, f.Path); err != nil {
			return err
		}
	}
	return nil
}

// copy copies one file into root. One that could not be copied whole is removed.
func (r *remains) copy(ctx context.Context, root *os.Root, name string) (err error) {
	if parent := path.Dir(name); parent != "." {
		if err := root.MkdirAll(parent, 0o777); err != nil {
			return err
		}
	}
	to, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: remove it, or give another directory", path.Join(root.Name(), name))
	}
	if err != nil {
		return err
	}
	if r.objects != nil {
		_, _, err = r.objects.Download(ctx, r.dir+"/"+name, to, "")
	} else {
		err = r.copyHere(to, name)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		_ = root.Remove(name)
	}
	return err
}

// copyHere copies a file of this machine, which is none that a link leads to.
func (r *remains) copyHere(to *os.File, name string) error {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	from, err := root.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}
