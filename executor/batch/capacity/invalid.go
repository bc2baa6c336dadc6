package capacity

import "strings"

// Invalid says in plain words why AWS Batch holds a compute environment for INVALID, and
// what helps; "" and a general advice if its reason is none that is known (Batch User Guide,
// invalid_compute_environment, instance_profile_not_exist, spot-fleet-not-authorized).
func Invalid(reason string) (cause, fix string) {
	lower := strings.ToLower(reason)
	for _, c := range causes {
		for _, part := range c.parts {
			if strings.Contains(lower, part) {
				return c.cause, c.fix
			}
		}
	}
	return "", "mend what the reason names, and update the environment, which makes AWS Batch look at it again"
}

var causes = []struct {
	parts      []string // of the reason, in lower case
	cause, fix string
}{
	{
		[]string{"sts:assumerole"},
		"AWS Batch may not assume the service role of the environment",
		"leave service_role out, for AWSServiceRoleForBatch, or give that role a trust policy for batch.amazonaws.com and the policy AWSBatchServiceRole",
	},
	{
		[]string{"iamfleetrole"},
		"the Spot fleet role does not exist, or EC2 Spot may not assume it",
		"leave spot_iam_fleet_role out and use allocation_strategy = \"SPOT_PRICE_CAPACITY_OPTIMIZED\", which needs none, or give that role a trust policy for spotfleet.amazonaws.com and the policy AmazonEC2SpotFleetTaggingRole",
	},
	{
		[]string{"none of the instances joined", "none of the nodes joined"},
		"the instances that were started did not reach ECS, or were not let in",
		"see that the subnets have a route to ECS (a public IP address, NAT or VPC endpoints), that the security groups let port 443 out, that the instance role has the policy AmazonEC2ContainerServiceforEC2Role, and that an image of your own has the ECS agent",
	},
	{
		[]string{"instance profile"},
		"the instance profile of the environment does not exist",
		"create an instance profile with that role, or let flow make it: create_roles = true in the block and flow infra apply",
	},
	{
		[]string{"you are not authorized to perform this operation"},
		"a role of the environment may not do what starts instances: on Spot most often the Spot fleet role may not tag them",
		"on Spot attach the policy AmazonEC2SpotFleetTaggingRole to the role in spot_iam_fleet_role; else look at the service role, and at who may use the launch template's keys and images",
	},
	{
		[]string{"subnet"},
		"a subnet of the environment is not there any more, or not in the VPC of its security groups",
		"name subnets that exist in the environment's block, and apply it",
	},
	{
		[]string{"security group", "securitygroup"},
		"a security group of the environment is not there any more, or not in the VPC of its subnets",
		"name security groups that exist in the environment's block, and apply it",
	},
	{
		[]string{"launch template", "launchtemplate"},
		"the launch template of the environment does not exist, or AWS Batch may not use it",
		"name a launch template and a version that exist in the environment's block, and apply it",
	},
}
