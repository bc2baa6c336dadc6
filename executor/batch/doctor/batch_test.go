package doctor

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// environment returns one that is well, but for what change does.
func environment(name string, change ...func(*types.ComputeEnvironmentDetail)) types.ComputeEnvironmentDetail {
	d := types.ComputeEnvironmentDetail{
		ComputeEnvironmentName: &name, ComputeEnvironmentArn: aws.String("arn:aws:batch:us-east-1:1:compute-environment/" + name),
		Type: types.CETypeManaged, State: types.CEStateEnabled, Status: types.CEStatusValid,
		ComputeResources: &types.ComputeResource{Type: types.CRTypeEc2, AllocationStrategy: types.CRAllocationStrategyBestFitProgressive, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), InstanceTypes: []string{"m5"}},
	}
	for _, f := range change {
		f(&d)
	}
	return d
}

// queueOf returns a queue of environments, which is well but for what change does.
func queueOf(name string, environments []string, change ...func(*types.JobQueueDetail)) queue {
	d := &types.JobQueueDetail{JobQueueName: &name, State: types.JQStateEnabled, Status: types.JQStatusValid}
	for i, e := range environments {
		d.ComputeEnvironmentOrder = append(d.ComputeEnvironmentOrder, types.ComputeEnvironmentOrder{Order: aws.Int32(int32(9 - i)), ComputeEnvironment: aws.String("arn:aws:batch:us-east-1:1:compute-environment/" + e)})
	}
	for _, f := range change {
		f(d)
	}
	return queue{name: name, there: d, steps: []int{0}}
}

func managed() *engine.Infra {
	pos := engine.Pos{File: "p.hcl", Line: 7}
	return &engine.Infra{
		Queues:       []*engine.JobQueue{{Block: engine.Block{Name: "mine", Pos: pos}, Environments: []string{"fleet"}}},
		Environments: []*engine.ComputeEnvironment{{Block: engine.Block{Name: "fleet", Pos: pos}, Type: engine.TypeEC2, MaxVCPUs: 2, InstanceTypes: []string{"m5"}}},
	}
}

func TestQueue(t *testing.T) {
	isolate(t)
	p := at(t, emulator(t))
	disabled := func(d *types.ComputeEnvironmentDetail) { d.State = types.CEStateDisabled }
	invalid := func(d *types.ComputeEnvironmentDetail) { d.Status = types.CEStatusInvalid }
	w := &world{environments: []types.ComputeEnvironmentDetail{environment("a"), environment("off", disabled), environment("bad", invalid)}}
	status := func(s types.JQStatus, reason string) func(*types.JobQueueDetail) {
		return func(d *types.JobQueueDetail) { d.Status, d.StatusReason = s, &reason }
	}
	for _, test := range []struct {
		name  string
		q     queue
		infra *engine.Infra
		want  []want
	}{
		{"well", queueOf("x", []string{"a"}), nil, nil},
		{"one of two is well", queueOf("x", []string{"off", "a"}), nil, nil},
		{"disabled", queueOf("x", []string{"a"}, func(d *types.JobQueueDetail) { d.State = types.JQStateDisabled }), nil, []want{{Fault, "DISABLED", "aws batch update-job-queue --job-queue x --state ENABLED --region us-east-1"}}},
		{"disabled, flow's", queueOf("mine", []string{"a"}, func(d *types.JobQueueDetail) { d.State = types.JQStateDisabled }), managed(), []want{{Fault, "DISABLED", `write state = "ENABLED" in the block at p.hcl:7, and run: flow infra apply p.hcl`}}},
		{"creating", queueOf("x", []string{"a"}, status(types.JQStatusCreating, "")), nil, []want{{Warning, "CREATING", "wait"}}},
		{"invalid", queueOf("x", []string{"a"}, status(types.JQStatusInvalid, "because")), nil, []want{{Fault, "the queue is INVALID: because", "mend what the reason names"}}},
		{"deleting", queueOf("x", []string{"a"}, status(types.JQStatusDeleting, "")), nil, []want{{Fault, "DELETING", "another queue"}}},
		{"none", queueOf("x", nil), nil, []want{{Fault, "has no compute environment: its jobs wait for ever", "--compute-environment-order order=1"}}},
		{"no good one", queueOf("x", []string{"off", "bad", "gone"}), nil, []want{{Fault, "gone is not there, bad is INVALID, off is DISABLED", "mend one of them"}}},
		{"not there", queue{name: "x"}, nil, []want{{Fault, "there is no job queue x in us-east-1", "there are: q"}}},
		{"not applied", queue{name: "mine"}, managed(), []want{{Fault, "the block at p.hcl:7 is not applied", "run: flow infra apply p.hcl"}}},
	} {
		p.o.Infra = test.infra
		judge(t, test.name, p.queue(t.Context(), w, &test.q), test.want...)
	}
}

