package infra

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func named(name string, line int) engine.Block {
	return engine.Block{Label: name, Name: name, Pos: engine.Pos{File: "w.hcl", Line: line, Column: 1}}
}

func fargate(name string, vcpus int) *engine.ComputeEnvironment {
	return &engine.ComputeEnvironment{
		Block: named(name, 10), Type: engine.TypeFargate, MaxVCPUs: vcpus, Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"},
	}
}

func onDemand(name string, vcpus int) *engine.ComputeEnvironment {
	return &engine.ComputeEnvironment{
		Block: named(name, 20), Type: engine.TypeEC2, MaxVCPUs: vcpus, Subnets: []string{"subnet-2", "subnet-1"}, SecurityGroups: []string{"sg-1"},
		InstanceTypes: []string{"m6i", "c6i"}, AllocationStrategy: "BEST_FIT_PROGRESSIVE", InstanceRole: "ecsInstanceRole",
	}
}

func spot(name string, vcpus int) *engine.ComputeEnvironment {
	e := onDemand(name, vcpus)
	e.Type, e.AllocationStrategy = engine.TypeSpot, "SPOT_PRICE_CAPACITY_OPTIMIZED"
	return e
}

func queueOn(name string, environments ...string) *engine.JobQueue {
	return &engine.JobQueue{Block: named(name, 30), Priority: 1, Environments: environments}
}

func definition(name string, command ...string) *engine.JobDefinition {
	return &engine.JobDefinition{Block: named(name, 40), Spec: &engine.TaskSpec{Image: "busybox", Command: command}}
}

// everyKind has one of everything, with as much said of it as there is to say.
func everyKind(roles bool) *engine.Infra {
	shared := &engine.SchedulingPolicy{
		Block: named("fair", 1), ShareDecay: 20 * time.Minute, ComputeReservation: 5,
		Shares: []engine.Share{{Identifier: "b*", Weight: 0.5}, {Identifier: "a"}},
	}
	big := spot("spot", 256)
	big.Tags = map[string]string{"team": "genomics", "cost": "42"}
	big.InstanceTags, big.BidPercentage, big.ScaleDownDelayMinutes = map[string]string{"Name": "flow"}, 70, 30
	big.LaunchTemplate = &engine.LaunchTemplate{Name: "disks", Version: "$Latest"}
	big.EC2Configuration = []engine.EC2Configuration{{ImageType: "ECS_AL2023_NVIDIA"}}
	big.TerminateJobsOnUpdate, big.JobExecutionTimeoutMinutes = true, 60
	slow := onDemand("slow", 16)
	slow.AllocationStrategy, slow.Disabled, slow.DesiredVCPUs, slow.MinVCPUs = "", true, aws.Int(4), 2
	if roles {
		big.CreateRoles, big.InstanceRole, slow.CreateRoles, slow.InstanceRole = true, "", true, ""
		slow.Type = engine.TypeSpot // with BEST_FIT, it needs a role for the fleet
	} else {
		slow.SpotFleetRole = ""
	}
	first := queueOn("first", "spot", "slow")
	first.Policy = "fair"
	first.Tags = map[string]string{"team": "genomics"}
	first.Limits = []engine.StateLimit{{Reason: "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", State: "RUNNABLE", Action: "CANCEL", After: 30 * time.Minute}}
	closed := queueOn("closed", "small")
	closed.Disabled = true
	align := definition("align", "bwa", "mem", "Ref::sample")
	align.Spec.Parameters = map[string]string{"sample": "NA12878"}
	align.Spec.Env = map[string]string{"THREADS": "4", "LANG": "C"}
	align.Spec.Secrets = map[string]string{"TOKEN": "arn:aws:ssm:us-east-1:123456789012:parameter/token"}
	align.Spec.Resources = []engine.Resources{{VCPUs: 4, MemoryMiB: 8192}}
	align.Spec.Timeout, align.Spec.Priority = 2*time.Hour, 7
	align.Spec.Retry = engine.Retry{Attempts: 3, Rules: []engine.RetryRule{{Class: "spot", StatusReason: "Host EC2*"}, {Class: "bad", ExitCode: "2", Exit: true}}}
	align.Spec.Container = &engine.Container{
		User: "nobody", InitProcess: true, ReadOnly: true, ExecutionRole: "run", JobRole: "arn:aws:iam::123456789012:role/job",
		Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 1024, Hard: 4096}}, SharedMemoryMiB: 64,
		Volumes:    []engine.Volume{{Name: "scratch", HostPath: "/scratch", Path: "/scratch"}, {Name: "ref", EFS: "fs-1", Path: "/ref", ReadOnly: true}},
		LogOptions: map[string]string{"awslogs-stream-prefix": "align"},
	}
	align.PropagateTags = true
	align.Spec.Consumables = []engine.Consumable{{Resource: "credits", Quantity: 1}, {Resource: "licenses", Quantity: 2}}
	serverless := definition("serverless", "true")
	serverless.Spec.Container = &engine.Container{Platform: "FARGATE", Architecture: "ARM64", Network: "public", ExecutionRole: "run", EphemeralStorage: 30}
	serverless.Spec.Resources = []engine.Resources{{VCPUs: 0.5, MemoryMiB: 1024}}
	if roles {
		align.CreateRoles, align.Spec.Container.JobRole, align.Spec.Container.ExecutionRole = true, "", ""
		serverless.CreateRoles, serverless.Spec.Container.ExecutionRole = true, ""
	}
	return &engine.Infra{
		Environments: []*engine.ComputeEnvironment{big, slow, fargate("small", 8)},
		Queues:       []*engine.JobQueue{first, closed},
		Definitions:  []*engine.JobDefinition{align, serverless},
		Policies:     []*engine.SchedulingPolicy{shared},
		Consumables:  []*engine.ConsumableResource{{Block: named("licenses", 2), Total: 5}, {Block: named("credits", 3), Total: 100, NonReplenished: true}},
	}
}

