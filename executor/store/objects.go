package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
)

// bodyTries is how often a content is asked for that breaks off.
const bodyTries = 5

// Head implements [Store].
func (x *S3) Head(ctx context.Context, uri string) (Object, error) {
	bucket, key, err := name(uri)
	if err != nil {
		return Object{}, err
	}
	out, err := call(ctx, x, bucket, x.c.HeadObject, &s3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return Object{}, x.explain(reading, uri, err)
	}
	return Object{uri, aws.ToInt64(out.ContentLength), tag(out.ETag), sha(out.ChecksumSHA256), aws.ToTime(out.LastModified)}, nil
}

// Get implements [Store].
func (x *S3) Get(ctx context.Context, uri string) ([]byte, Object, error) {
	return x.get(ctx, uri, "", MaxGet)
}

// Range implements [Store].
func (x *S3) Range(ctx context.Context, uri string, at, n int64) ([]byte, Object, error) {
	if n <= 0 || at < 0 {
		return nil, Object{}, fmt.Errorf("%s: no range of %d bytes from %d on", uri, n, at)
	}
	data, o, err := x.get(ctx, uri, fmt.Sprintf("bytes=%d-%d", at, at+n-1), n)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable { // it ends before
		o, err = x.Head(ctx, uri)
	}
	return data, o, err
}

// get returns at most so many bytes of an object, and tries again if they break off.
func (x *S3) get(ctx context.Context, uri, bytes string, most int64) ([]byte, Object, error) {
	bucket, key, err := name(uri)
	if err != nil {
		return nil, Object{}, err
	}
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if bytes != "" {
		in.Range = &bytes
	}
	for try := 1; ; try++ {
		out, err := call(ctx, x, bucket, x.c.GetObject, in)
		if err != nil {
			return nil, Object{}, x.explain(reading, uri, err)
		}
		o := Object{uri, total(out), tag(out.ETag), sha(out.ChecksumSHA256), aws.ToTime(out.LastModified)}
		data, err := content(out.Body, aws.ToInt64(out.ContentLength), most)
		switch {
		case err == nil:
			return data, o, nil
		case ctx.Err() != nil || errors.Is(err, errLarge) || try == bodyTries:
			return nil, o, x.explain(reading, uri, err)
		}
	}
}

var errLarge = errors.New("it is too large to be read at once")

// content reads an answer of size bytes to its end.
func content(body io.ReadCloser, size, most int64) ([]byte, error) {
	defer body.Close()
	if size > most {
		return nil, errLarge
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, err
	}
	// The end is where the SDK compares checksums.
	if n, err := body.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, errors.New("the answer is longer than it says"))
	}
	return data, nil
}

// total returns the size of the object of which an answer has all or a part.
func total(out *s3.GetObjectOutput) int64 {
	if _, size, ok := strings.Cut(aws.ToString(out.ContentRange), "/"); ok {
		if n, err := strconv.ParseInt(size, 10, 64); err == nil {
			return n
		}
	}
	return aws.ToInt64(out.ContentLength)
}

// Put implements [Store].
func (x *S3) Put(ctx context.Context, uri string, data []byte) (Object, error) {
	return x.put(ctx, uri, bytes.NewReader(data), int64(len(data)), sha256.Sum256(data), condition{})
}

// PutNew implements [Store].
func (x *S3) PutNew(ctx context.Context, uri string, data []byte) (Object, error) {
	return x.put(ctx, uri, bytes.NewReader(data), int64(len(data)), sha256.Sum256(data), condition{none: aws.String("*")})
}

// PutMatch implements [Store].
func (x *S3) PutMatch(ctx context.Context, uri string, data []byte, etag string) (Object, error) {
	quoted := `"` + etag + `"`
	o, err := x.put(ctx, uri, bytes.NewReader(data), int64(len(data)), sha256.Sum256(data), condition{match: &quoted})
	if errors.Is(err, ErrExists) || errors.Is(err, fs.ErrNotExist) || statusOf(err) == http.StatusConflict {
		return o, fmt.Errorf("%s: %w", uri, ErrChanged)
	}
	return o, err
}

// A condition says when an object is made.
type condition struct{ none, match *string } // If-None-Match, If-Match

// put makes an object of size bytes of r in one call.
func (x *S3) put(ctx context.Context, uri string, r io.ReadSeeker, size int64, sum Sum, when condition) (Object, error) {
	bucket, key, err := name(uri)
	if err != nil {
		return Object{}, err
	}
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: r, ContentLength: &size, IfNoneMatch: when.none, IfMatch: when.match, ChecksumSHA256: x.checksum(sum)}
	out, err := call(ctx, x, bucket, x.c.PutObject, in, signed(sum))
	if err != nil {
		return Object{}, x.explain(writing, uri, err)
	}
	o := Object{URI: uri, Size: size, ETag: tag(out.ETag), SHA256: sha(out.ChecksumSHA256)}
	return o, nil
}

// checksum returns a sum for S3 to compare with what it gets and to keep; nil if it is not to
// be given one that it does not ask for (AWS_REQUEST_CHECKSUM_CALCULATION=when_required).
func (x *S3) checksum(sum Sum) *string {
	if x.c.Options().RequestChecksumCalculation == aws.RequestChecksumCalculationWhenRequired {
		return nil
	}
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// signed makes the sum of a request's body part of its signature. The SDK would read the
// body once more, or leave it out.
func signed(sum Sum) func(*s3.Options) {
	set := middleware.InitializeMiddlewareFunc("flow:PayloadHash", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(v4.SetPayloadHash(ctx, hex.EncodeToString(sum[:])), in)
	})
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error { return s.Initialize.Add(set, middleware.Before) })
	}
}

// name is Split, of an object.
func name(uri string) (bucket, key string, err error) {
	bucket, key, err = Split(uri)
	if err == nil && key == "" {
		err = fmt.Errorf("%q is a bucket, and no object of it", uri)
	}
	return bucket, key, err
}

func tag(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// sha returns a sha256 as digits, if it is that of a whole object. Of one that came in parts
// S3 has that of the parts' sums, "...-N" (S3 User Guide, "Checking object integrity").
func sha(checksum *string) string {
	sum, err := base64.StdEncoding.DecodeString(aws.ToString(checksum))
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return hex.EncodeToString(sum)
}

// Sweep implements [Store].
func (x *S3) Sweep(ctx context.Context, prefix string, before time.Time) error {
	bucket, begin, err := Split(prefix)
	if err != nil {
		return err
	}
	for u, err := range x.unfinished(ctx, bucket, begin) {
		if err != nil {
			return x.explain(sweeping, prefix, err)
		}
		if u.Initiated == nil || !u.Initiated.Before(before) {
			continue
		}
		if err := x.abort(ctx, bucket, *u.Key, *u.UploadId); err != nil {
			return x.explain(sweeping, prefix, err)
		}
	}
	return nil
}
