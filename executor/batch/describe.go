package batch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/batch/budget"
)

const (
	maxDescribe    = 100 // ids in a call of DescribeJobs (API reference)
	describeAtOnce = 4   // calls that are under way at the same time
)

// Describe implements engine.Executor, with a call of DescribeJobs for each hundred ids.
func (x *Executor) Describe(ctx context.Context, ids []engine.JobID) ([]engine.Job, error) {
	details, err := x.details(ctx, ids)
	if err != nil {
		return nil, err
	}
	jobs := make([]engine.Job, len(details))
	for i := range details {
		jobs[i] = jobOf(&details[i])
	}
	return jobs, nil
}

// details describes jobs, each once.
func (x *Executor) details(ctx context.Context, ids []engine.JobID) ([]types.JobDetail, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var parts [][]engine.JobID
	for part := range slices.Chunk(slices.Compact(ids), maxDescribe) {
		parts = append(parts, part)
	}
	found, errs := make([][]types.JobDetail, len(parts)), make([]error, len(parts))
	var all sync.WaitGroup
	turn := make(chan struct{}, describeAtOnce)
	for i := range parts {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			found[i], errs[i] = x.describe(ctx, parts[i])
		})
	}
	all.Wait()
	return slices.Concat(found...), cmp.Or(errs...)
}

