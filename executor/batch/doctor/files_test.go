package doctor

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// The probe is put, read and deleted again, and what the bucket and the steps lack is told.
func testBucket(t *testing.T) {
	p := at(t, "http://127.0.0.1:1")
	x, err := p.o.Cloud.S3()
	if err != nil {
		t.Fatal(err)
	}
	make := func(in *s3.CreateBucketInput) {
		t.Helper()
		if _, err := x.CreateBucket(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	make(&s3.CreateBucketInput{Bucket: aws.String("lab")})
	make(&s3.CreateBucketInput{Bucket: aws.String("far"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraintEuWest1}})
	lasts := want{Warning, "interrupted", "aws s3api put-bucket-lifecycle-configuration --bucket "}
	for dir, w := range map[string][]want{
		"s3://lab/flow": {{OK, "it can be read and written (by a probe, flow/.flow-doctor-probe, which is deleted again)", ""}, lasts},
		"s3://lab":      {{OK, "by a probe, .flow-doctor-probe", ""}, lasts},
		"s3://far":      {{OK, "by a probe", ""}, lasts}, // near to nobody
		"s3://none/x":   {{Fault, "there is no bucket none", "aws s3 mb s3://none"}},
		"/here":         nil,
	} {
		p.o.WorkDir = dir
		judge(t, dir, p.bucket(t.Context()), w...)
	}
	left, err := x.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("lab")})
	if err != nil || len(left.Contents) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}

	rule := func(days int32, prefix string) *s3.PutBucketLifecycleConfigurationInput {
		r := types.LifecycleRule{ID: aws.String("r"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(400)}}
		if days > 0 {
			r.Expiration, r.AbortIncompleteMultipartUpload = nil, &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: &days}
		}
		return &s3.PutBucketLifecycleConfigurationInput{Bucket: aws.String("far"), LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{r}}}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "any") // which nobody needs who is near
	t.Setenv("AWS_SECRET_ACCESS_KEY", "any")
	p = at(t, "https://batch.example.com")
	p.o.WorkDir = "s3://far/flow"
	elsewhere := want{Warning, "is in region eu-west-1, and jobs run in us-east-1", "a bucket in us-east-1"}
	for _, test := range []struct {
		name string
		in   *s3.PutBucketLifecycleConfigurationInput
		want []want
	}{
		{"another rule", rule(0, ""), []want{elsewhere, {Warning, "interrupted", "add a rule"}}},
		{"of another prefix", rule(7, "other/"), []want{elsewhere, {Warning, "interrupted", "add a rule"}}},
		{"of all", rule(7, ""), []want{elsewhere}},
		{"of the prefix", rule(7, "fl"), []want{elsewhere}},
	} {
		if _, err := x.PutBucketLifecycleConfiguration(t.Context(), test.in); err != nil {
			t.Fatal(err)
		}
		judge(t, test.name, p.bucket(t.Context())[1:], test.want...)
	}

	files := func(task *engine.TaskSpec) { task.Outputs = []engine.Output{{Name: "o", Path: "o"}} }
	p.o.Steps = []Step{
		sketch("q"), sketch("q", files), sketch("q", files, func(task *engine.TaskSpec) { task.Container = &engine.Container{JobRole: "r"} }),
		sketch("q", files, func(task *engine.TaskSpec) { task.Container = &engine.Container{Platform: "FARGATE"} }),
	}
	lines := p.bucket(t.Context())
	judge(t, "roles", lines[2:], want{Warning, "jobs of s have no job_role", "flow infra policy p.hcl -for job"})
	if d := cmp.Diff("p.hcl:container.job_role", lines[len(lines)-1].Where); d != "" {
		t.Error(d)
	}
}

// AWS answers who asks in the wrong region with the right one.
func TestBucketOfAnotherRegion(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/none" && !strings.Contains(r.Header.Get("Authorization"), "/us-east-1/"):
			w.WriteHeader(http.StatusTeapot) // nothing said so
		case r.URL.Path == "/none":
			w.WriteHeader(http.StatusNotFound)
		case !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/"):
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-1")
			w.WriteHeader(http.StatusMovedPermanently)
		}
	}))
	defer server.Close()
	isolate(t, "AWS_ENDPOINT_URL_S3", server.URL, "AWS_ACCESS_KEY_ID", "any", "AWS_SECRET_ACCESS_KEY", "any")
	p := at(t, "https://batch.example.com")
	x, err := p.o.Cloud.S3()
	if err != nil {
		t.Fatal(err)
	}
	if region, err := p.headBucket(t.Context(), x, "far"); err != nil || region != "eu-west-1" {
		t.Errorf("in region %q: %v", region, err)
	}
	if _, err := p.headBucket(t.Context(), x, "none"); code(err) != "NotFound" {
		t.Errorf("of none: %v", err)
	}
}
