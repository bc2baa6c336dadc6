package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Driver drives a run: it observes jobs, asks the core what to do, makes that
// durable, and does it. Everything that touches the world goes through its fields.
type Driver struct {
	Workflow *Workflow
	Template Template
	Executor Executor
	Log      Log
	Files    Files
	Cache    Cache // nil: no known results
	Clock    Clock // nil: SystemClock

	// OnEvents is told of events after they are durable. It must not keep or change
	// them, and not call the driver. nil: nobody listens.
	OnEvents func(*Run, []Event)
	// Requests returns the wishes of other processes since it was last asked, at most
	// every quarter of a second. nil: there are none.
	Requests func(ctx context.Context) ([]Request, error)
	// Quiet is how long a job whose submission is in doubt is looked for before it is
	// submitted again. It must exceed the time after which Find surely sees a job.
	Quiet time.Duration
	// Poll is how long to wait between two looks at the jobs of an executor that is no
	// Notifier; 0: five seconds.
	Poll time.Duration

	run        *Run
	seen       map[int]seen      // by job number
	terminated map[int]time.Time // when a job was last asked to end
	asked      time.Time         // when Requests was last called
	wishes     []Request         // not recorded yet
	recorded   time.Time         // when events were last made durable
	expander   *expander
}

// A Request is a wish of another process to the driver of a run.
type Request struct {
	Kind   string // "cancel"
	Reason string
}

// window is how long news is gathered before it is made durable in one transaction.
const window = 50 * time.Millisecond

