package endpoint

import (
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor"
	"flow/executor/local/model"
)

// maxSubmit is the most that a request of SubmitJob may have (Batch User Guide,
// service_limits).
const maxSubmit = 30 << 10

func submitJob(t *tx, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
	r, err := t.request(in)
	if err != nil {
		return nil, err
	}
	if err := t.m.Submit(t.now, engine.JobID(t.id), r); err != nil {
		return nil, err
	}
	return &batch.SubmitJobOutput{JobArn: new(t.arn(kindJob, t.id)), JobId: new(t.id), JobName: in.JobName}, nil
}

// request turns a submission into what the model knows of it.
func (t *tx) request(in *batch.SubmitJobInput) (*model.Request, error) {
	if err := executor.CheckName(value(in.JobName)); err != nil {
		return nil, err
	}
	if value(in.JobQueue) == "" {
		return nil, refuse("JobQueue cannot be empty")
	}
	queue := nameOf(kindQueue, *in.JobQueue)
	q, _, ok := t.m.JobQueue(queue)
	if !ok {
		return nil, refuse("JobQueue %s not found.", *in.JobQueue)
	}
	if d := queueDetailOf(q); d != nil && d.JobQueueType == types.JobQueueTypeEks {
		return nil, refuse("Job Queue %s is attached to EKS compute environments, on which flow emulate runs no jobs", queue)
	}
	if value(in.JobDefinition) == "" {
		return nil, refuse("JobDefinition cannot be empty")
	}
	d, err := t.catalog.definition(*in.JobDefinition)
	if err != nil {
		return nil, err
	}
	if err := runnable(d, in); err != nil {
		return nil, err
	}
	s, err := d.submission(in)
	if err != nil {
		return nil, err
	}
	r := &model.Request{
		Name: *in.JobName, Queue: queue, Definition: *d.JobDefinitionName, LogPrefix: s.work.task.Containers[0].LogPrefix,
		Tags: s.tags, Fargate: d.fargate, ShareID: value(in.ShareIdentifier), Resources: s.resources(), Payload: s,
	}
	if s.priority != nil {
		r.Priority = int(*s.priority)
	}
	r.Attempts, r.Evaluate = retryOf(s.retry)
	if s.timeout != nil {
		r.Timeout = time.Duration(int(value(s.timeout.AttemptDurationSeconds))) * time.Second
	}
	if s.work.length > maxOverrides {
		r.Undispatchable = reasonOverrides
	}
	if a := in.ArrayProperties; a != nil && a.Size != nil {
		if r.ArraySize = int(*a.Size); r.ArraySize == 0 {
			return nil, refuse("Array job size should be between %d and %d, got 0", executor.MinArraySize, executor.MaxArraySize)
		}
	}
	for _, dep := range in.DependsOn {
		d := engine.Dependency{Job: engine.JobID(value(dep.JobId)), Type: engine.DependencyType(dep.Type)}
		if d.Type == engine.DependSequential && d.Job != "" && r.ArraySize == 0 {
			d.Type = engine.DependAll // seen of the service: a plain job with it waits for the job
		}
		r.DependsOn = append(r.DependsOn, d)
	}
	if s.needs != nil {
		for _, n := range s.needs.ConsumableResourceList {
			r.Consumables = append(r.Consumables, model.Need{Consumable: nameOf(kindConsumable, value(n.ConsumableResource)), Quantity: value(n.Quantity)})
		}
	}
	return r, nil
}

// runnable refuses what the emulator knows, and does not run.
func runnable(d *definition, in *batch.SubmitJobInput) error {
	switch {
	case d.NodeProperties != nil || in.NodeOverrides != nil:
		return refuse("flow emulate stores multi-node parallel job definitions, but does not run them: %s needs AWS", *d.JobDefinitionName)
	case d.EksProperties != nil || in.EksPropertiesOverride != nil:
		return refuse("flow emulate stores EKS job definitions, but does not run them: %s needs AWS", *d.JobDefinitionName)
	}
	return nil
}

// submission checks and merges what a job is submitted with.
func (d *definition) submission(in *batch.SubmitJobInput) (*submission, error) {
	if p := in.SchedulingPriorityOverride; p != nil {
		if value(in.ShareIdentifier) == "" {
			return nil, refuse("Job with shareIdentifier or schedulingPriority can only be submitted to job queue with fair share scheduling policy.")
		}
		if err := checkPriority(p); err != nil {
			return nil, err
		}
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	s := &submission{
		definition: d, dependsOn: in.DependsOn, parameters: mergeParameters(d.Parameters, in.Parameters),
		retry: orElse(in.RetryStrategy, d.RetryStrategy), timeout: orElse(in.Timeout, d.Timeout), tags: maps.Clone(in.Tags),
		propagate: orElse(in.PropagateTags, d.PropagateTags), priority: orElse(in.SchedulingPriorityOverride, d.SchedulingPriority),
		needs: orElse(in.ConsumableResourcePropertiesOverride, d.ConsumableResourceProperties),
	}
	if err := checkRetry(s.retry); err != nil {
		return nil, err
	}
	if err := checkTimeout(s.timeout); err != nil {
		return nil, err
	}
	if err := checkConsumables(s.needs); err != nil {
		return nil, err
	}
	var err error
	s.work, err = d.work(in, s.parameters)
	return s, err
}

// resources returns what a job takes of an instance: all its containers together.
func (s *submission) resources() engine.Resources {
	var sum engine.Resources
	for i := range s.work.task.Containers {
		r := s.work.task.Containers[i].Resources
		sum.VCPUs += r.VCPUs
		sum.MemoryMiB += r.MemoryMiB
		sum.GPUs += r.GPUs
	}
	return sum
}

// orElse returns what was given with a job, or else what its definition has.
func orElse[T any](own, other *T) *T {
	if own != nil {
		return own
	}
	return other
}

// retryStrategy returns a retry strategy as Batch tells it of a job.
func retryStrategy(r *types.RetryStrategy) *types.RetryStrategy {
	if r == nil {
		return &types.RetryStrategy{Attempts: new(int32(1)), EvaluateOnExit: []types.EvaluateOnExit{}}
	}
	return shownRetry(r)
}
