package engine

import (
	"context"
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
	// Price reckons what the tasks of a job cost, when it is planned: that is recorded. nil:
	// nobody knows.
	Price Pricer

	// OnEvents is told of events after they are durable. It must not keep or change
	// them, and not call the driver. nil: nobody listens.
	OnEvents func(*Run, []Event)
	// OnCounts is told that the counts of a step have changed without an event, since its
	// jobs are far away and are looked at by their summaries only. nil: nobody listens.
	OnCounts func(*Run)
	// OnTrouble is told of an error of the executor: op is "submit", "find", "describe",
	// "list" or "terminate"; or one of Files, "files", or "wait_for" if it looked for what a step waits for; or of a [MissingError], op is "missing". What is tried again
	// anyway is told once, not at each try, and a nil error is told when all is well again.
	// nil: nobody listens.
	OnTrouble func(op string, err error)
	// OnAlive is told, while a run is being cancelled, how many of its tasks a listing
	// shows alive, of how many there were, and how many are in doubt; see [Run.InDoubt].
	// nil: nobody listens.
	OnAlive func(alive, doubted, total int)
	// Requests returns the wishes of other processes since it was last asked, at most
	// every quarter of a second. nil: there are none.
	Requests func(ctx context.Context) ([]Request, error)
	// Quiet is how long a job whose submission is in doubt is looked for before it is
	// submitted again, and how long one that was seen may be missing before it is lost. It
	// must exceed the time after which Find surely sees a job.
	Quiet time.Duration
	// Poll is the shortest and PollMax the longest time between two looks at the jobs of an
	// executor that is no Notifier: it is Poll after news, and half as long again with
	// each look that has none. 0: two seconds, and a minute.
	Poll, PollMax time.Duration

	run        *Run
	seen       map[int]seen // by job number
	expander   *expander
	far        bool          // the executor is no Notifier: looking costs
	asked      time.Time     // when Requests was last called
	wishes     []Request     // not recorded yet
	publishing time.Time     // when to try again to publish; zero: at once
	recorded   time.Time     // when events were last made durable
	window     time.Duration // how long news is gathered since then

	pace        pace
	terminated  map[JobID]time.Time    // when a job was last asked to end
	pauses      []pause                // of queues that take no jobs now
	doubts      map[int]doubt          // by job number
	unseen      map[StepName]time.Time // steps whose inputs or results could not be looked at, and when to do so again
	looks       map[StepName]*look     // at what steps wait for
	sweeping    sweeping
	troubles    []trouble // told, and not over
	toldMissing bool      // see tellMissing
	due         time.Time // the earliest time at which this Tick left something to do; zero: none
}

// A Pricer reckons what tasks cost that run on a queue with those resources. It answers the
// same to the same question, and asks nobody. nil: nobody knows.
type Pricer func(task *TaskSpec, queue string, r Resources) *Rate

// A Request is a wish of another process to the driver of a run.
type Request struct {
	Kind   string // "cancel"
	Reason string
}

// News is gathered for leastWindow before it is made durable in one transaction, and for longer
// if the log is slow: for ten times as long as the last transaction has taken, up to mostWindow.
// So many drivers with one log do not keep one another waiting.
const (
	leastWindow = 50 * time.Millisecond
	mostWindow  = time.Second
)

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
	d.run, d.seen, d.terminated, d.doubts, d.unseen = run, map[int]seen{}, map[JobID]time.Time{}, map[int]doubt{}, map[StepName]time.Time{}
	d.looks = map[StepName]*look{}
	d.pace, d.pauses, d.troubles, d.sweeping, d.publishing = pace{}, nil, nil, sweeping{next: d.Clock.Now()}, time.Time{}
	if run.Seq() == 1 && !run.recovered() {
		d.sweeping.next = d.sweeping.next.Add(sweepEvery) // nothing of it can be anywhere
	}
	_, near := d.Executor.(Notifier)
	d.far = d.Executor != nil && !near
	run.quiet, run.price = d.Quiet, d.Price
	_, run.discards = d.Files.(Discarder)
	if d.far {
		run.gather = d.patience()
	}
	d.expander = &expander{run: run, template: d.Template, files: d.Files, cache: d.Cache}
	return run, nil
}

// Drive takes a run up where its events end, and goes on until it has ended or ctx is
// done; then it returns ctx's error, and the jobs that run are left alone. It also returns
// when the run is paused and nothing of it runs any more, see [Run.Paused]. ErrConflict
// (wrapped) means that another driver has taken the run over.
func (d *Driver) Drive(ctx context.Context, id RunID) (*Run, error) {
	return d.drive(ctx, id, d.never)
}

// HandOver is Drive, but returns as soon as nothing is left to submit now; see Handed.
func (d *Driver) HandOver(ctx context.Context, id RunID) (*Run, error) {
	return d.drive(ctx, id, d.Handed)
}

func (d *Driver) never() bool { return false }

func (d *Driver) drive(ctx context.Context, id RunID, enough func() bool) (*Run, error) {
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
		if err != nil || run.Ended() || run.Rests() || enough() {
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
	d.due = time.Time{}
	if err := d.observe(ctx); err != nil {
		return wake, err
	}
	ready, err := d.decide(ctx)
	if err != nil {
		return wake, err
	}
	d.wakeAt(ready.Wake)
	before := d.run.seq
	if err := d.act(ctx, ready.Commands); err != nil {
		return wake, err
	}
	if d.run.seq != before {
		d.quicken()
	}
	return d.due, nil
}

// wakeAt notes that there is something to do at a time; zero: never.
func (d *Driver) wakeAt(at time.Time) {
	if !at.IsZero() && (d.due.IsZero() || at.Before(d.due)) {
		d.due = at
	}
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
			e, known, err := d.expand(ctx, c.Step)
			if err != nil {
				return ready, err
			}
			if !known {
				continue
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

// expand expands a step. It is not known if what has to be looked at cannot be now: it is
// looked at again after a while.
func (d *Driver) expand(ctx context.Context, name StepName) (e Event, known bool, err error) {
	now := d.Clock.Now()
	if again, ok := d.unseen[name]; ok && now.Before(again) {
		d.wakeAt(again)
		return e, false, nil
	}
	e, err = d.expander.open(ctx, name)
	if d.Executor != nil && errors.Is(err, ErrLater) { // who only plans is told
		d.unseen[name] = now.Add(d.pollMax())
		d.wakeAt(d.unseen[name])
		return e, false, d.noted(ctx, opFiles, err)
	}
	if err != nil {
		return e, false, err
	}
	delete(d.unseen, name)
	return e, true, d.noted(ctx, opFiles, nil)
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
	begun := d.Clock.Now()
	// A run that is being stopped still records what it knows.
	if err := d.Log.Append(context.WithoutCancel(ctx), d.run.ID(), events[0].Seq-1, events...); err != nil {
		return fmt.Errorf("recording events of run %s: %w", d.run.ID(), err)
	}
	d.recorded = d.Clock.Now()
	d.window = min(max(10*d.recorded.Sub(begun), leastWindow), mostWindow)
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
