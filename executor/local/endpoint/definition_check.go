package endpoint

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// checkDefinition refuses a job definition that Batch would refuse.
func checkDefinition(in *batch.RegisterJobDefinitionInput) error {
	if err := checkResourceName(value(in.JobDefinitionName)); err != nil {
		return err
	}
	if in.Type == "" {
		return refuse("Job definition type is required, it is one of [container, multinode]")
	}
	if err := firstError(checkKind(in), checkRetry(in.RetryStrategy), checkTimeout(in.Timeout), checkPriority(in.SchedulingPriority),
		checkTags(in.Tags), checkConsumables(in.ConsumableResourceProperties), checkCapabilities(in)); err != nil {
		return err
	}
	fargate := wantsFargate(in.PlatformCapabilities)
	switch {
	case in.ContainerProperties != nil:
		return checkContainer(in.ContainerProperties, fargate)
	case in.EcsProperties != nil:
		return checkEcs(in.EcsProperties, fargate)
	case in.EksProperties != nil:
		return checkEks(in.EksProperties)
	default:
		return checkNodes(in.NodeProperties)
	}
}

// checkKind checks that there are properties of one kind, and that they go with the
// type (JobDefinition).
func checkKind(in *batch.RegisterJobDefinitionInput) error {
	kinds := 0
	for _, is := range []bool{in.ContainerProperties != nil, in.EcsProperties != nil, in.EksProperties != nil, in.NodeProperties != nil} {
		if is {
			kinds++
		}
	}
	node := in.Type == types.JobDefinitionTypeMultinode
	switch {
	case kinds > 1:
		return refuse("Only one of containerProperties, ecsProperties, eksProperties and nodeProperties can be specified")
	case node && in.NodeProperties == nil:
		return refuse("nodeProperties is required for job definitions of type multinode")
	case !node && in.NodeProperties != nil:
		return refuse("nodeProperties is not applicable for job definitions of type container")
	case kinds == 0:
		return refuse("One of containerProperties, ecsProperties and eksProperties is required for job definitions of type container")
	}
	return nil
}

// checkCapabilities checks what depends on where the jobs run.
func checkCapabilities(in *batch.RegisterJobDefinitionInput) error {
	fargate, ec2 := wantsFargate(in.PlatformCapabilities), slices.Contains(in.PlatformCapabilities, types.PlatformCapabilityEc2)
	switch {
	case slices.Contains(in.PlatformCapabilities, ""):
		return refuse("platformCapabilities supports only one from [EC2, FARGATE]")
	case fargate && ec2:
		return refuse("platformCapabilities supports only one from [EC2, FARGATE]")
	case fargate && in.NodeProperties != nil:
		return refuse("Multi-node parallel jobs are not applicable for Fargate.")
	case in.EksProperties != nil && len(in.PlatformCapabilities) > 0:
		return refuse("platformCapabilities is not applicable for EKS.")
	case in.EksProperties != nil && in.PropagateTags != nil:
		return refuse("propagateTags is not applicable for EKS.")
	}
	return nil
}
