package capacity_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
	"flow/executor"
	"flow/executor/batch/capacity"
	"flow/executor/instances"
)

func ec2(max int, instanceTypes ...string) capacity.Environment {
	return capacity.Environment{Name: "fleet", Type: "EC2", MaxVCPUs: max, InstanceTypes: instanceTypes}
}

func TestJudge(t *testing.T) {
	fargate := capacity.Environment{Name: "serverless", Type: "FARGATE", MaxVCPUs: 16}
	eks := ec2(64, "m5.large")
	eks.EKS = true
	for _, test := range []struct {
		name      string
		in        capacity.Environment
		need      capacity.Need
		why, fix  string // parts; "": it fits
		code      string
		unknown   []string
		uncertain bool
	}{
		{name: "fits", in: ec2(16, "m5.large"), need: capacity.Need{VCPUs: 2, MemoryMiB: 7000, Platform: "EC2"}},
		{name: "fits, the last vCPU", in: ec2(2, "m5.large"), need: capacity.Need{VCPUs: 2, MemoryMiB: 1024}},
		{name: "fits, the last MiB", in: ec2(16, "m5.large"), need: capacity.Need{VCPUs: 1, MemoryMiB: 7955}},
		{
			name: "8192 MiB on 8 GiB", in: ec2(16, "m5.large"), need: capacity.Need{VCPUs: 1, MemoryMiB: 8192, Platform: "EC2"},
			why: "m5.large in fleet has 7955 MiB for jobs: of its 8192 MiB", fix: "ask for 237 MiB less, or add m5.xlarge to instance_types of fleet", code: capacity.CodeJobRequirement,
		},
		{
			name: "more vCPUs than the environment", in: ec2(4, "optimal"), need: capacity.Need{VCPUs: 8, MemoryMiB: 1024},
			why: "needs 8 vCPUs, and the environment fleet has at most 4 (max_vcpus)", fix: "raise max_vcpus of fleet to 8", code: capacity.CodeMaxResource,
		},
		{
			name: "more vCPUs than an instance", in: ec2(256, "m5.large"), need: capacity.Need{VCPUs: 4, MemoryMiB: 1024},
			why: "needs 4 vCPUs, and the largest instance type of fleet, m5.large, has 2", fix: "add m5.xlarge to instance_types", code: capacity.CodeJobRequirement,
		},
		{
			name: "larger than any instance", in: ec2(10000, "optimal"), need: capacity.Need{VCPUs: 5000, MemoryMiB: 1024},
			why: "needs 5000 vCPUs", fix: "flow knows of no instance type that has so much", code: capacity.CodeJobRequirement,
		},
		{
			name: "no GPU", in: ec2(64, "m5"), need: capacity.Need{VCPUs: 1, MemoryMiB: 1024, GPUs: 1},
			why: "needs 1 GPU, and no instance type of fleet (m5) has one", fix: "add g5.xlarge to instance_types", code: capacity.CodeJobRequirement,
		},
		{
			name: "architecture", in: ec2(64, "m5.large"), need: capacity.Need{VCPUs: 1, MemoryMiB: 1024, Arch: "ARM64"},
			why: "the job is for ARM64, and the instances of fleet (m5.large) are of X86_64", fix: `architecture = "X86_64"`, code: capacity.CodeJobRequirement,
		},
		{name: "unknown types", in: ec2(64, "zz9.large"), need: capacity.Need{VCPUs: 1, MemoryMiB: 1024}, unknown: []string{"zz9.large"}, uncertain: true},
		{name: "unknown beside one that fits", in: ec2(64, "zz9.large", "m5.large"), need: capacity.Need{VCPUs: 1, MemoryMiB: 1024}, unknown: []string{"zz9.large"}},
		{name: "a pair of Fargate", in: fargate, need: capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "FARGATE", Arch: "ARM64"}},
		{
			name: "no pair of Fargate", in: fargate, need: capacity.Need{VCPUs: 1, MemoryMiB: 1024, Platform: "FARGATE"},
			why: "has no tasks of 1 vCPU and 1024 MiB", fix: `vcpus = 1 with memory = "2048 MiB"; with 1 vCPU there are 2048 to 8192 MiB`, code: capacity.CodeJobRequirement,
		},
		{
			name: "nothing on Fargate", in: capacity.Environment{Name: "none", Type: "FARGATE"}, need: capacity.Need{VCPUs: 0.25, MemoryMiB: 512, Platform: "FARGATE"},
			why: "needs 0.25 vCPUs, and the environment none has at most 0", fix: "raise max_vcpus of none to 1", code: capacity.CodeMaxResource,
		},
		{
			name: "GPU on Fargate", in: fargate, need: capacity.Need{VCPUs: 1, MemoryMiB: 2048, GPUs: 1, Platform: "FARGATE"},
			why: "needs 1 GPU, and Fargate", fix: "instance types that have GPUs",
		},
		{
			name: "EC2 job on Fargate", in: fargate, need: capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "EC2"},
			why: "the job is for EC2, and the environment serverless is of type FARGATE", fix: `platform = "FARGATE"`,
		},
		{
			name: "Fargate job on EC2", in: ec2(16, "m5.large"), need: capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "FARGATE"},
			why: "the job is for Fargate", fix: `platform = "EC2"`,
		},
		{name: "EKS", in: eks, need: capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "EC2"}, why: "is on EKS", fix: "without eks_configuration"},
		{name: "EKS, a definition of the user's", in: eks, need: capacity.Need{VCPUs: 1 << 20}, unknown: []string{"those of EKS, for a job definition that is not flow's"}, uncertain: true},
		{name: "unmanaged", in: capacity.Environment{Name: "own", Unmanaged: true}, need: capacity.Need{VCPUs: 100, MemoryMiB: 1 << 30}, unknown: []string{"those of an unmanaged environment"}, uncertain: true},
	} {
		v := test.in.Judge(test.need)
		if (test.why == "") != (v.Why == "") || !strings.Contains(v.Why, test.why) || !strings.Contains(v.Fix, test.fix) || v.Code != test.code || v.Sure() == test.uncertain {
			t.Errorf("%s: %+v, want %q, %q, %q", test.name, v, test.why, test.fix, test.code)
		}
		if d := cmp.Diff(test.unknown, v.Unknown); d != "" {
			t.Errorf("%s: unknown (-want +got):\n%s", test.name, d)
		}
		if why := test.in.Why(test.need); why != v.Why {
			t.Errorf("%s: Why is %q, that of Judge %q", test.name, why, v.Why)
		}
	}
}

