package iac

import (
	"maps"

	"flow/executor/batch/infra"
)

// An argument is what the Terraform provider has for a member.
type argument struct {
	name  string    // "" of one it has not, as why says
	block arguments // a block, or one for each element of a list
	json  bool      // text that is JSON
	why   string
	since int // the first major version that has it; 0: all
}

// arguments are those of a resource or a block, by the members of AWS's API.
type arguments map[string]argument

// A Provider is a major version of the provider hashicorp/aws.
type Provider int

// The versions whose arguments are known, as their schemas have them: 5.100.0, and 6.42.0
// (Registry, batch_compute_environment), where compute_environment_name has become name.
const (
	Provider5 Provider = 5
	Provider6 Provider = 6
)

// constraint is what required_providers says.
func (p Provider) constraint() string {
	if p == Provider5 {
		return ">= 5.100, < 6.0"
	}
	return ">= 6.42, < 7.0"
}

// notKnown is why an argument is not written.
const notKnown = "the Terraform provider hashicorp/aws has no argument for it; flow infra apply and CloudFormation do"

// environmentName is the argument for the name of a compute environment, where it is not
// "name".
var environmentName = map[Provider]string{Provider5: "compute_environment_name"}

// resource returns the type of a resource in Terraform and its arguments.
func (p Provider) resource(k infra.Kind) (string, arguments) {
	switch k {
	case infra.KindEnvironment:
		args := environmentArguments
		if name := environmentName[p]; name != "" {
			args = maps.Clone(args)
			args["ComputeEnvironmentName"] = argument{name: name}
		}
		return "aws_batch_compute_environment", args
	case infra.KindQueue:
		return "aws_batch_job_queue", queueArguments
	case infra.KindDefinition:
		return "aws_batch_job_definition", definitionArguments
	case infra.KindPolicy:
		return "aws_batch_scheduling_policy", policyArguments
	case infra.KindConsumable: // hashicorp/aws has none (6.42)
		return "awscc_batch_consumable_resource", consumableArguments
	}
	return "", nil
}

var environmentArguments = arguments{
	"ComputeEnvironmentName": {name: "name"},
	"Type":                   {name: "type"},
	"State":                  {name: "state"},
	"ServiceRole":            {name: "service_role"},
	"UnmanagedvCpus":         {name: "unmanagedv_cpus", why: notKnown},
	"Context":                {why: notKnown},
	"Tags":                   {name: "tags"},
	"ComputeResources": {name: "compute_resources", block: arguments{
		"Type":               {name: "type"},
		"AllocationStrategy": {name: "allocation_strategy"},
		"MinvCpus":           {name: "min_vcpus"},
		"MaxvCpus":           {name: "max_vcpus"},
		"DesiredvCpus":       {name: "desired_vcpus"},
		"InstanceTypes":      {name: "instance_type"},
		"BidPercentage":      {name: "bid_percentage"},
		"Subnets":            {name: "subnets"},
		"SecurityGroupIds":   {name: "security_group_ids"},
		"InstanceRole":       {name: "instance_role"},
		"SpotIamFleetRole":   {name: "spot_iam_fleet_role"},
		"Ec2KeyPair":         {name: "ec2_key_pair"},
		"ImageId":            {name: "image_id"},
		"PlacementGroup":     {name: "placement_group"},
		"ScalingPolicy":      {why: notKnown},
		"Tags":               {name: "tags"},
		"Ec2Configuration": {name: "ec2_configuration", block: arguments{
			"ImageType":              {name: "image_type"},
			"ImageIdOverride":        {name: "image_id_override"},
			"ImageKubernetesVersion": {name: "image_kubernetes_version", since: 6},
			"BatchImageStatus":       {why: notKnown},
		}},
		"LaunchTemplate": {name: "launch_template", block: arguments{
			"LaunchTemplateId":   {name: "launch_template_id"},
			"LaunchTemplateName": {name: "launch_template_name"},
			"Version":            {name: "version"},
			"Overrides":          {why: notKnown},
			"UserdataType":       {why: notKnown},
		}},
	}},
	"EksConfiguration": {name: "eks_configuration", block: arguments{
		"EksClusterArn":       {name: "eks_cluster_arn"},
		"KubernetesNamespace": {name: "kubernetes_namespace"},
	}},
	"UpdatePolicy": {name: "update_policy", block: arguments{
		"JobExecutionTimeoutMinutes": {name: "job_execution_timeout_minutes"},
		"TerminateJobsOnUpdate":      {name: "terminate_jobs_on_update"},
	}},
}

var queueArguments = arguments{
	"JobQueueName":        {name: "name"},
	"State":               {name: "state"},
	"Priority":            {name: "priority"},
	"SchedulingPolicyArn": {name: "scheduling_policy_arn"},
	"Tags":                {name: "tags"},
	"ComputeEnvironmentOrder": {name: "compute_environment_order", block: arguments{
		"Order":              {name: "order"},
		"ComputeEnvironment": {name: "compute_environment"},
	}},
	"JobStateTimeLimitActions": {name: "job_state_time_limit_action", block: arguments{
		"Reason":         {name: "reason"},
		"State":          {name: "state"},
		"MaxTimeSeconds": {name: "max_time_seconds"},
		"Action":         {name: "action"},
	}},
	"JobQueueType":            {why: notKnown},
	"ServiceEnvironmentOrder": {why: notKnown},
}

var definitionArguments = arguments{
	"JobDefinitionName":    {name: "name"},
	"Type":                 {name: "type"},
	"PlatformCapabilities": {name: "platform_capabilities"},
	"Parameters":           {name: "parameters"},
	"PropagateTags":        {name: "propagate_tags"},
	"SchedulingPriority":   {name: "scheduling_priority"},
	"Tags":                 {name: "tags"},
	"ContainerProperties":  {name: "container_properties", json: true},
	"EcsProperties":        {name: "ecs_properties", json: true},
	"NodeProperties":       {name: "node_properties", json: true},
	"RetryStrategy": {name: "retry_strategy", block: arguments{
		"Attempts": {name: "attempts"},
		"EvaluateOnExit": {name: "evaluate_on_exit", block: arguments{
			"Action":         {name: "action"},
			"OnExitCode":     {name: "on_exit_code"},
			"OnReason":       {name: "on_reason"},
			"OnStatusReason": {name: "on_status_reason"},
		}},
	}},
	"Timeout": {name: "timeout", block: arguments{
		"AttemptDurationSeconds": {name: "attempt_duration_seconds"},
	}},
	"ConsumableResourceProperties": {why: notKnown},
	"EksProperties":                {why: notKnown},
	"ResourceRetentionPolicy":      {why: notKnown},
}

var policyArguments = arguments{
	"Name": {name: "name"},
	"Tags": {name: "tags"},
	"FairsharePolicy": {name: "fair_share_policy", block: arguments{
		"ComputeReservation": {name: "compute_reservation"},
		"ShareDecaySeconds":  {name: "share_decay_seconds"},
		"ShareDistribution": {name: "share_distribution", block: arguments{
			"ShareIdentifier": {name: "share_identifier"},
			"WeightFactor":    {name: "weight_factor"},
		}},
	}},
	"QuotaSharePolicy": {why: notKnown},
}

var consumableArguments = arguments{
	"ConsumableResourceName": {name: "consumable_resource_name"},
	"ResourceType":           {name: "resource_type"},
	"TotalQuantity":          {name: "total_quantity"},
	"Tags":                   {name: "tags"},
}
