package state

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// many is a StepExpanded of n tasks whose cache keys follow from one base.
func many(step engine.StepName, n int, base string) engine.Event {
	e := expanded(step, n, "")
	key := cacheKey(base, 0)
	e.Expanded.KeyBases = key[:]
	return e
}

func familyOf(t *testing.T, e engine.Event) engine.CacheKey {
	t.Helper()
	family, ok := engine.NewTaskKeys(&engine.Step{Name: e.Step, FanOut: true}, e.Expanded).Family()
	if !ok {
		t.Fatal("no family")
	}
	return family
}

func rowsOf(t *testing.T, db *DB, table string) (n int) {
	t.Helper()
	must(t, db.write(t.Context(), func(t *tx) error { return t.get("SELECT count(*) FROM "+table, nil, &n) }))
	return n
}

// newPacked is a database in which runs have 10 rows of tasks, and a run in it.
func newPacked(t *testing.T) *DB {
	t.Helper()
	db := mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{Now: newClock().now, TaskRows: 10})
	mustCreate(t, db, "run1", "few*", "many*")
	must(t, db.Append(t.Context(), "run1", 1, many("few", 6, "few"), many("many", 8, "many"), planned("few", 1, engine.Upto(6)), planned("many", 2, engine.Upto(8))))
	return db
}

func TestPackedSteps(t *testing.T) {
	db := newPacked(t)
	if n := rowsOf(t, db, "tasks"); n != 6 {
		t.Errorf("%d rows of tasks, want 6", n)
	}
	clear(db.runs) // as after a restart
	failed := ended("many", 2, engine.RangesOf(6), engine.TaskFailed)
	failed.Reason = "exit code 1"
	must(t, db.Append(t.Context(), "run1", 5, ended("few", 1, engine.Upto(6), engine.TaskSucceeded), ended("many", 2, engine.RangesOf(1, 2, 5), engine.TaskSucceeded), failed))
	if rows, ranges := rowsOf(t, db, "cache"), rowsOf(t, db, "cache_ranges"); rows != 6 || ranges != 1 {
		t.Errorf("the cache has %d rows and %d ranges, want 6 and 1", rows, ranges)
	}
	key := "5"
	var names []string
	for _, f := range []TaskFilter{
		{Step: "many", Status: []engine.Status{engine.Failed}}, {Step: "many", Key: &key}, {Offset: 5, Limit: 2},
	} {
		for _, task := range value(db.Tasks(t.Context(), "run1", f))(t) {
			names = append(names, task.Name()+" "+task.Status.String()+" "+task.Reason+task.Dir)
		}
	}
	want := []string{`many["6"] FAILED exit code 1/work/run1/many/6`, `many["5"] SUCCEEDED /work/run1/many/5`, `few["5"] SUCCEEDED /work/run1/few/5`, `many["0"] PENDING /work/run1/many/0`}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	before := dump(t, db, "run1")
	must(t, db.Rebuild(t.Context(), "run1"))
	if diff := cmp.Diff(before, dump(t, db, "run1")); diff != "" {
		t.Errorf("rebuilt (-before +after):\n%s", diff)
	}
}

// TestPackedReset: attempts go on where they were, and rows of tasks that are gone do not count.
func TestPackedReset(t *testing.T) {
	db := newPacked(t)
	retried := ended("many", 2, engine.RangesOf(3), engine.TaskSucceeded)
	retried.Attempts = []int{2}
	reset := func(step engine.StepName) engine.Event {
		return engine.Event{At: epoch, Kind: engine.StepReset, Step: step, Reason: "asked for"}
	}
	must(t, db.Append(t.Context(), "run1", 5, retried, reset("many"), reset("few"), many("few", 6, "few"), many("many", 8, "many"),
		planned("many", 3, engine.Upto(8)), engine.Event{At: epoch, Kind: engine.TasksRunning, Step: "many", Job: 3, Tasks: engine.Upto(4)},
		engine.Event{At: epoch, Kind: engine.JobLost, Job: 3, Reason: "gone"}, reset("many")))
	if n := rowsOf(t, db, "tasks"); n != 6 {
		t.Errorf("%d rows of tasks, want 6", n)
	}
	var base int
	must(t, db.write(t.Context(), func(t *tx) error { return t.get("SELECT base FROM steps WHERE name = 'many'", nil, &base) }))
	if base != 3 {
		t.Errorf("%d attempts so far, want 3", base)
	}
}

