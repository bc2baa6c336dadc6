package store

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"flow/executor/awsconfig"
)

// Options say whose S3 is meant, and where. What is empty is found as the SDK finds it:
// environment, shared configuration, SSO, the role of a container or an instance.
type Options struct {
	Region, Profile string
	Endpoint        string // the URL of an S3 that is not AWS's, such as MinIO's
}

// An S3 is a [Store] of Amazon S3, or of what has its API.
type S3 struct {
	c        *s3.Client
	http     *http.Client
	endpoint string

	sizes   sizes
	regions sync.Map // of buckets that are not in the client's, by name
}

// Open makes a client. It makes no call.
func Open(ctx context.Context, o Options) (*S3, error) {
	cfg, err := awsconfig.Load(ctx, awsconfig.Options(o))
	if err != nil {
		return nil, err
	}
	x := &S3{http: newHTTP(cfg.HTTPClient, idle), sizes: usual}
	cfg.HTTPClient = x.http
	if cfg.Retryer == nil && cfg.RetryMaxAttempts == 0 { // AWS_MAX_ATTEMPTS or the shared configuration may say
		cfg.Retryer = newRetryer
	}
	general := cfg.BaseEndpoint
	x.c = s3.NewFromConfig(cfg, func(c *s3.Options) {
		if o.Endpoint != "" {
			c.BaseEndpoint = &o.Endpoint
		}
		if c.Credentials != nil {
			c.Credentials = login{c.Credentials}
		}
		c.DisableLogOutputChecksumValidationSkipped = true
		if x.endpoint = strings.TrimRight(aws.ToString(c.BaseEndpoint), "/"); x.endpoint == "" {
			return
		}
		// Others than AWS seldom have a name below their own for every bucket, and seldom
		// care for the region, which is part of a signature.
		c.UsePathStyle = c.UsePathStyle || !strings.Contains(x.endpoint, ".amazonaws.com")
		if c.Region == "" {
			c.Region = "us-east-1"
		}
	})
	switch {
	case o.Endpoint == "" && general != nil && os.Getenv("AWS_ENDPOINT_URL_S3") == "" && x.c.Options().BaseEndpoint != nil &&
		*general == *x.c.Options().BaseEndpoint && awsconfig.IsLoopback(*general):
		return nil, errors.New("nothing says where S3 is: AWS_ENDPOINT_URL is a server on this machine, such as flow emulate; set AWS_ENDPOINT_URL_S3, to the same if it has S3 as well")
	case x.Region() == "":
		return nil, errors.New("S3 needs a region: give -region, or region in the site, or set AWS_REGION")
	}
	return x, nil
}

// Close gives back what x holds.
func (x *S3) Close() { x.http.CloseIdleConnections() }

// Region returns the region of the client. Buckets may be in others.
func (x *S3) Region() string { return x.c.Options().Region }

// Endpoint returns the URL of an S3 that is not AWS's; "" if it is.
func (x *S3) Endpoint() string { return x.endpoint }

// An operation is a method of the client.
type operation[In, Out any] func(context.Context, *In, ...func(*s3.Options)) (*Out, error)

// call makes a call, in the region that a bucket is in.
func call[In, Out any](ctx context.Context, x *S3, bucket string, do operation[In, Out], in *In, more ...func(*s3.Options)) (*Out, error) {
	known, _ := x.regions.Load(bucket)
	region, _ := known.(string)
	out, err := do(ctx, in, slices.Concat(more, []func(*s3.Options){inRegion(region)})...)
	if other := elsewhere(err); other != "" && other != region {
		x.regions.Store(bucket, other)
		return do(ctx, in, slices.Concat(more, []func(*s3.Options){inRegion(other)})...)
	}
	return out, err
}

func inRegion(region string) func(*s3.Options) {
	return func(o *s3.Options) {
		if region != "" {
			o.Region = region
		}
	}
}

// elsewhere returns the region that S3 says a bucket is in when it refuses a call since that
// is another one; else "". It answers 301, or 400 since the region of the signature is wrong
// (S3 API reference, "Error responses"; header x-amz-bucket-region).
func elsewhere(err error) string {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return ""
	}
	switch answer.HTTPStatusCode() {
	case http.StatusMovedPermanently, http.StatusBadRequest, http.StatusForbidden:
		return answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

// following is the client for transfermanager, whose gets follow a bucket to its region.
type following struct {
	*s3.Client
	x *S3
}

func (f following) GetObject(ctx context.Context, in *s3.GetObjectInput, more ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return call(ctx, f.x, *in.Bucket, f.Client.GetObject, in, more...)
}
