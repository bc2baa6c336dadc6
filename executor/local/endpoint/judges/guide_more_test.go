package judges

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// task registers a definition of several containers, and runs a job of it to its end.
func (c *cloud) task(name string, volumes []types.Volume, containers ...types.TaskContainerProperties) types.JobDetail {
	c.t.Helper()
	for i := range containers {
		containers[i].Image = aws.String("public.ecr.aws/amazonlinux/amazonlinux:latest")
		if containers[i].ResourceRequirements == nil {
			containers[i].ResourceRequirements = requirements("1", "64")
		}
	}
	c.register(&batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name,
		EcsProperties:     &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{Containers: containers, Volumes: volumes}}},
	})
	return c.ended(c.submit(&batch.SubmitJobInput{JobName: &name, JobDefinition: &name}))
}

func container(name, script string, essential bool, on ...string) types.TaskContainerProperties {
	p := types.TaskContainerProperties{Name: &name, Command: []string{"sh", "-c", script}, Essential: &essential}
	for _, text := range on {
		other, condition, _ := strings.Cut(text, " ")
		p.DependsOn = append(p.DependsOn, types.TaskContainerDependency{ContainerName: &other, Condition: &condition})
	}
	return p
}

// The page multi-container-jobs: containers that wait for one another, share a volume,
// and end together.
func TestGuideContainers(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	hello := func(name string, essential bool, vcpus, memory string) types.TaskContainerProperties {
		p := container(name, "", essential)
		p.Command, p.ResourceRequirements = []string{"echo", "hello world"}, requirements(vcpus, memory)
		return p
	}
	// As in multi-container-jobs-scenarios.
	job := c.task("multicontainer-ecs-ec2", nil, hello("c1", false, "2", "4096"), hello("c2", false, "2", "4096"), hello("c3", true, "6", "12288"))
	containersEnd(t, job, types.JobStatusSucceeded, nil)
	for _, p := range task(t, job).Containers {
		if *p.Name == "c3" {
			equal(t, "log of c3", c.output(p.LogStreamName), []string{"hello world"})
		}
	}

	shared := []types.Volume{{Name: aws.String("shared"), Host: &types.Host{}}}
	setup := container("setup", "echo from setup >/shared/file", false)
	sidecar := container("sidecar", "sleep 600", false)
	main := container("main", "cat /shared/file; echo $AWS_BATCH_JOB_ATTEMPT", true, "setup SUCCESS", "sidecar START")
	for _, p := range []*types.TaskContainerProperties{&setup, &main} {
		p.MountPoints = []types.MountPoint{{SourceVolume: aws.String("shared"), ContainerPath: aws.String("/shared")}}
	}
	job = c.task("shared", shared, setup, sidecar, main)
	containersEnd(t, job, types.JobStatusSucceeded, map[string]int32{"setup": 0, "main": 0})
	for _, p := range task(t, job).Containers {
		if *p.Name == "main" {
			equal(t, "log of main", c.output(p.LogStreamName), []string{"from setup", "1"})
		}
	}
	equal(t, "containers of the attempt", len(job.Attempts[0].TaskProperties[0].Containers), 3)

	job = c.task("essential-fails", nil, container("side", "sleep 600", false), container("main", "exit 7", true))
	containersEnd(t, job, types.JobStatusFailed, map[string]int32{"main": 7})
	job = c.task("another-fails", nil, container("side", "exit 7", false), container("main", "exit 0", true, "side COMPLETE"))
	containersEnd(t, job, types.JobStatusSucceeded, map[string]int32{"side": 7, "main": 0})
	job = c.task("first-fails", nil, container("side", "exit 7", false), container("main", "exit 0", true, "side SUCCESS"))
	containersEnd(t, job, types.JobStatusFailed, map[string]int32{"side": 7})
}

// task returns the one task of a job of several containers.
func task(t *testing.T, job types.JobDetail) types.EcsTaskDetails {
	t.Helper()
	if job.EcsProperties == nil || len(job.EcsProperties.TaskProperties) != 1 {
		t.Fatalf("ecsProperties of %s: %+v", *job.JobName, job.EcsProperties)
	}
	return job.EcsProperties.TaskProperties[0]
}

// containersEnd checks the status of a job, and these exit codes of its containers.
func containersEnd(t *testing.T, job types.JobDetail, want types.JobStatus, codes map[string]int32) {
	t.Helper()
	if job.Status != want {
		t.Errorf("%s is %s (%s), not %s", *job.JobName, job.Status, aws.ToString(job.StatusReason), want)
	}
	got := map[string]int32{}
	for _, p := range task(t, job).Containers {
		if _, ok := codes[*p.Name]; ok && p.ExitCode != nil {
			got[*p.Name] = *p.ExitCode
		}
	}
	if codes != nil {
		equal(t, "exit codes of "+*job.JobName, got, codes)
	}
}

