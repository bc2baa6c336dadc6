package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/cmd/flow/internal/policy"
	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// A request is what AWS asks of a policy when an API is called.
type request struct {
	action   string
	resource string // an ARN; "*": the action is about nothing in particular
	keys     map[string]string
}

// allows reports whether a policy allows a request: each of its statements allows, by
// wildcards in actions and resources, and if its condition holds (IAM User Guide,
// reference_policies_evaluation-logic).
func allows(d *policy.Document, q request) bool {
	return slices.ContainsFunc(d.Statement, func(s policy.Statement) bool {
		return s.Effect == "Allow" && slices.ContainsFunc(s.Action, func(p string) bool { return likeText(p, q.action) }) &&
			slices.ContainsFunc(s.Resource, func(p string) bool { return likeText(p, q.resource) }) && holds(s.Condition, q.keys)
	})
}

func holds(c policy.Condition, keys map[string]string) bool {
	for operator, of := range c {
		for key, values := range of {
			ok := slices.ContainsFunc(values, func(v string) bool {
				if operator == "StringEquals" {
					return v == keys[key]
				}
				return likeText(v, keys[key])
			})
			if !ok {
				return false
			}
		}
	}
	return true
}

// likeText reports whether a text is as a pattern with * and ? says.
func likeText(pattern, text string) bool {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`(?s)^` + expr + `$`).MatchString(text)
}

// of returns the ARN of something of AWS Batch in the account of flow emulate.
func arnOf(kind, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:aws:batch:us-east-1:123456789012:" + kind + "/" + name
}

// A told is what requests say of what a policy is asked for.
type told struct {
	JobQueue, JobDefinition, JobName, JobId, JobDefinitionName, LogGroupName, LogStreamName  string
	ComputeEnvironment, ComputeEnvironmentName, JobQueueName, Name, Arn, SchedulingPolicyArn string
	ConsumableResource, ConsumableResourceName                                               string

	Tags                    map[string]string
	ComputeEnvironmentOrder []struct{ ComputeEnvironment string }
	ComputeResources        struct {
		InstanceRole, SpotIamFleetRole string
		Tags                           map[string]string
	}
	ServiceRole         string
	ContainerProperties struct{ JobRoleArn, ExecutionRoleArn string }
	EcsProperties       struct {
		TaskProperties []struct{ TaskRoleArn, ExecutionRoleArn string }
	}
	ConsumableResourceProperties, ConsumableResourcePropertiesOverride struct {
		ConsumableResourceList []struct{ ConsumableResource string }
	}
}

// requestsOf returns what is asked of a policy for a call of AWS Batch or CloudWatch Logs
// (Service Authorization Reference, AWS Batch).
func requestsOf(t *testing.T, x *apimodel.Exchange) []request {
	t.Helper()
	if target := x.RequestHeader.Get("X-Amz-Target"); target != "" {
		var in told
		if err := json.Unmarshal(x.RequestBody, &in); err != nil {
			t.Fatal(err)
		}
		_, operation, _ := strings.Cut(target, ".")
		return []request{{action: "logs:" + operation, resource: "arn:aws:logs:us-east-1:123456789012:log-group:" + in.LogGroupName + ":log-stream:" + in.LogStreamName}}
	}
	if arn, ok := strings.CutPrefix(x.Path, "/v1/tags/"); ok {
		arn, err := url.PathUnescape(arn)
		if err != nil {
			t.Fatal(err)
		}
		action := map[string]string{"POST": "batch:TagResource", "DELETE": "batch:UntagResource", "GET": "batch:ListTagsForResource"}[x.Method]
		return []request{{action: action, resource: arn}}
	}
	var in told
	if len(x.RequestBody) > 0 {
		if err := json.Unmarshal(x.RequestBody, &in); err != nil {
			t.Fatalf("%s: %v", x.Path, err)
		}
	}
	return ofBatch(strings.TrimPrefix(x.Path, "/v1/"), &in)
}

