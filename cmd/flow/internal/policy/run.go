package policy

import (
	"cmp"
	"slices"
)

// runRules are the permissions of who runs a workflow.
var runRules = []rule{
	{
		sid:  "SubmitJobs",
		uses: []use{{"batch:SubmitJob", "flow run, flow resume: to hand jobs over"}},
		on: func(s *Scope) []string { // a job by a definition to a queue, each of which is asked for
			out := append(s.batch("job-queue", s.Queues...), s.batch("job", "*")...)
			out = append(out, s.batch("job-definition", "flow-*")...)
			return append(append(out, s.revisions(s.Definitions)...), s.batch("consumable-resource", s.Consumables...)...)
		},
	},
	{
		sid:  "RegisterDefinitions",
		uses: []use{{"batch:RegisterJobDefinition", "flow run, flow resume: to say what runs, once for each container that steps have"}},
		on: func(s *Scope) []string { // asked for of what they have as well
			return append(s.batch("job-definition", "flow-*"), s.batch("consumable-resource", s.Consumables...)...)
		},
	},
	{
		sid:  "TagJobs",
		uses: []use{{"batch:TagResource", "flow run, flow resume: jobs and job definitions are made with tags"}},
		on:   func(s *Scope) []string { return append(s.batch("job", "*"), s.batch("job-definition", "flow-*")...) },
	},
	{
		sid:  "PassJobRoles",
		uses: []use{{"iam:PassRole", "flow run, flow resume: to register a job definition that has a role"}},
		on:   func(s *Scope) []string { return s.roles(s.JobRoles) },
		when: passedTo("ecs-tasks.amazonaws.com"),
	},
	{
		sid: "LookAtJobs",
		uses: []use{
			{"batch:DescribeJobs", "flow run, resume, wait, status, logs, explain: how jobs are"},
			{"batch:ListJobs", "flow run, resume, wait, cancel: to find jobs by their names, and children of arrays"},
			{"batch:DescribeJobDefinitions", "flow run, resume: to find a job definition again; flow doctor"},
			{"batch:DescribeJobQueues", "flow explain, status, doctor: whether a queue takes jobs; plan, run, cost: what it is priced by"},
			{"batch:DescribeComputeEnvironments", "flow explain, status, doctor: whether an environment can run them; plan, run, cost: what it is priced by"},
			{"batch:DescribeSchedulingPolicies", "flow explain: the shares of a queue"},
			{"batch:ListSchedulingPolicies", "flow doctor: whether a scheduling policy is there"},
		},
	},
	{
		sid:  "LookAtConsumables",
		uses: []use{{"batch:DescribeConsumableResource", "flow explain, doctor: whether a consumable resource is there, and how much of it is free"}},
		on:   func(s *Scope) []string { return s.batch("consumable-resource", s.Consumables...) },
	},
	{
		sid:  "LookAtQueues",
		uses: []use{{"batch:GetJobQueueSnapshot", "flow explain: where a job stands in its queue"}},
		on:   func(s *Scope) []string { return s.batch("job-queue", s.Queues...) },
	},
	{
		sid:  "EndJobs",
		uses: []use{{"batch:TerminateJob", "flow cancel, and what ends by itself: time-outs, on_failure = \"cancel\", budgets, jobs that nobody knows"}},
		on:   func(s *Scope) []string { return s.batch("job", "*") },
	},
	{
		sid:  "ReadLogs",
		uses: []use{{"logs:GetLogEvents", "flow logs, run, explain: what jobs write"}},
		on: func(s *Scope) []string {
			var out []string
			for _, g := range s.LogGroups {
				out = append(out, s.arn("logs", cmp.Or(g.Region, s.Region), "log-group:"+g.Name+":log-stream:*"))
			}
			return out
		},
	},
	{
		sid: "LookAtPlaces",
		uses: []use{
			{"ecs:DescribeTasks", "flow status RUN/STEP[KEY]: the place where a task ran"},
			{"ecs:DescribeContainerInstances", "flow status RUN/STEP[KEY], explain: its instance; whether instances have joined"},
			{"ecs:ListContainerInstances", "flow explain: whether instances have joined the cluster of an environment"},
		},
		on: func(s *Scope) []string {
			return []string{s.arn("ecs", s.Region, "cluster/*"), s.arn("ecs", s.Region, "container-instance/*"), s.arn("ecs", s.Region, "task/*")}
		},
	},
	{
		sid: "LookAtNetwork",
		uses: []use{
			{"ec2:DescribeInstances", "flow status RUN/STEP[KEY]: the type and the zone of its instance"},
			{"ec2:DescribeSubnets", "flow doctor: whether instances reach the registry"},
			{"ec2:DescribeRouteTables", "flow doctor: whether instances reach the registry"},
			{"ec2:DescribeVpcEndpoints", "flow doctor: whether instances reach the registry"},
			{"ec2:DescribeSecurityGroups", "flow doctor: whether instances reach the registry"},
			{"ec2:DescribeLaunchTemplateVersions", "flow doctor: which network a launch template has"},
			{"ec2:DescribeSpotPriceHistory", "flow doctor, explain: whether a Spot price is above bid_percentage"},
		},
	},
	{
		sid: "LookAtRoles",
		uses: []use{
			{"iam:GetRole", "flow doctor: whether a role is there, and may be assumed"},
			{"iam:ListAttachedRolePolicies", "flow doctor: whether a role has the policies that it needs"},
			{"iam:ListRolePolicies", "flow doctor: whether a role has the policies that it needs"},
		},
		on: func(s *Scope) []string {
			if s.Others {
				return s.roles([]string{"*"})
			}
			return s.roles(slices.Concat(s.JobRoles, s.Made.EnvRoles))
		},
	},
	{
		sid:  "LookAtProfiles",
		uses: []use{{"iam:GetInstanceProfile", "flow doctor: whether the instance profile of an environment holds a role"}},
		on: func(s *Scope) []string {
			if s.Others {
				return s.profiles([]string{"*"})
			}
			return s.profiles(s.Made.InstanceRoles)
		},
	},
	{
		sid:  "SendNotices",
		uses: []use{{"sns:Publish", "flow run, resume, wait, notices: to send what notify blocks say"}},
		on:   func(s *Scope) []string { return s.Topics },
	},
	{
		sid:  "LogInToRegistry",
		uses: []use{{"ecr:GetAuthorizationToken", "flow doctor: to look at images in ECR"}},
		on: func(s *Scope) []string {
			if len(s.Repositories) == 0 {
				return nil
			}
			return []string{"*"}
		},
	},
	{
		sid: "LookAtImages",
		uses: []use{
			{"ecr:BatchGetImage", "flow doctor: whether an image is there"},
			{"ecr:GetDownloadUrlForLayer", "flow doctor: the architecture of an image"},
		},
		on: func(s *Scope) []string { return s.Repositories },
	},
	{
		sid: "ListFiles", uses: []use{{"s3:ListBucket", "flow run, plan, files, clean, recover: what is below work_dir, inputs that are prefixes or patterns, what is waited for; flow doctor: whether the bucket is there"}},
		on: buckets,
	},
	{
		sid: "ReadFiles", uses: []use{{"s3:GetObject", "flow run, plan, outputs, files, recover: inputs, what is waited for, what tasks have left, and copies of it that are published"}},
		on: func(s *Scope) []string { return s.objects(false) },
	},
	{
		sid: "WriteFiles",
		uses: []use{
			{"s3:PutObject", "flow run, resume: what jobs are told, inputs of this machine, what is published; flow doctor: to try whether work_dir can be written"},
			{"s3:DeleteObject", "flow clean, and temporary outputs; flow doctor: to remove what it tried with"},
			{"s3:ListMultipartUploadParts", "flow run, resume: to go on with an upload that was interrupted"},
			{"s3:AbortMultipartUpload", "flow run, clean: to give up uploads that nobody goes on with"},
		},
		on: func(s *Scope) []string { return s.objects(true) },
	},
	{
		sid: "LookAtUploads",
		uses: []use{
			{"s3:ListBucketMultipartUploads", "flow run, resume, clean: uploads that were interrupted"},
			{"s3:GetLifecycleConfiguration", "flow doctor: whether interrupted uploads are removed some day"},
		},
		on: writtenBuckets,
	},
}

