package endpoint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// queueWorld has the environments a, b, c and d of EC2, arm, farg, spot and eks, all of
// them VALID, the policy p, and young, which is CREATING.
func queueWorld(t testing.TB) *world {
	w := newWorld(t)
	progressive := map[string]any{"allocationStrategy": "BEST_FIT_PROGRESSIVE"}
	for name, resources := range map[string]string{
		"a": ec2Resources, "b": ec2Resources, "c": ec2Resources, "d": ec2Resources, "farg": fargate,
		"spot": strings.Replace(fargate, "FARGATE", "FARGATE_SPOT", 1),
		"arm":  with(t, ec2Resources, map[string]any{"instanceTypes": []string{"m6g"}}),
	} {
		w.do("CreateComputeEnvironment", environment(name, resources))
	}
	w.do("CreateComputeEnvironment", with(t, environment("eks", with(t, ec2Resources, progressive)), map[string]any{"eksConfiguration": object(t, eksConfig)}))
	w.wait(settle)
	w.do("CreateSchedulingPolicy", `{"name":"p"}`)
	w.do("CreateSchedulingPolicy", `{"name":"p2"}`)
	w.do("CreateComputeEnvironment", environment("young", ec2Resources))
	return w
}

// order is a computeEnvironmentOrder of those environments.
func order(names ...string) string {
	var list []string
	for i, name := range names {
		list = append(list, fmt.Sprintf(`{"order":%d,"computeEnvironment":%q}`, i+1, name))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func queueOn(name, more string, environments ...string) string {
	return fmt.Sprintf(`{"jobQueueName":%q,"priority":1,"computeEnvironmentOrder":%s%s}`, name, order(environments...), more)
}

const policyARN = "arn:aws:batch:us-east-1:012345678910:scheduling-policy/"

func TestQueueAnswers(t *testing.T) {
	w := queueWorld(t)
	limit := `{"reason":"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY","state":"RUNNABLE","maxTimeSeconds":600,"action":"CANCEL"}`
	equal(t, "created", w.do("CreateJobQueue", `{"jobQueueName":"HighPriority","priority":10,"state":"ENABLED","computeEnvironmentOrder":[
		{"order":7,"computeEnvironment":"b"},{"order":3,"computeEnvironment":"arn:aws:batch:us-east-1:012345678910:compute-environment/a"}]}`),
		`{"jobQueueArn":"arn:aws:batch:us-east-1:012345678910:job-queue/HighPriority","jobQueueName":"HighPriority"}`)
	w.do("CreateJobQueue", queueOn("fair", `,"state":"DISABLED","tags":{"k":"v"},"schedulingPolicyArn":"`+policyARN+`p","jobQueueType":"ECS_FARGATE","jobStateTimeLimitActions":[`+limit+`]`, "farg", "spot"))
	w.do("CreateJobQueue", queueOn("pods", ``, "eks"))
	ce := `"arn:aws:batch:us-east-1:012345678910:compute-environment/`
	jq := `"jobQueueArn":"arn:aws:batch:us-east-1:012345678910:job-queue/`
	high := jq + `HighPriority","jobQueueName":"HighPriority","priority":10,"state":"ENABLED","jobQueueType":"ECS","tags":{},"jobStateTimeLimitActions":[],
		"computeEnvironmentOrder":[{"order":3,"computeEnvironment":` + ce + `a"},{"order":7,"computeEnvironment":` + ce + `b"}]`
	equal(t, "young", w.do("DescribeJobQueues", `{"jobQueues":["HighPriority","nosuch"]}`), `{"jobQueues":[{`+high+`,"status":"CREATING"}]}`)
	w.wait(settle)
	equal(t, "all", w.do("DescribeJobQueues", ``), `{"jobQueues":[
		{`+high+`,"status":"VALID","statusReason":"JobQueue Healthy"},
		{`+jq+`fair","jobQueueName":"fair","priority":1,"state":"DISABLED","jobQueueType":"ECS_FARGATE","tags":{"k":"v"},"schedulingPolicyArn":"`+policyARN+`p",
			"computeEnvironmentOrder":[{"order":1,"computeEnvironment":`+ce+`farg"},{"order":2,"computeEnvironment":`+ce+`spot"}],
			"jobStateTimeLimitActions":[`+limit+`],"status":"VALID","statusReason":"JobQueue Healthy"},
		{`+jq+`pods","jobQueueName":"pods","priority":1,"state":"ENABLED","jobQueueType":"EKS","tags":{},"jobStateTimeLimitActions":[],
			"computeEnvironmentOrder":[{"order":1,"computeEnvironment":`+ce+`eks"}],"status":"VALID","statusReason":"JobQueue Healthy"}]}`)
	first := w.do("DescribeJobQueues", `{"maxResults":2}`)
	rest := w.do("DescribeJobQueues", fmt.Sprintf(`{"maxResults":2,"nextToken":%q}`, at(t, first, "nextToken")))
	if n := len(at(t, rest, "jobQueues").([]any)); n != 1 || at(t, rest, "nextToken") != nil {
		t.Errorf("second page: %v", rest)
	}
	w.refused("DescribeJobQueues", `{"jobQueues":["a"],"maxResults":1}`, "JobQueues and MaxResults cannot both be set")
}

func TestQueueRefusals(t *testing.T) {
	w := queueWorld(t)
	action := func(reason, action, seconds string) string {
		return fmt.Sprintf(`,"jobStateTimeLimitActions":[{"reason":%q,"state":"RUNNABLE","action":%q,"maxTimeSeconds":%s}]`, reason, action, seconds)
	}
	const reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
	twice := strings.Replace(action(reason, "CANCEL", "600"), "[", `[{"reason":"`+reason+`","state":"RUNNABLE","action":"CANCEL","maxTimeSeconds":700},`, 1)
	for _, test := range []struct{ body, part string }{
		{`{}`, "Job Queue name should match a valid pattern."},
		{queueOn("a b", "", "a"), "Job Queue name should match a valid pattern."},
		{`{"jobQueueName":"q"}`, "priority is required"},
		{strings.Replace(queueOn("q", "", "a"), `"priority":1`, `"priority":-1`, 1), "priority should not be negative"},
		{queueOn("q", ``), "should have 1 to 3 Compute Environments"},
		{`{"jobQueueName":"q","priority":1}`, "should have 1 to 3 Compute Environments"},
		{queueOn("q", ``, "a", "b", "c", "d"), "should have 1 to 3 Compute Environments"},
		{queueOn("q", ``, "nosuch"), "Compute Environments must be created and valid before attaching them to a job queue"},
		{queueOn("q", ``, "young"), "Compute Environments must be created and valid before attaching them to a job queue"},
		{queueOn("q", ``, "a", "farg"), "Fargate and EC2 compute environments can not be mixed."},
		{queueOn("q", ``, "eks", "a"), "ECS and EKS compute environments can not be mixed."},
		{queueOn("q", ``, "a", "arm"), "different architectures"},
		{strings.Replace(queueOn("q", ``, "a", "b"), `"order":2`, `"order":1`, 1), "Duplicate ComputeEnvironment order values."},
		{strings.Replace(queueOn("q", ``, "a"), `"order":1,`, ``, 1), "needs an order"},
		{queueOn("q", ``, "a", "a"), "twice"},
		{queueOn("q", `,"jobQueueType":"ECS_FARGATE"`, "a"), "does not go with"},
		{queueOn("q", `,"jobQueueType":"SAGEMAKER_TRAINING"`, "a"), "SageMaker"},
		{queueOn("q", `,"serviceEnvironmentOrder":[{"order":1}]`, "a"), "SageMaker"},
		{queueOn("q", `,"state":"OPEN"`, "a"), "is not a valid value of state"},
		{queueOn("q", `,"tags":{"":"x"}`, "a"), "Tag"},
		{queueOn("q", `,"schedulingPolicyArn":"`+policyARN+`nosuch"`, "a"), "SchedulingPolicy " + policyARN + "nosuch not found."},
		{queueOn("q", `,"schedulingPolicyArn":"p"`, "a"), "SchedulingPolicy p not found."},
		{queueOn("q", action(reason, "TERMINATE", "600"), "a"), "Invalid job action. Valid job actions: [CANCEL]"},
		{queueOn("q", action("SLOW", "CANCEL", "600"), "a"), "Invalid job reason"},
		{queueOn("q", action(reason, "CANCEL", "599"), "a"), "maxTimeSeconds should be between 600 and 86400"},
		{queueOn("q", action(reason, "CANCEL", "86401"), "a"), "maxTimeSeconds should be between 600 and 86400"},
		{queueOn("q", twice, "a"), "Duplicate job state limit actions are not allowed."},
		{queueOn("q", `,"jobStateTimeLimitActions":[{}]`, "a"), "Invalid job action."},
	} {
		w.refused("CreateJobQueue", test.body, test.part)
	}
	w.do("CreateJobQueue", queueOn("q", ``, "a"))
	w.refused("CreateJobQueue", queueOn("q", ``, "a"), "Object already exists")
	for i := range 49 {
		w.do("CreateJobQueue", queueOn(fmt.Sprint("q", i), ``, "a"))
	}
	w.refused("CreateJobQueue", queueOn("more", ``, "a"), "50")
}

func TestQueueUpdates(t *testing.T) {
	w := queueWorld(t)
	w.do("CreateJobQueue", queueOn("fifo", ``, "a"))
	w.do("CreateJobQueue", queueOn("fair", `,"schedulingPolicyArn":"`+policyARN+`p"`, "a"))
	w.wait(settle)
	for _, test := range []struct{ body, part string }{
		{`{}`, "JobQueue is required"},
		{`{"jobQueue":"nosuch"}`, "arn:aws:batch:us-east-1:012345678910:job-queue/nosuch does not exist"},
		{`{"jobQueue":"fifo","schedulingPolicyArn":"` + policyARN + `p"}`, "cannot be added"},
		{`{"jobQueue":"fair","schedulingPolicyArn":""}`, "cannot be removed"},
		{`{"jobQueue":"fair","schedulingPolicyArn":"` + policyARN + `no"}`, "not found."},
		{`{"jobQueue":"fifo","computeEnvironmentOrder":[]}`, "should have 1 to 3 Compute Environments"},
		{`{"jobQueue":"fifo","computeEnvironmentOrder":` + order("a", "farg") + `}`, "can not be mixed"},
		{`{"jobQueue":"fifo","priority":-1}`, "priority"},
		{`{"jobQueue":"fifo","jobStateTimeLimitActions":[{"action":"CANCEL"}]}`, "Invalid job state"},
		{`{"jobQueue":"fifo","serviceEnvironmentOrder":[{}]}`, "SageMaker"},
	} {
		w.refused("UpdateJobQueue", test.body, test.part)
	}
	for _, test := range []struct{ body, want string }{
		{`{"jobQueue":"fifo","state":"DISABLED"}`, `{"state":"DISABLED","priority":1,"status":"UPDATING"}`},
		{`{"jobQueue":"arn:aws:batch:us-east-1:012345678910:job-queue/fifo","state":"ENABLED","priority":9}`, `{"state":"ENABLED","priority":9}`},
		{`{"jobQueue":"fifo","computeEnvironmentOrder":` + order("farg") + `}`, `{"jobQueueType":"ECS_FARGATE","priority":9,
			"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"arn:aws:batch:us-east-1:012345678910:compute-environment/farg"}]}`},
		{`{"jobQueue":"fair","schedulingPolicyArn":"` + policyARN + `p2"}`, `{"schedulingPolicyArn":"` + policyARN + `p2"}`},
		{`{"jobQueue":"fair","schedulingPolicyArn":"` + policyARN + `p2","priority":0}`, `{"priority":0}`},
		{`{"jobQueue":"fair","jobStateTimeLimitActions":[]}`, `{"jobStateTimeLimitActions":[]}`},
	} {
		name := at(t, w.do("UpdateJobQueue", test.body), "jobQueueName")
		within(t, test.body, at(t, w.do("DescribeJobQueues", fmt.Sprintf(`{"jobQueues":[%q]}`, name)), "jobQueues", 0), object(t, test.want))
		w.wait(settle)
	}
	// Environments that are busy do not keep a queue from being disabled.
	w.do("UpdateComputeEnvironment", `{"computeEnvironment":"a","state":"DISABLED"}`)
	w.do("UpdateJobQueue", `{"jobQueue":"fair","state":"DISABLED"}`)
}

func TestPolicies(t *testing.T) {
	w := queueWorld(t)
	fair := `{"shareDecaySeconds":3600,"computeReservation":10,"shareDistribution":[{"shareIdentifier":"A*","weightFactor":0.0001},{"shareIdentifier":"B"}]}`
	equal(t, "created", w.do("CreateSchedulingPolicy", `{"name":"f","fairsharePolicy":`+fair+`,"tags":{"k":"v"}}`), `{"arn":"`+policyARN+`f","name":"f"}`)
	equal(t, "described", w.do("DescribeSchedulingPolicies", `{"arns":["`+policyARN+`f","`+policyARN+`f","`+policyARN+`nosuch"]}`),
		`{"schedulingPolicies":[{"arn":"`+policyARN+`f","name":"f","tags":{"k":"v"},"fairsharePolicy":`+fair+`}]}`)
	equal(t, "updated", w.do("UpdateSchedulingPolicy", `{"arn":"`+policyARN+`f","fairsharePolicy":{"computeReservation":1}}`), `{}`)
	within(t, "updated", at(t, w.do("DescribeSchedulingPolicies", `{"arns":["`+policyARN+`f"]}`), "schedulingPolicies", 0), object(t, `{"fairsharePolicy":{"computeReservation":1},"tags":{"k":"v"}}`))
	equal(t, "listed", w.do("ListSchedulingPolicies", ``), `{"schedulingPolicies":[{"arn":"`+policyARN+`f"},{"arn":"`+policyARN+`p"},{"arn":"`+policyARN+`p2"}]}`)
	var got []any
	for token, more := "", true; more; more = token != "" {
		out := w.do("ListSchedulingPolicies", fmt.Sprintf(`{"maxResults":1,"nextToken":%q}`, token))
		got = append(got, at(t, out, "schedulingPolicies", 0, "arn"))
		token, _ = at(t, out, "nextToken").(string)
	}
	if d := cmp.Diff([]any{policyARN + "f", policyARN + "p", policyARN + "p2"}, got); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	equal(t, "deleted", w.do("DeleteSchedulingPolicy", `{"arn":"`+policyARN+`f"}`), `{}`)
	equal(t, "gone", w.do("DescribeSchedulingPolicies", `{"arns":["`+policyARN+`f"]}`), `{"schedulingPolicies":[]}`)
	w.do("DeleteSchedulingPolicy", `{"arn":"`+policyARN+`f"}`)
	for _, test := range []struct{ op, body, part string }{
		{"CreateSchedulingPolicy", `{"name":"a b"}`, "is not supported pattern"},
		{"CreateSchedulingPolicy", `{"name":"p"}`, "Object already exists"},
		{"CreateSchedulingPolicy", `{"name":"x","quotaSharePolicy":{}}`, "SageMaker"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDecaySeconds":604801}}`, "shareDecaySeconds"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"computeReservation":100}}`, "computeReservation"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[{}]}}`, "Share identifier"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"a-b"}]}}`, "Share identifier"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"a","weightFactor":0}]}}`, "weightFactor"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"a","weightFactor":1000}]}}`, "weightFactor"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"A*"},{"shareIdentifier":"A1"}]}}`, "overlap"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"A"},{"shareIdentifier":"A"}]}}`, "overlap"},
		{"CreateSchedulingPolicy", `{"name":"x","fairsharePolicy":{"shareDistribution":[` + strings.Repeat(`{},`, 500) + `{}]}}`, "up to 500"},
		{"UpdateSchedulingPolicy", `{}`, "arn is required"},
		{"UpdateSchedulingPolicy", `{"arn":"` + policyARN + `no"}`, "SchedulingPolicy " + policyARN + "no not found."},
		{"DeleteSchedulingPolicy", `{}`, "arn is required"},
		{"DescribeSchedulingPolicies", `{}`, "arns are required"},
		{"ListSchedulingPolicies", `{"maxResults":0}`, "between 1 and 100"},
	} {
		w.refused(test.op, test.body, test.part)
	}
}
