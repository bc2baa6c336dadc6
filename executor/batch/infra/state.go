package infra

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	flowbatch "flow/executor/batch"
)

// A thing is one that is there.
type thing struct {
	kind   Kind
	name   string
	arn    string
	owner  string // value of TagInfra; "": none, or not flow's
	tags   map[string]string
	state  string // ENABLED, DISABLED; "" of what has none
	status string // VALID, CREATING, ...; "" of what has none
	reason string

	input  any // as in a Resource
	update *types.UpdatePolicy

	min, desired, max *int32     // vCPUs of an environment
	class             string     // of a queue: "EC2", "FARGATE" or "EKS", by its environments
	revisions         []string   // ARNs of the ACTIVE revisions of a definition that have the tag, newest first
	registered        []string   // ARNs of the ACTIVE revisions of a definition that runs of the workflow registered
	total, inUse      *int64     // of a consumable resource
	role              *foundRole // of a role
	raw               *types.JobQueueDetail
}

// going reports whether it is being deleted.
func (t *thing) going() bool { return t != nil && (t.status == "DELETING" || t.status == "DELETED") }

// settled reports whether nothing is being done to it.
func (t *thing) settled() bool { return t.status == "" || t.status == "VALID" || t.status == "INVALID" }

// environments returns the names of the environments of a queue, in order.
func (t *thing) environments() []string {
	if in, ok := t.input.(*batch.CreateJobQueueInput); ok {
		return namesOfOrder(in.ComputeEnvironmentOrder)
	}
	return nil
}

// things are what is there, by kind and name.
type things map[Kind]map[string]*thing

func (s things) add(t *thing) {
	if s[t.kind] == nil {
		s[t.kind] = map[string]*thing{}
	}
	s[t.kind][t.name] = t
}

func (s things) get(kind Kind, name string) *thing { return s[kind][name] }

// of returns those of a kind, by name.
func (s things) of(kind Kind) []*thing {
	var out []*thing
	for _, name := range slices.Sorted(maps.Keys(s[kind])) {
		out = append(out, s[kind][name])
	}
	return out
}

// Sizes of pages and of lists of names (API reference, Describe and List operations).
const (
	pageSize = 100
	maxNames = 100
)

// read looks at everything of AWS Batch in the region, with as many calls as there are
// pages, and one for each consumable resource, whose list has no tags.
func (m *Manager) read(ctx context.Context) (things, error) {
	found := things{}
	for _, read := range []func(context.Context, things) error{
		m.readEnvironments, m.readQueues, m.readPolicies, m.readConsumables, m.readDefinitions,
	} {
		if err := read(ctx, found); err != nil {
			return nil, err
		}
	}
	for _, q := range found.of(KindQueue) {
		q.class = classOf(q.raw, found)
	}
	return found, nil
}

func (m *Manager) readEnvironments(ctx context.Context, found things) error {
	return m.environments(ctx, nil, found)
}

// environments adds those of the names, or all.
func (m *Manager) environments(ctx context.Context, names []string, found things) error {
	in := &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: names}
	if names == nil {
		in.MaxResults = new(int32(pageSize))
	}
	for {
		out, err := m.o.Batch.DescribeComputeEnvironments(ctx, in)
		if err != nil {
			return doing("look at the compute environments", err)
		}
		for i := range out.ComputeEnvironments {
			found.add(environmentThing(&out.ComputeEnvironments[i]))
		}
		if in.NextToken = following(in.NextToken, out.NextToken); in.NextToken == nil {
			return nil
		}
	}
}

// following returns the token of the next page; nil: there is none. A page that is given
// twice is the last.
func following(now, next *string) *string {
	if value(next) == "" || value(next) == value(now) {
		return nil
	}
	return next
}

