package doctor

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"flow/engine"
)

func TestTrusts(t *testing.T) {
	for document, want := range map[string]bool{
		trustPolicy("ec2.amazonaws.com"): true,
		"%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%5B%22batch.amazonaws.com%22%2C%22ec2.amazonaws.com%22%5D%7D%7D%7D": true,
		trustPolicy("ec2.amazonaws.com.cn"): true,
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}]}`: true,
		`{"Statement":[{"Effect":"Allow","Principal":"*"}]}`:                                      true,
		`{"Statement":[{"Effect":"Deny","Principal":{"Service":"ec2.amazonaws.com"}}]}`:           false,
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"}}]}`:    false,
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"}}]}`: false,
		`not JSON`: true,
	} {
		if got := trusts(document, "ec2.amazonaws.com"); got != want {
			t.Errorf("%s: %v", document, got)
		}
	}
}

func testRoles(t *testing.T) {
	p := at(t, "http://127.0.0.1:1")
	x, err := p.o.Cloud.IAM()
	if err != nil {
		t.Fatal(err)
	}
	role := func(name, service string, policies ...string) {
		t.Helper()
		if _, err := x.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trustPolicy(service))}); err != nil {
			t.Fatal(err)
		}
		for _, policy := range policies {
			if _, err := x.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &policy, PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:*","Resource":"*"}]}`)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	role("good", executionDuty.service, executionDuty.policy)
	role("bare", executionDuty.service)
	role("own", executionDuty.service, "mine")
	role("elsewhere", "lambda.amazonaws.com", executionDuty.policy)
	const arn = "arn:aws:iam::123456789012:role/"
	for _, test := range []struct {
		ref  string
		duty duty
		want want
	}{
		{arn + "good", executionDuty, want{OK, "trusts ecs-tasks.amazonaws.com and has AmazonECSTaskExecutionRolePolicy", ""}},
		{arn + "path/good", jobDuty, want{OK, "the job role of x trusts ecs-tasks.amazonaws.com", ""}},
		{arn + "bare", jobDuty, want{OK, "", ""}},
		{arn + "bare", executionDuty, want{Fault, "the execution role bare of x has no policy", "attach-role-policy --role-name bare --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"}},
		{arn + "own", executionDuty, want{Warning, "has not the policy AmazonECSTaskExecutionRolePolicy, but mine", "unless another one allows the same"}},
		{arn + "elsewhere", executionDuty, want{Fault, "the execution role elsewhere of x does not trust ecs-tasks.amazonaws.com", "update-assume-role-policy --role-name elsewhere"}},
		{arn + "none", executionDuty, want{Fault, "the execution role none of x does not exist", "make it"}},
		{"arn:aws:iam::999999999999:role/good", executionDuty, want{Skipped, "of account 999999999999", ""}},
	} {
		judge(t, test.ref, []Line{p.role(t.Context(), test.ref, test.duty, "x", "make it")}, test.want)
	}

	if _, err := x.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: aws.String("empty")}); err != nil {
		t.Fatal(err)
	}
	with := func(profile, service, spot string) types.ComputeEnvironmentDetail {
		return environment("e-"+profile, func(d *types.ComputeEnvironmentDetail) {
			d.ServiceRole, d.ComputeResources.AllocationStrategy = &service, types.CRAllocationStrategyBestFit
			d.ComputeResources.InstanceRole, d.ComputeResources.Type, d.ComputeResources.SpotIamFleetRole = &profile, types.CRTypeSpot, &spot
		})
	}
	linked := arn + "aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
	w := &world{environments: []types.ComputeEnvironmentDetail{with("empty", linked, ""), with("none", arn+"nobody", arn+"own")}}
	p.world = func() (*world, error) { return w, nil }
	judge(t, "environments", p.environmentRoles(t.Context()),
		want{Fault, "the instance profile empty of e-empty has no role", "add-role-to-instance-profile"},
		want{Fault, "the service role nobody of e-none does not exist", "leave service_role out"},
		want{Fault, "the instance profile none of e-none does not exist", "create_roles = true"},
		want{Fault, "the Spot fleet role own of e-none does not trust spotfleet.amazonaws.com", "spotfleet"})

	// Nodes of EKS have other policies, and of Spot only BEST_FIT needs the fleet role.
	role("node", "ec2.amazonaws.com", "AmazonEKSWorkerNodePolicy")
	if _, err := x.AddRoleToInstanceProfile(t.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: aws.String("empty"), RoleName: aws.String("node")}); err != nil {
		t.Fatal(err)
	}
	node := with("empty", linked, arn+"nobody")
	node.ComputeResources.AllocationStrategy = types.CRAllocationStrategySpotPriceCapacityOptimized
	onECS := node
	node.EksConfiguration = &types.EksConfiguration{EksClusterArn: aws.String("arn:aws:eks:us-east-1:1:cluster/x")}
	for _, test := range []struct {
		e    types.ComputeEnvironmentDetail
		want want
	}{
		{node, want{OK, "the instance role of e-empty trusts ec2.amazonaws.com", ""}},
		{onECS, want{Warning, "has not the policy AmazonEC2ContainerServiceforEC2Role, but AmazonEKSWorkerNodePolicy", "attach-role-policy --role-name node"}},
	} {
		w = &world{environments: []types.ComputeEnvironmentDetail{test.e}}
		judge(t, "node", p.environmentRoles(t.Context()), test.want)
	}

	box := &engine.Container{JobRole: arn + "good", ExecutionRole: arn + "bare"}
	p.o.Steps = []Step{sketch("q"), sketch("q", func(task *engine.TaskSpec) { task.Container = box }), sketch("q", func(task *engine.TaskSpec) { task.Container = box })}
	judge(t, "steps", p.stepRoles(t.Context()), want{OK, "good", ""}, want{Fault, "bare", "attach"})
}