func ofBatch(path string, in *told) []request {
	var out []request
	add := func(action string, arns ...string) {
		for _, arn := range arns {
			out = append(out, request{action: action, resource: arn})
		}
	}
	pass := func(service string, roles ...string) {
		for _, r := range roles {
			if r == "" {
				continue
			}
			if !strings.HasPrefix(r, "arn:") {
				r = "arn:aws:iam::123456789012:role/" + r
			}
			out = append(out, request{action: "iam:PassRole", resource: strings.Replace(r, ":instance-profile/", ":role/", 1), keys: map[string]string{"iam:PassedToService": service}})
		}
	}
	made := "" // what gets the tags
	switch path {
	case "submitjob":
		made = arnOf("job", "some-id")
		add("batch:SubmitJob", arnOf("job-queue", in.JobQueue), arnOf("job-definition", in.JobDefinition), made)
		for _, c := range in.ConsumableResourcePropertiesOverride.ConsumableResourceList {
			add("batch:SubmitJob", arnOf("consumable-resource", c.ConsumableResource))
		}
	case "registerjobdefinition":
		made = arnOf("job-definition", in.JobDefinitionName+":1")
		add("batch:RegisterJobDefinition", arnOf("job-definition", in.JobDefinitionName))
		for _, c := range in.ConsumableResourceProperties.ConsumableResourceList {
			add("batch:RegisterJobDefinition", arnOf("consumable-resource", c.ConsumableResource))
		}
		pass("ecs-tasks.amazonaws.com", in.ContainerProperties.JobRoleArn, in.ContainerProperties.ExecutionRoleArn)
		for _, p := range in.EcsProperties.TaskProperties {
			pass("ecs-tasks.amazonaws.com", p.TaskRoleArn, p.ExecutionRoleArn)
		}
	case "deregisterjobdefinition":
		add("batch:DeregisterJobDefinition", arnOf("job-definition", in.JobDefinition))
		if strings.Contains(in.JobDefinition, "/flow-") { // one that a run has registered
			out[len(out)-1].keys = map[string]string{"aws:ResourceTag/flow:workflow": "w"}
		}
	case "terminatejob":
		add("batch:TerminateJob", arnOf("job", in.JobId))
	case "getjobqueuesnapshot":
		add("batch:GetJobQueueSnapshot", arnOf("job-queue", in.JobQueue))
	case "createcomputeenvironment":
		made = arnOf("compute-environment", in.ComputeEnvironmentName)
		add("batch:CreateComputeEnvironment", made)
		if len(in.ComputeResources.Tags) > 0 {
			add("batch:SetCapacityTags", made)
		}
		pass("ec2.amazonaws.com", in.ComputeResources.InstanceRole)
		pass("spotfleet.amazonaws.com", in.ComputeResources.SpotIamFleetRole)
		pass("batch.amazonaws.com", in.ServiceRole)
	case "updatecomputeenvironment", "deletecomputeenvironment":
		add("batch:"+strings.ToUpper(path[:1])+path[1:6]+"ComputeEnvironment", arnOf("compute-environment", in.ComputeEnvironment))
	case "createjobqueue", "updatejobqueue", "deletejobqueue":
		made = arnOf("job-queue", in.JobQueueName+in.JobQueue)
		add("batch:"+strings.ToUpper(path[:1])+path[1:6]+"JobQueue", made)
		for _, e := range in.ComputeEnvironmentOrder {
			add("batch:"+strings.ToUpper(path[:1])+path[1:6]+"JobQueue", arnOf("compute-environment", e.ComputeEnvironment))
		}
		if in.SchedulingPolicyArn != "" {
			add("batch:"+strings.ToUpper(path[:1])+path[1:6]+"JobQueue", in.SchedulingPolicyArn)
		}
	case "createschedulingpolicy", "updateschedulingpolicy", "deleteschedulingpolicy":
		made = arnOf("scheduling-policy", in.Name+in.Arn)
		add("batch:"+strings.ToUpper(path[:1])+path[1:6]+"SchedulingPolicy", made)
	case "createconsumableresource", "updateconsumableresource", "deleteconsumableresource", "describeconsumableresource":
		made = arnOf("consumable-resource", in.ConsumableResourceName+in.ConsumableResource)
		verb, _, _ := strings.Cut(path, "consumable")
		add("batch:"+strings.ToUpper(verb[:1])+verb[1:]+"ConsumableResource", made)
	default: // what looks at lists, which cannot be restricted
		add("batch:"+listing[path], "*")
	}
	if len(in.Tags) > 0 && made != "" {
		add("batch:TagResource", made)
	}
	return out
}

// listing are calls that AWS does not restrict to anything.
var listing = map[string]string{
	"describejobs": "DescribeJobs", "listjobs": "ListJobs", "describejobdefinitions": "DescribeJobDefinitions", "describejobqueues": "DescribeJobQueues",
	"describecomputeenvironments": "DescribeComputeEnvironments", "describeschedulingpolicies": "DescribeSchedulingPolicies",
	"listschedulingpolicies": "ListSchedulingPolicies", "listconsumableresources": "ListConsumableResources",
}

// judgePolicy checks that a policy allows all that was called, and returns the actions.
func judgePolicy(t *testing.T, d *policy.Document, r *apimodel.Recorder) map[string]bool {
	t.Helper()
	called, refused := map[string]bool{}, map[string]bool{}
	for _, x := range r.Exchanges() {
		for _, q := range requestsOf(t, x) {
			called[q.action] = true
			if text := fmt.Sprint(q); !allows(d, q) && !refused[text] {
				refused[text] = true
				t.Errorf("the policy does not allow %s (%s)", text, x.Path)
			}
		}
	}
	return called
}

