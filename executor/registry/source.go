package registry

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Source is what an image is made of, or is in.
type Source interface {
	open(ctx context.Context, p *progress) (*opened, error)
}

// opened is an image, or a list of images, that can be pushed until it is closed.
type opened struct {
	image remote.Taggable
	close func()
}

// From is a [Source]: a directory or a file. It may be a directory with a root file system, a
// tar of one, an image layout of the Open Container Initiative, or what docker save and
// podman save write; tars may be compressed with gzip, zstd or bzip2.
type From struct {
	Path   string
	Stdin  io.Reader // read if Path is "-"
	Root   Root      // for root file systems
	Select string    // which of several images in an archive or a layout; "": there is one
}

// stdin names standard input.
const stdin = "-"

func (f *From) open(ctx context.Context, p *progress) (*opened, error) {
	o, err := f.find(ctx, p)
	if err != nil && ctx.Err() == nil {
		from := f.Path
		if from == stdin {
			from = "standard input"
		}
		return nil, fmt.Errorf("%s: %w", from, bare(err, f.Path))
	}
	return o, err
}

// bare takes the path out of an error that is about it: it is named already.
func bare(err error, path string) error {
	var pe *os.PathError
	if errors.As(err, &pe) && pe.Path == path {
		return pe.Err
	}
	return err
}

func (f *From) find(ctx context.Context, p *progress) (*opened, error) {
	if f.Path == stdin {
		file, err := spool()
		if err == nil {
			_, err = io.Copy(file, &peeking{r: f.Stdin, ctx: ctx, read: p.read})
		}
		if err != nil {
			return nil, full(err)
		}
		return f.file(ctx, p, file)
	}
	info, err := os.Stat(f.Path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return f.dir(ctx, p)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no directory and no file; give - for standard input")
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	return f.file(ctx, p, file)
}

// dir opens a directory.
func (f *From) dir(ctx context.Context, p *progress) (*opened, error) {
	if _, err := os.Stat(filepath.Join(f.Path, ociLayout)); err == nil {
		if err := f.whole("an image layout"); err != nil {
			return nil, err
		}
		return f.layout(f.Path, nil)
	}
	if f.Select != "" {
		return nil, errors.New("-select is for archives and layouts: a directory with a root file system is one image")
	}
	return f.Root.build(ctx, p, func(w *layerWriter) error { return w.addDir(f.Path) })
}

// whole refuses what would change an image that is there as it is.
func (f *From) whole(what string) error {
	if !f.Root.isZero() {
		return fmt.Errorf("it is %s, which is pushed as it is: -cmd, -entrypoint, -env, -workdir, -user, -label and -owner are for root file systems", what)
	}
	return nil
}

// file opens a tar, and closes it at the end.
func (f *From) file(ctx context.Context, p *progress, file *os.File) (o *opened, err error) {
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	t := &tarFile{ctx: ctx, file: file}
	kind, err := t.kind()
	if err != nil {
		return nil, err
	}
	if kind != rootTar {
		if err := f.whole("a saved image"); err != nil {
			return nil, err
		}
	}
	switch {
	case kind == dockerTar:
		return f.docker(t)
	case kind == ociTar:
		return f.oci(t)
	case f.Select != "":
		return nil, errors.New("-select is for archives of images: this tar is one root file system")
	}
	o, err = f.Root.build(ctx, p, func(w *layerWriter) error {
		r, err := t.open()
		if err != nil {
			return err
		}
		defer r.Close()
		return w.addTar(r)
	})
	if err == nil {
		file.Close()
	}
	return o, err
}

// A tarFile is a tar, compressed or not.
type tarFile struct {
	ctx  context.Context
	file *os.File
}

// open returns what is in the tar file, from its beginning.
func (t *tarFile) open() (io.ReadCloser, error) {
	info, err := t.file.Stat()
	if err != nil {
		return nil, err
	}
	raw := io.NewSectionReader(t.file, 0, info.Size())
	head := make([]byte, 6)
	n, _ := raw.ReadAt(head, 0)
	head = head[:n]
	for begin, unpack := range unpackers {
		if strings.HasPrefix(string(head), begin) {
			return unpack(bufio.NewReaderSize(raw, 1<<20))
		}
	}
	return seekable{raw}, nil
}

// A seekable can be skipped in without being read, which archive/tar makes use of.
type seekable struct{ *io.SectionReader }

func (seekable) Close() error { return nil }

// unpackers are what tars are compressed with, by how these begin.
var unpackers = map[string]func(io.Reader) (io.ReadCloser, error){
	"\x1f\x8b": func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) },
	"BZh":      func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil },
	"\x28\xb5\x2f\xfd": func(r io.Reader) (io.ReadCloser, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	},
	"\xfd7zXZ\x00": func(io.Reader) (io.ReadCloser, error) {
		return nil, errors.New("it is compressed with xz, which flow does not read: unpack it with xz -d")
	},
}

