package infra

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// DefaultInstanceRole is the instance profile of instances that are given none (Batch User
// Guide, instance_IAM_role).
const DefaultInstanceRole = "ecsInstanceRole"

// environment returns a managed compute environment.
func (d *desired) environment(e *engine.ComputeEnvironment) (*batch.CreateComputeEnvironmentInput, error) {
	in := &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &e.Name, Type: types.CETypeManaged, State: types.CEStateEnabled, ServiceRole: serviceRole(e), Tags: d.tags(e.Tags),
		ComputeResources: &types.ComputeResource{
			Type: types.CRType(e.Type), MaxvCpus: new(int32(e.MaxVCPUs)), Subnets: e.Subnets, SecurityGroupIds: e.SecurityGroups,
		},
	}
	if e.Disabled {
		in.State = types.CEStateDisabled
	}
	if e.EKSCluster != "" {
		in.EksConfiguration = &types.EksConfiguration{EksClusterArn: &e.EKSCluster, KubernetesNamespace: &e.EKSNamespace}
	}
	if e.Fargate() {
		return in, nil
	}
	return in, d.instances(in.ComputeResources, e)
}

// serviceRole returns the service role that is given. The service-linked role is not named:
// it has a path, without which AWS does not find it by its name (API reference,
// CreateComputeEnvironment).
func serviceRole(e *engine.ComputeEnvironment) *string {
	if e.ServiceRole == serviceLinkedRole {
		return nil
	}
	return given(e.ServiceRole)
}

// instances says of compute resources what goes with EC2 only.
func (d *desired) instances(r *types.ComputeResource, e *engine.ComputeEnvironment) error {
	r.MinvCpus, r.InstanceTypes, r.AllocationStrategy = new(int32(e.MinVCPUs)), e.InstanceTypes, types.CRAllocationStrategy(e.AllocationStrategy)
	r.InstanceRole, r.SpotIamFleetRole = given(e.InstanceRole), given(e.SpotFleetRole)
	r.Ec2KeyPair, r.PlacementGroup = given(e.EC2KeyPair), given(e.PlacementGroup)
	if e.DesiredVCPUs != nil {
		r.DesiredvCpus = new(int32(*e.DesiredVCPUs))
	}
	if e.BidPercentage > 0 {
		r.BidPercentage = new(int32(e.BidPercentage))
	}
	if len(e.InstanceTags) > 0 {
		r.Tags = e.InstanceTags
	}
	if t := e.LaunchTemplate; t != nil {
		r.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateId: given(t.ID), LaunchTemplateName: given(t.Name), Version: given(t.Version)}
	}
	for _, c := range e.EC2Configuration {
		r.Ec2Configuration = append(r.Ec2Configuration, types.Ec2Configuration{
			ImageType: &c.ImageType, ImageIdOverride: given(c.ImageID), ImageKubernetesVersion: given(c.KubernetesVersion),
		})
	}
	if e.ScaleDownDelayMinutes > 0 {
		r.ScalingPolicy = &types.ComputeScalingPolicy{MinScaleDownDelayMinutes: new(int32(e.ScaleDownDelayMinutes))}
	}
	return d.instanceRoles(r, e)
}

// instanceRoles names the roles that are not given: those that flow makes, if it is to, and
// else the one that has AWS's usual name. A role for the Spot fleet is needed with BEST_FIT
// only (API reference, ComputeResource).
func (d *desired) instanceRoles(r *types.ComputeResource, e *engine.ComputeEnvironment) error {
	if r.InstanceRole == nil {
		switch {
		case !e.CreateRoles:
			r.InstanceRole = new(DefaultInstanceRole)
		case e.EKSCluster != "":
			return fmt.Errorf("%scompute_environment %q: create_roles makes roles of instances for ECS, and this environment is on EKS: give instance_role, that of the cluster's nodes", at(e.Pos), e.Label)
		default:
			r.InstanceRole = d.role(useInstance, e.Pos)
		}
	}
	if e.CreateRoles && r.SpotIamFleetRole == nil && e.Type == engine.TypeSpot && isBestFit(r.AllocationStrategy) {
		r.SpotIamFleetRole = d.role(useSpot, e.Pos)
	}
	return nil
}

// isBestFit reports whether an allocation strategy is BEST_FIT, which is AWS's default.
func isBestFit(s types.CRAllocationStrategy) bool {
	return s == "" || s == types.CRAllocationStrategyBestFit
}

// AWS's default of an update policy, in minutes (API reference, UpdatePolicy).
const defaultUpdateTimeout = 30

// updatePolicy returns the update policy of an environment; nil: AWS's default. Only an
// update can set it.
func updatePolicy(e *engine.ComputeEnvironment) *types.UpdatePolicy {
	minutes := e.JobExecutionTimeoutMinutes
	if minutes == 0 {
		minutes = defaultUpdateTimeout
	}
	if !e.TerminateJobsOnUpdate && minutes == defaultUpdateTimeout {
		return nil
	}
	return &types.UpdatePolicy{TerminateJobsOnUpdate: &e.TerminateJobsOnUpdate, JobExecutionTimeoutMinutes: new(int64(minutes))}
}
