package endpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local"
)

func array(n int32) func(*batch.SubmitJobInput) {
	return func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: &n} }
}

func withName(name string) func(*batch.SubmitJobInput) {
	return func(in *batch.SubmitJobInput) { in.JobName = &name }
}

func after(id string, kind types.ArrayJobDependency) func(*batch.SubmitJobInput) {
	return func(in *batch.SubmitJobInput) {
		d := types.JobDependency{Type: kind}
		if id != "" {
			d.JobId = &id
		}
		in.DependsOn = append(in.DependsOn, d)
	}
}

func TestJobFromSubmissionToEnd(t *testing.T) {
	w := newEmulator(t)
	id := w.submit(func(in *batch.SubmitJobInput) {
		in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: new("A"), Value: new("1")}}}
		in.Tags = map[string]string{"team": "x"}
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: new(int32(60))}
	})
	running := w.until(id, types.JobStatusRunning)
	if running.StartedAt == nil || running.StoppedAt != nil || len(running.Attempts) != 0 || value(running.Container.LogStreamName) == "" || running.Container.ExitCode != nil {
		t.Errorf("while it runs it is %s", encode(&running))
	}
	try := w.stage.end(id, exits(0))
	if want := []string{"AWS_EXECUTION_ENV=AWS_ECS_EC2", "A=1"}; !cmp.Equal(try.Task.Containers[0].Env, want) {
		t.Errorf("it is run with %q, want %q", try.Task.Containers[0].Env, want)
	}
	ended := w.until(id, types.JobStatusSucceeded)
	if len(ended.Attempts) != 1 {
		t.Fatalf("it has %d attempts, want 1", len(ended.Attempts))
	}
	got := map[string]string{
		"arn": value(ended.JobArn), "queue": value(ended.JobQueue), "definition": value(ended.JobDefinition),
		"reason": value(ended.StatusReason), "exit": fmt.Sprint(value(ended.Container.ExitCode), ended.Container.ExitCode != nil),
		"attempt": fmt.Sprint(value(ended.Attempts[0].Container.ExitCode), " ", value(ended.Attempts[0].StatusReason)),
		"tags":    fmt.Sprint(ended.Tags), "timeout": fmt.Sprint(value(ended.Timeout.AttemptDurationSeconds)),
		"retry": string(encode(ended.RetryStrategy)), "platform": fmt.Sprint(ended.PlatformCapabilities),
		"stream": fmt.Sprint(value(ended.Attempts[0].Container.LogStreamName) == value(ended.Container.LogStreamName) && strings.HasPrefix(value(ended.Container.LogStreamName), "job/default/")),
	}
	want := map[string]string{
		"arn": "arn:aws:batch:us-east-1:123456789012:job/" + id, "queue": "arn:aws:batch:us-east-1:123456789012:job-queue/q",
		"definition": "arn:aws:batch:us-east-1:123456789012:job-definition/job:1",
		"reason":     engine.ReasonExited, "exit": "0 true", "attempt": "0 " + engine.ReasonExited, "tags": "map[team:x]", "timeout": "60",
		"retry": `{"attempts":1,"evaluateOnExit":[]}`, "platform": "[EC2]", "stream": "true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestArrayAndChildren(t *testing.T) {
	w := newEmulator(t)
	id := w.submit(array(3), func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"team": "x"} })
	child := w.until(id+":1", types.JobStatusRunning)
	if own := w.describe(id).Tags; own["team"] != "x" || len(child.Tags) != 0 {
		t.Errorf("the parent has the tags %v, want its own; a child has %v, want none", own, child.Tags)
	}
	if value(child.ArrayProperties.Index) != 1 || child.ArrayProperties.Size != nil || child.ArrayProperties.StatusSummary != nil {
		t.Errorf("a child has %s", encode(child.ArrayProperties))
	}
	parent := w.describe(id)
	if parent.Status != types.JobStatusPending || value(parent.ArrayProperties.Size) != 3 || len(parent.ArrayProperties.StatusSummary) != 7 {
		t.Errorf("while children run the parent is %s with %s", parent.Status, encode(parent.ArrayProperties))
	}
	w.stage.end(id+":1", exits(1))
	w.stage.always(exits(0))
	parent = w.untilEnded(id)
	if parent.Status != types.JobStatusFailed || value(parent.StatusReason) != engine.ReasonArrayChild || parent.ArrayProperties.StatusSummary["SUCCEEDED"] != 2 || parent.ArrayProperties.StatusSummary["FAILED"] != 1 {
		t.Errorf("the parent is %s: %s, %s", parent.Status, value(parent.StatusReason), encode(parent.ArrayProperties))
	}
	if len(parent.Attempts) != 0 || parent.Container.ExitCode != nil {
		t.Errorf("the parent has attempts: %s", encode(&parent))
	}
}

