package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// bucket tells whether a work_dir on S3 can be read and written: it puts an object of no
// bytes there and deletes it.
func (p *patient) bucket(ctx context.Context) []Line {
	rest, remote := strings.CutPrefix(p.o.WorkDir, "s3://")
	if !remote {
		return nil
	}
	name, prefix, _ := strings.Cut(rest, "/")
	x, err := p.o.Cloud.S3()
	if err != nil {
		return []Line{p.trouble(p.o.WorkDir, "s3:HeadBucket", err)}
	}
	if _, err := x.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name}); err != nil {
		switch code(err) {
		case "NotFound", "NoSuchBucket":
			return []Line{fault(p.o.WorkDir, "make it: "+p.aws("s3 mb s3://%s", name)+"; or name another bucket in work_dir", "there is no bucket %s", name)}
		case "Forbidden", "AccessDenied":
			return []Line{fault(p.o.WorkDir, "allow s3:ListBucket to the bucket; what flow needs in all prints: "+p.policy(), "these credentials may not look at the bucket %s, or it is of somebody else", name)}
		}
		return []Line{p.trouble(p.o.WorkDir, "s3:HeadBucket", err)}
	}
	key := strings.TrimPrefix(strings.TrimSuffix(prefix, "/")+"/.flow-doctor-probe", "/")
	_, err = x.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader(""), IfNoneMatch: new("*")})
	if err != nil && code(err) != "PreconditionFailed" { // it is there from a time before
		return []Line{p.storeTrouble("s3:PutObject", "write to", err)}
	}
	if _, err := x.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key}); err != nil && code(err) != "NotFound" { // another flow doctor has deleted it meanwhile
		return []Line{p.storeTrouble("s3:GetObject", "read", err)}
	}
	if _, err := x.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: &key}); err != nil {
		l := warning(p.o.WorkDir, "allow s3:DeleteObject below it, and delete it: "+p.aws("s3 rm s3://%s/%s", name, key), "it can be read and written, but the probe s3://%s/%s could not be deleted: %s", name, key, said(err))
		return []Line{l}
	}
	return []Line{ok(p.o.WorkDir, "it can be read and written (by a probe, %s, which is deleted again), with these credentials; jobs use their job_role", key)}
}

func (p *patient) storeTrouble(action, verb string, err error) Line {
	switch code(err) {
	case "Forbidden", "AccessDenied":
		return fault(p.o.WorkDir, fmt.Sprintf("allow %s below it; what flow needs in all prints: %s", action, p.policy()), "these credentials may not %s it (%s)", verb, action)
	}
	return p.trouble(p.o.WorkDir, action, err)
}
