package endpoint

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/instances"
	"flow/executor/local/model"
)

// The model keeps with a job queue what is told of it: a *types.JobQueueDetail without
// state, status and reason. It is never changed, but for the tags, which are replaced
// whole.

func createJobQueue(t *tx, in *batch.CreateJobQueueInput) (*batch.CreateJobQueueOutput, error) {
	name := value(in.JobQueueName)
	if !resourceName().MatchString(name) {
		return nil, refuse("Job Queue name should match a valid pattern.")
	}
	if in.Priority == nil {
		return nil, refuse("Job Queue priority is required.")
	}
	if len(in.ServiceEnvironmentOrder) > 0 || in.JobQueueType == types.JobQueueTypeSagemakerTraining {
		return nil, refuse("serviceEnvironmentOrder is for jobs of SageMaker, which flow emulate does not run")
	}
	d := &types.JobQueueDetail{
		JobQueueArn: new(t.arn(kindQueue, name)), JobQueueName: &name, Priority: in.Priority,
		JobStateTimeLimitActions: filled(in.JobStateTimeLimitActions), Tags: filledMap(in.Tags),
	}
	if given(in.SchedulingPolicyArn) {
		d.SchedulingPolicyArn = in.SchedulingPolicyArn
	}
	if err := firstError(checkTags(in.Tags), t.setOrder(d, in.ComputeEnvironmentOrder), t.checkQueue(d)); err != nil {
		return nil, err
	}
	if in.JobQueueType != "" && in.JobQueueType != d.JobQueueType {
		return nil, refuse("Job queue type %s does not go with the compute environments, which are for %s", in.JobQueueType, d.JobQueueType)
	}
	if err := t.m.CreateQueue(t.now, queueOf(d, in.State == types.JQStateDisabled)); err != nil {
		return nil, err
	}
	return &batch.CreateJobQueueOutput{JobQueueArn: d.JobQueueArn, JobQueueName: &name}, nil
}

// queueOf returns what the scheduler knows of a queue.
func queueOf(d *types.JobQueueDetail, disabled bool) model.Queue {
	q := model.Queue{
		Name: *d.JobQueueName, Disabled: disabled, Priority: int(value(d.Priority)),
		Policy: nameOf(kindPolicy, value(d.SchedulingPolicyArn)), Detail: d,
	}
	for i := range d.ComputeEnvironmentOrder {
		q.Environments = append(q.Environments, nameOf(kindEnvironment, *d.ComputeEnvironmentOrder[i].ComputeEnvironment))
	}
	for i := range d.JobStateTimeLimitActions {
		a := &d.JobStateTimeLimitActions[i]
		q.Limits = append(q.Limits, model.StateLimit{Reason: *a.Reason, After: time.Duration(*a.MaxTimeSeconds) * time.Second})
	}
	return q
}

const maxOrder = 3 // compute environments of a queue (Batch User Guide, service_limits)

// setOrder sets the compute environments of a queue, which may be named or given by their
// ARNs, in their order.
func (t *tx) setOrder(d *types.JobQueueDetail, order []types.ComputeEnvironmentOrder) error {
	if n := len(order); n < 1 || n > maxOrder {
		return refuse("Job Queue should have 1 to %d Compute Environments in computeEnvironmentOrder, got %d", maxOrder, n)
	}
	sorted := []types.ComputeEnvironmentOrder{}
	for _, o := range order {
		if o.Order == nil || !given(o.ComputeEnvironment) {
			return refuse("computeEnvironmentOrder needs an order and a computeEnvironment")
		}
		sorted = append(sorted, types.ComputeEnvironmentOrder{Order: o.Order, ComputeEnvironment: new(t.arn(kindEnvironment, nameOf(kindEnvironment, *o.ComputeEnvironment)))})
	}
	slices.SortStableFunc(sorted, func(a, b types.ComputeEnvironmentOrder) int { return cmp.Compare(*a.Order, *b.Order) })
	for i := range sorted[1:] {
		if *sorted[i].Order == *sorted[i+1].Order {
			return refuse("Duplicate ComputeEnvironment order values.")
		}
	}
	d.ComputeEnvironmentOrder = sorted
	return t.checkMix(d)
}

