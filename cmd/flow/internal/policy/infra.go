package policy

import "slices"

const applies = "flow infra apply"

// infraRules are the permissions of who makes and removes infrastructure.
var infraRules = []rule{
	{
		sid: "LookAtInfra",
		uses: []use{
			{"batch:DescribeComputeEnvironments", "flow infra plan, apply, destroy, status"},
			{"batch:DescribeJobQueues", "flow infra plan, apply, destroy, status"},
			{"batch:DescribeJobDefinitions", "flow infra plan, apply, destroy, status"},
			{"batch:DescribeSchedulingPolicies", "flow infra plan, apply, destroy, status"},
			{"batch:ListSchedulingPolicies", "flow infra plan, apply, destroy, status"},
			{"batch:ListConsumableResources", "flow infra plan, apply, destroy, status"},
			{"batch:ListJobs", "flow infra destroy, status: what is in a queue"},
		},
	},
	{
		sid:  "LookAtAllConsumables", // their list has no tags
		uses: []use{{"batch:DescribeConsumableResource", "flow infra plan, apply, destroy, status"}},
		on:   func(s *Scope) []string { return s.batch("consumable-resource", "*") },
	},
	{
		sid: "MakeEnvironments",
		uses: []use{
			{"batch:CreateComputeEnvironment", applies},
			{"batch:UpdateComputeEnvironment", applies + ", destroy: to disable it first"},
			{"batch:DeleteComputeEnvironment", "flow infra destroy, and apply where one is replaced"},
		},
		on: func(s *Scope) []string { return s.batch("compute-environment", s.Made.Environments...) },
	},
	{
		sid:  "TagInstances",
		uses: []use{{"batch:SetCapacityTags", applies + ": instance_tags"}},
		on:   func(s *Scope) []string { return s.batch("compute-environment", s.Made.Capacity...) },
	},
	{
		sid: "MakeQueues",
		uses: []use{
			{"batch:CreateJobQueue", applies},
			{"batch:UpdateJobQueue", applies + ", destroy: to disable it first"},
		},
		on: func(s *Scope) []string { // asked for of what it refers to as well
			if len(s.Made.Queues) == 0 {
				return nil
			}
			return slices.Concat(s.batch("job-queue", s.Made.Queues...), s.batch("compute-environment", s.Made.UsedEnvironments...),
				s.batch("scheduling-policy", s.Made.UsedPolicies...))
		},
	},
	{
		sid:  "DeleteQueues",
		uses: []use{{"batch:DeleteJobQueue", "flow infra destroy, and apply where one is replaced"}},
		on:   func(s *Scope) []string { return s.batch("job-queue", s.Made.Queues...) },
	},
	{
		sid: "MakePolicies",
		uses: []use{
			{"batch:CreateSchedulingPolicy", applies}, {"batch:UpdateSchedulingPolicy", applies}, {"batch:DeleteSchedulingPolicy", "flow infra destroy"},
		},
		on: func(s *Scope) []string { return s.batch("scheduling-policy", s.Made.Policies...) },
	},
	{
		sid: "MakeConsumables",
		uses: []use{
			{"batch:CreateConsumableResource", applies}, {"batch:UpdateConsumableResource", applies}, {"batch:DeleteConsumableResource", "flow infra destroy"},
		},
		on: func(s *Scope) []string { return s.batch("consumable-resource", s.Made.Consumables...) },
	},
	{
		sid: "MakeDefinitions",
		uses: []use{
			{"batch:RegisterJobDefinition", applies}, {"batch:DeregisterJobDefinition", "flow infra destroy, and apply: older revisions"},
		},
		on: func(s *Scope) []string { // asked for of what they have as well
			return append(s.revisions(s.Made.Definitions), s.batch("consumable-resource", s.Made.UsedConsumables...)...)
		},
	},
	{
		sid:  "RemoveDefinitions",
		uses: []use{{"batch:DeregisterJobDefinition", "flow infra destroy: what runs of the workflow have registered"}},
		on:   func(s *Scope) []string { return s.batch("job-definition", "flow-*") },
		when: func(s *Scope) Condition { // the tag says whose
			return Condition{"StringEquals": {"aws:ResourceTag/flow:workflow": {s.Workflow}}}
		},
	},
	{
		sid: "TagInfra",
		uses: []use{
			{"batch:TagResource", applies + ": the tag flow:infra tells what flow manages"}, {"batch:UntagResource", applies + ": tags that are gone"},
		},
		on: func(s *Scope) []string {
			m := &s.Made
			return slices.Concat(s.batch("compute-environment", m.Environments...), s.batch("job-queue", m.Queues...),
				s.batch("scheduling-policy", m.Policies...), s.batch("consumable-resource", m.Consumables...), s.revisions(m.Definitions))
		},
	},
	{
		sid:  "PassEnvironmentRoles",
		uses: []use{{"iam:PassRole", applies + ": the roles of an environment, of its instances and of its Spot fleet"}},
		on:   func(s *Scope) []string { return s.roles(s.Made.EnvRoles) },
		when: passedTo("batch.amazonaws.com", "ec2.amazonaws.com", "spotfleet.amazonaws.com"),
	},
	{
		sid:  "PassDefinitionRoles",
		uses: []use{{"iam:PassRole", applies + ": the roles of a job definition"}},
		on:   func(s *Scope) []string { return s.roles(s.Made.JobRoles) },
		when: passedTo("ecs-tasks.amazonaws.com"),
	},
	{
		sid:  "MakeServiceRole",
		uses: []use{{"iam:CreateServiceLinkedRole", applies + ": the first environment of an account without service_role"}},
		on: func(s *Scope) []string {
			if !s.Made.ServiceRole {
				return nil
			}
			return []string{s.arn("iam", "", "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch*")}
		},
		when: func(*Scope) Condition {
			return Condition{"StringEquals": {"iam:AWSServiceName": {"batch.amazonaws.com"}}}
		},
	},
	{
		sid: "LookAtMadeRoles",
		uses: []use{
			{"iam:GetRole", "flow infra plan, apply, destroy, status: what create_roles has made"},
			{"iam:ListAttachedRolePolicies", "flow infra plan, apply, destroy, status: what create_roles has made"},
		},
		on: func(s *Scope) []string { return s.roles(s.Made.RoleNames) },
	},
	{
		sid:  "LookAtMadeProfiles",
		uses: []use{{"iam:GetInstanceProfile", "flow infra plan, apply, destroy, status: what create_roles has made"}},
		on:   func(s *Scope) []string { return s.profiles(s.Made.RoleNames) },
	},
	{
		sid: "MakeRoles",
		uses: []use{
			{"iam:CreateRole", applies + ": create_roles"},
			{"iam:TagRole", applies + ": create_roles"},
			{"iam:UpdateAssumeRolePolicy", applies + ": create_roles, if somebody has changed who may assume it"},
			{"iam:ListRolePolicies", "flow infra destroy: create_roles"},
			{"iam:DeleteRolePolicy", "flow infra destroy: create_roles"},
			{"iam:DeleteRole", "flow infra destroy: create_roles"},
		},
		on: func(s *Scope) []string { return s.roles(s.Made.Roles) },
	},
	{
		sid:  "AttachPolicies",
		uses: []use{{"iam:AttachRolePolicy", applies + ": create_roles, AWS's own policies for such roles"}},
		on: func(s *Scope) []string {
			if len(s.Made.Attached) == 0 {
				return nil
			}
			return s.roles(s.Made.Roles)
		},
		when: func(s *Scope) Condition {
			return Condition{"ArnEquals": {"iam:PolicyARN": compact(s.Made.Attached)}}
		},
	},
	{
		sid:  "DetachPolicies", // of others as well: a role that has one cannot be deleted
		uses: []use{{"iam:DetachRolePolicy", "flow infra destroy: create_roles"}},
		on:   func(s *Scope) []string { return s.roles(s.Made.Roles) },
	},
	{
		sid: "MakeProfiles",
		uses: []use{
			{"iam:CreateInstanceProfile", applies + ": create_roles"},
			{"iam:TagInstanceProfile", applies + ": create_roles"},
			{"iam:AddRoleToInstanceProfile", applies + ": create_roles"},
			{"iam:RemoveRoleFromInstanceProfile", "flow infra destroy: create_roles"},
			{"iam:DeleteInstanceProfile", "flow infra destroy: create_roles"},
		},
		on: func(s *Scope) []string { return s.profiles(s.Made.Profiles) },
	},
	{
		sid:  "PassProfileRoles",
		uses: []use{{"iam:PassRole", applies + ": create_roles, to put a role into its instance profile"}},
		on:   func(s *Scope) []string { return s.roles(s.Made.Profiles) },
		when: passedTo("ec2.amazonaws.com"),
	},
	{
		sid:  "LookAtClusters",
		uses: []use{{"eks:DescribeCluster", applies + ": an environment on EKS"}},
		on:   func(s *Scope) []string { return s.Made.Clusters },
	},
}
