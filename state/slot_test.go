package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// slots says of slots what they are, the earliest first.
func slots(t testing.TB, db *DB, f SlotFilter) string {
	t.Helper()
	var out []string
	for _, s := range slices.Backward(value(db.Slots(t.Context(), f))(t)) {
		text := s.Time.Format("15:04") + " " + string(s.Status)
		if s.Kind != SlotCron {
			text += " " + string(s.Kind)
		}
		if s.Run != "" {
			text += " " + string(s.Run) + " " + s.RunStatus.String()
		}
		if s.Removed {
			text += " removed"
		}
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// record says what is waiting and active.
func record(t testing.TB, waiting []Slot, active []ActiveRun, err error) string {
	t.Helper()
	must(t, err)
	var out []string
	for _, s := range waiting {
		out = append(out, s.Time.Format("15:04"))
	}
	for _, a := range active {
		text := string(a.Run) + " of " + a.Slot.Format("15:04")
		if a.Cancelling {
			text += " is being cancelled"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func hour(n int) time.Time { return epoch.Add(time.Duration(n) * time.Hour) }

func starts(t testing.TB, db *DB, schedule int64, at time.Time, run engine.RunID) error {
	t.Helper()
	i := info(run)
	i.Workflow = "nightly"
	i.Slot = &engine.Slot{Schedule: "daily", Time: at, TimeZone: "UTC"}
	return db.CreateRun(t.Context(), NewRun{Info: i, Slot: &SlotClaim{Schedule: schedule, Time: at}, Sources: []Source{{"a.hcl", []byte(run)}}, Notices: []*engine.Notice{oncall}, Entrust: true})
}

// TestSlotLife takes slots from when they are due to the end of their runs.
func TestSlotLife(t *testing.T) {
	db := newDB(t)
	s := scheduled(t, db, "daily")
	other := value(db.Schedule(t.Context(), "daily"))(t)
	look := func(slotsWant, recordWant string) {
		t.Helper()
		if got := slots(t, db, SlotFilter{}); got != slotsWant {
			t.Errorf("slots:\n got %s\nwant %s", got, slotsWant)
		}
		w, a, err := db.Record(t.Context(), s.ID)
		if got := record(t, w, a, err); got != recordWant {
			t.Errorf("record:\n got %s\nwant %s", got, recordWant)
		}
	}
	look("", "")
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(3), []Slot{
		{Time: hour(3), Status: SlotWaiting, Due: hour(3).Add(time.Minute)},
		{Time: hour(1), Status: SlotMissed, Late: true, Reason: "nobody was there to start it"},
		{Time: hour(2), Status: SlotWaiting, Late: true},
	}))
	look("09:00 MISSED: nobody was there to start it, 10:00 WAITING, 11:00 WAITING", "10:00, 11:00")
	if got := value(db.ScheduleByID(t.Context(), other.ID))(t).Upto; !got.Equal(hour(3)) {
		t.Errorf("upto %s", got)
	}
	must(t, db.SlotReason(t.Context(), nil, s.ID, hour(2), "file broken"))
	must(t, db.SlotReason(t.Context(), nil, s.ID, hour(1), "file broken")) // it waits no more
	must(t, starts(t, db, s.ID, hour(2), "run2"))
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 PENDING, 11:00 WAITING", "11:00, run2 of 10:00")

	// Decided once more, by one that knows less.
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(2), []Slot{
		{Time: hour(1), Status: SlotWaiting}, {Time: hour(2), Status: SlotMissed, Reason: "no"}, {Time: hour(3), Status: SlotSkipped, Reason: "run run2 was not over"},
	}))
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 PENDING, 11:00 SKIPPED: run run2 was not over", "run2 of 10:00")
	if got := value(db.ScheduleByID(t.Context(), s.ID))(t).Upto; !got.Equal(hour(3)) {
		t.Errorf("upto went back to %s", got)
	}
	value(db.AddRequest(t.Context(), "run2", RequestCancel, "replaced"))(t)
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 PENDING, 11:00 SKIPPED: run run2 was not over", "run2 of 10:00 is being cancelled")
	must(t, db.Append(t.Context(), "run2", 1, engine.Event{At: epoch, Kind: engine.CancelRequested}))
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 PENDING, 11:00 SKIPPED: run run2 was not over", "run2 of 10:00 is being cancelled")
	must(t, db.Append(t.Context(), "run2", 2, ends(engine.Cancelled, "user")))
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 CANCELLED, 11:00 SKIPPED: run run2 was not over", "")
	must(t, db.Append(t.Context(), "run2", 3, engine.Event{At: epoch, Kind: engine.RunReopened})) // somebody resumes it
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 RUNNING, 11:00 SKIPPED: run run2 was not over", "run2 of 10:00")
	must(t, db.Rebuild(t.Context(), "run2"))
	must(t, db.Append(t.Context(), "run2", 4, ends(engine.Succeeded, "")))
	must(t, db.DeleteRun(t.Context(), "run2"))
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 PENDING removed, 11:00 SKIPPED: run run2 was not over", "")
	must(t, conflict(starts(t, db, s.ID, hour(2), "run3"), "run run2 was started for 2026-11-23T10:00:00Z already"))
	must(t, conflict(db.AddSlot(t.Context(), Slot{Schedule: s.ID, Time: hour(2)}), "run run2 was started"))

	must(t, db.AddSlot(t.Context(), Slot{Schedule: s.ID, Time: hour(3), Reason: "by hand", Params: json.RawMessage(`{"a":1}`)}))
	must(t, db.AddSlot(t.Context(), Slot{Schedule: s.ID, Time: hour(4)}))
	look("09:00 MISSED: nobody was there to start it, 10:00 STARTED run2 PENDING removed, 11:00 WAITING manual: by hand, 12:00 WAITING manual", "11:00, 12:00")
	want := []Slot{{Schedule: s.ID, Time: hour(3), Due: hour(3), Kind: SlotManual, Status: SlotWaiting, Reason: "by hand", Params: json.RawMessage(`{"a":1}`), Decided: epoch}}
	if diff := cmp.Diff(want, value(db.Slots(t.Context(), SlotFilter{Schedule: s.ID, Status: []SlotStatus{SlotWaiting, SlotMissed}, Before: hour(4), Limit: 1}))(t)); diff != "" {
		t.Error(diff)
	}
	for want, f := range map[string]SlotFilter{
		"11:00 WAITING manual: by hand, 12:00 WAITING manual": {Status: []SlotStatus{SlotWaiting}},
		"12:00 WAITING manual":                                {Status: []SlotStatus{SlotWaiting}, Limit: 1},
		"09:00 MISSED: nobody was there to start it":          {Schedule: s.ID, Status: []SlotStatus{SlotMissed}},
		"": {Schedule: s.ID, Status: []SlotStatus{SlotWaiting}, Run: "run2"},
	} {
		if got := slots(t, db, f); got != want {
			t.Errorf("%+v:\n got %s\nwant %s", f, got, want)
		}
	}
	counts := []SlotCount{{s.ID, SlotMissed, 1, time.Time{}}, {s.ID, SlotStarted, 1, time.Time{}}, {s.ID, SlotWaiting, 2, hour(3)}}
	if diff := cmp.Diff(counts, value(db.CountSlots(t.Context()))(t)); diff != "" {
		t.Error(diff)
	}
	if got := slots(t, db, SlotFilter{Run: "run2"}); got != "10:00 STARTED run2 PENDING removed" {
		t.Errorf("of the run: %s", got)
	}
	for name, err := range map[string]error{
		"decide":  db.DecideSlots(t.Context(), nil, 99, epoch, nil),
		"trigger": db.AddSlot(t.Context(), Slot{Schedule: 99, Time: epoch}),
	} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClaim: a run of a slot is there, with all it has, exactly if the slot has it.
func TestClaim(t *testing.T) {
	db := newDB(t)
	s := scheduled(t, db, "daily")
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(3), []Slot{{Time: hour(1), Status: SlotWaiting}, {Time: hour(2), Status: SlotSkipped, Reason: "run x was not over"}}))
	must(t, starts(t, db, s.ID, hour(1), "run1"))
	tables := func() (out []string) {
		for _, table := range []string{"runs", "events", "sources", "blobs", "notice_rules", "entrusted", "slots"} {
			var n int
			must(t, db.read(t.Context(), func(q reader) error {
				return q.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
			}))
			out = append(out, fmt.Sprint(table, " ", n))
		}
		return out
	}
	before := tables()
	for at, text := range map[int]string{1: "run run1 was started", 2: "is SKIPPED: run x was not over", 3: "no run is due"} {
		must(t, conflict(starts(t, db, s.ID, hour(at), "run2"), text))
	}
	if diff := cmp.Diff(before, tables()); diff != "" {
		t.Errorf("left of runs that were refused: %s", diff)
	}
	mustCreate(t, db, "run9")
	must(t, db.AddSlot(t.Context(), Slot{Schedule: s.ID, Time: hour(3)}))
	if err := starts(t, db, s.ID, hour(3), "run9"); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a run of that id is there: %v", err)
	}
	if got := slots(t, db, SlotFilter{Schedule: s.ID}); got != "09:00 STARTED run1 PENDING, 10:00 SKIPPED: run x was not over, 11:00 WAITING manual" {
		t.Errorf("slots %s", got)
	}
	if err := db.DecideSlots(t.Context(), nil, s.ID, hour(3), []Slot{{Time: hour(5), Status: SlotStarted}}); err == nil {
		t.Error("a slot is started, and has no run")
	}
}

