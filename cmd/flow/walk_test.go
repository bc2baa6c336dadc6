package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/rogpeppe/go-internal/testscript"

	"flow/executor/executortest/fetched"
)

// TestWalk goes the way of docs/aws.md, from an account with nothing in it to a finished run
// and back, as a person does: testdata/walk. AWS Batch and CloudWatch Logs are flow emulate,
// IAM, EC2, ECS, ECR, S3 and STS are moto's server.
func TestWalk(t *testing.T) {
	t.Parallel()
	w := newAccount(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/walk",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, kv := range w.environ() {
				name, value, _ := strings.Cut(kv, "=")
				e.Setenv(name, value)
			}
			e.Setenv("HOME", e.WorkDir)
			return w.furnish(e.WorkDir)
		},
		Condition: func(name string) (bool, error) {
			if name != "static" {
				return false, errors.New("unknown condition")
			}
			return isStatic()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"host":    w.host,
			"changes": w.changes,
			"empty":   w.empty,
		},
	})
}

// An account is one of AWS, on this machine.
type account struct {
	testing.TB
	*emulation
	front    string // of moto
	config   aws.Config
	registry string // 127.0.0.1:PORT

	subnets, groups []string // of the default VPC

	mu      sync.Mutex
	changed map[string]int // calls of moto that change something
	before  map[string]int // what changes counted the last time
}

func newAccount(t testing.TB) *account {
	moto, err := url.Parse(fetched.Moto(t, "MOTO_IAM_LOAD_MANAGED_POLICIES=true"))
	if err != nil {
		t.Fatal(err)
	}
	w := &account{TB: t, emulation: startEmulation(t, "--runner", "process"), registry: fetched.Registry(t), changed: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(moto)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.count(r)
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.front = server.URL
	w.config = aws.Config{Region: "us-east-1", BaseEndpoint: &w.front, Credentials: keys("walker", "walker")}
	w.network()
	return w
}

// network makes the default VPC as AWS has it: with a way to the internet.
func (w *account) network() {
	ctx, client := w.Context(), ec2.NewFromConfig(w.config)
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	subnets, err := client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	must(err)
	for i := range subnets.Subnets[:2] {
		w.subnets = append(w.subnets, *subnets.Subnets[i].SubnetId)
	}
	vpc := subnets.Subnets[0].VpcId
	groups, err := client.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	must(err)
	w.groups = []string{*groups.SecurityGroups[0].GroupId}
	gateway, err := client.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{})
	must(err)
	id := gateway.InternetGateway.InternetGatewayId
	_, err = client.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: id, VpcId: vpc})
	must(err)
	tables, err := client.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{})
	must(err)
	_, err = client.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: tables.RouteTables[0].RouteTableId, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: id})
	must(err)
}

// furnish fills the directory of the walk: with a root file system of one program, and with
// the name of the registry in its files.
func (w *account) furnish(dir string) error {
	busybox, err := os.ReadFile(fetched.Need(w.TB, "busybox"))
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), busybox, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"flow.config.hcl", "lab.hcl"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("REGISTRY"), []byte(w.registry)), 0o644); err != nil {
			return err
		}
	}
	return makeStateDir(filepath.Join(dir, stateDir))
}

// isStatic reports whether this program, which is flow here, needs no C library.
func isStatic() (bool, error) {
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	f, err := elf.Open(self)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}

func (w *account) environ() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + w.url,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=walker", "AWS_SECRET_ACCESS_KEY=walker", "AWS_EC2_METADATA_DISABLED=true",
		"REGISTRY=" + w.registry, "FLOW_VAR_subnets=" + hclList(w.subnets), "FLOW_VAR_security_groups=" + hclList(w.groups),
	}
	for _, service := range []string{"IAM", "EC2", "ECS", "ECR", "S3", "STS"} {
		env = append(env, "AWS_ENDPOINT_URL_"+service+"="+w.front)
	}
	return env
}

func hclList(list []string) string { return `["` + strings.Join(list, `", "`) + `"]` }

// looking are the operations that change nothing.
var looking = regexp.MustCompile(`^(Get|List|Describe|Head|Batch(Get|Check)|Simulate)`)

