package infra

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func wantPlan(t *testing.T, p *Plan, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimLeft(want, "\n"), describe(p)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestPlanOfChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("wf", everyKind(false))
	wantPlan(t, w.plan("wf", changed(false)), `
update scheduling_policy fair
  share: "a" { weight_factor = 1 }, "b*" { weight_factor = 0.5 } -> "a" { weight_factor = 1 }, "b*" { weight_factor = 2 }
update consumable_resource licenses
  total_quantity: 5 -> 7
update compute_environment spot
  instance_types: ["c6i", "m6i"] -> ["optimal"]
  bid_percentage: 70 -> 100
  max_vcpus: 256 -> 512
  tags: { "cost" = "42", "team" = "genomics" } -> { "team" = "proteomics" }
  launch_template: { name = "disks", version = "$Latest" } -> 
replace compute_environment slow
  state: "DISABLED" -> "ENABLED"
  instance_types: ["c6i", "m6i"] -> ["r6i"] (an environment with the strategy BEST_FIT cannot get other instances)
replace compute_environment small
  type: "FARGATE" -> "FARGATE_SPOT" (AWS Batch cannot change it)
create compute_environment more
update job_queue first
  priority: 1 -> 9
  state_time_limit: { reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", state = "RUNNABLE", max_time = "30m", action = "CANCEL" } -> 
  # it goes on without slow while that is replaced
create job_queue second
replace job_queue closed
  # it has no other compute environment while small is replaced, so it has to go first
update job_definition align
  command: ["bwa", "mem", "Ref::sample"] -> ["bwa", "mem2", "Ref::sample"]
create job_definition sort
delete job_definition serverless
delete consumable_resource credits
`)
	w.apply("wf", changed(false))
	w.apply("wf", everyKind(false))
}

// What only replaces the network of Fargate, or the scale, needs no other environment; what
// AWS Batch cannot change does.
func TestForcesReplacement(t *testing.T) {
	t.Parallel()
	own := "arn:aws:iam::123456789012:role/AWSBatchServiceRole"
	for name, test := range map[string]struct {
		is     *engine.ComputeEnvironment
		change func(*engine.ComputeEnvironment)
		want   string
	}{
		"scale":        {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.MaxVCPUs, e.MinVCPUs = 8, 1 }, "update"},
		"network":      {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.Subnets = []string{"subnet-9"} }, "update"},
		"to Spot":      {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.Type = engine.TypeSpot }, "update"},
		"to Fargate":   {onDemand("e", 4), func(e *engine.ComputeEnvironment) { *e = *fargate("e", 4) }, "replace"},
		"BEST_FIT":     {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.AllocationStrategy = "BEST_FIT" }, "replace"},
		"service role": {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.ServiceRole = own }, "replace"},
		"own role": {&engine.ComputeEnvironment{
			Block: named("e", 1), Type: engine.TypeEC2, MaxVCPUs: 4, Subnets: []string{"s"}, SecurityGroups: []string{"g"}, InstanceTypes: []string{"m6i"},
			AllocationStrategy: "BEST_FIT_PROGRESSIVE", ServiceRole: own,
		}, func(e *engine.ComputeEnvironment) { e.EC2KeyPair = "key" }, "replace"},
		"Fargate network":        {fargate("e", 4), func(e *engine.ComputeEnvironment) { e.Subnets, e.SecurityGroups = []string{"s"}, []string{"g"} }, "update"},
		"Fargate scale":          {fargate("e", 4), func(e *engine.ComputeEnvironment) { e.MaxVCPUs = 5 }, "update"},
		"Fargate Spot":           {fargate("e", 4), func(e *engine.ComputeEnvironment) { e.Type = engine.TypeFargateSpot }, "replace"},
		"desired":                {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.DesiredVCPUs = aws.Int(3) }, ""},
		"images of AWS's choice": {withImage("ECS_AL2023_NVIDIA", ""), func(e *engine.ComputeEnvironment) { e.EC2Configuration = nil }, ""},
		"no image of its own":    {withImage("ECS_AL2023", "ami-1"), func(e *engine.ComputeEnvironment) { e.EC2Configuration = nil }, "update"},
		"more of instances":      {onDemand("e", 4), func(e *engine.ComputeEnvironment) { *e = *furnished() }, "update"},
		"less of instances":      {furnished(), func(e *engine.ComputeEnvironment) { *e = *onDemand("e", 4) }, "update"},
		"unused fleet role":      {withFleetRole(), func(e *engine.ComputeEnvironment) { e.SpotFleetRole = "" }, ""},
		"other fleet role":       {withFleetRole(), func(e *engine.ComputeEnvironment) { e.SpotFleetRole = "other" }, "replace"},
		"used fleet role":        {withFleetRole(), func(e *engine.ComputeEnvironment) { e.AllocationStrategy = "BEST_FIT" }, "replace"},
		"from Spot":              {withFleetRole(), func(e *engine.ComputeEnvironment) { *e = *onDemand("e", 4) }, "update"},
		"AL2 to AL2023":          {withImage("ECS_AL2", ""), func(e *engine.ComputeEnvironment) { e.EC2Configuration[0].ImageType = "ECS_AL2023" }, "update"},
		"order of lists":         {onDemand("e", 4), func(e *engine.ComputeEnvironment) { e.Subnets = []string{"subnet-1", "subnet-2"} }, ""},
		"defaults": {onDemand("e", 4), func(e *engine.ComputeEnvironment) {
			e.EC2Configuration = []engine.EC2Configuration{{ImageType: "ECS_AL2023"}}
			e.ServiceRole = "AWSServiceRoleForBatch"
			e.InstanceRole = "arn:aws:iam::123456789012:instance-profile/ecsInstanceRole"
			e.JobExecutionTimeoutMinutes = 30
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			is := *test.is
			w.apply("wf", &engine.Infra{Environments: []*engine.ComputeEnvironment{&is}})
			test.change(test.is)
			to := &engine.Infra{Environments: []*engine.ComputeEnvironment{test.is}}
			p := w.plan("wf", to)
			got := ""
			if c := p.find(KindEnvironment, "e"); c != nil {
				got = string(c.Action)
			}
			if got != test.want {
				t.Errorf("the plan is to %q it, want %q:\n%s", got, test.want, describe(p))
			}
			w.apply("wf", to)
		})
	}
}

