package dsl

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// The kinds of blocks about AWS Batch itself, which are also the first part of references
// to them.
const (
	kindEnvironment = "compute_environment"
	kindQueue       = "job_queue"
	kindDefinition  = "job_definition"
	kindPolicy      = "scheduling_policy"
	kindConsumable  = "consumable_resource"
)

// infraKinds are all of them, in the order in which they are told.
var infraKinds = []string{kindEnvironment, kindQueue, kindDefinition, kindPolicy, kindConsumable}

// isInfra reports whether name is a kind of block about AWS Batch itself.
func isInfra(name string) bool { return slices.Contains(infraKinds, name) }

// infraNouns say in messages what a block of a kind is.
var infraNouns = map[string]string{
	kindEnvironment: "compute environment",
	kindQueue:       "job queue",
	kindDefinition:  "job definition",
	kindPolicy:      "scheduling policy",
	kindConsumable:  "consumable resource",
	kindPool:        "pool",
}

// infraArgs are the arguments of each kind: those of AWS's API in snake case.
var infraArgs = map[string]blockSpec{
	kindEnvironment: {
		{name: "name"},
		{name: "existing"},
		{name: "type"},
		{name: "state"},
		{name: "allocation_strategy"},
		{name: "min_vcpus"},
		{name: "desired_vcpus"},
		{name: "max_vcpus"},
		{name: "instance_types"},
		{name: "bid_percentage"},
		{name: "subnets"},
		{name: "security_group_ids"},
		{name: "instance_role"},
		{name: "service_role"},
		{name: "spot_iam_fleet_role"},
		{name: "ec2_key_pair"},
		{name: "placement_group"},
		{name: "instance_tags"},
		{name: "tags"},
		{name: "create_roles"},
	},
	kindQueue: {
		{name: "name"},
		{name: "existing"},
		{name: "priority"},
		{name: "state"},
		{name: "compute_environments", takes: kindEnvironment},
		{name: "scheduling_policy", takes: kindPolicy},
		{name: "tags"},
	},
	kindDefinition: {
		{name: "name"},
		{name: "existing"},
		{name: "image", apply: (*task).setImage},
		{name: "command", apply: (*task).setCommand},
		{name: "parameters", apply: (*task).setParameters},
		{name: "environment", apply: (*task).setEnv},
		{name: "secrets", apply: (*task).setSecrets},
		{name: "timeout", apply: (*task).setTimeout},
		{name: "scheduling_priority", apply: (*task).setPriority},
		{name: "consumable_resources", apply: (*task).setConsumables},
		{name: "propagate_tags"},
		{name: "create_roles"},
		{name: "tags"},
	},
	kindPolicy: {
		{name: "name"},
		{name: "existing"},
		{name: "share_decay"},
		{name: "compute_reservation"},
		{name: "tags"},
	},
	kindConsumable: {
		{name: "name"},
		{name: "existing"},
		{name: "total_quantity"},
		{name: "resource_type"},
		{name: "tags"},
	},
	kindPool: poolArgs,
}

// An infraPart is a kind of block in a block about AWS Batch itself.
type infraPart struct {
	hcl.BlockHeaderSchema
	args blockSpec
	most int // how many there may be; 0: any number
}

// infraParts are the blocks of each kind. Those of a job definition that a step has as
// well are decoded as in a step; see definitionBlocks.
var infraParts = map[string][]infraPart{
	kindEnvironment: {
		{hcl.BlockHeaderSchema{Type: "launch_template"}, blockSpec{{name: "id"}, {name: "name"}, {name: "version"}}, 1},
		{hcl.BlockHeaderSchema{Type: "ec2_configuration"}, blockSpec{{name: "image_type"}, {name: "image_id_override"}, {name: "image_kubernetes_version"}}, 2},
		{hcl.BlockHeaderSchema{Type: "scaling_policy"}, blockSpec{{name: "min_scale_down_delay_minutes"}}, 1},
		{hcl.BlockHeaderSchema{Type: "update_policy"}, blockSpec{{name: "terminate_jobs_on_update"}, {name: "job_execution_timeout_minutes"}}, 1},
		{hcl.BlockHeaderSchema{Type: "eks_configuration"}, blockSpec{{name: "eks_cluster_arn"}, {name: "kubernetes_namespace"}}, 1},
	},
	kindQueue: {
		{hcl.BlockHeaderSchema{Type: "state_time_limit", LabelNames: []string{"name"}}, blockSpec{{name: "reason"}, {name: "state"}, {name: "max_time"}, {name: "action"}}, 0},
	},
	kindPolicy: {
		{hcl.BlockHeaderSchema{Type: "share", LabelNames: []string{"identifier"}}, blockSpec{{name: "weight_factor"}}, 0},
	},
}

// definitionBlocks are the blocks of a job definition that a step has as well.
var definitionBlocks = []hcl.BlockHeaderSchema{{Type: "resources"}, {Type: "retry"}, {Type: "container"}}

// An infraConfig is a block about AWS Batch itself.
type infraConfig struct {
	blockConfig
	kind  string
	label string
	parts []*partConfig // in source order
	// step has what a job definition says as a step does: its arguments, and the blocks
	// resources, retry and container. nil: it is no job definition.
	step       *stepConfig
	cyclic     bool // its name depends on itself
	incomplete bool // an error in it may have hidden an argument
}

// A partConfig is a block in an infraConfig.
type partConfig struct {
	blockConfig
	typ        string
	label      string // "": it has none
	incomplete bool   // an error in it may have hidden an argument
}

// part returns the first block of a type, or nil.
func (c *infraConfig) part(typ string) *partConfig {
	for _, p := range c.parts {
		if p.typ == typ {
			return p
		}
	}
	return nil
}

// everything calls f for every argument of c, at any depth.
func (c *infraConfig) everything(f func(*arg)) {
	for _, a := range c.args {
		f(a)
	}
	for _, p := range c.parts {
		for _, a := range p.args {
			f(a)
		}
	}
	if c.step != nil {
		s := *c.step
		s.args = nil // are c.args
		s.each(f)
	}
}

// nameArgs are the arguments that decide about the name in AWS.
func (c *infraConfig) nameArgs() []*arg {
	var out []*arg
	for _, name := range []string{"name", "existing"} {
		if a := c.args.get(name); a != nil {
			out = append(out, a)
		}
	}
	return out
}

// reference is how an expression refers to c.
func (c *infraConfig) reference() string { return c.kind + "." + c.label }

// An infraRef is a reference to a block about AWS Batch itself.
type infraRef struct {
	block *infraConfig
	rng   hcl.Range
}

// infraBlock returns the block of a kind and label, or nil.
func (p *Program) infraBlock(kind, label string) *infraConfig {
	for _, c := range p.infra {
		if c.kind == kind && c.label == label {
			return c
		}
	}
	return nil
}
