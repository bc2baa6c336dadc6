package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

var oncall = &engine.Notice{
	Name: "oncall", On: []engine.Occasion{engine.OnFailed, engine.OnPaused, engine.OnTimedOut, engine.OnRecovered},
	Ways: []engine.NoticeWay{
		{Kind: engine.WaySlack, URL: engine.Told{Secret: "env:SLACK"}},
		{Kind: engine.WayCommand, Argv: []string{"./tell"}, Dir: "/project", Timeout: time.Second},
	},
}

var diary = &engine.Notice{Name: "log", On: []engine.Occasion{engine.OnSucceeded, engine.OnLate, engine.OnMissed}, Ways: []engine.NoticeWay{{Kind: engine.WayCommand, Argv: []string{"log"}}}}

func aMinute(*engine.NoticeWay) time.Duration { return time.Minute }

func ends(status engine.Status, cause string) engine.Event {
	return engine.Event{At: epoch, Kind: engine.RunEnded, Status: status, Cause: cause}
}

// told says of notices what they are, the oldest first.
func told(t testing.TB, db *DB) (out []string) {
	t.Helper()
	for _, n := range slices.Backward(value(db.Notices(t.Context(), NoticeFilter{}))(t)) {
		out = append(out, fmt.Sprintf("%s %s %s %s", n.ID, n.Name, n.Occasion, n.Way.Kind))
	}
	return out
}

// notified makes a run that has notices.
func notified(t testing.TB, db *DB, run engine.RunID, notices ...*engine.Notice) {
	t.Helper()
	must(t, db.CreateRun(t.Context(), NewRun{Info: info(run), Notices: notices}))
}

// TestNoticesOfEvents looks at which notices an event leaves.
func TestNoticesOfEvents(t *testing.T) {
	paused := engine.Event{At: epoch, Kind: engine.RunPaused, Reason: "spent"}
	reopened := engine.Event{At: epoch, Kind: engine.RunReopened}
	tests := []struct {
		name   string
		before engine.Status // of a run of the same workflow; 0: there is none
		events []engine.Event
		want   []string
	}{
		{name: "nothing", events: []engine.Event{{At: epoch, Kind: engine.RunResumed}}},
		{name: "failed", events: []engine.Event{ends(engine.Failed, "align")}, want: []string{"r-2-2 oncall failed command", "r-2-1 oncall failed slack"}},
		{name: "timed out", events: []engine.Event{ends(engine.Failed, engine.CauseTimeout)}, want: []string{"r-2-2 oncall timed_out command", "r-2-1 oncall timed_out slack"}},
		{name: "cancelled", events: []engine.Event{ends(engine.Cancelled, "user")}},
		{name: "succeeded", events: []engine.Event{ends(engine.Succeeded, "")}, want: []string{"r-2-3 log succeeded command"}},
		{name: "succeeded as before", before: engine.Succeeded, events: []engine.Event{ends(engine.Succeeded, "")}, want: []string{"r-2-3 log succeeded command"}},
		{name: "late, and over", events: []engine.Event{{At: epoch, Kind: engine.RunLate}, ends(engine.Cancelled, "")}, want: []string{"r-2-3 log late command"}},
		{
			name: "recovered", before: engine.Failed, events: []engine.Event{ends(engine.Succeeded, "")},
			want: []string{"r-2-3 log succeeded command", "r-2-2 oncall recovered command", "r-2-1 oncall recovered slack"},
		},
		{name: "after one that was cancelled", before: engine.Cancelled, events: []engine.Event{ends(engine.Succeeded, "")}, want: []string{"r-2-3 log succeeded command"}},
		{
			name: "paused, failed, and recovered by itself", events: []engine.Event{paused, ends(engine.Failed, ""), reopened, ends(engine.Cancelled, ""), reopened, ends(engine.Succeeded, "")},
			want: []string{
				"r-2-2 oncall paused command", "r-2-1 oncall paused slack", "r-3-2 oncall failed command", "r-3-1 oncall failed slack",
				"r-7-3 log succeeded command", "r-7-2 oncall recovered command", "r-7-1 oncall recovered slack",
			},
		},
		{
			name: "its own end counts more", before: engine.Failed, events: []engine.Event{ends(engine.Succeeded, ""), reopened, ends(engine.Succeeded, "")},
			want: []string{
				"r-2-3 log succeeded command", "r-2-2 oncall recovered command", "r-2-1 oncall recovered slack", "r-4-3 log succeeded command",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			if test.before != 0 {
				notified(t, db, "before")
				must(t, db.Append(t.Context(), "before", 1, ends(test.before, "")))
			}
			notified(t, db, "r", oncall, diary)
			must(t, db.Append(t.Context(), "r", 1, test.events...))
			if diff := cmp.Diff(test.want, told(t, db)); diff != "" {
				t.Error(diff)
			}
			must(t, db.Rebuild(t.Context(), "r")) // what is folded anew is told once
			if diff := cmp.Diff(test.want, told(t, db)); diff != "" {
				t.Error("folded anew:", diff)
			}
		})
	}
}

