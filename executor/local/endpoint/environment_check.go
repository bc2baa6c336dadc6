package endpoint

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/instances"
)

// checkComputeEnvironment refuses an environment that Batch would refuse, when it is
// created and after an update.
func checkComputeEnvironment(d *types.ComputeEnvironmentDetail) error {
	if d.Type == types.CETypeUnmanaged {
		return checkUnmanaged(d)
	}
	switch {
	case d.Type == "":
		return refuse("Compute environment type is required, it is one of [MANAGED, UNMANAGED]")
	case d.ComputeResources == nil:
		return refuse("computeResources must be provided for a MANAGED compute environment")
	case d.UnmanagedvCpus != nil:
		return refuse("unmanagedvCpus is not applicable for MANAGED Compute Environment")
	}
	if err := checkEksConfiguration(d); err != nil {
		return err
	}
	return checkResources(d.ComputeResources, d.EksConfiguration != nil)
}

func checkUnmanaged(d *types.ComputeEnvironmentDetail) error {
	switch {
	case !given(d.ServiceRole):
		return refuse("ServiceRole is required.")
	case isServiceLinked(*d.ServiceRole):
		return refuse("Service Linked Role cannot be used with UNMANAGED Compute Environment")
	case value(d.UnmanagedvCpus) < 0:
		return refuse("unmanagedvCpus should not be negative, got %d", *d.UnmanagedvCpus)
	case d.EksConfiguration != nil:
		return refuse("eksConfiguration is not applicable for UNMANAGED Compute Environment")
	case d.ComputeResources != nil:
		return checkResources(d.ComputeResources, false)
	}
	return nil
}

var namespaceName = pattern(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// checkEksConfiguration checks what an environment on EKS has (EksConfiguration).
func checkEksConfiguration(d *types.ComputeEnvironmentDetail) error {
	e := d.EksConfiguration
	if e == nil {
		return nil
	}
	namespace := value(e.KubernetesNamespace)
	switch {
	case !given(e.EksClusterArn):
		return refuse("eksConfiguration needs an eksClusterArn")
	case !namespaceName().MatchString(namespace) || namespace == "default" || len(namespace) > 5 && namespace[:5] == "kube-":
		return refuse("kubernetesNamespace %q is not valid", namespace)
	case isFargate(d.ComputeResources.Type):
		return refuse("Fargate is not applicable for EKS.")
	}
	return nil
}

// isFargate reports whether compute resources are of Fargate.
func isFargate(t types.CRType) bool {
	return t == types.CRTypeFargate || t == types.CRTypeFargateSpot
}

func checkResources(r *types.ComputeResource, eks bool) error {
	switch {
	case r.Type == "":
		return refuse("Resource type is required.")
	case r.MaxvCpus == nil:
		return refuse("Resource maxvCpus is required.")
	case *r.MaxvCpus < 0:
		return refuse("Resource maxvCpus should not be negative, got %d.", *r.MaxvCpus)
	case isFargate(r.Type):
		return checkFargateResources(r)
	}
	return firstError(checkVCPUs(r), checkInstances(r), checkStrategy(r, eks), checkImages(r, eks), checkLaunchTemplate(r.LaunchTemplate, r.InstanceTypes), checkScaling(r))
}

// checkFargateResources checks compute resources of Fargate, which have next to nothing
// (ComputeResource).
func checkFargateResources(r *types.ComputeResource) error {
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"minvCpus", r.MinvCpus != nil}, {"desiredvCpus", r.DesiredvCpus != nil}, {"instanceTypes", len(r.InstanceTypes) > 0},
		{"instanceRole", given(r.InstanceRole)}, {"allocationStrategy", r.AllocationStrategy != ""}, {"bidPercentage", r.BidPercentage != nil},
		{"ec2Configuration", len(r.Ec2Configuration) > 0}, {"ec2KeyPair", given(r.Ec2KeyPair)}, {"imageId", given(r.ImageId)},
		{"launchTemplate", r.LaunchTemplate != nil}, {"placementGroup", given(r.PlacementGroup)}, {"spotIamFleetRole", given(r.SpotIamFleetRole)},
		{"tags", len(r.Tags) > 0}, {"scalingPolicy", r.ScalingPolicy != nil},
	} {
		if field.given {
			return refuse("%s is not applicable for Fargate.", field.name)
		}
	}
	switch {
	case len(r.Subnets) == 0:
		return refuse("Resource subnets are required.")
	case len(r.Subnets) > 16:
		return refuse("Fargate supports a maximum of 16 subnets.")
	case len(r.SecurityGroupIds) == 0:
		return refuse("Resource securityGroupIds are required.")
	case len(r.SecurityGroupIds) > 5:
		return refuse("Fargate supports a maximum of 5 securityGroupIds.")
	}
	return nil
}

