package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// someRuns makes runs of two workflows, an hour apart.
func someRuns(t *testing.T) *DB {
	c := newClock()
	db := mustOpen(t, t.TempDir()+"/flow.db", Options{Now: c.now})
	for i, workflow := range []string{"genome", "video", "genome", "genome"} {
		r := NewRun{Info: info(engine.RunID(fmt.Sprintf("01ka%d0000", i)))}
		r.Info.Workflow = workflow
		must(t, db.CreateRun(t.Context(), r))
		c.advance(time.Hour)
	}
	must(t, db.Append(t.Context(), "01ka00000", 1, engine.Event{At: c.now(), Kind: engine.RunEnded, Status: engine.Failed, Reason: "step align failed"}))
	return db
}

func TestFindRun(t *testing.T) {
	db := someRuns(t)
	for ref, want := range map[string]string{
		"01ka10000":       "01ka10000",
		"01KA10000":       "01ka10000",
		"01ka2":           "01ka20000",
		"@last":           "01ka30000",
		"@last~0":         "01ka30000",
		"@last~2":         "01ka10000",
		"genome@last":     "01ka30000",
		"genome@last~2":   "01ka00000",
		"video@last":      "01ka10000",
		"01ka":            `"01ka" is the beginning of several runs: 01ka30000 genome`,
		"01kb":            `no run "01kb"; the last ones are: 01ka30000 genome`,
		"":                `no run ""; the last ones are:`,
		"x%' OR 1=1 --":   `no run "x%' OR 1=1 --"`,
		"@last~4":         `no run "@last~4"`,
		"genome@last~3":   `no run "genome@last~3"; the last ones are:`,
		"nightly@last":    `no run "nightly@last": there are no runs yet`,
		"@last~x":         "bad run",
		"@last~-1":        "bad run",
		"@lastly":         "bad run",
		"genome@last~~1":  "bad run",
		"01ka\x7f":        "no run",
		"01ka10000 extra": "no run",
	} {
		r, err := db.FindRun(t.Context(), ref)
		got := string(r.ID)
		if err != nil {
			got = line(err.Error())
		}
		if !strings.HasPrefix(got, want) || (err == nil && got != want) {
			t.Errorf("%q: %s, want %s", ref, got, want)
		}
		var e *RefError
		if errors.As(err, &e) && errors.Is(err, engine.ErrNotFound) == e.Ambiguous {
			t.Errorf("%q: ambiguous %v, %v", ref, e.Ambiguous, err)
		}
	}
}

// TestFindRunAmongMany: a reference that fits many runs lists only the newest, and a
// full id is found however many others begin with it.
func TestFindRunAmongMany(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "a")
	for i := range 20 {
		mustCreate(t, db, engine.RunID(fmt.Sprintf("a%02d", i)))
	}
	if r := value(db.FindRun(t.Context(), "a"))(t); r.ID != "a" {
		t.Errorf("run %s, want a", r.ID)
	}
	_, err := db.FindRun(t.Context(), "a0")
	var e *RefError
	if !errors.As(err, &e) || !e.Ambiguous || len(e.Candidates) != 10 || strings.HasSuffix(err.Error(), "...") {
		t.Errorf("a0: %v", err)
	}
	_, err = db.FindRun(t.Context(), "b")
	if !errors.As(err, &e) || e.Ambiguous || len(e.Candidates) != 10 || !strings.HasSuffix(err.Error(), "...") {
		t.Errorf("b: %v", err)
	}
}

func TestRuns(t *testing.T) {
	db := someRuns(t)
	for name, tt := range map[string]struct {
		filter RunFilter
		want   string
	}{
		"all":      {RunFilter{}, "01ka30000 01ka20000 01ka10000 01ka00000"},
		"workflow": {RunFilter{Workflow: "genome"}, "01ka30000 01ka20000 01ka00000"},
		"status":   {RunFilter{Status: []engine.Status{engine.Failed, engine.Running}}, "01ka00000"},
		"since":    {RunFilter{Since: epoch.Add(2 * time.Hour)}, "01ka30000 01ka20000"},
		"limit":    {RunFilter{Limit: 2}, "01ka30000 01ka20000"},
		"together": {RunFilter{Workflow: "genome", Status: []engine.Status{engine.Pending}, Since: epoch.Add(time.Hour), Limit: 1}, "01ka30000"},
		"none":     {RunFilter{Workflow: "nightly"}, ""},
	} {
		var got []string
		for _, r := range value(db.Runs(t.Context(), tt.filter))(t) {
			got = append(got, string(r.ID))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", name, got, tt.want)
		}
	}
}