// TestNeedOf: what Batch is asked for is the sum over the containers of a job.
func TestNeedOf(t *testing.T) {
	box := func(platform, arch string) *engine.Container {
		return &engine.Container{Platform: platform, Architecture: arch}
	}
	in := []engine.Input{{Name: "x", Paths: []string{"/x"}}}
	for name, test := range map[string]struct {
		task engine.TaskSpec
		res  engine.Resources
		want capacity.Need
	}{
		"plain":            {engine.TaskSpec{Command: []string{"x"}}, engine.Resources{VCPUs: 2, MemoryMiB: 4096, GPUs: 1}, capacity.Need{VCPUs: 2, MemoryMiB: 4096, GPUs: 1, Platform: "EC2"}},
		"defaults":         {engine.TaskSpec{Command: []string{"x"}}, engine.Resources{}, capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "EC2"}},
		"agent, one vCPU":  {engine.TaskSpec{Command: []string{"x"}, Inputs: in}, engine.Resources{VCPUs: 1, MemoryMiB: 1024}, capacity.Need{VCPUs: 2, MemoryMiB: 1088, Platform: "EC2"}},
		"agent, two vCPUs": {engine.TaskSpec{Command: []string{"x"}, Inputs: in}, engine.Resources{VCPUs: 2, MemoryMiB: 1024}, capacity.Need{VCPUs: 2, MemoryMiB: 1088, Platform: "EC2"}},
		"agent, Fargate":   {engine.TaskSpec{Command: []string{"x"}, Inputs: in, Container: box("FARGATE", "ARM64")}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "FARGATE", Arch: "ARM64"}},
		"own definition":   {engine.TaskSpec{Command: []string{"x"}, JobDefinition: "tools:3"}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, capacity.Need{VCPUs: 1, MemoryMiB: 2048}},
	} {
		got := capacity.NeedOf(&engine.JobSpec{Task: &test.task, Tasks: engine.RangesOf(0), Resources: test.res})
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestFrom(t *testing.T) {
	max := int32(64)
	name, arn := "fleet", "arn:aws:eks:eu-west-1:123456789012:cluster/x"
	want := capacity.Environment{Name: name, Type: "SPOT", MaxVCPUs: 64, InstanceTypes: []string{"m5"}, EKS: true}
	got := capacity.FromDetail(types.ComputeEnvironmentDetail{
		ComputeEnvironmentName: &name, Type: types.CETypeManaged, EksConfiguration: &types.EksConfiguration{EksClusterArn: &arn},
		ComputeResources: &types.ComputeResource{Type: types.CRTypeSpot, MaxvCpus: &max, InstanceTypes: []string{"m5"}},
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("FromDetail (-want +got):\n%s", d)
	}
	got = capacity.FromBlock(&engine.ComputeEnvironment{Block: engine.Block{Label: "l", Name: name}, Type: "SPOT", MaxVCPUs: 64, InstanceTypes: []string{"m5"}, EKSCluster: arn})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("FromBlock (-want +got):\n%s", d)
	}
}

// TestJudgeAgreesWithTheTable: a job fits exactly if some type, or pair, has all of it; and
// what is said to fit instead does.
func TestJudgeAgreesWithTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"m5.large", "m5.xlarge", "m6i", "optimal", "g5.xlarge"}), 1, 3).Draw(t, "types")
		n := capacity.Need{
			VCPUs: float64(rapid.IntRange(1, 200).Draw(t, "vcpus")), MemoryMiB: rapid.IntRange(4, 1<<20).Draw(t, "mib"), GPUs: rapid.IntRange(0, 2).Draw(t, "gpus"),
			Arch: rapid.SampledFrom([]string{"", "X86_64", "ARM64"}).Draw(t, "arch"),
		}
		max := rapid.IntRange(0, 256).Draw(t, "max")
		want := false
		all, _ := instances.Expand(names)
		for _, i := range all {
			want = want || n.VCPUs <= float64(min(i.VCPUs, max)) && n.MemoryMiB <= i.Usable() && n.GPUs <= i.GPUs && n.Arch != "ARM64"
		}
		v := ec2(max, names...).Judge(n)
		if want != (v.Why == "") || want != (v.Fix == "") {
			t.Fatalf("%+v in %v of %d vCPUs: %+v, want a place: %v", n, names, max, v, want)
		}
		if _, more, ok := strings.Cut(v.Fix, "or add "); ok {
			name, _, _ := strings.Cut(more, " ")
			if w := ec2(10000, append(names, name)...).Why(n); w != "" {
				t.Fatalf("with %s it does not fit either: %s", name, w)
			}
		}
		f := capacity.Environment{Name: "f", Type: "FARGATE", MaxVCPUs: 16}.Why(n)
		if (f == "") != (n.GPUs == 0 && executor.FitsFargate(n.VCPUs, n.MemoryMiB)) {
			t.Fatalf("%+v on Fargate: %q", n, f)
		}
	})
}

