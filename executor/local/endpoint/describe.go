package endpoint

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/local"
	"flow/executor/local/model"
)

// maxDescribed is how many jobs one call of DescribeJobs takes.
const maxDescribed = 100

func describeJobs(t *tx, in *batch.DescribeJobsInput) (*batch.DescribeJobsOutput, error) {
	switch {
	case in.Jobs == nil:
		return nil, refuse("Jobs cannot be empty")
	case len(in.Jobs) > maxDescribed:
		return nil, refuse("Maximum number of jobs supported is  %d", maxDescribed)
	}
	out := &batch.DescribeJobsOutput{Jobs: []types.JobDetail{}}
	seen := make(map[engine.JobID]bool, len(in.Jobs))
	for _, ref := range in.Jobs {
		id := engine.JobID(nameOf(kindJob, ref))
		if seen[id] {
			continue
		}
		seen[id] = true
		if v, ok := t.m.Describe(id); ok && !t.gremlin.young(t.now, v.Created, t.gremlin.chaos.Load().DescribeLag) {
			out.Jobs = append(out.Jobs, t.detail(&v))
		}
	}
	return out, nil
}

// detail returns a job, an array parent or a child as DescribeJobs tells it.
func (t *tx) detail(v *model.View) types.JobDetail {
	s := v.Request.Payload.(*submission)
	d := types.JobDetail{
		JobArn: new(t.arn(kindJob, string(v.ID))), JobId: new(string(v.ID)), JobName: new(v.Name), JobQueue: new(t.arn(kindQueue, v.Queue)),
		Status: types.JobStatus(v.Status.String()), StatusReason: orNil(v.StatusReason), JobDefinition: s.definition.JobDefinitionArn,
		CreatedAt: milli(v.Created), StartedAt: milli(v.Started), StoppedAt: milli(v.Stopped),
		Attempts: []types.AttemptDetail{}, RetryStrategy: retryStrategy(s.retry), Timeout: s.timeout,
		DependsOn: filled(s.dependsOn), Parameters: filledMap(s.parameters), PlatformCapabilities: s.definition.platform(),
		ShareIdentifier: orNil(v.Request.ShareID), SchedulingPriority: s.priority, ConsumableResourceProperties: s.needs,
		PropagateTags: new(value(s.propagate)), IsCancelled: new(v.Cancelled), IsTerminated: new(v.Terminated),
		Tags: filledMap(s.tags),
	}
	if v.Index >= 0 { // the tags of a parent are not its children's
		d.Tags = map[string]string{}
	}
	d.ArrayProperties = arrayProperties(v)
	for i := range v.Attempts {
		d.Attempts = append(d.Attempts, t.attempt(s, v, &v.Attempts[i]))
	}
	if s.work.ecs != nil {
		d.EcsProperties = t.ecsDetail(s.work.ecs, v)
	} else {
		d.Container = t.containerDetail(s.work.container, v)
	}
	return d
}

func arrayProperties(v *model.View) *types.ArrayPropertiesDetail {
	switch {
	case v.Index >= 0:
		return &types.ArrayPropertiesDetail{Index: new(int32(v.Index))}
	case v.Size > 0:
		summary := make(map[string]int32, len(v.Summary))
		for s, n := range v.Summary {
			summary[engine.JobStatus(s).String()] = int32(n)
		}
		return &types.ArrayPropertiesDetail{Size: new(int32(v.Size)), StatusSummary: summary, StatusSummaryLastUpdatedAt: milli(v.Summarized)}
	}
	return nil
}

// attempt returns an attempt that has ended.
func (t *tx) attempt(s *submission, v *model.View, a *engine.JobAttempt) types.AttemptDetail {
	d := types.AttemptDetail{StartedAt: milli(a.Started), StoppedAt: milli(a.Stopped), StatusReason: orNil(a.StatusReason)}
	task, instance := t.taskARN(v.Environment, a.TaskID), t.instanceARN(v, a.TaskID, begun(a))
	if s.work.ecs == nil {
		d.Container = &types.AttemptContainerDetail{
			ContainerInstanceArn: instance, TaskArn: task, ExitCode: int32Of(a.ExitCode), Reason: orNil(a.Reason),
			NetworkInterfaces: []types.NetworkInterface{},
		}
		if !a.Started.IsZero() {
			d.Container.LogStreamName = orNil(a.LogStream)
		}
		return d
	}
	d.Container = &types.AttemptContainerDetail{NetworkInterfaces: []types.NetworkInterface{}}
	e := types.AttemptEcsTaskDetails{ContainerInstanceArn: instance, TaskArn: task, Containers: []types.AttemptTaskContainerDetails{}}
	for i := range s.work.task.Containers {
		r := s.result(i, a)
		e.Containers = append(e.Containers, types.AttemptTaskContainerDetails{
			Name: new(r.Name), ExitCode: int32Of(r.ExitCode), Reason: orNil(r.Reason), LogStreamName: orNil(r.LogStream),
			NetworkInterfaces: []types.NetworkInterface{},
		})
	}
	d.TaskProperties = []types.AttemptEcsTaskDetails{e}
	return d
}

