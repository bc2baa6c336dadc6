package dsl

import (
	"fmt"
	"math"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// Allocation strategies (ComputeResource.allocationStrategy).
const (
	bestFit       = "BEST_FIT"
	spotOptimized = "SPOT_CAPACITY_OPTIMIZED"
	spotPrice     = "SPOT_PRICE_CAPACITY_OPTIMIZED"
)

// instanceProfile is what instances run with unless the workflow says otherwise (Batch User
// Guide, instance_IAM_role).
const instanceProfile = "ecsInstanceRole"

// Values of state.
const (
	stateEnabled  = "ENABLED"
	stateDisabled = "DISABLED"
)

// environment reads a compute environment (CreateComputeEnvironment, ComputeResource).
func (b *infraBlock) environment(blk engine.Block) *engine.ComputeEnvironment {
	e := &engine.ComputeEnvironment{Block: blk}
	if blk.Existing {
		return e
	}
	read(b, "type", &e.Type, toResourceType)
	read(b, "state", &e.Disabled, toDisabled)
	read(b, "allocation_strategy", &e.AllocationStrategy, oneOf(bestFit, "BEST_FIT_PROGRESSIVE", spotOptimized, spotPrice))
	read(b, "min_vcpus", &e.MinVCPUs, notNegative)
	read(b, "max_vcpus", &e.MaxVCPUs, notNegative)
	read(b, "desired_vcpus", &e.DesiredVCPUs, func(v cty.Value) (*int, error) {
		n, err := notNegative(v)
		return &n, err
	})
	b.texts("instance_types", &e.InstanceTypes, checkInstanceType)
	read(b, "bid_percentage", &e.BidPercentage, func(v cty.Value) (int, error) { return toInt(v, 1, 100) })
	b.texts("subnets", &e.Subnets, checkID("subnet", "subnet-"))
	b.texts("security_group_ids", &e.SecurityGroups, checkID("security group", "sg-"))
	read(b, "instance_role", &e.InstanceRole, toInstanceRole)
	read(b, "service_role", &e.ServiceRole, toRole)
	read(b, "spot_iam_fleet_role", &e.SpotFleetRole, toRole)
	read(b, "ec2_key_pair", &e.EC2KeyPair, toName255)
	read(b, "placement_group", &e.PlacementGroup, toName255)
	e.InstanceTags = b.tagMap("instance_tags", maxTags-1)
	read(b, "create_roles", &e.CreateRoles, toTruth)
	for _, p := range b.c.parts {
		b.environmentPart(e, p)
	}
	b.checkEnvironment(e)
	if e.Type != "" && !e.Fargate() && e.EKSCluster == "" && !b.has("instance_role") && !e.CreateRoles {
		e.InstanceRole = instanceProfile
	}
	return e
}

// environmentPart reads a block in a compute environment.
func (b *infraBlock) environmentPart(e *engine.ComputeEnvironment, c *partConfig) {
	p := b.part(c)
	switch c.typ {
	case "launch_template":
		t := &engine.LaunchTemplate{}
		read(p, "id", &t.ID, checkedText(checkID("launch template", "lt-")))
		read(p, "name", &t.Name, toName255)
		read(p, "version", &t.Version, toText)
		p.checkTemplate()
		e.LaunchTemplate = t
	case "ec2_configuration":
		var i engine.EC2Configuration
		read(p, "image_type", &i.ImageType, oneOf(imageTypes...))
		read(p, "image_id_override", &i.ImageID, checkedText(checkID("machine image", "ami-")))
		read(p, "image_kubernetes_version", &i.KubernetesVersion, toText)
		p.require(`image_type = "ECS_AL2023"`)
		e.EC2Configuration = append(e.EC2Configuration, i)
	case "scaling_policy":
		read(p, "min_scale_down_delay_minutes", &e.ScaleDownDelayMinutes, toScaleDownDelay)
	case "update_policy":
		read(p, "terminate_jobs_on_update", &e.TerminateJobsOnUpdate, toTruth)
		read(p, "job_execution_timeout_minutes", &e.JobExecutionTimeoutMinutes, func(v cty.Value) (int, error) { return toInt(v, 1, 7200) })
	case "eks_configuration":
		read(p, "eks_cluster_arn", &e.EKSCluster, toClusterARN)
		read(p, "kubernetes_namespace", &e.EKSNamespace, toNamespace)
		p.require(`eks_cluster_arn = "arn:aws:eks:..."`, `kubernetes_namespace = "batch"`)
	}
}

// toResourceType reads ComputeResource.type.
func toResourceType(v cty.Value) (string, error) {
	s, err := toText(v)
	if err == nil && strings.HasSuffix(strings.ToUpper(s), "MANAGED") {
		return "", fmt.Errorf("flow makes managed compute environments; the type is that of their resources, such as \"SPOT\". An unmanaged one that is there is named with existing")
	}
	return oneOf(engine.TypeEC2, engine.TypeSpot, engine.TypeFargate, engine.TypeFargateSpot)(v)
}

func notNegative(v cty.Value) (int, error) { return toInt(v, 0, math.MaxInt32) }

// toDisabled reads a state; true: DISABLED.
func toDisabled(v cty.Value) (bool, error) {
	s, err := oneOf(stateEnabled, stateDisabled)(v)
	return s == stateDisabled, err
}

// toScaleDownDelay reads ComputeScalingPolicy.minScaleDownDelayMinutes.
func toScaleDownDelay(v cty.Value) (int, error) {
	n, err := toInt(v, 0, 10080)
	if err == nil && n > 0 && n < 20 {
		err = fmt.Errorf("it must be a whole number from 20 to 10080, or 0 for none")
	}
	return n, err
}

// toName255 reads a name of EC2's.
func toName255(v cty.Value) (string, error) {
	s, err := toText(v)
	if err == nil && (s == "" || len(s) > 255) {
		err = fmt.Errorf("a name has 1 to 255 characters")
	}
	return s, err
}

// checkedText reads a text that check finds nothing wrong with.
func checkedText(check func(string) string) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := toText(v)
		if err != nil {
			return "", err
		}
		if why := check(s); why != "" {
			return "", fmt.Errorf("%s", why)
		}
		return s, nil
	}
}