// TestPackedByHand: tables that somebody changed are made anew.
func TestPackedByHand(t *testing.T) {
	for _, change := range []string{"DELETE FROM tasks", "UPDATE steps SET pending = 7, failed = 1 WHERE name = 'many'", "INSERT INTO tasks (run, step, idx, status) VALUES (1, 2, 0, 0)"} {
		db := newPacked(t)
		must(t, db.write(t.Context(), func(t *tx) error { _, err := t.exec(change); return err }))
		clear(db.runs)
		must(t, db.Append(t.Context(), "run1", 5, ended("few", 1, engine.Upto(6), engine.TaskSucceeded)))
		got := dump(t, db, "run1")
		must(t, db.Rebuild(t.Context(), "run1"))
		if diff := cmp.Diff(dump(t, db, "run1"), got); diff != "" {
			t.Errorf("%s (-rebuilt +appended):\n%s", change, diff)
		}
	}
}

func TestLookupFamily(t *testing.T) {
	db := newPacked(t)
	family := familyOf(t, many("many", 8, "many"))
	must(t, db.Append(t.Context(), "run1", 5, ended("many", 2, engine.Upto(8), engine.TaskSucceeded)))
	mustCreate(t, db, "run2", "few*", "more*")
	must(t, db.Append(t.Context(), "run2", 1, many("few", 6, "few"), many("more", 20, "many"), planned("more", 1, engine.Upto(20)),
		ended("more", 1, engine.RangesOf(2, 9, 11, 12), engine.TaskSucceeded), ended("more", 1, engine.RangesOf(4), engine.TaskFailed)))

	one := engine.HitRange{Run: "run1", Step: "many", WorkDir: "/work", Tasks: engine.Ranges{{From: 0, To: 1}, {From: 3, To: 7}}}
	two := engine.HitRange{Run: "run2", Step: "more", WorkDir: "/work", Tasks: engine.RangesOf(2, 9)}
	want := []engine.HitRange{two, one}
	if diff := cmp.Diff(want, value(db.LookupFamily(t.Context(), family, 11))(t)); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
	if got := value(db.LookupFamily(t.Context(), cacheKey("other", 0), 11))(t); got != nil {
		t.Errorf("hits of another family: %v", got)
	}

	mustCreate(t, db, "run3", "again*")
	again := many("again", 11, "many")
	again.Expanded.HitRanges = want
	must(t, db.Append(t.Context(), "run3", 1, again))
	if got := value(db.Tasks(t.Context(), "run3", TaskFilter{Status: []engine.Status{engine.Cached}}))(t); len(got) != 9 || got[2].Dir != "/work/run2/more/2" || got[8].Dir != "/work/run2/more/9" {
		t.Errorf("cached tasks: %+v", got)
	}
	var used *UsedError
	if err := db.DeleteRun(t.Context(), "run1"); !errors.As(err, &used) {
		t.Errorf("a run whose results are used: %v", err)
	}
	must(t, db.DeleteRun(t.Context(), "run3"))
	must(t, db.DeleteRun(t.Context(), "run1"))
	two.Tasks = engine.RangesOf(2, 9, 11, 12)
	if diff := cmp.Diff([]engine.HitRange{two}, value(db.LookupFamily(t.Context(), family, 20))(t)); diff != "" {
		t.Errorf("hits after a run is gone (-want +got):\n%s", diff)
	}
	must(t, db.DeleteRun(t.Context(), "run2"))
	if rows, ranges := rowsOf(t, db, "cache"), rowsOf(t, db, "cache_ranges"); rows+ranges != 0 {
		t.Errorf("%d rows and %d ranges are left in the cache", rows, ranges)
	}
}
