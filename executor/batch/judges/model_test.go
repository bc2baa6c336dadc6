package judges

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/executortest/fetched"
)

// All of flow, with each request and answer of it checked against AWS's model.
func TestFlowAgainstModel(t *testing.T) {
	aside(t)
	sh := newShell(t)
	secrets := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(secrets, []byte(`{"arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf": "42"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := emulate(t, "--secrets", secrets)
	prepare(t, r.URL)
	everything := sh.copy("everything.hcl")
	sh.copy("long.hcl")
	at := []string{"--endpoint", r.URL, "--region", region}
	with := func(args ...string) []string { return append(args, at...) }

	sh.flow(0, with("run", "everything.hcl")...)
	want := map[string]string{}
	for line := range strings.SplitSeq(everything, "\n") {
		if rest, ok := strings.CutPrefix(line, `step "`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			want[name] = "SUCCEEDED"
		}
	}
	expectStatuses(t, sh, "SUCCEEDED", want)
	for target, text := range map[string]string{"plain": "plain good day, $HOME", "children[orange]": "orange is 1", "beside[red]": "red"} {
		if got := sh.flow(0, "logs", "@last/"+target); !strings.Contains(got, text) {
			t.Errorf("log of %s: %q", target, got)
		}
	}

	sh.flow(0, with("run", "long.hcl", "--detach")...)
	sh.flow(0, "status", "@last")
	sh.flow(0, "cancel", "@last")
	expectStatuses(t, sh, "CANCELLED", map[string]string{"long": "CANCELLED", "after": "CANCELLED"})

	count := r.Count(fetched.Model(t))
	for _, operation := range []string{"SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "RegisterJobDefinition", "DescribeJobDefinitions", "GetLogEvents"} {
		if count[operation] == 0 {
			t.Errorf("%s was not called: %v", operation, count)
		}
	}
}

// The same while the server throttles, fails, and cuts connections: what is sent again, and
// looked up, is well-formed too.
func TestFlowWithFaultsAgainstModel(t *testing.T) {
	aside(t)
	sh := newShell(t)
	r := emulate(t, "--chaos", "lost-reply=40%,5xx=10%,throttle=5/s,list-lag=1s,seed=7")
	sh.copy("chain.hcl")
	sh.flow(0, "run", "chain.hcl", "--endpoint", r.URL, "--region", region)
	expectStatuses(t, sh, "SUCCEEDED", map[string]string{"one": "SUCCEEDED", "two": "SUCCEEDED", "three": "SUCCEEDED"})
}

// prepare makes a queue of Fargate, one with a fair-share policy, and a definition of
// somebody else's.
func prepare(t *testing.T, url string) {
	t.Helper()
	client := sdk.New(sdk.Options{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	policy, err := client.CreateSchedulingPolicy(t.Context(), &sdk.CreateSchedulingPolicyInput{Name: aws.String("fair")})
	check(err)
	resources := map[string]types.ComputeResource{
		"fair":    {Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), InstanceTypes: []string{"optimal"}, InstanceRole: aws.String("ecsInstanceRole")},
		"fargate": {Type: types.CRTypeFargate},
	}
	for name, r := range resources {
		r.MaxvCpus, r.Subnets, r.SecurityGroupIds = aws.Int32(16), []string{"subnet-220c0e0a"}, []string{"sg-cf5093b2"}
		_, err := client.CreateComputeEnvironment(t.Context(), &sdk.CreateComputeEnvironmentInput{
			ComputeEnvironmentName: &name, Type: types.CETypeManaged, ComputeResources: &r,
		})
		check(err)
		queue := &sdk.CreateJobQueueInput{
			JobQueueName: &name, Priority: aws.Int32(1),
			ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: &name}},
		}
		if name == "fair" {
			queue.SchedulingPolicyArn = policy.Arn
		}
		_, err = client.CreateJobQueue(t.Context(), queue)
		check(err)
	}
	_, err = client.RegisterJobDefinition(t.Context(), &sdk.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("theirs"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox"), Command: []string{"echo", "Ref::word"},
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
			},
		},
	})
	check(err)
}
