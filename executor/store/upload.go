package store

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// sizes say how contents are divided, in bytes, and objects that are listed or removed.
type sizes struct {
	single   int64 // up to this, an object is made by one call
	part     int64 // of an upload, and the range of a download; at least 5 MiB (Amazon S3 multipart upload limits)
	copy     int64 // up to this, an object is copied by one call
	copyPart int64
	page     int32 // objects; S3 takes no more (S3 API reference, ListObjectsV2, DeleteObjects)
}

var usual = sizes{single: 32 << 20, part: 16 << 20, copy: 1 << 30, copyPart: 256 << 20, page: 1000}

// Limits of S3, and how many parts are on their way at once: of 16 MiB, with some 100 MB/s
// for a connection, that is 10 Gbit/s (S3 User Guide, "Performance design patterns").
const (
	mostParts = 10_000
	parallel  = 8
)

// partSize returns the size of the parts of an object: the least that is enough, in MiB.
func partSize(size, least int64) int64 {
	const mib = 1 << 20
	need := (size + mostParts - 1) / mostParts
	return max(least, (need+mib-1)/mib*mib)
}

// Upload implements [Store]. What it sends it reads once more than it hashes, by parts, so
// that nothing is held in memory; what has changed in between S3 refuses.
//
// A large object goes on from the parts of an upload to the same key that was interrupted,
// those of the same contents.
func (x *S3) Upload(ctx context.Context, uri string, r io.ReaderAt, size int64) (Object, Sum, error) {
	if size <= x.sizes.single {
		content := io.NewSectionReader(r, 0, size)
		sum, err := hashed(content, size)
		if err != nil {
			return Object{}, Sum{}, fmt.Errorf("cannot read what is to be %s: %w", uri, err)
		}
		o, err := x.put(ctx, uri, io.NewSectionReader(r, 0, size), size, sum, condition{})
		return o, sum, err
	}
	bucket, key, err := name(uri)
	if err != nil {
		return Object{}, Sum{}, err
	}
	o, sum, err := x.upload(ctx, &upload{x: x, uri: uri, bucket: bucket, key: key, r: r, size: size}, true)
	if lost := new(lostUpload); errors.As(err, &lost) && ctx.Err() == nil {
		// Somebody else had to do with the same upload.
		o, sum, err = x.upload(ctx, &upload{x: x, uri: uri, bucket: bucket, key: key, r: r, size: size}, false)
	}
	return o, sum, err
}

// hashed returns the sum of size bytes, no fewer.
func hashed(r io.Reader, size int64) (sum Sum, err error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, r, make([]byte, min(size+1, block)))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return Sum(h.Sum(nil)), err
}

// block is how much is read at once, in bytes.
const block = 256 << 10

// A lostUpload says that an upload or parts of it are no longer as they were.
type lostUpload struct{ error }

func (e *lostUpload) Unwrap() error { return e.error }

// An upload makes one object of parts.
type upload struct {
	x                *S3
	uri, bucket, key string
	r                io.ReaderAt
	size             int64

	part  int64 // bytes of each but the last
	id    string
	known map[int32]types.Part // there already, by number
	parts []types.CompletedPart
	sums  []byte // the sha256 of each part, one after the other
}

func (x *S3) upload(ctx context.Context, u *upload, resume bool) (Object, Sum, error) {
	u.part = partSize(u.size, x.sizes.part)
	n := int((u.size + u.part - 1) / u.part)
	u.parts, u.sums = make([]types.CompletedPart, n), make([]byte, n*sha256.Size)
	if resume {
		u.find(ctx)
	}
	if u.id == "" {
		if err := u.begin(ctx); err != nil {
			return Object{}, Sum{}, x.explain(writing, u.uri, err)
		}
	}
	sum, err := u.send(ctx)
	if err == nil {
		var o Object
		if o, err = u.complete(ctx); err == nil {
			return o, sum, nil
		}
	}
	if u.hopeless(ctx, err) {
		// As it cannot become an object, nobody is to pay for it.
		_ = x.abort(context.WithoutCancel(ctx), u.bucket, u.key, u.id) // else Sweep does it
	}
	return Object{}, Sum{}, u.explain(err)
}

// hopeless reports whether an upload does not succeed either if it goes on later.
func (u *upload) hopeless(ctx context.Context, err error) bool {
	var said smithy.APIError
	var unread *readError
	return ctx.Err() == nil && (errors.As(err, &unread) || errors.As(err, &said) && statusOf(err) < 500)
}

func (u *upload) explain(err error) error {
	var unread *readError
	var said smithy.APIError
	switch {
	case errors.As(err, &unread):
		return fmt.Errorf("cannot read what is to be %s: %w", u.uri, unread.error)
	case errors.As(err, &said) && slices.Contains([]string{"NoSuchUpload", "InvalidPart", "InvalidPartOrder"}, said.ErrorCode()):
		return &lostUpload{u.x.explain(writing, u.uri, err)}
	case errors.As(err, &said) && (said.ErrorCode() == "BadDigest" || said.ErrorCode() == "XAmzContentSHA256Mismatch"):
		return fmt.Errorf("cannot write %s: its content arrives changed, or changes while it is sent: %w", u.uri, err)
	}
	return u.x.explain(writing, u.uri, err)
}

