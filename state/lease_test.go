package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flow/engine"
)

var node1 = Owner{Host: "node1", Boot: "boot1", PID: 100, Start: 5000, Version: "0.1"}

// host fakes the processes of one host: pid to start time.
type host map[int]int64

func (h host) alive(pid int, start int64) bool { return h[pid] == start }

func TestAcquire(t *testing.T) {
	on := func(change func(*Owner)) Owner { o := node1; o.PID = 200; o.Start = 6000; change(&o); return o }
	tests := map[string]struct {
		alive host
		wait  time.Duration
		next  Owner
		held  bool
		text  string
	}{
		"alive":               {host{100: 5000}, 0, on(func(*Owner) {}), true, "is being driven by process 100 on node1 since"},
		"alive, no beats":     {host{100: 5000}, time.Hour, on(func(*Owner) {}), true, "wait until it is done, or stop it first"},
		"the same process":    {host{100: 5000}, 0, node1, true, "process 100"},
		"gone":                {host{}, 0, on(func(*Owner) {}), false, ""},
		"its pid is another":  {host{100: 7777}, 0, on(func(*Owner) {}), false, ""},
		"other host":          {host{}, 30 * time.Second, on(func(o *Owner) { o.Host = "node2" }), true, "last heard of 30s ago; if it is gone for good, wait 0s"},
		"other host, stale":   {host{100: 5000}, 30*time.Second + time.Millisecond, on(func(o *Owner) { o.Host = "node2" }), false, ""},
		"started anew":        {host{}, 0, on(func(o *Owner) { o.Boot = "boot2" }), true, "take the run over by force"},
		"started anew, stale": {host{100: 5000}, time.Minute, on(func(o *Owner) { o.Boot = "boot2" }), false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now, ProcessAlive: tt.alive.alive})
			mustCreate(t, db, "run1", "align")
			first := value(db.Acquire(t.Context(), "run1", node1))(t)
			c.advance(tt.wait)
			second, err := db.Acquire(t.Context(), "run1", tt.next)
			var held *HeldError
			if errors.As(err, &held) != tt.held || (err != nil) != tt.held {
				t.Fatalf("acquire: %v, want held %v", err, tt.held)
			}
			if tt.held {
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("message %q, want %q in it", err, tt.text)
				}
				if held.Owner != node1 || !held.Since.Equal(epoch) || held.Run != "run1" {
					t.Errorf("held %+v", held)
				}
				must(t, first.Renew(t.Context()))
				second = value(db.TakeOver(t.Context(), "run1", tt.next))(t)
			}
			if second.Epoch() != 2 || second.Run() != "run1" {
				t.Errorf("epoch %d, want 2", second.Epoch())
			}
			resumed := engine.Event{At: epoch, Kind: engine.RunResumed}
			if err := first.Append(t.Context(), "run1", 1, resumed); !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), "has taken run run1 over") {
				t.Errorf("append by the loser: %v", err)
			}
			if err := first.Renew(t.Context()); !errors.Is(err, engine.ErrConflict) {
				t.Errorf("renew by the loser: %v", err)
			}
			must(t, first.Release(t.Context())) // changes nothing
			must(t, second.Append(t.Context(), "run1", 1, resumed))
			if got := len(collect(t, second, "run1", 0)); got != 2 {
				t.Errorf("%d events, want 2", got)
			}
			if err := second.Append(t.Context(), "run2", 1, resumed); err == nil {
				t.Error("append to a run that is not leased")
			}
		})
	}
}

// TestLeaseBeats: an owner on another host that appends or renews is not taken for dead.
func TestLeaseBeats(t *testing.T) {
	c := newClock()
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now, ProcessAlive: host{}.alive})
	mustCreate(t, db, "run1", "align")
	l := value(db.Acquire(t.Context(), "run1", node1))(t)
	other := Owner{Host: "node2", Boot: "b", PID: 1}
	for i, beat := range []func() error{
		func() error { return l.Renew(t.Context()) },
		func() error {
			return l.Append(t.Context(), "run1", 1, engine.Event{At: epoch, Kind: engine.RunResumed})
		},
		func() error { return l.Append(t.Context(), "run1", 2) },
	} {
		c.advance(MissedBeats * LeaseBeat)
		must(t, beat())
		c.advance(MissedBeats * LeaseBeat)
		var held *HeldError
		if _, err := db.Acquire(t.Context(), "run1", other); !errors.As(err, &held) {
			t.Errorf("beat %d: %v", i, err)
		}
		if held := value(db.Holder(t.Context(), "run1"))(t); held == nil || held.Owner != node1 {
			t.Errorf("holder %+v", held)
		}
	}
	c.advance(time.Second)
	if held := value(db.Holder(t.Context(), "run1"))(t); held != nil {
		t.Errorf("holder %+v after its beats were missed", held)
	}
}