func TestShares(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	p.o.Steps = []Step{sketch("x")}
	fair := queueOf("x", nil, func(d *types.JobQueueDetail) {
		d.SchedulingPolicyArn = aws.String("arn:aws:batch:us-east-1:1:scheduling-policy/fair")
	})
	plain := queueOf("x", nil)
	judge(t, "fair share, no priority", p.shares(&fair), want{Fault, "shares by fair and takes only jobs with a share identifier, which step s has not", "priority = 1"})
	judge(t, "neither", p.shares(&plain))
	p.o.Steps[0].Spec.Task.Priority = 5
	judge(t, "both", p.shares(&fair))
	judge(t, "priority, no policy", p.shares(&plain), want{Fault, "step s has a priority", "remove priority"})
}

func TestEnvironment(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	p.o.Infra = managed()
	with := func(f func(*types.ComputeResource)) func(*types.ComputeEnvironmentDetail) {
		return func(d *types.ComputeEnvironmentDetail) { f(d.ComputeResources) }
	}
	for _, test := range []struct {
		name string
		e    types.ComputeEnvironmentDetail
		want []want
	}{
		{"well", environment("a"), []want{{OK, "ENABLED and VALID, EC2, at most 16 vCPUs", ""}}},
		{"disabled", environment("a", func(d *types.ComputeEnvironmentDetail) { d.State = types.CEStateDisabled }), []want{{Fault, "DISABLED", "--state ENABLED"}}},
		{"updating", environment("a", func(d *types.ComputeEnvironmentDetail) { d.Status = types.CEStatusUpdating }), []want{{Warning, "UPDATING", "wait"}}},
		{"invalid", environment("a", func(d *types.ComputeEnvironmentDetail) {
			d.Status, d.StatusReason = types.CEStatusInvalid, aws.String("CLIENT_ERROR - Instance profile x does not exist")
		}), []want{{Fault, "INVALID: the instance profile of the environment does not exist: CLIENT_ERROR", "create an instance profile"}}},
		{"none at all", environment("fleet", with(func(r *types.ComputeResource) { r.MaxvCpus = aws.Int32(0) })), []want{{Fault, "max_vcpus is 0", "a larger max_vcpus than 0 in the block at p.hcl:7"}}},
		{"reached", environment("a", with(func(r *types.ComputeResource) { r.DesiredvCpus = aws.Int32(16) })), []want{{Warning, "wants 16 vCPUs of at most 16", "--compute-resources maxvCpus=32"}}},
		{"always all", environment("a", with(func(r *types.ComputeResource) { r.DesiredvCpus, r.MinvCpus = aws.Int32(16), aws.Int32(16) })), []want{{OK, "VALID", ""}}},
		{"best fit", environment("a", with(func(r *types.ComputeResource) { r.AllocationStrategy, r.Type = "", types.CRTypeSpot })), []want{{OK, "BEST_FIT (SPOT_PRICE_CAPACITY_OPTIMIZED waits less", ""}}},
		{"unmanaged", environment("a", func(d *types.ComputeEnvironmentDetail) { d.ComputeResources, d.Type = nil, types.CETypeUnmanaged }), []want{{OK, "unmanaged", ""}}},
	} {
		judge(t, test.name, p.environment(&test.e), test.want...)
	}
}