func environmentThing(d *types.ComputeEnvironmentDetail) *thing {
	t := &thing{
		kind: KindEnvironment, name: value(d.ComputeEnvironmentName), arn: value(d.ComputeEnvironmentArn), owner: d.Tags[TagInfra], tags: d.Tags,
		state: strings.ToUpper(string(d.State)), status: strings.ToUpper(string(d.Status)), reason: value(d.StatusReason), update: d.UpdatePolicy,
	}
	t.input = &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: d.ComputeEnvironmentName, Type: d.Type, State: d.State, ServiceRole: d.ServiceRole, Tags: d.Tags,
		ComputeResources: d.ComputeResources, EksConfiguration: d.EksConfiguration, UnmanagedvCpus: d.UnmanagedvCpus, Context: d.Context,
	}
	if r := d.ComputeResources; r != nil {
		t.min, t.desired, t.max = r.MinvCpus, r.DesiredvCpus, r.MaxvCpus
	}
	return t
}

func (m *Manager) readQueues(ctx context.Context, found things) error {
	return m.queues(ctx, nil, found)
}

// queues adds those of the names, or all.
func (m *Manager) queues(ctx context.Context, names []string, found things) error {
	in := &batch.DescribeJobQueuesInput{JobQueues: names}
	if names == nil {
		in.MaxResults = new(int32(pageSize))
	}
	for {
		out, err := m.o.Batch.DescribeJobQueues(ctx, in)
		if err != nil {
			return doing("look at the job queues", err)
		}
		for i := range out.JobQueues {
			found.add(queueThing(&out.JobQueues[i]))
		}
		if in.NextToken = following(in.NextToken, out.NextToken); in.NextToken == nil {
			return nil
		}
	}
}

func queueThing(d *types.JobQueueDetail) *thing {
	return &thing{
		kind: KindQueue, name: value(d.JobQueueName), arn: value(d.JobQueueArn), owner: d.Tags[TagInfra], tags: d.Tags,
		state: strings.ToUpper(string(d.State)), status: strings.ToUpper(string(d.Status)), reason: value(d.StatusReason), raw: d,
		input: &batch.CreateJobQueueInput{
			JobQueueName: d.JobQueueName, Priority: d.Priority, State: d.State, ComputeEnvironmentOrder: d.ComputeEnvironmentOrder,
			SchedulingPolicyArn: given(value(d.SchedulingPolicyArn)), JobStateTimeLimitActions: d.JobStateTimeLimitActions, Tags: d.Tags,
		},
	}
}

// classOf returns what the environments of a queue are, which cannot change.
func classOf(q *types.JobQueueDetail, found things) string {
	switch q.JobQueueType {
	case types.JobQueueTypeEcs:
		return "EC2"
	case types.JobQueueTypeEcsFargate:
		return "FARGATE"
	case types.JobQueueTypeEks:
		return "EKS"
	}
	for _, name := range namesOfOrder(q.ComputeEnvironmentOrder) {
		if e := found.get(KindEnvironment, name); e != nil {
			return classOfEnvironment(e.input)
		}
	}
	return ""
}

func classOfEnvironment(input any) string {
	in, ok := input.(*batch.CreateComputeEnvironmentInput)
	switch {
	case !ok:
		return ""
	case in.EksConfiguration != nil:
		return "EKS"
	case in.ComputeResources != nil && isFargate(in.ComputeResources.Type):
		return "FARGATE"
	}
	return "EC2"
}

func isFargate(t types.CRType) bool {
	return strings.HasPrefix(strings.ToUpper(string(t)), "FARGATE")
}

func (m *Manager) readPolicies(ctx context.Context, found things) error {
	in := &batch.ListSchedulingPoliciesInput{MaxResults: new(int32(pageSize))}
	var arns []string
	for {
		out, err := m.o.Batch.ListSchedulingPolicies(ctx, in)
		if err != nil {
			return doing("list the scheduling policies", err)
		}
		for i := range out.SchedulingPolicies {
			arns = append(arns, value(out.SchedulingPolicies[i].Arn))
		}
		if in.NextToken = following(in.NextToken, out.NextToken); in.NextToken == nil {
			break
		}
	}
	for some := range slices.Chunk(arns, maxNames) {
		out, err := m.o.Batch.DescribeSchedulingPolicies(ctx, &batch.DescribeSchedulingPoliciesInput{Arns: some})
		if err != nil {
			return doing("look at the scheduling policies", err)
		}
		for i := range out.SchedulingPolicies {
			d := &out.SchedulingPolicies[i]
			found.add(&thing{
				kind: KindPolicy, name: value(d.Name), arn: value(d.Arn), owner: d.Tags[TagInfra], tags: d.Tags,
				input: &batch.CreateSchedulingPolicyInput{Name: d.Name, FairsharePolicy: d.FairsharePolicy, Tags: d.Tags},
			})
		}
	}
	return nil
}

