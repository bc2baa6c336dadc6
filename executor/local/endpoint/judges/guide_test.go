package judges

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The examples of the AWS Batch User Guide.

// arrayWorkflow submits JobA to JobE of the page example_array_job, with arrays of this
// size, and returns their ids by name.
func arrayWorkflow(c *cloud, size int32) map[string]string {
	ids := map[string]string{}
	array := func(n int32) *types.ArrayProperties { return &types.ArrayProperties{Size: &n} }
	large := func(vcpus, memory string) *types.ContainerOverrides {
		return &types.ContainerOverrides{ResourceRequirements: requirements(vcpus, memory)}
	}
	c.define("JobA-list-and-validate", "echo", "A")
	c.define("JobB-CPU-Intensive-Processing", "sh", "-c", "echo B$AWS_BATCH_JOB_ARRAY_INDEX")
	c.define("JobC-Memory-Intensive-Processing", "sh", "-c", "echo C$AWS_BATCH_JOB_ARRAY_INDEX")
	c.define("JobD-Sequential-Validation", "sh", "-c", "echo D$AWS_BATCH_JOB_ARRAY_INDEX")
	c.define("JobE-Cleanup-and-Notification", "echo", "Ref::SourceBucket", "Ref::Recipient")
	for _, job := range []struct {
		name, definition string
		in               batch.SubmitJobInput
		on               string // a job that it depends on
		kind             types.ArrayJobDependency
		sequential       bool
	}{
		{name: "JobA", definition: "JobA-list-and-validate:1"},
		{name: "JobB", definition: "JobB-CPU-Intensive-Processing:1", on: "JobA",
			in: batch.SubmitJobInput{ArrayProperties: array(size), ContainerOverrides: large("32", "4096")}},
		{name: "JobC", definition: "JobC-Memory-Intensive-Processing:1", on: "JobB", kind: types.ArrayJobDependencyNToN,
			in: batch.SubmitJobInput{ArrayProperties: array(size), ContainerOverrides: large("1", "32768")}},
		{name: "JobD", definition: "JobD-Sequential-Validation:1", on: "JobC", sequential: true,
			in: batch.SubmitJobInput{ArrayProperties: array(10), ContainerOverrides: large("1", "32768")}},
		{name: "JobE", definition: "JobE-Cleanup-and-Notification:1", on: "JobD",
			in: batch.SubmitJobInput{Parameters: map[string]string{"SourceBucket": "s3://JobD-Output-Bucket", "Recipient": "pipeline-notifications@mycompany.com"}}},
	} {
		in := job.in
		in.JobName, in.JobDefinition = &job.name, &job.definition
		if job.on != "" {
			in.DependsOn = append(in.DependsOn, types.JobDependency{JobId: aws.String(ids[job.on]), Type: job.kind})
		}
		if job.sequential {
			in.DependsOn = append(in.DependsOn, types.JobDependency{Type: types.ArrayJobDependencySequential})
		}
		ids[job.name] = c.submit(&in)
	}
	return ids
}

func TestGuideArrayWorkflow(t *testing.T) {
	t.Parallel()
	const size = 12
	c := newCloud(t)
	ids := arrayWorkflow(c, size)
	a := c.expect(ids["JobA"], types.JobStatusSucceeded)
	e := c.expect(ids["JobE"], types.JobStatusSucceeded)
	equal(t, "log of JobE", c.printed(e), "s3://JobD-Output-Bucket pipeline-notifications@mycompany.com")
	jobB, jobC, jobD := c.children(ids["JobB"], size), c.children(ids["JobC"], size), c.children(ids["JobD"], 10)
	equal(t, "requirements of JobB", jobB[0].Container.ResourceRequirements, requirements("32", "4096"), sorted)
	for i := range size {
		before(t, a, jobB[i])
		before(t, jobB[i], jobC[i])
		before(t, jobC[i], jobD[0])
	}
	for i := range 9 {
		before(t, jobD[i], jobD[i+1])
	}
	before(t, jobD[9], e)
	equal(t, "log of JobD:7", c.printed(jobD[7]), "D7")
}

// The page's own size: 10,000 copies of JobB and of JobC.
func TestGuideArrayWorkflowOfItsSize(t *testing.T) {
	t.Parallel()
	const size = 10000
	c := newCloud(t, "--runner", "instant")
	ids := arrayWorkflow(c, size)
	c.expect(ids["JobE"], types.JobStatusSucceeded)
	for _, name := range []string{"JobB", "JobC"} {
		parent := c.describe(ids[name])[0]
		equal(t, name, parent.ArrayProperties.StatusSummary["SUCCEEDED"], size)
		listed := c.listed(&batch.ListJobsInput{ArrayJobId: aws.String(ids[name]), JobStatus: types.JobStatusSucceeded})
		equal(t, "children of "+name, len(listed), size)
	}
}

// before fails unless a had ended when b was started.
func before(t *testing.T, a, b types.JobDetail) {
	t.Helper()
	if b.StartedAt == nil || a.StoppedAt == nil || *b.StartedAt < *a.StoppedAt {
		t.Errorf("%s (%s) was started before %s (%s) had ended", *b.JobName, *b.JobId, *a.JobName, *a.JobId)
	}
}