// What is said of ecsProperties by the API reference, and refused.
func TestGuideContainersRefused(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for name, containers := range map[string][]types.TaskContainerProperties{
		"two of one name":      {container("a", "true", true), container("a", "true", false)},
		"none is essential":    {container("a", "true", false)},
		"success of essential": {container("a", "true", true), container("b", "true", true, "a SUCCESS")},
		"of one not there":     {container("a", "true", true, "b START")},
		"no such condition":    {container("a", "true", false), container("b", "true", true, "a HEALTHY")},
		"eleven":               slices.Repeat([]types.TaskContainerProperties{container("a", "true", true)}, 11),
	} {
		for i := range containers {
			containers[i].Image, containers[i].ResourceRequirements = aws.String("busybox"), requirements("1", "64")
		}
		_, err := c.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String("no"), Type: types.JobDefinitionTypeContainer,
			EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{Containers: containers}}},
		})
		if err == nil {
			t.Errorf("accepted: %s", name)
		}
	}
}

// narrow makes an environment of one vCPU, and a queue on it.
func (c *cloud) narrow(name string, policy *string) {
	c.t.Helper()
	c.environment(name+"-env", 1)
	c.newQueue(&batch.CreateJobQueueInput{
		JobQueueName: &name, Priority: aws.Int32(1), SchedulingPolicyArn: policy,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String(name + "-env")}},
	})
}

// block submits a job that runs until it is terminated, and waits until it runs.
func (c *cloud) block(in batch.SubmitJobInput) (release func()) {
	c.t.Helper()
	c.define("block", "sleep", "600")
	in.JobName, in.JobDefinition = aws.String("block"), aws.String("block")
	id := c.submit(&in)
	await(c.t, id, func() types.JobStatus { return c.describe(id)[0].Status }, func(s types.JobStatus) bool { return s == types.JobStatusRunning })
	return func() {
		must[*batch.TerminateJobOutput](c.t)(c.TerminateJob(c.t.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("released")}))
	}
}

// startOrder waits for the end of the jobs, and returns their names as they were started.
func (c *cloud) startOrder(ids []string) []string {
	c.t.Helper()
	for _, id := range ids {
		c.expect(id, types.JobStatusSucceeded)
	}
	jobs := c.describe(ids...)
	slices.SortFunc(jobs, func(a, b types.JobDetail) int {
		return cmp.Or(cmp.Compare(*a.StartedAt, *b.StartedAt), cmp.Compare(*a.StoppedAt, *b.StoppedAt))
	})
	var order []string
	for i, j := range jobs {
		order = append(order, *j.JobName)
		if i > 0 {
			before(c.t, jobs[i-1], j)
		}
	}
	return order
}

// The pages on fair-share scheduling: a share that has used less goes first; within a
// share the priority decides, then the time of submission.
func TestGuideFairShare(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	made := must[*batch.CreateSchedulingPolicyOutput](t)(c.CreateSchedulingPolicy(t.Context(), &batch.CreateSchedulingPolicyInput{
		Name: aws.String(unique(t, "fair")),
		FairsharePolicy: &types.FairsharePolicy{
			ShareDecaySeconds: aws.Int32(600), ComputeReservation: aws.Int32(0),
			ShareDistribution: []types.ShareAttributes{
				{ShareIdentifier: aws.String("blue"), WeightFactor: aws.Float32(1)},
				{ShareIdentifier: aws.String("re*"), WeightFactor: aws.Float32(1)},
			},
		},
	}))
	queue := unique(t, "shared")
	c.narrow(queue, made.Arn)
	c.define("quick", "sleep", "0.02") // longer than the clock is coarse
	_, err := c.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("no"), JobDefinition: aws.String("quick"), JobQueue: &queue})
	if err == nil {
		t.Error("a job without a share identifier was accepted by a fair-share queue")
	}
	release := c.block(batch.SubmitJobInput{JobQueue: &queue, ShareIdentifier: aws.String("blue")})
	var ids []string
	for _, job := range []struct {
		name, share string
		priority    int32
	}{{"blue-1", "blue", 1}, {"blue-2", "blue", 1}, {"blue-first", "blue", 9}, {"red-1", "red", 0}, {"red-2", "red", 0}} {
		ids = append(ids, c.submit(&batch.SubmitJobInput{
			JobName: &job.name, JobDefinition: aws.String("quick"), JobQueue: &queue,
			ShareIdentifier: &job.share, SchedulingPriorityOverride: &job.priority,
		}))
	}
	red := []types.KeyValuesPair{{Name: aws.String("SHARE_IDENTIFIER"), Values: []string{"red"}}}
	await(t, "jobs of red", func() []string {
		return names(c.listed(&batch.ListJobsInput{JobQueue: &queue, Filters: red, JobStatus: types.JobStatusRunnable}))
	}, func(got []string) bool { return slices.Equal(got, []string{"red-2", "red-1"}) })
	// Until blue has used far more than both jobs of red will.
	began := time.Now()
	await(t, "usage of blue", func() time.Duration { return time.Since(began) }, func(d time.Duration) bool { return d > 1500*time.Millisecond })
	release()
	equal(t, "order", c.startOrder(ids), []string{"red-1", "red-2", "blue-first", "blue-1", "blue-2"})
	equal(t, "share", *c.describe(ids[0])[0].ShareIdentifier, "blue")
	got := must[*batch.DescribeSchedulingPoliciesOutput](t)(c.DescribeSchedulingPolicies(t.Context(), &batch.DescribeSchedulingPoliciesInput{Arns: []string{*made.Arn}}))
	equal(t, "weights", len(got.SchedulingPolicies[0].FairsharePolicy.ShareDistribution), 2)
	if _, err := c.DeleteSchedulingPolicy(t.Context(), &batch.DeleteSchedulingPolicyInput{Arn: made.Arn}); err == nil {
		t.Error("the policy of a queue was deleted")
	}
}