// untilEnded waits for a job to end, well or badly.
func (w *emulator) untilEnded(id string) types.JobDetail {
	w.Helper()
	for {
		j := w.describe(id)
		if j.Status == types.JobStatusFailed || j.Status == types.JobStatusSucceeded {
			return j
		}
		select {
		case <-w.server.batch.Changed():
		case <-w.Context().Done():
			w.Fatal("the test is over")
		}
	}
}

func TestSubmitRefuses(t *testing.T) {
	w := newEmulator(t)
	w.define("ref", container("busybox", "echo", "Ref::word", "--x=Ref::word"))
	for _, test := range []struct {
		name   string
		change func(*batch.SubmitJobInput)
		want   string
	}{
		{"name", withName("a b"), "Job name should match valid pattern"},
		{"queue", func(in *batch.SubmitJobInput) { in.JobQueue = new("nobody") }, "JobQueue nobody not found."},
		{"ARN of another kind", func(in *batch.SubmitJobInput) { in.JobQueue = new("arn:aws:batch:us-east-1:123456789012:job/q") }, "not found."},
		{"definition", func(in *batch.SubmitJobInput) { in.JobDefinition = new("nobody:3") }, "JobDefinition name nobody:3 does not exist or is not in ACTIVE status"},
		{"array of 1", array(1), "Array job size should be between 2 and 10000"},
		{"array of 0", array(0), "Array job size should be between 2 and 10000"},
		{"array of 10,001", array(10_001), "Array job size should be between 2 and 10000"},
		{"parameter", func(in *batch.SubmitJobInput) { in.JobDefinition = new("ref") }, "Unable to substitute value. No parameter found for reference word"},
		{"share on FIFO", func(in *batch.SubmitJobInput) { in.ShareIdentifier = new("s") }, "can only be submitted to job queue with fair share scheduling policy."},
		{"priority on FIFO", func(in *batch.SubmitJobInput) { in.SchedulingPriorityOverride = new(int32(1)) }, "can only be submitted to job queue with fair share scheduling policy."},
		{"timeout", func(in *batch.SubmitJobInput) { in.Timeout = &types.JobTimeout{AttemptDurationSeconds: new(int32(59))} }, "60"},
		{"attempts", func(in *batch.SubmitJobInput) { in.RetryStrategy = &types.RetryStrategy{Attempts: new(int32(11))} }, "between 1 and 10"},
		{"reserved variable", func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: new("AWS_BATCH_X"), Value: new("1")}}}
		}, "AWS_BATCH"},
		{"empty word", func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Command: []string{"a", ""}}
		}, "empty string"},
		{"deprecated", func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Vcpus: new(int32(2))}
		}, "submitted in a deprecated key"},
		{"memory", func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeMemory, Value: new("3")}}}
		}, "Memory must be at least 4 Mib"},
		{"N_TO_N without an array", after("x", types.ArrayJobDependencyNToN), "array jobs only"},
		{"SEQUENTIAL without an array", after("", types.ArrayJobDependencySequential), "array jobs only"},
		{"unknown dependency", after("0f8fad5b-d9cb-469f-a165-70867728950e", ""), "does not exist"},
		{"21 dependencies", func(in *batch.SubmitJobInput) { in.DependsOn = make([]types.JobDependency, 21) }, "Job cannot have more than 20 dependencies"},
		{"30 KiB", func(in *batch.SubmitJobInput) { in.Parameters = map[string]string{"a": strings.Repeat("x", 31<<10)} }, "at most 30720 bytes"},
	} {
		_, err := w.SubmitJob(t.Context(), jobInQueue(test.change))
		t.Log(test.name)
		w.refuses(err, test.want)
	}
}