func TestPreviousRun(t *testing.T) {
	db := someRuns(t)
	for before, want := range map[engine.RunID]engine.RunID{"01ka30000": "01ka20000", "01ka20000": "01ka00000", "": "01ka30000"} {
		if got := value(db.PreviousRun(t.Context(), "genome", before))(t); got.ID != want {
			t.Errorf("before %q: %s, want %s", before, got.ID, want)
		}
	}
	if _, err := db.PreviousRun(t.Context(), "genome", "01ka00000"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("before the first: %v", err)
	}
}

func TestCreateRun(t *testing.T) {
	db := newDB(t)
	r := NewRun{Info: info("run1"), Dir: "/project", Params: json.RawMessage(`{"site":"aws"}`),
		Sources: []Source{{"main.hcl", []byte("workflow \"genome\" {}\n")}, {"empty.hcl", []byte{}}, {"sub/copy.hcl", []byte("workflow \"genome\" {}\n")}},
		Steps:   []StepInfo{{"split", false}, {"align", true}}}
	must(t, db.CreateRun(t.Context(), r))
	want := Run{ID: "run1", Workflow: "genome", Version: "0.1", Executor: "local", WorkDir: "/work", Dir: "/project",
		Params: r.Params, Seq: 1, Status: engine.Pending, Created: epoch}
	if diff := cmp.Diff(want, value(db.Run(t.Context(), "run1"))(t)); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(r.Sources, value(db.Sources(t.Context(), "run1"))(t)); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	steps := []Step{{Name: "split", Size: -1}, {Name: "align", FanOut: true, Size: -1}}
	if diff := cmp.Diff(steps, value(db.Steps(t.Context(), "run1"))(t)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if err := db.CreateRun(t.Context(), NewRun{}); err == nil {
		t.Error("no error for a run without an id")
	}
	r.Info.Run = "run2"
	must(t, db.CreateRun(t.Context(), r))
	var blobs int
	must(t, db.write(t.Context(), func(tx *tx) error { return tx.get("SELECT count(*) FROM blobs", nil, &blobs) }))
	if blobs != 2 {
		t.Errorf("%d files stored, want 2 different ones", blobs)
	}
	must(t, db.DeleteRun(t.Context(), "run1"))
	if diff := cmp.Diff(r.Sources, value(db.Sources(t.Context(), "run2"))(t)); diff != "" {
		t.Errorf("sources after the other run was deleted (-want +got):\n%s", diff)
	}
}

func TestSourcesDamaged(t *testing.T) {
	db := newDB(t)
	must(t, db.CreateRun(t.Context(), NewRun{Info: info("run1"), Sources: []Source{{"main.hcl", []byte("a")}}}))
	must(t, db.write(t.Context(), func(tx *tx) error {
		_, err := tx.exec("UPDATE blobs SET data = ?", deflate([]byte("b")))
		return err
	}))
	if _, err := db.Sources(t.Context(), "run1"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("sources: %v", err)
	}
}

func TestTasks(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "split", "align*", "count*")
	fan := expanded("align", 3, "")
	fan.Expanded.Keys = []string{"chr1", "2", ""}
	must(t, db.Append(t.Context(), "run1", 1, expanded("split", 1, ""), fan, expanded("count", 12, ""),
		planned("split", 1, engine.Upto(1)), ended("split", 1, engine.Upto(1), engine.TaskSucceeded)))
	key := func(k string) *string { return &k }
	for name, tt := range map[string]struct {
		filter TaskFilter
		want   string
	}{
		"all of a step":     {TaskFilter{Step: "align"}, `align["chr1"] align["2"] align[""]`},
		"one task":          {TaskFilter{Step: "split"}, "split"},
		"status":            {TaskFilter{Status: []engine.Status{engine.Succeeded, engine.Failed}}, "split"},
		"key":               {TaskFilter{Key: key("chr1")}, `align["chr1"]`},
		"key like an index": {TaskFilter{Key: key("2")}, `align["2"] count["2"]`},
		"no key":            {TaskFilter{Step: "split", Key: key("")}, "split"},
		"empty key":         {TaskFilter{Step: "align", Key: key("")}, `align[""]`},
		"not an index":      {TaskFilter{Step: "count", Key: key("02")}, ""},
		"page":              {TaskFilter{Step: "count", Limit: 2, Offset: 3}, `count["3"] count["4"]`},
		"rest":              {TaskFilter{Step: "count", Offset: 10}, `count["10"] count["11"]`},
		"unknown step":      {TaskFilter{Step: "merge"}, ""},
	} {
		var got []string
		for _, task := range value(db.Tasks(t.Context(), "run1", tt.filter))(t) {
			got = append(got, task.Name())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", name, got, tt.want)
		}
	}
	task := value(db.Tasks(t.Context(), "run1", TaskFilter{Step: "split"}))(t)[0]
	want := Task{Step: "split", Status: engine.Succeeded, Attempts: 1, Job: 1, Dir: "/work/run1/split/_",
		Started: epoch.Add(time.Second), Stopped: epoch.Add(2 * time.Second)}
	if diff := cmp.Diff(want, task); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}
}

