package endpoint

import (
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// updateComputeEnvironment changes what is given. Jobs that run go on.
func updateComputeEnvironment(t *tx, in *batch.UpdateComputeEnvironmentInput) (*batch.UpdateComputeEnvironmentOutput, error) {
	if !given(in.ComputeEnvironment) {
		return nil, refuse("ComputeEnvironment is required")
	}
	name := nameOf(kindEnvironment, *in.ComputeEnvironment)
	e, _, ok := t.m.Environment(name)
	old := detailOf(e)
	if !ok || old == nil {
		return nil, t.absent(kindEnvironment, *in.ComputeEnvironment)
	}
	if err := checkUpdatePolicy(in); err != nil {
		return nil, err
	}
	d := *old
	if err := t.updateDetail(&d, in); err != nil {
		return nil, err
	}
	disabled := e.Disabled
	if in.State != "" {
		disabled = in.State == types.CEStateDisabled
	}
	if err := t.m.UpdateEnvironment(t.now, environmentOf(&d, disabled)); err != nil {
		return nil, err
	}
	return &batch.UpdateComputeEnvironmentOutput{ComputeEnvironmentArn: d.ComputeEnvironmentArn, ComputeEnvironmentName: &name}, nil
}

// absent refuses a reference to what is not there, in AWS's words: with its ARN.
func (t *tx) absent(kind, ref string) error {
	if nameOf(kind, ref) == ref {
		ref = t.arn(kind, ref)
	}
	return refuse("%s does not exist", ref)
}

func (t *tx) updateDetail(d *types.ComputeEnvironmentDetail, in *batch.UpdateComputeEnvironmentInput) error {
	if role := t.roleARN(in.ServiceRole); role != nil {
		if isServiceLinked(*role) != isServiceLinked(value(d.ServiceRole)) {
			return refuse("A service-linked role and a service role of your own cannot be exchanged for one another")
		}
		d.ServiceRole = role
	}
	if in.UnmanagedvCpus != nil {
		d.UnmanagedvCpus = in.UnmanagedvCpus
	}
	if in.UpdatePolicy != nil {
		d.UpdatePolicy = in.UpdatePolicy
	}
	if in.Context != nil {
		d.Context = in.Context
	}
	if in.ComputeResources != nil {
		if d.Type == types.CETypeUnmanaged || d.ComputeResources == nil {
			return refuse("computeResources is not applicable for UNMANAGED Compute Environment")
		}
		r, err := updateResources(d, in.ComputeResources)
		if err != nil {
			return err
		}
		d.ComputeResources = r
	}
	return checkComputeEnvironment(d)
}

// updateResources returns the compute resources of an environment with what is given
// changed. What needs new instances, an infrastructure update, is for environments with
// the service-linked role and an allocation strategy other than BEST_FIT only (Batch User
// Guide, updating-compute-environments).
func updateResources(d *types.ComputeEnvironmentDetail, u *types.ComputeResourceUpdate) (*types.ComputeResource, error) {
	r := *d.ComputeResources
	if reflect.ValueOf(*u).IsZero() { // seen of the service (terraform-provider-aws)
		return nil, refuse("At least one compute-resources attribute must be specified")
	}
	if u.Type != "" && isFargate(u.Type) != isFargate(r.Type) {
		return nil, refuse("Compute environment type cannot be changed between EC2 and Fargate")
	}
	if u.DesiredvCpus != nil && *u.DesiredvCpus < value(r.DesiredvCpus) {
		return nil, refuse("Manually scaling down compute environment is not supported. Disconnecting job queues from compute environment will cause it to scale-down to minvCpus.")
	}
	set(&r.MinvCpus, u.MinvCpus)
	set(&r.MaxvCpus, u.MaxvCpus)
	set(&r.DesiredvCpus, u.DesiredvCpus)
	set(&r.ScalingPolicy, u.ScalingPolicy)
	if u.DesiredvCpus == nil && r.DesiredvCpus != nil { // it follows the demand, between its bounds
		r.DesiredvCpus = new(min(max(*r.DesiredvCpus, value(r.MinvCpus)), value(r.MaxvCpus)))
	}
	scaled := r
	change(&r, u)
	if !isFargate(r.Type) {
		fillResources(&r, d.EksConfiguration != nil)
		if err := checkInfrastructure(d, &scaled, &r, value(u.UpdateToLatestImageVersion)); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// change makes the changes that need new instances.
func change(r *types.ComputeResource, u *types.ComputeResourceUpdate) {
	fargate := isFargate(r.Type)
	if u.Type != "" {
		r.Type = u.Type
	}
	if u.AllocationStrategy != "" {
		r.AllocationStrategy = types.CRAllocationStrategy(u.AllocationStrategy)
	}
	setList(&r.Subnets, u.Subnets, fargate)
	setList(&r.SecurityGroupIds, u.SecurityGroupIds, fargate)
	setList(&r.InstanceTypes, u.InstanceTypes, false)
	setList(&r.Ec2Configuration, u.Ec2Configuration, false)
	set(&r.BidPercentage, u.BidPercentage)
	setText(&r.Ec2KeyPair, u.Ec2KeyPair)
	setText(&r.ImageId, u.ImageId)
	setText(&r.InstanceRole, u.InstanceRole)
	setText(&r.PlacementGroup, u.PlacementGroup)
	if u.Tags != nil {
		r.Tags = u.Tags
	}
	if l := u.LaunchTemplate; l != nil {
		r.LaunchTemplate = l
		if !given(l.LaunchTemplateId) && !given(l.LaunchTemplateName) { // "" takes it away
			r.LaunchTemplate = nil
		}
	}
}

func set[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

// setText sets a text; an empty one takes it away.
func setText(to **string, from *string) {
	if from == nil {
		return
	}
	*to = from
	if *from == "" {
		*to = nil
	}
}

// setList sets a list. An empty one takes it away, or changes nothing.
func setList[T any](to *[]T, from []T, keep bool) {
	if from != nil && (len(from) > 0 || !keep) {
		*to = from
	}
}

// checkInfrastructure refuses an update from old to r, or to the latest image, that needs
// new instances where there can be none.
func checkInfrastructure(d *types.ComputeEnvironmentDetail, old, r *types.ComputeResource, latest bool) error {
	if !latest && reflect.DeepEqual(withSorted(old), withSorted(r)) {
		return nil
	}
	if bestFit(old) {
		return refuse("Compute environments with allocation strategy BEST_FIT do not support infrastructure updates")
	}
	if !isServiceLinked(value(d.ServiceRole)) {
		return refuse("Compute environments without the service-linked role do not support infrastructure updates")
	}
	return nil
}

// withSorted returns r with the lists sorted whose order does not matter, and no tags if
// there are none.
func withSorted(r *types.ComputeResource) types.ComputeResource {
	c := *r
	c.Subnets, c.SecurityGroupIds = slices.Sorted(slices.Values(r.Subnets)), slices.Sorted(slices.Values(r.SecurityGroupIds))
	c.InstanceTypes = slices.Sorted(slices.Values(r.InstanceTypes))
	if len(c.Tags) == 0 {
		c.Tags = nil
	}
	return c
}
