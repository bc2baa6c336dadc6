package infra

import (
	"crypto/sha256"
	"encoding/hex"

	"flow/executor/batch/cloud"
)

// A Role is a role of IAM that flow makes where a workflow says create_roles.
type Role struct {
	Name        string
	Description string
	Service     string            // that may assume it: "ec2.amazonaws.com"
	Policies    []string          // ARNs of AWS's managed policies; more may be attached by others
	Profile     bool              // with an instance profile of the same name
	Tags        map[string]string // with TagInfra
}

// What roles are for. There is one of each kind for a workflow in a region.
const (
	useInstance  = "instance"
	useSpot      = "spot"
	useExecution = "execution"
	useJob       = "job"
)

var roleUses = []string{useInstance, useSpot, useExecution, useJob}

// JobRoleNames returns the names of the roles that flow makes which programs of jobs may
// have: that of job definitions, and that of instances, which jobs have that name none.
func JobRoleNames(workflow, region string) []string {
	return []string{roleName(useInstance, workflow, region), roleName(useJob, workflow, region)}
}

// maxRoleName is how long the name of a role may be (IAM API reference, CreateRole).
const maxRoleName = 64

// RoleName returns the name of a role that flow makes for a workflow in a region, for a use.
func RoleName(use, workflow, region string) string { return roleName(use, workflow, region) }

// roleName returns the name of the role for a use. One that is too long is cut, and gets a
// part of the hash of all of it.
func roleName(use, workflow, region string) string {
	name := "flow-" + workflow + "-" + region + "-" + use
	if len(name) <= maxRoleName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maxRoleName-9] + "-" + hex.EncodeToString(sum[:])[:8]
}

// roleFor returns the role for a use (Batch User Guide: instance_IAM_role,
// spot_fleet_IAM_role, execution-IAM-role). A role of jobs may do nothing by itself.
func roleFor(use, workflow, region string) *Role {
	r := &Role{Name: roleName(use, workflow, region), Tags: map[string]string{TagInfra: workflow}}
	managed := "arn:" + cloud.Partition(region) + ":iam::aws:policy/service-role/"
	switch use {
	case useInstance:
		r.Description, r.Service, r.Profile = "Instances of AWS Batch for workflow "+workflow, "ec2.amazonaws.com", true
		r.Policies = []string{managed + "AmazonEC2ContainerServiceforEC2Role"}
	case useSpot:
		r.Description, r.Service = "Spot fleets of AWS Batch for workflow "+workflow, "spotfleet.amazonaws.com"
		r.Policies = []string{managed + "AmazonEC2SpotFleetTaggingRole"}
	case useExecution:
		r.Description, r.Service = "Start of containers for workflow "+workflow, "ecs-tasks.amazonaws.com"
		r.Policies = []string{managed + "AmazonECSTaskExecutionRolePolicy"}
	case useJob:
		r.Description, r.Service = "Jobs of workflow "+workflow, "ecs-tasks.amazonaws.com"
	}
	return r
}

// Trust returns the policy, as JSON, by which the service may assume the role.
func (r *Role) Trust() string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + r.Service + `"},"Action":"sts:AssumeRole"}]}`
}
