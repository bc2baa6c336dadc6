package infra

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// resolvedEnvironment returns what an environment is created with: it must be ENABLED then
// (API reference, CreateComputeEnvironment).
func (a *applier) resolvedEnvironment(in *batch.CreateComputeEnvironmentInput) (*batch.CreateComputeEnvironmentInput, error) {
	c := *in
	c.State = types.CEStateEnabled
	r := *in.ComputeResources
	c.ComputeResources = &r
	var err error
	if r.SpotIamFleetRole, err = a.roleARN(in.ComputeResources.SpotIamFleetRole); err != nil {
		return nil, err
	}
	return &c, nil
}

// roleARN returns the ARN of a role that may be named: of one that flow has made, or of one
// in the account. On a Batch of which nobody knows the account the name does.
func (a *applier) roleARN(role *string) (*string, error) {
	if role == nil || strings.HasPrefix(*role, "arn:") {
		return role, nil
	}
	if t := a.plan.found.get(KindRole, *role); t != nil && t.arn != "" {
		return &t.arn, nil
	}
	who, err := a.o.Identity()
	if err != nil {
		if a.o.IAM == nil {
			return role, nil
		}
		return nil, fmt.Errorf("the role %s is given by its name, and the account is not known (%w): give its ARN", *role, err)
	}
	me, err := arn.Parse(who.ARN)
	if err != nil {
		return nil, fmt.Errorf("the role %s is given by its name, and the account is not known: give its ARN", *role)
	}
	return new("arn:" + me.Partition + ":iam::" + who.Account + ":role/" + strings.TrimPrefix(*role, "/")), nil
}

func (a *applier) resolvedDefinition(in *batch.RegisterJobDefinitionInput) (*batch.RegisterJobDefinitionInput, error) {
	c := *in
	if in.ContainerProperties == nil {
		return &c, nil
	}
	p := *in.ContainerProperties
	c.ContainerProperties = &p
	var err error
	if p.ExecutionRoleArn, err = a.roleARN(p.ExecutionRoleArn); err != nil {
		return nil, err
	}
	p.JobRoleArn, err = a.roleARN(p.JobRoleArn)
	return &c, err
}

// resolvedQueue puts in ARNs for the names of environments and of the policy.
func (a *applier) resolvedQueue(in *batch.CreateJobQueueInput) *batch.CreateJobQueueInput {
	c := *in
	c.ComputeEnvironmentOrder = a.resolvedOrder(in.ComputeEnvironmentOrder)
	c.SchedulingPolicyArn = a.arnOf(KindPolicy, in.SchedulingPolicyArn)
	return &c
}

func (a *applier) resolvedOrder(order []types.ComputeEnvironmentOrder) []types.ComputeEnvironmentOrder {
	out := slices.Clone(order)
	for i := range out {
		out[i].ComputeEnvironment = a.arnOf(KindEnvironment, out[i].ComputeEnvironment)
	}
	return out
}

// arnOf returns the ARN of something that is there.
func (a *applier) arnOf(kind Kind, ref *string) *string {
	if ref == nil || strings.HasPrefix(*ref, "arn:") {
		return ref
	}
	if t := a.plan.found.get(kind, *ref); t != nil && t.arn != "" {
		return &t.arn
	}
	return ref
}

// queueUpdate returns an update of what differs of a queue.
func (a *applier) queueUpdate(want *batch.CreateJobQueueInput, diffs []Difference) *batch.UpdateJobQueueInput {
	in := &batch.UpdateJobQueueInput{JobQueue: want.JobQueueName}
	for i := range diffs {
		switch diffs[i].Name {
		case "priority":
			in.Priority = want.Priority
		case "state":
			in.State = want.State
		case "compute_environments":
			in.ComputeEnvironmentOrder = a.resolvedOrder(want.ComputeEnvironmentOrder)
		case "scheduling_policy":
			in.SchedulingPolicyArn = a.arnOf(KindPolicy, want.SchedulingPolicyArn)
		case "state_time_limit":
			in.JobStateTimeLimitActions = want.JobStateTimeLimitActions
			if in.JobStateTimeLimitActions == nil {
				in.JobStateTimeLimitActions = []types.JobStateTimeLimitAction{} // takes them away
			}
		}
	}
	return in
}

// environmentUpdate returns an update of what differs of an environment. What is not given
// any more is taken away with an empty value (API reference, ComputeResourceUpdate).
func (a *applier) environmentUpdate(r *Resource, want *batch.CreateComputeEnvironmentInput, diffs []Difference) (*batch.UpdateComputeEnvironmentInput, error) {
	in := &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: want.ComputeEnvironmentName}
	u, of, changed := &types.ComputeResourceUpdate{}, want.ComputeResources, false
	for i := range diffs {
		switch name := diffs[i].Name; name {
		case "state":
			in.State = want.State
		case "service_role":
			var err error
			if in.ServiceRole, err = a.roleARN(want.ServiceRole); err != nil {
				return nil, err
			}
		case "update_policy":
			in.UpdatePolicy = r.Update
			if in.UpdatePolicy == nil {
				in.UpdatePolicy = &types.UpdatePolicy{TerminateJobsOnUpdate: new(false), JobExecutionTimeoutMinutes: new(int64(defaultUpdateTimeout))}
			}
		case "tags":
		default:
			updateResources(u, of, name)
			changed = true
		}
	}
	if changed {
		in.ComputeResources = u
		if in.UpdatePolicy == nil {
			in.UpdatePolicy = r.Update // that of this update
		}
	}
	return in, nil
}

func updateResources(u *types.ComputeResourceUpdate, of *types.ComputeResource, argument string) {
	switch argument {
	case "type":
		u.Type = of.Type
	case "min_vcpus":
		u.MinvCpus = new(value(of.MinvCpus))
	case "max_vcpus":
		u.MaxvCpus = of.MaxvCpus
	case "scaling_policy":
		u.ScalingPolicy = of.ScalingPolicy
		if u.ScalingPolicy == nil {
			u.ScalingPolicy = &types.ComputeScalingPolicy{MinScaleDownDelayMinutes: new(int32(0))}
		}
	case "allocation_strategy":
		u.AllocationStrategy = types.CRUpdateAllocationStrategy(of.AllocationStrategy)
	case "bid_percentage":
		u.BidPercentage = new(int32(100))
		if of.BidPercentage != nil {
			u.BidPercentage = of.BidPercentage
		}
	case "instance_types":
		u.InstanceTypes = nonNil(of.InstanceTypes)
	case "subnets":
		u.Subnets = nonNil(of.Subnets)
	case "security_group_ids":
		u.SecurityGroupIds = nonNil(of.SecurityGroupIds)
	case "ec2_configuration":
		u.Ec2Configuration = nonNil(of.Ec2Configuration)
	case "instance_role":
		u.InstanceRole = new(value(of.InstanceRole))
	case "ec2_key_pair":
		u.Ec2KeyPair = new(value(of.Ec2KeyPair))
	case "placement_group":
		u.PlacementGroup = new(value(of.PlacementGroup))
	case "instance_tags":
		u.Tags = of.Tags
		if u.Tags == nil {
			u.Tags = map[string]string{}
		}
	case "launch_template":
		u.LaunchTemplate = of.LaunchTemplate
		if u.LaunchTemplate == nil {
			u.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateId: new("")}
		} else if u.LaunchTemplate.Version == nil { // else the version that it has may stay
			t := *u.LaunchTemplate
			t.Version, u.LaunchTemplate = new("$Default"), &t
		}
	}
}

func nonNil[T any](of []T) []T {
	if of == nil {
		return []T{}
	}
	return of
}