// What is made is just what is wanted: a second look finds no difference, and a second
// apply changes nothing.
func TestApplyTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("wf", everyKind(false))
	if n := len(w.changing()); n != 12 {
		t.Errorf("the first apply makes %d calls: %v", n, w.changing())
	}
	out, err := w.batch.DescribeComputeEnvironments(t.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{"slow"}})
	w.must(err)
	if d := out.ComputeEnvironments[0]; d.State != types.CEStateDisabled || *d.ComputeResources.DesiredvCpus != 4 || d.Tags[TagInfra] != "wf" {
		t.Errorf("slow is %s, with %d vCPUs and the tags %v", d.State, *d.ComputeResources.DesiredvCpus, d.Tags)
	}
	// AWS Batch scales it; that is no difference.
	w.admin("desired", url.Values{"environment": {"spot"}, "vcpus": {"64"}})
	w.settledOn("wf", everyKind(false))
}

// Nothing is left of it after a destroy, and a second one has nothing to do.
func TestDestroy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("other", &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("theirs", 4)}, Queues: []*engine.JobQueue{queueOn("their-queue", "theirs")}})
	before := w.everything()
	in := everyKind(false)
	w.apply("wf", in)
	in.Definitions[0].Spec.Image = "busybox:2"
	w.apply("wf", in) // there are two revisions now
	w.submit("first", "a")
	m := w.manager("wf")
	p, err := m.PlanDestroy(t.Context())
	w.must(err)
	if c := p.find(KindQueue, "first"); c == nil || c.Jobs != 1 {
		t.Errorf("the plan says %+v of the queue with a job", c)
	}
	if len(p.Warnings) > 0 { // where IAM is nowhere there are no roles
		t.Errorf("the plan warns: %q", p.Warnings)
	}
	calls := map[string]int{}
	done := len(w.changing())
	w.must(m.Apply(t.Context(), p))
	for _, c := range w.changing()[done:] {
		calls[c]++
	}
	if diff := cmp.Diff(map[string]int{ // each is made once; slow and closed are DISABLED already
		"updatejobqueue": 1, "deletejobqueue": 2, "updatecomputeenvironment": 2, "deletecomputeenvironment": 3,
		"deregisterjobdefinition": 3, "deleteconsumableresource": 2, "deleteschedulingpolicy": 1,
	}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	_, err = w.batch.DeregisterJobDefinition(t.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: aws.String("job:1")})
	w.must(err)
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Errorf("what is there afterwards (-before +after):\n%s", diff)
	}
	if p, err = m.PlanDestroy(t.Context()); err != nil || !p.Empty() {
		t.Errorf("a second destroy plans %v %v", p, err)
	}
}

// With the rest go the job definitions that runs of the workflow have registered, and only
// then, and not those of another's runs.
func TestDestroyRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for name, tags := range map[string]map[string]string{
		"flow-mine":   {"flow:content": "1", "flow:workflow": "wf"},
		"flow-theirs": {"flow:content": "2", "flow:workflow": "other"},
		"by-hand":     {"flow:workflow": "wf"},
	} {
		_, err := w.batch.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
			JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, Tags: tags,
			ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
			}},
		})
		w.must(err)
	}
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("mine", 4)}}
	w.apply("wf", in)
	if p := w.plan("wf", in); !p.Empty() || !strings.Contains(w.everything(), "flow-mine") {
		t.Errorf("a second apply plans:\n%s\nand there is:\n%s", describe(p), w.everything())
	}
	m := w.manager("wf")
	p, err := m.PlanDestroy(t.Context())
	w.must(err)
	w.must(m.Apply(t.Context(), p))
	out, err := w.batch.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{Status: aws.String("ACTIVE")})
	w.must(err)
	var left []string
	for i := range out.JobDefinitions {
		left = append(left, *out.JobDefinitions[i].JobDefinitionName)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"by-hand", "flow-theirs"}, left); diff != "" {
		t.Errorf("ACTIVE definitions (-want +got):\n%s", diff)
	}
	if p, err = m.PlanDestroy(t.Context()); err != nil || !p.Empty() {
		t.Errorf("a second destroy plans %v %v", p, err)
	}
}

// changed is everyKind with changes of all kinds: in place, replacements, things that go and
// things that come.
func changed(roles bool) *engine.Infra {
	in := everyKind(roles)
	in.Policies[0].Shares[0].Weight = 2
	in.Consumables[0].Total = 7
	in.Consumables = in.Consumables[:1]
	big := in.Environments[0]
	big.MaxVCPUs, big.InstanceTypes, big.BidPercentage, big.LaunchTemplate = 512, []string{"optimal"}, 0, nil
	big.Tags = map[string]string{"team": "proteomics"}
	slow := in.Environments[1] // with BEST_FIT: it is replaced
	slow.InstanceTypes, slow.Disabled = []string{"r6i"}, false
	in.Environments[2].Type = engine.TypeFargateSpot // it is replaced, and with it the only queue on it
	in.Queues[0].Priority, in.Queues[0].Limits = 9, nil
	in.Definitions[0].Spec.Command = []string{"bwa", "mem2", "Ref::sample"}
	in.Definitions = append(in.Definitions[:1], definition("sort", "sort"))
	in.Environments = append(in.Environments, fargate("more", 4))
	in.Queues = append(in.Queues, queueOn("second", "more"))
	return in
}
