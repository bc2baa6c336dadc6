package endpoint

// resourceOperations are those on what jobs need: definitions, environments, queues,
// policies and consumable resources.
var resourceOperations = patiently(
	limited(changes("RegisterJobDefinition", registerJobDefinition), maxDefinition),
	changes("DeregisterJobDefinition", deregisterJobDefinition),
	looks("DescribeJobDefinitions", describeJobDefinitions),

	changes("CreateComputeEnvironment", createComputeEnvironment),
	changes("UpdateComputeEnvironment", updateComputeEnvironment),
	changes("DeleteComputeEnvironment", deleteComputeEnvironment),
	looks("DescribeComputeEnvironments", describeComputeEnvironments),

	changes("CreateJobQueue", createJobQueue),
	changes("UpdateJobQueue", updateJobQueue),
	changes("DeleteJobQueue", deleteJobQueue),
	looks("DescribeJobQueues", describeJobQueues),

	changes("CreateSchedulingPolicy", createSchedulingPolicy),
	changes("UpdateSchedulingPolicy", updateSchedulingPolicy),
	changes("DeleteSchedulingPolicy", deleteSchedulingPolicy),
	looks("DescribeSchedulingPolicies", describeSchedulingPolicies),
	looks("ListSchedulingPolicies", listSchedulingPolicies),

	changes("CreateConsumableResource", createConsumableResource),
	changes("UpdateConsumableResource", updateConsumableResource),
	changes("DeleteConsumableResource", deleteConsumableResource),
	looks("DescribeConsumableResource", describeConsumableResource),
	looks("ListConsumableResources", listConsumableResources),
	looks("ListJobsByConsumableResource", listJobsByConsumableResource),
)

// tagOperations are those whose path names a resource, and not the operation.
var tagOperations = []operation{
	changes("TagResource", tagResource),
	changes("UntagResource", untagResource),
	looks("ListTagsForResource", listTagsForResource),
}
