package registry

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// A Root says how an image is made of a root file system, which has no configuration.
type Root struct {
	Cmd, Entrypoint []string
	Env             []string // NAME=VALUE
	WorkDir, User   string
	Labels          map[string]string
	Platform        *Platform // nil: what most of its programs are for, else that of this machine
	Owner           *Owner    // of every file; nil: whose it is
	Epoch           time.Time // no file, and not the image, is younger; zero: as they are
}

// isZero reports whether r says nothing about an image.
func (r *Root) isZero() bool {
	return r.Cmd == nil && r.Entrypoint == nil && r.Env == nil && r.WorkDir == "" && r.User == "" && r.Labels == nil && r.Owner == nil
}

// An Owner is whose a file is, by numbers.
type Owner struct{ UID, GID int }

// defaultPath is where programs are when nothing says otherwise.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// image makes an image of one layer.
func (r *Root) image(l *layer, s *seen, note func(string)) (v1.Image, error) {
	platform := r.platform(s, note)
	created := s.newest
	if !r.Epoch.IsZero() {
		created = r.Epoch
	}
	env := r.Env
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append([]string{defaultPath}, env...)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "flow image push", Created: v1.Time{Time: created.UTC()}}})
	if err != nil {
		return nil, err
	}
	f, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	f = f.DeepCopy()
	f.OS, f.Architecture, f.Variant = platform.OS, platform.Architecture, platform.Variant
	f.Created = v1.Time{Time: created.UTC()}
	f.Config = v1.Config{Cmd: r.Cmd, Entrypoint: r.Entrypoint, Env: env, WorkingDir: r.WorkDir, User: r.User, Labels: r.Labels}
	return mutate.ConfigFile(img, f)
}

// platform says what an image is for.
func (r *Root) platform(s *seen, note func(string)) Platform {
	most := ""
	for _, a := range []string{"amd64", "arm64", "386", "arm", "riscv64"} { // an order, for what is as frequent
		if s.programs[a] > s.programs[most] {
			most = a
		}
	}
	if r.Platform != nil {
		if most != "" && most != r.Platform.Architecture {
			note(fmt.Sprintf("the programs in it are for linux/%s, and -platform says %s", most, r.Platform))
		}
		return *r.Platform
	}
	if most == "" {
		note("no program in it says what it is for; it is called linux/" + runtime.GOARCH + ", as this machine is, without -platform")
	}
	return Platform{OS: "linux", Architecture: cmp.Or(most, runtime.GOARCH)}
}

// notes says what was left out.
func (s *seen) notes(note func(string)) {
	if s.devices > 0 {
		note(fmt.Sprintf("device nodes are left out (%d): a container gets its own /dev", s.devices))
	}
	if s.sockets > 0 {
		note(fmt.Sprintf("sockets are left out (%d)", s.sockets))
	}
	for _, m := range s.mounts {
		note("what is mounted at " + m + " is left out")
	}
}

// addDir adds the files of a directory, in the order of their names.
func (w *layerWriter) addDir(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	d := &dirReader{w: w, root: root, links: map[inode]string{}}
	if own, err := root.Lstat("."); err == nil {
		d.device = inodeOf(own).device
	}
	return fs.WalkDir(root.FS(), ".", d.visit)
}

// A dirReader reads a directory for a layer.
type dirReader struct {
	w      *layerWriter
	root   *os.Root
	device uint64
	links  map[inode]string // the first name of files with several
}

// An inode is a file, whatever its name.
type inode struct{ device, number uint64 }

func inodeOf(info fs.FileInfo) inode {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(s.Dev), s.Ino} // an int32 on macOS
	}
	return inode{}
}

func (d *dirReader) visit(name string, _ fs.DirEntry, err error) error {
	if err != nil || name == "." {
		return readable(err)
	}
	info, err := d.root.Lstat(name)
	if err != nil {
		return readable(err)
	}
	switch {
	case info.Mode().IsRegular():
		return d.file(name)
	case info.Mode()&fs.ModeSocket != 0:
		d.w.seen.sockets++
		return nil
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = d.root.Readlink(name); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = name
	if err := d.w.add(h, nil); err != nil {
		return err
	}
	if info.IsDir() && inodeOf(info).device != d.device {
		d.w.seen.mounts = append(d.w.seen.mounts, "/"+name)
		return fs.SkipDir
	}
	return nil
}

// file adds a regular file, or another name of one that is there.
func (d *dirReader) file(name string) error {
	// Should it have become a pipe meanwhile, nobody waits for its other end.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return readable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s changed while it was read", name)
	}
	h, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	h.Name = name
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		if first := d.links[inodeOf(info)]; first != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return d.w.add(h, nil)
		}
		d.links[inodeOf(info)] = name
	}
	if c := capabilityOf(f); c != "" {
		h.PAXRecords = map[string]string{capability: c}
	}
	return d.w.add(h, f)
}

// readable says what may be done about a file that may not be read.
func readable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: an image needs every file of the directory; run this as root, or in: podman unshare", err)
	}
	return err
}

// addTar adds the files of a tar of a root file system.
func (w *layerWriter) addTar(r io.Reader) error {
	files := tar.NewReader(r)
	for {
		h, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the tar is damaged: %w", err)
		}
		if err := w.add(h, files); err != nil {
			return err
		}
	}
}

// build makes an image of what fill adds.
func (r *Root) build(ctx context.Context, p *progress, fill func(*layerWriter) error) (*opened, error) {
	w, err := newLayerWriter(ctx, r, p.read)
	if err != nil {
		return nil, err
	}
	if err := fill(w); err != nil {
		w.drop()
		return nil, err
	}
	l, err := w.finish()
	if err != nil {
		w.drop()
		return nil, err
	}
	w.seen.notes(p.note)
	img, err := r.image(l, &w.seen, p.note)
	if err != nil {
		w.drop()
		return nil, err
	}
	return &opened{image: img, close: w.drop}, nil
}