func (m *Manager) readConsumables(ctx context.Context, found things) error {
	in := &batch.ListConsumableResourcesInput{MaxResults: new(int32(pageSize))}
	for {
		out, err := m.o.Batch.ListConsumableResources(ctx, in)
		if err != nil {
			return doing("list the consumable resources", err)
		}
		for i := range out.ConsumableResources {
			if err := m.readConsumable(ctx, out.ConsumableResources[i].ConsumableResourceArn, found); err != nil {
				return err
			}
		}
		if in.NextToken = following(in.NextToken, out.NextToken); in.NextToken == nil {
			return nil
		}
	}
}

// readConsumable adds one, unless it has just been deleted.
func (m *Manager) readConsumable(ctx context.Context, arn *string, found things) error {
	d, err := m.o.Batch.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: arn})
	if unknown(err) {
		return nil
	}
	if err != nil {
		return doing("look at the consumable resource "+nameOf(value(arn)), err)
	}
	found.add(&thing{
		kind: KindConsumable, name: value(d.ConsumableResourceName), arn: value(d.ConsumableResourceArn), owner: d.Tags[TagInfra], tags: d.Tags,
		total: d.TotalQuantity, inUse: d.InUseQuantity,
		input: &batch.CreateConsumableResourceInput{
			ConsumableResourceName: d.ConsumableResourceName, TotalQuantity: d.TotalQuantity, ResourceType: new(orText(value(d.ResourceType), replenishable)), Tags: d.Tags,
		},
	})
	return nil
}

// readDefinitions adds the newest ACTIVE revision of each job definition, and which of its
// ACTIVE revisions have our tag.
func (m *Manager) readDefinitions(ctx context.Context, found things) error {
	in := &batch.DescribeJobDefinitionsInput{Status: new("ACTIVE"), MaxResults: new(int32(pageSize))}
	newest := map[string]int32{}
	for {
		out, err := m.o.Batch.DescribeJobDefinitions(ctx, in)
		if err != nil {
			return doing("look at the job definitions", err)
		}
		for i := range out.JobDefinitions {
			d := &out.JobDefinitions[i]
			name := value(d.JobDefinitionName)
			t := found.get(KindDefinition, name)
			if t == nil {
				t = &thing{kind: KindDefinition, name: name}
				found.add(t)
			}
			if n := value(d.Revision); n > newest[name] {
				newest[name] = n
				t.arn, t.owner, t.tags, t.input = value(d.JobDefinitionArn), d.Tags[TagInfra], d.Tags, definitionInput(d)
			}
			if d.Tags[TagInfra] == m.o.Workflow {
				t.revisions = append(t.revisions, value(d.JobDefinitionArn))
			} else if flowbatch.RegisteredFor(d.Tags) == m.o.Workflow {
				t.registered = append(t.registered, value(d.JobDefinitionArn))
			}
		}
		if in.NextToken = following(in.NextToken, out.NextToken); in.NextToken == nil {
			return nil
		}
	}
}

func definitionInput(d *types.JobDefinition) *batch.RegisterJobDefinitionInput {
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: d.JobDefinitionName, Type: types.JobDefinitionType(value(d.Type)), ContainerProperties: d.ContainerProperties,
		ConsumableResourceProperties: d.ConsumableResourceProperties, EcsProperties: d.EcsProperties, EksProperties: d.EksProperties, NodeProperties: d.NodeProperties,
		Parameters: d.Parameters, PlatformCapabilities: d.PlatformCapabilities, PropagateTags: d.PropagateTags, RetryStrategy: d.RetryStrategy,
		SchedulingPriority: d.SchedulingPriority, Tags: d.Tags, Timeout: d.Timeout,
	}
}
