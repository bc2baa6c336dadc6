package batch

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func containers(c ...types.AttemptTaskContainerDetails) []types.AttemptEcsTaskDetails {
	return []types.AttemptEcsTaskDetails{{TaskArn: new("arn:aws:ecs:us-east-1:1:task/cluster/0123abcd"), Containers: c}}
}

func TestJobOf(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for _, test := range []struct {
		name   string
		detail types.JobDetail
		want   engine.Job
	}{
		{"plain, after a host loss", types.JobDetail{
			JobId: new("1"), JobName: new("n"), JobQueue: new("arn:aws:batch:us-east-1:1:job-queue/q"), Status: "SUCCEEDED", StatusReason: new(engine.ReasonExited),
			CreatedAt: new(int64(1)), StartedAt: new(int64(5)), StoppedAt: new(int64(6)),
			Attempts: []types.AttemptDetail{
				{StartedAt: new(int64(2)), StoppedAt: new(int64(3)), StatusReason: new("Host EC2 (instance i-1) terminated."), Container: &types.AttemptContainerDetail{LogStreamName: new("s/1"), TaskArn: new("arn:aws:ecs:us-east-1:1:task/c/aa")}},
				{StartedAt: new(int64(5)), StoppedAt: new(int64(6)), StatusReason: new(engine.ReasonExited), Container: &types.AttemptContainerDetail{ExitCode: new(int32(0)), LogStreamName: new("s/2")}},
			},
			Container: &types.ContainerDetail{ExitCode: new(int32(0))},
		}, engine.Job{
			ID: "1", Name: "n", Queue: "q", Status: engine.JobSucceeded, StatusReason: engine.ReasonExited, Created: at(1), Started: at(5), Stopped: at(6), ExitCode: new(0),
			Attempts: []engine.JobAttempt{
				{Started: at(2), Stopped: at(3), StatusReason: "Host EC2 (instance i-1) terminated.", LogStream: "s/1", TaskID: "aa"},
				{Started: at(5), Stopped: at(6), ExitCode: new(0), StatusReason: engine.ReasonExited, LogStream: "s/2"},
			},
		}},
		{"never ran", types.JobDetail{JobId: new("1:3"), Status: "FAILED", StatusReason: new(engine.ReasonDependency), StartedAt: new(int64(0)), IsCancelled: new(true), ArrayProperties: &types.ArrayPropertiesDetail{Index: new(int32(3)), StatusSummary: map[string]int32{}}},
			engine.Job{ID: "1:3", Status: engine.JobFailed, StatusReason: engine.ReasonDependency, Terminated: true}},
		{"child that tells a size", types.JobDetail{JobId: new("1:3"), Status: "RUNNING", ArrayProperties: &types.ArrayPropertiesDetail{Index: new(int32(3)), Size: new(int32(10))}}, engine.Job{ID: "1:3", Status: engine.JobRunning}},
		{"array", types.JobDetail{JobId: new("1"), Status: "PENDING", ArrayProperties: &types.ArrayPropertiesDetail{Size: new(int32(10)), StatusSummary: map[string]int32{"RUNNING": 1, "SUCCEEDED": 2, "RUNNABLE": 4, "PENDING": 0}}},
			engine.Job{ID: "1", Status: engine.JobPending, Size: 10, Summary: [engine.NumJobStatuses]int{engine.JobRunning: 1, engine.JobSucceeded: 2, engine.JobRunnable: 4, engine.JobSubmitted: 3}}},
		{"a status to come", types.JobDetail{JobId: new("1"), Status: "SCHEDULED"}, engine.Job{ID: "1", Status: engine.JobPending}},
		{"agent, an input is missing", types.JobDetail{JobId: new("1"), Status: "FAILED", Attempts: []types.AttemptDetail{{TaskProperties: containers(
			types.AttemptTaskContainerDetails{Name: new("agent"), ExitCode: new(int32(0)), LogStreamName: new("a")}, types.AttemptTaskContainerDetails{Name: new("task"), ExitCode: new(int32(221)), LogStreamName: new("t")})}}},
			engine.Job{ID: "1", Status: engine.JobFailed, ExitCode: new(221), Reason: "StageInError: see the end of the log",
				Containers: []engine.ContainerResult{{Name: "agent", ExitCode: new(0), LogStream: "a"}, {Name: "task", ExitCode: new(221), LogStream: "t"}},
				Attempts: []engine.JobAttempt{{ExitCode: new(221), Reason: "StageInError: see the end of the log", LogStream: "t", TaskID: "0123abcd",
					Containers: []engine.ContainerResult{{Name: "agent", ExitCode: new(0), LogStream: "a"}, {Name: "task", ExitCode: new(221), LogStream: "t"}}}}}},
		{"agent, which fails", types.JobDetail{JobId: new("1"), Status: "FAILED", Attempts: []types.AttemptDetail{{TaskProperties: containers(
			types.AttemptTaskContainerDetails{Name: new("agent"), ExitCode: new(int32(1)), LogStreamName: new("a")}, types.AttemptTaskContainerDetails{Name: new("task")})}}},
			engine.Job{ID: "1", Status: engine.JobFailed, Reason: "flow's agent could not be put into the job: its container ended with exit code 1",
				Containers: []engine.ContainerResult{{Name: "agent", ExitCode: new(1), LogStream: "a"}, {Name: "task"}},
				Attempts: []engine.JobAttempt{{Reason: "flow's agent could not be put into the job: its container ended with exit code 1", LogStream: "a", TaskID: "0123abcd",
					Containers: []engine.ContainerResult{{Name: "agent", ExitCode: new(1), LogStream: "a"}, {Name: "task"}}}}}},
		{"agent, which never starts", types.JobDetail{JobId: new("1"), Status: "FAILED", Attempts: []types.AttemptDetail{{TaskProperties: containers(
			types.AttemptTaskContainerDetails{Name: new("agent"), Reason: new("CannotStartContainerError: no flow"), LogStreamName: new("a")},
			types.AttemptTaskContainerDetails{Name: new("task"), ExitCode: new(int32(143)), Reason: new("CannotStartContainerError: dependency graph: failed to resolve container ordering dependency agent because dependency will never start")})}}},
			engine.Job{ID: "1", Status: engine.JobFailed, Reason: "flow's agent could not be put into the job: its container did not start: CannotStartContainerError: no flow",
				Containers: []engine.ContainerResult{{Name: "agent", Reason: "CannotStartContainerError: no flow", LogStream: "a"}, {Name: "task", ExitCode: new(143), Reason: "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency agent because dependency will never start"}},
				Attempts: []engine.JobAttempt{{Reason: "flow's agent could not be put into the job: its container did not start: CannotStartContainerError: no flow", LogStream: "a", TaskID: "0123abcd",
					Containers: []engine.ContainerResult{{Name: "agent", Reason: "CannotStartContainerError: no flow", LogStream: "a"}, {Name: "task", ExitCode: new(143), Reason: "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency agent because dependency will never start"}}}}}},
		{"agent, whose image is not there", types.JobDetail{JobId: new("1"), Status: "FAILED", EcsProperties: &types.EcsPropertiesDetail{TaskProperties: []types.EcsTaskDetails{{Containers: []types.TaskContainerDetails{
			{Name: new("agent"), Reason: new("CannotPullContainerError: no")}, {Name: new("task")}}}}}},
			engine.Job{ID: "1", Status: engine.JobFailed, Reason: "CannotPullContainerError: no", Containers: []engine.ContainerResult{{Name: "agent", Reason: "CannotPullContainerError: no"}, {Name: "task"}}}},
	} {
		if diff := cmp.Diff(test.want, jobOf(&test.detail)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// Each hundred ids are a call, and each id is asked for once.
func TestDescribeInHundreds(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	f, x := newFake(t, func(w http.ResponseWriter, _ string, body map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		ids := body["jobs"].([]any)
		if len(ids) > 100 {
			t.Errorf("a call with %d ids", len(ids))
		}
		var jobs []any
		for _, id := range ids {
			asked[id.(string)]++
			jobs = append(jobs, map[string]any{"jobId": id, "status": "RUNNING"})
		}
		give(w, map[string]any{"jobs": jobs})
	})
	var ids []engine.JobID
	for i := range 950 {
		ids = append(ids, engine.JobID(strconv.Itoa(i%901)))
	}
	jobs, err := x.Describe(t.Context(), ids)
	if err != nil || len(jobs) != 901 || len(asked) != 901 || len(f.called()) != 10 {
		t.Errorf("%d jobs of %d asked for in %d calls, %v", len(jobs), len(asked), len(f.called()), err)
	}
	for id, n := range asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", id, n)
		}
	}
}

func TestFind(t *testing.T) {
	job := func(id, name string, created int, status string) any {
		return map[string]any{"jobId": id, "jobName": name, "createdAt": created, "status": status}
	}
	pages := [][]any{
		{job("0", "flow-a", 50, "RUNNING"), job("4", "FLOW-A", 45, "RUNNING"), job("3", "flow-ab", 40, "FAILED")},
		{},
		{job("0", "flow-a", 50, "SUCCEEDED"), job("2", "flow-a", 20, "FAILED"), job("1", "flow-a", 20, "FAILED")},
	}
	_, x := newFake(t, func(w http.ResponseWriter, _ string, body map[string]any) {
		if body["jobQueue"] == "endless" {
			give(w, map[string]any{"jobSummaryList": []any{}, "nextToken": "again"})
			return
		}
		switch body["jobQueue"] {
		case "nowhere":
			says(w, 400, "ClientException", "JobQueue nowhere not found.")
			return
		case "refused":
			says(w, 400, "ClientException", "no")
			return
		}
		if body["jobQueue"] != "arn:q/queue" || body["jobStatus"] != nil || body["maxResults"] != 100.0 {
			t.Errorf("it asks for %v", body)
		}
		at := 0
		_, _ = fmt.Sscan(fmt.Sprint(body["nextToken"]), &at)
		out := map[string]any{"jobSummaryList": pages[at]}
		if at+1 < len(pages) {
			out["nextToken"] = strconv.Itoa(at + 1)
		}
		give(w, out)
	})
	for name, want := range map[string][]string{"flow-a": {"1 FAILED", "2 FAILED", "0 SUCCEEDED"}, "flow-a*": {"1 FAILED", "2 FAILED", "3 FAILED", "0 SUCCEEDED"}, "flow": nil} {
		jobs, err := x.Find(t.Context(), "arn:q/queue", name)
		var got []string
		for _, j := range jobs {
			got = append(got, fmt.Sprint(j.ID, " ", j.Status))
			if j.Queue != "queue" {
				t.Errorf("the queue is %q", j.Queue)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Find(%s) = %v, %v, want %v", name, got, err, want)
		}
	}
	if _, err := x.Find(t.Context(), "endless", "flow-a"); err == nil {
		t.Error("a list that never ends has no error")
	}
	if jobs, err := x.Find(t.Context(), "nowhere", "flow-a"); len(jobs) > 0 || err != nil {
		t.Errorf("in a queue that is not there it finds %v, %v", jobs, err)
	}
	if _, err := x.Find(t.Context(), "refused", "flow-a"); err == nil {
		t.Error("a refusal has no error")
	}
}

// Children come by index, whatever the order of the pages, and each once.
func TestChildrenByIndex(t *testing.T) {
	const n = 2500
	_, x := newFake(t, func(w http.ResponseWriter, _ string, body map[string]any) {
		if body["arrayJobId"] != "a" || body["jobStatus"] != "FAILED" || body["maxResults"] != 1000.0 {
			t.Errorf("it asks for %v", body)
		}
		at := 0
		_, _ = fmt.Sscan(fmt.Sprint(body["nextToken"]), &at)
		var list []any
		for i := max(at-1, 0); i < min(at+1000, n); i++ { // one of the page before, too
			index := n - 1 - i
			list = append(list, map[string]any{"jobId": fmt.Sprint("a:", index), "jobName": "n", "status": "FAILED", "statusReason": engine.ReasonExited,
				"arrayProperties": map[string]any{"index": index}, "container": map[string]any{"exitCode": index % 256}})
		}
		out := map[string]any{"jobSummaryList": list}
		if at+1000 < n {
			out["nextToken"] = strconv.Itoa(at + 1000)
		}
		give(w, out)
	})
	at := 0
	for j, err := range x.Children(t.Context(), "a", engine.JobFailed) {
		if err != nil || j.ID != engine.JobID("a").Child(at) || j.Name != "n" || *j.ExitCode != at%256 || j.StatusReason != engine.ReasonExited {
			t.Fatalf("child %d is %+v, %v", at, j, err)
		}
		at++
	}
	if at != n {
		t.Errorf("%d children, want %d", at, n)
	}
}

// Ending what is unknown or has ended is no error, whatever Batch says.
func TestTerminateRefused(t *testing.T) {
	for status, want := range map[string]string{"": "submitted", "SUCCEEDED": "submitted", "RUNNING": wantRefused} {
		_, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
			if operation == "terminatejob" {
				if len(body["reason"].(string)) > 1024 {
					t.Errorf("the reason has %d bytes", len(body["reason"].(string)))
				}
				says(w, 400, "ClientException", "no")
				return
			}
			jobs := []any{}
			if status != "" {
				jobs = append(jobs, map[string]any{"jobId": "1", "status": status})
			}
			give(w, map[string]any{"jobs": jobs})
		})
		if err := x.Terminate(t.Context(), "1", string(make([]byte, 2000))); outcome(err) != want {
			t.Errorf("of a job that is %q: %s: %v", status, outcome(err), err)
		}
	}
}
