package batch

import (
	"math"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// OwnDefinition returns what AWS Batch is told of a job definition that a workflow
// declares: of one container, with the command, the environment and the resources that a
// job has which overrides nothing.
//
// An error says why it cannot be registered as it is; it is engine.ErrRefused.
func OwnDefinition(name string, task *engine.TaskSpec) (*batch.RegisterJobDefinitionInput, error) {
	spec := &engine.JobSpec{Task: task, Resources: task.ResourcesFor(1)}
	c, capabilities, err := containerOf(spec)
	if err != nil {
		return nil, err
	}
	c.Command, c.ResourceRequirements = task.Command, requirements(spec.Resources)
	if len(task.Env) > 0 {
		c.Environment = pairs(task.Env)
	}
	in := &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, ContainerProperties: c, PlatformCapabilities: capabilities,
		Parameters: task.Parameters, RetryStrategy: ownRetries(task.Retry), SchedulingPriority: count(task.Priority), Tags: task.Tags,
		ConsumableResourceProperties: consumablesOf(task),
	}
	if task.Timeout > 0 {
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: new(int32(min(math.Ceil(task.Timeout.Seconds()), math.MaxInt32)))}
	}
	return in, nil
}

// ownRetries returns the retry strategy of a job definition: what no rule names is not
// tried again. Nothing is added, as flow does for its own jobs.
func ownRetries(r engine.Retry) *types.RetryStrategy {
	if r.Attempts < 1 {
		return nil
	}
	out := &types.RetryStrategy{Attempts: new(int32(r.Attempts))}
	for _, rule := range r.Rules {
		on := types.EvaluateOnExit{
			Action: types.RetryActionRetry, OnExitCode: given(rule.ExitCode), OnReason: given(rule.Reason), OnStatusReason: given(rule.StatusReason),
		}
		if rule.Exit {
			on.Action = types.RetryActionExit
		}
		out.EvaluateOnExit = append(out.EvaluateOnExit, on)
	}
	if len(r.Rules) > 0 {
		out.EvaluateOnExit = append(out.EvaluateOnExit, types.EvaluateOnExit{Action: types.RetryActionExit, OnReason: new("*")})
	}
	return out
}
