package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"flow/executor/local/model"
)

// maxWorkers bounds the OS threads: more tries than that wait in STARTING.
const maxWorkers = 4096

// advance lets the scheduler work after an input, and takes up what it wants done. It
// is called with the lock held.
func (b *Batch) advance(now time.Time) {
	for effects := b.tick(now); len(effects) > 0; effects = b.tick(now) {
		for i := range effects {
			if e := &effects[i]; e.Kind == model.Start {
				b.start(e, now)
			} else if r := b.live[e.ID()]; r != nil {
				b.stop(r, now, e.Grace)
			}
		}
	}
	b.gate.asked(b.model)
	b.alarm(now)
	select {
	case b.changed <- struct{}{}:
	default: // it is told already
	}
}

func (b *Batch) tick(now time.Time) []model.Effect {
	b.gate.refused = false
	return b.model.Tick(now)
}

// wakeUp lets the scheduler work since others may have made room.
func (b *Batch) wakeUp() {
	b.mu.Lock()
	defer b.unlock()
	if b.closed {
		return
	}
	now := b.now()
	if !b.catchUp(now) {
		b.advance(now)
	}
}

// start queues a try for the workers, at once or after the delay.
func (b *Batch) start(e *model.Effect, now time.Time) {
	if b.gate.shares() {
		b.journal.granted(now.UnixMilli(), e.Job, e.Index)
	}
	r := newRunning(e)
	b.live[r.Job] = r
	if b.onStart != nil {
		begun := *e
		b.begun = append(b.begun, &begun)
	}
	if b.startDelay > 0 {
		r.due = now.Add(b.startDelay)
		b.later = append(b.later, r)
		return
	}
	b.starts = append(b.starts, r)
}

// stop ends a try: one that no worker has taken yet never runs.
func (b *Batch) stop(r *running, now time.Time, grace time.Duration) {
	if !r.stopped || grace < r.grace {
		r.grace = grace
	}
	r.stopped = true
	if r.taken {
		b.stops = append(b.stops, stop{r.Job, grace})
		return
	}
	b.ended(r, now, Exit{})
}

// ended tells the model that a try has ended. A try whose end cannot be written down
// ends for this process only.
func (b *Batch) ended(r *running, now time.Time, e Exit) {
	delete(b.live, r.Job)
	b.journal.exited('x', now.UnixMilli(), r.job, r.index, r.BatchAttempt, e)
	b.model.Exited(now, r.job, r.index, r.BatchAttempt, e)
}

// alarm sets the timer for what comes next: something that the model waits for, or the
// end of a delay.
func (b *Batch) alarm(now time.Time) {
	wake := b.model.Wake()
	if len(b.later) > 0 && (wake.IsZero() || b.later[0].due.Before(wake)) {
		wake = b.later[0].due
	}
	if wake.Equal(b.wake) || b.closed {
		return
	}
	b.wake = wake
	switch {
	case wake.IsZero():
		b.timer.Stop()
	case b.timer == nil:
		b.timer = time.AfterFunc(wake.Sub(now), b.ring)
	default:
		b.timer.Reset(wake.Sub(now))
	}
}

// ring is called when the time may have come for something.
func (b *Batch) ring() {
	b.mu.Lock()
	defer b.unlock()
	if b.closed {
		return
	}
	now := b.now()
	for len(b.later) > 0 && !b.later[0].due.After(now) {
		b.starts = append(b.starts, b.later[0])
		b.later[0] = nil
		b.later = b.later[1:]
	}
	b.wake = time.Time{} // the timer is spent
	if !b.catchUp(now) {
		b.alarm(now)
	}
}

// catchUp lets the model do what was due by now, and reports whether anything was.
func (b *Batch) catchUp(now time.Time) bool {
	if wake := b.model.Wake(); wake.IsZero() || wake.After(now) {
		return false
	}
	b.journal.ticked(now.UnixMilli())
	b.advance(now)
	return true
}

// unlock frees the lock, after it has seen to it that the journal is written and that
// what is in starts gets workers, and makes the calls that must not be made under it.
func (b *Batch) unlock() {
	_ = b.journal.flush() // the next input says so
	b.compact()
	var fly []*running
	if b.async != nil {
		fly = b.takeAll()
	} else {
		b.call()
	}
	stops, begun := b.stops, b.begun
	b.stops, b.begun = nil, nil
	b.mu.Unlock()
	for _, e := range begun {
		b.onStart(e)
	}
	for _, r := range fly {
		b.fly(r)
	}
	for _, s := range stops {
		b.runner.Stop(s.id, s.grace)
	}
}