// jobRules are the permissions of the role of jobs. A program may need more.
var jobRules = []rule{
	{
		sid: "JobListsFiles", uses: []use{{"s3:ListBucket", "flow's agent in jobs: whether a file is there, or none; inputs that are prefixes"}},
		on: func(s *Scope) []string { return buckets(s.ofJobs()) },
	},
	{
		sid: "JobReadsFiles", uses: []use{{"s3:GetObject", "flow's agent in jobs: what it has to do, inputs, results that are published"}},
		on: func(s *Scope) []string { return s.ofJobs().objects(false) },
	},
	{
		sid: "JobWritesFiles",
		uses: []use{
			{"s3:PutObject", "flow's agent in jobs: claims, results, and what is published"},
			{"s3:DeleteObject", "flow's agent in jobs: what a dead attempt of the same task has left"},
			{"s3:ListMultipartUploadParts", "flow's agent in jobs: to go on with an upload that was interrupted"},
			{"s3:AbortMultipartUpload", "flow's agent in jobs: to give up an upload that has failed"},
		},
		on: func(s *Scope) []string { return s.objects(true) },
	},
	{
		sid: "JobLooksAtUploads", uses: []use{{"s3:ListBucketMultipartUploads", "flow's agent in jobs: an upload that was interrupted"}},
		on: writtenBuckets,
	},
}

// objects returns the ARNs of files: of all, or of those that are written.
func (s *Scope) objects(written bool) []string {
	var out []string
	for _, f := range s.Files {
		if f.Write || !written {
			out = append(out, "arn:"+s.partition()+":s3:::"+f.Bucket+"/"+f.Prefix+"*")
		}
	}
	return out
}

// buckets returns the ARNs of buckets. A question for the bucket itself, or for an object
// that is not there, has no prefix that could be restricted.
func buckets(s *Scope) []string {
	var out []string
	for _, f := range s.Files {
		out = append(out, "arn:"+s.partition()+":s3:::"+f.Bucket)
	}
	return out
}

// ofJobs returns the scope with the files that jobs have to do with.
func (s *Scope) ofJobs() *Scope {
	return &Scope{Region: s.Region, Files: slices.DeleteFunc(slices.Clone(s.Files), func(f Files) bool { return f.Watched })}
}

// writtenBuckets returns the ARNs of the buckets that are written to.
func writtenBuckets(s *Scope) []string {
	return buckets(&Scope{Region: s.Region, Files: slices.DeleteFunc(slices.Clone(s.Files), func(f Files) bool { return !f.Write })})
}

// passedTo restricts to whom a role may be given.
func passedTo(services ...string) func(*Scope) Condition {
	return func(*Scope) Condition { return Condition{"StringEquals": {"iam:PassedToService": services}} }
}
