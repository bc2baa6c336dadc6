package local

import (
	"runtime"
	"sync"
	"time"
)

// A team runs the containers of a task as its crew decides.
type team struct {
	m       *mission
	by      containerRunner
	started func() // tells that the task is RUNNING
	procs   []*proc

	mu     sync.Mutex
	crew   *crew
	told   bool          // started was called
	grace  time.Duration // of a stop
	timers []*time.Timer
	over   chan struct{} // closed when the crew is done
	left   sync.WaitGroup
}

// runTeam runs a task of several containers, or of one with a name of its own.
func (p *processes) runTeam(m *mission, by containerRunner, started func()) Exit {
	t := &team{
		m: m, by: by, started: started, crew: newCrew(m.Task), grace: DefaultGrace,
		over: make(chan struct{}),
	}
	for i := range m.Task.Containers {
		pr := newProc()
		pr.patience = m.Task.Containers[i].StopTimeout
		t.procs = append(t.procs, pr)
		defer pr.cancel()
	}
	p.enter(m.Job, t)
	t.after(func() {})
	<-t.over
	t.left.Wait()
	p.leave(m.Job)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, timer := range t.timers {
		timer.Stop()
	}
	if t.crew.any(func(m *member) bool { return m.stopped }) {
		by.sweep(m.Try)
	}
	exit := t.crew.exit()
	exit.Containers = t.crew.results(m.stream)
	return exit
}

// after tells the crew that something has happened, and does what it wants done then.
func (t *team) after(event func()) {
	t.mu.Lock()
	event()
	if t.crew.done() {
		t.finish()
		t.mu.Unlock()
		return
	}
	start, stop := t.crew.next()
	for _, i := range start {
		t.left.Go(func() { t.run(i) })
	}
	for _, i := range stop {
		t.procs[i].stop(t.grace)
	}
	if t.crew.done() { // it was over without anything to do
		t.finish()
	}
	tell := t.crew.up() && !t.told
	t.told = t.told || tell
	t.mu.Unlock()
	if tell {
		t.started() // it may call stop
	}
}

func (t *team) finish() {
	select {
	case <-t.over:
	default:
		close(t.over)
	}
}

// run runs a container, on a thread of its own that dies after it: see Runner.Run.
func (t *team) run(i int) {
	runtime.LockOSThread()
	exit := t.by.runContainer(t.procs[i], t.m, &t.m.Task.Containers[i], func() {
		t.after(func() {
			t.crew.started(i)
			if d := t.crew.startTimeout(i); d > 0 {
				t.timers = append(t.timers, time.AfterFunc(d, func() {
					t.after(func() { t.crew.overdue(i) })
				}))
			}
		})
	})
	t.after(func() { t.crew.ended(i, exit) })
}

// stop ends all containers, those first that others depend on least; without grace all
// at once.
func (t *team) stop(grace time.Duration) {
	t.after(func() {
		if t.crew.quit(); grace < t.grace {
			t.grace = grace
			for i := range t.crew.members {
				if m := &t.crew.members[i]; m.live() && (m.stopped || grace <= 0) {
					m.stopped = true
					t.procs[i].stop(grace)
				}
			}
		}
	})
}