func TestInvalid(t *testing.T) {
	for reason, want := range map[string][2]string{
		"CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403; Error Code: AccessDenied; Request ID: x)":                                              {"service role", "AWSServiceRoleForBatch"},
		"CLIENT_ERROR - Parameter: SpotFleetRequestConfig.IamFleetRole is invalid. (Service: AmazonEC2; Status Code: 400)":                                                                                   {"Spot fleet role", "spotfleet.amazonaws.com"},
		"Your compute environment has been INVALIDATED and scaled down because none of the instances joined the underlying ECS Cluster. Common issues: VPC/Subnet configuration, incorrect Instance Profile": {"did not reach ECS", "port 443"},
		"CLIENT_ERROR - Instance profile arn:aws:iam::123456789012:instance-profile/x does not exist":                                                                                                        {"instance profile", "create_roles = true"},
		"CLIENT_ERROR - You are not authorized to perform this operation.":                                                                                                                                   {"may not tag them", "AmazonEC2SpotFleetTaggingRole"},
		"CLIENT_ERROR - The subnet ID 'subnet-1' does not exist":                                                                                                                                             {"a subnet", "subnets that exist"},
		"Something new": {"", "look at it again"},
	} {
		cause, fix := capacity.Invalid(reason)
		if !strings.Contains(cause, want[0]) || !strings.Contains(fix, want[1]) || (want[0] == "") != (cause == "") {
			t.Errorf("%s: %q, %q", reason, cause, fix)
		}
	}
}
