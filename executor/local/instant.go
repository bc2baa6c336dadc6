package local

import (
	"container/heap"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"flow/engine"
	"flow/executor/agent"
)

// Variables of a container that tell the instant runner what to make of it.
const (
	envInstantExit    = "FLOW_EMULATE_EXIT"    // its exit code; else 0
	envInstantSeconds = "FLOW_EMULATE_SECONDS" // how long it runs, in seconds; else InstantOptions.Duration
	envInstantLog     = "FLOW_EMULATE_LOG"     // what it writes to its log, with a line feed; else nothing
)

// InstantOptions say what an instant runner makes of its tries.
type InstantOptions struct {
	Duration time.Duration // of a container that does not say it itself; 0: it ends at once
	Logs     LogStore      // nil: there are no logs
}

// NewInstantRunner returns a Runner that runs nothing: its tries end by themselves, after
// no time or a given one, with the exit code that they name. It is an [Async].
func NewInstantRunner(o InstantOptions) Runner {
	r := &instant{
		tasks: tasks{logs: o.Logs}, duration: o.Duration, live: map[engine.JobID]*flight{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go r.loop()
	return r
}

// instant is the Runner that runs nothing. One goroutine tells of all tries, and has one
// timer for them.
type instant struct {
	tasks
	duration time.Duration
	wake     chan struct{} // something is in fresh or stopped
	quit     chan struct{} // closed by Close
	done     chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	fresh   []*flight // have begun since the goroutine looked
	stopped []*flight // were told to end since then
	live    map[engine.JobID]*flight
	flights flights // of the goroutine only
}

// A flight is a try of the instant runner.
type flight struct {
	try     *Try
	started func()
	ended   func(Exit)
	began   time.Time
	fate    fate
	told    bool // started was called
	over    bool
	due     time.Time // when something happens to it
}

var _ Async = (*instant)(nil)

// Go begins a try.
func (r *instant) Go(t *Try, started func(), ended func(Exit)) {
	f := &flight{try: t, started: started, ended: ended}
	r.mu.Lock()
	r.fresh = append(r.fresh, f)
	r.mu.Unlock()
	r.ring()
}

// Run runs a try and returns when it has ended.
func (r *instant) Run(t *Try, started func()) Exit {
	exit := make(chan Exit, 1)
	r.Go(t, started, func(e Exit) { exit <- e })
	return <-exit
}

// Stop ends a try at once.
func (r *instant) Stop(id engine.JobID, _ time.Duration) {
	r.mu.Lock()
	f := r.live[id]
	if f != nil {
		r.stopped = append(r.stopped, f)
	}
	r.mu.Unlock()
	if f != nil {
		r.ring()
	}
}

// Close ends the goroutine.
func (r *instant) Close() {
	close(r.quit)
	<-r.done
}

func (r *instant) ring() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (r *instant) loop() {
	defer close(r.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.mu.Lock()
		fresh, stopped := r.fresh, r.stopped
		r.fresh, r.stopped = nil, nil
		r.mu.Unlock()
		for _, f := range fresh {
			r.begin(f)
		}
		for _, f := range stopped {
			if !f.over {
				f.fate = foresee(f.try, r.duration, time.Since(f.began))
				r.end(f)
			}
		}
		next := r.tell(time.Now())
		timer.Reset(next)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-r.quit:
			return
		}
	}
}

// begin takes up a try. One that takes no time is over at once.
func (r *instant) begin(f *flight) {
	f.fate = foresee(f.try, r.duration, forever)
	if err := r.write(f.try); err != nil {
		f.fate = fate{exit: startFailed(noStream, err), up: forever}
	}
	if f.fate.end == 0 {
		r.end(f)
		return
	}
	f.began = time.Now()
	r.mu.Lock()
	r.live[f.try.Job] = f
	r.mu.Unlock()
	f.due = f.began.Add(min(f.fate.up, f.fate.end))
	heap.Push(&r.flights, f)
}

// tell tells of what was due by now, and returns how long it is to the next.
func (r *instant) tell(now time.Time) time.Duration {
	for len(r.flights) > 0 {
		f := r.flights[0]
		if wait := f.due.Sub(now); wait > 0 && !f.over {
			return wait
		}
		heap.Pop(&r.flights)
		switch {
		case f.over:
		case !f.told && f.fate.up < f.fate.end:
			f.told = true
			f.due = f.began.Add(f.fate.end)
			heap.Push(&r.flights, f)
			f.started()
		default:
			r.end(f)
		}
	}
	return time.Hour
}

// end tells that a try is over.
func (r *instant) end(f *flight) {
	f.over = true
	if !f.began.IsZero() {
		r.mu.Lock()
		delete(r.live, f.try.Job)
		r.mu.Unlock()
	}
	f.ended(f.fate.exit)
}

// write writes what containers have asked to be in their logs.
func (r *instant) write(t *Try) error {
	if t.Task == nil {
		return nil
	}
	for i := range t.Task.Containers {
		c := &t.Task.Containers[i]
		text, ok := agent.LookEnv(c.Env, envInstantLog)
		if !ok {
			continue
		}
		m := &mission{Try: t}
		f, err := r.openStream(m, c)
		if err != nil {
			return err
		}
		fmt.Fprintln(f, text)
		r.closeStream(m, c, f)
	}
	return nil
}

// A fate is how a try will end, if nobody stops it.
type fate struct {
	exit    Exit
	up, end time.Duration // after its beginning: it is RUNNING, it is over
}

const forever = time.Duration(1<<63 - 1)

// foresee returns the fate of a try that is stopped after some time.
func foresee(t *Try, duration, stop time.Duration) fate {
	f := fate{exit: exited(0), end: duration}
	if t.Task != nil && len(t.Task.Containers) > 0 {
		c := &t.Task.Containers[0]
		if len(t.Task.Containers) > 1 || c.Name != DefaultContainer {
			return foreseeCrew(t, duration, stop)
		}
		f.exit, f.end = exited(instantExit(c)), instantSeconds(c, duration)
	}
	if stop < f.end {
		f = fate{exit: exited(exitTerminated), end: stop}
	}
	return f
}

// exitTerminated is the exit code of what SIGTERM has ended.
const exitTerminated = 143

// foreseeCrew lets a crew live its life on a clock of its own.
func foreseeCrew(try *Try, duration, stop time.Duration) fate {
	t := try.Task
	c := newCrew(t)
	now := time.Duration(0)
	out := fate{up: forever}
	ends := map[int]time.Duration{}
	late := map[int]time.Duration{}
	for {
		starts, stops := c.next()
		for _, i := range starts {
			c.started(i)
			ends[i] = now + instantSeconds(&t.Containers[i], duration)
			if d := c.startTimeout(i); d > 0 {
				late[i] = now + d
			}
		}
		for _, i := range stops {
			delete(ends, i)
			c.ended(i, exited(exitTerminated))
		}
		if c.up() {
			out.up = min(out.up, now)
		}
		if len(starts)+len(stops) > 0 {
			continue
		}
		if c.done() {
			break
		}
		first, isEnd, at := -1, false, stop
		for i := range t.Containers { // in order, so that the same comes out every time
			if end, ok := ends[i]; ok && end < at {
				first, isEnd, at = i, true, end
			}
			if due, ok := late[i]; ok && due < at {
				first, isEnd, at = i, false, due
			}
		}
		now = max(now, at)
		switch {
		case first < 0:
			c.quit()
			stop = forever
		case isEnd:
			delete(ends, first)
			c.ended(first, exited(instantExit(&t.Containers[first])))
		default:
			delete(late, first)
			c.overdue(first)
		}
	}
	out.exit, out.end = c.exit(), now
	out.exit.Containers = c.results((&mission{Try: try}).stream)
	return out
}

func instantExit(c *Container) int {
	text, _ := agent.LookEnv(c.Env, envInstantExit)
	n, _ := strconv.Atoi(strings.TrimSpace(text)) // what is no number is 0
	return n & 0xff                               // as of a process
}

func instantSeconds(c *Container, duration time.Duration) time.Duration {
	text, ok := agent.LookEnv(c.Env, envInstantSeconds)
	if !ok {
		return duration
	}
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(s >= 0) || s > maxInstantSeconds {
		return duration
	}
	return time.Duration(s * float64(time.Second))
}

// maxInstantSeconds is a hundred years.
const maxInstantSeconds = 100 * 365 * 24 * 3600

// flights is a heap, the first due at its top.
type flights []*flight

func (h flights) Len() int           { return len(h) }
func (h flights) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h flights) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *flights) Push(f any)        { *h = append(*h, f.(*flight)) }
func (h *flights) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return f
}
