package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"flow/executor/batch/doctor"
	"flow/executor/executortest/fetched"
)

// A clinic is an account: AWS Batch and CloudWatch Logs by flow emulate, the rest by moto.
// What a case needs of its own it makes beside what the others have.
type clinic struct {
	*testing.T
	killBench
	emu    *emulation
	batch  *batch.Client
	logs   *cloudwatchlogs.Client
	ec2    *ec2.Client
	iam    *iam.Client
	ecr    *ecr.Client
	env    []string
	public string // a subnet with a way out
	closed string // one without
	group  string // a security group that lets everything out
}

const (
	doctorRegion  = "us-east-1"
	doctorAccount = "123456789012"
)

func newClinic(t *testing.T) *clinic {
	t.Helper()
	moto := dearSpot(t, fetched.Moto(t))
	c := &clinic{T: t, emu: startEmulation(t, "--latency", "settle=0s"), killBench: killBench{t: t, dir: t.TempDir()}}
	if err := makeStateDir(filepath.Join(c.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	c.env = append(os.Environ(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION="+doctorRegion, "AWS_CONFIG_FILE=/none", "AWS_SHARED_CREDENTIALS_FILE=/none")
	for _, service := range []string{"EC2", "IAM", "ECR", "STS", "S3"} {
		c.env = append(c.env, "AWS_ENDPOINT_URL_"+service+"="+moto)
	}
	c.batch = c.emu.client("key", "secret")
	c.logs = cloudwatchlogs.New(cloudwatchlogs.Options{Region: doctorRegion, BaseEndpoint: &c.emu.url, Credentials: keys("key", "secret")})
	c.ec2 = ec2.New(ec2.Options{Region: doctorRegion, BaseEndpoint: &moto, Credentials: keys("key", "secret")})
	c.iam = iam.New(iam.Options{Region: doctorRegion, BaseEndpoint: &moto, Credentials: keys("key", "secret")})
	c.ecr = ecr.New(ecr.Options{Region: doctorRegion, BaseEndpoint: &moto, Credentials: keys("key", "secret")})
	c.network()
	c.roles()
	c.image("amd", "amd64")
	return c
}

// dearSpot returns the URL of a server before moto at which Spot capacity costs five cents
// an hour, whatever its type; moto gives it away.
func dearSpot(t *testing.T, moto string) string {
	t.Helper()
	to, err := url.Parse(moto)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		body = bytes.ReplaceAll(body, []byte("<spotPrice>0.00001</spotPrice>"), []byte("<spotPrice>0.05</spotPrice>"))
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		r.ContentLength = int64(len(body))
		return err
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return front.URL
}

// made returns what a call has given: made(call())(t).
func made[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// network makes a VPC with a public subnet and one that leads nowhere.
func (c *clinic) network() {
	c.Helper()
	ctx := c.Context()
	vpc := made(c.ec2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")}))(c).Vpc.VpcId
	subnet := func(cidr string) *string {
		return made(c.ec2.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc, CidrBlock: &cidr}))(c).Subnet.SubnetId
	}
	public, closed := subnet("10.0.1.0/24"), subnet("10.0.2.0/24")
	gateway := made(c.ec2.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{}))(c).InternetGateway.InternetGatewayId
	made(c.ec2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: gateway, VpcId: vpc}))(c)
	table := made(c.ec2.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: vpc}))(c).RouteTable.RouteTableId
	made(c.ec2.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: table, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: gateway}))(c)
	made(c.ec2.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{RouteTableId: table, SubnetId: public}))(c)
	made(c.ec2.ModifySubnetAttribute(ctx, &ec2.ModifySubnetAttributeInput{SubnetId: public, MapPublicIpOnLaunch: &ec2types.AttributeBooleanValue{Value: aws.Bool(true)}}))(c)
	group := made(c.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{VpcId: vpc, GroupName: aws.String("jobs"), Description: aws.String("jobs")}))(c)
	c.public, c.closed, c.group = *public, *closed, *group.GroupId
}

