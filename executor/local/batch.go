package local

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"flow/engine"
	"flow/executor/local/model"
)

// LogStore keeps what the containers of Tasks write, by log group and stream.
type LogStore interface {
	// Open makes a stream and returns its file, for stdout and stderr alike; it belongs
	// to the caller. An unknown group is an error unless create.
	Open(group, stream string, create bool) (*os.File, error)
	// Ended says that a container has ended, and its file is closed: once for each Open.
	Ended(group, stream string)
}

// BatchOptions say how an embedded AWS Batch is to be opened.
type BatchOptions struct {
	// Model is what the model is made with; its Capacity is the size of the instance.
	Model model.Config

	// Journal is the path of the file that keeps the jobs over the death of the
	// process; its directory must exist. "": nothing is kept.
	Journal string

	// Runner runs the tries. It is closed with the Batch, but not if OpenBatch fails.
	Runner Runner

	// Now is the clock; nil: time.Now.
	Now func() time.Time

	// Apply does again what an fn of Do did to the model, when the journal is read. nil:
	// nobody calls Do, and a journal with such inputs is refused.
	Apply func(m *model.Model, now time.Time, op string, body []byte)

	// With Save and Load the journal is rewritten from time to time as what it has led
	// to, so that it does not grow without bounds. Save returns what the callers of Do
	// keep beside the model; Load is given it back before anything is applied. Decode
	// reads what the model keeps for them; its Payload may be nil for *Task. All of them,
	// and the methods that encode what Decode reads, are called with the lock held. A
	// payload may be encoded a little later than the rest: what an input has changed in it
	// by then, the same input changes once more when the journal is read. nil: the journal
	// grows.
	Save   func() []byte
	Load   func(saved []byte) error
	Decode model.Decoders

	// OnStart is called, without the lock, when a try is about to be started; nil: not.
	// It may come after the try has ended.
	OnStart func(e *model.Effect)

	// Room is what the Batch shares with others of this process; nil: nothing.
	Room *Room

	// Pools returns what counts Request.Pools. It lets the scheduler work with wake, without
	// the lock that it is called with. nil: they are not counted.
	Pools func(wake func()) Pools

	// StartDelay is how long every try stays STARTING at least.
	StartDelay time.Duration
}

// A Batch is an embedded AWS Batch: a [model.Model], a [Runner] that does what the model
// wants done, and a journal that lets it outlive its process. Its callers work on the
// model itself, with [Batch.Do] and [Batch.Look].
type Batch struct {
	runner     Runner
	async      Async // the runner, if it is one, or the threads of a room that run it
	gate       *gate
	config     model.Config
	apply      func(m *model.Model, now time.Time, op string, body []byte)
	compacts   bool // the journal is rewritten
	save       func() []byte
	load       func([]byte) error
	decode     model.Decoders
	onStart    func(e *model.Effect)
	startDelay time.Duration
	grace      time.Duration
	clock      func() time.Time
	changed    chan struct{}

	mu      sync.Mutex
	model   *model.Model
	journal *journal // nil: none
	live    map[engine.JobID]*running
	later   []*running      // are to stay STARTING for a while, in order of their due time
	starts  []*running      // to be taken by a worker, in order
	stops   []stop          // to be made once the lock is free
	begun   []*model.Effect // for onStart, likewise
	work    sync.Cond       // there is something in starts, or closed
	workers int
	idle    int           // workers that wait for work
	coming  int           // workers that are on their way: made or woken for something in starts
	flying  int           // tries that async has in hand
	done    chan struct{} // closed when the last worker and try has ended after Close
	timer   *time.Timer
	wake    time.Time // when timer goes off; zero: never
	closed  bool

	restoring  *restoring     // while the journal is read
	rewriters  sync.WaitGroup // of the journal
	rewriteErr error          // of the last one
}

// A running is a try that is STARTING or RUNNING.
type running struct {
	Try
	job     engine.JobID // of the plain job or the array parent
	index   int          // -1: a plain job
	due     time.Time    // when it may be started
	taken   bool         // by a worker
	stopped bool         // its end was asked for
	grace   time.Duration
}