// TestRunsOfSchedules: a run knows what started it, from its first event on.
func TestRunsOfSchedules(t *testing.T) {
	db := newDB(t)
	s := scheduled(t, db, "daily")
	must(t, db.AddSlot(t.Context(), Slot{Schedule: s.ID, Time: hour(1)}))
	must(t, starts(t, db, s.ID, hour(1), "run1"))
	mustCreate(t, db, "run2")
	r := value(db.Run(t.Context(), "run1"))(t)
	if r.Schedule != "nightly/daily" || !r.Slot.Equal(hour(1)) || !r.Entrusted || r.Cancelling || !r.Late.IsZero() {
		t.Errorf("run %+v", r)
	}
	must(t, db.Append(t.Context(), "run1", 1, engine.Event{At: epoch, Kind: engine.CancelRequested}))
	must(t, db.Rebuild(t.Context(), "run1"))
	if r := value(db.Run(t.Context(), "run1"))(t); r.Schedule != "nightly/daily" || !r.Slot.Equal(hour(1)) || !r.Cancelling {
		t.Errorf("folded anew: %+v", r)
	}
	if r := value(db.Run(t.Context(), "run2"))(t); r.Schedule != "" || !r.Slot.IsZero() || r.Entrusted {
		t.Errorf("run %+v", r)
	}
	for f, want := range map[string]int{"nightly/daily": 1, "nightly/other": 0, "daily": 0, "": 2} {
		if got := value(db.Runs(t.Context(), RunFilter{Schedule: f}))(t); len(got) != want {
			t.Errorf("%q: %d runs, want %d", f, len(got), want)
		}
	}
}

