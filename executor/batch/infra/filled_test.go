package infra

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// An object is one of JSON.
type object = map[string]any

// likeAWS has what is told of things come as AWS tells it, and a page at a time with one
// thing on it: lists in another order, what was left out filled in, ARNs for names, tags of
// AWS's own, what follows the load (API reference; terraform-provider-aws, which leaves out
// of its comparisons what was seen to differ).
func (w *world) likeAWS() {
	w.ask = func(_ string, body object) {
		if _, ok := body["maxResults"]; ok {
			body["maxResults"] = 1
		}
	}
	w.fill = func(operation string, body object) {
		if !strings.HasPrefix(operation, "describe") {
			return
		}
		for list, fill := range map[string]func(object){
			"computeEnvironments": fillEnvironment, "jobQueues": fillQueue, "jobDefinitions": fillDefinition, "schedulingPolicies": fillPolicy,
		} {
			for _, o := range objects(body[list]) {
				fill(o)
			}
		}
		if operation == "describeconsumableresource" && body["resourceType"] == nonReplenishable {
			body["totalQuantity"] = body["totalQuantity"].(float64) - 37
		}
	}
}

func objects(v any) []object {
	var out []object
	list, _ := v.([]any)
	for _, o := range list {
		out = append(out, o.(object))
	}
	return out
}

// missing fills in what an object does not have.
func missing(o, more object) {
	for k, v := range more {
		if _, ok := o[k]; !ok {
			o[k] = v
		}
	}
}

// turned turns lists round.
func turned(o object, lists ...string) {
	for _, name := range lists {
		if list, ok := o[name].([]any); ok {
			slices.Reverse(list)
		}
	}
}

func fillTags(o object) {
	tags, _ := o["tags"].(object)
	if tags == nil {
		tags = object{}
	}
	tags["aws:cloudformation:stack-name"] = "lab"
	o["tags"] = tags
}

func fillEnvironment(e object) {
	fillTags(e)
	missing(e, object{
		"uuid": "0c1b", "containerOrchestrationType": "ECS", "context": "", "unmanagedvCpus": 0,
		"updatePolicy": object{"terminateJobsOnUpdate": false, "jobExecutionTimeoutMinutes": 30},
	})
	r := e["computeResources"].(object)
	turned(r, "subnets", "securityGroupIds", "instanceTypes")
	missing(r, object{"instanceTypes": []any{}, "tags": object{}, "minvCpus": 0, "bidPercentage": 0, "ec2Configuration": []any{}})
	r["desiredvCpus"] = r["maxvCpus"]
	if strings.HasPrefix(r["type"].(string), "FARGATE") {
		return
	}
	missing(r, object{
		"imageId": "", "ec2KeyPair": "", "placementGroup": "", "launchTemplate": object{"launchTemplateId": "", "version": ""},
		"scalingPolicy": object{"minScaleDownDelayMinutes": 0},
	})
	missing(r["launchTemplate"].(object), object{"version": "$Default", "overrides": []any{}, "userdataType": "EKS_BOOTSTRAP_SH"})
	for _, c := range objects(r["ec2Configuration"]) {
		missing(c, object{"batchImageStatus": "LATEST"})
		if e["eksConfiguration"] != nil {
			missing(c, object{"imageKubernetesVersion": "1.34"})
		}
	}
	for field, kind := range map[string]string{"instanceRole": "instance-profile/", "spotIamFleetRole": "role/"} {
		if name, ok := r[field].(string); ok && !strings.HasPrefix(name, "arn:") {
			r[field] = "arn:aws:iam::123456789012:" + kind + name
		}
	}
}

func fillQueue(q object) {
	fillTags(q)
	turned(q, "computeEnvironmentOrder")
	missing(q, object{"jobQueueType": "ECS", "jobStateTimeLimitActions": []any{}, "serviceEnvironmentOrder": []any{}})
}

func fillPolicy(p object) {
	fillTags(p)
	fair := p["fairsharePolicy"].(object)
	turned(fair, "shareDistribution")
	missing(fair, object{"shareDecaySeconds": 600, "computeReservation": 0, "shareDistribution": []any{}})
	for _, s := range objects(fair["shareDistribution"]) {
		missing(s, object{"weightFactor": 1})
	}
}

