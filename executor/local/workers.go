package local

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"flow/executor/local/model"
)

// maxWorkers bounds the OS threads: more tries than that wait in STARTING.
const maxWorkers = 4096

// advance lets the scheduler work after an input, and takes up what it wants done. It
// is called with the lock held.
func (x *Executor) advance(now time.Time) {
	for effects := x.model.Tick(now); len(effects) > 0; effects = x.model.Tick(now) {
		for i := range effects {
			if e := &effects[i]; e.Kind == model.Start {
				r := newRunning(e)
				x.live[r.Job] = r
				x.starts = append(x.starts, r)
			} else if r := x.live[e.ID()]; r != nil {
				x.stop(r, now, e.Grace)
			}
		}
	}
	x.alarm(now)
	select {
	case x.changed <- struct{}{}:
	default: // it is told already
	}
}

// stop ends a try: one that no worker has taken yet never runs.
func (x *Executor) stop(r *running, now time.Time, grace time.Duration) {
	r.stopped = true
	if r.taken {
		x.stops = append(x.stops, stop{r.Job, grace})
		return
	}
	x.ended(r, now, Exit{})
}

// ended tells the model that a try has ended. A try whose end cannot be written down
// ends for this process only.
func (x *Executor) ended(r *running, now time.Time, e Exit) {
	delete(x.live, r.Job)
	_ = x.journal.exited('x', now.UnixMilli(), x.number[r.job], r.index, r.BatchAttempt, e)
	x.model.Exited(now, r.job, r.index, r.BatchAttempt, model.Exit(e))
}

// alarm sets the timer for the model's next timeout.
func (x *Executor) alarm(now time.Time) {
	wake := x.model.Wake()
	if wake.Equal(x.wake) || x.closed {
		return
	}
	x.wake = wake
	switch {
	case wake.IsZero():
		x.timer.Stop()
	case x.timer == nil:
		x.timer = time.AfterFunc(wake.Sub(now), x.ring)
	default:
		x.timer.Reset(wake.Sub(now))
	}
}

// ring is called when a timeout may have passed.
func (x *Executor) ring() {
	x.mu.Lock()
	defer x.unlock()
	if x.closed {
		return
	}
	now := x.now()
	if wake := x.model.Wake(); !wake.IsZero() && !wake.After(now) {
		_ = x.journal.ticked(now.UnixMilli())
	}
	x.wake = time.Time{} // the timer is spent
	x.advance(now)
}

// unlock frees the lock, after it has seen to it that what is in starts gets workers,
// and makes the calls of the Runner that must not be made under the lock.
func (x *Executor) unlock() {
	for x.coming < len(x.starts) && !x.closed {
		if x.idle > 0 {
			x.idle--
			x.work.Signal()
		} else if x.workers < maxWorkers {
			x.workers++
			go x.worker()
		} else {
			break
		}
		x.coming++
	}
	stops := x.stops
	x.stops = nil
	x.mu.Unlock()
	for _, s := range stops {
		x.runner.Stop(s.id, s.grace)
	}
}

// worker runs tries, one after the other, until the executor is closed. When one has
// ended it takes the next itself, so that nobody has to be woken for it.
func (x *Executor) worker() {
	runtime.LockOSThread() // for life: Pdeathsig is bound to the thread
	x.mu.Lock()
	x.coming--
	for {
		for len(x.starts) == 0 && !x.closed {
			x.idle++
			x.work.Wait()
			x.coming--
		}
		if x.closed {
			break
		}
		r := x.take()
		if r == nil {
			continue
		}
		x.unlock()
		exit := x.runner.Run(&r.Try, func() { x.started(r) })
		x.mu.Lock()
		if x.closed {
			break
		}
		now := x.now()
		x.ended(r, now, exit)
		x.advance(now)
	}
	if x.workers--; x.workers == 0 {
		close(x.done)
	}
	x.mu.Unlock()
}

// take returns the next try to run, or nil.
func (x *Executor) take() *running {
	r := x.starts[0]
	x.starts[0] = nil
	x.starts = x.starts[1:]
	if r.stopped {
		return nil
	}
	r.taken = true
	return r
}

// started tells the model that the program of a try runs.
func (x *Executor) started(r *running) {
	x.mu.Lock()
	defer x.unlock()
	if x.closed {
		x.stops = append(x.stops, stop{r.Job, x.grace})
		return
	}
	now := x.now()
	_ = x.journal.started(now.UnixMilli(), x.number[r.job], r.index, r.BatchAttempt)
	x.model.Started(now, r.job, r.index, r.BatchAttempt)
	if r.stopped { // the first call may have come before there was something to stop
		x.stops = append(x.stops, stop{r.Job, x.grace})
	}
	x.advance(now)
}

// killWait is how long Close waits for processes that were sent SIGKILL.
const killWait = 5 * time.Second

// Close stops what runs (SIGTERM, and SIGKILL after the grace, or as soon as ctx is
// done) and returns when it has ended. The jobs stay as they are in the journal: for
// the next Open, what was stopped has lost its host, and the rest goes on.
func (x *Executor) Close(ctx context.Context) error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	if x.timer != nil {
		x.timer.Stop()
	}
	x.stopAll(x.grace)
	x.work.Broadcast()
	if x.workers == 0 {
		close(x.done)
	}
	x.unlock()

	select {
	case <-x.done:
		x.runner.Close()
		return x.closeJournal()
	case <-ctx.Done():
	}
	x.mu.Lock()
	x.stopAll(0)
	x.unlock()
	select {
	case <-x.done:
		x.runner.Close()
		return x.closeJournal()
	case <-time.After(killWait):
		x.mu.Lock()
		defer x.mu.Unlock()
		_ = x.closeJournal()
		return fmt.Errorf("%d tasks could not be ended", x.workers)
	}
}

// stopAll asks for the end of every try that a worker has taken.
func (x *Executor) stopAll(grace time.Duration) {
	for _, r := range x.live { // the order does not matter
		if r.taken {
			x.stops = append(x.stops, stop{r.Job, grace})
		}
	}
}

func (x *Executor) closeJournal() error {
	if x.journal == nil {
		return nil
	}
	return x.journal.close()
}
