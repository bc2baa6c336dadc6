package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func spec(name string) *engine.Schedule {
	return &engine.Schedule{Name: name, Cron: []string{"0 * * * *"}, TimeZone: "Europe/Berlin", Overlap: engine.OverlapQueue, CatchUp: engine.CatchUpAll,
		StartWithin: time.Hour, Jitter: time.Minute, Pos: engine.Pos{File: "n.hcl", Line: 3, Column: 1}}
}

// scheduled makes a schedule of workflow nightly, in /project/nightly.
func scheduled(t testing.TB, db *DB, name string, notices ...*engine.Notice) Schedule {
	t.Helper()
	must(t, db.PutSchedules(t.Context(), nil, "/project/nightly", "nightly", []*engine.Schedule{spec(name)}, notices))
	return value(db.Schedule(t.Context(), "nightly/"+name))(t)
}

func TestPutSchedules(t *testing.T) {
	c := newClock()
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now})
	put := func(path string, specs ...*engine.Schedule) error {
		return db.PutSchedules(t.Context(), nil, path, "nightly", specs, nil)
	}
	must(t, put("/a", spec("daily"), spec("hourly")))
	daily := value(db.Schedule(t.Context(), "daily"))(t)
	want := Schedule{ID: daily.ID, Workflow: "nightly", Path: "/a", Spec: *spec("daily"), Since: epoch, Upto: epoch, Seen: epoch}
	if diff := cmp.Diff(want, daily); diff != "" {
		t.Error(diff)
	}
	hour := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Hour) }
	must(t, db.DecideSlots(t.Context(), nil, daily.ID, hour(1), []Slot{{Time: hour(1), Status: SlotWaiting}}))

	c.advance(2 * time.Hour) // a changed block counts on from where it was
	changed := spec("daily")
	changed.Cron = []string{"30 2 * * *"}
	must(t, put("/a", changed, spec("hourly")))
	want.Spec, want.Seen, want.Upto = *changed, hour(2), hour(1)
	if diff := cmp.Diff(want, value(db.Schedule(t.Context(), "daily"))(t)); diff != "" {
		t.Error(diff)
	}

	err := put("/b", spec("weekly"), spec("daily")) // of other files
	var conflict *ConflictError
	if !errors.As(err, &conflict) || *conflict != (ConflictError{"nightly/daily", "/a"}) || !errors.Is(err, engine.ErrConflict) {
		t.Errorf("of other files: %v", err)
	}
	if _, err := db.Schedule(t.Context(), "weekly"); !errors.Is(err, engine.ErrNotFound) || err.Error() != `no schedule "weekly"; there are: nightly/daily, nightly/hourly` {
		t.Errorf("recorded beside a conflict: %v", err)
	}

	must(t, put("/a", spec("hourly"))) // gone
	want.Gone = true
	if diff := cmp.Diff(want, value(db.Schedule(t.Context(), "nightly/daily"))(t)); diff != "" {
		t.Error(diff)
	}
	if got := slots(t, db, SlotFilter{}); got != "09:00 SKIPPED: the schedule is not in its file any more" {
		t.Errorf("slots %s", got)
	}

	c.advance(time.Hour) // back, in other files, and disabled
	off := spec("daily")
	off.Disabled = true
	must(t, put("/b", off))
	c.advance(time.Hour)
	must(t, put("/b", off)) // disabled still
	want.Path, want.Spec, want.Gone, want.Upto, want.Seen = "/b", *off, false, hour(4), hour(4)
	if diff := cmp.Diff(want, value(db.ScheduleByID(t.Context(), daily.ID))(t)); diff != "" {
		t.Error(diff)
	}
	c.advance(time.Hour)
	must(t, put("/b", spec("daily")))
	if got := value(db.ScheduleByID(t.Context(), daily.ID))(t); !got.Upto.Equal(hour(5)) || !got.Since.Equal(epoch) {
		t.Errorf("enabled: upto %s, since %s", got.Upto, got.Since)
	}

	must(t, db.PutSchedules(t.Context(), nil, "/b", "renamed", []*engine.Schedule{spec("daily")}, nil)) // the workflow has another name
	if got := fmt.Sprint(value(db.ScheduleByID(t.Context(), daily.ID))(t).Gone, " ", value(db.Schedule(t.Context(), "daily"))(t).Full()); got != "true renamed/daily" {
		t.Errorf("renamed: %s", got)
	}
}

