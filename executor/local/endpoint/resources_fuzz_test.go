package endpoint

import (
	"encoding/json"
	"errors"
	"testing"

	"flow/executor"
)

// FuzzResources carries out two operations on resources, one after the other. Whatever
// they are asked, they do not panic, what they refuse is the client's mistake, and
// everything that is there can be told; and they do the same when they are run again.
func FuzzResources(f *testing.F) {
	index := map[string]byte{}
	for i := range resourceOperations {
		index[resourceOperations[i].name] = byte(i)
	}
	calls := fineCalls(f)
	for i, c := range calls {
		next := calls[(i+1)%len(calls)]
		f.Add(index[c.op], c.body, index[next.op], next.body)
	}
	f.Fuzz(func(t *testing.T, first byte, a string, second byte, b string) {
		one, two := smallWorld(t), smallWorld(t)
		for _, call := range []struct {
			op   byte
			body string
		}{{first, a}, {second, b}} {
			name := resourceOperations[int(call.op)%len(resourceOperations)].name
			got, again := fuzzed(t, one, name, call.body), fuzzed(t, two, name, call.body)
			if got != again {
				t.Errorf("%s %s: %s, run again %s", name, call.body, got, again)
			}
			one.wait(settle)
			two.wait(settle)
		}
		for _, op := range []string{"DescribeComputeEnvironments", "DescribeJobQueues", "DescribeJobDefinitions", "ListSchedulingPolicies", "ListConsumableResources"} {
			one.do(op, ``)
		}
	})
}

// smallWorld has one of each resource.
func smallWorld(t testing.TB) *world {
	w := newWorld(t)
	w.do("CreateComputeEnvironment", environment("a", ec2Resources))
	w.do("CreateComputeEnvironment", environment("prog", with(t, ec2Resources, map[string]any{"allocationStrategy": "BEST_FIT_PROGRESSIVE"})))
	w.wait(settle)
	w.do("CreateSchedulingPolicy", `{"name":"p"}`)
	w.do("CreateJobQueue", queueOn("q", ``, "a"))
	w.do("CreateConsumableResource", `{"consumableResourceName":"lic"}`)
	w.do("RegisterJobDefinition", register("d", `,"containerProperties":`+plainContainer))
	w.wait(settle)
	return w
}

// fuzzed carries an operation out and returns its answer, or its refusal.
func fuzzed(t *testing.T, w *world, name, body string) string {
	out, err := w.try(name, body)
	var refusal executor.Refusal
	if err != nil {
		if !errors.As(err, &refusal) {
			t.Errorf("%s %s: %v", name, body, err)
		}
		return err.Error()
	}
	if !json.Valid([]byte(out)) {
		t.Errorf("%s %s: %s is not JSON", name, body, out)
	}
	return out
}

// A call is an operation and its request.
type call struct{ op, body string }

