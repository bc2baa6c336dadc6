package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func TestPools(t *testing.T) {
	c, alive := newClock(), host{1: 1, 2: 1}
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now, ProcessAlive: alive.alive})
	one, two := Self(""), Self("")
	one.PID, one.Start, two.PID, two.Start = 1, 1, 2, 1
	far := Owner{Host: "node2", PID: 3, Start: 1}
	leases := map[engine.RunID]*Lease{}
	lease := func(run engine.RunID, o Owner) { leases[run] = value(db.Acquire(t.Context(), run, o))(t) }
	for run, o := range map[engine.RunID]Owner{"a": one, "b": two, "c": far} {
		mustCreate(t, db, run)
		lease(run, o)
	}
	take := func(run engine.RunID, o Owner, n int, want bool) {
		t.Helper()
		if ok := value(db.TakePool(t.Context(), run, "db", 4, n, o))(t); ok != want {
			t.Errorf("run %s takes %d: %v", run, n, ok)
		}
	}
	use := func(want string) {
		t.Helper()
		var got []string
		for _, u := range value(db.PoolUse(t.Context()))(t) {
			text := fmt.Sprintf("%s %d of %d:", u.Pool, u.Used, u.Slots)
			for _, r := range u.Runs {
				text += fmt.Sprintf(" %s %d", r.Run, r.N)
			}
			got = append(got, text)
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("in use:\n got %s\nwant %s", s, want)
		}
	}
	inUse := func(want ...string) { t.Helper(); use(strings.Join(want, "; ")) }
	inUse()
	take("a", one, 2, true)
	take("b", two, 3, false)
	take("b", two, 1, true)
	take("c", far, 1, true)
	take("a", one, 1, false)
	if ok := value(db.TakePool(t.Context(), "a", "other", 1, 1, one))(t); !ok {
		t.Error("of another pool")
	}
	use(sorted(t, db, "db 4 of 4:", "a 2", "b 1", "c 1") + "; other 1 of 1: a 1")
	must(t, db.GivePool(t.Context(), "a", "other", 1))
	must(t, db.GivePool(t.Context(), "a", "other", 1)) // it has none
	must(t, db.GivePool(t.Context(), "a", "db", 1))
	take("b", two, 1, false) // a has waited longer
	must(t, db.LeavePools(t.Context(), "a", "db"))
	take("b", two, 1, true)
	use(sorted(t, db, "db 4 of 4:", "a 1", "b 2", "c 1"))

	delete(alive, 2) // killed
	take("a", one, 2, true)
	use(sorted(t, db, "db 4 of 4:", "a 3", "c 1"))
	alive[4] = 1
	two.PID = 4
	lease("b", two) // the next driver of the run has none
	take("b", two, 1, false)
	c.advance(MissedBeats*LeaseBeat + time.Second) // the other host is silent
	take("b", two, 1, true)
	use(sorted(t, db, "db 4 of 4:", "a 3", "b 1"))
	must(t, leases["a"].Release(t.Context()))
	inUse("db 1 of 4: b 1")
	must(t, db.DeleteRun(t.Context(), "a"))

	for name, err := range map[string]error{
		"of no lease":      second(db.TakePool(t.Context(), "c", "db", 4, 1, one)),
		"of a lease taken": second(db.TakePool(t.Context(), "b", "db", 4, 1, one)),
	} {
		if !errors.Is(err, engine.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"more than there are": second(db.TakePool(t.Context(), "b", "db", 4, 5, two)),
		"none":                second(db.TakePool(t.Context(), "b", "db", 4, 0, two)),
		"of no run":           second(db.TakePool(t.Context(), "x", "db", 4, 1, two)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second(_ bool, err error) error { return err }

// sorted is head and what runs have, in the order of the runs' numbers.
func sorted(t *testing.T, db *DB, head string, holds ...string) string {
	runs := value(db.Runs(t.Context(), RunFilter{}))(t)
	for i := len(runs) - 1; i >= 0; i-- {
		for _, h := range holds {
			if strings.HasPrefix(h, string(runs[i].ID)+" ") {
				head += " " + h
			}
		}
	}
	return head
}

// TestPoolRace has eight processes' worth of runs want the slots of a pool: never more than
// there are have them, and none is lost.
func TestPoolRace(t *testing.T) {
	path := t.TempDir() + "/flow.db"
	const runs, slots, rounds = 8, 3, 6
	alive := func(int, int64) bool { return true }
	setUp := mustOpen(t, path, Options{})
	var mu sync.Mutex
	held, most := 0, 0
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		held += n
		most = max(most, held)
	}
	var wg sync.WaitGroup
	for i := range runs {
		run := engine.RunID(fmt.Sprint("run", i))
		mustCreate(t, setUp, run)
		db := mustOpen(t, path, Options{ProcessAlive: alive})
		o := Owner{Host: "node1", PID: i + 1, Start: 1}
		value(db.Acquire(t.Context(), run, o))(t)
		wg.Go(func() {
			for range rounds {
				for {
					ok, err := db.TakePool(t.Context(), run, "db", slots, 1, o)
					if err != nil {
						t.Error(err)
						return
					}
					if ok {
						break
					}
				}
				count(1)
				count(-1)
				if err := db.GivePool(t.Context(), run, "db", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most > slots {
		t.Errorf("%d at once, and there are %d", most, slots)
	}
	if use := value(setUp.PoolUse(t.Context()))(t); len(use) != 0 {
		t.Errorf("left: %+v", use)
	}
}

// TestPoolsInTurn: the run that has waited longest is next, and holds back those that want
// less, until it leaves.
func TestPoolsInTurn(t *testing.T) {
	c := newClock()
	db := mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{Now: c.now})
	me := Self("")
	take := func(run engine.RunID, needs ...PoolNeed) bool {
		t.Helper()
		c.advance(time.Second)
		return value(db.TakePools(t.Context(), run, me, needs...))(t)
	}
	for _, run := range []engine.RunID{"a", "b", "c"} {
		mustCreate(t, db, run, "s")
		value(db.Acquire(t.Context(), run, me))(t)
	}
	pool := func(n int) PoolNeed { return PoolNeed{"db", 2, n} }
	api := PoolNeed{"api", 1, 1}
	for _, step := range []struct {
		run   engine.RunID
		needs []PoolNeed
		want  bool
	}{
		{"a", []PoolNeed{pool(1)}, true},
		{"b", []PoolNeed{pool(2), api}, false}, // needs all there is
		{"c", []PoolNeed{pool(1)}, false},      // though one is free
		{"a", []PoolNeed{pool(1)}, false},
		{"c", []PoolNeed{api}, false}, // which nobody has
	} {
		if got := take(step.run, step.needs...); got != step.want {
			t.Fatalf("%s takes %v: %v", step.run, step.needs, got)
		}
	}
	use := value(db.PoolUse(t.Context()))(t)
	want := []PoolUse{
		{Pool: "api", Slots: 1, Waiting: []PoolHold{{"b", 1}, {"c", 1}}},
		{Pool: "db", Slots: 2, Used: 1, Runs: []PoolHold{{"a", 1}}, Waiting: []PoolHold{{"b", 2}, {"c", 1}, {"a", 1}}},
	}
	if diff := cmp.Diff(want, use); diff != "" {
		t.Errorf("use (-want +got):\n%s", diff)
	}
	version := value(db.Version(t.Context()))(t)
	if take("c", pool(1)) || value(db.Version(t.Context()))(t) != version {
		t.Error("being refused again writes something")
	}
	must(t, db.GivePool(t.Context(), "a", "db", 1))
	if take("a", pool(1)) || take("c", pool(1)) {
		t.Error("another goes before b")
	}
	if !take("b", pool(2), api) {
		t.Error("b has waited longest, and all is free")
	}
	must(t, db.GivePool(t.Context(), "b", "db", 2))
	must(t, db.LeavePools(t.Context(), "c", "db"))
	if !take("a", pool(1)) {
		t.Error("c waits no more, but a is held back")
	}
}