// What there may be in a tar.
type tarKind int

const (
	rootTar   tarKind = iota // a root file system
	dockerTar                // what docker save and podman save write
	ociTar                   // an image layout: podman save --format oci-archive
)

// Names in archives of images (image specification, image-layout; Docker image
// specification v1.2, Combined Image JSON + Filesystem Changeset Format).
const (
	ociLayout      = "oci-layout"
	dockerManifest = "manifest.json"
)

// rootName is in every root file system but the barest (Filesystem Hierarchy Standard), and
// in no archive of images.
var rootName = regexp.MustCompile(`^(bin|boot|dev|etc|home|lib(32|64|x32)?|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)(/|$)`)

// kind looks at the names in a tar.
func (t *tarFile) kind() (tarKind, error) {
	r, err := t.open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	kind := rootTar
	files := tar.NewReader(r)
	for n := 0; ; n++ {
		if err := t.ctx.Err(); err != nil {
			return 0, err
		}
		h, err := files.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return 0, errors.New("there is nothing in it")
		case errors.Is(err, io.EOF):
			return kind, nil
		case err != nil && n == 0:
			return 0, errors.New("it is no tar: give a directory with a root file system, a tar of one, or what docker save or podman save writes")
		case err != nil:
			return 0, fmt.Errorf("the tar is damaged: %w", err)
		}
		switch base := path.Clean(h.Name); {
		case rootName.MatchString(strings.TrimPrefix(base, "/")):
			return rootTar, nil
		case base == dockerManifest:
			kind = dockerTar
		case base == ociLayout && kind != dockerTar: // docker save writes both since version 25
			kind = ociTar
		}
	}
}

// docker opens an archive of docker save.
func (f *From) docker(t *tarFile) (*opened, error) {
	m, err := tarball.LoadManifest(t.open)
	if err != nil {
		return nil, fmt.Errorf("its manifest.json is damaged: %w", err)
	}
	var tag *name.Tag
	if len(m) != 1 || f.Select != "" {
		if tag, err = f.choose(m); err != nil {
			return nil, err
		}
	}
	img, err := tarball.Image(t.open, tag)
	if err != nil {
		return nil, fmt.Errorf("the archive is damaged: %w", err)
	}
	return &opened{image: img, close: func() { t.file.Close() }}, nil
}

// choose finds the image that -select names in an archive of docker save.
func (f *From) choose(m tarball.Manifest) (*name.Tag, error) {
	var names []string
	for _, d := range m {
		for _, tag := range d.RepoTags {
			names = append(names, tag)
			if f.Select == "" || !sameName(tag, f.Select) {
				continue
			}
			ref, err := name.NewTag(tag)
			return &ref, err
		}
	}
	return nil, f.ambiguous(len(m), names)
}

// sameName reports whether two names, short or in full, are of the same image.
func sameName(a, b string) bool {
	x, errX := name.ParseReference(a)
	y, errY := name.ParseReference(b)
	return a == b || errX == nil && errY == nil && x.Name() == y.Name()
}

// ambiguous says which images there are.
func (f *From) ambiguous(n int, names []string) error {
	there := strings.Join(names, ", ")
	if there == "" {
		there = "none has a name"
	}
	if f.Select != "" {
		return fmt.Errorf("there is no image %s in it: %s", f.Select, there)
	}
	return fmt.Errorf("there are %d images in it: choose one with -select NAME (%s)", n, there)
}

// oci opens an archive of an image layout: it is unpacked, as blobs are read in any order.
func (f *From) oci(t *tarFile) (*opened, error) {
	dir, err := os.MkdirTemp(roomy(), "flow-image-*")
	if err != nil {
		return nil, full(err)
	}
	remove := func() { os.RemoveAll(dir); t.file.Close() }
	err = t.unpack(dir)
	var o *opened
	if err == nil {
		o, err = f.layout(dir, remove)
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return o, nil
}
