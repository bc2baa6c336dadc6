// Package infra makes what a workflow says of AWS Batch itself: compute environments, job
// queues, job definitions, scheduling policies, consumable resources, and the roles they
// need. What is wanted is compared with what is there, and the difference is carried out in
// the order that AWS wants.
//
// What flow manages is known by its name and by the tag [TagInfra]; nothing else is
// remembered, so that an interrupted change is simply made again.
package infra

import (
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	flowbatch "flow/executor/batch"
)

// TagInfra is the tag of what flow manages; its value is the name of the workflow.
const TagInfra = "flow:infra"

// A Kind is a kind of thing, named as its block is in a workflow.
type Kind string

// The kinds, in the order in which things are made.
const (
	KindRole        Kind = "role"
	KindPolicy      Kind = "scheduling_policy"
	KindConsumable  Kind = "consumable_resource"
	KindEnvironment Kind = "compute_environment"
	KindQueue       Kind = "job_queue"
	KindDefinition  Kind = "job_definition"
)

// A Resource is one thing that is to be there, as AWS is told of it.
//
// Where another thing of the workflow, or a role, is meant, there is its name, for which
// the ARN is put in once it is known. What a compute environment cannot be created with is
// set right after: that it is DISABLED, and Update.
type Resource struct {
	Kind Kind
	Name string
	Pos  engine.Pos
	// Input is a *batch.CreateComputeEnvironmentInput, *batch.CreateJobQueueInput,
	// *batch.CreateSchedulingPolicyInput, *batch.CreateConsumableResourceInput,
	// *batch.RegisterJobDefinitionInput or *[Role].
	Input any
	// Update is how a compute environment replaces its instances; nil: as AWS does by default.
	Update *types.UpdatePolicy
}

// Desired returns what a workflow wants to be there, in the order in which it is made.
// What is there already (existing) is not among it.
func Desired(workflow, region string, in *engine.Infra) ([]Resource, error) {
	if in == nil {
		return nil, nil
	}
	d := desired{workflow: workflow, region: region, roles: map[string]*Resource{}}
	for _, p := range in.Policies {
		if !p.Existing {
			d.add(KindPolicy, &p.Block, d.policy(p))
		}
	}
	for _, c := range in.Consumables {
		if !c.Existing {
			d.add(KindConsumable, &c.Block, d.consumable(c))
		}
	}
	for _, e := range in.Environments {
		if e.Existing {
			continue
		}
		input, err := d.environment(e)
		if err != nil {
			return nil, err
		}
		d.add(KindEnvironment, &e.Block, input)
		d.list[len(d.list)-1].Update = updatePolicy(e)
	}
	for _, q := range in.Queues {
		if !q.Existing {
			d.add(KindQueue, &q.Block, d.queue(q))
		}
	}
	for _, j := range in.Definitions {
		if j.Existing {
			continue
		}
		input, err := d.definition(j)
		if err != nil {
			return nil, err
		}
		d.add(KindDefinition, &j.Block, input)
	}
	var roles []Resource
	for _, use := range roleUses {
		if r := d.roles[use]; r != nil {
			roles = append(roles, *r)
		}
	}
	return append(roles, d.list...), nil
}

type desired struct {
	workflow, region string
	list             []Resource
	roles            map[string]*Resource // by use
}

func (d *desired) add(kind Kind, b *engine.Block, input any) {
	d.list = append(d.list, Resource{Kind: kind, Name: b.Name, Pos: b.Pos, Input: input})
}

// tags returns the tags of a thing of ours.
func (d *desired) tags(of map[string]string) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, of)
	tags[TagInfra] = d.workflow
	return tags
}

// role returns the name of the role for a use, which is to be made.
func (d *desired) role(use string, pos engine.Pos) *string {
	r := d.roles[use]
	if r == nil {
		role := roleFor(use, d.workflow, d.region)
		r = &Resource{Kind: KindRole, Name: role.Name, Pos: pos, Input: role}
		d.roles[use] = r
	}
	return &r.Name
}

