// Package bundle puts the directory of a workflow into one file that is named by its content,
// and takes it out again.
package bundle

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MostBytes is how large the files of a bundle may be together: every head fetches them.
const MostBytes = 512 << 20

// A File is a file of a bundle.
type File struct {
	Name string // with slashes, relative to the directory
	Size int64
	path string // where it is; "": its content is data
	data []byte
	exec bool
}

// A Bundle is a directory in one file.
type Bundle struct {
	Files []File // by name
	Size  int64  // of the files together
}

// A SizeError says that a directory is too large.
type SizeError struct {
	Dir     string
	Size    int64
	Largest []File // the largest ones, which come first
}

func (e *SizeError) Error() string {
	var largest []string
	for _, f := range e.Largest {
		largest = append(largest, fmt.Sprintf("%s (%d MiB)", f.Name, f.Size>>20))
	}
	return fmt.Sprintf("the files in %s are %d MiB, and a bundle has at most %d: put large ones on S3 and name them as s3://..., or leave out with -exclude what the workflow does not use; the largest are %s",
		e.Dir, e.Size>>20, MostBytes>>20, strings.Join(largest, ", "))
}

// Of returns the bundle of a directory: all its files but hidden ones, and those that a pattern
// of path.Match names, as a whole, by their last part or by a directory that they are in. Links
// are followed, so that it has what the workflow finds there.
func Of(dir string, exclude []string) (*Bundle, error) {
	b := &Bundle{}
	if err := b.walk(dir, "", exclude, nil); err != nil {
		return nil, err
	}
	slices.SortFunc(b.Files, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
	if b.Size <= MostBytes {
		return b, nil
	}
	largest := slices.Clone(b.Files)
	slices.SortFunc(largest, func(x, y File) int { return cmp.Compare(y.Size, x.Size) })
	return nil, &SizeError{Dir: dir, Size: b.Size, Largest: largest[:min(len(largest), 5)]}
}

// walk adds the files of a directory. above are the real paths of those it is in: a link to one
// of them would never end.
func (b *Bundle) walk(dir, name string, exclude, above []string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if slices.Contains(above, real) {
		return fmt.Errorf("%s is a link to a directory that it is in", dir)
	}
	above = append(slices.Clip(above), real)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at, is := filepath.Join(dir, e.Name()), path.Join(name, e.Name())
		if strings.HasPrefix(e.Name(), ".") || excluded(is, exclude) {
			continue
		}
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist): // a link to nothing
			continue
		case err != nil:
			return err
		case info.IsDir():
			if err := b.walk(at, is, exclude, above); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			b.Files = append(b.Files, File{Name: is, Size: info.Size(), path: at, exec: info.Mode()&0o111 != 0})
			b.Size += info.Size()
		}
	}
	return nil
}

func excluded(name string, patterns []string) bool {
	for _, p := range patterns {
		p = strings.TrimSuffix(p, "/")
		for _, what := range []string{name, path.Base(name)} {
			if ok, err := path.Match(p, what); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// Add adds a file with that content, in place of one of that name.
func (b *Bundle) Add(name string, data []byte) {
	b.Files = slices.DeleteFunc(b.Files, func(f File) bool { return f.Name == name })
	b.Files = append(b.Files, File{Name: name, Size: int64(len(data)), data: data})
	slices.SortFunc(b.Files, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
}

// Write writes the bundle as a tar, compressed with gzip, and returns its sha256 in hexadecimal
// digits. Equal files make equal bundles, whenever and by whomever they were made.
func (b *Bundle) Write(w io.Writer) (sum string, err error) {
	h := sha256.New()
	zip := gzip.NewWriter(io.MultiWriter(w, h))
	t := tar.NewWriter(zip)
	for i := range b.Files {
		if err := b.Files[i].write(t); err != nil {
			return "", err
		}
	}
	if err := errors.Join(t.Close(), zip.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (f *File) write(t *tar.Writer) error {
	mode := int64(0o644)
	if f.exec {
		mode = 0o755
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	if f.path == "" {
		_, err := t.Write(f.data)
		return err
	}
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.CopyN(t, in, f.Size); err != nil {
		return fmt.Errorf("%s has changed while it was read: %w", f.path, err)
	}
	return nil
}

// Extract takes out a bundle into a directory that is empty.
func Extract(r io.Reader, dir string) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := tar.NewReader(zip)
	for {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg || !fs.ValidPath(header.Name) {
			return fmt.Errorf("%q is nothing that a bundle has", header.Name)
		}
		if err := extract(root, header, t); err != nil {
			return err
		}
	}
}

func extract(root *os.Root, header *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(header.Name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(header.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(header.Mode).Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
