package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	flowbatch "flow/executor/batch"
	"flow/executor/store"
)

// bucket tells whether a work_dir on S3 can be read and written: it puts an object of no
// bytes there and deletes it. It tells, too, what of the bucket costs time or money, and
// which steps have no role of their own to reach it with.
func (p *patient) bucket(ctx context.Context) []Line {
	name, prefix, err := store.Split(p.o.WorkDir)
	if err != nil {
		return nil // it is a directory
	}
	x, err := p.o.Cloud.S3()
	if err != nil {
		return []Line{p.trouble(p.o.WorkDir, "s3:HeadBucket", err)}
	}
	region, err := p.headBucket(ctx, x, name)
	if err != nil {
		return []Line{p.bucketTrouble(name, err)}
	}
	in := func(o *s3.Options) { o.Region = orElse(region, o.Region) }
	l := p.probeBucket(ctx, x, in, name, prefix)
	lines := []Line{l}
	if l.Status == Fault {
		return lines
	}
	if here := p.o.Cloud.Region(); region != "" && region != here && !p.o.Cloud.Near() {
		lines = append(lines, warning(p.o.WorkDir, "use a bucket in "+here+" as work_dir",
			"the bucket is in region %s, and jobs run in %s: what they read and write goes from the one to the other, which takes time and is paid for", region, here))
	}
	lines = append(lines, p.lifecycle(ctx, x, in, name, prefix)...)
	return append(lines, p.roleless()...)
}

// headBucket looks whether a bucket is there, in whatever region, and returns that; "": it
// does not say.
func (p *patient) headBucket(ctx context.Context, x *s3.Client, name string) (string, error) {
	out, err := x.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	if err == nil {
		return aws.ToString(out.BucketRegion), nil
	}
	var answer *awshttp.ResponseError // one of another region says which (S3 User Guide, Redirects)
	if !errors.As(err, &answer) || answer.Response == nil {
		return "", err
	}
	region := answer.Response.Header.Get("X-Amz-Bucket-Region")
	if region == "" || region == p.o.Cloud.Region() {
		return "", err
	}
	_, err = x.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name}, func(o *s3.Options) { o.Region = region })
	return region, err
}

func (p *patient) bucketTrouble(name string, err error) Line {
	switch code(err) {
	case "NotFound", "NoSuchBucket":
		return fault(p.o.WorkDir, "make it: "+p.aws("s3 mb s3://%s", name)+"; or name another bucket in work_dir", "there is no bucket %s", name)
	case "Forbidden", "AccessDenied":
		return fault(p.o.WorkDir, "allow s3:ListBucket to the bucket; what flow needs in all prints: "+p.policy(), "these credentials may not look at the bucket %s, or it is of somebody else", name)
	}
	return p.trouble(p.o.WorkDir, "s3:HeadBucket", err)
}

// probeBucket puts an object, looks at it, and deletes it.
func (p *patient) probeBucket(ctx context.Context, x *s3.Client, in func(*s3.Options), name, prefix string) Line {
	key := strings.TrimPrefix(strings.TrimSuffix(prefix, "/")+"/.flow-doctor-probe", "/")
	_, err := x.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader(""), IfNoneMatch: new("*")}, in)
	if err != nil && code(err) != "PreconditionFailed" { // it is there from a time before
		return p.storeTrouble("s3:PutObject", "write to", err)
	}
	if _, err := x.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key}, in); err != nil && code(err) != "NotFound" { // another flow doctor has deleted it meanwhile
		return p.storeTrouble("s3:GetObject", "read", err)
	}
	if _, err := x.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: &key}, in); err != nil {
		return warning(p.o.WorkDir, "allow s3:DeleteObject below it, and delete it: "+p.aws("s3 rm s3://%s/%s", name, key), "it can be read and written, but the probe s3://%s/%s could not be deleted: %s", name, key, said(err))
	}
	return ok(p.o.WorkDir, "it can be read and written (by a probe, %s, which is deleted again), with these credentials; jobs use their job_role", key)
}

func (p *patient) storeTrouble(action, verb string, err error) Line {
	switch code(err) {
	case "Forbidden", "AccessDenied":
		return fault(p.o.WorkDir, fmt.Sprintf("allow %s below it; what flow needs in all prints: %s", action, p.policy()), "these credentials may not %s it (%s)", verb, action)
	}
	return p.trouble(p.o.WorkDir, action, err)
}

// incompleteRule is a lifecycle configuration that removes interrupted uploads after a week
// (S3 User Guide, mpu-abort-incomplete-mpu-lifecycle-config).
const incompleteRule = `{"Rules":[{"ID":"incomplete-uploads","Status":"Enabled","Filter":{"Prefix":""},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":7}}]}`

// lifecycle tells whether what interrupted uploads have left is removed some day. What has no
// such rules, as servers other than AWS's may not, is not said to lack one.
func (p *patient) lifecycle(ctx context.Context, x *s3.Client, in func(*s3.Options), name, prefix string) []Line {
	out, err := x.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &name}, in)
	const text = "what uploads leave that were interrupted, and that nobody goes on with, is kept and paid for: no lifecycle rule of the bucket removes it"
	switch _, denied := flowbatch.NotAllowed(err); {
	case code(err) == "NoSuchLifecycleConfiguration":
		return []Line{warning(p.o.WorkDir, p.aws("s3api put-bucket-lifecycle-configuration --bucket %s --lifecycle-configuration '%s'", name, incompleteRule), text)}
	case denied:
		return []Line{p.trouble(p.o.WorkDir, "s3:GetLifecycleConfiguration", err)}
	case err != nil || slices.ContainsFunc(out.Rules, func(r types.LifecycleRule) bool { return endsUploads(&r, prefix) }):
		return nil
	}
	return []Line{warning(p.o.WorkDir, "add a rule with AbortIncompleteMultipartUpload to the lifecycle configuration of the bucket "+name, text)}
}

// endsUploads reports whether a rule removes interrupted uploads below a prefix.
func endsUploads(r *types.LifecycleRule, prefix string) bool {
	if r.Status != types.ExpirationStatusEnabled || r.AbortIncompleteMultipartUpload == nil {
		return false
	}
	of := aws.ToString(r.Prefix) //nolint:staticcheck // rules that were made long ago have it
	if f := r.Filter; f != nil {
		of = aws.ToString(f.Prefix)
		if f.And != nil {
			of = aws.ToString(f.And.Prefix)
		}
	}
	return strings.HasPrefix(prefix, of)
}

// roleless tells which steps reach the bucket with no role of their own. On AWS Fargate
// there is no other, which is a fault that is told of the step.
func (p *patient) roleless() []Line {
	var steps []string
	where := ""
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		if box := s.Spec.Task.Container; p.o.Cloud.Near() || !flowbatch.NeedsAgent(s.Spec) || box != nil && (box.JobRole != "" || strings.EqualFold(box.Platform, "FARGATE")) {
			continue
		}
		if where == "" && s.Where != nil {
			where = s.Where("container.job_role")
		}
		steps = append(steps, string(s.Spec.Step))
	}
	if len(steps) == 0 {
		return nil
	}
	return []Line{warning(p.o.WorkDir, "give them a role that may do what "+p.policy()+" -for job prints: job_role = \"...\" in the container block; or allow it to the instance role",
		"jobs of %s have no job_role, and reach it with the role of their instance, if that may", strings.Join(steps, ", ")).at(where)}
}