// checkMix checks that the environments of a queue go together, and tells what kind of
// queue it is. Whether they are VALID is for the model to say.
func (t *tx) checkMix(d *types.JobQueueDetail) error {
	d.JobQueueType = ""
	var arm bool
	for i := range d.ComputeEnvironmentOrder {
		ref := *d.ComputeEnvironmentOrder[i].ComputeEnvironment
		e, _, ok := t.m.Environment(nameOf(kindEnvironment, ref))
		if !ok {
			return refuse("%s does not exist. Compute Environments must be created and valid before attaching them to a job queue", ref)
		}
		kind, is := queueTypeOf(e), armed(e)
		switch {
		case d.JobQueueType == "":
			d.JobQueueType, arm = kind, is
		case d.JobQueueType != kind && (kind == types.JobQueueTypeEks || d.JobQueueType == types.JobQueueTypeEks):
			return refuse("ECS and EKS compute environments can not be mixed.")
		case d.JobQueueType != kind:
			return refuse("Fargate and EC2 compute environments can not be mixed.")
		case arm != is:
			return refuse("Compute environments of different architectures can not be mixed.")
		}
	}
	return nil
}

func queueTypeOf(e model.Environment) types.JobQueueType {
	d := detailOf(e)
	switch {
	case e.Fargate:
		return types.JobQueueTypeEcsFargate
	case d != nil && d.EksConfiguration != nil:
		return types.JobQueueTypeEks
	default:
		return types.JobQueueTypeEcs
	}
}

// armed reports whether an environment has instances of Graviton.
func armed(e model.Environment) bool {
	d := detailOf(e)
	return d != nil && d.ComputeResources != nil && len(d.ComputeResources.InstanceTypes) > 0 && instances.IsARM(d.ComputeResources.InstanceTypes[0])
}

// checkQueue refuses a queue that Batch would refuse, when it is created and after an
// update.
func (t *tx) checkQueue(d *types.JobQueueDetail) error {
	if p := value(d.Priority); p < 0 {
		return refuse("Job Queue priority should not be negative, got %d", p)
	}
	if arn := value(d.SchedulingPolicyArn); arn != "" {
		if _, ok := t.m.Policy(nameOf(kindPolicy, arn)); !ok || nameOf(kindPolicy, arn) == arn {
			return refuse("SchedulingPolicy %s not found.", arn)
		}
	}
	return checkLimits(d.JobStateTimeLimitActions)
}

// limitReasons are the codes that jobStateTimeLimitActions may have (Batch User Guide,
// job_queue_parameters).
var limitReasons = []string{
	"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
	"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
}

// checkLimits checks jobStateTimeLimitActions (JobStateTimeLimitAction).
func checkLimits(list []types.JobStateTimeLimitAction) error {
	seen := map[string]bool{}
	for i := range list {
		a := &list[i]
		switch {
		case a.Action != types.JobStateTimeLimitActionsActionCancel:
			return refuse("Invalid job action. Valid job actions: [CANCEL]")
		case a.State == "":
			return refuse("Invalid job state. Valid job states: [RUNNABLE]")
		case !slices.Contains(limitReasons, value(a.Reason)):
			return refuse("Invalid job reason %q. Valid job reasons: %v", value(a.Reason), limitReasons)
		case value(a.MaxTimeSeconds) < 600 || *a.MaxTimeSeconds > 86400:
			return refuse("maxTimeSeconds should be between 600 and 86400, got %d", value(a.MaxTimeSeconds))
		case seen[*a.Reason]:
			return refuse("Duplicate job state limit actions are not allowed.")
		}
		seen[*a.Reason] = true
	}
	return nil
}

