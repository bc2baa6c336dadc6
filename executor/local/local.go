package local

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"flow/engine"
	"flow/executor"
	"flow/executor/local/model"
)

// DefaultQueue is the queue of a job that names none.
const DefaultQueue = "local"

// computeEnvironment is AWS_BATCH_CE_NAME.
const computeEnvironment = "local"

// An Executor is an embedded AWS Batch that runs the jobs of flow: a [Batch] that speaks
// engine.JobSpec. It implements engine.Executor and engine.Notifier.
type Executor struct {
	b       *Batch
	scratch string // see Options.TaskScratch
}

var _ interface {
	engine.Executor
	engine.Notifier
} = (*Executor)(nil)

// Open opens an embedded Batch, as [OpenBatch] does.
func Open(o Options) (*Executor, error) {
	runner := o.Runner
	if runner == nil {
		var err error
		if runner, err = NewRunner(o.ofRunner()); err != nil {
			return nil, err
		}
	}
	b, err := OpenBatch(BatchOptions{
		Model:   model.Config{Strict: o.Strict, Grace: o.Grace, Retention: o.Retention, Capacity: o.capacity(), Consumables: o.Consumables},
		Journal: o.Journal, Runner: runner, Now: o.Now, Room: o.Room, Pools: o.Pools,
	})
	if err != nil {
		if o.Runner == nil {
			runner.Close()
		}
		return nil, err
	}
	return &Executor{b: b, scratch: o.TaskScratch}, nil
}

// Submit accepts a job, or refuses it with engine.ErrRefused. The spec belongs to the
// executor from then on.
func (x *Executor) Submit(ctx context.Context, spec *engine.JobSpec) (engine.JobID, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	if err := checkSpec(spec); err != nil {
		return "", fmt.Errorf("%w: job %s: %w", engine.ErrRefused, spec.Name, err)
	}
	var line []byte
	if x.b.journal != nil {
		var err error
		if line, err = json.Marshal(journaled(spec)); err != nil {
			return "", fmt.Errorf("%w: job %s cannot be written down: %w", engine.ErrRefused, spec.Name, err)
		}
	}
	return x.b.submit(spec, line)
}

// submit accepts a job, of which line is what the journal is to keep.
func (b *Batch) submit(spec *engine.JobSpec, line []byte) (engine.JobID, error) {
	req := request(spec, b.config.Consumables)
	id := engine.JobID(uuid.NewString())
	b.mu.Lock()
	defer b.unlock()
	if b.closed {
		return "", fmt.Errorf("%w: %w", engine.ErrRefused, errClosed)
	}
	if err := b.model.Check(req); err != nil {
		return "", fmt.Errorf("%w: job %s: %w", engine.ErrRefused, spec.Name, err)
	}
	now := b.now()
	if err := b.journal.submitted(now.UnixMilli(), id, line); err != nil {
		return "", err
	}
	if err := b.model.Submit(now, id, req); err != nil {
		return "", fmt.Errorf("%w: job %s: %w", engine.ErrRefused, spec.Name, err)
	}
	b.advance(now)
	return id, nil
}

// Find returns the jobs of that exact name in queue, oldest first; of a name that ends in
// "*" those whose names begin so.
func (x *Executor) Find(ctx context.Context, queue, name string) ([]engine.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	queue = queueName(queue)
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	var out []engine.Job
	if prefix, many := strings.CutSuffix(name, "*"); many {
		begins := func(_ time.Time, r *model.Request) bool { return strings.HasPrefix(r.Name, prefix) }
		for v := range x.b.model.JobsWhere(queue, 0, begins) {
			out = append(out, v.Job)
		}
		slices.Reverse(out)
		return out, nil
	}
	for v := range x.b.model.Named(name) {
		if v.Queue == queue && v.Name == name { // Batch's own filter ignores case
			out = append(out, v.Job)
		}
	}
	return out, nil
}

// Describe returns what is known of jobs and children.
func (x *Executor) Describe(ctx context.Context, ids []engine.JobID) ([]engine.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make([]engine.Job, 0, len(ids))
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	for _, id := range ids {
		if v, ok := x.b.model.Describe(id); ok {
			out = append(out, v.Job)
		}
	}
	return out, nil
}

// childrenAtOnce bounds how long the lock is held for a listing.
const childrenAtOnce = 256

// Children yields the children of an array job that are in status s, by index. A child
// that changes while they are listed may be left out.
func (x *Executor) Children(ctx context.Context, id engine.JobID, s engine.JobStatus) iter.Seq2[engine.Job, error] {
	return func(yield func(engine.Job, error) bool) {
		buf := make([]model.View, 0, childrenAtOnce)
		for next := 0; next >= 0; {
			if err := ctx.Err(); err != nil {
				yield(engine.Job{}, err)
				return
			}
			x.b.mu.Lock()
			buf, next = x.b.model.Children(buf[:0], id, s, next)
			x.b.mu.Unlock()
			for i := range buf {
				if !yield(buf[i].Job, nil) {
					return
				}
			}
		}
	}
}

// noReason is what a job is terminated with when nobody gave a reason; Batch wants one.
const noReason = "Terminated by flow"

// Terminate ends a job, a child, or all children of an array job.
func (x *Executor) Terminate(ctx context.Context, id engine.JobID, reason string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if reason == "" {
		reason = noReason
	}
	if len(reason) > executor.MaxReasonLength {
		reason = strings.ToValidUTF8(reason[:executor.MaxReasonLength], "")
	}
	return x.b.terminate(id, reason)
}

func (b *Batch) terminate(id engine.JobID, reason string) error {
	b.mu.Lock()
	defer b.unlock()
	if b.closed {
		return errClosed
	}
	parent, index := id.Split()
	if _, known := b.model.Describe(parent); !known {
		return nil
	}
	now := b.now()
	if err := b.journal.terminated(now.UnixMilli(), parent, index, reason); err != nil {
		return err
	}
	if err := b.model.Terminate(now, id, reason); err != nil {
		return err
	}
	b.advance(now)
	return nil
}

// Close ends what runs, as [Batch.Close] does.
func (x *Executor) Close(ctx context.Context) error { return x.b.Close(ctx) }

// Changed returns a channel that receives after jobs may have changed; many changes
// are told as one.
func (x *Executor) Changed() <-chan struct{} { return x.b.Changed() }

// Idle reports whether nothing is STARTING or RUNNING.
func (x *Executor) Idle() bool { return x.b.Idle() }