func TestParametersAndOverrides(t *testing.T) {
	w := newEmptyEmulator(t)
	w.environment("ce", 8)
	w.queue("q", "ce")
	c := container("busybox", "echo", "Ref::word", "--x=Ref::word", "$HOME")
	c.Environment = []types.KeyValuePair{{Name: new("A"), Value: new("1")}, {Name: new("B"), Value: new("2")}}
	_, err := w.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: new("job"), Type: types.JobDefinitionTypeContainer, ContainerProperties: c, Parameters: map[string]string{"word": "default"},
	})
	w.must(err)
	id := w.submit()
	if got, want := w.describe(id).Container.Command, []string{"echo", "default", "--x=Ref::word", "$HOME"}; !cmp.Equal(got, want) {
		t.Errorf("command is %q, want %q", got, want)
	}
	id = w.submit(func(in *batch.SubmitJobInput) {
		in.Parameters = map[string]string{"word": "own"}
		in.ContainerOverrides = &types.ContainerOverrides{
			Command:              []string{"printf", "Ref::word"},
			Environment:          []types.KeyValuePair{{Name: new("B"), Value: new("3")}, {Name: new("C"), Value: new("4")}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: new("2")}},
		}
	})
	try := w.stage.end(id, exits(0)).Task.Containers[0]
	if want := []string{"printf", "own"}; !cmp.Equal(try.Command, want) {
		t.Errorf("command is %q, want %q", try.Command, want)
	}
	if want := []string{"AWS_EXECUTION_ENV=AWS_ECS_EC2", "A=1", "B=3", "C=4"}; !cmp.Equal(try.Env, want) {
		t.Errorf("environment is %q, want %q", try.Env, want)
	}
	if want := (engine.Resources{VCPUs: 2, MemoryMiB: 128}); try.Resources != want {
		t.Errorf("resources are %+v, want %+v", try.Resources, want)
	}
}

// A plain job may depend on another with the type SEQUENTIAL: programs do that on AWS.
func TestSequentialPlainJob(t *testing.T) {
	w := newEmulator(t)
	first := w.submit()
	second := w.submit(after(first, types.ArrayJobDependencySequential))
	w.until(first, types.JobStatusRunning)
	if j := w.describe(second); j.Status != types.JobStatusPending || len(j.DependsOn) != 1 || j.DependsOn[0].Type != types.ArrayJobDependencySequential {
		t.Errorf("it is %s with %s", j.Status, encode(&j))
	}
	w.stage.end(first, exits(0))
	w.until(second, types.JobStatusRunning)
}

// What is too long for ECS fails when it is started, not when it is submitted.
func TestOverridesTooLong(t *testing.T) {
	w := newEmulator(t)
	id := w.submit(func(in *batch.SubmitJobInput) {
		in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: new("A"), Value: new(strings.Repeat("x", 8000))}}}
		in.RetryStrategy = &types.RetryStrategy{Attempts: new(int32(3))}
	})
	j := w.untilEnded(id)
	if j.Status != types.JobStatusFailed || value(j.StatusReason) != reasonOverrides || len(j.Attempts) != 0 || j.StartedAt != nil {
		t.Errorf("it is %s", encode(&j))
	}
}

