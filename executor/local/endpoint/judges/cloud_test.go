package judges

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// A cloud is an account with Batch, seen through the AWS SDK for Go: an environment and a
// queue, and what tests do with them.
type cloud struct {
	*batch.Client
	t     *testing.T
	logs  *cloudwatchlogs.Client
	queue string
	env   string
}

// A steadyClient sends requests whose bodies are in memory. As the SDK sends them, an
// answer of more than 4 KiB that comes within microseconds may be lost on a busy machine:
// the SDK closes the body of a request when the answer begins, and if net/http has not
// looked for the body's end by then, that is an error to it, and it cuts the connection
// (smithy-go 1.28.8, safeWriteToReadCloser.WriteTo). The SDK's retries hide that.
type steadyClient struct{}

func (steadyClient) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return http.DefaultClient.Do(req)
}

func configuration(ep *endpoint) aws.Config {
	return aws.Config{
		HTTPClient:       steadyClient{},
		Region:           region,
		BaseEndpoint:     &ep.url,
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil
		}),
	}
}

// newCloud starts an endpoint with these flags, and makes an environment and a queue.
func newCloud(t *testing.T, flags ...string) *cloud {
	t.Helper()
	return cloudAt(t, start(t, flags...))
}

// cloudAt makes an environment and a queue at an endpoint.
func cloudAt(t *testing.T, ep *endpoint) *cloud {
	t.Helper()
	cfg := configuration(ep)
	c := &cloud{
		Client: batch.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg), t: t,
		env: unique(t, "env"), queue: unique(t, "ProdQueue"),
	}
	c.environment(c.env, 64)
	c.newQueue(&batch.CreateJobQueueInput{JobQueueName: &c.queue, Priority: aws.Int32(1), ComputeEnvironmentOrder: c.order()})
	return c
}

// order is that of the one environment.
func (c *cloud) order() []types.ComputeEnvironmentOrder {
	return []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: &c.env}}
}

// must fails the test if there is an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// await looks until it sees what is wanted, two minutes at most.
func await[T any](t *testing.T, what string, look func() T, until func(T) bool) T {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		seen := look()
		if until(seen) {
			return seen
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %+v", what, seen)
		}
	}
}

func (c *cloud) environment(name string, vcpus int32) {
	c.t.Helper()
	must[*batch.CreateComputeEnvironmentOutput](c.t)(c.CreateComputeEnvironment(c.t.Context(), &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &name, Type: types.CETypeManaged, State: types.CEStateEnabled,
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: &vcpus, InstanceTypes: []string{"optimal"},
			Subnets: []string{"subnet-220c0e0a"}, SecurityGroupIds: []string{"sg-cf5093b2"}, InstanceRole: aws.String("ecsInstanceRole"),
		},
	}))
	await(c.t, name, func() []types.ComputeEnvironmentDetail {
		in := &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}}
		return must[*batch.DescribeComputeEnvironmentsOutput](c.t)(c.DescribeComputeEnvironments(c.t.Context(), in)).ComputeEnvironments
	}, func(all []types.ComputeEnvironmentDetail) bool {
		return len(all) == 1 && all[0].Status == types.CEStatusValid
	})
}

func (c *cloud) newQueue(in *batch.CreateJobQueueInput) {
	c.t.Helper()
	must[*batch.CreateJobQueueOutput](c.t)(c.CreateJobQueue(c.t.Context(), in))
	await(c.t, *in.JobQueueName, func() []types.JobQueueDetail {
		in := &batch.DescribeJobQueuesInput{JobQueues: []string{*in.JobQueueName}}
		return must[*batch.DescribeJobQueuesOutput](c.t)(c.DescribeJobQueues(c.t.Context(), in)).JobQueues
	}, func(all []types.JobQueueDetail) bool { return len(all) == 1 && all[0].Status == types.JQStatusValid })
}

