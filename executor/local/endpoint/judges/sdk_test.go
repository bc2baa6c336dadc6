package judges

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func childIDs(id string, size int) []string {
	ids := make([]string, size)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s:%d", id, i)
	}
	return ids
}

func names(jobs []types.JobSummary) []string {
	var all []string
	for _, j := range jobs {
		all = append(all, *j.JobName)
	}
	return all
}

func equal[T any](t *testing.T, what string, got, want T, options ...cmp.Option) {
	t.Helper()
	options = append(options, cmpopts.IgnoreUnexported(types.ResourceRequirement{}))
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// sorted compares requirements in any order.
var sorted = cmpopts.SortSlices(func(a, b types.ResourceRequirement) bool { return a.Type < b.Type })

// The AWS SDK for Go does all that one does with Batch.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	c := newCloud(t, signed(t))
	c.define("say", "echo", "hello")
	c.define("index", "sh", "-c", "echo $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE")
	c.define("fail", "sh", "-c", "exit 3")
	c.define("sleep", "sleep", "600")
	five := &types.ArrayProperties{Size: aws.Int32(5)}
	submit := func(name, definition string, more batch.SubmitJobInput) string {
		more.JobName, more.JobDefinition = &name, &definition
		return c.submit(&more)
	}
	plain := submit("plain", "say", batch.SubmitJobInput{})
	array := submit("array", "index", batch.SubmitJobInput{ArrayProperties: five})
	ntn := submit("ntn", "index", batch.SubmitJobInput{ArrayProperties: five, DependsOn: []types.JobDependency{{JobId: &array, Type: types.ArrayJobDependencyNToN}}})
	seq := submit("seq", "index", batch.SubmitJobInput{ArrayProperties: five, DependsOn: []types.JobDependency{{Type: types.ArrayJobDependencySequential}}})
	failing := submit("failing", "fail", batch.SubmitJobInput{RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)}})
	after := submit("after", "say", batch.SubmitJobInput{DependsOn: []types.JobDependency{{JobId: &failing}}})

	job := c.expect(plain, types.JobStatusSucceeded)
	equal(t, "exit code", *job.Container.ExitCode, 0)
	equal(t, "reason", *job.StatusReason, "Essential container in task exited")
	equal(t, "log", c.printed(job), "hello")
	for _, id := range []string{array, ntn, seq} {
		job := c.expect(id, types.JobStatusSucceeded)
		equal(t, "summary", job.ArrayProperties.StatusSummary, map[string]int32{
			"SUBMITTED": 0, "PENDING": 0, "RUNNABLE": 0, "STARTING": 0, "RUNNING": 0, "SUCCEEDED": 5, "FAILED": 0,
		})
	}
	upstream, elements, sequence := c.children(array, 5), c.children(ntn, 5), c.children(seq, 5)
	for i := range 5 {
		equal(t, "index", *upstream[i].ArrayProperties.Index, int32(i))
		equal(t, "log of a child", c.printed(upstream[i]), fmt.Sprintf("%d of 5", i))
		if *elements[i].StartedAt < *upstream[i].StoppedAt {
			t.Errorf("ntn:%d started before array:%d had ended", i, i)
		}
		if i > 0 && *sequence[i].StartedAt < *sequence[i-1].StoppedAt {
			t.Errorf("seq:%d started before seq:%d had ended", i, i-1)
		}
	}
	job = c.expect(failing, types.JobStatusFailed)
	equal(t, "attempts", len(job.Attempts), 2)
	equal(t, "exit code", *job.Container.ExitCode, 3)
	job = c.expect(after, types.JobStatusFailed)
	equal(t, "reason", *job.StatusReason, "Dependent Job failed")
	if job.StartedAt != nil || job.Container.ExitCode != nil {
		t.Errorf("a job that never ran: started at %v, exit code %v", job.StartedAt, job.Container.ExitCode)
	}

	running := submit("running", "sleep", batch.SubmitJobInput{})
	await(t, "running", func() types.JobStatus { return c.describe(running)[0].Status }, func(s types.JobStatus) bool { return s == types.JobStatusRunning })
	equal(t, "running jobs", names(c.listed(&batch.ListJobsInput{JobQueue: &c.queue})), []string{"running"})
	reason := aws.String("enough")
	must[*batch.TerminateJobOutput](t)(c.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &running, Reason: reason}))
	job = c.expect(running, types.JobStatusFailed)
	equal(t, "terminated", []any{*job.StatusReason, *job.IsTerminated, *job.IsCancelled}, []any{"enough", true, false})

	filter := []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{"A*"}}}
	equal(t, "by name", names(c.listed(&batch.ListJobsInput{JobQueue: &c.queue, Filters: filter, MaxResults: aws.Int32(1)})), []string{"after", "array"})
	succeeded := c.listed(&batch.ListJobsInput{ArrayJobId: &array, JobStatus: types.JobStatusSucceeded, MaxResults: aws.Int32(2)})
	equal(t, "children", len(succeeded), 5)
	equal(t, "running children", len(c.listed(&batch.ListJobsInput{ArrayJobId: &array})), 0)
}

// Errors become the types of the SDK.
func TestGoSDKErrors(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.define("say", "echo", "hello")
	_, err := c.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("x"), JobQueue: aws.String("none"), JobDefinition: aws.String("say")})
	var client *types.ClientException
	if !errors.As(err, &client) || !strings.Contains(*client.Message, "JobQueue none not found.") {
		t.Errorf("error %v, %T", err, err)
	}
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.HTTPStatusCode() != 400 || response.ServiceRequestID() == "" {
		t.Errorf("error %v, %T", err, err)
	}
	_, err = c.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: &c.queue, JobStatus: "ASLEEP"})
	if !errors.As(err, &client) {
		t.Errorf("error %v, %T", err, err)
	}
	_, err = c.logs.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("/aws/batch/job"), LogStreamName: aws.String("none")})
	var missing *logtypes.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("error %v, %T", err, err)
	}
	_, err = c.ListServiceJobs(t.Context(), &batch.ListServiceJobsInput{JobQueue: &c.queue})
	if !errors.As(err, &client) {
		t.Errorf("an operation for SageMaker: %v, %T", err, err)
	}
}