func TestListJobs(t *testing.T) {
	w := newEmulator(t)
	w.define("other", container("busybox", "true"))
	var ids []string
	for i := range 5 {
		ids = append(ids, w.submit(withName(fmt.Sprint("Name-", i))))
		w.until(ids[i], types.JobStatusRunning)
	}
	other := w.submit(withName("name-1"), func(in *batch.SubmitJobInput) { in.JobDefinition = new("other") })
	children := w.submit(withName("children"), array(2))
	w.until(children+":0", types.JobStatusRunning)
	w.stage.end(ids[0], exits(0))
	w.until(ids[0], types.JobStatusSucceeded)
	w.stage.end(ids[1], exits(1))
	w.untilEnded(ids[1])

	list := func(in *batch.ListJobsInput) (got []string) {
		t.Helper()
		for p := batch.NewListJobsPaginator(w, in, func(o *batch.ListJobsPaginatorOptions) { o.StopOnDuplicateToken = true }); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if in.MaxResults != nil && len(page.JobSummaryList) > int(*in.MaxResults) {
				t.Errorf("a page has %d jobs", len(page.JobSummaryList))
			}
			for _, j := range page.JobSummaryList {
				got = append(got, *j.JobId)
			}
		}
		return got
	}
	by := func(name, value string) *batch.ListJobsInput {
		return &batch.ListJobsInput{JobQueue: new("q"), Filters: []types.KeyValuesPair{{Name: &name, Values: []string{value}}}}
	}
	in := func(change func(*batch.ListJobsInput)) *batch.ListJobsInput {
		in := &batch.ListJobsInput{JobQueue: new("q")}
		change(in)
		return in
	}
	for _, test := range []struct {
		name string
		in   *batch.ListJobsInput
		want []string
	}{
		{"running by default, newest first, no children", in(func(in *batch.ListJobsInput) {}), []string{other, ids[4], ids[3], ids[2]}},
		{"in pages", in(func(in *batch.ListJobsInput) { in.MaxResults = new(int32(1)) }), []string{other, ids[4], ids[3], ids[2]}},
		{"by status", in(func(in *batch.ListJobsInput) { in.JobStatus = types.JobStatusSucceeded }), []string{ids[0]}},
		{"parents are PENDING", in(func(in *batch.ListJobsInput) { in.JobStatus = types.JobStatusPending }), []string{children}},
		{"nothing", in(func(in *batch.ListJobsInput) { in.JobStatus = types.JobStatusRunnable }), nil},
		{"children, running by default", &batch.ListJobsInput{ArrayJobId: &children}, []string{children + ":0", children + ":1"}},
		{"children in pages", &batch.ListJobsInput{ArrayJobId: &children, MaxResults: new(int32(1))}, []string{children + ":0", children + ":1"}},
		{"children by status", &batch.ListJobsInput{ArrayJobId: &children, JobStatus: types.JobStatusFailed}, nil},
		{"name, whatever its case and the status", by("JOB_NAME", "NAME-1"), []string{other, ids[1]}},
		{"prefix", by("JOB_NAME", "nAme-*"), []string{other, ids[4], ids[3], ids[2], ids[1], ids[0]}},
		{"definition", by("JOB_DEFINITION", "other"), []string{other}},
		{"definition with another case", by("JOB_DEFINITION", "Other"), nil},
		{"prefix of definitions", by("JOB_DEFINITION", "ot*"), []string{other}},
		{"ARN of a definition", by("JOB_DEFINITION", "arn:aws:batch:us-east-1:123456789012:job-definition/other:1"), []string{other}},
		{"ARN of another revision", by("JOB_DEFINITION", "arn:aws:batch:us-east-1:123456789012:job-definition/other:2"), nil},
		{"before the beginning of time", by("BEFORE_CREATED_AT", "1"), nil},
		{"after it", by("AFTER_CREATED_AT", "1"), []string{children, other, ids[4], ids[3], ids[2], ids[1], ids[0]}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, list(test.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, test := range []struct {
		in   *batch.ListJobsInput
		want string
	}{
		{&batch.ListJobsInput{}, "Exactly one of"},
		{&batch.ListJobsInput{JobQueue: new("q"), ArrayJobId: &children}, "Exactly one of"},
		{in(func(in *batch.ListJobsInput) { in.MaxResults = new(int32(1001)) }), "between 1 and 1000"},
		{in(func(in *batch.ListJobsInput) { in.MaxResults = new(int32(0)) }), "between 1 and 1000"},
		{in(func(in *batch.ListJobsInput) { in.NextToken = new("nonsense") }), "NextToken is not valid"},
		{in(func(in *batch.ListJobsInput) { in.JobStatus = "NOSUCH" }), "NOSUCH"},
		{in(func(in *batch.ListJobsInput) { in.JobQueue = new("nobody") }), "nobody"},
		{by("job_name", "a"), "not valid"},
		{by("JOB_NAME", ""), "needs a value"},
		{by("AFTER_CREATED_AT", "yesterday"), "milliseconds"},
		{by("JOB_DEFINITION", "arn:aws:batch:us-east-1:123456789012:job-definition/o*"), "asterisk"},
		{&batch.ListJobsInput{JobQueue: new("q"), Filters: []types.KeyValuesPair{{Name: new("JOB_NAME"), Values: []string{"a"}}, {Name: new("JOB_NAME"), Values: []string{"b"}}}}, "Only one filter key-value pair can be specified."},
		{&batch.ListJobsInput{JobQueue: new("q"), MaxResults: new(int32(101)), Filters: []types.KeyValuesPair{{Name: new("JOB_NAME"), Values: []string{"a"}}}}, "between 1 and 100"},
	} {
		_, err := w.ListJobs(t.Context(), test.in)
		w.refuses(err, test.want)
	}
}

func TestCancelAndTerminate(t *testing.T) {
	w := newEmulator(t)
	running := w.submit()
	w.until(running, types.JobStatusRunning)
	waiting := w.submit(after(running, ""))
	_, err := w.CancelJob(t.Context(), &batch.CancelJobInput{JobId: &running, Reason: new("no")})
	w.must(err)
	if j := w.describe(running); j.Status != types.JobStatusRunning || value(j.IsCancelled) {
		t.Errorf("CancelJob of a running job leaves it %s", j.Status)
	}
	_, err = w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &waiting, Reason: new("not wanted")})
	w.must(err)
	if j := w.untilEnded(waiting); value(j.StatusReason) != "not wanted" || !value(j.IsTerminated) || j.StartedAt != nil {
		t.Errorf("TerminateJob of a pending job makes it %s", encode(&j))
	}
	_, err = w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &running, Reason: new("enough")})
	w.must(err)
	if j := w.untilEnded(running); j.Status != types.JobStatusFailed || value(j.StatusReason) != "enough" || !value(j.IsTerminated) {
		t.Errorf("TerminateJob of a running job makes it %s", encode(&j))
	}
	_, err = w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: new("0f8fad5b-d9cb-469f-a165-70867728950e"), Reason: new("x")})
	w.must(err)
	_, err = w.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &running, Reason: new("")})
	w.refuses(err, "Reason")
	_, err = w.CancelJob(t.Context(), &batch.CancelJobInput{JobId: new(""), Reason: new("x")})
	w.refuses(err, "JobId cannot be empty")
}