func (x *Executor) describe(ctx context.Context, ids []engine.JobID) ([]types.JobDetail, error) {
	in := &batch.DescribeJobsInput{}
	for _, id := range ids {
		in.Jobs = append(in.Jobs, string(id))
	}
	var out *batch.DescribeJobsOutput
	err := x.call(ctx, budget.Poll, "DescribeJobs", func(ctx context.Context) (err error) {
		out, err = x.client().DescribeJobs(ctx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Jobs, nil
}

// jobOf returns what a description says.
func jobOf(d *types.JobDetail) engine.Job {
	j := engine.Job{
		ID: engine.JobID(value(d.JobId)), Name: value(d.JobName), Queue: queueName(value(d.JobQueue)), Status: statusOf(d.Status), StatusReason: value(d.StatusReason),
		Created: moment(d.CreatedAt), Started: moment(d.StartedAt), Stopped: moment(d.StoppedAt), Terminated: value(d.IsTerminated) || value(d.IsCancelled),
	}
	if a := d.ArrayProperties; a != nil && a.Index == nil && value(a.Size) > 0 {
		j.Size = int(*a.Size)
		j.Summary = summaryOf(a.StatusSummary, j.Size)
		return j
	}
	for i := range d.Attempts {
		if a := attemptOf(&d.Attempts[i]); !a.Stopped.IsZero() || j.Status.Ended() { // not one that runs, as moto tells of
			j.Attempts = append(j.Attempts, a)
		}
	}
	setLast(&j, d)
	return j
}

// setLast says how the last attempt ended: of the attempts, if they are there, else of the
// job itself, as with one whose attempt was not recorded.
func setLast(j *engine.Job, d *types.JobDetail) {
	if n := len(j.Attempts); n > 0 {
		last := &j.Attempts[n-1]
		j.ExitCode, j.Reason, j.Containers = last.ExitCode, last.Reason, last.Containers
		return
	}
	if c := d.Container; c != nil {
		j.ExitCode, j.Reason = codeOf(c.ExitCode), value(c.Reason)
	}
	if e := d.EcsProperties; e != nil && len(e.TaskProperties) > 0 {
		for i := range e.TaskProperties[0].Containers {
			c := &e.TaskProperties[0].Containers[i]
			j.Containers = append(j.Containers, engine.ContainerResult{
				Name: value(c.Name), ExitCode: codeOf(c.ExitCode), Reason: value(c.Reason), LogStream: value(c.LogStreamName),
			})
		}
		main := mainOf(j.Containers)
		j.ExitCode, j.Reason = main.ExitCode, main.Reason
	}
}

func attemptOf(d *types.AttemptDetail) engine.JobAttempt {
	a := engine.JobAttempt{Started: moment(d.StartedAt), Stopped: moment(d.StoppedAt), StatusReason: value(d.StatusReason)}
	if c := d.Container; c != nil {
		a.ExitCode, a.Reason, a.LogStream, a.TaskID = codeOf(c.ExitCode), value(c.Reason), value(c.LogStreamName), taskID(value(c.TaskArn))
	}
	if len(d.TaskProperties) == 0 {
		return a
	}
	t := &d.TaskProperties[0]
	for i := range t.Containers {
		c := &t.Containers[i]
		a.Containers = append(a.Containers, engine.ContainerResult{
			Name: value(c.Name), ExitCode: codeOf(c.ExitCode), Reason: value(c.Reason), LogStream: value(c.LogStreamName),
		})
	}
	main := mainOf(a.Containers)
	a.ExitCode, a.Reason, a.LogStream, a.TaskID = main.ExitCode, main.Reason, main.LogStream, taskID(value(t.TaskArn))
	return a
}

// mainOf returns how the container that matters ended: that of the task, or with others'
// jobs the first that failed, or the first. If flow's agent could not be put into the job,
// the task's container never started, and the reason says so.
func mainOf(list []engine.ContainerResult) engine.ContainerResult {
	at := slices.IndexFunc(list, func(c engine.ContainerResult) bool { return c.Name == taskContainer })
	first := slices.IndexFunc(list, func(c engine.ContainerResult) bool { return c.Name == agentContainer })
	if at >= 0 && first >= 0 {
		return agentResult(list[at], list[first])
	}
	if at < 0 {
		at = slices.IndexFunc(list, func(c engine.ContainerResult) bool { return c.ExitCode != nil && *c.ExitCode != 0 })
	}
	if len(list) == 0 {
		return engine.ContainerResult{}
	}
	return list[max(at, 0)]
}

// waitedForAgent is what the agent of ECS says of a container that waited for that of flow's
// agent in vain (amazon-ecs-agent, package dependencygraph). Why, only that container knows.
const waitedForAgent = "container ordering dependency " + agentContainer + " "

// noAgent says why flow's agent could not be put into a job.
func noAgent(first engine.ContainerResult) string {
	how := "its container did not start"
	if first.ExitCode != nil {
		how = fmt.Sprintf("its container ended with exit code %d", *first.ExitCode)
	}
	return strings.TrimSuffix(ReasonNoAgent+how+": "+first.Reason, ": ")
}

// ReasonNoAgent begins the reason of a task whose job got no agent of flow.
const ReasonNoAgent = "flow's agent could not be put into the job: "

// agentResult returns how a task ended that flow's agent was to run. The agent's own exit
// codes get the class of their reason, whose text is the last line of the log: a container
// cannot tell Batch more than a number.
func agentResult(task, first engine.ContainerResult) engine.ContainerResult {
	failed := first.ExitCode != nil && *first.ExitCode != 0
	if task.ExitCode == nil && failed || strings.Contains(task.Reason, waitedForAgent) {
		task.ExitCode, task.Reason = nil, noAgent(first) // it was never started
		task.LogStream = orText(task.LogStream, first.LogStream)
		return task
	}
	if task.ExitCode == nil && task.Reason == "" {
		task.Reason = first.Reason // such as CannotPullContainerError
	}
	if task.ExitCode == nil || task.Reason != "" {
		return task
	}
	switch *task.ExitCode {
	case agent.ExitStageIn:
		task.Reason = agent.StageIn + engine.ReasonInLog
	case agent.ExitOutput:
		task.Reason = agent.OutputMissing + engine.ReasonInLog
	case agent.ExitStageOut:
		task.Reason = agent.StageOut + engine.ReasonInLog
	case agent.ExitClaimed:
		task.Reason = engine.ReasonTwin + ", and the command was not started"
	}
	return task
}

// summaryOf counts the children of an array by status. Those that are not counted have
// not been made yet (API reference, ArrayPropertiesDetail): they are SUBMITTED.
func summaryOf(counts map[string]int32, size int) (out [engine.NumJobStatuses]int) {
	left := size
	for name, n := range counts {
		out[statusOf(types.JobStatus(name))] += int(n)
		left -= int(n)
	}
	out[engine.JobSubmitted] += max(left, 0)
	return out
}

// statusOf reads a status. One that is new to flow is of a job that has not ended.
func statusOf(s types.JobStatus) engine.JobStatus {
	var status engine.JobStatus
	if status.UnmarshalText([]byte(s)) != nil {
		return engine.JobPending
	}
	return status
}

func codeOf(code *int32) *int {
	if code == nil {
		return nil
	}
	return new(int(*code))
}

// queueName returns the name in the ARN of a queue.
func queueName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// taskID returns the id in the ARN of an ECS task.
func taskID(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