// A stop is a call of Runner.Stop.
type stop struct {
	id    engine.JobID
	grace time.Duration
}

// OpenBatch opens an embedded Batch. If its journal holds jobs of an earlier process,
// they are there as if Batch had gone on all the time: ended jobs stay ended, queued ones
// go on, and what was STARTING or RUNNING when that process died has lost its host,
// unless its result turns out to be complete. What is left of it is ended first, which
// may take Config.Grace. A [LockedError] says that another process has the journal.
func OpenBatch(o BatchOptions) (*Batch, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Model.Grace <= 0 {
		o.Model.Grace = DefaultGrace
	}
	if o.Model.ComputeEnvironment == "" {
		o.Model.ComputeEnvironment = computeEnvironment
	}
	b := &Batch{
		runner: o.Runner, apply: o.Apply, onStart: o.OnStart, startDelay: o.StartDelay,
		compacts: o.Save != nil && o.Load != nil, save: o.Save, load: o.Load, decode: o.Decode,
		grace: o.Model.Grace, clock: o.Now,
		changed: make(chan struct{}, 1), done: make(chan struct{}),
		live: map[engine.JobID]*running{},
	}
	b.async, _ = o.Runner.(Async)
	b.share(&o)
	if b.decode.Payload == nil {
		b.decode.Payload = decodeTask
	}
	b.work.L = &b.mu
	if err := b.open(&o); err != nil {
		if b.journal != nil {
			err = errors.Join(err, b.journal.close())
		}
		b.gate.leave()
		return nil, err
	}
	return b, nil
}

// share sets up what the Batch shares with others.
func (b *Batch) share(o *BatchOptions) {
	b.gate = &gate{replays: true}
	o.Model.Room = b.gate
	if o.Room != nil {
		b.gate.tenant = o.Room.enter(b.wakeUp)
		o.Model.Capacity = o.Room.cut(o.Model.Capacity)
		if b.async == nil {
			b.async = onThreads{o.Runner, &o.Room.crew}
		}
	}
	if o.Pools != nil {
		b.gate.pools = o.Pools(b.wakeUp)
	}
}

func (b *Batch) open(o *BatchOptions) error {
	size := o.Model.Capacity
	o.Model.Capacity = model.Capacity{} // that of the instance that the last o line names
	b.config = o.Model
	b.model = model.New(o.Model)
	if o.Journal != "" {
		j, err := openJournal(o.Journal)
		if err != nil {
			return err
		}
		b.journal = j
		if err := b.replay(); err != nil {
			return err
		}
	}
	if err := b.recover(); err != nil {
		return err
	}
	now, instance := b.now(), newInstance()
	if err := b.journal.opened(now.UnixMilli(), instance, size, b.gate.shares()); err != nil {
		return err
	}
	b.mu.Lock()
	b.model.Restart(now, size, instance)
	b.gate.replays = false
	b.advance(now)
	b.unlock()
	return nil
}

// replay reads the journal, and makes it ready for more.
func (b *Batch) replay() error {
	good, err := replay(b.journal.f, func(r *record) error {
		if r.kind == 'a' && b.apply == nil || r.kind == 'c' && b.load == nil {
			return fmt.Errorf("%s holds jobs that were not submitted by flow run", b.journal.f.Name())
		}
		switch r.kind {
		case 'c':
			return b.restore(r)
		case 'j':
			b.journal.count(len(r.saved))
			return b.restore(r)
		case 'a':
			b.journal.count(len(r.body))
		}
		b.input(r)
		return nil
	})
	if err == nil && b.restoring != nil {
		err = fmt.Errorf("%d jobs of its snapshot are missing", b.restoring.left)
	}
	if err != nil {
		return fmt.Errorf("cannot read the journal of the local executor: %w", err)
	}
	if err := b.journal.resume(good); err != nil {
		return fmt.Errorf("cannot write the journal of the local executor: %w", err)
	}
	return nil
}

// newInstance returns an id like those of EC2 instances.
func newInstance() string {
	id := uuid.New()
	return "i-" + strings.ReplaceAll(id.String(), "-", "")[:17]
}