func fillDefinition(d object) {
	fillTags(d)
	missing(d, object{
		"containerOrchestrationType": "ECS", "propagateTags": false, "parameters": object{}, "platformCapabilities": []any{"EC2"},
		"retryStrategy": object{"attempts": 1}, "schedulingPriority": 0, "consumableResourceProperties": object{"consumableResourceList": []any{}},
	})
	retry := d["retryStrategy"].(object)
	missing(retry, object{"evaluateOnExit": []any{}})
	for _, e := range objects(retry["evaluateOnExit"]) {
		e["action"] = strings.ToLower(e["action"].(string))
	}
	c := d["containerProperties"].(object)
	fillContainer(c)
	if d["platformCapabilities"].([]any)[0] == "FARGATE" {
		missing(c, object{
			"fargatePlatformConfiguration": object{"platformVersion": "LATEST"}, "networkConfiguration": object{"assignPublicIp": "DISABLED"},
			"runtimePlatform": object{"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"}, "ephemeralStorage": object{"sizeInGiB": 20},
		})
	}
}

func fillContainer(c object) {
	missing(c, object{
		"command": []any{}, "environment": []any{}, "secrets": []any{}, "volumes": []any{}, "mountPoints": []any{}, "ulimits": []any{},
		"readonlyRootFilesystem": false, "privileged": false, "enableExecuteCommand": false, "user": "", "jobRoleArn": "", "executionRoleArn": "",
		"linuxParameters": object{}, "logConfiguration": object{"logDriver": "awslogs"},
	})
	missing(c["linuxParameters"].(object), object{"devices": []any{}, "tmpfs": []any{}, "initProcessEnabled": false})
	if l := c["logConfiguration"].(object); len(l) == 1 {
		delete(c, "logConfiguration")
	} else {
		missing(l, object{"options": object{}, "secretOptions": []any{}})
	}
	c["environment"] = slices.DeleteFunc(c["environment"].([]any), func(v any) bool { return v.(object)["value"] == "" })
	turned(c, "environment", "secrets", "volumes", "mountPoints", "ulimits", "resourceRequirements")
	for _, r := range objects(c["resourceRequirements"]) {
		if whole := r["value"].(string); !strings.Contains(whole, ".") {
			r["value"] = whole + ".0"
		}
	}
	for _, m := range objects(c["mountPoints"]) {
		missing(m, object{"readOnly": false})
	}
	for _, v := range objects(c["volumes"]) {
		missing(v, object{"host": object{}})
		if efs, ok := v["efsVolumeConfiguration"].(object); ok {
			missing(efs, object{"rootDirectory": "/", "transitEncryption": "DISABLED", "transitEncryptionPort": 0, "authorizationConfig": object{"iam": "DISABLED"}})
		}
	}
}

// withJSON has change look at a body of JSON, and returns what it makes of it.
func withJSON(body []byte, operation string, change func(string, object)) []byte {
	var tree object
	if change == nil || json.Unmarshal(body, &tree) != nil {
		return body
	}
	change(operation, tree)
	out, err := json.Marshal(tree)
	if err != nil {
		panic(err) // it was JSON
	}
	return out
}

func (w *wire) filled(operation string, answer *http.Response) (*http.Response, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	body = withJSON(body, operation, w.fill)
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return answer, nil
}

// more has what everyKind has not: what AWS fills in for it.
func more() *engine.Infra {
	in := everyKind(false)
	eks := onDemand("eks", 8)
	eks.EKSCluster, eks.EKSNamespace = "arn:aws:eks:us-east-1:123456789012:cluster/lab", "jobs"
	eks.EC2Configuration = []engine.EC2Configuration{{ImageType: "EKS_AL2023_NVIDIA"}}
	own := onDemand("own", 8)
	own.ServiceRole, own.LaunchTemplate, own.SecurityGroups = "service-role/AWSBatchServiceRole", &engine.LaunchTemplate{ID: "lt-1"}, []string{"sg-2", "sg-1"}
	own.EC2Configuration = []engine.EC2Configuration{{ImageType: "ECS_AL2023"}}
	linked := fargate("linked", 8)
	linked.ServiceRole, linked.Subnets = serviceLinkedRole, []string{"subnet-2", "subnet-1"}
	in.Environments = append(in.Environments, eks, own, linked)
	c := in.Definitions[0].Spec.Container
	c.Ulimits = append(c.Ulimits, engine.Ulimit{Name: "core", Soft: 0, Hard: 0})
	c.LogDriver = "awslogs"
	in.Definitions[0].Spec.Env["EMPTY"] = ""
	plain := definition("plain")
	plain.Spec.Container = &engine.Container{Platform: "FARGATE", ExecutionRole: "run"}
	plain.Spec.Retry = engine.Retry{Attempts: 1}
	in.Definitions = append(in.Definitions, plain, definition("least", "true"))
	return in
}

