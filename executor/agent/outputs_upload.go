package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"flow/engine"
	"flow/executor/store"
)

// An outgoing is a file of an output that is to become an object.
type outgoing struct {
	output *engine.Output
	thing  thing
	data   []byte // its content, if that has been read for a value; else nil
}

// maxKey is how long the key of an object may be, in bytes of UTF-8 (S3 User Guide,
// object-keys).
const maxKey = 1024

// later notes a file that is to become an object. It is hashed when it is read for that.
func (c *collector) later(o *engine.Output, rel string, t thing, data []byte) error {
	_, key, err := store.Split(c.uri(rel))
	if err != nil {
		return stageOutError(err)
	}
	if len(key) > maxKey {
		return c.invalid(o, "%s has a key of %d bytes on S3, which takes %d: give the file or its directories shorter names", show(rel), len(key), maxKey)
	}
	c.index[rel] = len(c.files)
	c.files = append(c.files, engine.ManifestFile{Path: rel, Size: t.info.Size()})
	c.uploads[rel] = outgoing{o, t, data}
	return nil
}

// noBytes is the sum of nothing.
var noBytes = sha256.Sum256(nil)

// laterEmpty notes a directory that has nothing in it, and would not be there otherwise: an
// empty object whose name ends with a slash stands for it.
func (c *collector) laterEmpty(rel string) {
	if rel += "/"; c.objects != nil {
		c.index[rel] = len(c.files)
		c.files = append(c.files, engine.ManifestFile{Path: rel})
	}
}

// uri returns the URI of a file of the attempt.
func (c *collector) uri(rel string) string {
	return attemptDir(c.objects.uri, c.at.Task.Attempt) + "/" + objectName(rel)
}

// Files below this size go side by side, so many at a time: each alone would mostly wait.
// A larger one is sent in parallel parts.
const (
	smallFile   = 16 << 20
	smallAtOnce = 16
)

// upload makes objects of all files. None of them is a result without its manifest.
func (c *collector) upload() error {
	var small, large []*engine.ManifestFile
	for i := range c.files {
		if f := &c.files[i]; f.Size < smallFile {
			small = append(small, f)
		} else {
			large = append(large, f)
		}
	}
	if err := c.uploadAll(large, 1); err != nil {
		return err
	}
	return c.uploadAll(small, smallAtOnce)
}

// uploadAll uploads files, some at a time.
func (c *collector) uploadAll(files []*engine.ManifestFile, atOnce int) error {
	g, ctx := errgroup.WithContext(c.ctx)
	g.SetLimit(atOnce)
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return c.uploadOne(ctx, f) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.ctx.Err() // none was begun
}

// uploadOne makes an object of a file, and notes what it is.
func (c *collector) uploadOne(ctx context.Context, mf *engine.ManifestFile) error {
	if strings.HasSuffix(mf.Path, "/") {
		object, err := c.objects.store.Put(ctx, c.uri(mf.Path), nil)
		mf.SHA256, mf.ETag = hex.EncodeToString(noBytes[:]), object.ETag
		return err
	}
	out := c.uploads[mf.Path]
	f, err := c.open(out.thing)
	if err != nil {
		return c.invalid(out.output, "%s", Explain(err))
	}
	defer f.Close()
	object, sum, info, err := c.send(ctx, f, c.uri(mf.Path))
	if err == nil && out.data != nil && sum != sha256.Sum256(out.data) {
		err = errChanged // since its value was read
	}
	if err != nil {
		return c.unread(out.output, mf.Path, err)
	}
	mf.Size, mf.SHA256, mf.ETag = info.Size(), hex.EncodeToString(sum[:]), object.ETag
	mf.ModTime = info.ModTime().UnixNano()
	if perm := info.Mode().Perm(); perm&0o111 != 0 {
		mf.Mode = uint32(perm)
	}
	return nil
}

// send makes an object of an open file, and errChanged if that is not what it was when
// reading began.
func (c *collector) send(ctx context.Context, f *os.File, uri string) (o store.Object, sum store.Sum, info fs.FileInfo, err error) {
	before, err := f.Stat()
	if err != nil {
		return o, sum, nil, err
	}
	o, sum, err = c.objects.store.Upload(ctx, uri, f, before.Size())
	after, serr := f.Stat()
	switch {
	case serr != nil:
		return o, sum, nil, serr
	case before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()):
		return o, sum, nil, errChanged
	}
	return o, sum, after, err
}