// fineCalls are requests that a smallWorld does not refuse, with most members.
func fineCalls(t testing.TB) []call {
	progressive := map[string]any{
		"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED", "type": "SPOT", "bidPercentage": 50, "desiredvCpus": 1, "tags": map[string]string{"a": "b"},
		"launchTemplate":   map[string]any{"launchTemplateId": "l", "version": "$Latest", "overrides": []any{map[string]any{"launchTemplateName": "o", "targetInstanceTypes": []string{"m5"}}}},
		"ec2Configuration": []any{map[string]any{"imageType": "EKS_AL2023", "imageKubernetesVersion": "1.30"}}, "scalingPolicy": map[string]any{"minScaleDownDelayMinutes": 20},
	}
	const limits = `"jobStateTimeLimitActions":[{"reason":"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY","state":"RUNNABLE","maxTimeSeconds":600,"action":"CANCEL"}]`
	const queueARN = "arn:aws:batch:us-east-1:012345678910:job-queue/q"
	const job = `,"retryStrategy":{"attempts":3,"evaluateOnExit":[{"action":"RETRY","onExitCode":"1*"}]},"timeout":{"attemptDurationSeconds":60},"parameters":{"a":"b"},"schedulingPriority":1,"tags":{"a":"b"},
		"consumableResourceProperties":{"consumableResourceList":[{"consumableResource":"lic","quantity":1}]}`
	return []call{
		{"CreateComputeEnvironment", environment("x", ec2Resources)},
		{"CreateComputeEnvironment", environment("x", fargate)},
		{"CreateComputeEnvironment", `{"computeEnvironmentName":"x","type":"UNMANAGED","serviceRole":"own","unmanagedvCpus":4}`},
		{"CreateComputeEnvironment", with(t, environment("x", with(t, ec2Resources, progressive)), map[string]any{"eksConfiguration": object(t, eksConfig)})},
		{"UpdateComputeEnvironment", `{"computeEnvironment":"a","state":"DISABLED","computeResources":{"maxvCpus":3,"minvCpus":2,"desiredvCpus":3},"updatePolicy":{"jobExecutionTimeoutMinutes":1}}`},
		{"UpdateComputeEnvironment", `{"computeEnvironment":"prog","computeResources":{"instanceTypes":["g5.xlarge","optimal"],"launchTemplate":{"launchTemplateName":""},"ec2Configuration":[{"imageType":"ECS_AL2"}],"imageId":"","subnets":["s"]}}`},
		{"DescribeComputeEnvironments", `{"maxResults":1,"nextToken":"YQ=="}`},
		{"DescribeComputeEnvironments", `{"computeEnvironments":["a",""]}`},
		{"DeleteComputeEnvironment", `{"computeEnvironment":"arn:aws:batch:us-east-1:012345678910:compute-environment/nosuch"}`},
		{"CreateJobQueue", queueOn("x", `,"tags":{"a":"b"},"schedulingPolicyArn":"`+policyARN+`p",`+limits, "a", "prog")},
		{"UpdateJobQueue", `{"jobQueue":"q","priority":2147483647,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"a"}],` + limits + `}`},
		{"UpdateJobQueue", `{"jobQueue":"` + queueARN + `","state":"DISABLED"}`},
		{"DeleteJobQueue", `{"jobQueue":"nosuch"}`},
		{"DescribeJobQueues", `{"jobQueues":["q"]}`},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDecaySeconds":1,"computeReservation":99,"shareDistribution":[{"shareIdentifier":"a*","weightFactor":0.5},{"shareIdentifier":"b"}]}}`},
		{"UpdateSchedulingPolicy", `{"arn":"` + policyARN + `p","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"x*"}]}}`},
		{"DeleteSchedulingPolicy", `{"arn":"` + policyARN + `p"}`},
		{"DescribeSchedulingPolicies", `{"arns":["` + policyARN + `p"]}`},
		{"ListSchedulingPolicies", `{"maxResults":1}`},
		{"CreateConsumableResource", `{"consumableResourceName":"x","totalQuantity":5,"resourceType":"NON_REPLENISHABLE"}`},
		{"UpdateConsumableResource", `{"consumableResource":"lic","operation":"ADD","quantity":9223372036854775807,"clientToken":"t"}`},
		{"DeleteConsumableResource", `{"consumableResource":"lic"}`},
		{"DescribeConsumableResource", `{"consumableResource":"lic"}`},
		{"ListConsumableResources", `{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME","values":["l*"]}]}`},
		{"ListJobsByConsumableResource", `{"consumableResource":"lic","nextToken":"MQ==","filters":[{"name":"JOB_STATUS","values":["RUNNING"]},{"name":"JOB_NAME","values":["x*"]}]}`},
		{"TagResource", `{"resourceArn":"` + queueARN + `","tags":{"a":"b"}}`},
		{"UntagResource", `{"resourceArn":"` + queueARN + `","tagKeys":["a"]}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:batch:us-east-1:012345678910:job-definition/d:1"}`},
		{"DescribeJobDefinitions", `{"status":"INACTIVE","jobDefinitionName":"d","nextToken":"ZDox"}`},
		{"DescribeJobDefinitions", `{"jobDefinitions":["d:1","d:99999999999",":"]}`},
		{"DescribeJobDefinitions", `{"nextToken":"Og=="}`},
		{"DeregisterJobDefinition", `{"jobDefinition":"d"}`},
		{"RegisterJobDefinition", register("d", job+`,"containerProperties":`+plainContainer)},
		{"RegisterJobDefinition", register("d", `,"platformCapabilities":["FARGATE"],"containerProperties":`+plainFargate)},
		{"RegisterJobDefinition", register("d", `,"containerProperties":{"image":"b","vcpus":1,"memory":4,"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"f","authorizationConfig":{}}}],
			"mountPoints":[{"sourceVolume":"v","containerPath":"/v"}],"ulimits":[{"name":"cpu","softLimit":1,"hardLimit":1}],"linuxParameters":{"tmpfs":[{"containerPath":"/t","size":1}]},"logConfiguration":{"logDriver":"awslogs"},
			"runtimePlatform":{"operatingSystemFamily":"LINUX"},"secrets":[{"name":"a","valueFrom":"b"}],"executionRoleArn":"r","user":"u"}`)},
		{"RegisterJobDefinition", register("d", `,"ecsProperties":`+containers(t, `{"dependsOn":[{"containerName":"b","condition":"SUCCESS"}]}`, `{"name":"b","essential":false,"stopTimeout":2}`))},
		{"RegisterJobDefinition", register("d", `,"eksProperties":{"podProperties":{"containers":[{"image":"b","resources":{"limits":{"cpu":"1","memory":"4Mi"}}}],"volumes":[{"name":"v","emptyDir":{}}]}}`)},
		{"RegisterJobDefinition", `{"jobDefinitionName":"n","type":"multinode","nodeProperties":{"numNodes":3,"mainNode":0,"nodeRangeProperties":[{"targetNodes":"0:1","container":` + plainContainer + `},{"targetNodes":"1:","container":` + plainContainer + `}]}}`},
	}
}

func TestFineCalls(t *testing.T) {
	for _, c := range fineCalls(t) {
		smallWorld(t).do(c.op, c.body)
	}
}