// policyOf returns what flow infra policy prints.
func (c *cloud) policyOf(args ...string) *policy.Document {
	t := c.killBench.t
	t.Helper()
	d := &policy.Document{}
	if err := json.Unmarshal(c.output(append([]string{"infra", "policy", "-q", "-account", "123456789012", "-endpoint", c.url}, args...)...), d); err != nil {
		t.Fatal(err)
	}
	return d
}

const policyWorkflow = `
workflow "w" {
  defaults {
    image = "busybox"
    queue = "q"
  }
}
step "one" {
  command = ["echo", "hello"]
  container { job_role = "arn:aws:iam::123456789012:role/worker" }
}
step "many" {
  for_each   = [1, 2, 3]
  command    = ["false"]
  depends_on = [step.one]
  container {
    log_configuration {
      driver  = "awslogs"
      options = { "awslogs-group" = "/lab" }
    }
  }
}
step "own" {
  job_definition       = "sh"
  consumable_resources = { tokens = 1 }
}
step "licensed" {
  command              = ["true"]
  consumable_resources = { (consumable_resource.license.name) = 1 }
}
consumable_resource "license" { existing = "license" }
step "long" {
  command = ["sleep", "600"]
}
`

// define registers a job definition of a command.
func (c *cloud) define(name string, command ...string) {
	t := c.killBench.t
	t.Helper()
	_, err := c.client.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox"), Command: command,
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever flow calls when a workflow is run and looked at, the policy for it allows.
func TestPolicyAllowsARun(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.define("sh", "true")
	for _, name := range []string{"license", "tokens"} {
		if _, err := c.client.CreateConsumableResource(t.Context(), &batch.CreateConsumableResourceInput{ConsumableResourceName: &name, TotalQuantity: aws.Int64(1)}); err != nil {
			t.Fatal(err)
		}
	}
	c.write("w.hcl", policyWorkflow)
	d := c.policyOf("w.hcl")
	r := apimodel.Record(t, c.url)
	try := func(args ...string) { _, _ = c.command(args...).CombinedOutput() } // it may fail, as the run does
	where := []string{"-executor", "batch", "-endpoint", r.URL, "-poll", "100ms"}

	c.output(append([]string{"plan", "w.hcl"}, where...)...)
	c.output(append([]string{"run", "-detach", "w.hcl"}, where...)...)
	until(t, func() bool { return strings.Contains(string(c.output("status", "-json", "@last")), `"RUNNING"`) })
	c.output("status", "@last")
	c.output("logs", "@last/one")
	try("status", "@last/one")
	try("explain", "@last/long")
	try("explain", "@last/many[0]")
	try(append([]string{"doctor", "w.hcl"}, where[:4]...)...)
	try("cancel", "@last")
	try("wait", "@last")
	try("logs", "@last/many")

	called := judgePolicy(t, d, r)
	for _, action := range []string{
		"batch:SubmitJob", "batch:RegisterJobDefinition", "batch:TagResource", "batch:DescribeJobs", "batch:ListJobs", "batch:DescribeJobDefinitions",
		"batch:DescribeJobQueues", "batch:DescribeComputeEnvironments", "batch:TerminateJob", "logs:GetLogEvents", "iam:PassRole",
	} {
		if !called[action] {
			t.Errorf("nobody called %s", action)
		}
	}
}

// ofIAM returns what is asked of a policy for a call of IAM.
func ofIAM(t *testing.T, x *apimodel.Exchange) []request {
	t.Helper()
	in, err := url.ParseQuery(string(x.RequestBody))
	if err != nil {
		t.Fatal(err)
	}
	role, profile := "arn:aws:iam::123456789012:role/"+in.Get("RoleName"), "arn:aws:iam::123456789012:instance-profile/"+in.Get("InstanceProfileName")
	action := in.Get("Action")
	q := request{action: "iam:" + action, resource: role, keys: map[string]string{"iam:PolicyARN": in.Get("PolicyArn")}}
	if strings.Contains(action, "InstanceProfile") {
		q.resource = profile
	}
	out := []request{q}
	if action == "AddRoleToInstanceProfile" {
		out = append(out, request{action: "iam:PassRole", resource: role, keys: map[string]string{"iam:PassedToService": "ec2.amazonaws.com"}})
	}
	if in.Has("Tags.member.1.Key") {
		out = append(out, request{action: map[string]string{"CreateRole": "iam:TagRole", "CreateInstanceProfile": "iam:TagInstanceProfile"}[action], resource: q.resource})
	}
	return out
}

const policedInfra = `
workflow "w" {}
variable "most" {
  type    = number
  default = 16
}
scheduling_policy "fair" {
  share "flow" { weight_factor = var.most > 16 ? 2 : 1 }
}
consumable_resource "license" { total_quantity = var.most }
compute_environment "spot" {
  type               = "SPOT"
  max_vcpus          = var.most
  instance_types     = ["optimal"]
  subnets            = ["subnet-11111111"]
  security_group_ids = ["sg-11111111"]
  instance_tags      = { Name = "worker" }
  create_roles       = true
}
job_queue "fair" {
  priority             = var.most
  compute_environments = [compute_environment.spot]
  scheduling_policy    = scheduling_policy.fair
  tags                 = var.most > 16 ? { a = "b" } : { c = "d" }
}
job_definition "tool" {
  image        = "busybox"
  command      = ["echo", "${var.most}"]
  create_roles = true

  consumable_resources = { (consumable_resource.license.name) = 1 }
}
`

// Whatever flow calls when infrastructure is made, changed, looked at and removed, the
// policy for it allows.
func TestPolicyAllowsInfra(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.write("w.hcl", policedInfra)
	d := c.policyOf("-for", "infra", "w.hcl")
	c.write("run.hcl", "workflow \"w\" {}\nstep \"a\" {\n  command = [\"true\"]\n  image = \"busybox\"\n}\n")
	c.output("run", "-q", "run.hcl", "-executor", "batch", "-queue", "q", "-endpoint", c.url, "-poll", "100ms") // destroy removes what it has registered
	r, roles := apimodel.Record(t, c.url), apimodel.Record(t, fetched.Moto(t, "MOTO_IAM_LOAD_MANAGED_POLICIES=true"))
	for _, args := range [][]string{
		{"plan", "w.hcl"}, {"apply", "-auto-approve", "w.hcl"}, {"apply", "-auto-approve", "-var", "most=32", "w.hcl"},
		{"status", "w.hcl"}, {"export", "-o", "terraform", "-import", "w.hcl"}, {"destroy", "-auto-approve", "w.hcl"},
	} {
		cmd := c.command(append(append([]string{"infra"}, args...), "-endpoint", r.URL)...)
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_IAM="+roles.URL, "AWS_ENDPOINT_URL_STS="+roles.URL)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("flow infra %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	called := judgePolicy(t, d, r)
	for _, x := range roles.Exchanges() {
		if strings.Contains(string(x.RequestBody), "GetCallerIdentity") {
			continue // which everybody may
		}
		for _, q := range ofIAM(t, x) {
			called[q.action] = true
			if !allows(d, q) {
				t.Errorf("the policy does not allow %v", q)
			}
		}
	}
	for _, s := range d.Statement {
		for _, action := range s.Action {
			if !called[action] && !slices.Contains(seldom, action) {
				t.Errorf("%s: nobody called %s", s.Sid, action)
			}
		}
	}
}

// seldom are actions that the commands of the test have no need of.
var seldom = []string{
	"iam:CreateServiceLinkedRole", "iam:UpdateAssumeRolePolicy", "iam:DeleteRolePolicy", // something is there or changed by others
}

// What a workflow does not name, its policy does not allow.
func TestPolicyAllowsNoMore(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.write("w.hcl", policyWorkflow)
	d := c.policyOf("w.hcl")
	role := "arn:aws:iam::123456789012:role/worker"
	for _, q := range []request{
		{action: "batch:SubmitJob", resource: arnOf("job-queue", "other")},
		{action: "batch:SubmitJob", resource: arnOf("job-definition", "other:1")},
		{action: "batch:RegisterJobDefinition", resource: arnOf("job-definition", "sh")},
		{action: "batch:TagResource", resource: arnOf("job-queue", "q")},
		{action: "batch:DeleteJobQueue", resource: arnOf("job-queue", "q")},
		{action: "logs:GetLogEvents", resource: "arn:aws:logs:us-east-1:123456789012:log-group:/other:log-stream:x"},
		{action: "iam:PassRole", resource: role, keys: map[string]string{"iam:PassedToService": "lambda.amazonaws.com"}},
		{action: "iam:PassRole", resource: role + "2", keys: map[string]string{"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
		{action: "s3:GetObject", resource: "arn:aws:s3:::lab/x"},
	} {
		if allows(d, q) {
			t.Errorf("it allows %v", q)
		}
	}
	registered := request{action: "batch:DeregisterJobDefinition", resource: arnOf("job-definition", "flow-busybox-0123456789abcdef:1")}
	for workflow, want := range map[string]bool{"w": true, "other": false, "": false} {
		registered.keys = map[string]string{"aws:ResourceTag/flow:workflow": workflow}
		if got := allows(c.policyOf("-for", "infra", "w.hcl"), registered); got != want {
			t.Errorf("what runs of workflow %q have registered: %v", workflow, got)
		}
	}
	if q := (request{action: "iam:PassRole", resource: role, keys: map[string]string{"iam:PassedToService": "ecs-tasks.amazonaws.com"}}); !allows(d, q) {
		t.Errorf("it does not allow %v", q)
	}
}
