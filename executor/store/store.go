// Package store keeps files as objects of S3, for tasks whose work_dir is there: what an
// object is to everybody else, and the client that does it.
//
// An object is named by its URI, "s3://bucket/key", and so is a prefix; the key is as it is,
// with nothing percent-encoded.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// A Store keeps objects. It is safe for concurrent use. It tries again by itself what may
// work the next time, as often as AWS advises, so that an error is final for now.
//
// An error says which object it is about. It is fs.ErrNotExist, wrapped, if there is no such
// object; [ErrExists], wrapped, if there is one and there must not be; [ErrChanged],
// wrapped, if it is not the one that was asked for; fs.ErrPermission, wrapped, if it is not
// allowed. Of any other nobody knows whether what was to be done has been done.
type Store interface {
	// Head returns what is known of an object without its content.
	Head(ctx context.Context, uri string) (Object, error)

	// Get returns the content of an object of at most [MaxGet] bytes.
	Get(ctx context.Context, uri string) ([]byte, Object, error)

	// Range returns n bytes of an object from offset at on, fewer if it ends before: one
	// request. The Object has the size of the whole.
	Range(ctx context.Context, uri string, at, n int64) ([]byte, Object, error)

	// Put makes or replaces an object at once: whoever reads it sees the old or the new.
	Put(ctx context.Context, uri string, data []byte) (Object, error)

	// PutNew makes an object that must not be there (If-None-Match: *). Of many that try
	// one succeeds; the others get [ErrExists]. A caller whose own first try was carried
	// out and its answer lost may get it as well: what is there tells.
	PutNew(ctx context.Context, uri string, data []byte) (Object, error)

	// PutMatch replaces an object whose ETag is that one (If-Match): with another one, or if
	// there is none, the error is [ErrChanged]. A caller whose own first try was carried out
	// and its answer lost may get it as well: what is there tells.
	PutMatch(ctx context.Context, uri string, data []byte, etag string) (Object, error)

	// Upload makes an object of size bytes of what r reads, in parallel parts if it is
	// large, and returns its sha256 as well. r is read from its beginning to its end, and
	// more than once. There is no object until all of it is there.
	Upload(ctx context.Context, uri string, r io.ReaderAt, size int64) (Object, Sum, error)

	// Download writes an object's content to w, in parallel ranges if it is large, and
	// returns its sha256. If the object is not the one with ETag match, the error is
	// ErrChanged; "" is any. After an error w has whatever had come.
	Download(ctx context.Context, uri string, w File, match string) (Object, Sum, error)

	// Copy makes an object of another one without its content coming by here.
	Copy(ctx context.Context, from, to string) (Object, error)

	// List yields the objects whose URIs begin with prefix, by key.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Remove removes objects, 1,000 a request. One that is not there is no error.
	Remove(ctx context.Context, uris ...string) error

	// Sweep removes what uploads below a prefix have left that were begun before a time and
	// never ended.
	Sweep(ctx context.Context, prefix string, before time.Time) error
}

// A File is what an object is written to, as *os.File is.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// An Object is what is known of an object without its content.
type Object struct {
	URI      string
	Size     int64     // bytes
	ETag     string    // as S3 has it, without its quotes: another one is another content
	SHA256   string    // of its whole content, 64 hexadecimal digits, if S3 has it; else ""
	Modified time.Time // zero: not known
}

// A Sum is the sha256 of a content.
type Sum = [32]byte

// MaxGet is the most that Get returns, in bytes.
const MaxGet = 64 << 20

// Errors of a Store; see there.
var (
	ErrExists  = errors.New("it is there already")
	ErrChanged = errors.New("it is another one by now")
)

// Is reports whether a path is the URI of an object, or of many.
func Is(path string) bool { return strings.HasPrefix(path, "s3://") }

// Split returns the bucket and the key of a URI. An error says what is wrong with it.
func Split(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("%q is no URI of S3, such as \"s3://bucket/key\"", uri)
	}
	return bucket, key, nil
}
