package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"flow/engine"
	"flow/executor/store"
)

// Limits on transfers. A large one is in parallel in itself and has buffers for that, so
// that few of those are made at the same time, but many small ones.
const (
	transfersAtOnce = 64
	largeTransfer   = 8 << 20 // bytes
	largeWeight     = transfersAtOnce / 2
)

// A mover makes transfers.
type mover struct{ store store.Store }

// slots are the transfers that this process makes at the same time, for whatever task.
var slots = semaphore.NewWeighted(transfersAtOnce)

// turn waits until a transfer of size bytes may begin, and returns what ends it.
func (*mover) turn(ctx context.Context, size int64) (done func(), err error) {
	weight := int64(1)
	if size >= largeTransfer {
		weight = largeWeight
	}
	if err := slots.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	return func() { slots.Release(weight) }, nil
}

func (r *remote) identity() string { return r.id }

// place makes a file or directory of root, name, with what is on S3. It returns its files,
// with paths below root.
func (r *remote) place(ctx context.Context, m *mover, root *os.Root, name string) ([]engine.ManifestFile, error) {
	if !r.dir {
		f, err := r.files[0].download(ctx, m, root, name)
		return []engine.ManifestFile{f}, err
	}
	if err := r.makeDirs(root, name); err != nil {
		return nil, err
	}
	placed := make([]engine.ManifestFile, len(r.files))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(transfersAtOnce)
	for i := range r.files {
		f := &r.files[i]
		if strings.HasSuffix(f.rel, "/") {
			placed[i] = engine.ManifestFile{Path: name + "/" + f.rel}
			continue
		}
		g.Go(func() (err error) {
			placed[i], err = f.download(ctx, m, root, name+"/"+f.rel)
			return err
		})
	}
	return placed, g.Wait()
}

// makeDirs makes a directory with all in it, so that files can be put there.
func (r *remote) makeDirs(root *os.Root, name string) error {
	if err := root.Mkdir(name, 0o777); err != nil {
		return err
	}
	made := map[string]bool{".": true}
	for i := range r.files {
		rel := r.files[i].rel
		if !isFileName(rel) {
			return fmt.Errorf("%s has the object %s, whose name no file can have", show(r.uri), show(r.files[i].uri))
		}
		dir := path.Dir(rel)
		if strings.HasSuffix(rel, "/") {
			dir = path.Clean(rel)
		}
		if made[dir] {
			continue
		}
		if err := root.MkdirAll(name+"/"+dir, 0o777); err != nil {
			return err
		}
		made[dir] = true
	}
	return nil
}

// isFileName reports whether the name of an object below a prefix can be the path of a file
// in a directory, and of no other one. A slash at its end makes it a directory.
func isFileName(rel string) bool {
	clean := strings.TrimSuffix(rel, "/")
	return filepath.IsLocal(clean) && path.Clean(clean) == clean && clean != "." && !strings.Contains(rel, "\x00")
}

// download makes the file name of root of an object, and checks it. The time of its
// modification is that of the object, since programs compare those of their files.
func (f *remoteFile) download(ctx context.Context, m *mover, root *os.Root, name string) (engine.ManifestFile, error) {
	done, err := m.turn(ctx, f.size)
	if err != nil {
		return engine.ManifestFile{}, err
	}
	defer done()
	file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return engine.ManifestFile{}, err
	}
	_, sum, err := m.store.Download(ctx, f.uri, file, f.etag)
	if errors.Is(err, store.ErrChanged) {
		err = fmt.Errorf("%s changed since the run looked at it: %w", show(f.uri), store.ErrChanged)
	}
	if err == nil {
		err = f.check(file, sum)
	}
	if err == nil && f.mode&0o111 != 0 {
		err = file.Chmod(fs.FileMode(f.mode).Perm() | 0o600)
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && !f.modified.IsZero() {
		err = root.Chtimes(name, time.Time{}, f.modified)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = root.Lstat(name)
	}
	if err != nil {
		_ = root.Remove(name) // whoever looks again begins anew
		return engine.ManifestFile{}, f.explain(err)
	}
	placed := manifestFile(name, info, sum)
	placed.Mode = f.mode
	return placed, nil
}

// check checks what has come.
func (f *remoteFile) check(file *os.File, sum Sum) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.size {
		return fmt.Errorf("%s has %d bytes, and not the %d that it had: %w", show(f.uri), info.Size(), f.size, store.ErrChanged)
	}
	if got := hex.EncodeToString(sum[:]); f.sha256 != "" && got != f.sha256 {
		return fmt.Errorf("%s has other content than it had, sha256 %s and not %s: %w", show(f.uri), short(got), short(f.sha256), store.ErrChanged)
	}
	return nil
}

// explain words why an object could not be had.
func (f *remoteFile) explain(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there any more: %w", show(f.uri), engine.ErrNotFound)
	}
	return err
}

// short is as much of a hash as people compare.
func short(hash string) string { return hash[:min(12, len(hash))] }

// expect checks that a file or a directory is what it was when it was identified; what
// only its content tells is checked when that comes.
func (r *remote) expect(id string) error {
	kind, want, _ := strings.Cut(id, ":")
	switch {
	case id == r.id:
		return nil
	case kind == "sha256" && !r.dir && r.files[0].sha256 == "":
		r.files[0].sha256 = want
		return nil
	case kind == "etag" && !r.dir && want == fmt.Sprintf("%s:%d", r.files[0].etag, r.files[0].size):
		return nil
	case kind == "sha256", kind == "etag", kind == "list":
		return fmt.Errorf("%s changed since the run looked at it: it was %s and is %s", show(r.uri), shortID(id), shortID(r.id))
	}
	return nil // of the result of a task, whose manifest says what it is
}

// shortID is as much of an identity as people compare.
func shortID(id string) string {
	kind, rest, _ := strings.Cut(id, ":")
	return kind + " " + short(rest)
}
