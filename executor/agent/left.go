package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"flow/engine"
	"flow/executor/store"
)

// Left returns the manifest of a task's successful attempt without a look at its files: what
// there is to fetch. The error is engine.ErrNotFound, wrapped, if there is none.
func (f *Files) Left(ctx context.Context, taskDir string) (*engine.Manifest, error) {
	return f.newest(ctx, taskDir)
}

// Present returns the files of a result that have not been removed since it was made.
func Present(m *engine.Manifest) []engine.ManifestFile { return present(m) }

// Fetch copies the files of a result, or those of them that keep names, into the directory
// dir, under their paths in the result. Each is checked against the manifest, and what is
// there already as it should be is left alone; what is there otherwise is an error. notice,
// unless nil, is told of each file that is there now, by one caller at a time. Files that
// are gone are left out.
func (f *Files) Fetch(ctx context.Context, taskDir string, m *engine.Manifest, keep func(path string) bool, dir string, notice func(engine.ManifestFile)) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.New(Explain(err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return errors.New(Explain(err))
	}
	defer root.Close()
	x := &fetcher{files: f, root: root, from: attemptDir(taskDir, m.Attempt), mover: &mover{}}
	if store.Is(taskDir) {
		if x.mover.store, err = f.open(ctx, taskDir); err != nil {
			return err
		}
	}
	told := make(chan engine.ManifestFile)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for file := range told {
			if notice != nil {
				notice(file)
			}
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(transfersAtOnce)
	for _, file := range present(m) {
		if keep != nil && !keep(file.Path) {
			continue
		}
		g.Go(func() error {
			if err := x.fetch(gctx, &file); err != nil {
				return explained(err)
			}
			told <- file
			return nil
		})
	}
	err = g.Wait()
	close(told)
	<-ended
	return err
}

// A fetcher copies files of an attempt into a directory.
type fetcher struct {
	files *Files
	root  *os.Root
	from  string // the attempt's directory
	mover *mover
}

// fetch copies a file, unless it is there.
func (x *fetcher) fetch(ctx context.Context, file *engine.ManifestFile) error {
	if !isFileName(file.Path) {
		return fmt.Errorf("%s is no name for a file in a directory", show(file.Path))
	}
	if strings.HasSuffix(file.Path, "/") {
		return x.root.MkdirAll(path.Clean(file.Path), 0o777)
	}
	if same, err := x.same(ctx, file); same || err != nil {
		return err
	}
	if err := x.root.MkdirAll(path.Dir(file.Path), 0o777); err != nil {
		return err
	}
	tmp := path.Join(path.Dir(file.Path), ".flow-get-"+short(file.SHA256)+"-"+hashName(file.Path))
	if err := x.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that died
		return err
	}
	var err error
	if store.Is(x.from) {
		remote := ofManifest(file, x.from+"/"+objectName(file.Path))
		_, err = remote.download(ctx, x.mover, x.root, tmp)
	} else {
		err = x.copy(ctx, file, tmp)
	}
	if err == nil {
		err = x.root.Rename(tmp, file.Path)
	}
	if err != nil {
		_ = x.root.Remove(tmp)
	}
	return err
}

// hashName tells temporary files of one directory apart.
func hashName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:4])
}

// same reports whether a file is there as it should be. One that is there otherwise may be
// all that somebody has: an error.
func (x *fetcher) same(ctx context.Context, file *engine.ManifestFile) (bool, error) {
	info, err := x.root.Lstat(file.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.Mode().IsRegular() && info.Size() == file.Size {
		have, err := x.root.Open(file.Path)
		if err != nil {
			return false, err
		}
		sum, _, err := hashReader(ctx, have)
		have.Close()
		if err != nil || hex.EncodeToString(sum[:]) == file.SHA256 {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("%s is there already and is another file: remove it, or name another directory", show(path.Join(x.root.Name(), file.Path)))
}

// copy copies a file of this machine to a new one.
func (x *fetcher) copy(ctx context.Context, file *engine.ManifestFile, name string) error {
	src, err := os.Open(x.from + "/" + file.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	sum, _, err := hashReader(ctx, io.TeeReader(src, dst))
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err == nil && hex.EncodeToString(sum[:]) != file.SHA256 {
		err = fmt.Errorf("%s has been changed", show(src.Name()))
	}
	if err == nil {
		err = x.root.Chtimes(name, time.Time{}, info.ModTime())
	}
	return err
}
