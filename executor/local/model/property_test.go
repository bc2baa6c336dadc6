package model

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// An input is one call of a Model, so that it can be made again of another one.
type input func(m *Model) []Effect

// A story is a Batch under random inputs, and what was seen of it.
type story struct {
	*rapid.T
	cfg      Config
	m        *Model
	twin     *Model // was saved and restored at some time, and has had the same inputs since; nil: not yet
	now      time.Time
	inputs   []input
	effects  []Effect
	live     []Effect
	stopped  map[engine.JobID]bool // by Terminate or timeout
	lost     map[engine.JobID]bool
	requests map[engine.JobID]*Request
	order    []engine.JobID
	final    map[engine.JobID]View
	gone     map[engine.JobID]bool // by Forget
}

func (s *story) do(in input) {
	s.inputs = append(s.inputs, in)
	effects := in(s.m)
	if s.twin != nil {
		if diff := cmp.Diff(effects, in(s.twin)); diff != "" {
			s.Fatalf("what was restored has other effects: %s", diff)
		}
	}
	for _, e := range effects {
		s.effects = append(s.effects, e)
		if e.Kind == Start {
			s.live = append(s.live, e)
			s.checkStart(e)
		} else {
			s.checkStop(e)
		}
	}
}

// call makes an input that may be refused, of which nothing is expected.
func (s *story) call(f func(m *Model, now time.Time)) {
	now := s.now
	s.do(func(m *Model) []Effect { f(m, now); return nil })
}

func (s *story) tick() {
	now := s.now
	s.do(func(m *Model) []Effect { return append([]Effect(nil), m.Tick(now)...) })
}

// restore makes the twin, or saves and restores it once more.
func (s *story) restore() {
	from := s.twin
	if from == nil {
		from = s.m
	}
	b, err := json.Marshal(from.Save())
	if err != nil {
		s.Fatal(err)
	}
	var saved Saved
	if err := json.Unmarshal(b, &saved); err != nil {
		s.Fatal(err)
	}
	text := func(b json.RawMessage) (any, error) {
		var text string
		return text, json.Unmarshal(b, &text)
	}
	if s.twin, err = Restore(s.cfg, &saved, Decoders{Payload: text}); err != nil {
		s.Fatal(err)
	}
	again, err := json.Marshal(s.twin.Save())
	if err != nil || string(again) != string(b) {
		s.Fatalf("%v: saved again\n%s\nwas\n%s", err, again, b)
	}
}

func (s *story) drawID() engine.JobID {
	id := rapid.SampledFrom(s.order).Draw(s.T, "job")
	if i := rapid.IntRange(-1, 3).Draw(s.T, "index"); i >= 0 {
		id = id.Child(i)
	}
	return id
}

func (s *story) takeLive() Effect {
	i := rapid.IntRange(0, len(s.live)-1).Draw(s.T, "try")
	return s.live[i]
}

func (s *story) exit(e Effect, x Exit) {
	s.live = slices.DeleteFunc(s.live, func(l Effect) bool { return l.ID() == e.ID() })
	delete(s.stopped, e.ID())
	delete(s.lost, e.ID())
	s.call(func(m *Model, now time.Time) { m.Exited(now, e.Job, e.Index, e.Attempt, x) })
}

