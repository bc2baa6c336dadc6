package state

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func TestBackfill(t *testing.T) {
	c := newClock()
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now})
	s := scheduled(t, db, "daily")
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(5), []Slot{
		{Time: hour(0), Status: SlotWaiting}, {Time: hour(1), Status: SlotWaiting},
		{Time: hour(2), Status: SlotMissed, Reason: "nobody", Late: true}, {Time: hour(3), Status: SlotSkipped, Reason: "busy"},
	}))
	must(t, starts(t, db, s.ID, hour(0), "run0"))
	times := []time.Time{hour(0), hour(1), hour(2), hour(3), hour(4), hour(5)}
	b, added, err := db.AddBackfill(t.Context(), Backfill{Schedule: s.ID, From: hour(0), To: hour(6)}, times)
	must(t, err)
	want := Backfill{ID: b.ID, Schedule: s.ID, From: hour(0), To: hour(6), MaxParallel: 1, Made: epoch, Slots: BackfillCounts{Waiting: 4}}
	if diff := cmp.Diff(want, b); diff != "" || added != 4 {
		t.Errorf("added %d: %s", added, diff)
	}
	look := func(slotsWant, recordWant string) {
		t.Helper()
		if got := slots(t, db, SlotFilter{Backfill: b.ID}); got != slotsWant {
			t.Errorf("slots:\n got %s\nwant %s", got, slotsWant)
		}
		w, a, err := db.BackfillRecord(t.Context(), b.ID)
		if got := record(t, w, a, err); got != recordWant {
			t.Errorf("record:\n got %s\nwant %s", got, recordWant)
		}
	}
	look("10:00 WAITING backfill, 11:00 WAITING backfill, 12:00 WAITING backfill, 13:00 WAITING backfill", "10:00, 11:00, 12:00, 13:00")
	w, a, err := db.Record(t.Context(), s.ID) // of the schedule itself nothing of it
	if got := record(t, w, a, err); got != "09:00, run0 of 08:00" {
		t.Errorf("record %s", got)
	}
	for i, run := range []engine.RunID{"run2", "run3", "run4"} {
		must(t, starts(t, db, s.ID, hour(2+i), run))
	}
	must(t, db.Append(t.Context(), "run2", 1, ends(engine.Succeeded, "")))
	must(t, db.Append(t.Context(), "run3", 1, ends(engine.Failed, "")))
	look("10:00 STARTED backfill run2 SUCCEEDED, 11:00 STARTED backfill run3 FAILED, 12:00 STARTED backfill run4 PENDING, 13:00 WAITING backfill", "13:00, run4 of 12:00")

	// The same one again goes on, with another number of runs at a time.
	c.advance(time.Minute)
	again, added, err := db.AddBackfill(t.Context(), Backfill{Schedule: s.ID, From: hour(0), To: hour(6), MaxParallel: 3}, times)
	must(t, err)
	want.MaxParallel, want.Slots = 3, BackfillCounts{Waiting: 1, Active: 1, Succeeded: 1, Failed: 1}
	if diff := cmp.Diff(want, again); diff != "" || added != 0 || again.Slots.Total() != 4 || !again.Open() {
		t.Errorf("again, added %d: %s", added, diff)
	}
	if _, added, err := db.AddBackfill(t.Context(), Backfill{Schedule: s.ID, From: hour(4), To: hour(8)}, []time.Time{hour(4), hour(5), hour(6)}); err != nil || added != 1 {
		t.Errorf("another one, added %d, %v", added, err)
	}
	if got := value(db.Backfills(t.Context(), true))(t); len(got) != 2 || got[0].ID == b.ID {
		t.Errorf("open: %+v", got)
	}

	if got := slots(t, db, SlotFilter{Backfill: b.ID, Status: []SlotStatus{SlotWaiting}}); got != "13:00 WAITING backfill" {
		t.Errorf("waiting: %s", got)
	}
	must(t, db.CancelBackfill(t.Context(), b.ID))
	look("10:00 STARTED backfill run2 SUCCEEDED, 11:00 STARTED backfill run3 FAILED, 12:00 STARTED backfill run4 PENDING, 13:00 SKIPPED backfill: the backfill was cancelled", "run4 of 12:00")
	must(t, db.Append(t.Context(), "run4", 1, ends(engine.Cancelled, "user")))
	must(t, db.DeleteRun(t.Context(), "run2"))
	want.Cancelled, want.Slots = c.now(), BackfillCounts{Failed: 1, Cancelled: 1, Removed: 1, Skipped: 1}
	if diff := cmp.Diff(want, value(db.Backfill(t.Context(), b.ID))(t)); diff != "" {
		t.Error(diff)
	}
	if got := value(db.Backfills(t.Context(), true))(t); len(got) != 1 || got[0].ID == b.ID {
		t.Errorf("open: %+v", got)
	}
	if got := value(db.Backfills(t.Context(), false))(t); len(got) != 2 || got[1].ID != b.ID {
		t.Errorf("all: %+v", got)
	}
	if again, added, err := db.AddBackfill(t.Context(), Backfill{Schedule: s.ID, From: hour(0), To: hour(6)}, times); err != nil || added != 1 || !again.Cancelled.IsZero() {
		t.Errorf("after all, added %d: %+v, %v", added, again, err)
	}

	_, _, err = db.AddBackfill(t.Context(), Backfill{Schedule: 99, From: epoch, To: epoch}, nil)
	_, none := db.Backfill(t.Context(), 99)
	for _, err := range []error{err, none, db.CancelBackfill(t.Context(), 99)} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Error(err)
		}
	}
}