// checkVCPUs checks how many vCPUs an environment has. The service looks at the role of
// its instances before (seen of it).
func checkVCPUs(r *types.ComputeResource) error {
	switch {
	case !given(r.InstanceRole):
		return refuse("Instance role is required.")
	case r.MinvCpus == nil:
		return refuse("Resource minvCpus is required.")
	case *r.MinvCpus < 0:
		return refuse("Resource minvCpus should not be negative, got %d.", *r.MinvCpus)
	case *r.MaxvCpus < *r.MinvCpus:
		return refuse("maxvCpus should be greater than or equal to minvCpus.")
	case r.DesiredvCpus != nil && (*r.DesiredvCpus < *r.MinvCpus || *r.DesiredvCpus > *r.MaxvCpus):
		return refuse("desiredvCpus should be between minvCpus and maxvCpus.")
	}
	return nil
}

func checkInstances(r *types.ComputeResource) error {
	switch {
	case len(r.InstanceTypes) == 0:
		return refuse("Resource instanceTypes are required.")
	case len(r.Subnets) == 0:
		return refuse("Resource subnets are required.")
	case len(r.SecurityGroupIds) == 0 && r.LaunchTemplate == nil:
		return refuse("Resource securityGroupIds are required.")
	}
	return checkInstanceTypes(r.InstanceTypes)
}

// Allocation strategies in which the order of the instance types counts
// (ComputeResource).
const (
	bestFitOrdered  = "BEST_FIT_PROGRESSIVE_ORDERED"
	spotPrioritized = "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"
)

// checkStrategy checks allocationStrategy and what goes with it (ComputeResource).
func checkStrategy(r *types.ComputeResource, eks bool) error {
	spot := r.Type == types.CRTypeSpot
	optimized := strings.HasPrefix(string(r.AllocationStrategy), "SPOT_")
	bestFit := bestFit(r)
	switch {
	case eks && r.AllocationStrategy == "":
		return refuse("allocationStrategy is required for EKS Compute Environment")
	case eks && bestFit:
		return refuse("allocationStrategy BEST_FIT is not applicable for EKS.")
	case optimized && !spot:
		return refuse("allocationStrategy %s is applicable for SPOT only.", r.AllocationStrategy)
	case r.AllocationStrategy == bestFitOrdered && spot:
		return refuse("allocationStrategy %s is applicable for EC2 only.", r.AllocationStrategy)
	case spot && bestFit && !given(r.SpotIamFleetRole):
		return refuse("ComputeResources.spotIamFleetRole cannot not be null or empty")
	case value(r.BidPercentage) < 0:
		return refuse("bidPercentage should not be negative, got %d", *r.BidPercentage)
	}
	return nil
}

// bestFit reports whether the allocation strategy is BEST_FIT, which is the default.
func bestFit(r *types.ComputeResource) bool {
	return r.AllocationStrategy == "" || r.AllocationStrategy == types.CRAllocationStrategyBestFit
}

// Image types (Ec2Configuration).
var (
	ecsImages = []string{"ECS_AL2", "ECS_AL2_NVIDIA", "ECS_AL2023", "ECS_AL2023_NVIDIA", "ECS_AL1"}
	eksImages = []string{"EKS_AL2", "EKS_AL2_NVIDIA", "EKS_AL2023", "EKS_AL2023_NVIDIA"}
)