// CancelJobs and TerminateJobs are newer than the SDK here.
func TestStopManyJobs(t *testing.T) {
	w := newEmulator(t)
	id := w.submit()
	w.until(id, types.JobStatusRunning)
	got := w.post("/v1/terminatejobs", `{"jobs":["`+id+`","unknown"],"reason":"all"}`, 200)
	if diff := cmp.Diff(map[string]any{"successful": []any{id, "unknown"}, "errors": []any{}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if j := w.untilEnded(id); value(j.StatusReason) != "all" {
		t.Errorf("the job is %s: %s", j.Status, value(j.StatusReason))
	}
	w.post("/v1/canceljobs", `{"jobs":[],"reason":"all"}`, 400)
	w.post("/v1/canceljobs", `{"jobs":["a"`+strings.Repeat(`,"a"`, maxStopped)+`],"reason":"all"}`, 400)
}

// post sends a body as it is and returns the answer.
func (w *emulator) post(path, body string, status int) (answer map[string]any) {
	w.Helper()
	r, err := http.Post(w.url+path, "application/json", strings.NewReader(body))
	w.must(err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	w.must(err)
	if r.StatusCode != status || json.Unmarshal(b, &answer) != nil {
		w.Errorf("%s %s: %d %s, want %d", path, body, r.StatusCode, b, status)
	}
	return answer
}

func TestDescribeJobs(t *testing.T) {
	w := newEmulator(t)
	id := w.submit()
	out, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{"unknown", id, id, id + ":0"}})
	w.must(err)
	if len(out.Jobs) != 1 || *out.Jobs[0].JobId != id {
		t.Errorf("unknown ids and repetitions: %d jobs", len(out.Jobs))
	}
	_, err = w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: make([]string, 101)})
	w.refuses(err, "Maximum number of jobs supported is  100")
	w.post("/v1/describejobs", `{}`, 400)
}

