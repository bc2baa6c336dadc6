package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"flow/engine"
	"flow/executor/store"
)

// Files is where task files live: on local file systems, on S3, and, as inputs, on web
// servers. It implements engine.Files. The zero value is ready to use, and remembers nothing.
type Files struct {
	Memo Memo // nil: every file is read every time
	// Store returns the store of objects; it is called when the first path on S3 is met, and
	// answers the same every time. nil: such a path is an error.
	Store func(context.Context) (store.Store, error)

	web     *web // nil: theWeb
	uploads uploads
}

var (
	_ engine.Files          = (*Files)(nil)
	_ engine.Attempter      = (*Files)(nil)
	_ engine.BulkFiles      = (*Files)(nil)
	_ engine.BulkIdentifier = (*Files)(nil)
	_ engine.BulkPublisher  = (*Files)(nil)
	_ engine.Discarder      = (*Files)(nil)
	_ engine.Matcher        = (*Files)(nil)
	_ engine.Prober         = (*Files)(nil)
)

// later makes of an error that says nothing of what was asked for one that engine knows.
func later(err error) error {
	if errors.Is(err, store.ErrUnanswered) {
		return &laterError{err}
	}
	return err
}

// A laterError is an engine.ErrLater that says why.
type laterError struct{ error }

func (e *laterError) Unwrap() []error { return []error{e.error, engine.ErrLater} }

func errScheme(path, scheme string) error {
	return fmt.Errorf("%s: %s is not known here; a file is a local path, an s3:// URI or, as an input, an https:// URL", show(path), scheme)
}

// Identify returns "sha256:" and the hash of a file's content, or of a directory's: the
// names in it, sorted, with the contents of the files. What a link leads to counts, not
// the link.
//
// An object has the same if S3 knows the sha256 of its content, else "etag:", its ETag and
// its size. What is below a prefix is "list:" and a hash over names, sizes and ETags. A file
// on a web server is "https:" and a hash over its URL without the query, its ETag or the
// time of its modification, and its size, if the server says those.
func (f *Files) Identify(ctx context.Context, path string) (string, error) {
	return f.identify(ctx, &resolver{files: f}, path)
}

func (f *Files) identify(ctx context.Context, far *resolver, path string) (string, error) {
	switch scheme := uriScheme(path); scheme {
	case "":
	case "s3":
		r, err := far.resolve(ctx, path)
		if err != nil {
			return "", later(err)
		}
		return r.id, nil
	case "https":
		return f.identifyPage(ctx, path)
	default:
		return "", errScheme(path, scheme)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s: %w", missing(path, err), engine.ErrNotFound)
		}
		return "", errors.New(Explain(err))
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", errors.New(Explain(err))
	}
	var sum Sum
	if info.IsDir() {
		sum, err = f.tree(ctx, real, "", nil)
	} else {
		sum, err = f.file(ctx, real, info)
	}
	if err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// file returns the sum of a file with the real path real.
func (f *Files) file(ctx context.Context, real string, info fs.FileInfo) (Sum, error) {
	if !info.Mode().IsRegular() {
		return Sum{}, fmt.Errorf("%s is neither a file nor a directory (%s)", show(real), info.Mode().Type())
	}
	if f.Memo != nil {
		if sum, ok := f.Memo.Get(real, info.Size(), info.ModTime().UnixNano(), inode(info)); ok {
			return sum, nil
		}
	}
	return f.sum(ctx, real)
}

// sum reads a file and returns its sum.
func (f *Files) sum(ctx context.Context, real string) (Sum, error) {
	file, err := os.Open(real)
	if err != nil {
		return Sum{}, errors.New(Explain(err))
	}
	defer file.Close()
	sum, _, err := f.hashOpen(ctx, file, real)
	if errors.Is(err, errChanged) {
		return sum, fmt.Errorf("%s changed while it was read", show(real))
	}
	return sum, err
}

// tree returns the Merkle hash of a directory with the real path real, which was come
// to through the real directories of way.
func (f *Files) tree(ctx context.Context, real, rel string, way []string) (Sum, error) {
	if slices.Contains(way, real) {
		return Sum{}, fmt.Errorf("%s is a link to a directory that it is in", show(rel))
	}
	way = append(way[:len(way):len(way)], real)
	entries, err := os.ReadDir(real) // sorted by name
	if err != nil {
		return Sum{}, errors.New(Explain(err))
	}
	h := newTree()
	for _, e := range entries {
		sub, kind := real+"/"+e.Name(), byte('f')
		if e.Type()&fs.ModeSymlink != 0 {
			target, err := filepath.EvalSymlinks(sub)
			if err != nil {
				// A link to nothing is a name with the text of the link for content.
				text, _ := os.Readlink(sub)
				writeEntry(h, 'l', e.Name(), sha256.Sum256([]byte(text)))
				continue
			}
			sub = target
		}
		info, err := os.Stat(sub)
		if err != nil {
			return Sum{}, errors.New(Explain(err))
		}
		var sum Sum
		if info.IsDir() {
			kind = 'd'
			sum, err = f.tree(ctx, sub, path.Join(rel, e.Name()), way)
		} else {
			sum, err = f.file(ctx, sub, info)
		}
		if err != nil {
			return Sum{}, err
		}
		writeEntry(h, kind, e.Name(), sum)
	}
	return Sum(h.Sum(nil)), nil
}

// writeEntry hashes one entry of a directory, so that no two directories look alike.
func writeEntry(h hash.Hash, kind byte, name string, sum Sum) {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(name)))
	h.Write(head)
	h.Write([]byte(name))
	h.Write(sum[:])
}
