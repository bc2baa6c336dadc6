package judges

import (
	"flag"
	"math/rand/v2"
	"testing"

	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

var (
	randomSeed     = flag.Uint64("random.seed", 1, "of TestRandomRequests")
	randomRequests = flag.Int("random.requests", 4000, "of TestRandomRequests")
)

// Whatever is asked, the answer is as the model says: what it does not allow is refused,
// and nothing is an error of the service.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	ep := start(t, "--runner", "instant", "--latency", "0s")
	c := cloudAt(t, ep)
	c.define("d", "true")
	arn := func(kind, name string) string { return "arn:aws:batch:us-east-1:123456789012:" + kind + "/" + name }
	g := apimodel.Generator{
		Model: fetched.Model(t), Rand: rand.New(rand.NewPCG(*randomSeed, 0)), Wild: 0.01,
		Often: map[string]bool{"containerProperties": true, "image": true, "operation": true, "quantity": true, "vcpus": true, "memory": true, "computeEnvironmentOrder": true, "computeResources": true},
		Never: map[string]bool{"capacityTags": true, "ecsSettings": true}, // newer than the SDK for Go that the endpoint is made with
		Words: map[string][]string{
			"jobQueue": {c.queue, c.queue, arn("job-queue", c.queue), "none"}, "jobDefinition": {"d", "d", "d:1", arn("job-definition", "d:1"), "none"},
			"jobName": {"a", "b", "job-1"}, "image": {"busybox"}, "value": {"1", "64", "x"}, "key": {"k", "tag-1", "K"},
			"computeEnvironment": {c.env, "e1", "none"}, "computeEnvironmentName": {"e1", "e2", "e3"}, "jobQueueName": {"q1", "q2", "q3"},
			"jobDefinitionName": {"d", "d1", "d2"}, "name": {"n1", "n2", "JOB_NAME", "JOB_DEFINITION", "AFTER_CREATED_AT"}, "values": {"a*", "d", "0"},
			"resourceArn": {arn("job-queue", c.queue), arn("job-definition", "d:1"), arn("compute-environment", c.env), "none"},
			"arn":         {arn("scheduling-policy", "n1"), arn("scheduling-policy", "n2")}, "schedulingPolicyArn": {arn("scheduling-policy", "n1")},
			"arns": {arn("scheduling-policy", "n1"), "x"}, "consumableResourceName": {"r1", "r2"}, "consumableResource": {"r1", "r2", arn("consumable-resource", "r1")},
			"reason": {"because", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}, "instanceTypes": {"optimal", "m5.large", "c5"}, "instanceRole": {"role"},
			"subnets": {"subnet-1"}, "securityGroupIds": {"sg-1"}, "executionRoleArn": {"arn:aws:iam::123456789012:role/r"}, "command": {"true", "echo", "Ref::x"},
			"shareIdentifier": {"a", "b"}, "operation": {"SET", "ADD", "REMOVE"}, "containerPath": {"/a", "/b"}, "sourceVolume": {"a"}, "nextToken": {"x"},
		},
	}
	answers := map[int]int{}
	accepted := map[string]bool{}
	for range *randomRequests {
		r := g.Next("Batch")
		status, _, _ := ep.ask(t, r.Method, r.Path, "", string(r.Body))
		answers[status]++
		if status == 200 {
			accepted[r.Operation] = true
		}
	}
	var never []string
	for _, op := range g.Model.Operations("Batch") {
		if !accepted[op] {
			never = append(never, op)
		}
	}
	t.Logf("answers by status: %v; never accepted: %v", answers, never)
	if answers[500] > 0 {
		t.Errorf("%d answers are errors of the service", answers[500])
	}
	if len(accepted) < 25 {
		t.Errorf("requests of only %d operations were accepted: they are too random to test anything", len(accepted))
	}
}