// TestRecoveredAfter looks at which end before makes a success a recovery: the last one of the
// same workflow, however old the run that it is of.
func TestRecoveredAfter(t *testing.T) {
	type end struct {
		run, workflow string
		status        engine.Status
	}
	for name, test := range map[string]struct {
		before []end // in the order of their ends
		want   engine.Occasion
	}{
		"a failure of another workflow":      {[]end{{"a", "other", engine.Failed}}, engine.OnSucceeded},
		"a failure, and a success":           {[]end{{"a", "genome", engine.Failed}, {"b", "genome", engine.Succeeded}}, engine.OnSucceeded},
		"a success, and a failure":           {[]end{{"a", "genome", engine.Succeeded}, {"b", "genome", engine.Failed}}, engine.OnRecovered},
		"an older run that failed later":     {[]end{{"b", "genome", engine.Succeeded}, {"a", "genome", engine.Failed}}, engine.OnRecovered},
		"a failure, and one that was ended":  {[]end{{"a", "genome", engine.Failed}, {"b", "genome", engine.Cancelled}}, engine.OnRecovered},
		"a failure, and one that still runs": {[]end{{"a", "genome", engine.Failed}, {"b", "genome", engine.Running}}, engine.OnRecovered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			for _, run := range []string{"a", "b"} {
				for _, e := range test.before {
					if e.run == run {
						i := info(engine.RunID(run))
						i.Workflow = e.workflow
						must(t, db.CreateRun(t.Context(), NewRun{Info: i}))
					}
				}
			}
			for i, e := range test.before {
				last := engine.Event{At: epoch.Add(time.Duration(i) * time.Second), Kind: engine.RunEnded, Status: e.status}
				if e.status == engine.Running {
					last = engine.Event{At: last.At, Kind: engine.RunResumed}
				}
				must(t, db.Append(t.Context(), engine.RunID(e.run), 1, last))
			}
			notified(t, db, "r", &engine.Notice{Name: "n", On: []engine.Occasion{engine.OnSucceeded, engine.OnRecovered}, Ways: diary.Ways})
			must(t, db.Append(t.Context(), "r", 1, ends(engine.Succeeded, "")))
			if diff := cmp.Diff([]string{"r-2-1 n " + string(test.want) + " command"}, told(t, db)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNoticeWithEvent has a notice exactly if its event is there.
func TestNoticeWithEvent(t *testing.T) {
	db := newDB(t)
	notified(t, db, "r", oncall)
	err := db.Append(t.Context(), "r", 1, ends(engine.Failed, ""), engine.Event{At: epoch, Kind: engine.JobEnded, Job: 7})
	if err == nil {
		t.Fatal("job 7 is not there, and it ended")
	}
	if got := told(t, db); got != nil {
		t.Errorf("notices of an event that is not stored: %v", got)
	}
	if err := db.Append(t.Context(), "r", 0, ends(engine.Failed, "")); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("conflict: %v", err)
	}
	if got := told(t, db); got != nil {
		t.Errorf("notices of an event that is not stored: %v", got)
	}
}

func TestSetNotices(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "r")
	must(t, db.SetNotices(t.Context(), "r", nil))
	must(t, db.SetNotices(t.Context(), "r", []*engine.Notice{oncall}))
	must(t, db.SetNotices(t.Context(), "r", []*engine.Notice{diary}))
	must(t, db.SetNotices(t.Context(), "r", []*engine.Notice{diary}))
	must(t, db.Append(t.Context(), "r", 1, ends(engine.Failed, ""), engine.Event{At: epoch, Kind: engine.RunReopened}, ends(engine.Succeeded, "")))
	if diff := cmp.Diff([]string{"r-4-1 log succeeded command"}, told(t, db)); diff != "" {
		t.Error(diff)
	}
	if err := db.SetNotices(t.Context(), "other", nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("of no run: %v", err)
	}
}

// TestNoticeLife takes a notice from its event to the one who takes it.
func TestNoticeLife(t *testing.T) {
	clock := newClock()
	db := mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{Now: clock.now})
	ctx := t.Context()
	next := func() time.Time { return value(db.NextNotice(ctx, ""))(t) }
	claim := func() *Notice { return value(db.ClaimNotice(ctx, "", aMinute))(t) }
	if !next().IsZero() || claim() != nil {
		t.Fatal("a notice is due, and there is none")
	}
	notified(t, db, "r", &engine.Notice{Name: "oncall", On: oncall.On, Ways: oncall.Ways[:1]})
	must(t, db.Append(ctx, "r", 1, ends(engine.Failed, "")))
	must(t, db.SetNotices(ctx, "r", nil))
	mustCreate(t, db, "other")
	if value(db.ClaimNotice(ctx, "other", aMinute))(t) != nil || !value(db.NextNotice(ctx, "other"))(t).IsZero() || value(db.NextNotice(ctx, "r"))(t) != epoch {
		t.Fatal("the notice is of r alone")
	}
	first := claim()
	want := &Notice{
		ID: "r-2-1", Run: "r", Seq: 2, Name: "oncall", Occasion: engine.OnFailed, Way: oncall.Ways[0], Status: NoticePending, Tries: 1,
		Made: epoch, Due: epoch, Held: epoch.Add(time.Minute),
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Fatal(diff)
	}
	if !value(db.RetryNotice(ctx, first.ID))(t) || claim() != nil || !next().Equal(first.Held) {
		t.Fatal("claimed twice")
	}
	first.Message = json.RawMessage(`{"a":1}`)
	clock.advance(time.Second)
	if !value(db.KeepMessage(ctx, first, time.Minute))(t) || !next().Equal(epoch.Add(61*time.Second)) || !next().Equal(first.Held) {
		t.Fatalf("held until %s after the message was put together", next())
	}
	clock.advance(time.Minute) // whoever claimed it died
	second := claim()
	if second == nil || second.ID != first.ID || second.Tries != 2 || string(second.Message) != `{"a":1}` {
		t.Fatalf("claimed again: %+v", second)
	}
	first.Message = json.RawMessage(`{"a":2}`)
	if value(db.KeepMessage(ctx, first, time.Hour))(t) || !next().Equal(second.Held) { // it did not die, but was slow
		t.Fatal("whose claim was over has it still")
	}
	must(t, db.NoticeFailed(ctx, first, "too late to say", time.Time{}))
	again := clock.now().Add(time.Hour)
	must(t, db.NoticeFailed(ctx, second, "refused", again))
	if !next().Equal(again) || claim() != nil {
		t.Fatalf("due %s, want %s", next(), again)
	}
	must(t, db.NoticeTaken(ctx, first)) // the slow one was taken after all: that counts
	must(t, db.NoticeFailed(ctx, second, "refused", again))
	if !next().IsZero() {
		t.Fatal("due, though it was taken")
	}
	if again := value(db.RetryNotice(ctx, "r-2-1"))(t); again {
		t.Error("what was taken goes out again")
	}
}

func TestNoticeGivenUp(t *testing.T) {
	db := newDB(t)
	ctx := t.Context()
	notified(t, db, "r", &engine.Notice{Name: "oncall", On: oncall.On, Ways: oncall.Ways[:1]})
	must(t, db.Append(ctx, "r", 1, ends(engine.Failed, "")))
	n := value(db.ClaimNotice(ctx, "", aMinute))(t)
	must(t, db.NoticeFailed(ctx, n, "gone", time.Time{}))
	all := value(db.Notices(ctx, NoticeFilter{Run: "r", Status: []NoticeStatus{NoticeGivenUp}, ID: n.ID, Limit: 1}))(t)
	if len(all) != 1 || all[0].Error != "gone" || all[0].Ended != epoch {
		t.Fatalf("given up: %+v", all)
	}
	if !value(db.RetryNotice(ctx, n.ID))(t) || value(db.NextNotice(ctx, ""))(t) != epoch {
		t.Error("it is not due again")
	}
	if !value(db.DropNotice(ctx, n.ID))(t) || value(db.DropNotice(ctx, n.ID))(t) {
		t.Error("dropped once, and not twice")
	}
	if value(db.ClaimNotice(ctx, "", aMinute))(t) != nil {
		t.Error("what was dropped goes out")
	}
	must(t, db.DeleteRun(ctx, "r"))
	if got := told(t, db); got != nil {
		t.Errorf("left of a run that is gone: %v", got)
	}
}

// TestNoticeAfterClockJump has no notice wait for a time that a wrong clock has set.
func TestNoticeAfterClockJump(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, db *DB, n *Notice){
		"claimed by one who died": func(*testing.T, *DB, *Notice) {},
		"to be tried again": func(t *testing.T, db *DB, n *Notice) {
			must(t, db.NoticeFailed(t.Context(), n, "no", n.Held.Add(24*time.Hour)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			db := mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{Now: clock.now})
			notified(t, db, "r", &engine.Notice{Name: "oncall", On: oncall.On, Ways: oncall.Ways[:1]})
			clock.advance(365 * 24 * time.Hour)
			must(t, db.Append(t.Context(), "r", 1, ends(engine.Failed, "")))
			leave(t, db, value(db.ClaimNotice(t.Context(), "", aMinute))(t))
			clock.advance(-365 * 24 * time.Hour)
			if due := value(db.NextNotice(t.Context(), ""))(t); due.IsZero() || due.After(clock.now()) {
				t.Errorf("it is due %s, and it is %s", due, clock.now())
			}
			if value(db.ClaimNotice(t.Context(), "", aMinute))(t) == nil {
				t.Error("nobody can try it")
			}
			if value(db.ClaimNotice(t.Context(), "", aMinute))(t) != nil {
				t.Error("two can try it")
			}
		})
	}
}
