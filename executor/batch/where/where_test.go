package where

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/engine"
	"flow/executor/batch/cloud"
)

// A sky answers for Batch, ECS and EC2 with what the test says. Operations that it says
// nothing of are denied.
type sky struct {
	*testing.T
	answers map[string]string // by operation
	calls   []string
	asked   map[string]string // the last request
	url     string
}

func newSky(t *testing.T, answers map[string]string) *sky {
	s := &sky{T: t, answers: answers, asked: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	for _, name := range []string{"AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL_EC2"} {
		t.Setenv(name, server.URL)
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	return s
}

func (s *sky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	operation := r.URL.Path
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		operation = target[strings.LastIndexByte(target, '.')+1:]
	}
	form, _ := url.ParseQuery(string(body))
	ec2 := form.Get("Action") != ""
	if ec2 {
		operation = form.Get("Action")
	}
	s.calls = append(s.calls, operation)
	s.asked[operation] = string(body)
	answer, ok := s.answers[operation]
	status, code := http.StatusOK, "AccessDeniedException"
	switch {
	case strings.HasPrefix(answer, "error "):
		status, code = http.StatusBadRequest, strings.TrimPrefix(answer, "error ")
	case !ok:
		status = http.StatusForbidden
	}
	if status != http.StatusOK && ec2 {
		answer = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"
	} else if status != http.StatusOK {
		answer = fmt.Sprintf(`{"__type": %q, "message": "no"}`, code)
	}
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (s *sky) find(ids ...engine.JobID) *Report {
	s.Helper()
	c, err := cloud.Open(s.Context(), cloud.Options{Region: "us-east-1", Endpoint: s.url})
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	r, err := Find(s.Context(), c, ids)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// answerOf returns an answer as JSON.
func answerOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	account = "arn:aws:ecs:us-east-1:123456789012:"
	cluster = "AWSBatch-lab-a2ab941d-b401-5c33-9c21-d4e5808f79b3"
)

type object = map[string]any

// describedJob is a job with one attempt on a container instance.
func describedJob(change ...func(job, container object)) object {
	container := object{
		"taskArn": account + "task/" + cluster + "/t1", "containerInstanceArn": account + "container-instance/" + cluster + "/c1",
		"logStreamName": "def/default/t1", "exitCode": 0,
	}
	job := object{
		"jobId": "j1", "jobName": "n", "jobArn": "arn:aws:batch:us-east-1:123456789012:job/j1", "jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/q",
		"status": "SUCCEEDED", "jobDefinition": "d", "startedAt": 1000, "stoppedAt": 3000, "platformCapabilities": []string{"EC2"},
		"container": container,
		"attempts":  []object{{"container": container, "startedAt": 1000, "stoppedAt": 3000}},
	}
	for _, c := range change {
		c(job, container)
	}
	return job
}

func environmentsAnswer(t *testing.T, kind string) string {
	return answerOf(t, object{"computeEnvironments": []object{{
		"computeEnvironmentName": "lab", "computeEnvironmentArn": "arn:aws:batch:us-east-1:123456789012:compute-environment/lab",
		"ecsClusterArn": account + "cluster/" + cluster, "computeResources": object{"type": kind, "maxvCpus": 4, "subnets": []string{}},
	}}})
}

// wantAttempt is the attempt of describedJob, as far as Batch tells of it.
func wantAttempt() Attempt {
	return Attempt{
		Attempt: 1, Started: time.UnixMilli(1000).UTC(), Stopped: time.UnixMilli(3000).UTC(), ExitCode: new(0), Environment: "lab", EnvironmentType: "SPOT",
		Cluster: cluster, Task: account + "task/" + cluster + "/t1", ContainerInstance: account + "container-instance/" + cluster + "/c1",
		LogGroup: "/aws/batch/job", LogStream: "def/default/t1",
	}
}

const oneInstance = `{"containerInstances": [{"containerInstanceArn": "` + account + "container-instance/" + cluster + `/c1", "ec2InstanceId": "i-0abc",
	"attributes": [{"name": "ecs.instance-type", "value": "c6i.large"}, {"name": "ecs.availability-zone", "value": "us-east-1b"}]}]}`

func ec2Answer(lifecycle, state string) string {
	return `<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-0abc</instanceId><instanceType>c6i.xlarge</instanceType>` +
		`<placement><availabilityZone>us-east-1c</availabilityZone></placement>` + lifecycle +
		`<instanceState><name>` + state + `</name></instanceState></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`
}

func TestFind(t *testing.T) {
	const describe, environments = "/v1/describejobs", "/v1/describecomputeenvironments"
	fargate := func(job, c object) {
		job["platformCapabilities"] = []string{"FARGATE"}
		delete(c, "containerInstanceArn")
	}
	for _, test := range []struct {
		name    string
		job     func(job, container object)
		answers map[string]string
		want    func(*Attempt)
		notes   []string
		calls   int
	}{
		{name: "Spot", answers: map[string]string{
			environments: environmentsAnswer(t, "SPOT"), "DescribeContainerInstances": oneInstance,
			"DescribeInstances": ec2Answer("<instanceLifecycle>spot</instanceLifecycle>", "running"),
		}, want: func(a *Attempt) {
			a.Instance = &Instance{ID: "i-0abc", Type: "c6i.xlarge", Zone: "us-east-1c", Lifecycle: "spot", State: "running"}
		}, calls: 4},
		{name: "on demand, terminated", answers: map[string]string{
			environments: environmentsAnswer(t, "EC2"), "DescribeContainerInstances": oneInstance, "DescribeInstances": ec2Answer("", "terminated"),
		}, want: func(a *Attempt) {
			a.EnvironmentType = "EC2"
			a.Instance = &Instance{ID: "i-0abc", Type: "c6i.xlarge", Zone: "us-east-1c", Lifecycle: "on-demand", State: "terminated"}
		}, calls: 4},
		{name: "EC2 has forgotten it", answers: map[string]string{
			environments: environmentsAnswer(t, "SPOT"), "DescribeContainerInstances": oneInstance, "DescribeInstances": "<DescribeInstancesResponse/>",
		}, want: func(a *Attempt) {
			a.Instance = &Instance{ID: "i-0abc", Type: "c6i.large", Zone: "us-east-1b", Lifecycle: "spot"}
		}, calls: 4},
		{name: "EC2 may not be asked", answers: map[string]string{environments: environmentsAnswer(t, "EC2"), "DescribeContainerInstances": oneInstance},
			want: func(a *Attempt) {
				a.EnvironmentType = "EC2"
				a.Instance = &Instance{ID: "i-0abc", Type: "c6i.large", Zone: "us-east-1b"}
			},
			notes: []string{"EC2 is not looked at: the credentials may not call ec2:DescribeInstances: allow it in the policy of that user or role"}, calls: 4},
		{name: "nothing but Batch may be asked", answers: map[string]string{},
			want: func(a *Attempt) { a.EnvironmentType = "" },
			notes: []string{
				"AWS Batch is not looked at: the credentials may not call batch:DescribeComputeEnvironments: allow it in the policy of that user or role",
				"ECS is not looked at: the credentials may not call ecs:DescribeContainerInstances: allow it in the policy of that user or role",
			}, calls: 3},
		{name: "ECS has forgotten it", answers: map[string]string{environments: environmentsAnswer(t, "SPOT"), "DescribeContainerInstances": `{"failures": [{"reason": "MISSING"}]}`},
			want: func(a *Attempt) {
				a.Unknown = "ECS does not know the container instance: it keeps one as long as the instance is there"
			}, calls: 3},
		{name: "the environment is gone", answers: map[string]string{environments: `{"computeEnvironments": []}`, "DescribeContainerInstances": "error ClusterNotFoundException"},
			want: func(a *Attempt) {
				a.EnvironmentType = ""
				a.Unknown = "ECS does not know the container instance: it keeps one as long as the instance is there"
			}, calls: 3},
		{name: "the host was lost", job: func(job, c object) {
			job["attempts"].([]object)[0]["statusReason"] = "Host EC2 (instance i-0abc) terminated."
			delete(c, "exitCode")
		}, answers: map[string]string{
			environments: environmentsAnswer(t, "SPOT"), "DescribeContainerInstances": `{"failures": [{"reason": "MISSING"}]}`, "DescribeInstances": ec2Answer("<instanceLifecycle>spot</instanceLifecycle>", "terminated"),
		}, want: func(a *Attempt) {
			a.ExitCode, a.StatusReason = nil, "Host EC2 (instance i-0abc) terminated."
			a.Instance = &Instance{ID: "i-0abc", Type: "c6i.xlarge", Zone: "us-east-1c", Lifecycle: "spot", State: "terminated"}
		}, calls: 4},
		{name: "Fargate", job: fargate, answers: map[string]string{
			environments:    environmentsAnswer(t, "FARGATE_SPOT"),
			"DescribeTasks": `{"tasks": [{"taskArn": "` + account + "task/" + cluster + `/t1", "platformVersion": "1.4.0", "availabilityZone": "us-east-1a", "capacityProviderName": "FARGATE_SPOT", "launchType": "FARGATE"}]}`,
		}, want: func(a *Attempt) {
			a.EnvironmentType, a.ContainerInstance = "FARGATE_SPOT", ""
			a.Fargate = &Fargate{Capacity: "FARGATE_SPOT", Platform: "1.4.0", Zone: "us-east-1a"}
		}, calls: 3},
		{name: "Fargate, long ago", job: fargate, answers: map[string]string{environments: environmentsAnswer(t, "FARGATE"), "DescribeTasks": `{"failures": [{"reason": "MISSING"}]}`},
			want: func(a *Attempt) {
				a.EnvironmentType, a.ContainerInstance = "FARGATE", ""
				a.Fargate = &Fargate{Capacity: "FARGATE"}
			}, calls: 3},
		{name: "it runs", job: func(job, c object) {
			job["status"], job["attempts"] = "RUNNING", []object{}
			delete(job, "stoppedAt")
			delete(c, "exitCode")
		}, answers: map[string]string{environments: environmentsAnswer(t, "SPOT"), "DescribeContainerInstances": oneInstance, "DescribeInstances": ec2Answer("", "running")},
			want: func(a *Attempt) {
				a.Stopped, a.ExitCode = time.Time{}, nil
				a.Instance = &Instance{ID: "i-0abc", Type: "c6i.xlarge", Zone: "us-east-1c", Lifecycle: "on-demand", State: "running"}
			}, calls: 4},
		{name: "several containers", job: func(job, c object) {
			delete(job, "container")
			list := []object{
				{"name": "agent", "essential": false, "exitCode": 0, "logStreamName": "def/agent/t1"},
				{"name": "task", "essential": true, "exitCode": 7, "reason": "why", "logStreamName": "def/task/t1", "logConfiguration": object{"logDriver": "awslogs", "options": object{"awslogs-group": "/lab"}}},
			}
			task := object{"taskArn": c["taskArn"], "containerInstanceArn": c["containerInstanceArn"], "containers": list}
			job["ecsProperties"] = object{"taskProperties": []object{task}}
			job["attempts"] = []object{{"container": object{}, "taskProperties": []object{task}, "startedAt": 1000, "stoppedAt": 3000}}
		}, answers: map[string]string{environments: environmentsAnswer(t, "SPOT"), "DescribeContainerInstances": oneInstance, "DescribeInstances": ec2Answer("", "running")},
			want: func(a *Attempt) {
				a.ExitCode, a.Reason, a.LogGroup, a.LogStream = new(7), "why", "/lab", "def/task/t1"
				a.Instance = &Instance{ID: "i-0abc", Type: "c6i.xlarge", Zone: "us-east-1c", Lifecycle: "on-demand", State: "running"}
			}, calls: 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.job == nil {
				test.job = func(object, object) {}
			}
			test.answers[describe] = answerOf(t, object{"jobs": []object{describedJob(test.job)}})
			s := newSky(t, test.answers)
			got := s.find("j1", "unknown")
			want := wantAttempt()
			test.want(&want)
			if len(got.Jobs) != 1 || len(got.Jobs[0].Attempts) != 1 {
				t.Fatalf("got %+v", got)
			}
			if diff := cmp.Diff(want, got.Jobs[0].Attempts[0], cmpopts.IgnoreUnexported(Attempt{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.notes, got.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if len(s.calls) != test.calls {
				t.Errorf("calls: %v, want %d", s.calls, test.calls)
			}
		})
	}
}

// A job that was never placed costs one call.
func TestFindUnplaced(t *testing.T) {
	job := describedJob(func(job, _ object) {
		job["status"], job["statusReason"] = "RUNNABLE", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
		job["container"], job["attempts"] = object{}, []object{}
	})
	s := newSky(t, map[string]string{"/v1/describejobs": answerOf(t, object{"jobs": []object{job}})})
	got := s.find("j1")
	want := &Report{Jobs: []Job{{ID: "j1", Queue: "q", Status: "RUNNABLE", Reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", Attempts: []Attempt{}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/v1/describejobs"}, s.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// Beside a Batch on this machine nothing else is asked unless the environment says where.
func TestFindAlone(t *testing.T) {
	s := newSky(t, map[string]string{"/v1/describejobs": answerOf(t, object{"jobs": []object{describedJob()}}), "/v1/describecomputeenvironments": environmentsAnswer(t, "EC2")})
	t.Setenv("AWS_ENDPOINT_URL_ECS", "")
	t.Setenv("AWS_ENDPOINT_URL_EC2", "")
	got := s.find("j1")
	if diff := cmp.Diff([]string{"ECS is not looked at: AWS Batch is on this machine, and AWS_ENDPOINT_URL_ECS says of no ECS beside it"}, got.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if a := got.Jobs[0].Attempts[0]; a.Unknown != "" || a.Instance != nil {
		t.Errorf("the attempt is %+v", a)
	}
}