func (d *desired) policy(p *engine.SchedulingPolicy) *batch.CreateSchedulingPolicyInput {
	f := &types.FairsharePolicy{}
	if p.ShareDecay > 0 {
		f.ShareDecaySeconds = new(seconds(p.ShareDecay))
	}
	if p.ComputeReservation > 0 {
		f.ComputeReservation = new(int32(p.ComputeReservation))
	}
	for _, s := range p.Shares {
		share := types.ShareAttributes{ShareIdentifier: &s.Identifier}
		if s.Weight > 0 {
			share.WeightFactor = new(float32(s.Weight))
		}
		f.ShareDistribution = append(f.ShareDistribution, share)
	}
	return &batch.CreateSchedulingPolicyInput{Name: &p.Name, FairsharePolicy: f, Tags: d.tags(p.Tags)}
}

func (d *desired) consumable(c *engine.ConsumableResource) *batch.CreateConsumableResourceInput {
	kind := replenishable
	if c.NonReplenished {
		kind = nonReplenishable
	}
	return &batch.CreateConsumableResourceInput{ConsumableResourceName: &c.Name, TotalQuantity: &c.Total, ResourceType: &kind, Tags: d.tags(c.Tags)}
}

// Types of consumable resources (API reference, CreateConsumableResource).
const (
	replenishable    = "REPLENISHABLE"
	nonReplenishable = "NON_REPLENISHABLE"
)

func (d *desired) queue(q *engine.JobQueue) *batch.CreateJobQueueInput {
	in := &batch.CreateJobQueueInput{
		JobQueueName: &q.Name, Priority: new(int32(q.Priority)), State: types.JQStateEnabled, SchedulingPolicyArn: given(q.Policy), Tags: d.tags(q.Tags),
	}
	if q.Disabled {
		in.State = types.JQStateDisabled
	}
	for i, e := range q.Environments {
		in.ComputeEnvironmentOrder = append(in.ComputeEnvironmentOrder, types.ComputeEnvironmentOrder{Order: new(int32(i + 1)), ComputeEnvironment: &e})
	}
	for _, l := range q.Limits {
		in.JobStateTimeLimitActions = append(in.JobStateTimeLimitActions, types.JobStateTimeLimitAction{
			Reason: &l.Reason, State: types.JobStateTimeLimitActionsState(orText(l.State, "RUNNABLE")),
			Action: types.JobStateTimeLimitActionsAction(orText(l.Action, "CANCEL")), MaxTimeSeconds: new(seconds(l.After)),
		})
	}
	return in
}

// definition returns a job definition. It is told of by package batch, as those are that
// flow makes for steps.
func (d *desired) definition(j *engine.JobDefinition) (*batch.RegisterJobDefinitionInput, error) {
	in, err := flowbatch.OwnDefinition(j.Name, j.Spec)
	if err != nil {
		return nil, fmt.Errorf("%sjob_definition %q: %w", at(j.Pos), j.Label, err)
	}
	in.Tags = d.tags(j.Tags)
	if j.PropagateTags {
		in.PropagateTags = new(true)
	}
	if c := in.ContainerProperties; j.CreateRoles {
		if c.ExecutionRoleArn == nil {
			c.ExecutionRoleArn = d.role(useExecution, j.Pos)
		}
		if c.JobRoleArn == nil {
			c.JobRoleArn = d.role(useJob, j.Pos)
		}
	}
	return in, nil
}

// seconds returns a time in whole seconds, as AWS has them.
func seconds(d time.Duration) int32 { return int32(min(math.Ceil(d.Seconds()), math.MaxInt32)) }

// at writes where something stands, for the front of a message.
func at(p engine.Pos) string {
	if s := p.String(); s != "" {
		return s + ": "
	}
	return ""
}

// given returns nil for "".
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// value returns what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