func requirements(vcpus, memory string) []types.ResourceRequirement {
	return []types.ResourceRequirement{
		{Type: types.ResourceTypeVcpu, Value: &vcpus},
		{Type: types.ResourceTypeMemory, Value: &memory},
	}
}

// define registers a definition of a job with one vCPU.
func (c *cloud) define(name string, command ...string) string {
	c.t.Helper()
	return c.register(&batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox"), Command: command, ResourceRequirements: requirements("1", "64"),
		},
	})
}

func (c *cloud) register(in *batch.RegisterJobDefinitionInput) string {
	c.t.Helper()
	in.Type = types.JobDefinitionTypeContainer
	return *must[*batch.RegisterJobDefinitionOutput](c.t)(c.RegisterJobDefinition(c.t.Context(), in)).JobDefinitionArn
}

// submit submits a job to the queue, and returns its id.
func (c *cloud) submit(in *batch.SubmitJobInput) string {
	c.t.Helper()
	if in.JobQueue == nil {
		in.JobQueue = &c.queue
	}
	return *must[*batch.SubmitJobOutput](c.t)(c.SubmitJob(c.t.Context(), in)).JobId
}

// describe returns the jobs that are there, in the order of the ids.
func (c *cloud) describe(ids ...string) []types.JobDetail {
	c.t.Helper()
	var all []types.JobDetail
	for part := range slices.Chunk(ids, 100) {
		all = append(all, must[*batch.DescribeJobsOutput](c.t)(c.DescribeJobs(c.t.Context(), &batch.DescribeJobsInput{Jobs: part})).Jobs...)
	}
	place := map[string]int{}
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(all, func(a, b types.JobDetail) int { return place[*a.JobId] - place[*b.JobId] })
	return all
}

// ended waits for the end of a job.
func (c *cloud) ended(id string) types.JobDetail {
	c.t.Helper()
	all := await(c.t, id, func() []types.JobDetail { return c.describe(id) }, func(all []types.JobDetail) bool {
		return len(all) == 1 && (all[0].Status == types.JobStatusSucceeded || all[0].Status == types.JobStatusFailed)
	})
	return all[0]
}

// expect waits for the end of a job, and for this status.
func (c *cloud) expect(id string, want types.JobStatus) types.JobDetail {
	c.t.Helper()
	job := c.ended(id)
	if job.Status != want {
		c.t.Fatalf("job %s (%s) is %s: %s; expected %s", *job.JobName, id, job.Status, aws.ToString(job.StatusReason), want)
	}
	return job
}

// children returns all of an array.
func (c *cloud) children(id string, size int) []types.JobDetail {
	c.t.Helper()
	all := c.describe(childIDs(id, size)...)
	if len(all) != size {
		c.t.Fatalf("%d children of %s, not %d", len(all), id, size)
	}
	return all
}

// output returns the lines of a log stream, by its forward tokens.
func (c *cloud) output(stream *string) []string {
	c.t.Helper()
	var lines []string
	pages := cloudwatchlogs.NewGetLogEventsPaginator(c.logs, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/batch/job"), LogStreamName: stream, StartFromHead: aws.Bool(true),
	}, func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		for _, e := range must[*cloudwatchlogs.GetLogEventsOutput](c.t)(pages.NextPage(c.t.Context())).Events {
			lines = append(lines, *e.Message)
		}
	}
	return lines
}

// printed is the output of a job's last try, as one text.
func (c *cloud) printed(job types.JobDetail) string {
	c.t.Helper()
	return strings.Join(c.output(job.Container.LogStreamName), "\n")
}

// listed returns all that a listing has, by its pages.
func (c *cloud) listed(in *batch.ListJobsInput) []types.JobSummary {
	c.t.Helper()
	var all []types.JobSummary
	pages := batch.NewListJobsPaginator(c.Client, in, func(o *batch.ListJobsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		all = append(all, must[*batch.ListJobsOutput](c.t)(pages.NextPage(c.t.Context())).JobSummaryList...)
	}
	return all
}