// TestEnvironmentsOfQueues: what is wrong with an environment is a fault if a queue has no
// other one that takes jobs.
func TestEnvironmentsOfQueues(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	off := environment("off", func(d *types.ComputeEnvironmentDetail) { d.State = types.CEStateDisabled })
	none := environment("none", func(d *types.ComputeEnvironmentDetail) { d.ComputeResources.MaxvCpus = aws.Int32(0) })
	for _, test := range []struct {
		name   string
		queues []queue
		want   Status
	}{
		{"no queue has it", nil, Warning},
		{"a queue has another one", []queue{queueOf("x", []string{"off", "on"})}, Warning},
		{"a queue has no other one", []queue{queueOf("x", []string{"off"})}, Fault},
		{"a queue has no other one with room", []queue{queueOf("x", []string{"off", "on"}), queueOf("y", []string{"none", "off"})}, Fault},
	} {
		w := &world{queues: test.queues, environments: []types.ComputeEnvironmentDetail{off, environment("on"), none}}
		p.world = func() (*world, error) { return w, nil }
		if got := p.environments(t.Context()); got[0].Name != "off" || got[0].Status != test.want || got[1].Status != OK {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	judge(t, "placed", p.place(&world{environments: []types.ComputeEnvironmentDetail{off, environment("on", func(d *types.ComputeEnvironmentDetail) { d.ComputeResources.MaxvCpus = aws.Int32(1) })}},
		new(queueOf("x", []string{"off", "on"})), new(sketch("x", func(task *engine.TaskSpec) { task.Resources = []engine.Resources{{VCPUs: 2, MemoryMiB: 1024}} }))),
		want{Fault, "the environment on has at most 1", "raise max_vcpus of on"})

	w := &world{queues: []queue{queueOf("x", []string{"on"}, func(d *types.JobQueueDetail) { d.State = types.JQStateDisabled })}, environments: []types.ComputeEnvironmentDetail{environment("on")}}
	p.o.Steps = []Step{sketch("x")}
	p.world = func() (*world, error) { return w, nil }
	judge(t, "used", p.queues(t.Context()), want{Fault, "DISABLED", ""})
	w.queues[0].unused = true
	judge(t, "unused", p.queues(t.Context()), want{Warning, "DISABLED", ""})
}

// TestPlace: a step fits if it does in one environment of its queue, in every attempt.
func TestPlace(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	p.o.Infra = managed()
	w := &world{environments: []types.ComputeEnvironmentDetail{
		environment("small", func(d *types.ComputeEnvironmentDetail) { d.ComputeResources.MaxvCpus = aws.Int32(2) }), environment("large"),
		environment("odd", func(d *types.ComputeEnvironmentDetail) { d.ComputeResources.InstanceTypes = []string{"zz9"} }),
	}}
	grows := func(list ...engine.Resources) func(*engine.TaskSpec) {
		return func(task *engine.TaskSpec) { task.Resources = list }
	}
	writes := func(task *engine.TaskSpec) { task.Outputs = []engine.Output{{Name: "n"}} }
	for _, test := range []struct {
		name string
		q    queue
		step Step
		want []want
	}{
		{"fits in one of them", queueOf("x", []string{"small", "large"}), sketch("x", grows(engine.Resources{VCPUs: 8, MemoryMiB: 1024})), []want{{OK, "8 vCPUs and 1024 MiB can be placed in large", ""}}},
		{"with flow's agent", queueOf("x", []string{"large"}), sketch("x", grows(engine.Resources{VCPUs: 1, MemoryMiB: 512}, engine.Resources{VCPUs: 1, MemoryMiB: 1024}), writes), []want{{OK, "2 vCPUs and 1088 MiB (1 vCPU and 64 MiB of it for flow's agent) can be placed in large", ""}}},
		{"room for all but the agent", queueOf("x", []string{"large"}), sketch("x", grows(engine.Resources{VCPUs: 4, MemoryMiB: 1 << 20}), writes), []want{{Fault, "64 MiB of what it needs is for flow's agent", "ask for"}}},
		{"fits in none", queueOf("x", []string{"small", "large"}), sketch("x", grows(engine.Resources{VCPUs: 17, MemoryMiB: 1024})), []want{{Fault, "large has at most 16 (max_vcpus); the job needs 17 vCPUs, and the environment small has at most 2", "raise max_vcpus of large to 17"}}},
		{"a later attempt", queueOf("x", []string{"large"}), sketch("x", grows(engine.Resources{VCPUs: 1, MemoryMiB: 1024}, engine.Resources{VCPUs: 20, MemoryMiB: 1024}, engine.Resources{VCPUs: 30, MemoryMiB: 1024})), []want{{Fault, "can never be placed in attempt 2", "raise"}}},
		{"a retry rule", queueOf("x", []string{"large"}), sketch("x", func(task *engine.TaskSpec) {
			task.Retry.Rules = []engine.RetryRule{{Class: "oom", ExitCode: "137", MemoryMiB: []int{2048, 1 << 30}}}
		}), []want{{Fault, "after a failure of the class oom", "ask for"}}},
		{"unknown", queueOf("x", []string{"odd"}), sketch("x"), []want{{Warning, "flow has no figures of zz9", "yourself"}}},
		{"to be made", queue{name: "mine"}, sketch("mine", grows(engine.Resources{VCPUs: 4, MemoryMiB: 1024})), []want{{Fault, "the environment fleet has at most 2", "raise max_vcpus of fleet"}}},
		{"no queue", queue{name: "x"}, sketch("x"), nil},
	} {
		judge(t, test.name, p.place(w, &test.q, &test.step), test.want...)
	}
}

// define registers a job definition.
func define(t testing.TB, p *patient, name string) {
	t.Helper()
	_, err := p.o.Cloud.Batch().RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestResolved: what a step leaves to a block is looked at as that of the block.
func TestResolved(t *testing.T) {
	f := &engine.Infra{Definitions: []*engine.JobDefinition{{Block: engine.Block{Name: "tools", Pos: engine.Pos{File: "p.hcl", Line: 9}}, Spec: &engine.TaskSpec{
		Image: "tools:1", Container: &engine.Container{JobRole: "role"}, Resources: []engine.Resources{{VCPUs: 4, MemoryMiB: 8192}},
	}}}}
	own := func(name string, r ...engine.Resources) Step {
		s := sketch("q", func(task *engine.TaskSpec) {
			task.JobDefinition, task.Image, task.Resources = name, "", r
		})
		s.Sized = len(r) > 0
		return s
	}
	given := []Step{own("tools"), own("tools:2", engine.Resources{VCPUs: 2, MemoryMiB: 64}), own("other"), sketch("q")}
	type seen struct {
		Definition, Image, Role string
		Need                    capacity.Need
		Sized                   bool
		Queue, Container, Size  string
	}
	var got []seen
	for _, s := range resolved(given, f) {
		o := seen{s.definition, s.Spec.Task.Image, "", s.demands()[0].Need, s.Sized, s.where("queue"), s.where("container.job_role"), s.where("resources")}
		if box := s.Spec.Task.Container; box != nil {
			o.Role = box.JobRole
		}
		got = append(got, o)
	}
	plain := capacity.Need{VCPUs: 1, MemoryMiB: 2048, Platform: "EC2"}
	if d := cmp.Diff([]seen{
		{"tools", "tools:1", "role", capacity.Need{VCPUs: 4, MemoryMiB: 8192, Platform: "EC2"}, true, "p.hcl:queue", "p.hcl:9", "p.hcl:9"},
		{"tools:2", "tools:1", "role", capacity.Need{VCPUs: 2, MemoryMiB: 64, Platform: "EC2"}, true, "p.hcl:queue", "p.hcl:9", "p.hcl:resources"},
		{"other", "", "", capacity.Need{VCPUs: 1, MemoryMiB: 2048}, false, "p.hcl:queue", "p.hcl:container.job_role", "p.hcl:resources"},
		{"", "busybox", "", plain, true, "p.hcl:queue", "p.hcl:container.job_role", "p.hcl:resources"},
	}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if given[0].Spec.Task.Image != "" {
		t.Error("the steps that were given have changed")
	}
}

// TestRegistered: what a step leaves to a job definition that is in no block is looked at as
// AWS Batch has it, the newest revision if it names none.
func TestRegistered(t *testing.T) {
	isolate(t)
	p := at(t, emulator(t))
	register := func(change func(*batch.RegisterJobDefinitionInput)) {
		t.Helper()
		in := &batch.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String("tools"), Type: types.JobDefinitionTypeContainer,
			ContainerProperties: &types.ContainerProperties{Image: aws.String("tools:1"), ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("4")}, {Type: types.ResourceTypeMemory, Value: aws.String("8192")}, {Type: types.ResourceTypeGpu, Value: aws.String("1")}}},
		}
		change(in)
		if _, err := p.o.Cloud.Batch().RegisterJobDefinition(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	register(func(in *batch.RegisterJobDefinitionInput) {
		in.ContainerProperties.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/lab"}}
		in.ContainerProperties.JobRoleArn = aws.String("arn:aws:iam::123456789012:role/job")
	})
	register(func(in *batch.RegisterJobDefinitionInput) {
		in.PlatformCapabilities = []types.PlatformCapability{types.PlatformCapabilityFargate}
		c := in.ContainerProperties
		c.Image, c.ExecutionRoleArn, c.ResourceRequirements = aws.String("tools:2"), aws.String("arn:aws:iam::123456789012:role/pull"), c.ResourceRequirements[:2]
		c.NetworkConfiguration = &types.NetworkConfiguration{AssignPublicIp: types.AssignPublicIpEnabled}
		c.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: aws.String("ARM64"), OperatingSystemFamily: aws.String("LINUX")}
	})
	own := func(name string, r ...engine.Resources) Step {
		s := sketch("q", func(task *engine.TaskSpec) {
			task.JobDefinition, task.Image, task.Resources, task.Inputs = name, "", r, []engine.Input{{Name: "x", Paths: []string{"/x"}}}
		})
		s.Sized = len(r) > 0
		return s
	}
	p.o.Steps = resolved([]Step{own("tools:1"), own("tools"), own("tools", engine.Resources{VCPUs: 1, MemoryMiB: 64}), own("none")}, nil)
	p.readDefinitions(t.Context())
	type seen struct {
		Image      string
		Need       capacity.Need
		Sized      bool
		Where, Box string
		Container  *engine.Container
	}
	var got []seen
	for _, s := range p.o.Steps {
		got = append(got, seen{s.Spec.Task.Image, s.demands()[0].Need, s.Sized, s.where("resources"), s.where("container.job_role"), s.Spec.Task.Container})
	}
	first := &engine.Container{JobRole: "arn:aws:iam::123456789012:role/job", Platform: "EC2", Network: "private", LogDriver: "awslogs", LogOptions: map[string]string{"awslogs-group": "/lab"}}
	second := &engine.Container{ExecutionRole: "arn:aws:iam::123456789012:role/pull", Platform: "FARGATE", Network: "public", Architecture: "ARM64"}
	if d := cmp.Diff([]seen{
		{"tools:1", capacity.Need{VCPUs: 4, MemoryMiB: 8192, GPUs: 1, Platform: "EC2"}, true, "p.hcl:job_definition", "p.hcl:job_definition", first},
		{"tools:2", capacity.Need{VCPUs: 4, MemoryMiB: 8192, Platform: "FARGATE", Arch: "ARM64"}, true, "p.hcl:job_definition", "p.hcl:job_definition", second},
		{"tools:2", capacity.Need{VCPUs: 1, MemoryMiB: 64, Platform: "FARGATE", Arch: "ARM64"}, true, "p.hcl:resources", "p.hcl:job_definition", second},
		{"", capacity.Need{VCPUs: 1, MemoryMiB: 2048}, false, "p.hcl:resources", "p.hcl:container.job_role", nil},
	}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestExisting: what a workflow names has to be there.
func TestExisting(t *testing.T) {
	isolate(t)
	p := at(t, emulator(t))
	x := p.o.Cloud.Batch()
	define(t, p, "tools")
	if _, err := x.CreateConsumableResource(t.Context(), &batch.CreateConsumableResourceInput{ConsumableResourceName: aws.String("license"), TotalQuantity: aws.Int64(3)}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.CreateSchedulingPolicy(t.Context(), &batch.CreateSchedulingPolicyInput{Name: aws.String("fair")}); err != nil {
		t.Fatal(err)
	}
	own := func(name string) Step {
		return sketch("q", func(task *engine.TaskSpec) { task.JobDefinition = name })
	}
	p.o.Infra = &engine.Infra{Definitions: []*engine.JobDefinition{{Block: engine.Block{Name: "later"}}}}
	p.o.Steps = resolved([]Step{own("tools"), own("tools:1"), own("tools:2"), own("none"), own("later"), own("none")}, p.o.Infra)
	p.readDefinitions(t.Context())
	judge(t, "definitions", p.definitions(t.Context()),
		want{OK, "tools: the job definition is there, revision 1", ""}, want{OK, "tools:1", ""}, want{Fault, "there is no active job definition tools:2", "register it"},
		want{Fault, "there is no active job definition none", "register it"}, want{Fault, "later", "run: flow infra apply p.hcl"})

	takes := func(resource string, quantity int64) Step {
		return sketch("q", func(task *engine.TaskSpec) {
			task.Consumables = []engine.Consumable{{Resource: resource, Quantity: quantity}}
		})
	}
	p.o.Infra = &engine.Infra{
		Definitions: []*engine.JobDefinition{{Block: engine.Block{Name: "later"}, Spec: &engine.TaskSpec{Consumables: []engine.Consumable{{Resource: "by-definition", Quantity: 1}}}}},
		Consumables: []*engine.ConsumableResource{{Block: engine.Block{Name: "to-be-made"}}},
	}
	const arn = "arn:aws:batch:us-east-1:123456789012:consumable-resource/license"
	p.o.Steps = resolved([]Step{takes("license", 1), takes(arn, 4), takes("license", 3), takes("to-be-made", 1), takes("none", 1), own("later")}, p.o.Infra)
	judge(t, "consumables", p.consumables(t.Context()),
		want{OK, "license: the consumable resource is there, 3 of 3 are free", ""}, want{Fault, "a job wants 4 of the consumable resource license, and there are only 3", "ask for less"},
		want{Fault, "there is no consumable resource to-be-made", "run: flow infra apply p.hcl"}, want{Fault, "there is no consumable resource none", "correct its name"},
		want{Fault, "there is no consumable resource by-definition", "make it"})

	block := func(name string) engine.Block {
		return engine.Block{Name: name, Existing: true, Pos: engine.Pos{File: "p.hcl", Line: 3}}
	}
	p.o.Infra = &engine.Infra{
		Environments: []*engine.ComputeEnvironment{{Block: block("flow-emulate")}, {Block: block("no-ce")}, {Block: engine.Block{Name: "to be made"}}},
		Queues:       []*engine.JobQueue{{Block: block("q")}, {Block: block("no-q")}},
		Policies:     []*engine.SchedulingPolicy{{Block: block("fair")}, {Block: block("no-policy")}},
		Consumables:  []*engine.ConsumableResource{{Block: block("license")}, {Block: block("no-license")}},
	}
	judge(t, "existing", p.existing(t.Context()),
		want{OK, "flow-emulate: the compute environment is there", ""}, want{Fault, "there is no compute environment no-ce", "flow infra apply p.hcl"},
		want{OK, "q: the job queue", ""}, want{Fault, "no-q", "leave existing out"}, want{OK, "fair", ""}, want{Fault, "there is no scheduling policy no-policy", "name one"},
		want{OK, "license", ""}, want{Fault, "there is no consumable resource no-license", "name one"})
}
