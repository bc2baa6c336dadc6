package store

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// List implements [Store].
func (x *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		bucket, begin, err := Split(prefix)
		if err != nil {
			yield(Object{}, err)
			return
		}
		// Keys may have what XML cannot.
		in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &begin, EncodingType: types.EncodingTypeUrl, MaxKeys: &x.sizes.page}
		for more := true; more; {
			out, err := call(ctx, x, bucket, x.c.ListObjectsV2, in)
			if err != nil {
				yield(Object{}, x.explain(listing, prefix, err))
				return
			}
			for _, c := range out.Contents {
				o, err := listed(bucket, c, out.EncodingType)
				if !yield(o, err) || err != nil {
					return
				}
			}
			in.ContinuationToken, more = out.NextContinuationToken, aws.ToBool(out.IsTruncated) && out.NextContinuationToken != nil
		}
	}
}

func listed(bucket string, c types.Object, encoded types.EncodingType) (Object, error) {
	key, err := decoded(aws.ToString(c.Key), encoded)
	return Object{URI: "s3://" + bucket + "/" + key, Size: aws.ToInt64(c.Size), ETag: tag(c.ETag), Modified: aws.ToTime(c.LastModified)}, err
}

// decoded returns a key as it is; others than AWS may not have encoded it.
func decoded(key string, encoded types.EncodingType) (string, error) {
	if encoded != types.EncodingTypeUrl {
		return key, nil
	}
	plain, err := url.QueryUnescape(key)
	if err != nil {
		return "", fmt.Errorf("S3 lists the key %q: %w", key, err)
	}
	return plain, nil
}

// unfinished yields uploads of keys with a prefix that were begun and not ended.
func (x *S3) unfinished(ctx context.Context, bucket, prefix string) iter.Seq2[types.MultipartUpload, error] {
	return func(yield func(types.MultipartUpload, error) bool) {
		in := &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
		for more := true; more; {
			out, err := call(ctx, x, bucket, x.c.ListMultipartUploads, in)
			if err != nil {
				yield(types.MultipartUpload{}, err)
				return
			}
			for _, u := range out.Uploads {
				key, err := decoded(aws.ToString(u.Key), out.EncodingType)
				u.Key = &key
				if !yield(u, err) || err != nil {
					return
				}
			}
			next, err := decoded(aws.ToString(out.NextKeyMarker), out.EncodingType)
			if err != nil {
				yield(types.MultipartUpload{}, err)
				return
			}
			in.KeyMarker, in.UploadIdMarker, more = &next, out.NextUploadIdMarker, aws.ToBool(out.IsTruncated) && next != ""
		}
	}
}

// Remove implements [Store].
func (x *S3) Remove(ctx context.Context, uris ...string) error {
	byBucket := map[string][]types.ObjectIdentifier{}
	for _, uri := range uris {
		bucket, key, err := name(uri)
		if err != nil {
			return err
		}
		byBucket[bucket] = append(byBucket[bucket], types.ObjectIdentifier{Key: &key})
	}
	for bucket, all := range byBucket {
		for some := range slices.Chunk(all, int(x.sizes.page)) {
			if err := x.remove(ctx, bucket, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove makes one call, and again for what S3 had no time for.
func (x *S3) remove(ctx context.Context, bucket string, some []types.ObjectIdentifier) error {
	first := "s3://" + bucket + "/" + *some[0].Key
	for try := 1; ; try++ {
		in := &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: some, Quiet: aws.Bool(true)}}
		out, err := call(ctx, x, bucket, x.c.DeleteObjects, in, x.md5)
		if err != nil {
			return x.explain(removing, first, err)
		}
		left, err := x.left(bucket, out.Errors)
		if err != nil || len(left) == 0 {
			return err
		}
		if try == bodyTries {
			return fmt.Errorf("cannot remove s3://%s/%s: %s", bucket, *left[0].Key, aws.ToString(out.Errors[0].Message))
		}
		if err := pause(ctx, try); err != nil {
			return x.explain(removing, first, err)
		}
		some = left
	}
}

// left returns what can be tried again of what was not removed.
func (x *S3) left(bucket string, failed []types.Error) ([]types.ObjectIdentifier, error) {
	var again []types.ObjectIdentifier
	for _, e := range failed {
		uri := "s3://" + bucket + "/" + aws.ToString(e.Key)
		switch code := aws.ToString(e.Code); code {
		case "NoSuchKey":
		case "InternalError", "SlowDown", "ServiceUnavailable":
			again = append(again, types.ObjectIdentifier{Key: e.Key})
		default:
			return nil, x.explain(removing, uri, refusal(e))
		}
	}
	return again, nil
}

// md5 adds a checksum that S3s other than AWS's still ask for when objects are removed.
func (x *S3) md5(o *s3.Options) {
	if x.endpoint != "" {
		o.APIOptions = append(o.APIOptions, smithyhttp.AddContentChecksumMiddleware)
	}
}

// refusal returns what S3 says of one of many.
func refusal(e types.Error) error {
	return &smithy.GenericAPIError{Code: aws.ToString(e.Code), Message: aws.ToString(e.Message)}
}
