package local

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// threads are the OS threads that the executors of a Room run their tries on. One that has
// had nothing to do for a while ends.
type threads struct {
	mu   sync.Mutex
	n    int
	idle []chan func() // of those that have nothing to do, the one that ended its try last at the end
	lazy bool          // there is nobody who could have something to do
	todo []func()      // there are as many threads as there may be, and all are at work
}

// threadIdle is how long a thread that has nothing to do is kept.
const threadIdle = 5 * time.Second

// run runs f on a thread of its own, and returns at once.
func (t *threads) run(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch k := len(t.idle); {
	case k > 0:
		t.idle[k-1] <- f // it has room for one, and gets no other
		t.idle = t.idle[:k-1]
	case t.n < maxWorkers:
		t.n++
		go t.work(f)
	default:
		t.todo = append(t.todo, f)
	}
}

// work is a thread.
func (t *threads) work(f func()) {
	runtime.LockOSThread() // for life: Pdeathsig is bound to the thread
	next := make(chan func(), 1)
	timer := time.NewTimer(threadIdle)
	defer timer.Stop()
	for f != nil {
		f()
		f = t.rest(next, timer)
	}
}

// rest returns what a thread is to do next, or nil when it is to end.
func (t *threads) rest(next chan func(), timer *time.Timer) func() {
	t.mu.Lock()
	if len(t.todo) > 0 {
		f := t.todo[0]
		t.todo[0] = nil
		t.todo = t.todo[1:]
		t.mu.Unlock()
		return f
	}
	if t.lazy {
		t.n--
		t.mu.Unlock()
		return nil
	}
	t.idle = append(t.idle, next)
	t.mu.Unlock()
	timer.Reset(threadIdle)
	select {
	case f := <-next:
		return f
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.idle, next)
	if i < 0 { // something has just been given to it
		return <-next
	}
	t.idle = slices.Delete(t.idle, i, i+1)
	t.n--
	return nil
}

// keep says whether those that have nothing to do are to be kept for a while.
func (t *threads) keep(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lazy = !on; on {
		return
	}
	for _, next := range t.idle {
		next <- nil
		t.n--
	}
	t.idle = nil
}

// onThreads is a Runner as one whose tries are waited for by the threads of a room.
type onThreads struct {
	Runner
	threads *threads
}

var _ Async = onThreads{}

// Go runs a try on one of the threads.
func (r onThreads) Go(t *Try, started func(), ended func(Exit)) {
	r.threads.run(func() { ended(r.Run(t, started)) })
}
