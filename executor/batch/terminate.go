package batch

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
	"flow/executor"
	"flow/executor/batch/budget"
)

// Terminate implements engine.Executor with TerminateJob, which ends jobs in every state
// where CancelJob leaves those alone that run (API reference, CancelJob).
func (x *Executor) Terminate(ctx context.Context, id engine.JobID, reason string) error {
	if len(reason) > executor.MaxReasonLength {
		reason = strings.ToValidUTF8(reason[:executor.MaxReasonLength], "")
	}
	in := &batch.TerminateJobInput{JobId: new(string(id)), Reason: new(orText(reason, "ended by flow"))}
	err := x.call(ctx, budget.Cancel, "TerminateJob", func(ctx context.Context) error {
		_, err := x.client().TerminateJob(ctx, in)
		return err
	})
	if k, ok := kindOf(err); !ok || k != refused {
		return err
	}
	// What Batch says of a job that has ended or is unknown is not documented: see what it is.
	jobs, derr := x.Describe(ctx, []engine.JobID{id})
	if derr == nil && (len(jobs) == 0 || jobs[0].Status.Ended()) {
		return nil
	}
	return err
}
