package batch

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
	"flow/executor/batch/budget"
)

// Submit implements engine.Executor: it checks the job, finds or registers the definition,
// uploads what the job reads from this machine and writes the job file, if the job needs
// that, and calls SubmitJob once.
func (x *Executor) Submit(ctx context.Context, spec *engine.JobSpec) (engine.JobID, error) {
	if err := Refusal(Check(spec, CheckOptions{AgentImage: x.o.AgentImage, Near: x.Near()})); err != nil {
		return "", err
	}
	o, err := x.requestOptions(ctx, spec)
	if err != nil {
		return "", err
	}
	in, def, err := Request(spec, o)
	if err != nil {
		return "", err
	}
	if in.EcsPropertiesOverride != nil {
		if err := x.writeJob(ctx, spec); err != nil {
			return "", err
		}
	}
	if def == nil {
		return x.submitJob(ctx, in)
	}
	// A definition that is known here may be gone over there: then it is looked for again,
	// or registered again, once.
	for again := true; ; again = false {
		arn, err := x.arn(ctx, def)
		if err != nil {
			return "", notSubmitted(err)
		}
		in.JobDefinition = &arn
		id, err := x.submitJob(ctx, in)
		if err == nil || !isGone(err) {
			return id, err
		}
		x.definitions.forget(def.Content, arn)
		if !again {
			return "", fmt.Errorf("%w: %s", engine.ErrLater, err.Error()) // not wrapped: it is not refused for good
		}
	}
}

// gone is what Batch says of a definition that is not there, as it is seen of the service.
// It may be said of one that was just registered, too: what is written is not read at once.
var gone = lazily(`(?i)job ?definition\b.*\b(does not exist|not found|not in ACTIVE|INACTIVE)\b`)

func isGone(err error) bool {
	k, ok := kindOf(err)
	return ok && k == refused && gone().MatchString(err.Error())
}

// notSubmitted is the error of a step on the way to SubmitJob: whatever became of that, the
// job was not submitted.
func notSubmitted(err error) error {
	if k, ok := kindOf(err); ok && k == unsure {
		return fmt.Errorf("%w: %w", engine.ErrLater, err)
	}
	return err
}

func (x *Executor) submitJob(ctx context.Context, in *batch.SubmitJobInput) (engine.JobID, error) {
	var out *batch.SubmitJobOutput
	err := x.call(ctx, budget.Submit, "SubmitJob", func(ctx context.Context) (err error) {
		out, err = x.client().SubmitJob(ctx, in)
		if err == nil && value(out.JobId) == "" {
			err = errNoAnswer
		}
		return err
	})
	if err != nil {
		return "", err
	}
	x.gate.sawARN(value(out.JobArn))
	return engine.JobID(*out.JobId), nil
}

// SubmitAll implements engine.BulkSubmitter, with up to 16 submissions under way at once.
// When one shows that none will be accepted now, since there are no credentials, no network
// or too many requests, those that have not begun are not tried.
func (x *Executor) SubmitAll(ctx context.Context, specs []*engine.JobSpec) []engine.Submission {
	out := make([]engine.Submission, len(specs))
	var mu sync.Mutex
	var stop error // why no more is tried
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(specs) {
			return 0, false
		}
		if stop == nil && ctx.Err() != nil {
			stop = ctx.Err()
		}
		i := next
		next++
		if stop != nil {
			out[i].Err = fmt.Errorf("%w: not tried: %w", engine.ErrLater, stop)
		}
		return i, true
	}
	var all sync.WaitGroup
	for range min(maxInFlight, len(specs)) {
		all.Go(func() {
			for {
				i, ok := take()
				if !ok {
					return
				}
				if out[i].Err != nil {
					continue
				}
				out[i].ID, out[i].Err = x.Submit(ctx, specs[i])
				if concernsAll(out[i].Err) {
					mu.Lock()
					stop = out[i].Err
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return out
}

// concernsAll reports whether an error would be that of every other job as well.
func concernsAll(err error) bool {
	k, ok := kindOf(err)
	return ok && (k == throttling || k == loggedOut || k == skewed || k == notSent)
}