// TestLate: since when a run is late is what it should have been over by.
func TestLate(t *testing.T) {
	db := newDB(t)
	i := info("run1")
	i.LateAt = hour(2)
	must(t, db.CreateRun(t.Context(), NewRun{Info: i}))
	if r := value(db.Run(t.Context(), "run1"))(t); !r.LateAt.Equal(hour(2)) || !r.Late.IsZero() {
		t.Errorf("run %+v", r)
	}
	must(t, db.Append(t.Context(), "run1", 1, engine.Event{At: hour(3), Kind: engine.RunLate}))
	for range 2 {
		if r := value(db.Run(t.Context(), "run1"))(t); !r.LateAt.Equal(hour(2)) || !r.Late.Equal(hour(2)) {
			t.Errorf("run %+v", r)
		}
		must(t, db.Rebuild(t.Context(), "run1"))
	}
}

// TestMissedNotices: who wants to be told of missed slots is, once, with the decision.
func TestMissedNotices(t *testing.T) {
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: newClock().now, ProcessAlive: host{}.alive})
	s := scheduled(t, db, "daily", oncall, diary)
	lost := value(db.TakeTerm(t.Context(), ServiceTerm, node1))(t)
	value(db.TakeTerm(t.Context(), ServiceTerm, node1))(t)
	missed := Slot{Time: hour(1), Status: SlotMissed, Reason: "nobody was there to start it"}
	if err := db.DecideSlots(t.Context(), lost, s.ID, hour(1), []Slot{missed}); !errors.Is(err, engine.ErrConflict) {
		t.Fatal(err)
	}
	if got := told(t, db); got != nil {
		t.Errorf("told of what was not decided: %v", got)
	}
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(1), []Slot{{Time: hour(0), Status: SlotSkipped}, {Time: hour(1), Status: SlotWaiting}, {Time: hour(2), Status: SlotWaiting}}))
	must(t, starts(t, db, s.ID, hour(2), "run2"))
	for range 2 {
		must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(1), []Slot{missed, {Time: hour(2), Status: SlotMissed}}))
	}
	if diff := cmp.Diff([]string{"nightly+daily-20261123T0900-3 log missed command"}, told(t, db)); diff != "" {
		t.Error(diff)
	}
	n := value(db.ClaimNotice(t.Context(), "", aMinute))(t)
	if n == nil || n.Run != "" || n.Schedule != "nightly/daily" || !n.Slot.Equal(hour(1)) || n.Reason != missed.Reason {
		t.Fatalf("notice %+v", n)
	}
	n.Message = json.RawMessage(`{}`)
	if !value(db.KeepMessage(t.Context(), n, time.Minute))(t) {
		t.Error("it is not ours")
	}
	must(t, db.NoticeTaken(t.Context(), n))
	if due := value(db.NextNotice(t.Context(), ""))(t); !due.IsZero() {
		t.Errorf("due %s", due)
	}
	// Made up for, and missed once more: told already.
	_, added, err := db.AddBackfill(t.Context(), Backfill{Schedule: s.ID, From: hour(0), To: hour(3)}, []time.Time{hour(1)})
	must(t, err)
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(1), []Slot{missed}))
	if got := told(t, db); added != 1 || len(got) != 1 {
		t.Errorf("told %v", got)
	}
}