// furnished has all that instances can be given.
func furnished() *engine.ComputeEnvironment {
	e := onDemand("e", 4)
	e.InstanceTags, e.EC2KeyPair, e.PlacementGroup, e.InstanceRole = map[string]string{"Name": "x"}, "key", "near", "own"
	e.LaunchTemplate, e.ScaleDownDelayMinutes, e.SecurityGroups = &engine.LaunchTemplate{ID: "lt-1"}, 30, []string{"sg-2"}
	return e
}

func withFleetRole() *engine.ComputeEnvironment {
	e := spot("e", 4)
	e.SpotFleetRole = "fleet"
	return e
}

func withImage(kind, id string) *engine.ComputeEnvironment {
	e := onDemand("e", 4)
	e.EC2Configuration = []engine.EC2Configuration{{ImageType: kind, ImageID: id}}
	return e
}

// A queue cannot get a policy, nor lose it, nor change from EC2 to Fargate.
func TestReplacedQueues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	policies := []*engine.SchedulingPolicy{{Block: named("one", 1)}, {Block: named("two", 2)}}
	environments := []*engine.ComputeEnvironment{onDemand("ec2", 4), fargate("fargate", 4)}
	infra := func(policy string, on ...string) *engine.Infra {
		q := queueOn("q", on...)
		q.Policy = policy
		return &engine.Infra{Environments: environments, Policies: policies, Queues: []*engine.JobQueue{q}}
	}
	for _, step := range []struct {
		in   *engine.Infra
		want string
	}{
		{infra("", "ec2"), "create"},
		{infra("one", "ec2"), "replace"},
		{infra("two", "ec2"), "update"},
		{infra("", "ec2"), "replace"},
		{infra("", "fargate"), "replace"},
	} {
		p := w.plan("wf", step.in)
		if c := p.find(KindQueue, "q"); c == nil || string(c.Action) != step.want {
			t.Fatalf("want %s:\n%s", step.want, describe(p))
		}
		w.apply("wf", step.in)
	}
}

// What somebody changes by hand is shown and mended.
func TestDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := everyKind(false)
	w.apply("wf", in)
	_, err := w.batch.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: aws.String("spot"), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(999)},
	})
	w.must(err)
	_, err = w.batch.UpdateJobQueue(t.Context(), &batch.UpdateJobQueueInput{JobQueue: aws.String("closed"), State: types.JQStateEnabled})
	w.must(err)
	_, err = w.batch.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("align"), Type: types.JobDefinitionTypeContainer, ContainerProperties: &types.ContainerProperties{
			Image: aws.String("mine"), ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}},
		},
	})
	w.must(err)
	_, err = w.batch.DeleteConsumableResource(t.Context(), &batch.DeleteConsumableResourceInput{ConsumableResource: aws.String("licenses")})
	w.must(err)
	p := w.plan("wf", in)
	for _, want := range []string{
		"create consumable_resource licenses\n", "update compute_environment spot\n  max_vcpus: 999 -> 256\n",
		"update job_queue closed\n  state: \"ENABLED\" -> \"DISABLED\"\n", "update job_definition align\n  image: \"mine\" -> \"busybox\"\n",
	} {
		if !strings.Contains(describe(p), want) {
			t.Errorf("the plan is without %q:\n%s", want, describe(p))
		}
	}
	w.apply("wf", in)
}

