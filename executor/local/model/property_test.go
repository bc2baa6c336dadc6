package model

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flow/engine"
)

// An input is one call of a Model, so that it can be made again of another one.
type input func(m *Model) []Effect

// A story is a Batch under random inputs, and what was seen of it.
type story struct {
	*rapid.T
	m        *Model
	now      time.Time
	inputs   []input
	effects  []Effect
	live     []Effect
	stopped  map[engine.JobID]bool
	requests map[engine.JobID]*Request
	order    []engine.JobID
	final    map[engine.JobID]View
}

func (s *story) do(in input) {
	s.inputs = append(s.inputs, in)
	for _, e := range in(s.m) {
		s.effects = append(s.effects, e)
		if e.Kind == Start {
			s.checkStart(e)
			s.live = append(s.live, e)
		} else {
			s.checkStop(e)
		}
	}
}

func (s *story) tick() {
	now := s.now
	s.do(func(m *Model) []Effect { return slices.Clone(m.Tick(now)) })
}

func drawCapacity(t *rapid.T) Capacity {
	return Capacity{
		VCPUs:     float64(rapid.IntRange(1, 24).Draw(t, "quarters")) / 4,
		MemoryMiB: rapid.IntRange(64, 1024).Draw(t, "memory"),
		GPUs:      rapid.IntRange(0, 2).Draw(t, "gpus"),
	}
}

func (s *story) drawRequest() *Request {
	r := &Request{
		Name: rapid.SampledFrom([]string{"x", "X", "y"}).Draw(s.T, "name"), Queue: rapid.SampledFrom([]string{"q", "r"}).Draw(s.T, "queue"),
		ArraySize: rapid.SampledFrom([]int{0, 0, 2, 3, 3, 70}).Draw(s.T, "size"),
		Attempts:  rapid.IntRange(0, 3).Draw(s.T, "attempts"),
		Timeout:   rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(s.T, "timeout"),
	}
	if r.Attempts > 0 && rapid.Bool().Draw(s.T, "evaluate") {
		r.Evaluate = []engine.EvaluateOn{{ExitCode: "1*", Retry: true}, {StatusReason: "Host EC2*", Retry: true}, {Reason: "*"}}
	}
	r.VCPUs = float64(rapid.IntRange(1, 12).Draw(s.T, "quarters")) / 4
	r.MemoryMiB = rapid.IntRange(4, 700).Draw(s.T, "memory")
	r.GPUs = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(s.T, "gpus")
	for range rapid.IntRange(0, 3).Draw(s.T, "dependencies") {
		kind := rapid.SampledFrom([]engine.DependencyType{engine.DependAll, engine.DependNToN, engine.DependSequential}).Draw(s.T, "type")
		d := engine.Dependency{Type: kind}
		if kind != engine.DependSequential && len(s.order) > 0 {
			d.Job = rapid.SampledFrom(s.order).Draw(s.T, "on")
		}
		r.DependsOn = append(r.DependsOn, d)
	}
	return r
}

func (s *story) drawID() engine.JobID {
	id := rapid.SampledFrom(s.order).Draw(s.T, "job")
	if i := rapid.IntRange(-1, 3).Draw(s.T, "index"); i >= 0 {
		id = id.Child(i)
	}
	return id
}

// checkStart checks that a child that starts waits for nothing, and that all that runs
// fits.
func (s *story) checkStart(e Effect) {
	for _, d := range e.Request.DependsOn {
		id := d.Job
		switch {
		case d.Type == engine.DependNToN:
			id = d.Job.Child(e.Index)
		case d.Type == engine.DependSequential && e.Index == 0:
			continue
		case d.Type == engine.DependSequential:
			id = e.Job.Child(e.Index - 1)
		}
		if v, ok := s.m.Describe(id); !ok || v.Status != engine.JobSucceeded {
			s.Fatalf("%s started though %s is %v", e.ID(), id, v.Status)
		}
	}
	if v, _ := s.m.Describe(e.ID()); v.Try != e.Attempt || e.Attempt > max(e.Request.Attempts, 1) {
		s.Fatalf("%s started attempt %d of %d", e.ID(), e.Attempt, e.Request.Attempts)
	}
}

func (s *story) checkStop(e Effect) {
	if s.stopped[e.ID()] {
		s.Fatalf("%s was stopped twice", e.ID())
	}
	s.stopped[e.ID()] = true
	if !slices.ContainsFunc(s.live, func(l Effect) bool { return l.ID() == e.ID() && l.Attempt == e.Attempt }) {
		s.Fatalf("%s attempt %d was stopped though it does not run", e.ID(), e.Attempt)
	}
}

