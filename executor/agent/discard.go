package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"flow/engine"
)

// Discard implements engine.Discarder. The manifest is the first to say that files are gone,
// so that the result still fits it whenever this process ends; who comes again removes the
// rest. An output of which the manifest does not say where it is stays: it was not temporary
// when the task ran.
func (f *Files) Discard(ctx context.Context, taskDir string, outputs []string) error {
	err := f.discard(ctx, taskDir, outputs)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("removing temporary outputs of %s: %w", show(taskDir), err)
	}
	return err
}

func (f *Files) discard(ctx context.Context, taskDir string, outputs []string) error {
	r, m, err := f.newestOf(ctx, taskDir)
	if errors.Is(err, engine.ErrNotFound) {
		return nil // the run has been cleaned away
	}
	if err != nil {
		return err
	}
	known := len(m.Gone)
	for _, name := range outputs {
		if !slices.Contains(m.Gone, name) && outputFiles(m, name) != nil && m.Paths != nil {
			m.Gone = append(m.Gone, name)
		}
	}
	if len(m.Gone) == 0 {
		return nil
	}
	if len(m.Gone) > known {
		if err := r.replaceManifest(ctx, m); err != nil {
			return err
		}
	}
	gone := isGone(m)
	var files []string
	for i := range m.Files {
		if gone(m.Files[i].Path) {
			files = append(files, m.Files[i].Path)
		}
	}
	return r.removeFiles(ctx, m.Attempt, files)
}

// removeFiles removes files of an attempt, and the directories that are empty then.
func (d directory) removeFiles(ctx context.Context, attempt int, files []string) error {
	root, err := os.OpenRoot(attemptDir(d.path, attempt))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := root.Remove(untilLink(root, path.Clean(file))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for i := len(files) - 1; i >= 0; i-- {
		for dir := path.Dir(files[i]); dir != "." && root.Remove(dir) == nil; dir = path.Dir(dir) {
		}
	}
	return nil
}

// untilLink returns the path of a file up to the first link on it: what a link leads to is
// not the output's, but an input or another output.
func untilLink(root *os.Root, file string) string {
	for at := range file {
		if file[at] != '/' {
			continue
		}
		if info, err := root.Lstat(file[:at]); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return file[:at]
		}
	}
	return file
}

func (o objects) removeFiles(ctx context.Context, attempt int, files []string) error {
	uris := make([]string, len(files))
	for i, file := range files {
		uris[i] = attemptDir(o.uri, attempt) + "/" + objectName(file)
	}
	return o.store.Remove(ctx, uris...)
}