// updateJobQueue changes what is given.
func updateJobQueue(t *tx, in *batch.UpdateJobQueueInput) (*batch.UpdateJobQueueOutput, error) {
	if !given(in.JobQueue) {
		return nil, refuse("JobQueue is required")
	}
	name := nameOf(kindQueue, *in.JobQueue)
	q, _, ok := t.m.JobQueue(name)
	old := queueDetailOf(q)
	if !ok || old == nil {
		return nil, t.absent(kindQueue, *in.JobQueue)
	}
	d := *old
	if err := t.updateQueueDetail(&d, in); err != nil {
		return nil, err
	}
	disabled := q.Disabled
	if in.State != "" {
		disabled = in.State == types.JQStateDisabled
	}
	if err := t.m.UpdateQueue(t.now, queueOf(&d, disabled)); err != nil {
		return nil, err
	}
	return &batch.UpdateJobQueueOutput{JobQueueArn: d.JobQueueArn, JobQueueName: &name}, nil
}

func (t *tx) updateQueueDetail(d *types.JobQueueDetail, in *batch.UpdateJobQueueInput) error {
	if len(in.ServiceEnvironmentOrder) > 0 {
		return refuse("serviceEnvironmentOrder is for jobs of SageMaker, which flow emulate does not run")
	}
	set(&d.Priority, in.Priority)
	if in.JobStateTimeLimitActions != nil {
		d.JobStateTimeLimitActions = in.JobStateTimeLimitActions
	}
	if p := in.SchedulingPolicyArn; p != nil && *p != value(d.SchedulingPolicyArn) {
		switch {
		case !given(d.SchedulingPolicyArn):
			return refuse("Scheduling policy cannot be added to a job queue that was created without one.")
		case *p == "":
			return refuse("Scheduling policy of a job queue can be replaced but cannot be removed.")
		}
		d.SchedulingPolicyArn = p
	}
	if in.ComputeEnvironmentOrder != nil {
		if err := t.setOrder(d, in.ComputeEnvironmentOrder); err != nil {
			return err
		}
	}
	return t.checkQueue(d)
}

// deleteJobQueue deletes a queue. That there is none is no error.
func deleteJobQueue(t *tx, in *batch.DeleteJobQueueInput) (*batch.DeleteJobQueueOutput, error) {
	if !given(in.JobQueue) {
		return nil, refuse("JobQueue is required")
	}
	name := nameOf(kindQueue, *in.JobQueue)
	if _, _, ok := t.m.JobQueue(name); ok {
		if err := t.m.DeleteQueue(t.now, name); err != nil {
			return nil, err
		}
	}
	return &batch.DeleteJobQueueOutput{}, nil
}

func describeJobQueues(t *tx, in *batch.DescribeJobQueuesInput) (*batch.DescribeJobQueuesOutput, error) {
	all := func(yield func(string, types.JobQueueDetail) bool) {
		for q, life := range t.m.JobQueues() {
			if !yield(q.Name, queueView(q, life)) {
				return
			}
		}
	}
	one := func(name string) (types.JobQueueDetail, bool) {
		q, life, ok := t.m.JobQueue(name)
		return queueView(q, life), ok
	}
	list, next, err := listed(kindQueue, "JobQueues", in.JobQueues, in.MaxResults, in.NextToken, all, one)
	if err != nil {
		return nil, err
	}
	return &batch.DescribeJobQueuesOutput{JobQueues: list, NextToken: next}, nil
}

// queueView returns a queue as it is told.
func queueView(q model.Queue, life model.Life) types.JobQueueDetail {
	var d types.JobQueueDetail
	if p := queueDetailOf(q); p != nil {
		d = *p
	}
	d.State, d.Status = types.JQStateEnabled, types.JQStatus(life.Health)
	if q.Disabled {
		d.State = types.JQStateDisabled
	}
	if life.Reason != "" {
		d.StatusReason = &life.Reason
	}
	return d
}

func queueDetailOf(q model.Queue) *types.JobQueueDetail {
	d, _ := q.Detail.(*types.JobQueueDetail)
	return d
}
