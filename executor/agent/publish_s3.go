package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"flow/executor/store"
)

// publishToStore publishes to the object target, or below it.
func (f *Files) publishToStore(ctx context.Context, source, target string) error {
	bucket, key, err := store.Split(target)
	if err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("%s is a bucket: end it in / to publish into it", show("s3://"+bucket))
	}
	st, err := f.open(ctx, target)
	if err != nil {
		return err
	}
	p := &objectPublisher{f, &mover{st}}
	if store.Is(source) {
		return p.copies(ctx, source, target)
	}
	return p.uploads(ctx, source, target)
}

// An objectPublisher puts files where they are published on S3.
type objectPublisher struct {
	files *Files
	mover *mover
}

// copies has what is on S3 copied there.
func (p *objectPublisher) copies(ctx context.Context, source, target string) error {
	r, err := (&resolver{files: p.files}).resolve(ctx, source)
	if err != nil {
		return err
	}
	if !r.dir {
		return p.copy(ctx, &r.files[0], target)
	}
	return p.each(ctx, len(r.files), func(ctx context.Context, i int) error {
		file := &r.files[i]
		to := target + "/" + objectName(file.rel)
		if strings.HasSuffix(file.rel, "/") {
			_, err := p.mover.store.Put(ctx, to, nil)
			return err
		}
		return p.copy(ctx, file, to)
	})
}

// each does something with 0 to n-1, some of it at the same time.
func (p *objectPublisher) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(transfersAtOnce)
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

// copy has an object copied, if it is what it was, unless it is there.
func (p *objectPublisher) copy(ctx context.Context, file *remoteFile, target string) error {
	if file.uri == target {
		return nil
	}
	now, err := p.mover.store.Head(ctx, file.uri)
	if err != nil {
		return file.explain(err)
	}
	if now.Size != file.size || file.etag != "" && now.ETag != file.etag {
		return fmt.Errorf("%s has been changed: %w", show(file.uri), store.ErrChanged)
	}
	have, err := p.mover.store.Head(ctx, target)
	if err == nil && have.Size == file.size && (have.ETag == now.ETag || have.SHA256 != "" && have.SHA256 == file.sha256) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	made, err := p.mover.store.Copy(ctx, file.uri, target)
	if err == nil && made.Size != file.size {
		err = fmt.Errorf("%s was changed while it was copied: %w", show(file.uri), store.ErrChanged)
	}
	return err
}

// uploads puts what is on this machine there.
func (p *objectPublisher) uploads(ctx context.Context, source, target string) error {
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return p.upload(ctx, real, info, target)
	}
	found, err := walk(real)
	if err != nil {
		return err
	}
	return p.each(ctx, len(found), func(ctx context.Context, i int) error {
		to := target + "/" + objectName(found[i].rel)
		if found[i].info.IsDir() {
			_, err := p.mover.store.Put(ctx, to, nil)
			return err
		}
		return p.upload(ctx, found[i].real, found[i].info, to)
	})
}

// upload puts a file there, unless it is.
func (p *objectPublisher) upload(ctx context.Context, real string, info fs.FileInfo, target string) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a directory (%s)", show(real), info.Mode().Type())
	}
	done, err := p.mover.turn(ctx, info.Size())
	if err != nil {
		return err
	}
	defer done()
	have, err := p.mover.store.Head(ctx, target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && have.Size == info.Size() && have.SHA256 != "" {
		sum, err := p.files.file(ctx, real, info)
		if err != nil || hex.EncodeToString(sum[:]) == have.SHA256 {
			return err
		}
	}
	file, err := os.Open(real)
	if err != nil {
		return err
	}
	defer file.Close()
	_, _, err = p.mover.store.Upload(ctx, target, file, info.Size())
	return err
}

// publishFromStore publishes what is on S3 to the path target.
func (f *Files) publishFromStore(ctx context.Context, source, target string) error {
	r, err := (&resolver{files: f}).resolve(ctx, source)
	if err != nil {
		return err
	}
	if done, err := r.mayReplace(target); done || err != nil {
		return err
	}
	st, err := f.open(ctx, source)
	if err != nil {
		return err
	}
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	tmp, err := tempName(parent, func(name string) error { return os.Mkdir(name, 0o777) })
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer root.Close()
	const name = "new"
	placed, err := r.place(ctx, &mover{st}, root, name)
	if err == nil {
		err = syncPlaced(root, placed)
	}
	switch {
	case err != nil:
		return err
	case r.dir:
		err = replaceDir(tmp+"/"+name, target)
	default:
		err = os.Rename(tmp+"/"+name, target)
	}
	if err != nil {
		return err
	}
	return syncDir(parent)
}

// mayReplace reports whether target is what it should be already, and an error if what is
// there must not be replaced.
func (r *remote) mayReplace(target string) (done bool, err error) {
	old, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !r.dir && old.IsDir():
		return false, errors.New("a directory is there; end the path in / to publish into it")
	case r.dir && old.IsDir():
		where, err := filepath.EvalSymlinks(target)
		if err != nil {
			return false, err
		}
		return false, guard(where, "")
	case r.dir:
		return false, nil
	}
	file := &r.files[0]
	return old.Mode().IsRegular() && old.Size() == file.size && !file.modified.IsZero() && old.ModTime().Equal(file.modified), nil
}
