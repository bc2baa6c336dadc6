package endpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/executor/instances"
	"flow/executor/local/model"
)

const (
	ec2Resources = `{"type":"EC2","minvCpus":0,"maxvCpus":128,"instanceTypes":["c4.large","m5"],"instanceRole":"ecsInstanceRole","subnets":["subnet-1"],"securityGroupIds":["sg-1"]}`
	fargate      = `{"type":"FARGATE","maxvCpus":16,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}`
	eksConfig    = `{"eksClusterArn":"arn:aws:eks:us-east-1:012345678910:cluster/c","kubernetesNamespace":"jobs"}`
)

func environment(name, resources string) string {
	return fmt.Sprintf(`{"computeEnvironmentName":%q,"type":"MANAGED","computeResources":%s}`, name, resources)
}

// with returns a JSON object with members replaced; nil takes one away.
func with(t testing.TB, body string, members map[string]any) string {
	t.Helper()
	m := object(t, body)
	maps.Copy(m, members)
	for k, v := range members {
		if v == nil {
			delete(m, k)
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEnvironmentAnswers(t *testing.T) {
	w := newWorld(t)
	arn := "arn:aws:batch:us-east-1:012345678910:compute-environment/"
	equal(t, "created", w.do("CreateComputeEnvironment", environment("a", ec2Resources)),
		`{"computeEnvironmentArn":"`+arn+`a","computeEnvironmentName":"a"}`)
	w.do("CreateComputeEnvironment", with(t, environment("f", fargate), map[string]any{"tags": map[string]string{"k": "v"}, "state": "ENABLED"}))
	w.do("CreateComputeEnvironment", `{"computeEnvironmentName":"u","type":"UNMANAGED","serviceRole":"path/own","unmanagedvCpus":4}`)
	w.do("CreateComputeEnvironment", with(t, environment("e", ec2Resources), map[string]any{
		"eksConfiguration": object(t, eksConfig),
		"computeResources": object(t, with(t, ec2Resources, map[string]any{"allocationStrategy": "BEST_FIT_PROGRESSIVE"})),
	}))
	one := func(name string) map[string]any {
		t.Helper()
		return at(t, w.do("DescribeComputeEnvironments", fmt.Sprintf(`{"computeEnvironments":[%q]}`, name)), "computeEnvironments", 0).(map[string]any)
	}
	if got := one("a")["status"]; got != "CREATING" {
		t.Errorf("created as %v", got)
	}
	w.wait(settle)
	linked := `"serviceRole":"arn:aws:iam::012345678910:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"`
	for name, want := range map[string]string{
		"a": `{"type":"MANAGED","state":"ENABLED","containerOrchestrationType":"ECS","tags":{},` + linked + `,
			"computeResources":{"type":"EC2","minvCpus":0,"maxvCpus":128,"desiredvCpus":0,"instanceTypes":["c4.large","m5"],"instanceRole":"ecsInstanceRole",
				"subnets":["subnet-1"],"securityGroupIds":["sg-1"],"ec2Configuration":[{"imageType":"ECS_AL2023"}]}`,
		"f": `{"type":"MANAGED","state":"ENABLED","containerOrchestrationType":"ECS","tags":{"k":"v"},` + linked + `,"computeResources":` + fargate,
		"u": `{"type":"UNMANAGED","state":"ENABLED","containerOrchestrationType":"ECS","tags":{},"serviceRole":"arn:aws:iam::012345678910:role/path/own","unmanagedvCpus":4`,
		"e": `{"type":"MANAGED","state":"ENABLED","containerOrchestrationType":"EKS","tags":{},` + linked + `,"eksConfiguration":` + eksConfig + `,
			"computeResources":{"type":"EC2","minvCpus":0,"maxvCpus":128,"desiredvCpus":0,"instanceTypes":["c4.large","m5"],"instanceRole":"ecsInstanceRole",
				"subnets":["subnet-1"],"securityGroupIds":["sg-1"],"allocationStrategy":"BEST_FIT_PROGRESSIVE","ec2Configuration":[{"imageType":"EKS_AL2023"}]}`,
	} {
		got := one(name)
		if id, _ := got["uuid"].(string); len(id) != 36 {
			t.Errorf("%s has uuid %q", name, id)
		}
		cluster, _ := got["ecsClusterArn"].(string)
		if strings.HasPrefix(cluster, "arn:aws:ecs:us-east-1:012345678910:cluster/AWSBatch-"+name+"-") == (name == "e") {
			t.Errorf("%s has the cluster %q", name, cluster)
		}
		delete(got, "uuid")
		delete(got, "ecsClusterArn")
		equal(t, name, any(got), want+`,"computeEnvironmentArn":"`+arn+name+`","computeEnvironmentName":"`+name+`","status":"VALID","statusReason":"ComputeEnvironment Healthy"}`)
	}
	names := func(body string) (out []string) {
		for _, e := range at(t, w.do("DescribeComputeEnvironments", body), "computeEnvironments").([]any) {
			out = append(out, at(t, e, "computeEnvironmentName").(string))
		}
		return out
	}
	for body, want := range map[string][]string{
		``: {"a", "e", "f", "u"},
		`{"computeEnvironments":["u","nosuch","` + arn + `a","u"]}`: {"u", "a"},
		`{"maxResults":3}`:                      {"a", "e", "f"},
		`{"maxResults":3,"nextToken":"Zg=="}`:   {"u"},
		`{"maxResults":100,"nextToken":"dQ=="}`: nil,
	} {
		if d := cmp.Diff(want, names(body)); d != "" {
			t.Errorf("%s (-want +got):\n%s", body, d)
		}
	}
	w.refused("DescribeComputeEnvironments", `{"computeEnvironments":["a"],"maxResults":1}`, "ComputeEnvironments and MaxResults cannot both be set")
	w.refused("DescribeComputeEnvironments", `{"maxResults":-1}`, "between 1 and 100")
}

func TestEnvironmentRefusals(t *testing.T) {
	ec2 := func(members map[string]any) string { return environment("x", with(t, ec2Resources, members)) }
	farg := func(members map[string]any) string { return environment("x", with(t, fargate, members)) }
	of := func(resources string, members map[string]any) string {
		return with(t, environment("x", resources), members)
	}
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprint("subnet-", i)
	}
	overrides := func(o ...any) map[string]any {
		return map[string]any{"launchTemplate": map[string]any{"launchTemplateName": "l", "overrides": o}}
	}
	for _, test := range []struct{ body, part string }{
		{`{}`, "Provided name  is not supported pattern[a-zA-Z_0-9-]{1,128}"},
		{environment("a b", ec2Resources), "Provided name a b is not supported pattern"},
		{environment(strings.Repeat("a", 129), ec2Resources), "is not supported pattern"},
		{`{"computeEnvironmentName":"x"}`, "type is required"},
		{`{"computeEnvironmentName":"x","type":"ODD"}`, `"ODD" is not a valid value of type`},
		{`{"computeEnvironmentName":"x","type":"MANAGED"}`, "computeResources must be provided for a MANAGED compute environment"},
		{of(ec2Resources, map[string]any{"state": "DISABLED"}), "must be created in the ENABLED state"},
		{of(ec2Resources, map[string]any{"state": "ON"}), `"ON" is not a valid value of state`},
		{of(ec2Resources, map[string]any{"unmanagedvCpus": 4}), "unmanagedvCpus is not applicable for MANAGED"},
		{of(ec2Resources, map[string]any{"tags": map[string]string{"aws:x": ""}}), "Tag"},
		{`{"computeEnvironmentName":"x","type":"UNMANAGED"}`, "ServiceRole is required."},
		{`{"computeEnvironmentName":"x","type":"UNMANAGED","serviceRole":"arn:aws:iam::012345678910:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"}`,
			"Service Linked Role cannot be used with UNMANAGED Compute Environment"},
		{`{"computeEnvironmentName":"x","type":"UNMANAGED","serviceRole":"a","unmanagedvCpus":-1}`, "unmanagedvCpus"},
		{`{"computeEnvironmentName":"x","type":"UNMANAGED","serviceRole":"a","eksConfiguration":` + eksConfig + `}`, "eksConfiguration is not applicable"},
		{ec2(map[string]any{"type": nil}), "Resource type is required."},
		{ec2(map[string]any{"type": "LAMBDA"}), "is not a valid value of computeResources.type"},
		{ec2(map[string]any{"maxvCpus": nil}), "Resource maxvCpus is required."},
		{ec2(map[string]any{"maxvCpus": -1}), "maxvCpus should not be negative"},
		{ec2(map[string]any{"maxvCpus": 1.5}), "computeResources.maxvCpus should be an integer"},
		{ec2(map[string]any{"minvCpus": nil}), "Resource minvCpus is required."},
		{ec2(map[string]any{"minvCpus": -1}), "minvCpus should not be negative"},
		{ec2(map[string]any{"minvCpus": 129}), "maxvCpus should be greater than or equal to minvCpus."},
		{ec2(map[string]any{"desiredvCpus": 129}), "desiredvCpus should be between minvCpus and maxvCpus."},
		{ec2(map[string]any{"instanceTypes": []string{}}), "Resource instanceTypes are required."},
		{ec2(map[string]any{"instanceTypes": []string{"m5 large"}}), "Instance type can only be one of ["},
		{ec2(map[string]any{"instanceTypes": []string{"m5.bigger"}}), "Instance type can only be one of ["},
		{ec2(map[string]any{"instanceTypes": []string{""}}), "Instance type can only be one of ["},
		{ec2(map[string]any{"instanceTypes": []string{"m6g", "m5"}}), "arm-based instance type cannot be used with other instance types."},
		{ec2(map[string]any{"instanceTypes": []string{"optimal", "default_arm64"}}), "arm-based instance type cannot be used with other instance types."},
		{ec2(map[string]any{"instanceRole": ""}), "Instance role is required."},
		{ec2(map[string]any{"subnets": nil}), "Resource subnets are required."},
		{ec2(map[string]any{"securityGroupIds": nil}), "Resource securityGroupIds are required."},
		{ec2(map[string]any{"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"}), "is applicable for SPOT only"},
		{ec2(map[string]any{"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"}), "is applicable for SPOT only"},
		{ec2(map[string]any{"type": "SPOT", "allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED"}), "is applicable for EC2 only"},
		{ec2(map[string]any{"type": "SPOT"}), "ComputeResources.spotIamFleetRole cannot not be null or empty"},
		{ec2(map[string]any{"bidPercentage": -1}), "bidPercentage"},
		{ec2(map[string]any{"ec2Configuration": []any{map[string]any{"imageType": "ECS_AL3"}}}), "Invalid imageType in ComputeResources.ec2Configuration"},
		{ec2(map[string]any{"ec2Configuration": []any{map[string]any{}}}), "Invalid imageType in ComputeResources.ec2Configuration"},
		{ec2(map[string]any{"ec2Configuration": []any{1, 2}}), "should be an object"},
		{ec2(map[string]any{"ec2Configuration": []any{map[string]any{"imageType": "ECS_AL2"}, map[string]any{"imageType": "ECS_AL2"}, map[string]any{"imageType": "ECS_AL2"}}}), "one or two values"},
		{ec2(map[string]any{"ec2Configuration": []any{map[string]any{"imageType": "ECS_AL2", "imageKubernetesVersion": "1.30"}}}), "EKS only"},
		{ec2(map[string]any{"launchTemplate": map[string]any{}}), "Exactly one of launchTemplateId and launchTemplateName"},
		{ec2(overrides(map[string]any{"launchTemplateName": "o"})), "targetInstanceTypes is required"},
		{ec2(overrides(map[string]any{"targetInstanceTypes": []string{"m5"}})), "in an override"},
		{ec2(overrides(map[string]any{"launchTemplateName": "o", "targetInstanceTypes": []string{"optimal"}})), "cannot have optimal"},
		{ec2(overrides(map[string]any{"launchTemplateName": "o", "targetInstanceTypes": []string{"m5.large", "c5.large"}})), "of instanceTypes only, got c5.large"},
		{ec2(overrides(map[string]any{"launchTemplateName": "o", "targetInstanceTypes": []string{"m5.large"}}, map[string]any{"launchTemplateId": "o", "targetInstanceTypes": []string{"m5"}})), "cannot overlap: m5"},
		{ec2(overrides(make([]any, 11)...)), "up to 10 overrides"},
		{ec2(map[string]any{"scalingPolicy": map[string]any{"minScaleDownDelayMinutes": 19}}), "minScaleDownDelayMinutes"},
		{farg(map[string]any{"subnets": many}), "Fargate supports a maximum of 16 subnets."},
		{farg(map[string]any{"subnets": nil}), "Resource subnets are required."},
		{farg(map[string]any{"securityGroupIds": many}), "maximum of 5"},
		{farg(map[string]any{"securityGroupIds": []string{}}), "Resource securityGroupIds are required."},
		{farg(map[string]any{"tags": map[string]string{"a": "b"}}), "tags is not applicable for Fargate."},
		{farg(map[string]any{"minvCpus": 0}), "minvCpus is not applicable for Fargate."},
		{farg(map[string]any{"desiredvCpus": 1}), "desiredvCpus is not applicable for Fargate."},
		{farg(map[string]any{"instanceTypes": []string{"m5"}}), "instanceTypes is not applicable for Fargate."},
		{farg(map[string]any{"instanceRole": "r"}), "instanceRole is not applicable for Fargate."},
		{farg(map[string]any{"allocationStrategy": "BEST_FIT"}), "allocationStrategy is not applicable for Fargate."},
		{farg(map[string]any{"launchTemplate": map[string]any{}}), "launchTemplate is not applicable for Fargate."},
		{of(fargate, map[string]any{"eksConfiguration": object(t, eksConfig)}), "Fargate is not applicable for EKS."},
		{of(ec2Resources, map[string]any{"eksConfiguration": object(t, eksConfig)}), "allocationStrategy is required for EKS"},
		{of(ec2Resources, map[string]any{"eksConfiguration": map[string]any{"kubernetesNamespace": "n"}}), "eksClusterArn"},
		{of(ec2Resources, map[string]any{"eksConfiguration": map[string]any{"eksClusterArn": "a", "kubernetesNamespace": "kube-system"}}), `kubernetesNamespace "kube-system" is not valid`},
	} {
		newWorld(t).refused("CreateComputeEnvironment", test.body, test.part)
	}
	w := newWorld(t)
	w.do("CreateComputeEnvironment", environment("x", ec2Resources))
	w.refused("CreateComputeEnvironment", environment("x", ec2Resources), "Object already exists")
	for i := range 49 {
		w.do("CreateComputeEnvironment", environment(fmt.Sprint("y", i), ec2Resources))
	}
	w.refused("CreateComputeEnvironment", environment("z", ec2Resources), "50")
	w = newWorld(t)
	pods := func(name string) string {
		r := with(t, ec2Resources, map[string]any{"allocationStrategy": "BEST_FIT_PROGRESSIVE"})
		return with(t, environment(name, r), map[string]any{"eksConfiguration": object(t, eksConfig)})
	}
	for i := range 5 {
		w.do("CreateComputeEnvironment", pods(fmt.Sprint("e", i)))
	}
	w.refused("CreateComputeEnvironment", pods("e5"), "5 compute environments for an EKS cluster")
}

func TestEnvironmentUpdates(t *testing.T) {
	w := newWorld(t)
	progressive := with(t, ec2Resources, map[string]any{"allocationStrategy": "BEST_FIT_PROGRESSIVE", "ec2KeyPair": "key"})
	w.do("CreateComputeEnvironment", environment("fit", ec2Resources))
	w.do("CreateComputeEnvironment", environment("prog", progressive))
	w.do("CreateComputeEnvironment", with(t, environment("own", progressive), map[string]any{"serviceRole": "own"}))
	w.do("CreateComputeEnvironment", environment("farg", fargate))
	w.do("CreateComputeEnvironment", `{"computeEnvironmentName":"u","type":"UNMANAGED","serviceRole":"own"}`)
	w.refused("UpdateComputeEnvironment", `{"computeEnvironment":"fit"}`, "resource is being modified")
	w.wait(settle)
	update := func(name, members string) string { return fmt.Sprintf(`{"computeEnvironment":%q,%s}`, name, members) }
	for _, test := range []struct{ name, body, part string }{
		{"nosuch", `"state":"DISABLED"`, "arn:aws:batch:us-east-1:012345678910:compute-environment/nosuch does not exist"},
		{"", `"state":"DISABLED"`, "ComputeEnvironment is required"},
		{"arn:aws:batch:us-east-1:012345678910:job-queue/fit", `"state":"DISABLED"`, "does not exist"},
		{"fit", `"state":"GONE"`, "is not a valid value of state"},
		{"fit", `"computeResources":{"maxvCpus":-5}`, "maxvCpus"},
		{"fit", `"computeResources":{"minvCpus":500}`, "maxvCpus should be greater than or equal to minvCpus."},
		{"fit", `"computeResources":{"desiredvCpus":500}`, "desiredvCpus should be between minvCpus and maxvCpus."},
		{"fit", `"computeResources":{"desiredvCpus":-1}`, "Manually scaling down compute environment is not supported."},
		{"fit", `"computeResources":{"instanceTypes":["c5"]}`, "BEST_FIT do not support infrastructure updates"},
		{"fit", `"computeResources":{"allocationStrategy":"BEST_FIT_PROGRESSIVE"}`, "BEST_FIT do not support infrastructure updates"},
		{"fit", `"computeResources":{"allocationStrategy":"BEST_FIT"}`, "is not a valid value of computeResources.allocationStrategy"},
		{"fit", `"computeResources":{"updateToLatestImageVersion":true}`, "BEST_FIT do not support infrastructure updates"},
		{"fit", `"computeResources":{}`, "At least one compute-resources attribute must be specified"},
		{"fit", `"computeResources":{"type":"FARGATE"}`, "cannot be changed between EC2 and Fargate"},
		{"fit", `"serviceRole":"own"`, "cannot be exchanged"},
		{"fit", `"unmanagedvCpus":4`, "unmanagedvCpus is not applicable for MANAGED"},
		{"fit", `"updatePolicy":{"jobExecutionTimeoutMinutes":0}`, "jobExecutionTimeoutMinutes"},
		{"prog", `"computeResources":{"instanceTypes":["c6g"," "]}`, "Instance type can only be one of ["},
		{"prog", `"computeResources":{"securityGroupIds":[]}`, "Resource securityGroupIds are required."},
		{"prog", `"computeResources":{"instanceRole":""}`, "Instance role is required."},
		{"own", `"computeResources":{"instanceTypes":["c5"]}`, "without the service-linked role do not support infrastructure updates"},
		{"own", `"serviceRole":"aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"`, "cannot be exchanged"},
		{"farg", `"computeResources":{"minvCpus":0}`, "minvCpus is not applicable for Fargate."},
		{"u", `"computeResources":{"maxvCpus":1}`, "computeResources is not applicable for UNMANAGED"},
	} {
		w.refused("UpdateComputeEnvironment", update(test.name, test.body), test.part)
	}
	for _, test := range []struct{ name, body, want string }{
		{"arn:aws:batch:us-east-1:012345678910:compute-environment/fit", `"state":"DISABLED"`, `{"state":"DISABLED"}`},
		{"fit", `"computeResources":{"minvCpus":4,"maxvCpus":8}`, `{"state":"DISABLED","computeResources":{"minvCpus":4,"desiredvCpus":4,"maxvCpus":8}}`},
		{"fit", `"state":"ENABLED","computeResources":{"maxvCpus":8,"desiredvCpus":6,"instanceTypes":["m5","c4.large"]}`, `{"state":"ENABLED","computeResources":{"minvCpus":4,"desiredvCpus":6,"maxvCpus":8}}`},
		{"fit", `"computeResources":{"maxvCpus":8,"tags":{},"updateToLatestImageVersion":false}`, `{"computeResources":{"maxvCpus":8}}`},
		{"prog", `"computeResources":{"allocationStrategy":"BEST_FIT_PROGRESSIVE_ORDERED"}`, `{"computeResources":{"allocationStrategy":"BEST_FIT_PROGRESSIVE_ORDERED"}}`},
		{"prog", `"computeResources":{"allocationStrategy":"BEST_FIT_PROGRESSIVE"}`, `{"computeResources":{"allocationStrategy":"BEST_FIT_PROGRESSIVE"}}`},
		{"prog", `"computeResources":{"instanceTypes":["c5"],"ec2KeyPair":"","type":"SPOT","tags":{"a":"b"}},"updatePolicy":{"terminateJobsOnUpdate":true}`,
			`{"updatePolicy":{"terminateJobsOnUpdate":true},"computeResources":{"instanceTypes":["c5"],"type":"SPOT","tags":{"a":"b"},"subnets":["subnet-1"]}}`},
		{"prog", `"computeResources":{"launchTemplate":{"launchTemplateName":"l","version":"1"},"securityGroupIds":[]}`, `{"computeResources":{"launchTemplate":{"launchTemplateName":"l","version":"1"}}}`},
		{"prog", `"computeResources":{"launchTemplate":{"launchTemplateName":""},"securityGroupIds":["sg-2"]}`, `{"computeResources":{"securityGroupIds":["sg-2"]}}`},
		{"own", `"serviceRole":"arn:aws:iam::012345678910:role/other"`, `{"serviceRole":"arn:aws:iam::012345678910:role/other"}`},
		{"farg", `"computeResources":{"type":"FARGATE_SPOT","maxvCpus":1,"subnets":["subnet-2"],"securityGroupIds":[]}`,
			`{"computeResources":{"type":"FARGATE_SPOT","maxvCpus":1,"subnets":["subnet-2"],"securityGroupIds":["sg-1"]}}`},
		{"u", `"unmanagedvCpus":4`, `{"unmanagedvCpus":4}`},
	} {
		w.do("UpdateComputeEnvironment", update(test.name, test.body))
		got := at(t, w.do("DescribeComputeEnvironments", fmt.Sprintf(`{"computeEnvironments":[%q]}`, test.name)), "computeEnvironments", 0)
		if s := at(t, got, "status"); s != "UPDATING" {
			t.Errorf("%s is %v", test.name, s)
		}
		within(t, test.name+" "+test.body, got, object(t, test.want))
		w.wait(settle)
	}
	if at(t, w.do("DescribeComputeEnvironments", `{"computeEnvironments":["prog"]}`), "computeEnvironments", 0, "computeResources", "ec2KeyPair") != nil {
		t.Error("an empty ec2KeyPair does not take it away")
	}
}

// within checks that an answer has what is wanted, and perhaps more.
func within(t testing.TB, what string, got any, want map[string]any) {
	t.Helper()
	m, _ := got.(map[string]any)
	for k, v := range want {
		if inner, ok := v.(map[string]any); ok {
			within(t, what+" "+k, m[k], inner)
		} else if d := cmp.Diff(v, m[k]); d != "" {
			t.Errorf("%s %s (-want +got):\n%s", what, k, d)
		}
	}
}

func TestEnvironmentDeletion(t *testing.T) {
	w := newWorld(t)
	w.do("CreateComputeEnvironment", environment("a", ec2Resources))
	w.refused("DeleteComputeEnvironment", `{"computeEnvironment":"a"}`, "Cannot delete, resource is being modified")
	w.wait(settle)
	w.do("CreateJobQueue", `{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"a"}]}`)
	w.refused("DeleteComputeEnvironment", `{"computeEnvironment":"a"}`, "DISABLED")
	w.do("UpdateComputeEnvironment", `{"computeEnvironment":"a","state":"DISABLED"}`)
	w.wait(settle)
	w.refused("DeleteComputeEnvironment", `{"computeEnvironment":"a"}`, "Cannot delete, found existing JobQueue relationship")
	w.refused("DeleteJobQueue", `{"jobQueue":"q"}`, "DISABLED")
	w.do("UpdateJobQueue", `{"jobQueue":"q","state":"DISABLED"}`)
	w.refused("DeleteJobQueue", `{"jobQueue":"q"}`, "Cannot delete, resource is being modified")
	w.wait(settle)
	equal(t, "deleted", w.do("DeleteJobQueue", `{"jobQueue":"arn:aws:batch:us-east-1:012345678910:job-queue/q"}`), `{}`)
	if s := at(t, w.do("DescribeJobQueues", `{"jobQueues":["q"]}`), "jobQueues", 0, "status"); s != "DELETING" {
		t.Errorf("queue is %v", s)
	}
	w.wait(settle)
	equal(t, "gone", w.do("DescribeJobQueues", `{"jobQueues":["q"]}`), `{"jobQueues":[]}`)
	equal(t, "deleted", w.do("DeleteComputeEnvironment", `{"computeEnvironment":"a"}`), `{}`)
	w.wait(settle)
	equal(t, "gone", w.do("DescribeComputeEnvironments", ``), `{"computeEnvironments":[]}`)
	w.do("DeleteComputeEnvironment", `{"computeEnvironment":"a"}`) // again
	w.do("DeleteJobQueue", `{"jobQueue":"q"}`)
	w.refused("DeleteComputeEnvironment", `{}`, "ComputeEnvironment is required")
	w.refused("DeleteJobQueue", `{}`, "JobQueue is required")
}

// The largest instance of an environment, as the User Guide and EC2's list have it.
func TestInstances(t *testing.T) {
	usable := func(gib int) int { return instances.Type{MemoryMiB: gib * 1024}.Usable() }
	for _, test := range []struct {
		types []string
		want  model.Capacity
	}{
		{[]string{"m4.large"}, model.Capacity{VCPUs: 2, MemoryMiB: 7955, GPUs: noGPU}},
		{[]string{"m5.large", "c5.4xlarge"}, model.Capacity{VCPUs: 16, MemoryMiB: usable(32), GPUs: noGPU}},
		{[]string{"m6g.medium"}, model.Capacity{VCPUs: 1, MemoryMiB: usable(4), GPUs: noGPU}},
		{[]string{"t3.micro"}, model.Capacity{VCPUs: 2, MemoryMiB: usable(1), GPUs: noGPU}},
		{[]string{"t4g.medium"}, model.Capacity{VCPUs: 2, MemoryMiB: usable(4), GPUs: noGPU}},
		{[]string{"t2.small"}, model.Capacity{VCPUs: 1, MemoryMiB: usable(2), GPUs: noGPU}},
		{[]string{"c4.8xlarge"}, model.Capacity{VCPUs: 36, MemoryMiB: usable(60), GPUs: noGPU}},
		{[]string{"c5.metal"}, model.Capacity{VCPUs: 96, MemoryMiB: usable(192), GPUs: noGPU}},
		{[]string{"m7i.metal-24xl"}, model.Capacity{VCPUs: 96, MemoryMiB: usable(384), GPUs: noGPU}},
		{[]string{"optimal"}, model.Capacity{VCPUs: 192, MemoryMiB: usable(1024), GPUs: noGPU}},
		{[]string{"default_arm64"}, model.Capacity{VCPUs: 64, MemoryMiB: usable(512), GPUs: noGPU}},
		{[]string{"p3.16xlarge"}, model.Capacity{VCPUs: 64, MemoryMiB: usable(488), GPUs: 8}},
		{[]string{"g4dn.xlarge"}, model.Capacity{VCPUs: 4, MemoryMiB: usable(16), GPUs: 1}},
		{[]string{"g5"}, model.Capacity{VCPUs: 192, MemoryMiB: usable(768), GPUs: 8}},
		{[]string{"p5.48xlarge"}, model.Capacity{VCPUs: 192, MemoryMiB: usable(2048), GPUs: 8}},
		{[]string{"x1e.32xlarge"}, model.Capacity{VCPUs: 128, MemoryMiB: usable(3904), GPUs: noGPU}},
		{[]string{"m5", "zz9.large"}, model.Capacity{}},
	} {
		if d := cmp.Diff(test.want, largest(test.types)); d != "" {
			t.Errorf("%v (-want +got):\n%s", test.types, d)
		}
		if err := checkInstanceTypes(test.types); err != nil {
			t.Errorf("%v: %v", test.types, err)
		}
	}
}
