package infra

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// compare returns what has to change of a thing for it to be as it is wanted.
func compare(have *thing, want *Resource) []Difference {
	diffs := differences(argumentsOf(have.input, have.update), argumentsOf(want.Input, want.Update))
	return slices.DeleteFunc(diffs, func(d Difference) bool {
		switch to := want.Input.(type) {
		case *batch.CreateComputeEnvironmentInput:
			return saysTheSame(have.input.(*batch.CreateComputeEnvironmentInput), to, d.Name)
		case *batch.CreateConsumableResourceInput:
			return isUsedUp(have.input.(*batch.CreateConsumableResourceInput), to, d.Name)
		}
		return false
	})
}

// saysTheSame reports whether an argument of an environment that is written otherwise is
// what AWS makes of the one that is wanted, or is not looked at by AWS with the others that
// are wanted.
func saysTheSame(have, want *batch.CreateComputeEnvironmentInput, argument string) bool {
	was, is := value(have.ComputeResources), value(want.ComputeResources)
	onDemand := !strings.EqualFold(string(is.Type), string(types.CRTypeSpot))
	switch argument {
	case "ec2_configuration":
		return sameImages(was.Ec2Configuration, is.Ec2Configuration, want.EksConfiguration != nil)
	case "bid_percentage":
		return onDemand
	case "spot_iam_fleet_role": // is for BEST_FIT only (API reference, ComputeResource)
		return onDemand || is.SpotIamFleetRole == nil && !isBestFit(is.AllocationStrategy)
	}
	return false
}

// sameImages reports whether instances start from the images that are wanted. Those that
// nobody has named AWS chooses, by the instances and the day; a version of Kubernetes that
// nobody has named it chooses as well (API reference, Ec2Configuration).
func sameImages(have, want []types.Ec2Configuration, eks bool) bool {
	if len(want) == 0 {
		return !slices.ContainsFunc(have, func(c types.Ec2Configuration) bool { return value(c.ImageIdOverride) != "" })
	}
	if len(have) == 0 {
		have = []types.Ec2Configuration{{ImageType: new(defaultImage(eks))}}
	}
	return len(have) == len(want) && !slices.ContainsFunc(want, func(w types.Ec2Configuration) bool {
		return !slices.ContainsFunc(have, func(h types.Ec2Configuration) bool {
			return imageType(&h) == imageType(&w) && value(h.ImageIdOverride) == value(w.ImageIdOverride) &&
				(w.ImageKubernetesVersion == nil || value(h.ImageKubernetesVersion) == *w.ImageKubernetesVersion)
		})
	})
}

func imageType(c *types.Ec2Configuration) string { return strings.ToUpper(value(c.ImageType)) }

// defaultImage is the type of image of instances for which none is given (API reference,
// Ec2Configuration).
func defaultImage(eks bool) string {
	if eks {
		return "EKS_AL2023"
	}
	return "ECS_AL2023"
}

// isUsedUp reports whether an argument differs because jobs have used something up: what
// they take of a resource that is not replenished is taken from its total as well (Batch
// User Guide, resource-aware-scheduling). The total that is wanted is what it begins with.
func isUsedUp(have, want *batch.CreateConsumableResourceInput, argument string) bool {
	return argument == "total_quantity" && value(want.ResourceType) == nonReplenishable && value(have.ResourceType) == nonReplenishable
}
