package policy

// Deploy is who has AWS run the workflow by its schedules. It is none of [Audiences]: most
// workflows are run by somebody, or by a service.
const Deploy Audience = "deploy"

// Deployed are the names of what is made for the schedules of a workflow.
type Deployed struct {
	Group      string // of schedules
	Definition string // of heads
	Roles      []string
}

const deploys = "flow schedule deploy, undeploy"

// deployRules are the permissions of who deploys a workflow, beside those of who runs it: its
// files go below work_dir.
var deployRules = []rule{
	{
		sid: "MakeSchedules",
		uses: []use{
			{"scheduler:CreateSchedule", deploys + ": one for each cron expression"},
			{"scheduler:UpdateSchedule", deploys + ": one that differs"},
			{"scheduler:DeleteSchedule", deploys + ": one that is gone from the file"},
			{"scheduler:GetSchedule", deploys + ": whether it differs"},
		},
		on: func(s *Scope) []string { return s.deployed("schedule/" + s.Deployed.Group + "/*") },
	},
	{
		sid: "MakeScheduleGroup",
		uses: []use{
			{"scheduler:CreateScheduleGroup", deploys + ": that of the workflow"},
			{"scheduler:DeleteScheduleGroup", deploys + ": that of the workflow"},
			{"scheduler:GetScheduleGroup", deploys + ": whether it is there"},
			{"scheduler:ListTagsForResource", deploys + ": whether flow has made it"},
			{"scheduler:TagResource", deploys + ": by its tag it is known"},
		},
		on: func(s *Scope) []string { return s.deployed("schedule-group/" + s.Deployed.Group) },
	},
	{
		sid:  "ListSchedules",
		uses: []use{{"scheduler:ListSchedules", deploys + ": which are there"}},
		on:   func(s *Scope) []string { return s.deployed("schedule/*/*") },
	},
	{
		sid: "MakeScheduleRoles",
		uses: []use{
			{"iam:GetRole", deploys + ": whether it is there, and flow has made it"},
			{"iam:GetRolePolicy", deploys + ": whether it differs"},
			{"iam:CreateRole", deploys + ": that of schedules and that of heads"},
			{"iam:TagRole", deploys + ": by its tag it is known"},
			{"iam:UpdateAssumeRolePolicy", deploys + ": who may assume it"},
			{"iam:PutRolePolicy", deploys + ": what it may do"},
			{"iam:DeleteRolePolicy", deploys + ": before the role"},
			{"iam:DeleteRole", deploys + ": those that it has made"},
		},
		on: func(s *Scope) []string { return s.roles(s.Deployed.Roles) },
	},
	{
		sid:  "PassScheduleRoles",
		uses: []use{{"iam:PassRole", deploys + ": to give schedules and heads their roles"}},
		on:   func(s *Scope) []string { return s.roles(s.Deployed.Roles) },
		when: passedTo("scheduler.amazonaws.com", "ecs-tasks.amazonaws.com"),
	},
	{
		sid: "MakeHeads",
		uses: []use{
			{"batch:RegisterJobDefinition", deploys + ": that of heads"},
			{"batch:DeregisterJobDefinition", deploys + ": its old revisions"},
			{"batch:TagResource", deploys + ": by its tag it is known"},
		},
		on: func(s *Scope) []string {
			if s.Deployed.Definition == "" {
				return nil
			}
			return s.revisions([]string{s.Deployed.Definition})
		},
	},
	{
		sid:  "LookAtHeads",
		uses: []use{{"batch:DescribeJobDefinitions", deploys + ": whether that of heads differs"}},
	},
}

// deployed returns the ARN of something of EventBridge Scheduler; none: nothing is deployed.
func (s *Scope) deployed(rest string) []string {
	if s.Deployed.Group == "" {
		return nil
	}
	return []string{s.arn("scheduler", s.Region, rest)}
}
