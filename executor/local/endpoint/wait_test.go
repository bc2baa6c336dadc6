package endpoint

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// A queue may be made at once on an environment that is CREATING for a moment; while that
// takes longer it is refused.
func TestQueueOnAnEnvironmentThatSettles(t *testing.T) {
	w := newEmptyEmulator(t, func(o *Options) { o.Settle = patience / 2 })
	w.environment("ce", 8)
	w.queue("q", "ce")

	slow := newEmptyEmulator(t, func(o *Options) { o.Settle = time.Hour })
	slow.environment("ce", 8)
	out, err := slow.DescribeComputeEnvironments(t.Context(), &batch.DescribeComputeEnvironmentsInput{})
	slow.must(err)
	if got := out.ComputeEnvironments[0].Status; got != types.CEStatusCreating {
		t.Errorf("at first it is %s, want CREATING", got)
	}
	_, err = slow.CreateJobQueue(t.Context(), &batch.CreateJobQueueInput{
		JobQueueName: new("q"), Priority: new(int32(1)),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: new(int32(1)), ComputeEnvironment: new("ce")}},
	})
	slow.refuses(err, "Compute Environments must be created and valid before attaching them to a job queue")
}
