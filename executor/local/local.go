package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
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

// An Executor is an embedded AWS Batch: a [model.Model], a [Runner] that does what the
// model wants done, and a journal that lets it outlive its process. It implements
// engine.Executor and engine.Notifier.
type Executor struct {
	runner  Runner
	grace   time.Duration
	clock   func() time.Time
	changed chan struct{}

	mu      sync.Mutex
	model   *model.Model
	journal *journal             // nil: none
	number  map[engine.JobID]int // of a job in the journal
	ids     []engine.JobID       // the other way round
	live    map[engine.JobID]*running
	starts  []*running // to be taken by a worker, in order
	stops   []stop     // to be made once the lock is free
	work    sync.Cond  // there is something in starts, or closed
	workers int
	idle    int           // workers that wait for work
	coming  int           // workers that are on their way: made or woken for something in starts
	done    chan struct{} // closed when the last worker has ended after Close
	timer   *time.Timer
	wake    time.Time // when timer goes off; zero: never
	closed  bool
}

// A running is a try that is STARTING or RUNNING.
type running struct {
	Try
	job     engine.JobID // of the plain job or the array parent
	index   int          // -1: a plain job
	taken   bool         // by a worker
	stopped bool         // its end was asked for
}

// A stop is a call of Runner.Stop.
type stop struct {
	id    engine.JobID
	grace time.Duration
}

var _ interface {
	engine.Executor
	engine.Notifier
} = (*Executor)(nil)

// Open opens an embedded Batch. If its journal holds jobs of an earlier process, they
// are there as if Batch had gone on all the time: ended jobs stay ended, queued ones
// go on, and what was STARTING or RUNNING when that process died has lost its host,
// unless its result turns out to be complete. What is left of it is ended first, which
// may take [Options.Grace]. A [LockedError] says that another process has the journal.
func Open(o Options) (*Executor, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	x := &Executor{
		runner: o.Runner, grace: o.Grace, clock: o.Now,
		changed: make(chan struct{}, 1), done: make(chan struct{}),
		number: map[engine.JobID]int{}, live: map[engine.JobID]*running{},
		model: model.New(model.Config{
			Strict: o.Strict, Grace: o.Grace, Retention: o.Retention, ComputeEnvironment: computeEnvironment,
		}),
	}
	x.work.L = &x.mu
	if x.runner == nil {
		r, err := NewRunner(RunnerOptions{Containers: o.Containers, Secret: o.Secret, Memo: o.Memo})
		if err != nil {
			return nil, err
		}
		x.runner = r
	}
	if err := x.open(&o); err != nil {
		if x.journal != nil {
			err = errors.Join(err, x.journal.close())
		}
		if o.Runner == nil {
			x.runner.Close()
		}
		return nil, err
	}
	return x, nil
}

func (x *Executor) open(o *Options) error {
	if o.Journal != "" {
		j, err := openJournal(o.Journal)
		if err != nil {
			return err
		}
		x.journal = j
		good, err := replay(j.f, x.apply)
		if err != nil {
			return fmt.Errorf("cannot read the journal of the local executor: %w", err)
		}
		if err := j.resume(good); err != nil {
			return fmt.Errorf("cannot write the journal of the local executor: %w", err)
		}
	}
	if err := x.recover(); err != nil {
		return err
	}
	now, size, instance := x.now(), o.capacity(), newInstance()
	if err := x.journal.opened(now.UnixMilli(), instance, size); err != nil {
		return err
	}
	x.mu.Lock()
	x.model.Restart(now, size, instance)
	x.advance(now)
	x.unlock()
	return nil
}

// newInstance returns an id like those of EC2 instances.
func newInstance() string {
	id := uuid.New()
	return "i-" + strings.ReplaceAll(id.String(), "-", "")[:17]
}

