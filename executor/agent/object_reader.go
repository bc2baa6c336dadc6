package agent

import (
	"context"
	"fmt"
	"io"

	"flow/executor/store"
)

// An objectReader reads an object by ranges, the first of which when it is opened, and keeps
// the latest.
type objectReader struct {
	ctx   context.Context
	store store.Store
	uri   string
	size  int64
	etag  string
	at    int64 // where kept begins
	kept  []byte
}

// readAhead is how much more is read than was asked for, in bytes.
const readAhead = 16 << 10

// openObject begins to read an object with its first n bytes.
func openObject(ctx context.Context, s store.Store, uri string, n int64) (*objectReader, error) {
	first, o, err := s.Range(ctx, uri, 0, n)
	if err != nil {
		return nil, err
	}
	return &objectReader{ctx, s, uri, o.Size, o.ETag, 0, first}, nil
}

// ReadAt implements io.ReaderAt: with one request for what is not at hand.
func (r *objectReader) ReadAt(p []byte, at int64) (int, error) {
	n := r.take(p, at)
	if n == len(p) {
		return n, nil
	}
	at += int64(n)
	if at >= r.size {
		return n, io.EOF
	}
	data, o, err := r.store.Range(r.ctx, r.uri, at, int64(len(p)-n)+readAhead)
	if err != nil {
		return n, err
	}
	if o.ETag != r.etag {
		return n, fmt.Errorf("was replaced while it was read: %w", store.ErrChanged)
	}
	r.at, r.kept = at, data
	if n += r.take(p[n:], at); n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// take copies what is kept of the bytes at a place, and returns how many that were.
func (r *objectReader) take(p []byte, at int64) int {
	if at < r.at || at >= r.at+int64(len(r.kept)) {
		return 0
	}
	return copy(p, r.kept[at-r.at:])
}