// roles makes the roles that AWS's own guides have one make.
func (c *clinic) roles() {
	c.Helper()
	ctx := c.Context()
	for name, r := range map[string]struct{ service, policy string }{
		"ecsInstanceRole":      {"ec2", "AmazonEC2ContainerServiceforEC2Role"},
		"ecsTaskExecutionRole": {"ecs-tasks", "AmazonECSTaskExecutionRolePolicy"},
		"mine":                 {"ecs-tasks", ""},
	} {
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + r.service + `.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
		made(c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(c)
		if r.policy == "" {
			continue
		}
		policy := made(c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{
			PolicyName: &r.policy, Path: aws.String("/service-role/"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:*","Resource":"*"}]}`),
		}))(c).Policy.Arn
		made(c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: policy}))(c)
	}
	made(c.iam.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: aws.String("ecsInstanceRole")}))(c)
	made(c.iam.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: aws.String("ecsInstanceRole"), RoleName: aws.String("ecsInstanceRole")}))(c)
}

// image puts an image for an architecture into ECR.
func (c *clinic) image(name, architecture string) {
	c.Helper()
	made(c.ecr.CreateRepository(c.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}))(c)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	raw := made(index.RawManifest())(c)
	kind := made(index.MediaType())(c)
	made(c.ecr.PutImage(c.Context(), &ecr.PutImageInput{RepositoryName: &name, ImageTag: aws.String("1"), ImageManifest: aws.String(string(raw)), ImageManifestMediaType: aws.String(string(kind))}))(c)
}

// environment makes an environment as healthy as can be, but for what change does.
func (c *clinic) environment(name string, change ...func(*types.ComputeResource)) {
	c.Helper()
	r := &types.ComputeResource{
		Type: types.CRTypeEc2, AllocationStrategy: types.CRAllocationStrategyBestFitProgressive, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), InstanceTypes: []string{"m5.large", "m5.xlarge"},
		Subnets: []string{c.public}, SecurityGroupIds: []string{c.group}, InstanceRole: aws.String("ecsInstanceRole"),
	}
	for _, f := range change {
		f(r)
	}
	made(c.batch.CreateComputeEnvironment(c.Context(), &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: &name, Type: types.CETypeManaged, ComputeResources: r}))(c)
	c.valid(func() bool {
		out := made(c.batch.DescribeComputeEnvironments(c.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}}))(c)
		return out.ComputeEnvironments[0].Status == types.CEStatusValid
	})
}

func (c *clinic) queue(name, environment string, state types.JQState) {
	c.Helper()
	made(c.batch.CreateJobQueue(c.Context(), &batch.CreateJobQueueInput{
		JobQueueName: &name, Priority: aws.Int32(1), State: state, ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: &environment}},
	}))(c)
	c.valid(func() bool {
		out := made(c.batch.DescribeJobQueues(c.Context(), &batch.DescribeJobQueuesInput{JobQueues: []string{name}}))(c)
		return out.JobQueues[0].Status == types.JQStatusValid
	})
}

// valid waits until something holds.
func (c *clinic) valid(is func() bool) {
	c.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatal("it does not become VALID")
		}
	}
}

// admin makes flow emulate stand as AWS would.
func (c *clinic) admin(what string, form url.Values) {
	c.Helper()
	answer := made(http.PostForm(c.emu.url+"/_flow/"+what, form))(c)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		c.Fatalf("%s: %s", what, body)
	}
}