// The colours of the page array_index_example. The image there has the program as its
// entry point; here it is the command.
func TestGuideColours(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	const program = `printf 'red\norange\nyellow\ngreen\nblue\nindigo\nviolet\n' >colors.txt
LINE=$((AWS_BATCH_JOB_ARRAY_INDEX + 1))
COLOR=$(sed -n ${LINE}p colors.txt)
echo My favorite color of the rainbow is $COLOR.`
	c.register(&batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("print-color"),
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("123456789012.dkr.ecr.us-east-1.amazonaws.com/print-color"), Command: []string{"sh", "-c", program},
			Vcpus: aws.Int32(1), Memory: aws.Int32(250),
		},
	})
	id := c.submit(&batch.SubmitJobInput{
		JobName: aws.String("print-color"), JobDefinition: aws.String("print-color"), ArrayProperties: &types.ArrayProperties{Size: aws.Int32(7)},
	})
	c.expect(id, types.JobStatusSucceeded)
	for i, colour := range []string{"red", "orange", "yellow", "green", "blue", "indigo", "violet"} {
		equal(t, "log", c.printed(c.children(id, 7)[i]), "My favorite color of the rainbow is "+colour+".")
	}
}

// The page job_retries: some failures are retried, all others are not.
func TestGuideRetries(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	rules := &types.RetryStrategy{Attempts: aws.Int32(5), EvaluateOnExit: []types.EvaluateOnExit{
		{Action: types.RetryActionRetry, OnStatusReason: aws.String("Task failed to start")},
		{Action: types.RetryActionRetry, OnStatusReason: aws.String("Host EC2*")},
		{Action: types.RetryActionExit, OnReason: aws.String("*")},
	}}
	for name, w := range map[string]struct {
		command  []string
		attempts int
		status   types.JobStatus
		reason   string
	}{
		"starts and fails": {[]string{"sh", "-c", "exit 1"}, 1, types.JobStatusFailed, "Essential container in task exited"},
		"does not start":   {[]string{"/no/such/program"}, 5, types.JobStatusFailed, "Task failed to start"},
		"succeeds":         {[]string{"sh", "-c", "test $AWS_BATCH_JOB_ATTEMPT = 1"}, 1, types.JobStatusSucceeded, "Essential container in task exited"},
	} {
		definition := strings.ReplaceAll(name, " ", "-")
		c.define(definition, w.command...)
		job := c.expect(c.submit(&batch.SubmitJobInput{JobName: &definition, JobDefinition: &definition, RetryStrategy: rules}), w.status)
		equal(t, name, []any{len(job.Attempts), *job.StatusReason}, []any{w.attempts, w.reason})
		equal(t, name, len(job.RetryStrategy.EvaluateOnExit), 3)
	}
}

// The page job_timeouts: the least is 60 seconds, that of the job replaces that of its
// definition, and a job that is ended by it is not tried again.
func TestGuideTimeouts(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.register(&batch.RegisterJobDefinitionInput{
		JobDefinitionName:   aws.String("sleep"),
		Timeout:             &types.JobTimeout{AttemptDurationSeconds: aws.Int32(600)},
		RetryStrategy:       &types.RetryStrategy{Attempts: aws.Int32(3)},
		ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), Command: []string{"sleep", "600"}, ResourceRequirements: requirements("1", "64")},
	})
	short := &types.JobTimeout{AttemptDurationSeconds: aws.Int32(59)}
	_, err := c.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("no"), JobDefinition: aws.String("sleep"), JobQueue: &c.queue, Timeout: short})
	if err == nil {
		t.Error("a timeout of 59 seconds was accepted")
	}
	id := c.submit(&batch.SubmitJobInput{
		JobName: aws.String("sleep"), JobDefinition: aws.String("sleep"), Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)},
	})
	await(t, id, func() types.JobStatus { return c.describe(id)[0].Status }, func(s types.JobStatus) bool { return s == types.JobStatusRunning })
	if testing.Short() {
		must[*batch.TerminateJobOutput](t)(c.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("short")}))
		c.expect(id, types.JobStatusFailed)
		return
	}
	await(t, id, func() int64 { return int64(len(c.describe(id)[0].Attempts)) }, func(n int64) bool { return n == 1 })
	job := c.expect(id, types.JobStatusFailed)
	equal(t, "reason", *job.StatusReason, "Job attempt duration exceeded timeout")
	if took := *job.StoppedAt - *job.StartedAt; took < 60000 || took > 75000 {
		t.Errorf("it ran for %d ms", took)
	}
}

// The page job_env_vars.
func TestGuideEnvironment(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.define("env", "sh", "-c", "env | grep ^AWS_BATCH_ | sort; exit $((2 - AWS_BATCH_JOB_ATTEMPT))")
	retry := &types.RetryStrategy{Attempts: aws.Int32(2)}
	env := aws.String("env")
	plain := c.submit(&batch.SubmitJobInput{JobName: env, JobDefinition: env, RetryStrategy: retry})
	array := c.submit(&batch.SubmitJobInput{JobName: env, JobDefinition: env, RetryStrategy: retry, ArrayProperties: &types.ArrayProperties{Size: aws.Int32(2)}})
	want := func(id string, attempt int, more ...string) []string {
		all := append(more, "AWS_BATCH_CE_NAME="+c.env, "AWS_BATCH_JQ_NAME="+c.queue, "AWS_BATCH_JOB_ID="+id, fmt.Sprintf("AWS_BATCH_JOB_ATTEMPT=%d", attempt))
		slices.Sort(all)
		return all
	}
	c.expect(plain, types.JobStatusSucceeded)
	c.expect(array, types.JobStatusSucceeded)
	for _, job := range c.describe(plain, array+":0", array+":1") {
		var more []string
		if job.ArrayProperties != nil {
			more = []string{fmt.Sprintf("AWS_BATCH_JOB_ARRAY_INDEX=%d", *job.ArrayProperties.Index), "AWS_BATCH_JOB_ARRAY_SIZE=2"}
		}
		for i, a := range job.Attempts {
			got := c.output(a.Container.LogStreamName)
			slices.Sort(got)
			equal(t, *job.JobId, got, want(*job.JobId, i+1, more...))
		}
		equal(t, "attempts", len(job.Attempts), 2)
	}
}