// recover clears up behind a process that died: its leftovers are ended, and tries
// that had ended well though nobody wrote it down are taken as such.
func (x *Executor) recover() error {
	var tries []*Try
	var lost []*running
	for e := range x.model.Live() {
		r := newRunning(&e)
		lost, tries = append(lost, r), append(tries, &r.Try)
	}
	rec, ok := x.runner.(Recoverer)
	if !ok || len(tries) == 0 {
		return nil
	}
	if err := rec.Leftovers(tries, x.grace); err != nil {
		return fmt.Errorf("cannot end what an earlier process left running: %w", err)
	}
	for _, r := range lost {
		if exit, ok := rec.Finished(&r.Try); ok {
			now := x.now()
			if err := x.journal.exited('f', now.UnixMilli(), x.number[r.job], r.index, r.BatchAttempt, exit); err != nil {
				return err
			}
			x.model.Exited(now, r.job, r.index, r.BatchAttempt, model.Exit(exit))
		}
	}
	return nil
}

// apply gives the model an input of the journal. What it wants done was done, or was
// lost with the process.
func (x *Executor) apply(r *record) {
	now := time.UnixMilli(r.ms)
	var id engine.JobID
	if r.job >= 0 && r.job < len(x.ids) {
		id = x.ids[r.job]
	}
	switch r.kind {
	case 'o':
		x.model.Restart(now, r.capacity, r.instance)
	case 's':
		x.enter(r.id)
		// What is refused now, and was not then, is unknown from here on.
		_ = x.model.Submit(now, r.id, request(r.spec))
	case 'r':
		x.model.Started(now, id, r.index, r.attempt)
	case 'x', 'f':
		x.model.Exited(now, id, r.index, r.attempt, model.Exit(r.exit))
	case 't':
		if r.index >= 0 {
			id = id.Child(r.index)
		}
		_ = x.model.Terminate(now, id, r.reason)
	}
	if r.kind != 'f' { // the scheduler waits for the o line
		x.model.Tick(now)
	}
}

// enter gives a job its number in the journal.
func (x *Executor) enter(id engine.JobID) {
	x.number[id] = len(x.ids)
	x.ids = append(x.ids, id)
}

// now is the time in Batch's resolution, which is also the journal's.
func (x *Executor) now() time.Time { return x.clock().UTC().Truncate(time.Millisecond) }

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
	if x.journal != nil {
		var err error
		if line, err = json.Marshal(spec); err != nil {
			return "", fmt.Errorf("%w: job %s cannot be written down: %w", engine.ErrRefused, spec.Name, err)
		}
	}
	req := request(spec)
	id := engine.JobID(uuid.NewString())

	x.mu.Lock()
	defer x.unlock()
	if x.closed {
		return "", fmt.Errorf("%w: %w", engine.ErrRefused, errClosed)
	}
	if err := x.model.Check(req); err != nil {
		return "", fmt.Errorf("%w: job %s: %w", engine.ErrRefused, spec.Name, err)
	}
	now := x.now()
	if err := x.journal.submitted(now.UnixMilli(), id, line); err != nil {
		return "", err
	}
	x.enter(id)
	if err := x.model.Submit(now, id, req); err != nil {
		return "", fmt.Errorf("%w: job %s: %w", engine.ErrRefused, spec.Name, err)
	}
	x.advance(now)
	return id, nil
}

var errClosed = errors.New("the local executor is closed")

// Find returns the jobs of that exact name in queue, oldest first.
func (x *Executor) Find(ctx context.Context, queue, name string) ([]engine.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	queue = queueName(queue)
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []engine.Job
	for v := range x.model.Named(name) {
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
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		if v, ok := x.model.Describe(id); ok {
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
			x.mu.Lock()
			buf, next = x.model.Children(buf[:0], id, s, next)
			x.mu.Unlock()
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
	x.mu.Lock()
	defer x.unlock()
	if x.closed {
		return errClosed
	}
	parent, index := id.Split()
	n, known := x.number[parent]
	if !known {
		return nil
	}
	now := x.now()
	if err := x.journal.terminated(now.UnixMilli(), n, index, reason); err != nil {
		return err
	}
	if err := x.model.Terminate(now, id, reason); err != nil {
		return err
	}
	x.advance(now)
	return nil
}

// Changed returns a channel that receives after jobs may have changed; many changes
// are told as one.
func (x *Executor) Changed() <-chan struct{} { return x.changed }

// Idle reports whether nothing is STARTING or RUNNING.
func (x *Executor) Idle() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.model.Active() == 0
}