func TestDeleteRun(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "keep", "align*")
	kept := dump(t, db, "keep")
	must(t, db.CreateRun(t.Context(), NewRun{Info: info("run1"), Sources: []Source{{"main.hcl", []byte("a")}}, Steps: []StepInfo{{"align", true}}}))
	e := expanded("align", 2000, "s")
	e.Expanded.Cached, e.Expanded.Hits = engine.RangesOf(1999), []engine.Hit{{Run: "keep"}}
	must(t, db.Append(t.Context(), "run1", 1, e, planned("align", 1, engine.Upto(1999)), ended("align", 1, engine.Upto(1999), engine.TaskSucceeded)))
	value(db.AddRequest(t.Context(), "run1", RequestCancel, ""))(t)
	l := value(db.Acquire(t.Context(), "run1", Self("")))(t)
	var held *HeldError
	if err := db.DeleteRun(t.Context(), "run1"); !errors.As(err, &held) {
		t.Errorf("delete while it is driven: %v, want *HeldError", err)
	}
	must(t, l.Release(t.Context()))
	must(t, db.DeleteRun(t.Context(), "run1"))
	must(t, db.write(t.Context(), func(tx *tx) error {
		for _, table := range []string{"events", "steps", "tasks", "jobs", "uses", "cache", "sources", "blobs", "leases", "requests", "notices", "notice_rules", "runs"} {
			column := map[string]string{"runs": "num", "blobs": "1"}[table]
			if column == "" {
				column = "run"
			}
			var n int
			if err := tx.get("SELECT count(*) FROM "+table+" WHERE "+column+" <> (SELECT num FROM runs WHERE id = 'keep')", nil, &n); err != nil {
				return err
			}
			if table == "blobs" {
				if err := tx.get("SELECT count(*) FROM blobs", nil, &n); err != nil {
					return err
				}
			}
			if n != 0 {
				t.Errorf("%d rows left in %s", n, table)
			}
		}
		return nil
	}))
	if diff := cmp.Diff(kept, dump(t, db, "keep")); diff != "" {
		t.Errorf("another run (-before +after):\n%s", diff)
	}
	if err := db.DeleteRun(t.Context(), "run1"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("delete again: %v", err)
	}
	if err := l.Append(t.Context(), "run1", 4, engine.Event{Kind: engine.RunResumed}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("append by its last driver: %v", err)
	}
	pages := func() (n int) {
		must(t, db.read(t.Context(), func(q reader) error { return q.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&n) }))
		return n
	}
	before := pages()
	must(t, db.Vacuum(t.Context()))
	if after := pages(); after > before*2/3 {
		t.Errorf("%d pages after Vacuum, %d before", after, before)
	}
	must(t, db.Check(t.Context()))
}