// doctor runs flow doctor on a workflow, and returns what it says and how it ends.
func (c *clinic) doctor(t *testing.T, name, workflow string) (*doctorReport, string, int) {
	t.Helper()
	file := name + ".hcl"
	if err := os.WriteFile(filepath.Join(c.dir, file), []byte(workflow), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(more ...string) ([]byte, int) {
		cmd := c.command(append([]string{"doctor", file, "-executor", "batch", "-endpoint", c.emu.url}, more...)...)
		cmd.Env = append(c.env, cmd.Env...)
		out, err := cmd.Output()
		var ended *exec.ExitError
		if errors.As(err, &ended) && len(out) == 0 {
			t.Logf("flow doctor: %s", ended.Stderr)
		}
		return out, cmd.ProcessState.ExitCode()
	}
	text, _ := run()
	out, code := run("-json")
	var report doctorReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &report, string(text), code
}

const ecrHost = doctorAccount + ".dkr.ecr." + doctorRegion + ".amazonaws.com/"

// step writes a workflow of one step in a queue.
func stepIn(queue, more string) string {
	return "step \"work\" {\n  command = [\"true\"]\n  image   = \"" + ecrHost + "amd:1\"\n  queue   = \"" + queue + "\"\n" + more + "\n}\n"
}

// TestDoctor breaks an account in twelve ways. Of each flow doctor names the cause and its
// fix, and of one that is not broken it says that all is well.
func TestDoctor(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	plain := func(*types.ComputeResource) {}
	fargate := func(r *types.ComputeResource) {
		*r = types.ComputeResource{Type: types.CRTypeFargate, MaxvCpus: r.MaxvCpus, Subnets: r.Subnets, SecurityGroupIds: r.SecurityGroupIds}
	}
	for _, test := range []struct {
		name       string
		change     func(*types.ComputeResource) // of the environment; nil: plain
		disabled   bool                         // the queue
		after      func(environment string)
		step       string // more of it
		cause, fix string // parts of the text and of the fix of a fault
		where      string
		warns      bool // it is a warning
	}{
		{name: "healthy"},
		{name: "healthy-spot", change: func(r *types.ComputeResource) {
			r.Type, r.BidPercentage, r.AllocationStrategy = types.CRTypeSpot, aws.Int32(60), types.CRAllocationStrategySpotPriceCapacityOptimized
		}, step: `container {
			job_role = "arn:aws:iam::123456789012:role/mine"
		}`},
		{name: "healthy-fargate", change: fargate, step: `container {
			platform = "FARGATE"
			network = "public"
			execution_role = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
		}`},
		{name: "disabled-queue", disabled: true, cause: "the queue is DISABLED", fix: "aws batch update-job-queue --job-queue disabled-queue-q --state ENABLED", where: "disabled-queue.hcl:4"},
		{
			name: "invalid-environment",
			after: func(environment string) {
				c.admin("invalidate", url.Values{"environment": {environment}, "reason": {"CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403)"}})
			},
			cause: "INVALID: AWS Batch may not assume the service role of the environment: CLIENT_ERROR - Not authorized", fix: "leave service_role out, for AWSServiceRoleForBatch",
		},
		{
			name: "spot-ceiling",
			change: func(r *types.ComputeResource) {
				r.Type, r.BidPercentage, r.AllocationStrategy = types.CRTypeSpot, aws.Int32(20), types.CRAllocationStrategySpotPriceCapacityOptimized
			},
			cause: "the Spot ceiling is too low: bid_percentage is 20, and the cheapest of its instance types, m5.xlarge, costs 27% of its price on demand now ($0.05 of $0.19 an hour",
			fix:   "--compute-resources bidPercentage=100",
		},
		{
			name: "larger-than-any-instance", step: "resources {\n  memory = \"8 GiB\"\n}", change: func(r *types.ComputeResource) { r.InstanceTypes = []string{"m5.large"} },
			cause: "its jobs can never be placed: the job needs 8192 MiB, and m5.large in larger-than-any-instance-ce has 7955 MiB for jobs", fix: "add m5.xlarge to instance_types", where: "larger-than-any-instance.hcl:5",
		},
		{
			name: "fargate-pair", change: fargate, step: `resources {
				vcpus = 1
				memory = "1 GiB"
			}
			container {
				platform = "FARGATE"
				network = "public"
				execution_role = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
			}`,
			cause: "With 1 vCPU a task on AWS Fargate has 2048 to 8192 MiB", fix: "The nearest that has enough of both is 1 vCPU with 2048 MiB", where: "fargate-pair.hcl:7",
		},
		{
			name: "missing-role", step: `container {
				job_role = "arn:aws:iam::123456789012:role/nobody"
			}`,
			cause: "the job role nobody of step work does not exist", fix: "create_roles = true in a job_definition block", where: "missing-role.hcl:6",
		},
		{
			name: "missing-instance-role", change: func(r *types.ComputeResource) { r.InstanceRole = aws.String("nobody") },
			cause: "the instance profile nobody of missing-instance-role-ce does not exist", fix: "create_roles = true in the environment's block",
		},
		{
			name: "no-image", step: "# none", after: func(string) {},
			cause: "amd:2", fix: "flow image push", where: "no-image.hcl:3",
		},
		{
			name: "no-route", change: func(r *types.ComputeResource) { r.Subnets = []string{c.closed} },
			cause: "no route to ECR from " + c.closed + ": it has no route to the internet, and its VPC has no endpoints of ecr.api, ecr.dkr, logs, s3, ecs, ecs-agent, ecs-telemetry",
			fix:   "a route 0.0.0.0/0 to a NAT gateway, or make VPC endpoints of ecr.api",
		},
		{
			name: "no-address", change: fargate, step: `container {
				platform = "FARGATE"
				execution_role = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
			}`,
			cause: "the tasks of step work get no public IP address", fix: `network = "public"`,
		},
		{
			name: "wrong-architecture", change: func(r *types.ComputeResource) { r.InstanceTypes = []string{"m6g.large"} },
			cause: "wrong architecture: the image is for linux/amd64, and step work runs on ARM64 (environment wrong-architecture-ce)", fix: "push the image for linux/arm64 too", where: "wrong-architecture.hcl:3",
		},
		{
			name: "no-log-group", step: `container {
				log_configuration { options = { "awslogs-group" = "/lab/none" } }
			}`,
			cause: "the log group does not exist: jobs of step work fail to start", fix: "aws logs create-log-group --log-group-name /lab/none", where: "no-log-group.hcl:5",
		},
		{
			name: "max-vcpus-reached", after: func(environment string) {
				c.admin("desired", url.Values{"environment": {environment}, "vcpus": {"16"}})
			},
			cause: "max_vcpus is reached: AWS Batch wants 16 vCPUs of at most 16, and further jobs wait in RUNNABLE", fix: "--compute-resources maxvCpus=32", warns: true,
		},
		{
			name: "queue-without-environment",
			after: func(environment string) {
				made(c.batch.UpdateComputeEnvironment(c.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &environment, State: types.CEStateDisabled}))(c)
			},
			cause: "no compute environment of the queue takes jobs: queue-without-environment-ce is DISABLED", fix: "aws batch update-job-queue --job-queue queue-without-environment-q --compute-environment-order",
		},
		{name: "no-queue", cause: "there is no job queue nothing", fix: "name a queue that is there"},
	} {
		environment, queue := test.name+"-ce", test.name+"-q"
		change := test.change
		if change == nil {
			change = plain
		}
		c.environment(environment, change)
		state := types.JQStateEnabled
		if test.disabled {
			state = types.JQStateDisabled
		}
		c.queue(queue, environment, state)
		if test.after != nil {
			test.after(environment)
		}
		workflow := stepIn(queue, test.step)
		switch test.name {
		case "no-image":
			workflow = strings.ReplaceAll(workflow, "amd:1", "amd:2")
		case "no-queue":
			workflow = stepIn("nothing", "")
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report, text, code := c.doctor(t, test.name, workflow)
			judgeDoctor(t, report, text, code, test.cause, test.fix, test.where, test.warns)
		})
	}
}