func TestRelease(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align")
	for epoch := int64(1); epoch < 4; epoch++ {
		l := value(db.Acquire(t.Context(), "run1", Self("0.1")))(t)
		if l.Epoch() != epoch {
			t.Errorf("epoch %d, want %d", l.Epoch(), epoch)
		}
		if held := value(db.Holder(t.Context(), "run1"))(t); held == nil || held.Owner != Self("0.1") || !held.Here {
			t.Errorf("holder %+v", held)
		}
		must(t, l.Release(t.Context()))
		if held := value(db.Holder(t.Context(), "run1"))(t); held != nil {
			t.Errorf("holder %+v after release", held)
		}
		if err := l.Renew(t.Context()); !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), "given back") {
			t.Errorf("renew after release: %v", err)
		}
	}
	if _, err := db.Acquire(t.Context(), "run2", Self("")); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("acquire: %v", err)
	}
	if _, err := db.Holder(t.Context(), "run2"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("holder: %v", err)
	}
}

// TestAcquireRace has eight processes' worth of drivers want one run, again and again.
func TestAcquireRace(t *testing.T) {
	path := t.TempDir() + "/flow.db"
	const drivers, rounds = 8, 20
	var mu sync.Mutex
	alive := func(pid int, _ int64) bool { return pid < drivers } // all of them
	mustCreate(t, mustOpen(t, path, Options{}), "run1", "align")
	var dbs [drivers]*DB
	for i := range dbs {
		dbs[i] = mustOpen(t, path, Options{ProcessAlive: alive})
	}
	for round := range rounds {
		var winners atomic.Int32
		var lease *Lease
		var wg sync.WaitGroup
		for i, db := range dbs {
			wg.Go(func() {
				l, err := db.Acquire(t.Context(), "run1", Owner{Host: "node1", PID: i, Start: 1})
				var held *HeldError
				switch {
				case err == nil:
					winners.Add(1)
					mu.Lock()
					lease = l
					mu.Unlock()
				case !errors.As(err, &held):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, winners.Load())
		}
		must(t, lease.Release(t.Context()))
	}
}

func TestSelf(t *testing.T) {
	me := Self("1")
	if me.PID != os.Getpid() || me.Host == "" || me != Self("1") {
		t.Errorf("me %+v", me)
	}
	if !processAlive(me.PID, me.Start) {
		t.Error("this process is not alive")
	}
	if me.Start != 0 && processAlive(me.PID, me.Start+1) {
		t.Error("a process that was started at another time is alive")
	}
	cmd := exec.Command("sleep", "60")
	must(t, cmd.Start())
	start := startOf(cmd.Process.Pid)
	if !processAlive(cmd.Process.Pid, start) {
		t.Error("a child is not alive")
	}
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("sleep was not killed")
	}
	if processAlive(cmd.Process.Pid, start) {
		t.Error("a dead child is alive")
	}
}

func TestRequests(t *testing.T) {
	db := newDB(t)
	cli := mustOpen(t, db.Path(), Options{Now: newClock().now})
	mustCreate(t, db, "run1", "align")
	mustCreate(t, db, "run2", "align")
	last, changed, err := db.Changed(t.Context(), 0)
	if err != nil || !changed {
		t.Errorf("first: changed %v, %v", changed, err)
	}
	look := func(want bool, reasons ...string) {
		t.Helper()
		var changed bool
		if last, changed, err = db.Changed(t.Context(), last); err != nil || changed != want {
			t.Errorf("changed %v, want %v (%v)", changed, want, err)
		}
		var got []string
		for _, r := range value(db.Requests(t.Context(), "run1", 0))(t) {
			if r.Kind != RequestCancel || !r.At.Equal(epoch) {
				t.Errorf("request %+v", r)
			}
			got = append(got, r.Reason)
		}
		if fmt.Sprint(got) != fmt.Sprint(reasons) {
			t.Errorf("pending %v, want %v", got, reasons)
		}
	}
	look(false)
	// One of the process itself, such as of a service that drives the run.
	if _, err := db.AddRequest(t.Context(), "run2", RequestCancel, "replaced"); err != nil {
		t.Fatal(err)
	}
	look(true)
	look(false)
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 1, ""))) // our own
	look(false)
	value(cli.AddRequest(t.Context(), "run1", RequestCancel, "one"))(t)
	value(cli.AddRequest(t.Context(), "run2", RequestCancel, "not ours"))(t)
	look(true, "one")
	look(false, "one") // pending until it is answered
	if r := value(cli.AddRequest(t.Context(), "run1", RequestCancel, "two"))(t); r.Seq != 2 {
		t.Errorf("request %+v, want number 2", r)
	}
	if got := value(db.Requests(t.Context(), "run1", 1))(t); len(got) != 1 || got[0].Reason != "two" {
		t.Errorf("after 1: %v", got)
	}
	look(true, "one", "two")
	must(t, db.Append(t.Context(), "run1", 2, engine.Event{At: epoch, Kind: engine.CancelRequested, Reason: "one", Cause: "user"}))
	look(false)
	value(cli.AddRequest(t.Context(), "run1", RequestCancel, "three"))(t)
	look(true, "three")
	must(t, db.DropRequests(t.Context(), "run1"))
	look(false)
	value(cli.AddRequest(t.Context(), "run1", RequestCancel, "four"))(t)
	must(t, db.Append(t.Context(), "run1", 3, engine.Event{At: epoch, Kind: engine.RunEnded, Status: engine.Succeeded}))
	look(true)
	if _, err := db.AddRequest(t.Context(), "run3", RequestCancel, ""); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("add: %v", err)
	}
}