// The page job_scheduling: a queue without a policy is first in, first out, and
// GetJobQueueSnapshot shows that order.
func TestGuideFirstInFirstOut(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	queue := unique(t, "fifo")
	c.narrow(queue, nil)
	c.define("quick", "sleep", "0.02") // longer than the clock is coarse
	release := c.block(batch.SubmitJobInput{JobQueue: &queue})
	var ids, want []string
	for _, name := range []string{"first", "second", "third"} {
		ids = append(ids, c.submit(&batch.SubmitJobInput{JobName: &name, JobDefinition: aws.String("quick"), JobQueue: &queue}))
		want = append(want, name)
	}
	await(t, "the front of the queue", func() []string {
		out := must[*batch.GetJobQueueSnapshotOutput](t)(c.GetJobQueueSnapshot(t.Context(), &batch.GetJobQueueSnapshotInput{JobQueue: &queue}))
		var got []string
		for _, j := range out.FrontOfQueue.Jobs {
			got = append(got, (*j.JobArn)[strings.LastIndex(*j.JobArn, "/")+1:])
		}
		return got
	}, func(got []string) bool { return slices.Equal(got, ids) })
	release()
	equal(t, "order", c.startOrder(ids), want)
}

// The pages on resource-aware scheduling: no more jobs run at once than there is of a
// consumable resource; the head of a queue waits for it in RUNNABLE.
func TestGuideConsumables(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	licence := unique(t, "licence")
	must[*batch.CreateConsumableResourceOutput](t)(c.CreateConsumableResource(t.Context(), &batch.CreateConsumableResourceInput{
		ConsumableResourceName: &licence, TotalQuantity: aws.Int64(1),
	}))
	needs := &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{{ConsumableResource: &licence, Quantity: aws.Int64(1)}}}
	c.define("quick", "sleep", "0.02") // longer than the clock is coarse
	release := c.block(batch.SubmitJobInput{ConsumableResourcePropertiesOverride: needs})
	var ids []string
	for _, name := range []string{"a", "b", "c"} {
		ids = append(ids, c.submit(&batch.SubmitJobInput{JobName: &name, JobDefinition: aws.String("quick"), ConsumableResourcePropertiesOverride: needs}))
	}
	other := unique(t, "other")
	c.newQueue(&batch.CreateJobQueueInput{JobQueueName: &other, Priority: aws.Int32(1), ComputeEnvironmentOrder: c.order()})
	free := c.submit(&batch.SubmitJobInput{JobName: aws.String("free"), JobDefinition: aws.String("quick"), JobQueue: &other})
	c.expect(free, types.JobStatusSucceeded) // needs none, and does not wait
	for _, job := range c.describe(ids...) {
		equal(t, "status of "+*job.JobName, job.Status, types.JobStatusRunnable)
	}
	resource := must[*batch.DescribeConsumableResourceOutput](t)(c.DescribeConsumableResource(t.Context(), &batch.DescribeConsumableResourceInput{ConsumableResource: &licence}))
	equal(t, "quantities", []int64{*resource.TotalQuantity, *resource.InUseQuantity, *resource.AvailableQuantity}, []int64{1, 1, 0})
	release()
	equal(t, "order", c.startOrder(ids), []string{"a", "b", "c"})
	_, err := c.SubmitJob(t.Context(), &batch.SubmitJobInput{
		JobName: aws.String("no"), JobDefinition: aws.String("quick"), JobQueue: &c.queue,
		ConsumableResourcePropertiesOverride: &types.ConsumableResourceProperties{
			ConsumableResourceList: []types.ConsumableResourceRequirement{{ConsumableResource: aws.String("none"), Quantity: aws.Int64(1)}},
		},
	})
	if err == nil {
		t.Error("a job that needs an unknown resource was accepted")
	}
}
