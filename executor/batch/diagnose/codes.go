package diagnose

import "strings"

// A code is what AWS Batch itself says of the job at the head of a queue that it cannot
// place (Batch User Guide, job_stuck_in_runnable). What stands behind the code varies.
type code struct {
	begins string
	cause  Cause
	sure   bool // as soon as it is said
	means  string
	fix    []string
}

var codes = []code{
	{"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", NoCapacity, true, "AWS has no instances of the wanted types to give now, or a quota of the account is reached", []string{
		"Allow more instance types and zones (subnets) in the compute environment; for Spot with allocation_strategy = \"SPOT_PRICE_CAPACITY_OPTIMIZED\".",
		"Give the queue a second compute environment, on demand. Look at the EC2 quotas: aws service-quotas list-service-quotas --service-code ec2.",
	}},
	{"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", MaxVCPUs, true, "the job asks for more vCPUs than any compute environment of the queue may have", []string{"Raise max_vcpus, or ask for fewer vCPUs."}},
	{"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", TooLarge, false, "no instance of the compute environments is large enough for the job", []string{"Ask for less, or allow larger instance types."}},
	{"MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED", BadInstances, true, "the instance types do not go with the machine image, the zones or the launch template of the compute environment", []string{
		"Look at instance_types, ec2_configuration, launch_template and the zones of the subnets: an image for ARM64 starts on no x86 type, and not every type is in every zone.",
	}},
	{"MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", ServiceRole, true, "the service role of AWS Batch may not do what is needed", []string{
		"Leave service_role out, so that AWSServiceRoleForBatch is used, or give the role the policy AWSBatchServiceRole.",
	}},
	{"ACTION_REQUIRED", EnvInvalid, true, "the compute environments of the queue are INVALID", []string{"Mend what their status reason says: flow infra status, flow doctor."}},
	{"UNDETERMINED", Undetermined, false, "AWS Batch says that the job is blocked, and does not know why", []string{
		"Look at the service role, the instance role, the way out of the subnets and the EC2 quotas: flow doctor.",
	}},
}

// codeOf returns the code that a status reason begins with, or nil.
func codeOf(reason string) *code {
	for i := range codes {
		if strings.HasPrefix(reason, codes[i].begins) {
			return &codes[i]
		}
	}
	return nil
}

// meaningOf says what a code means; "" if it is none.
func meaningOf(reason string) string {
	if c := codeOf(reason); c != nil {
		return c.means
	}
	return ""
}

// joinFix is what to look at when instances do not join their cluster.
const joinFix = "The subnets need a way to ECS (NAT gateway, public addresses, or VPC endpoints for ecs, ecs-agent, ecs-telemetry), the security group must let port 443 out, " +
	"the instance role needs AmazonEC2ContainerServiceforEC2Role, and an own machine image the agent of ECS: flow doctor."