func checkImages(r *types.ComputeResource, eks bool) error {
	if len(r.Ec2Configuration) > 2 {
		return refuse("ComputeResources.ec2Configuration can have one or two values, got %d", len(r.Ec2Configuration))
	}
	images := ecsImages
	if eks {
		images = eksImages
	}
	for i := range r.Ec2Configuration {
		c := &r.Ec2Configuration[i]
		if !slices.Contains(images, value(c.ImageType)) {
			return refuse("Invalid imageType in ComputeResources.ec2Configuration")
		}
		if given(c.ImageKubernetesVersion) && !eks {
			return refuse("imageKubernetesVersion is applicable for EKS only.")
		}
	}
	return nil
}

// checkLaunchTemplate checks launchTemplate (LaunchTemplateSpecification) of an
// environment with those instance types.
func checkLaunchTemplate(l *types.LaunchTemplateSpecification, list []string) error {
	if l == nil {
		return nil
	}
	if given(l.LaunchTemplateId) == given(l.LaunchTemplateName) {
		return refuse("Exactly one of launchTemplateId and launchTemplateName must be specified in launchTemplate")
	}
	if len(l.Overrides) > 10 {
		return refuse("launchTemplate can have up to 10 overrides, got %d", len(l.Overrides))
	}
	var targets []string
	for i := range l.Overrides {
		o := &l.Overrides[i]
		if given(o.LaunchTemplateId) == given(o.LaunchTemplateName) {
			return refuse("Exactly one of launchTemplateId and launchTemplateName must be specified in an override of launchTemplate")
		}
		if len(o.TargetInstanceTypes) == 0 {
			return refuse("targetInstanceTypes is required in an override of launchTemplate")
		}
		for _, t := range o.TargetInstanceTypes {
			if err := checkTarget(t, targets, list); err != nil {
				return err
			}
			targets = append(targets, t)
		}
	}
	return nil
}

// checkTarget checks one of targetInstanceTypes: it is to be of the environment's
// instances, and not to overlap with those before (LaunchTemplateSpecificationOverride).
func checkTarget(t string, before, list []string) error {
	within := func(of string) bool { return of == t || strings.HasPrefix(t, of+".") || instances.Bundle(of) != nil }
	overlaps := func(o string) bool { return o == t || strings.HasPrefix(t, o+".") || strings.HasPrefix(o, t+".") }
	switch {
	case instances.Bundle(t) != nil:
		return refuse("targetInstanceTypes cannot have %s", t)
	case !slices.ContainsFunc(list, within):
		return refuse("targetInstanceTypes can have types and families of instanceTypes only, got %s", t)
	case slices.ContainsFunc(before, overlaps):
		return refuse("targetInstanceTypes cannot overlap: %s", t)
	}
	return nil
}

func checkScaling(r *types.ComputeResource) error {
	if r.ScalingPolicy == nil || r.ScalingPolicy.MinScaleDownDelayMinutes == nil {
		return nil
	}
	if n := *r.ScalingPolicy.MinScaleDownDelayMinutes; n != 0 && (n < 20 || n > 10080) {
		return refuse("minScaleDownDelayMinutes should be 0 or between 20 and 10080, got %d", n)
	}
	return nil
}

// checkUpdatePolicy checks how an update of the infrastructure is to go (UpdatePolicy).
func checkUpdatePolicy(in *batch.UpdateComputeEnvironmentInput) error {
	if in.UpdatePolicy == nil || in.UpdatePolicy.JobExecutionTimeoutMinutes == nil {
		return nil
	}
	if n := *in.UpdatePolicy.JobExecutionTimeoutMinutes; n < 1 || n > 7200 {
		return refuse("jobExecutionTimeoutMinutes should be between 1 and 7200, got %d", n)
	}
	return nil
}