// recover clears up behind a process that died: its leftovers are ended, and tries
// that had ended well though nobody wrote it down are taken as such.
func (b *Batch) recover() error {
	var tries []*Try
	var lost []*running
	for e := range b.model.Live() {
		r := newRunning(&e)
		lost, tries = append(lost, r), append(tries, &r.Try)
	}
	rec, ok := b.runner.(Recoverer)
	if !ok || len(tries) == 0 {
		return nil
	}
	if err := rec.Leftovers(tries, b.grace); err != nil {
		return fmt.Errorf("cannot end what an earlier process left running: %w", err)
	}
	for _, r := range lost {
		if exit, ok := rec.Finished(&r.Try); ok {
			now := b.now()
			b.journal.exited('f', now.UnixMilli(), r.job, r.index, r.BatchAttempt, exit)
			if err := b.journal.flush(); err != nil {
				return err
			}
			b.model.Exited(now, r.job, r.index, r.BatchAttempt, exit)
		}
	}
	return nil
}

// input gives the model an input of the journal. What it wants done was done, or was
// lost with the process.
func (b *Batch) input(r *record) {
	now := time.UnixMilli(r.ms)
	id := b.journal.id(r.job)
	switch r.kind {
	case 'o':
		b.gate.closed = r.shared
		b.model.Restart(now, r.capacity, r.instance)
	case 'g':
		b.model.Begin(now, id, r.index)
	case 's':
		b.journal.enter(r.id)
		// What is refused now, and was not then, is unknown from here on.
		_ = b.model.Submit(now, r.id, request(r.spec, b.config.Consumables))
	case 'n':
		b.journal.enter(r.id)
		return // it says nothing to the model
	case 'm':
		b.journal.renumber()
		return
	case 'a':
		b.apply(b.model, now, r.op, r.body)
	case 'r':
		b.model.Started(now, id, r.index, r.attempt)
	case 'x', 'f':
		b.model.Exited(now, id, r.index, r.attempt, r.exit)
	case 't':
		if r.index >= 0 {
			id = id.Child(r.index)
		}
		_ = b.model.Terminate(now, id, r.reason)
	}
	if r.kind != 'f' { // the scheduler waits for the o line
		b.model.Tick(now)
	}
}

// now is the time in Batch's resolution, which is also the journal's.
func (b *Batch) now() time.Time { return b.clock().UTC().Truncate(time.Millisecond) }

var errClosed = errors.New("the local executor is closed")

// Do applies an input: fn changes the model, or refuses, and then nothing is recorded
// and its error is returned. The input is recorded as op and body, for
// [BatchOptions.Apply] to do the same when the journal is read again: so fn may depend
// on the model, now, op and body only. op has no blanks. fn must not keep the model, nor
// call Tick.
//
// Any other error says that the input may have been applied, but will be forgotten when
// the process ends; the Batch takes no more inputs then.
func (b *Batch) Do(op string, body []byte, fn func(m *model.Model, now time.Time) error) error {
	if op == "" || strings.ContainsAny(op, " \n") {
		return fmt.Errorf("%q is no name of an input", op)
	}
	b.mu.Lock()
	defer b.unlock()
	if b.closed {
		return errClosed
	}
	if err := b.journal.failed(); err != nil {
		return err
	}
	now := b.now()
	b.catchUp(now) // so that what fn refuses has moved nothing
	if err := fn(b.model, now); err != nil {
		return err
	}
	b.journal.applied(now.UnixMilli(), op, body)
	if err := b.journal.flush(); err != nil {
		return err
	}
	b.advance(now)
	return nil
}

// Look lets fn look at the model as it is now. fn must not change or keep it.
func (b *Batch) Look(fn func(m *model.Model, now time.Time)) {
	b.mu.Lock()
	defer b.unlock()
	now := b.now()
	if !b.closed {
		b.catchUp(now)
	}
	fn(b.model, now)
}

// Changed returns a channel that receives after jobs may have changed; many changes
// are told as one.
func (b *Batch) Changed() <-chan struct{} { return b.changed }

// Idle reports whether nothing is STARTING or RUNNING.
func (b *Batch) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.model.Active() == 0
}