func (s *story) submit() {
	r, now := s.drawRequest(), s.now
	id := engine.JobID(fmt.Sprint("job", len(s.order)))
	if s.m.Check(r) != nil {
		return
	}
	s.order, s.requests[id] = append(s.order, id), r
	s.do(func(m *Model) []Effect {
		if err := m.Submit(now, id, r); err != nil {
			s.Fatal(err)
		}
		return nil
	})
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
			if rapid.IntRange(0, 9).Draw(t, "save") == 0 {
				s.restore()
			}
			s.tick()
			s.check()
		}
	}
	always := func() bool { return true }
	jobs := func() bool { return len(s.order) > 0 }
	running := func() bool { return len(s.live) > 0 }
	code := func() *int { return new(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 137}).Draw(s.T, "code")) }
	actions := map[string]func(*rapid.T){
		"submit": guarded(func() bool { return len(s.order) < 12 }, func() {
			for range rapid.IntRange(1, 2).Draw(s.T, "jobs") {
				s.submit()
			}
		}),
		"start": guarded(running, func() {
			e := s.takeLive()
			s.call(func(m *Model, now time.Time) { m.Started(now, e.Job, e.Index, e.Attempt) })
		}),
		"exit": guarded(running, func() { s.exit(s.takeLive(), Exit{ExitCode: code()}) }),
		"exit2": guarded(running, func() {
			s.exit(s.takeLive(), Exit{ExitCode: code(), Reason: "OutOfMemoryError: x", Used: engine.Used{PeakMemory: 8 << 10, AtMost: true, CPUMillis: 8}, Containers: []engine.ContainerResult{{Name: "c"}}})
		}),
		"fail": guarded(running, func() { s.exit(s.takeLive(), Exit{StatusReason: HostLost("i-9")}) }),
		"lose": guarded(running, func() {
			e := s.takeLive()
			s.call(func(m *Model, now time.Time) { m.Lose(now, e.Job, e.Index, e.Attempt) })
		}),
		"terminate": guarded(jobs, func() {
			id := s.drawID()
			s.call(func(m *Model, now time.Time) { _ = m.Terminate(now, id, "terminated") })
		}),
		"cancel": guarded(jobs, func() {
			id := s.drawID()
			s.call(func(m *Model, now time.Time) { _ = m.Cancel(now, id, "cancelled") })
		}),
		"forget": guarded(func() bool { return jobs() && rapid.IntRange(0, 3).Draw(s.T, "luck") == 0 }, func() {
			id := rapid.SampledFrom(s.order).Draw(s.T, "job")
			s.gone[id] = true
			s.call(func(m *Model, now time.Time) { m.Forget(now, id) })
		}),
		"block": guarded(jobs, func() {
			q := s.requests[rapid.SampledFrom(s.order).Draw(s.T, "job")].Queue
			reason := rapid.SampledFrom([]string{"", "", capacityReason, "UNDETERMINED"}).Draw(s.T, "reason")
			s.call(func(m *Model, now time.Time) { _ = m.Block(now, q, reason) })
		}),
		"restart": guarded(func() bool { return rapid.IntRange(0, 9).Draw(s.T, "luck") == 0 }, func() {
			c := drawCapacity(s.T)
			s.live, s.stopped, s.lost = nil, map[engine.JobID]bool{}, map[engine.JobID]bool{}
			s.call(func(m *Model, now time.Time) { m.Restart(now, c, "i-2") })
		}),
		"wake": guarded(always, func() {
			if wake := s.m.Wake(); !wake.IsZero() && wake.After(s.now) {
				s.now = wake
			}
		}),
	}
	for name, f := range s.declaredActions() {
		actions[name] = guarded(func() bool { return s.cfg.Declared }, f)
	}
	return actions
}

// TestProperties lets random things happen, and checks after each of them what always
// holds; that in the end everything ends; that the same inputs give the same effects and
// the same states; and that a model that was saved and restored goes on like the one it
// was saved from.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		s := &story{
			T: t, cfg: cfg, m: New(cfg), now: begin, stopped: map[engine.JobID]bool{}, lost: map[engine.JobID]bool{},
			requests: map[engine.JobID]*Request{}, final: map[engine.JobID]View{}, gone: map[engine.JobID]bool{},
		}
		s.declare()
		t.Repeat(s.actions())
		s.T = t
		s.open()
		for n := 0; s.unended(); n++ {
			if len(s.live) > 0 {
				s.exit(s.live[0], Exit{ExitCode: new(len(s.effects) % 3)})
			} else if s.now = s.now.Add(time.Second); n > 10_000 {
				t.Fatal("some jobs never end")
			}
			s.tick()
			s.check()
		}
		if s.m.used != (amount{}) {
			t.Fatalf("%+v is taken in the end", s.m.used)
		}
		s.replay()
	})
}

// unended reports whether jobs have not ended.
func (s *story) unended() bool {
	return len(s.live) > 0 || slices.ContainsFunc(s.order, func(id engine.JobID) bool {
		v, ok := s.m.Describe(id)
		return ok && !v.Status.Ended()
	})
}

func (s *story) replay() {
	m := New(s.cfg)
	var effects []Effect
	for _, in := range s.inputs {
		effects = append(effects, in(m)...)
	}
	if !reflect.DeepEqual(effects, s.effects) {
		s.Fatal("a replay has other effects")
	}
	s.same(m, "a replay")
}

// same checks that another model shows what this one does.
func (s *story) same(m *Model, what string) {
	if a, b := s.outline(s.m), s.outline(m); !reflect.DeepEqual(a, b) {
		s.Fatalf("%s shows otherwise: %s", what, cmp.Diff(a, b))
	}
}

// outline is all that can be seen of a model.
func (s *story) outline(m *Model) []any {
	out := []any{m.Wake(), m.Active()}
	for _, id := range s.order {
		v, ok := m.Describe(id)
		out = append(out, v, ok)
		for i := range s.requests[id].ArraySize {
			v, _ := m.Describe(id.Child(i))
			out = append(out, v)
		}
	}
	for e, life := range m.Environments() {
		out = append(out, e, life)
	}
	for q, life := range m.JobQueues() {
		vcpus, shares := m.Use(q.Name)
		out = append(out, q, life, m.Waiting(q.Name, 1000), vcpus, shares)
	}
	for c := range m.Consumables() {
		out = append(out, c)
	}
	return append(out, slices.Collect(m.Policies()), slices.Collect(m.Live()))
}