func TestScheduleByName(t *testing.T) {
	db := newDB(t)
	find := func(name string) string {
		s, err := db.Schedule(t.Context(), name)
		if err != nil {
			return err.Error()
		}
		return s.Full()
	}
	got := []string{find("daily")}
	for _, w := range []string{"a", "b", "c"} {
		specs := []*engine.Schedule{spec("daily")}
		if w == "c" {
			specs = append(specs, spec("weekly"))
		}
		must(t, db.PutSchedules(t.Context(), nil, "/"+w, w, specs, nil))
	}
	got = append(got, find("daily"), find("a/daily"), find("weekly"), find("c"))
	must(t, db.PutSchedules(t.Context(), nil, "/a", "a", nil, nil))
	must(t, db.PutSchedules(t.Context(), nil, "/c", "c", nil, nil))
	got = append(got, find("daily"), find("weekly"), find("a/daily"), find("x"))
	want := []string{
		`no schedule "daily": there are no schedules yet`,
		`several workflows have a schedule "daily": a/daily, b/daily, c/daily`,
		"a/daily", "c/weekly",
		`no schedule "c"; there are: a/daily, b/daily, c/daily, c/weekly`,
		"b/daily", "c/weekly", "a/daily",
		`no schedule "x"; there are: b/daily`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := db.ScheduleByID(t.Context(), 99); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestPauseSchedule(t *testing.T) {
	c := newClock()
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now})
	s := scheduled(t, db, "daily")
	look := func() string {
		s := value(db.ScheduleByID(t.Context(), s.ID))(t)
		paused := "no"
		if !s.Paused.IsZero() {
			paused = s.Paused.Format("15:04")
		}
		return fmt.Sprint(s.Off(), " ", paused, " ", s.PausedFor, " ", s.Upto.Format("15:04"))
	}
	c.advance(time.Hour)
	must(t, db.ResumeSchedule(t.Context(), s.ID)) // it is not paused
	got := []string{look()}
	must(t, db.PauseSchedule(t.Context(), s.ID, "disk full"))
	c.advance(time.Hour)
	must(t, db.PauseSchedule(t.Context(), s.ID, "still full"))
	scheduled(t, db, "daily") // read again: it stays paused
	got = append(got, look())
	must(t, db.ResumeSchedule(t.Context(), s.ID))
	got = append(got, look())
	if diff := cmp.Diff([]string{"false no  08:00", "true 09:00 still full 08:00", "false no  10:00"}, got); diff != "" {
		t.Error(diff)
	}
	for _, err := range []error{db.PauseSchedule(t.Context(), 99, ""), db.ResumeSchedule(t.Context(), 99)} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Error(err)
		}
	}
}

// TestProblems keeps what was good of files that are broken.
func TestProblems(t *testing.T) {
	c := newClock()
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now})
	s := scheduled(t, db, "daily")
	files := []Source{{"n.hcl", []byte(strings.Repeat("workflow {}\n", 100))}, {"b.bin", []byte{0, 255}}}
	must(t, db.KeepSources(t.Context(), nil, s.Path, files))
	must(t, db.SetProblem(t.Context(), nil, "/never", "bad"))
	c.advance(time.Minute)
	before := value(db.Version(t.Context()))(t)
	must(t, db.SetProblem(t.Context(), nil, s.Path, "n.hcl:3: no"))
	must(t, db.SetProblem(t.Context(), nil, "/never", "bad")) // writes nothing
	want := []Problem{{"/never", "", "bad", epoch}, {s.Path, "nightly", "n.hcl:3: no", epoch.Add(time.Minute)}}
	if diff := cmp.Diff(want, value(db.Problems(t.Context()))(t)); diff != "" {
		t.Error(diff)
	}
	if value(db.Version(t.Context()))(t) == before {
		t.Error("nobody can see that something changed")
	}
	if got := value(db.ScheduleByID(t.Context(), s.ID))(t).Problem; got != "n.hcl:3: no" {
		t.Errorf("problem %q", got)
	}
	if diff := cmp.Diff(files, value(db.KeptSources(t.Context(), s.Path))(t)); diff != "" {
		t.Error(diff)
	}
	if got := value(db.KeptSources(t.Context(), "/never"))(t); got != nil {
		t.Errorf("kept %v", got)
	}
	scheduled(t, db, "daily")
	must(t, db.SetProblem(t.Context(), nil, "/never", ""))
	if got := value(db.Problems(t.Context()))(t); got != nil {
		t.Errorf("problems %v", got)
	}
}