// Consumable resources are the same by name and by ARN, in whatever order AWS tells them.
func TestConsumablesOfDefinitions(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:batch:us-east-1:123456789012:consumable-resource/"
	of := func(pairs ...any) string {
		p := &types.ConsumableResourceProperties{}
		for i := 0; i < len(pairs); i += 2 {
			p.ConsumableResourceList = append(p.ConsumableResourceList, types.ConsumableResourceRequirement{
				ConsumableResource: aws.String(pairs[i].(string)), Quantity: aws.Int64(int64(pairs[i+1].(int))),
			})
		}
		return consumablesArgument(p)
	}
	if a, b := of("a", 1, "b", 2), of(arn+"b", 2, arn+"a", 1); a != b || a != `{ "a" = 1, "b" = 2 }` {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := of("a", 1), of("a", 2); a == b {
		t.Error("another quantity is no difference")
	}
	if text := of(); text != "" {
		t.Errorf("an empty list is %s", text)
	}
}

// What is not ours is never touched, and existing things must be there.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("theirs", &engine.Infra{
		Environments: []*engine.ComputeEnvironment{fargate("taken", 4), fargate("shared", 4)}, Queues: []*engine.JobQueue{queueOn("their-queue", "shared")},
	})
	_, err := w.batch.CreateSchedulingPolicy(t.Context(), &batch.CreateSchedulingPolicyInput{Name: aws.String("by-hand"), FairsharePolicy: &types.FairsharePolicy{}})
	w.must(err)
	existing := func(name string) engine.Block {
		b := named(name, 50)
		b.Existing = true
		return b
	}
	for name, test := range map[string]struct {
		in   *engine.Infra
		want []string
	}{
		"of another workflow": {
			&engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("taken", 8)}},
			[]string{`w.hcl:10: compute_environment taken is there already, and it belongs to workflow theirs: give the block another name, or say existing = "taken"`},
		},
		"made by hand": {
			&engine.Infra{Policies: []*engine.SchedulingPolicy{{Block: named("by-hand", 3)}}},
			[]string{"w.hcl:3: scheduling_policy by-hand is there already, and it was not made by flow (it has no tag flow:infra)"},
		},
		"existing ones that are not there": {
			&engine.Infra{
				Environments: []*engine.ComputeEnvironment{{Block: existing("no-env")}}, Queues: []*engine.JobQueue{{Block: existing("no-queue")}},
				Definitions: []*engine.JobDefinition{{Block: existing("no-def:3")}}, Policies: []*engine.SchedulingPolicy{{Block: existing("no-policy")}},
				Consumables: []*engine.ConsumableResource{{Block: existing("no-credits")}},
			},
			[]string{
				`w.hcl:50: compute_environment "no-env": there is no compute environment no-env in us-east-1`, "no job queue no-queue", "no job definition no-def:3",
				"no scheduling policy no-policy", "no consumable resource no-credits",
			},
		},
		"a queue of nothing": {
			&engine.Infra{Queues: []*engine.JobQueue{queueOn("q", "nowhere")}},
			[]string{"w.hcl:30: job_queue q: there is no compute_environment nowhere in us-east-1, and no block that makes one"},
		},
		"roles without IAM": {everyKind(true), []string{"create_roles: the role flow-wf-us-east-1-instance cannot be made: IAM is not looked at"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.changing())
			_, err := w.manager("wf").Plan(t.Context(), test.in)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is without %q:\n%v", want, err)
				}
			}
			if calls := w.changing()[before:]; len(calls) > 0 {
				t.Errorf("it makes the calls %v", calls)
			}
		})
	}
	t.Run("an environment that others use", func(t *testing.T) {
		in := &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("ours", 4)}}
		w.apply("wf", in)
		w.apply("other", &engine.Infra{Environments: []*engine.ComputeEnvironment{{Block: existing("ours")}}, Queues: []*engine.JobQueue{queueOn("guest", "ours")}})
		_, err := w.manager("wf").PlanDestroy(t.Context())
		if want := "compute_environment ours is to be deleted, and job queue guest, which this workflow does not manage, uses it"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	})
}