// check checks what holds after every Tick.
func (s *story) check() {
	var cpu float64
	var memory, gpus int
	for _, e := range s.live {
		cpu, memory, gpus = cpu+e.Granted.VCPUs, memory+e.Granted.MemoryMiB, gpus+e.Granted.GPUs
	}
	if c := s.m.cfg.Capacity; cpu > c.VCPUs || memory > c.MemoryMiB || gpus > c.GPUs {
		s.Fatalf("%v vCPUs, %d MiB, %d GPUs run on %+v", cpu, memory, gpus, c)
	}
	if s.m.Active() != len(s.live) {
		s.Fatalf("%d are active, want %d", s.m.Active(), len(s.live))
	}
	for _, q := range s.m.queues { // nothing waits that would fit
		if r, ok := q.head(); ok && s.m.used.plus(s.m.grant(r.job.req)).within(s.m.size) {
			s.Fatalf("%s:%d waits though it fits", r.job.id, r.index)
		}
	}
	live := map[engine.JobID]bool{}
	for e := range s.m.Live() {
		live[e.ID()] = true
	}
	if len(live) != len(s.live) {
		s.Fatalf("Live has %v, want %v", live, s.live)
	}
	for _, id := range s.order {
		s.checkJob(id)
	}
}

func (s *story) checkJob(id engine.JobID) {
	r := s.requests[id]
	parent, ok := s.m.Describe(id)
	if !ok {
		s.Fatalf("%s is unknown", id)
	}
	s.checkFinal(id, parent)
	if r.ArraySize == 0 {
		s.checkChild(parent)
		return
	}
	var count [engine.NumJobStatuses]int
	for i := range r.ArraySize {
		v, ok := s.m.Describe(id.Child(i))
		if !ok {
			s.Fatalf("%s is unknown", id.Child(i))
		}
		count[v.Status]++
		s.checkFinal(v.ID, v)
		s.checkChild(v)
	}
	if count != parent.Summary {
		s.Fatalf("summary of %s is %v, its children are %v", id, parent.Summary, count)
	}
	want := engine.JobPending
	if count[engine.JobFailed]+count[engine.JobSucceeded] == r.ArraySize {
		want = engine.JobSucceeded
		if count[engine.JobFailed] > 0 {
			want = engine.JobFailed
		}
	}
	if parent.Status != want {
		s.Fatalf("%s is %v with children %v", id, parent.Status, count)
	}
	for status := range engine.JobStatus(engine.NumJobStatuses) {
		buf, next := s.m.Children(make([]View, 0, r.ArraySize), id, status, 0)
		if len(buf) != count[status] || next >= 0 {
			s.Fatalf("%s lists %d children in %v, want %d", id, len(buf), status, count[status])
		}
	}
}

// checkChild checks that what is known of a task fits together.
func (s *story) checkChild(v View) {
	running := v.Status == engine.JobStarting || v.Status == engine.JobRunning
	want := v.Try
	if running {
		want--
	}
	if len(v.Attempts) != want {
		s.Fatalf("%s is %v with %d attempts ended of %d begun", v.ID, v.Status, len(v.Attempts), v.Try)
	}
	if v.Status.Ended() == v.Stopped.IsZero() || v.Status == engine.JobRunning && v.Started.IsZero() {
		s.Fatalf("%s is %v, started %v, stopped %v", v.ID, v.Status, v.Started, v.Stopped)
	}
	if v.Status == engine.JobSucceeded && (v.ExitCode == nil || *v.ExitCode != 0 || v.Terminated) {
		s.Fatalf("%s succeeded: %+v", v.ID, v)
	}
	if v.Status == engine.JobFailed && v.StatusReason == "" {
		s.Fatalf("%s failed for no reason: %+v", v.ID, v)
	}
}

// checkFinal checks that an ended job does not change.
func (s *story) checkFinal(id engine.JobID, v View) {
	if before, ok := s.final[id]; ok && !reflect.DeepEqual(before, v) {
		s.Fatalf("%s had ended as %+v and is %+v", id, before, v)
	}
	if v.Status.Ended() {
		s.final[id] = v
	}
}

func (s *story) takeLive() Effect {
	i := rapid.IntRange(0, len(s.live)-1).Draw(s.T, "try")
	return s.live[i]
}

func (s *story) exit(e Effect, x Exit) {
	s.live = slices.DeleteFunc(s.live, func(l Effect) bool { return l.ID() == e.ID() })
	delete(s.stopped, e.ID())
	now := s.now
	s.do(func(m *Model) []Effect { m.Exited(now, e.Job, e.Index, e.Attempt, x); return nil })
}

