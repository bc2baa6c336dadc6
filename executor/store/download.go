package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
)

// Download implements [Store]. What has been written is read back from w to be hashed, in
// order, while more comes.
func (x *S3) Download(ctx context.Context, uri string, w File, match string) (Object, Sum, error) {
	bucket, key, err := name(uri)
	if err != nil {
		return Object{}, Sum{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &transfermanager.DownloadObjectInput{Bucket: &bucket, Key: &key}
	if match != "" {
		in.IfMatch = aws.String(`"` + match + `"`)
	}
	sink := newSink(w, cancel)
	in.WriterAt = sink
	out, err := transfermanager.New(following{x.c, x}, x.asTransfer).DownloadObject(ctx, in)
	sum, size, broken := sink.finish()
	switch {
	case broken != nil:
		return Object{}, Sum{}, fmt.Errorf("cannot keep what is read of %s: %w", uri, broken)
	case ctx.Err() != nil: // transfermanager does not always say so
		return Object{}, Sum{}, x.explain(reading, uri, ctx.Err())
	case err != nil:
		return Object{}, Sum{}, x.explain(reading, uri, err)
	case out.ETag == nil: // it is empty, and has no range that could be asked for
		return x.empty(ctx, uri, match, sum)
	}
	o := Object{URI: uri, Size: size, ETag: tag(out.ETag), Modified: aws.ToTime(out.LastModified)}
	if n := aws.ToInt64(out.ContentLength); n != size {
		return Object{}, Sum{}, fmt.Errorf("cannot read %s: %d bytes have come, and %d of them from its beginning on", uri, n, size)
	}
	return o, sum, nil
}

func (x *S3) asTransfer(o *transfermanager.Options) {
	o.GetObjectType = types.GetObjectRanges
	o.PartSizeBytes = x.sizes.part
	o.Concurrency = parallel
	o.PartBodyMaxRetries = bodyTries
}

// empty ends the download of an object without content.
func (x *S3) empty(ctx context.Context, uri, match string, sum Sum) (Object, Sum, error) {
	o, err := x.Head(ctx, uri)
	switch {
	case err != nil:
		return Object{}, Sum{}, err
	case o.Size != 0 || match != "" && match != o.ETag:
		return Object{}, Sum{}, fmt.Errorf("%s: %w", uri, ErrChanged)
	}
	return o, sum, nil
}

// A sink is where ranges of a content go, side by side, and what hashes them in order.
type sink struct {
	w      File
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	grown  *sync.Cond
	runs   []run // what is there, apart from one another
	front  int64 // from the beginning on, this much is there
	ended  bool
	broken error // of w

	sum    Sum
	hashed chan struct{}
}

// A run is where bytes are that are there: from one offset up to another.
type run struct{ from, to int64 }

func newSink(w File, cancel context.CancelCauseFunc) *sink {
	s := &sink{w: w, cancel: cancel, hashed: make(chan struct{})}
	s.grown = sync.NewCond(&s.mu)
	go s.hash()
	return s
}

// WriteAt implements io.WriterAt. A range that breaks off is written again from its beginning.
func (s *sink) WriteAt(p []byte, at int64) (int, error) {
	n, err := s.w.WriteAt(p, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.fail(err)
		return n, err
	}
	if n > 0 {
		s.add(run{at, at + int64(n)})
	}
	return n, nil
}

// fail keeps the first error of w, and ends the download. It needs the lock.
func (s *sink) fail(err error) {
	if s.broken == nil {
		s.broken = err
		s.cancel(err)
	}
}

// add takes in what has been written. There are few runs, one for each range that is on its
// way. It needs the lock.
func (s *sink) add(r run) {
	kept := s.runs[:0]
	for _, old := range s.runs {
		if old.to < r.from || r.to < old.from {
			kept = append(kept, old)
		} else {
			r = run{min(old.from, r.from), max(old.to, r.to)}
		}
	}
	s.runs = append(kept, r)
	if r.from == 0 && r.to > s.front {
		s.front = r.to
		s.grown.Signal()
	}
}

// hash hashes what is there from the beginning on, block by block, and waits for more.
func (s *sink) hash() {
	defer close(s.hashed)
	h, b := sha256.New(), make([]byte, block)
	for at := int64(0); ; {
		n := s.wait(at)
		if n == 0 {
			s.sum = Sum(h.Sum(nil))
			return
		}
		if got, err := s.w.ReadAt(b[:n], at); got < n {
			s.mu.Lock()
			s.fail(errors.Join(errors.New("it cannot be read back"), err))
			s.mu.Unlock()
			return
		}
		h.Write(b[:n])
		at += int64(n)
	}
}

// wait waits for a block from at on, and returns its length: less only at the end.
func (s *sink) wait(at int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.front-at < block && !s.ended {
		s.grown.Wait()
	}
	return int(min(block, s.front-at))
}

// finish ends it: the sum and the size of what is there from the beginning on, and what was
// wrong with w.
func (s *sink) finish() (Sum, int64, error) {
	s.mu.Lock()
	s.ended = true
	s.grown.Signal()
	s.mu.Unlock()
	<-s.hashed
	return s.sum, s.front, s.broken
}
