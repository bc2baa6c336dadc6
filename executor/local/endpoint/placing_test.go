package endpoint

import (
	"fmt"
	"strings"
	"testing"
)

// A submitted job, by its name: where it is and why.
func (w *world) state(id string) string {
	w.t.Helper()
	j := at(w.t, w.do("DescribeJobs", fmt.Sprintf(`{"jobs":[%q]}`, id)), "jobs", 0)
	reason, _ := at(w.t, j, "statusReason").(string)
	code, _, _ := strings.Cut(reason, " ")
	return strings.TrimSpace(fmt.Sprint(at(w.t, j, "status"), " ", code))
}

func (w *world) submitted(queue, definition string) string {
	w.t.Helper()
	return at(w.t, w.do("SubmitJob", fmt.Sprintf(`{"jobName":"j","jobQueue":%q,"jobDefinition":%q}`, queue, definition)), "jobId").(string)
}

// What environments are made with decides what is placed on them.
func TestPlacing(t *testing.T) {
	w := queueWorld(t)
	w.do("CreateComputeEnvironment", environment("gpus", with(t, ec2Resources, map[string]any{"instanceTypes": []string{"g5.xlarge"}})))
	w.do("CreateComputeEnvironment", environment("few", with(t, ec2Resources, map[string]any{"maxvCpus": 4})))
	w.do("CreateComputeEnvironment", environment("off", ec2Resources))
	w.wait(settle)
	w.do("UpdateComputeEnvironment", `{"computeEnvironment":"off","state":"DISABLED"}`)
	w.wait(settle)
	for name, size := range map[string]string{"small": requires("1", "128"), "gpu": requires("1", "128", `{"type":"GPU","value":"1"}`), "wide": requires("5", "128"), "huge": requires("1", "800000")} {
		w.do("RegisterJobDefinition", register(name, `,"containerProperties":`+with(t, plainContainer, object(t, size))))
	}
	w.do("RegisterJobDefinition", register("serverless", `,"platformCapabilities":["FARGATE"],"containerProperties":`+plainFargate))
	for i, test := range []struct{ environment, definition, want string }{
		{"a", "small", "STARTING"},
		{"a", "gpu", "RUNNABLE MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"},
		{"a", "huge", "RUNNABLE MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"},
		{"gpus", "gpu", "STARTING"},
		{"few", "wide", "RUNNABLE MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"},
		{"off", "small", "RUNNABLE"},
		{"farg", "serverless", "STARTING"},
	} {
		queue := fmt.Sprint("q", i)
		w.do("CreateJobQueue", queueOn(queue, ``, test.environment))
		w.wait(settle)
		id := w.submitted(queue, test.definition)
		w.wait(settle)
		if got := w.state(id); got != test.want {
			t.Errorf("%s on %s: %s, want %s", test.definition, test.environment, got, test.want)
		}
	}
	w.refused("SubmitJob", `{"jobName":"j","jobQueue":"q6","jobDefinition":"small"}`, "can not run Jobs with capability EC2")
	w.refused("SubmitJob", `{"jobName":"j","jobQueue":"q0","jobDefinition":"serverless"}`, "can not run Jobs with capability FARGATE")
	// An update counts for jobs to come; those that run go on.
	ran := w.submitted("q0", "small")
	w.wait(settle)
	w.do("UpdateComputeEnvironment", `{"computeEnvironment":"off","state":"ENABLED"}`)
	w.do("UpdateComputeEnvironment", `{"computeEnvironment":"a","computeResources":{"maxvCpus":0}}`)
	w.wait(settle)
	late := w.submitted("q0", "small")
	freed := w.submitted("q5", "small")
	w.wait(settle)
	for id, want := range map[string]string{ran: "STARTING", late: "RUNNABLE MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", freed: "STARTING"} {
		if got := w.state(id); got != want {
			t.Errorf("after the update: %s, want %s", got, want)
		}
	}
}

// What is in use is not deleted.
func TestInUse(t *testing.T) {
	w := queueWorld(t)
	w.do("CreateJobQueue", queueOn("q", `,"schedulingPolicyArn":"`+policyARN+`p"`, "a"))
	w.refused("DeleteSchedulingPolicy", `{"arn":"`+policyARN+`p"}`, "is used by a job queue")
}