// call makes or wakes workers for what is in starts.
func (b *Batch) call() {
	for b.coming < len(b.starts) && !b.closed {
		if b.idle > 0 {
			b.idle--
			b.work.Signal()
		} else if b.workers < maxWorkers {
			b.workers++
			go b.worker()
		} else {
			break
		}
		b.coming++
	}
}

// takeAll takes all that is to be started for an Async runner.
func (b *Batch) takeAll() []*running {
	if len(b.starts) == 0 || b.closed {
		return nil
	}
	fly := make([]*running, 0, len(b.starts))
	for len(b.starts) > 0 {
		if r := b.take(); r != nil {
			fly = append(fly, r)
		}
	}
	b.starts = nil
	b.flying += len(fly)
	return fly
}

// fly hands a try to an Async runner.
func (b *Batch) fly(r *running) {
	b.async.Go(&r.Try, func() { b.started(r) }, func(exit Exit) {
		b.mu.Lock()
		defer b.unlock()
		b.flying--
		if b.closed {
			b.finish()
			return
		}
		now := b.now()
		b.ended(r, now, exit)
		b.advance(now)
	})
}

// worker runs tries, one after the other, until the Batch is closed. When one has
// ended it takes the next itself, so that nobody has to be woken for it.
func (b *Batch) worker() {
	runtime.LockOSThread() // for life: Pdeathsig is bound to the thread
	b.mu.Lock()
	b.coming--
	for {
		for len(b.starts) == 0 && !b.closed {
			b.rest()
		}
		if b.closed {
			break
		}
		r := b.take()
		if r == nil {
			continue
		}
		b.unlock()
		exit := b.runner.Run(&r.Try, func() { b.started(r) })
		b.mu.Lock()
		if b.closed {
			break
		}
		now := b.now()
		b.ended(r, now, exit)
		b.advance(now)
	}
	b.workers--
	b.finish()
	b.mu.Unlock()
}

// rest waits for something in starts, after what unlock would have done.
func (b *Batch) rest() {
	if len(b.stops)+len(b.begun) > 0 {
		b.unlock()
		b.mu.Lock()
		return
	}
	_ = b.journal.flush() // the next input says so
	b.idle++
	b.work.Wait()
	b.coming--
}

// finish tells Close when the last try has ended.
func (b *Batch) finish() {
	if b.workers == 0 && b.flying == 0 {
		close(b.done)
	}
}

// take returns the next try to run, or nil.
func (b *Batch) take() *running {
	r := b.starts[0]
	b.starts[0] = nil
	b.starts = b.starts[1:]
	if r.stopped {
		return nil
	}
	r.taken = true
	return r
}

// started tells the model that the program of a try runs.
func (b *Batch) started(r *running) {
	b.mu.Lock()
	defer b.unlock()
	if b.closed {
		b.stops = append(b.stops, stop{r.Job, b.grace})
		return
	}
	now := b.now()
	b.journal.started(now.UnixMilli(), r.job, r.index, r.BatchAttempt)
	b.model.Started(now, r.job, r.index, r.BatchAttempt)
	if r.stopped { // the first call may have come before there was something to stop
		b.stops = append(b.stops, stop{r.Job, r.grace})
	}
	b.advance(now)
}

// killWait is how long Close waits for processes that were sent SIGKILL.
const killWait = 5 * time.Second

// Close stops what runs (SIGTERM, and SIGKILL after the grace, or as soon as ctx is
// done) and returns when it has ended. The jobs stay as they are in the journal: for
// the next OpenBatch, what was stopped has lost its host, and the rest goes on.
func (b *Batch) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	b.stopAll(b.grace)
	b.work.Broadcast()
	b.finish()
	b.unlock()

	select {
	case <-b.done:
		return b.release()
	case <-ctx.Done():
	}
	b.mu.Lock()
	b.stopAll(0)
	b.unlock()
	select {
	case <-b.done:
		return b.release()
	case <-time.After(killWait):
		b.gate.leave()
		b.rewriters.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		_ = b.journal.close()
		return fmt.Errorf("%d tasks could not be ended", b.workers+b.flying)
	}
}

// stopAll asks for the end of every try that a worker has taken.
func (b *Batch) stopAll(grace time.Duration) {
	for _, r := range b.live { // the order does not matter
		if r.taken {
			b.stops = append(b.stops, stop{r.Job, grace})
		}
	}
}

// release frees what a Batch holds, once nothing runs any more.
func (b *Batch) release() error {
	b.gate.leave()
	b.runner.Close()
	b.rewriters.Wait()
	return errors.Join(b.rewriteErr, b.journal.close())
}