func (u *upload) begin(ctx context.Context) error {
	in := &s3.CreateMultipartUploadInput{Bucket: &u.bucket, Key: &u.key}
	if u.x.checksum(Sum{}) != nil {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	out, err := call(ctx, u.x, u.bucket, u.x.c.CreateMultipartUpload, in)
	if err == nil {
		u.id = aws.ToString(out.UploadId)
	}
	return err
}

// find looks for the latest upload to the same key that was interrupted. That it cannot, since
// it is not allowed to or whatever, is no reason to fail.
func (u *upload) find(ctx context.Context) {
	var latest types.MultipartUpload
	for other, err := range u.x.unfinished(ctx, u.bucket, u.key) {
		if err != nil {
			return
		}
		if *other.Key == u.key && other.UploadId != nil && (latest.Initiated == nil || aws.ToTime(other.Initiated).After(*latest.Initiated)) {
			latest = other
		}
	}
	if latest.UploadId == nil {
		return
	}
	known := map[int32]types.Part{}
	in := &s3.ListPartsInput{Bucket: &u.bucket, Key: &u.key, UploadId: latest.UploadId}
	for more := true; more; {
		out, err := call(ctx, u.x, u.bucket, u.x.c.ListParts, in)
		if err != nil {
			return
		}
		for _, p := range out.Parts {
			known[aws.ToInt32(p.PartNumber)] = p
		}
		in.PartNumberMarker, more = out.NextPartNumberMarker, aws.ToBool(out.IsTruncated) && out.NextPartNumberMarker != nil
	}
	if u.fits(known) {
		u.id, u.known = *latest.UploadId, known
	}
}

// fits reports whether all parts that are there are of the sizes that this upload has, and
// with a sum to compare.
func (u *upload) fits(known map[int32]types.Part) bool {
	for n, p := range known {
		if n < 1 || int(n) > len(u.parts) || aws.ToInt64(p.Size) != u.sizeOf(int(n-1)) || sha(p.ChecksumSHA256) == "" {
			return false
		}
	}
	return len(known) > 0
}

// sizeOf returns the size of the part of an index, from 0 on.
func (u *upload) sizeOf(i int) int64 { return min(u.part, u.size-int64(i)*u.part) }

// send hashes the content from its beginning to its end, and sends each part as soon as its
// sum is known.
func (u *upload) send(ctx context.Context) (Sum, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	all := newHasher()
	defer all.close()
	var err error
	for i := range u.parts {
		var sum Sum
		if sum, err = all.part(ctx, u.r, int64(i)*u.part, u.sizeOf(i)); err != nil {
			break
		}
		copy(u.sums[i*sha256.Size:], sum[:])
		if old, ok := u.known[int32(i+1)]; ok && sha(old.ChecksumSHA256) == hex.EncodeToString(sum[:]) {
			u.parts[i] = types.CompletedPart{PartNumber: old.PartNumber, ETag: old.ETag, ChecksumSHA256: old.ChecksumSHA256}
			continue
		}
		g.Go(func() error { return u.sendPart(ctx, i, sum) })
	}
	if failed := g.Wait(); failed != nil {
		return Sum{}, failed
	}
	return all.sum(), err
}

func (u *upload) sendPart(ctx context.Context, i int, sum Sum) error {
	size, number := u.sizeOf(i), int32(i+1)
	in := &s3.UploadPartInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &number,
		Body: io.NewSectionReader(u.r, int64(i)*u.part, size), ContentLength: &size, ChecksumSHA256: u.x.checksum(sum),
	}
	out, err := call(ctx, u.x, u.bucket, u.x.c.UploadPart, in, signed(sum))
	if err != nil {
		return err
	}
	u.parts[i] = types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumSHA256: in.ChecksumSHA256}
	return nil
}

// complete makes the object.
func (u *upload) complete(ctx context.Context) (Object, error) {
	in := &s3.CompleteMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, MpuObjectSize: &u.size, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}}
	out, err := call(ctx, u.x, u.bucket, u.x.c.CompleteMultipartUpload, in)
	if err == nil {
		return Object{URI: u.uri, Size: u.size, ETag: tag(out.ETag)}, nil
	}
	// A first try may have been carried out and its answer lost: then there is no upload any
	// more, and the object is that of these parts.
	if o, ok := u.made(ctx); ok {
		return o, nil
	}
	return Object{}, err
}

// made looks whether the object is that of the upload's parts.
func (u *upload) made(ctx context.Context) (Object, bool) {
	out, err := call(ctx, u.x, u.bucket, u.x.c.HeadObject, &s3.HeadObjectInput{Bucket: &u.bucket, Key: &u.key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return Object{}, false
	}
	o := Object{URI: u.uri, Size: aws.ToInt64(out.ContentLength), ETag: tag(out.ETag), Modified: aws.ToTime(out.LastModified)}
	sum := sha256.Sum256(u.sums)
	want := fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(sum[:]), len(u.parts))
	return o, o.Size == u.size && (aws.ToString(out.ChecksumSHA256) == want || out.ChecksumSHA256 == nil && o.ETag == u.etag())
}

// etag returns what the object's is if those of its parts are their MD5, as they are but for
// some kinds of encryption (S3 API reference, "Object").
func (u *upload) etag() string {
	h := md5.New()
	for _, p := range u.parts {
		sum, err := hex.DecodeString(tag(p.ETag))
		if err != nil {
			return ""
		}
		h.Write(sum)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(u.parts))
}

// abort ends an upload that becomes no object. One that is not there is no error.
func (x *S3) abort(ctx context.Context, bucket, key, id string) error {
	_, err := call(ctx, x, bucket, x.c.AbortMultipartUpload, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id})
	var said smithy.APIError
	if errors.As(err, &said) && said.ErrorCode() == "NoSuchUpload" {
		return nil
	}
	return err
}