// count notes a request to moto if it changes something.
func (w *account) count(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	operation := ""
	switch target := r.Header.Get("X-Amz-Target"); {
	case target != "":
		operation = target[strings.LastIndexByte(target, '.')+1:]
	case r.Method == http.MethodPost:
		form, _ := url.ParseQuery(string(body))
		operation = form.Get("Action")
	}
	if operation == "" || looking.MatchString(operation) {
		return // S3 is no infrastructure
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed[operation]++
}

// host has an instance join a compute environment, as AWS does when there are jobs for it,
// and jobs run there from now on: host ENVIRONMENT TYPE.
func (w *account) host(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: host ENVIRONMENT TYPE")
	}
	ctx := context.Background()
	found, err := w.client("walker", "walker").DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: args[:1]})
	ts.Check(err)
	if len(found.ComputeEnvironments) != 1 {
		ts.Fatalf("there is no compute environment %s", args[0])
	}
	arn := *found.ComputeEnvironments[0].EcsClusterArn
	cluster := arn[strings.LastIndexByte(arn, '/')+1:]
	run, err := ec2.NewFromConfig(w.config).RunInstances(ctx, &ec2.RunInstancesInput{
		ImageId: aws.String("ami-12c6146b"), InstanceType: ec2types.InstanceType(args[1]), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		SubnetId: &w.subnets[0], InstanceMarketOptions: &ec2types.InstanceMarketOptionsRequest{MarketType: ec2types.MarketTypeSpot},
	})
	ts.Check(err)
	id := *run.Instances[0].InstanceId
	client := ecs.NewFromConfig(w.config)
	_, err = client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &cluster})
	ts.Check(err)
	document, err := json.Marshal(map[string]string{"instanceId": id})
	ts.Check(err)
	joined, err := client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{Cluster: &cluster, InstanceIdentityDocument: aws.String(string(document))})
	ts.Check(err)
	form := url.Values{"environment": args[:1], "instances": {*joined.ContainerInstance.ContainerInstanceArn}}
	answer, err := http.PostForm(w.url+"/_flow/hosts", form)
	ts.Check(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("hosts: %s", answer.Status)
	}
	ts.Setenv("INSTANCE", id)
}

// changes counts the calls that changed something since it was last called, and checks that
// there were any; ! changes: that there were none.
func (w *account) changes(ts *testscript.TestScript, neg bool, args []string) {
	w.mu.Lock()
	now := map[string]int{}
	for operation, n := range w.changed {
		now[operation] = n
	}
	w.mu.Unlock()
	for operation, n := range (&cloud{emulation: w.emulation, killBench: killBench{t: w.TB}}).calls() {
		if !looking.MatchString(operation) {
			now[operation] += n
		}
	}
	var news []string
	for operation, n := range now {
		if more := n - w.before[operation]; more > 0 {
			news = append(news, operation+" "+strconv.Itoa(more))
		}
	}
	w.before = now
	if (len(news) == 0) != neg {
		ts.Fatalf("calls that change something: %v", news)
	}
}

// empty checks that nothing is left in the account.
func (w *account) empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: empty")
	}
	var left []string
	note := func(kind string, name *string) { left = append(left, kind+" "+*name) }
	ctx := context.Background()
	client := w.client("walker", "walker")
	environments, err := client.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{})
	ts.Check(err)
	for i := range environments.ComputeEnvironments {
		note("compute environment", environments.ComputeEnvironments[i].ComputeEnvironmentName)
	}
	queues, err := client.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{})
	ts.Check(err)
	for i := range queues.JobQueues {
		note("job queue", queues.JobQueues[i].JobQueueName)
	}
	definitions, err := client.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{Status: aws.String("ACTIVE")})
	ts.Check(err)
	for i := range definitions.JobDefinitions {
		note("job definition", definitions.JobDefinitions[i].JobDefinitionName)
	}
	roles, err := iam.NewFromConfig(w.config).ListRoles(ctx, &iam.ListRolesInput{})
	ts.Check(err)
	for i := range roles.Roles {
		note("role", roles.Roles[i].RoleName)
	}
	profiles, err := iam.NewFromConfig(w.config).ListInstanceProfiles(ctx, &iam.ListInstanceProfilesInput{})
	ts.Check(err)
	for i := range profiles.InstanceProfiles {
		note("instance profile", profiles.InstanceProfiles[i].InstanceProfileName)
	}
	if len(left) > 0 {
		ts.Fatalf("left: %s", strings.Join(left, ", "))
	}
}