func TestUnknownOperations(t *testing.T) {
	w := newEmulator(t)
	for _, path := range []string{"/", "/v1/nonsense", "/v2/submitjob", "/v1/submitjob/"} {
		r, err := http.Post(w.url+path, "application/json", strings.NewReader("{}"))
		w.must(err)
		r.Body.Close()
		if got := r.Header.Get("X-Amzn-Errortype"); r.StatusCode != 404 || got != "UnknownOperationException" || r.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %s", path, r.StatusCode, got)
		}
	}
	_, err := w.ListServiceJobs(t.Context(), &batch.ListServiceJobsInput{JobQueue: new("q")})
	w.refuses(err, "ListServiceJobs")
}

// A task with ecsProperties may have a single container, of the name that the container of
// any other job has; and one that lost its host tells nothing of its containers.
func TestContainersThatTellNothing(t *testing.T) {
	w := newEmptyEmulator(t)
	w.environment("ce", 8)
	w.queue("q", "ce")
	_, err := w.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: new("job"), Type: types.JobDefinitionTypeContainer,
		EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{
			Containers: []types.TaskContainerProperties{{Name: new("default"), Image: new("x"), ResourceRequirements: container("x").ResourceRequirements}},
		}}},
	})
	w.must(err)
	for name, c := range map[string]struct {
		exit local.Exit
		want string
	}{
		"exit code": {exits(3), `{"exitCode":3,"name":"default","logStreamName":"job/default/%[1]s","networkInterfaces":[]}`},
		"reason":    {local.Exit{ExitCode: new(137), Reason: "OutOfMemoryError"}, `{"exitCode":137,"name":"default","reason":"OutOfMemoryError","logStreamName":"job/default/%[1]s","networkInterfaces":[]}`},
		"lost host": {local.Exit{StatusReason: "Host EC2 (instance i-1) terminated."}, `{"name":"default","logStreamName":"job/default/%[1]s","networkInterfaces":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			id := w.submit()
			w.until(id, types.JobStatusRunning)
			try := w.stage.end(id, c.exit)
			j := w.untilEnded(id)
			want := fmt.Sprintf(c.want, try.TaskID)
			got := j.Attempts[0].TaskProperties[0].Containers[0]
			if diff := cmp.Diff(object(t, want), object(t, string(encode(&got)))); diff != "" {
				t.Errorf("the attempt (-want +got):\n%s", diff)
			}
			last := j.EcsProperties.TaskProperties[0].Containers[0]
			if value(last.ExitCode) != value(got.ExitCode) || (last.ExitCode == nil) != (got.ExitCode == nil) ||
				value(last.Reason) != value(got.Reason) || value(last.LogStreamName) != value(got.LogStreamName) {
				t.Errorf("the job: %s", encode(&last))
			}
		})
	}
}

// Where a job runs is told to it, and has to be where its definition wants it.
func TestPlatforms(t *testing.T) {
	w := newEmulator(t)
	ctx := t.Context()
	_, err := w.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: new("fargate"), Type: types.CETypeManaged, ComputeResources: &types.ComputeResource{
			Type: types.CRTypeFargate, MaxvCpus: new(int32(4)), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"},
		},
	})
	w.must(err)
	w.queue("fargate", "fargate")
	c := container("busybox", "true")
	c.ResourceRequirements[1].Value, c.ExecutionRoleArn = new("2048"), new("arn:aws:iam::123456789012:role/r")
	_, err = w.RegisterJobDefinition(ctx, &batch.RegisterJobDefinitionInput{
		JobDefinitionName: new("fargate"), Type: types.JobDefinitionTypeContainer, ContainerProperties: c,
		PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
	})
	w.must(err)
	on := func(queue, definition string) func(*batch.SubmitJobInput) {
		return func(in *batch.SubmitJobInput) { in.JobQueue, in.JobDefinition = &queue, &definition }
	}
	id := w.submit(on("fargate", "fargate"))
	j := w.until(id, types.JobStatusRunning)
	if env := w.stage.end(id, exits(0)).Task.Containers[0].Env; !cmp.Equal(env, []string{"AWS_EXECUTION_ENV=AWS_ECS_FARGATE"}) || j.Container.ContainerInstanceArn != nil {
		t.Errorf("on Fargate it has %q and the instance %q", env, value(j.Container.ContainerInstanceArn))
	}
	for _, test := range []struct{ queue, definition, want string }{
		{"fargate", "job", "can not run Jobs with capability EC2"},
		{"q", "fargate", "can not run Jobs with capability FARGATE"},
	} {
		_, err := w.SubmitJob(ctx, jobInQueue(on(test.queue, test.definition)))
		w.refuses(err, test.want)
	}

	_, err = w.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: new("eks"), Type: types.CETypeManaged,
		EksConfiguration: &types.EksConfiguration{EksClusterArn: new("arn:aws:eks:us-east-1:123456789012:cluster/c"), KubernetesNamespace: new("flow")},
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: new(int32(0)), MaxvCpus: new(int32(4)), InstanceTypes: []string{"m5"}, Subnets: []string{"subnet-1"},
			SecurityGroupIds: []string{"sg-1"}, InstanceRole: new("ecsInstanceRole"), AllocationStrategy: types.CRAllocationStrategyBestFitProgressive,
		},
	})
	w.must(err)
	w.queue("eks", "eks")
	_, err = w.SubmitJob(ctx, jobInQueue(on("eks", "job")))
	w.refuses(err, "on which flow emulate runs no jobs")
}

func TestSeveralContainers(t *testing.T) {
	w := newEmptyEmulator(t)
	w.environment("ce", 8)
	w.queue("q", "ce")
	resources := container("x").ResourceRequirements
	_, err := w.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: new("job"), Type: types.JobDefinitionTypeContainer,
		EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{
			Volumes: []types.Volume{{Name: new("shared")}},
			Containers: []types.TaskContainerProperties{
				{Name: new("init"), Image: new("tools"), Essential: new(false), Command: []string{"cp", "a", "/shared"}, ResourceRequirements: resources,
					MountPoints: []types.MountPoint{{SourceVolume: new("shared"), ContainerPath: new("/shared")}}},
				{Name: new("main"), Image: new("app"), Command: []string{"run"}, ResourceRequirements: resources,
					DependsOn: []types.TaskContainerDependency{{ContainerName: new("init"), Condition: new("SUCCESS")}}},
			},
		}}},
	})
	w.must(err)
	id := w.submit(func(in *batch.SubmitJobInput) {
		in.EcsPropertiesOverride = &types.EcsPropertiesOverride{TaskProperties: []types.TaskPropertiesOverride{{
			Containers: []types.TaskContainerOverrides{{Name: new("main"), Command: []string{"run", "fast"}}},
		}}}
	})
	exit := exits(3)
	exit.Containers = []engine.ContainerResult{{Name: "init", ExitCode: new(0), LogStream: "job/init/1"}, {Name: "main", ExitCode: new(3), Reason: "bad", LogStream: "job/main/1"}}
	try := w.stage.end(id, exit)
	want := []local.ContainerDependency{{Container: "init", Condition: local.ContainerSucceeded}}
	if got := try.Task.Containers[1]; !cmp.Equal(got.DependsOn, want) || !cmp.Equal(got.Command, []string{"run", "fast"}) || !got.Essential {
		t.Errorf("main is run as %+v", got)
	}
	j := w.untilEnded(id)
	if j.Container != nil || len(j.EcsProperties.TaskProperties) != 1 || len(j.Attempts) != 1 || len(j.Attempts[0].TaskProperties) != 1 {
		t.Fatalf("it is %s", encode(&j))
	}
	main := j.EcsProperties.TaskProperties[0].Containers[1]
	attempt := j.Attempts[0].TaskProperties[0].Containers[1]
	if value(main.ExitCode) != 3 || value(main.Reason) != "bad" || value(attempt.ExitCode) != 3 || value(attempt.LogStreamName) != "job/main/1" {
		t.Errorf("main is told as %s and %s", encode(&main), encode(&attempt))
	}
}