// judgeDoctor checks that a report has one fault, or warning, that names cause and fix; if
// there is no cause, that all is well.
func judgeDoctor(t *testing.T, report *doctorReport, text string, code int, cause, fix, where string, warns bool) {
	t.Helper()
	wantStatus, wantCode := doctor.Fault, 1
	if warns {
		wantStatus = doctor.Warning
	}
	if warns || cause == "" {
		wantCode = 0
	}
	if code != wantCode {
		t.Errorf("exit code %d, want %d", code, wantCode)
	}
	found := false
	for _, l := range report.Lines {
		switch {
		case cause != "" && l.Status == wantStatus && strings.Contains(l.Text, cause) && strings.Contains(l.Text+l.Fix, fix) && (where == "" || l.Where == where):
			found = true
		case cause == "" && (l.Status == doctor.Fault || l.Status == doctor.Warning || l.Status == doctor.Skipped):
			t.Errorf("nothing is broken, and there is: %+v", l)
		}
	}
	if cause != "" && (!found || !strings.Contains(text, cause) || !strings.Contains(text, fix)) {
		t.Errorf("no %s says %q with the fix %q at %q:\n%s", wantStatus, cause, fix, where, text)
	}
	counted := doctorReport{OK: count(report.Lines, doctor.OK), Warnings: count(report.Lines, doctor.Warning), Faults: count(report.Lines, doctor.Fault), Skipped: count(report.Lines, doctor.Skipped), Lines: report.Lines}
	if d := cmp.Diff(counted, *report); d != "" {
		t.Errorf("the sums (-want +got):\n%s", d)
	}
}
