package state

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flow/engine"
)

func TestTakeTerm(t *testing.T) {
	on := func(change func(*Owner)) Owner { o := node1; o.PID = 200; o.Start = 6000; change(&o); return o }
	for name, tt := range map[string]struct {
		alive host
		wait  time.Duration
		next  Owner
		text  string // of the refusal; "": it is taken over
	}{
		"alive":              {host{100: 5000}, time.Hour, on(func(*Owner) {}), "process 100 on node1 is the service since"},
		"the same process":   {host{100: 5000}, 0, node1, "process 100"},
		"gone":               {host{}, 0, on(func(*Owner) {}), ""},
		"its pid is another": {host{100: 7777}, 0, on(func(*Owner) {}), ""},
		"other host":         {host{}, 30 * time.Second, on(func(o *Owner) { o.Host = "node2" }), "last heard of 30s ago"},
		"other host, stale":  {host{100: 5000}, 30*time.Second + time.Millisecond, on(func(o *Owner) { o.Host = "node2" }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now, ProcessAlive: tt.alive.alive})
			first := value(db.TakeTerm(t.Context(), ServiceTerm, node1))(t)
			value(db.TakeTerm(t.Context(), BackfillTerm(7), node1))(t) // terms of other names do not care
			c.advance(tt.wait)
			second, err := db.TakeTerm(t.Context(), ServiceTerm, tt.next)
			if tt.text != "" {
				var held *TermHeldError
				if !errors.As(err, &held) || held.Owner != node1 || !held.Since.Equal(epoch) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("%v, want %q", err, tt.text)
				}
				must(t, first.Renew(t.Context()))
				must(t, first.Release(t.Context()))
				second = value(db.TakeTerm(t.Context(), ServiceTerm, tt.next))(t)
			}
			must(t, conflict(first.Renew(t.Context()), "is the service now"))
			must(t, first.Release(t.Context())) // changes nothing
			must(t, second.Renew(t.Context()))
			must(t, second.Release(t.Context()))
			must(t, conflict(second.Renew(t.Context()), "gave the term back"))
			if held := value(db.TermHolder(t.Context(), ServiceTerm))(t); held != nil {
				t.Errorf("holder %v after release", held)
			}
		})
	}
}

// conflict is nil for a conflict that says text.
func conflict(err error, text string) error {
	if errors.Is(err, engine.ErrConflict) && strings.Contains(err.Error(), text) {
		return nil
	}
	return errors.Join(errors.New("want a conflict that says "+text), err)
}

// TestTermFences: what a process that lost the term still wants to write is refused.
func TestTermFences(t *testing.T) {
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: newClock().now, ProcessAlive: host{}.alive})
	s := scheduled(t, db, "daily")
	lost := value(db.TakeTerm(t.Context(), ServiceTerm, node1))(t)
	must(t, db.DecideSlots(t.Context(), lost, s.ID, epoch, []Slot{{Time: epoch, Status: SlotWaiting}}))
	value(db.TakeTerm(t.Context(), ServiceTerm, node1))(t) // node1 is not alive
	for name, call := range map[string]func() error{
		"decide": func() error {
			return db.DecideSlots(t.Context(), lost, s.ID, epoch.Add(time.Hour), []Slot{{Time: epoch, Status: SlotSkipped}})
		},
		"reason": func() error { return db.SlotReason(t.Context(), lost, s.ID, epoch, "x") },
		"start": func() error {
			return db.CreateRun(t.Context(), NewRun{Info: info("run1"), Slot: &SlotClaim{Schedule: s.ID, Time: epoch, Term: lost}})
		},
		"put":     func() error { return db.PutSchedules(t.Context(), lost, s.Path, s.Workflow, nil, nil) },
		"problem": func() error { return db.SetProblem(t.Context(), lost, s.Path, "x") },
		"keep":    func() error { return db.KeepSources(t.Context(), lost, s.Path, nil) },
	} {
		if err := call(); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now := value(db.ScheduleByID(t.Context(), s.ID))(t); !now.Upto.Equal(epoch) || now.Gone || now.Problem != "" {
		t.Errorf("schedule %+v", now)
	}
	if got := slots(t, db, SlotFilter{}); got != "08:00 WAITING" {
		t.Errorf("slots %s", got)
	}
	if _, err := db.Run(t.Context(), "run1"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("run: %v", err)
	}
}

// TestTermRace has eight processes' worth of services want the term, again and again.
func TestTermRace(t *testing.T) {
	path := t.TempDir() + "/flow.db"
	const services, rounds = 8, 10
	alive := func(int, int64) bool { return true }
	var dbs [services]*DB
	for i := range dbs {
		dbs[i] = mustOpen(t, path, Options{ProcessAlive: alive})
	}
	for round := range rounds {
		var winner atomic.Pointer[Term]
		var winners atomic.Int32
		var wg sync.WaitGroup
		for i, db := range dbs {
			wg.Go(func() {
				term, err := db.TakeTerm(t.Context(), ServiceTerm, Owner{Host: "node1", PID: i, Start: 1})
				if err == nil {
					winners.Add(1)
					winner.Store(term)
				} else if _, held := errors.AsType[*TermHeldError](err); !held {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, winners.Load())
		}
		must(t, winner.Load().Release(t.Context()))
	}
}