// actions are the random inputs; each is followed by a Tick but for some submissions.
func (s *story) actions() map[string]func(*rapid.T) {
	guarded := func(ok func() bool, f func()) func(*rapid.T) {
		return func(t *rapid.T) {
			if s.T = t; !ok() {
				t.Skip()
			}
			s.now = s.now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			f()
			s.tick()
			s.check()
		}
	}
	always := func() bool { return true }
	jobs := func() bool { return len(s.order) > 0 }
	running := func() bool { return len(s.live) > 0 }
	code := func() *int { return new(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 137}).Draw(s.T, "code")) }
	return map[string]func(*rapid.T){
		"submit": guarded(func() bool { return len(s.order) < 12 }, func() {
			for range rapid.IntRange(1, 2).Draw(s.T, "jobs") {
				r, now := s.drawRequest(), s.now
				id := engine.JobID(fmt.Sprint("job", len(s.order)))
				if s.m.Check(r) != nil {
					continue
				}
				s.order, s.requests[id] = append(s.order, id), r
				s.do(func(m *Model) []Effect {
					if err := m.Submit(now, id, r); err != nil {
						s.Fatal(err)
					}
					return nil
				})
			}
		}),
		"start": guarded(running, func() {
			e, now := s.takeLive(), s.now
			s.do(func(m *Model) []Effect { m.Started(now, e.Job, e.Index, e.Attempt); return nil })
		}),
		"exit":  guarded(running, func() { s.exit(s.takeLive(), Exit{ExitCode: code()}) }),
		"exit2": guarded(running, func() { s.exit(s.takeLive(), Exit{ExitCode: code(), Reason: "OutOfMemoryError: x"}) }),
		"lose":  guarded(running, func() { s.exit(s.takeLive(), Exit{StatusReason: HostLost("i-9")}) }),
		"terminate": guarded(jobs, func() {
			id, now := s.drawID(), s.now
			s.do(func(m *Model) []Effect { _ = m.Terminate(now, id, "terminated"); return nil })
		}),
		"cancel": guarded(jobs, func() {
			id, now := s.drawID(), s.now
			s.do(func(m *Model) []Effect { _ = m.Cancel(now, id, "cancelled"); return nil })
		}),
		"restart": guarded(func() bool { return rapid.IntRange(0, 9).Draw(s.T, "luck") == 0 }, func() {
			c, now := drawCapacity(s.T), s.now
			s.live, s.stopped = nil, map[engine.JobID]bool{}
			s.do(func(m *Model) []Effect { m.Restart(now, c, "i-2"); return nil })
		}),
		"wake": guarded(always, func() {
			if wake := s.m.Wake(); !wake.IsZero() && wake.After(s.now) {
				s.now = wake
			}
		}),
	}
}

// TestProperties lets random things happen, and checks after each of them what always
// holds; that in the end everything ends; and that the same inputs give the same
// effects and the same states.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Capacity: drawCapacity(t), Instance: "i-1"}
		s := &story{
			T: t, m: New(cfg), now: begin, stopped: map[engine.JobID]bool{},
			requests: map[engine.JobID]*Request{}, final: map[engine.JobID]View{},
		}
		t.Repeat(s.actions())
		s.T = t
		for len(s.live) > 0 {
			e := s.live[0]
			s.exit(e, Exit{ExitCode: new(len(s.effects) % 3)})
			s.tick()
			s.check()
		}
		for _, id := range s.order {
			if v, _ := s.m.Describe(id); !v.Status.Ended() {
				t.Fatalf("%s is %v for ever", id, v.Status)
			}
		}
		s.replay(cfg)
	})
}

func (s *story) replay(cfg Config) {
	m := New(cfg)
	var effects []Effect
	for _, in := range s.inputs {
		effects = append(effects, in(m)...)
	}
	if !reflect.DeepEqual(effects, s.effects) {
		s.Fatal("a replay has other effects")
	}
	for _, id := range s.order {
		a, _ := s.m.Describe(id)
		b, _ := m.Describe(id)
		if !reflect.DeepEqual(a, b) {
			s.Fatalf("a replay has %+v, was %+v", b, a)
		}
		for i := range s.requests[id].ArraySize {
			a, _ := s.m.Describe(id.Child(i))
			b, _ := m.Describe(id.Child(i))
			if !reflect.DeepEqual(a, b) {
				s.Fatalf("a replay has %+v, was %+v", b, a)
			}
		}
	}
}
