package state

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// TestEntrusted: of a run that the service is to drive it hears until it ends, unless somebody
// who is alive drives it.
func TestEntrusted(t *testing.T) {
	c, alive := newClock(), host{}
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now, ProcessAlive: alive.alive})
	look := func(want ...string) {
		t.Helper()
		var got []string
		for _, e := range value(db.Entrusted(t.Context()))(t) {
			text := string(e.Row.ID) + " " + e.Since.Format("15:04")
			if !e.Row.Entrusted || e.Row.Workflow != "genome" {
				t.Errorf("row %+v", e.Row)
			}
			if e.Trouble != "" {
				text += ": " + e.Trouble
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	mustCreate(t, db, "by-hand")
	mustCreate(t, db, "later")
	must(t, db.CreateRun(t.Context(), NewRun{Info: info("first"), Entrust: true}))
	c.advance(time.Minute)
	must(t, db.Entrust(t.Context(), "later"))
	look("first 08:00", "later 08:01")
	must(t, db.EntrustTrouble(t.Context(), "first", "no password"))
	must(t, db.EntrustTrouble(t.Context(), "by-hand", "nobody asks"))
	look("first 08:00: no password", "later 08:01")

	owner := Self("")
	alive[owner.PID] = owner.Start
	l := value(db.Acquire(t.Context(), "first", owner))(t)
	look("later 08:01")
	delete(alive, owner.PID) // killed
	look("first 08:00: no password", "later 08:01")
	far := value(db.TakeOver(t.Context(), "later", Owner{Host: "elsewhere"}))(t)
	look("first 08:00: no password")
	c.advance(MissedBeats*LeaseBeat + time.Second)
	look("first 08:00: no password", "later 08:01")
	must(t, far.Release(t.Context()))
	must(t, db.EntrustTrouble(t.Context(), "first", ""))
	look("first 08:00", "later 08:01")

	must(t, l.Append(t.Context(), "first", 1, ends(engine.Failed, "")))
	look("later 08:01")
	must(t, db.Append(t.Context(), "first", 2, engine.Event{At: epoch, Kind: engine.RunReopened})) // by a person, in a terminal
	look("later 08:01")
	must(t, db.Entrust(t.Context(), "first"))
	must(t, db.Rebuild(t.Context(), "first")) // its end before does not count
	look("later 08:01", "first 08:01")
	must(t, db.DeleteRun(t.Context(), "later"))
	look("first 08:01")
	if err := db.Entrust(t.Context(), "later"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

// TestEntrustedWish: whoever is to drive a run sees that it is to be cancelled, until a driver has taken that up.
func TestEntrustedWish(t *testing.T) {
	db := newDB(t)
	must(t, db.CreateRun(t.Context(), NewRun{Info: info("run1"), Entrust: true}))
	for i, want := range []bool{false, true, false} {
		switch i {
		case 1:
			value(db.AddRequest(t.Context(), "run1", RequestCancel, "no more"))(t)
		case 2:
			must(t, db.Append(t.Context(), "run1", 1, engine.Event{At: hour(1), Kind: engine.CancelRequested}))
		}
		if all := value(db.Entrusted(t.Context()))(t); len(all) != 1 || all[0].Wished != want {
			t.Errorf("%d: entrusted %+v", i, all)
		}
	}
}