// A policy that a queue of others uses cannot go either.
func TestSharedPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("wf", &engine.Infra{Policies: []*engine.SchedulingPolicy{{Block: named("fair", 1)}}})
	policy := named("fair", 1)
	policy.Existing = true
	q := queueOn("guest", "e")
	q.Policy = "fair"
	w.apply("other", &engine.Infra{
		Environments: []*engine.ComputeEnvironment{fargate("e", 4)}, Policies: []*engine.SchedulingPolicy{{Block: policy}}, Queues: []*engine.JobQueue{q},
	})
	_, err := w.manager("wf").PlanDestroy(t.Context())
	if want := "scheduling_policy fair is to be deleted, and job queue guest, which this workflow does not manage, uses it: take it out there first"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %q", err, want)
	}
}

// A thing that became existing = in the file is left alone, though flow made it.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := everyKind(false)
	w.apply("wf", in)
	for _, b := range []*engine.Block{
		&in.Environments[0].Block, &in.Environments[1].Block, &in.Environments[2].Block, &in.Queues[0].Block, &in.Queues[1].Block,
		&in.Definitions[0].Block, &in.Definitions[1].Block, &in.Policies[0].Block, &in.Consumables[0].Block, &in.Consumables[1].Block,
	} {
		b.Existing = true
	}
	w.settledOn("wf", in)
	// Nor does it lose an environment for a while.
	in.Environments[0].Existing = false
	_, err := w.manager("wf").Plan(t.Context(), in, Replacing("spot"))
	if want := "compute_environment spot is to be replaced, and job queue first, which this workflow does not manage, uses it"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
}

// An INVALID environment is told of with what helps, and is made anew when that is asked for.
func TestInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{onDemand("e", 4)}, Queues: []*engine.JobQueue{queueOn("q", "e")}}
	w.apply("wf", in)
	const reason = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403)"
	w.admin("invalidate", url.Values{"environment": {"e"}, "reason": {reason}})
	m := w.manager("wf")
	p, err := m.Plan(t.Context(), in)
	w.must(err)
	want := "compute_environment e is INVALID: AWS Batch may not assume the service role of the environment (" + reason + "). To mend it, leave service_role out"
	if len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], want) {
		t.Errorf("the warnings are %q", p.Warnings)
	}
	if err := m.Apply(t.Context(), p); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("apply ends with %v", err)
	}
	s, err := m.Status(t.Context(), in)
	w.must(err)
	if r := s.Rows[0]; r.Status != "INVALID" || r.Reason != reason || !strings.Contains(r.Fix, "AWSServiceRoleForBatch") {
		t.Errorf("its status is %+v", r)
	}
	w.submit("q", "")
	p = w.plan("wf", in, Replacing("e"))
	wantPlan(t, p, `
replace compute_environment e
  # it was asked for
replace job_queue q
  # it has no other compute environment while e is replaced, so it has to go first
`)
	if n := p.find(KindQueue, "q").Jobs; n != 1 {
		t.Errorf("%d jobs are said to end, want 1", n)
	}
	w.apply("wf", in, Replacing("e"))
}

// An environment that gets another name is one that goes and one that comes: its queue
// changes over to the new one, and what waits in it stays.
func TestRenamedEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	with := func(name string) *engine.Infra {
		return &engine.Infra{Environments: []*engine.ComputeEnvironment{onDemand(name, 4)}, Queues: []*engine.JobQueue{queueOn("q", name)}}
	}
	w.apply("wf", with("old"))
	m := w.manager("wf")
	p, err := m.Plan(t.Context(), with("new"))
	w.must(err)
	wantPlan(t, p, `
create compute_environment new
update job_queue q
  compute_environments: ["old"] -> ["new"]
delete compute_environment old
`)
	w.must(m.Apply(t.Context(), p))
	w.settledOn("wf", with("new"))
	if calls := w.changing(); slices.Contains(calls, "deletejobqueue") || !slices.Contains(calls, "deletecomputeenvironment") {
		t.Errorf("the calls are %v", calls)
	}
}

// What is to be made anew has to be something of the workflow's.
func TestReplacingNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{onDemand("e", 4)}, Queues: []*engine.JobQueue{queueOn("q", "e")}}
	for _, test := range []struct {
		in   *engine.Infra
		want string
	}{
		{in, "-replace nosuch: flow makes no compute environment, job queue or consumable resource of that name for workflow wf: it has e, q"},
		{&engine.Infra{}, "-replace nosuch: flow makes no compute environment, job queue or consumable resource of that name for workflow wf: it has none"},
	} {
		_, err := w.manager("wf").Plan(t.Context(), test.in, Replacing("nosuch"))
		if err == nil || err.Error() != test.want {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}
