package store

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Small makes parts as small as S3 takes them, so that contents of tests have several.
func (x *S3) Small() *S3 {
	x.sizes = sizes{single: 5 << 20, part: 5 << 20, copy: 5 << 20, copyPart: 5 << 20, page: 10}
	return x
}

// Hasty tries again at once, and takes a connection for dead that has been silent for that long.
func (x *S3) Hasty(idle time.Duration) *S3 {
	x.http = newHTTP(nil, idle)
	o := x.c.Options()
	o.HTTPClient, o.Retryer = x.http, aws.Retryer(retryer(time.Millisecond))
	x.c = s3.New(o)
	return x
}