// TestMissedNoticesApart: each slot has notices of its own, whatever schedules are called, and
// though two were asked for within a minute.
func TestMissedNoticesApart(t *testing.T) {
	db := newDB(t)
	for workflow, name := range map[string]string{"a-b": "c", "a": "b-c"} {
		must(t, db.PutSchedules(t.Context(), nil, "/"+workflow, workflow, []*engine.Schedule{{Name: name, Cron: []string{"0 * * * *"}}}, []*engine.Notice{diary}))
	}
	for _, s := range value(db.Schedules(t.Context()))(t) {
		for _, at := range []time.Time{hour(1), hour(1).Add(time.Millisecond), hour(1).Add(2 * time.Second)} {
			must(t, db.DecideSlots(t.Context(), nil, s.ID, at, []Slot{{Time: at, Kind: SlotManual, Status: SlotMissed}}))
		}
	}
	if got := told(t, db); len(got) != 6 {
		t.Errorf("6 missed slots have %d notices: %v", len(got), got)
	}
}

// TestClaimOfNewSlot: a slot that is made with its run is there with it, or not at all.
func TestClaimOfNewSlot(t *testing.T) {
	db := newDB(t)
	s := scheduled(t, db, "daily")
	create := func(run engine.RunID, at time.Time) error {
		return db.CreateRun(t.Context(), NewRun{Info: info(run), Slot: &SlotClaim{Schedule: s.ID, Time: at, Add: true}})
	}
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(2), []Slot{{Time: hour(2), Status: SlotWaiting}}))
	must(t, create("run1", hour(1)))
	must(t, create("run2", hour(2)))
	for _, c := range []struct {
		run engine.RunID
		at  time.Time
	}{{"run3", hour(1)}, {"run1", hour(3)}} {
		if err := create(c.run, c.at); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("%s for %s: %v", c.run, c.at, err)
		}
	}
	if got := slots(t, db, SlotFilter{}); got != "09:00 STARTED manual run1 PENDING, 10:00 STARTED manual run2 PENDING" {
		t.Errorf("slots: %s", got)
	}
	if _, err := db.Run(t.Context(), "run3"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a run without a slot: %v", err)
	}
	if err := db.CreateRun(t.Context(), NewRun{Info: info("run4"), Slot: &SlotClaim{Schedule: 99, Time: hour(1), Add: true}}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a slot of no schedule: %v", err)
	}
}

// TestSlotsOfOtherKinds: a decision about the slots of the clock changes none that somebody asked for, and who asks
// for one takes it out of its backfill.
func TestSlotsOfOtherKinds(t *testing.T) {
	db := newDB(t)
	s := scheduled(t, db, "daily")
	fill, _, err := db.AddBackfill(t.Context(), Backfill{Schedule: s.ID, From: hour(0), To: hour(3)}, []time.Time{hour(1), hour(2)})
	must(t, err)
	must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(1), []Slot{{Time: hour(1), Status: SlotMissed}}))
	must(t, db.PutSchedules(t.Context(), nil, s.Path, s.Workflow, nil, nil)) // it is gone
	for _, late := range []bool{true, false} {
		must(t, db.DecideSlots(t.Context(), nil, s.ID, hour(3), []Slot{{Time: hour(3), Status: SlotWaiting, Late: late}}))
	}
	look := func(want string, late bool) {
		t.Helper()
		if got := slots(t, db, SlotFilter{}); got != want {
			t.Errorf("slots: %s, want %s", got, want)
		}
		if last := value(db.Slots(t.Context(), SlotFilter{Limit: 1}))(t)[0]; last.Late != late {
			t.Errorf("slot %+v is late: %v", last, last.Late)
		}
	}
	look("09:00 WAITING backfill, 10:00 WAITING backfill, 11:00 WAITING", true)
	for _, at := range []time.Time{hour(1), hour(3)} {
		must(t, db.AddSlot(t.Context(), Slot{Schedule: s.ID, Time: at}))
	}
	look("09:00 WAITING manual, 10:00 WAITING backfill, 11:00 WAITING manual", false)
	if b := value(db.Backfill(t.Context(), fill.ID))(t); b.Slots.Total() != 1 {
		t.Errorf("the backfill has %+v", b.Slots)
	}
}
