package store

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// Copy implements [Store]. A large object is copied by parts, side by side: one call copies up
// to 5 GiB (S3 API reference, CopyObject), at the pace of one.
func (x *S3) Copy(ctx context.Context, from, to string) (Object, error) {
	fromBucket, fromKey, err := name(from)
	if err != nil {
		return Object{}, err
	}
	bucket, key, err := name(to)
	if err != nil {
		return Object{}, err
	}
	old, err := call(ctx, x, fromBucket, x.c.HeadObject, &s3.HeadObjectInput{Bucket: &fromBucket, Key: &fromKey})
	if err != nil {
		return Object{}, x.explain(reading, from, err)
	}
	c := &copyOf{x: x, source: fromBucket + "/" + escaped(fromKey), bucket: bucket, key: key, old: old}
	made := Object{URI: to, Size: aws.ToInt64(old.ContentLength)}
	if made.Size > x.sizes.copy {
		made.ETag, err = c.byParts(ctx, made.Size)
	} else {
		made.ETag, err = c.whole(ctx)
	}
	if err != nil {
		return Object{}, x.explain(copying, to, err)
	}
	return made, nil
}

// escaped returns a key as a header has it (S3 API reference, x-amz-copy-source).
func escaped(key string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(key))
}

// A copyOf makes an object of another one.
type copyOf struct {
	x                   *S3
	source, bucket, key string
	old                 *s3.HeadObjectOutput
}

// whole makes one call, and returns the ETag.
func (c *copyOf) whole(ctx context.Context) (string, error) {
	out, err := call(ctx, c.x, c.bucket, c.x.c.CopyObject, &s3.CopyObjectInput{Bucket: &c.bucket, Key: &c.key, CopySource: &c.source, CopySourceIfMatch: c.old.ETag})
	switch {
	case err != nil:
		return "", err
	case out.CopyObjectResult == nil:
		return "", fmt.Errorf("S3 says nothing of the copy")
	}
	return tag(out.CopyObjectResult.ETag), nil
}

// byParts returns the ETag as well. What one call would keep it keeps, as far as it is of use.
func (c *copyOf) byParts(ctx context.Context, size int64) (string, error) {
	begun, err := call(ctx, c.x, c.bucket, c.x.c.CreateMultipartUpload, &s3.CreateMultipartUploadInput{
		Bucket: &c.bucket, Key: &c.key, Metadata: c.old.Metadata,
		ContentType: c.old.ContentType, ContentEncoding: c.old.ContentEncoding, ContentDisposition: c.old.ContentDisposition, CacheControl: c.old.CacheControl,
	})
	if err != nil {
		return "", err
	}
	id := aws.ToString(begun.UploadId)
	parts, err := c.parts(ctx, id, size)
	if err == nil {
		var out *s3.CompleteMultipartUploadOutput
		in := &s3.CompleteMultipartUploadInput{Bucket: &c.bucket, Key: &c.key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
		if out, err = call(ctx, c.x, c.bucket, c.x.c.CompleteMultipartUpload, in); err == nil {
			return tag(out.ETag), nil
		}
	}
	_ = c.x.abort(context.WithoutCancel(ctx), c.bucket, c.key, id) // else Sweep does it
	return "", err
}

func (c *copyOf) parts(ctx context.Context, id string, size int64) ([]types.CompletedPart, error) {
	each := partSize(size, c.x.sizes.copyPart)
	parts := make([]types.CompletedPart, (size+each-1)/each)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range parts {
		g.Go(func() error {
			at, number := int64(i)*each, int32(i+1)
			in := &s3.UploadPartCopyInput{
				Bucket: &c.bucket, Key: &c.key, UploadId: &id, PartNumber: &number, CopySource: &c.source, CopySourceIfMatch: c.old.ETag,
				CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", at, min(at+each, size)-1)),
			}
			out, err := call(ctx, c.x, c.bucket, c.x.c.UploadPartCopy, in)
			if err != nil {
				return err
			}
			r := out.CopyPartResult
			if r == nil {
				return fmt.Errorf("S3 says nothing of part %d", number)
			}
			parts[i] = types.CompletedPart{
				PartNumber: &number, ETag: r.ETag, ChecksumSHA256: r.ChecksumSHA256,
				ChecksumCRC32: r.ChecksumCRC32, ChecksumCRC32C: r.ChecksumCRC32C, ChecksumCRC64NVME: r.ChecksumCRC64NVME, ChecksumSHA1: r.ChecksumSHA1,
			}
			return nil
		})
	}
	return parts, g.Wait()
}