// What AWS fills in, turns round and adds is no difference: a second apply changes nothing.
// What is changed then is seen all the same.
func TestAsAWSAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.likeAWS()
	w.apply("wf", more())
	in := more()
	in.Environments[0].InstanceTypes, in.Environments[4].LaunchTemplate.Version = []string{"m6i"}, "2"
	in.Queues[0].Environments = []string{"slow", "spot"}
	in.Queues[0].Tags = nil
	in.Definitions[0].Spec.Env["EMPTY"] = "no more"
	in.Definitions[0].Spec.Container.Volumes[1].EFSRoot = "/data"
	in.Definitions[0].Spec.Container.Ulimits[1].Hard = 1
	in.Policies[0].Shares[1].Weight = 3
	wantPlan(t, w.plan("wf", in), `
update scheduling_policy fair
  share: "a" { weight_factor = 1 }, "b*" { weight_factor = 0.5 } -> "a" { weight_factor = 3 }, "b*" { weight_factor = 0.5 }
update compute_environment spot
  instance_types: ["c6i", "m6i"] -> ["m6i"]
replace compute_environment own
  launch_template: { id = "lt-1", version = "$Default" } -> { id = "lt-1", version = "2" } (an environment without AWSServiceRoleForBatch cannot get other instances)
update job_queue first
  compute_environments: ["spot", "slow"] -> ["slow", "spot"]
  tags: { "team" = "genomics" } -> 
update job_definition align
  environment: { "LANG" = "C", "THREADS" = "4" } -> { "EMPTY" = "no more", "LANG" = "C", "THREADS" = "4" }
  container.ulimit: [{"HardLimit":0,"Name":"core","SoftLimit":0},{"HardLimit":4096,"Name":"nofile","SoftLimit":1024}] -> [{"HardLimit":1,"Name":"core","SoftLimit":0},{"HardLimit":4096,"Name":"nofile","SoftLimit":1024}]
  container.volume: [{"EfsVolumeConfiguration":{"FileSystemId":"fs-1"},"Name":"ref"},{"Host":{"SourcePath":"/scratch"},"Name":"scratch"}] -> [{"EfsVolumeConfiguration":{"FileSystemId":"fs-1","RootDirectory":"/data"},"Name":"ref"},{"Host":{"SourcePath":"/scratch"},"Name":"scratch"}]
`)
	w.apply("wf", in)
	if diff := cmp.Diff([]string{"team"}, w.untag); diff != "" {
		t.Errorf("tags that were taken away (-want +got):\n%s", diff)
	}
	m := w.manager("wf")
	p, err := m.PlanDestroy(t.Context())
	w.must(err)
	w.must(m.Apply(t.Context(), p))
	w.ask, w.fill = nil, nil
	if left := w.everything(); left != "" {
		t.Errorf("there is still:\n%s", left)
	}
}

// A server that gives the same page again and again holds up nobody.
func TestSamePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("wf", everyKind(false))
	w.ask = func(_ string, body object) { delete(body, "nextToken") }
	w.fill = func(_ string, body object) { body["nextToken"] = "again" }
	w.settledOn("wf", everyKind(false))
}

// An image that the file names is not taken for AWS's choice, as from Amazon Linux 2 to
// 2023; nor is one of one's own.
func TestImages(t *testing.T) {
	for name, test := range map[string]struct {
		have, want []types.Ec2Configuration
		eks, same  bool
	}{
		"AWS's choice":                 {images("ECS_AL2", "ECS_AL2_NVIDIA"), nil, false, true},
		"own, and no more":             {[]types.Ec2Configuration{{ImageType: aws.String("ECS_AL2023"), ImageIdOverride: aws.String("ami-1")}}, nil, false, false},
		"AL2 to AL2023":                {images("ECS_AL2"), images("ECS_AL2023"), false, false},
		"the default, not told":        {nil, images("ECS_AL2023"), false, true},
		"another, not told":            {nil, images("ECS_AL2"), false, false},
		"the default of EKS, not told": {nil, images("EKS_AL2023"), true, true},
		"the default of ECS on EKS":    {nil, images("ECS_AL2023"), true, false},
		"lower case":                   {images("ecs_al2023"), images("ECS_AL2023"), false, true},
		"one of two":                   {images("ECS_AL2023", "ECS_AL2023_NVIDIA"), images("ECS_AL2023"), false, false},
		"in another order":             {images("ECS_AL2023_NVIDIA", "ECS_AL2023"), images("ECS_AL2023", "ECS_AL2023_NVIDIA"), false, true},
		"a version of AWS's choice":    {kubernetes("1.34"), images("EKS_AL2023"), true, true},
		"another version":              {kubernetes("1.34"), kubernetes("1.35"), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sameImages(test.have, test.want, test.eks); got != test.same {
				t.Errorf("they are the same: %v, want %v", got, test.same)
			}
		})
	}
}

func images(kinds ...string) []types.Ec2Configuration {
	var out []types.Ec2Configuration
	for _, k := range kinds {
		out = append(out, types.Ec2Configuration{ImageType: &k})
	}
	return out
}

