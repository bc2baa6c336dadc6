package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
)

// A readError is why a content cannot be read.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// A hasher hashes a content from its beginning to its end, and each of its parts as well, on
// two processors: what is read is read once.
type hasher struct {
	whole hash.Hash
	full  chan []byte // for whole, in order
	free  chan []byte
	end   sync.Once
	done  chan struct{}
}

// hashAhead is how many blocks one of the two may be ahead of the other.
const hashAhead = 8

func newHasher() *hasher {
	h := &hasher{whole: sha256.New(), full: make(chan []byte, hashAhead), free: make(chan []byte, hashAhead), done: make(chan struct{})}
	for range hashAhead {
		h.free <- make([]byte, block)
	}
	go func() {
		defer close(h.done)
		for b := range h.full {
			h.whole.Write(b)
			h.free <- b[:cap(b)]
		}
	}()
	return h
}

// part takes the next part in, size bytes of r from at on, and returns its sum.
func (h *hasher) part(ctx context.Context, r io.ReaderAt, at, size int64) (Sum, error) {
	sum := sha256.New()
	for end := at + size; at < end; {
		if err := ctx.Err(); err != nil {
			return Sum{}, err
		}
		b := (<-h.free)[:min(block, end-at)]
		if n, err := r.ReadAt(b, at); n < len(b) {
			return Sum{}, &readError{fmt.Errorf("at byte %d: %w", at+int64(n), err)}
		}
		at += int64(len(b))
		sum.Write(b)
		h.full <- b
	}
	return Sum(sum.Sum(nil)), nil
}

// close ends the second one of the two.
func (h *hasher) close() {
	h.end.Do(func() { close(h.full) })
	<-h.done
}

// sum returns that of all, after which there is no more.
func (h *hasher) sum() Sum {
	h.close()
	return Sum(h.whole.Sum(nil))
}