// result returns how container i of a task ended in a try. A try that tells nothing of its
// containers is one of a task with a single one, whose end is that of the try, or one whose
// host was lost.
func (s *submission) result(i int, a *engine.JobAttempt) engine.ContainerResult {
	all := s.work.task.Containers
	c := &all[i]
	if k := slices.IndexFunc(a.Containers, func(r engine.ContainerResult) bool { return r.Name == c.Name }); k >= 0 {
		return a.Containers[k]
	}
	r := engine.ContainerResult{Name: c.Name}
	if len(all) == 1 {
		r.ExitCode, r.Reason = a.ExitCode, a.Reason
	}
	if !a.Started.IsZero() {
		r.LogStream = logStream(c, a.TaskID)
	}
	return r
}

// containerDetail returns the one container of a job and what became of its last try.
func (t *tx) containerDetail(c *types.ContainerProperties, v *model.View) *types.ContainerDetail {
	d := new(types.ContainerDetail)
	copyMembers(d, c)
	d.NetworkInterfaces = []types.NetworkInterface{}
	if v.Size > 0 || v.TaskID == "" {
		return d
	}
	d.TaskArn, d.ContainerInstanceArn = t.taskARN(v.Environment, v.TaskID), t.instanceARN(v, v.TaskID, lastBegun(v))
	d.ExitCode, d.Reason = int32Of(v.ExitCode), orNil(v.Reason)
	if !v.Started.IsZero() {
		d.LogStreamName = new(logStream(&v.Request.Payload.(*submission).work.task.Containers[0], v.TaskID))
	}
	return d
}

// logStream returns the name of the stream that a container of a task writes to.
func logStream(c *local.Container, taskID string) string {
	return c.LogPrefix + "/" + c.Name + "/" + taskID
}

// ecsDetail returns the containers of a job and what became of its last try.
func (t *tx) ecsDetail(e *types.EcsProperties, v *model.View) *types.EcsPropertiesDetail {
	task := new(types.EcsTaskDetails)
	from := &e.TaskProperties[0]
	copyMembers(task, from)
	task.Containers = make([]types.TaskContainerDetails, len(from.Containers))
	ran := v.Size == 0 && v.TaskID != ""
	last := engine.JobAttempt{ExitCode: v.ExitCode, Reason: v.Reason, Started: v.Started, TaskID: v.TaskID, Containers: v.Containers}
	if ran {
		task.TaskArn, task.ContainerInstanceArn = t.taskARN(v.Environment, v.TaskID), t.instanceARN(v, v.TaskID, lastBegun(v))
	}
	for i := range from.Containers {
		d := &task.Containers[i]
		copyMembers(d, &from.Containers[i])
		d.NetworkInterfaces = []types.NetworkInterface{}
		if !ran {
			continue
		}
		r := v.Request.Payload.(*submission).result(i, &last)
		d.ExitCode, d.Reason, d.LogStreamName = int32Of(r.ExitCode), orNil(r.Reason), orNil(r.LogStream)
	}
	return &types.EcsPropertiesDetail{TaskProperties: []types.EcsTaskDetails{*task}}
}

// taskARN returns the ARN of the ECS task of a try.
func (s *Server) taskARN(environment, taskID string) *string {
	if taskID == "" {
		return nil
	}
	return new("arn:aws:ecs:" + s.region + ":" + s.account + ":task/" + s.clusterName(environment) + "/" + taskID)
}

func milli(at time.Time) *int64 {
	if at.IsZero() {
		return nil
	}
	return new(at.UnixMilli())
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func int32Of(p *int) *int32 {
	if p == nil {
		return nil
	}
	return new(int32(*p))
}