func kubernetes(version string) []types.Ec2Configuration {
	return []types.Ec2Configuration{{ImageType: aws.String("EKS_AL2023"), ImageKubernetesVersion: &version}}
}

// What is created is what AWS takes: the service-linked role is not named, for by its name
// without its path it is not found; an environment begins ENABLED; roles are ARNs where AWS
// takes no names; Fargate has nothing of instances.
func TestSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	sent := map[string]object{}
	w.ask = func(operation string, body object) {
		for _, key := range []string{"computeEnvironmentName", "jobDefinitionName"} {
			if name, ok := body[key].(string); ok && (operation == "createcomputeenvironment" || operation == "registerjobdefinition") {
				sent[name] = body
			}
		}
	}
	in := more()
	in.Environments[1].Type, in.Environments[1].SpotFleetRole = engine.TypeSpot, "fleet"
	in.Definitions[0].Spec.Container.JobRole = "jobs"
	w.apply("wf", in)
	if _, ok := sent["linked"]["serviceRole"]; ok || sent["own"]["serviceRole"] != "service-role/AWSBatchServiceRole" {
		t.Errorf("the service roles are %v and %v", sent["linked"]["serviceRole"], sent["own"]["serviceRole"])
	}
	slow := sent["slow"]["computeResources"].(object)
	if sent["slow"]["state"] != "ENABLED" || slow["spotIamFleetRole"] != "arn:aws:iam::123456789012:role/fleet" || slow["allocationStrategy"] != nil {
		t.Errorf("sent of slow: %v", sent["slow"])
	}
	if r := sent["small"]["computeResources"].(object); len(r) != 4 {
		t.Errorf("sent of one on Fargate: %v", r)
	}
	if c := sent["align"]["containerProperties"].(object); c["executionRoleArn"] != "arn:aws:iam::123456789012:role/run" || c["jobRoleArn"] != "arn:aws:iam::123456789012:role/jobs" {
		t.Errorf("the roles of a job are %v and %v", c["executionRoleArn"], c["jobRoleArn"])
	}
}

// What an update leaves out AWS may leave as it is, so it says all that is to change.
func TestUpdateSaysAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := more()
	in.Environments[0].LaunchTemplate = &engine.LaunchTemplate{ID: "lt-1", Version: "7"}
	w.apply("wf", in)
	var policy, environment, how object
	w.ask = func(operation string, body object) {
		switch operation {
		case "updateschedulingpolicy":
			policy = body["fairsharePolicy"].(object)
		case "updatecomputeenvironment":
			environment, _ = body["computeResources"].(object)
			how, _ = body["updatePolicy"].(object)
		}
	}
	in.Policies[0].ShareDecay, in.Policies[0].ComputeReservation, in.Policies[0].Shares = 0, 0, nil
	spot := in.Environments[0]
	spot.LaunchTemplate, spot.Type, spot.AllocationStrategy, spot.BidPercentage = &engine.LaunchTemplate{ID: "lt-1"}, engine.TypeEC2, "BEST_FIT_PROGRESSIVE", 0
	w.apply("wf", in)
	if len(policy) != 3 || policy["shareDecaySeconds"] != 0.0 || policy["computeReservation"] != 0.0 || len(policy["shareDistribution"].([]any)) != 0 {
		t.Errorf("the policy is updated with %v", policy)
	}
	if lt, _ := environment["launchTemplate"].(object); lt["version"] != "$Default" || environment["bidPercentage"] != nil || how["terminateJobsOnUpdate"] != true || how["jobExecutionTimeoutMinutes"] != 60.0 {
		t.Errorf("the environment is updated with %v, by %v", environment, how)
	}
}

// What jobs have used up of a resource is not filled up by an apply, but by -replace.
func TestUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := &engine.Infra{Consumables: everyKind(false).Consumables}
	w.apply("wf", in)
	_, err := w.batch.UpdateConsumableResource(t.Context(), &batch.UpdateConsumableResourceInput{
		ConsumableResource: aws.String("credits"), Operation: aws.String("REMOVE"), Quantity: aws.Int64(30),
	})
	w.must(err)
	w.settledOn("wf", in)
	wantPlan(t, w.plan("wf", in, Replacing("credits")), "replace consumable_resource credits\n  # it was asked for\n")
	w.apply("wf", in, Replacing("credits"))
	if found := w.everything(); !strings.Contains(found, "total_quantity = 100\n") {
		t.Errorf("it was not filled up:\n%s", found)
	}
	_, err = w.manager("wf").Plan(t.Context(), in, Replacing("credit"))
	if want := "-replace credit: flow makes no compute environment, job queue or consumable resource of that name for workflow wf: it has licenses, credits"; err == nil || err.Error() != want {
		t.Errorf("the error is %v", err)
	}
}