// Load folds the events of a run. It must be called before the other methods; Drive
// calls it.
func (d *Driver) Load(ctx context.Context, id RunID) (*Run, error) {
	if d.Clock == nil {
		d.Clock = SystemClock{}
	}
	run, err := NewRun(d.Workflow)
	if err != nil {
		return nil, err
	}
	run.quiet = d.Quiet
	for e, err := range d.Log.Events(ctx, id, 0) {
		if err != nil {
			return nil, fmt.Errorf("reading the events of run %s: %w", id, err)
		}
		if err := run.Apply(e); err != nil {
			return nil, err
		}
	}
	if run.ID() == "" {
		return nil, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	d.run, d.seen, d.terminated = run, map[int]seen{}, map[int]time.Time{}
	d.expander = &expander{run: run, template: d.Template, files: d.Files, cache: d.Cache}
	return run, nil
}

// Drive takes a run up where its events end, and goes on until it has ended or ctx is
// done; then it returns ctx's error, and the jobs that run are left alone. ErrConflict
// (wrapped) means that another driver has taken the run over.
func (d *Driver) Drive(ctx context.Context, id RunID) (*Run, error) {
	run, err := d.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	if run.Ended() {
		return run, nil
	}
	if run.Seq() > 1 {
		if err := d.record(ctx, Event{Kind: RunResumed}); err != nil {
			return run, err
		}
	}
	for {
		wake, err := d.Tick(ctx)
		if err != nil || run.Ended() {
			return run, err
		}
		if err := d.wait(ctx, wake); err != nil {
			return run, err
		}
	}
}

// Tick observes, decides, records and acts, once. It returns when to do so again at the
// latest; the zero time is whenever something changes.
func (d *Driver) Tick(ctx context.Context) (wake time.Time, err error) {
	if err := d.observe(ctx); err != nil {
		return wake, err
	}
	ready, err := d.decide(ctx)
	if err != nil {
		return wake, err
	}
	return ready.Wake, d.act(ctx, ready.Commands)
}

// decide asks the core until it has nothing more to say, makes its events durable in
// one transaction, and returns the commands that may be carried out then.
func (d *Driver) decide(ctx context.Context) (Ready, error) {
	var events []Event
	for {
		ready := d.run.Ready(d.Clock.Now())
		more := len(ready.Events) > 0
		if err := d.apply(&events, ready.Events...); err != nil {
			return ready, err
		}
		for _, c := range ready.Commands {
			if c.Op != Expand {
				continue
			}
			e, err := d.expander.expand(ctx, c.Step)
			if err != nil {
				return ready, err
			}
			if err := d.apply(&events, e); err != nil {
				return ready, err
			}
			more = true
		}
		if !more {
			return ready, d.commit(ctx, events)
		}
	}
}

// apply stamps events, adds them to the run and to pending.
func (d *Driver) apply(pending *[]Event, events ...Event) error {
	for _, e := range events {
		e.Seq, e.At = d.run.seq+1, d.Clock.Now().UTC().Truncate(time.Millisecond)
		if err := d.run.Apply(e); err != nil {
			return err
		}
		*pending = append(*pending, e)
	}
	return nil
}

// commit makes events durable that have been applied. If it fails the run in memory is
// ahead of the log, and the driver must not be used any further.
func (d *Driver) commit(ctx context.Context, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	// A run that is being stopped still records what it knows.
	if err := d.Log.Append(context.WithoutCancel(ctx), d.run.ID(), events[0].Seq-1, events...); err != nil {
		return fmt.Errorf("recording events of run %s: %w", d.run.ID(), err)
	}
	d.recorded = d.Clock.Now()
	if d.OnEvents != nil {
		d.OnEvents(d.run, events)
	}
	return nil
}

func (d *Driver) record(ctx context.Context, events ...Event) error {
	var pending []Event
	if err := d.apply(&pending, events...); err != nil {
		return err
	}
	return d.commit(ctx, pending)
}

// Record adds events that a person asked for, such as those of [Run.Retry]. Load must
// have been called.
func (d *Driver) Record(ctx context.Context, events ...Event) error { return d.record(ctx, events...) }

// act carries out commands; their answers are recorded in one transaction.
func (d *Driver) act(ctx context.Context, commands []Command) error {
	var events []Event
	var failed error
	for _, c := range commands {
		if ctx.Err() != nil {
			break
		}
		e, err := d.do(ctx, c)
		if err != nil {
			failed = err
			break
		}
		if err := d.apply(&events, e...); err != nil {
			return err
		}
	}
	return errors.Join(failed, d.commit(ctx, events))
}

func (d *Driver) do(ctx context.Context, c Command) ([]Event, error) {
	switch c.Op {
	case Submit:
		return d.submit(ctx, c.Job)
	case Find:
		return d.find(ctx, c)
	case Terminate:
		now := d.Clock.Now()
		if last, ok := d.terminated[c.Job]; ok && now.Sub(last) < 30*time.Second {
			return nil, nil
		}
		d.terminated[c.Job] = now
		// An error here is no answer; the command comes again.
		_ = d.Executor.Terminate(ctx, d.run.jobs[c.Job-1].id, c.Reason)
		return nil, nil
	case Conclude:
		return d.conclude(ctx)
	}
	return nil, nil
}

func (d *Driver) submit(ctx context.Context, n int) ([]Event, error) {
	j := d.run.jobs[n-1]
	if j.state == jobOver {
		return nil, nil
	}
	for _, dep := range j.plan.DependsOn {
		if dep.Job > 0 && d.run.jobs[dep.Job-1].id == "" {
			return nil, nil // in doubt or refused just now: later
		}
	}
	if d.run.depGone(j) {
		return nil, nil
	}
	id, err := d.Executor.Submit(ctx, d.run.JobSpec(n))
	switch {
	case err == nil:
		return []Event{{Kind: JobAccepted, Job: n, JobID: id}}, nil
	case errors.Is(err, ErrRefused):
		return []Event{{Kind: JobRefused, Job: n, Reason: err.Error()}}, nil
	}
	return []Event{{Kind: JobInDoubt, Job: n, Reason: err.Error()}}, nil
}

// find looks for a job whose submission is in doubt, and adopts the oldest of that
// name; twins are ended.
func (d *Driver) find(ctx context.Context, c Command) ([]Event, error) {
	j := d.run.jobs[c.Job-1]
	found, err := d.Executor.Find(ctx, j.plan.Queue, j.plan.Name)
	switch {
	case err != nil:
		return nil, nil // asked again
	case len(found) > 0:
		for _, twin := range found[1:] {
			_ = d.Executor.Terminate(ctx, twin.ID, "flow: submitted twice, the job is "+string(found[0].ID))
		}
		return []Event{{Kind: JobAccepted, Job: c.Job, JobID: found[0].ID}}, nil
	case !c.Last:
		return nil, nil
	case d.run.cancel != nil || j.stray:
		return []Event{{Kind: JobLost, Job: c.Job, Reason: "never accepted"}}, nil
	}
	if d.run.depGone(j) {
		return []Event{{Kind: JobLost, Job: c.Job, Reason: "what it depends on is gone"}}, nil
	}
	return d.submit(ctx, c.Job)
}

// conclude evaluates and publishes the workflow's outputs: the last thing a run does.
func (d *Driver) conclude(ctx context.Context) ([]Event, error) {
	failed := func(err error) ([]Event, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c := d.run.cancel; c != nil { // nobody waits for the outputs any more
			return []Event{{Kind: RunEnded, Status: Cancelled, Reason: c.Reason, Cause: c.Cause}}, nil
		}
		return []Event{{Kind: RunEnded, Status: Failed, Reason: err.Error(), Cause: "output"}}, nil
	}
	if err := d.publishCached(ctx); err != nil {
		return failed(err)
	}
	results, err := d.Template.Results(scope{d.run})
	if err != nil {
		return failed(err)
	}
	for i := range results {
		res := &results[i]
		if res.Publish == "" {
			continue
		}
		for _, f := range res.Files {
			target := res.Publish
			if len(res.Files) > 1 && target[len(target)-1] != '/' {
				target += "/"
			}
			if err := d.Files.Publish(ctx, f, target); err != nil {
				return failed(fmt.Errorf("output %q: publishing %s: %w", res.Name, f, err))
			}
		}
	}
	return []Event{{Kind: RunEnded, Status: Succeeded, Results: results}}, nil
}

// publishCached publishes the outputs of tasks that did not run, since their results are
// known: where they are wanted now may be elsewhere.
func (d *Driver) publishCached(ctx context.Context) error {
	for _, s := range d.run.steps {
		if len(s.hits) == 0 {
			continue
		}
		for i := range s.exp.Cached.All() {
			hit, spec := s.hits[i], s.spec(i)
			if hit == nil { // it ran again since
				continue
			}
			for k := range spec.Outputs {
				o := &spec.Outputs[k]
				if o.Publish == "" {
					continue
				}
				for _, path := range o.paths(s.values[i][o.Name]) {
					if err := d.Files.Publish(ctx, ResultPath(hit.Dir, path), o.Publish); err != nil {
						return fmt.Errorf("%s, output %q: %w", s.taskName(i), o.Name, err)
					}
				}
			}
		}
	}
	return nil
}

// paths returns the files of an output, relative to its attempt's directory; value is
// what the task's Values have of it.
func (o *Output) paths(value json.RawMessage) (paths []string) {
	switch {
	case string(value) == "null": // optional, and not there
	case o.Kind == OutputFiles:
		// A manifest that says otherwise has no files to publish.
		_ = json.Unmarshal(value, &paths)
	default:
		paths = []string{o.Path}
	}
	return paths
}

// wait waits until there may be news, gathering what happens within a short window so
// that many endings share one transaction. Nothing is gathered when nothing runs.
func (d *Driver) wait(ctx context.Context, wake time.Time) error {
	notifier, _ := d.Executor.(Notifier)
	var changed <-chan struct{}
	left := time.Minute
	if notifier != nil {
		changed = notifier.Changed()
	} else if left = d.Poll; left == 0 {
		left = 5 * time.Second
	}
	now := d.Clock.Now()
	until := now.Add(left)
	if !wake.IsZero() && wake.Before(until) {
		until = wake
	}
	for now.Before(until) && ctx.Err() == nil && len(d.wishes) == 0 {
		left = until.Sub(now)
		if d.Requests != nil {
			left = min(left, requestsEvery)
		}
		if d.Clock.Wait(ctx, left, changed) {
			break
		}
		now = d.Clock.Now()
		if err := d.ask(ctx); err != nil {
			return err
		}
	}
	if notifier != nil && ctx.Err() == nil && !notifier.Idle() {
		if left := window - d.Clock.Now().Sub(d.recorded); left > 0 {
			d.Clock.Wait(ctx, left, nil)
		}
	}
	return ctx.Err()
}

const requestsEvery = 250 * time.Millisecond
