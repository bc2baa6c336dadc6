package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// motoQueue is a queue of moto's.
const motoQueue = "judged"

// moto starts moto's server (5.2) with a queue, and before it a recorder that mends the
// answers that no client of AWS for Go can read. All that is asked of it is checked against
// AWS's model.
//
// What else it does otherwise than AWS, flow must do with, or the tests without:
//   - it runs jobs in containers, by the Docker SDK for Python; testdata/moto stands in
//     for that, and runs processes;
//   - it refuses definitions of ecsProperties, so that there are no jobs with flow's agent;
//   - of the variables that Batch sets, a job gets AWS_BATCH_JOB_ID alone;
//   - children of arrays have no index, and SEQUENTIAL and N_TO_N are not what they are:
//     no arrays here;
//   - nothing is tried again, and overrides of vCPUs and memory are not looked at;
//   - DescribeJobs tells of an attempt while it runs, and says neither with which code a job
//     exited, nor why it failed, not even that a dependency did: such a job has no attempts,
//     and started in 1970;
//   - ListJobs lists every status by default, and has no pages.
func moto(t *testing.T) *apimodel.Recorder {
	t.Helper()
	m := fetched.Model(t)
	stub, err := filepath.Abs(filepath.Join("testdata", "moto"))
	if err != nil {
		t.Fatal(err)
	}
	target := fetched.Moto(t, "PYTHONPATH="+stub)
	makeMotoQueue(t, target)
	r := apimodel.Record(t, target)
	r.Rewrite = readable
	t.Cleanup(func() { r.JudgeRequests(t, m) })
	return r
}

// readable turns the numbers with fractions that AWS has none of into those of AWS: moto
// says "vcpus": 1.0 (of a definition with resourceRequirements), and times of log events with
// parts of a millisecond. No member of what flow asks for is a float.
func readable(x *apimodel.Exchange) {
	d := json.NewDecoder(bytes.NewReader(x.ResponseBody))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return // void calls have no body
	}
	if body, err := json.Marshal(whole(v)); err == nil {
		x.ResponseBody = body
		x.ResponseHeader.Del("Content-Length")
	}
}

func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			v[key] = whole(member)
		}
	case []any:
		for i, member := range v {
			v[i] = whole(member)
		}
	case json.Number:
		before, _, _ := strings.Cut(v.String(), ".")
		return json.Number(before)
	}
	return v
}

// makeMotoQueue makes a queue, and what it needs of moto's IAM and EC2.
func makeMotoQueue(t *testing.T, target string) {
	t.Helper()
	role := query(t, target, "iam", "CreateRole", `<Arn>(.*?)</Arn>`, "RoleName", "batch", "AssumeRolePolicyDocument", "{}")
	profile := query(t, target, "iam", "CreateInstanceProfile", `<Arn>(.*?)</Arn>`, "InstanceProfileName", "ecs")
	subnet := query(t, target, "ec2", "DescribeSubnets", `<subnetId>(.*?)</subnetId>`)
	group := query(t, target, "ec2", "DescribeSecurityGroups", `<groupId>(.*?)</groupId>`)
	client := sdk.New(sdk.Options{Region: region, BaseEndpoint: &target, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	env, err := client.CreateComputeEnvironment(t.Context(), &sdk.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String("spot"), Type: types.CETypeManaged, State: types.CEStateEnabled, ServiceRole: &role,
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), InstanceTypes: []string{"optimal"},
			Subnets: []string{subnet}, SecurityGroupIds: []string{group}, InstanceRole: &profile,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateJobQueue(t.Context(), &sdk.CreateJobQueueInput{
		JobQueueName: aws.String(motoQueue), Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: env.ComputeEnvironmentArn}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// query calls a service of the query protocol, and returns what answer captures of its
// answer.
func query(t *testing.T, target, service, action, answer string, parameters ...string) string {
	t.Helper()
	form := url.Values{"Action": {action}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=a/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=0", region, service))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(answer).FindSubmatch(body)
	if found == nil {
		t.Fatalf("%s: %s\n%s", action, res.Status, body)
	}
	return string(found[1])
}
