package iac_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"flow/cmd/flow/internal/iac"
	"flow/engine"
	"flow/executor/batch/cloud"
	"flow/executor/batch/infra"
	"flow/executor/executortest/fetched"
	"flow/executor/local"
	"flow/executor/local/endpoint"
	"flow/executor/local/logstore"
)

const (
	region  = "us-east-1"
	account = "123456789012"
)

// full says everything that a workflow can say of AWS Batch.
func full() *engine.Infra {
	block := func(name string) engine.Block {
		return engine.Block{Label: name, Name: name, Tags: map[string]string{"team": "lab ${x} \"q\"", "a b": "%{if}"}}
	}
	container := &engine.Container{
		User: "nobody", InitProcess: true, ReadOnly: true, Privileged: true, SharedMemoryMiB: 64, LogDriver: "awslogs",
		LogOptions: map[string]string{"awslogs-group": "/lab", "mode": "non-blocking"},
		Ulimits:    []engine.Ulimit{{Name: "nofile", Soft: 1024, Hard: 2048}},
		Volumes: []engine.Volume{
			{Name: "scratch", HostPath: "/mnt", Path: "/scratch"}, {Name: "home", EFS: "fs-12345678", EFSRoot: "/", Path: "/home", ReadOnly: true},
			{Name: "point", EFS: "fs-12345678", EFSAccess: "fsap-12345678", Path: "/point"},
		},
	}
	task := &engine.TaskSpec{
		Image: "public.ecr.aws/lab/tools:1", Command: []string{"sort", "Ref::file", "${x}", "<a&b>"}, Parameters: map[string]string{"file": "in.txt"},
		Env: map[string]string{"A": "1", "QUOTE": `"${HOME}"`}, Secrets: map[string]string{"TOKEN": "arn:aws:ssm:us-east-1:123456789012:parameter/token"},
		Resources: []engine.Resources{{VCPUs: 2, MemoryMiB: 4096, GPUs: 1}}, Timeout: time.Hour, Priority: 7,
		Retry:     engine.Retry{Attempts: 3, Rules: []engine.RetryRule{{StatusReason: "Host EC2*"}, {ExitCode: "137", Exit: true}, {Reason: "Cannot*"}}},
		Container: container,
	}
	fargate := &engine.TaskSpec{
		Image: "busybox", Command: []string{"true"}, Resources: []engine.Resources{{VCPUs: 0.25, MemoryMiB: 512, DiskGiB: 30}},
		Container: &engine.Container{Platform: "FARGATE", Architecture: "ARM64", Network: "public", ExecutionRole: "arn:aws:iam::123456789012:role/exec"},
	}
	five := 5
	return &engine.Infra{
		Policies: []*engine.SchedulingPolicy{{
			Block: block("fair"), ShareDecay: 10 * time.Minute, ComputeReservation: 5,
			Shares: []engine.Share{{Identifier: "flow", Weight: 0.1}, {Identifier: "lab*"}},
		}},
		Consumables: []*engine.ConsumableResource{{Block: block("license"), Total: 12}, {Block: block("once"), Total: 3, NonReplenished: true}},
		Environments: []*engine.ComputeEnvironment{
			{
				Block: block("spot"), Type: engine.TypeSpot, AllocationStrategy: "SPOT_PRICE_CAPACITY_OPTIMIZED", MinVCPUs: 2, MaxVCPUs: 64, DesiredVCPUs: &five,
				InstanceTypes: []string{"m6i", "c6i.large"}, BidPercentage: 60, Subnets: []string{"subnet-11111111", "subnet-22222222"}, SecurityGroups: []string{"sg-11111111"},
				ServiceRole: "arn:aws:iam::123456789012:role/service-role/AWSBatchServiceRole", LaunchTemplate: &engine.LaunchTemplate{ID: "lt-12345678", Version: "$Latest"},
				EC2Configuration: []engine.EC2Configuration{{ImageType: "ECS_AL2023", ImageID: "ami-12345678"}, {ImageType: "ECS_AL2023_NVIDIA"}},
				EC2KeyPair:       "key", PlacementGroup: "near", InstanceTags: map[string]string{"Name": "worker"}, ScaleDownDelayMinutes: 30,
				TerminateJobsOnUpdate: true, JobExecutionTimeoutMinutes: 45, CreateRoles: true,
			},
			{
				Block: block("best-fit"), Type: engine.TypeSpot, MaxVCPUs: 8, InstanceTypes: []string{"optimal"}, Subnets: []string{"subnet-11111111"},
				SecurityGroups: []string{"sg-11111111"}, LaunchTemplate: &engine.LaunchTemplate{Name: "base"}, CreateRoles: true,
			},
			{Block: block("plain"), Type: engine.TypeEC2, MaxVCPUs: 8, InstanceTypes: []string{"optimal"}, Subnets: []string{"subnet-11111111"}, SecurityGroups: []string{"sg-11111111"}},
			{Block: block("2far"), Type: engine.TypeFargate, MaxVCPUs: 16, Subnets: []string{"subnet-11111111"}, SecurityGroups: []string{"sg-11111111"}},
			{
				Block: block("pods"), Type: engine.TypeEC2, AllocationStrategy: "BEST_FIT_PROGRESSIVE", MaxVCPUs: 16, InstanceTypes: []string{"m6i"}, Subnets: []string{"subnet-11111111"},
				SecurityGroups: []string{"sg-11111111"}, InstanceRole: "nodes", EKSCluster: "arn:aws:eks:us-east-1:123456789012:cluster/lab", EKSNamespace: "batch",
				EC2Configuration: []engine.EC2Configuration{{ImageType: "EKS_AL2023", KubernetesVersion: "1.32"}},
			},
		},
		Queues: []*engine.JobQueue{
			{
				Block: block("fair-queue"), Priority: 3, Environments: []string{"spot", "plain"}, Policy: "fair",
				Limits: []engine.StateLimit{{Reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", State: "RUNNABLE", Action: "CANCEL", After: 30 * time.Minute}},
			},
			{Block: block("far_queue"), Disabled: true, Environments: []string{"2far"}},
		},
		Definitions: []*engine.JobDefinition{
			{Block: block("sort"), Spec: task, PropagateTags: true, CreateRoles: true}, {Block: block("on-fargate"), Spec: fargate},
		},
	}
}

// stack returns what a workflow wants.
func stack(t testing.TB, in *engine.Infra) *iac.Stack {
	t.Helper()
	list, err := infra.Desired("lab", region, in)
	if err != nil {
		t.Fatal(err)
	}
	return &iac.Stack{Workflow: "lab", Region: region, Resources: list}
}

// A server is an emulated AWS Batch with what flow infra apply has made in it.
type server struct {
	*batch.Client
	t    testing.TB
	arns map[infra.Kind]map[string]string

	url, moto string // of AWS Batch, and of IAM and STS
}

func newServer(t testing.TB, in *engine.Infra) *server {
	t.Helper()
	store, err := logstore.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := local.NewRunner(local.RunnerOptions{Logs: store, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := endpoint.New(endpoint.Options{Region: region, Account: account, Runner: runner})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(e)
	t.Cleanup(func() {
		h.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	c := &server{t: t, Client: batch.New(batch.Options{Region: region, BaseEndpoint: &h.URL, Credentials: aws.AnonymousCredentials{}})}
	moto := fetched.Moto(t, "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	c.url, c.moto = h.URL, moto
	roles := iam.New(iam.Options{Region: region, BaseEndpoint: &moto, Credentials: credentials.NewStaticCredentialsProvider("any", "any", "")})
	for _, name := range []string{"ecsInstanceRole", "nodes"} { // which are somebody else's
		_, err := roles.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: &name})
		c.must(err)
	}
	m := infra.New(infra.Options{
		Workflow: "lab", Region: region, Batch: c.Client, IAM: roles,
		Identity: func() (*cloud.Identity, error) { return &cloud.Identity{Account: account}, nil },
		Tell:     func(line string) { t.Log(line) },
		Sleep:    func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, Now: time.Now, Poll: time.Millisecond,
	})
	plan, err := m.Plan(t.Context(), in)
	c.must(err)
	c.must(m.Apply(t.Context(), plan))
	c.arns, _, err = m.ARNs(t.Context())
	c.must(err)
	return c
}
