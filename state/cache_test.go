package state

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func TestCache(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "split", "align*")
	one := expanded("split", 1, "split")
	fan := expanded("align", 4, "align")
	fan.Expanded.Keys = []string{"chr1", "a b", "chr3", "chr4"}
	copy(fan.Expanded.CacheKeys[2*32:], make([]byte, 32)) // not to be cached
	must(t, db.Append(t.Context(), "run1", 1, one, fan, planned("split", 1, engine.Upto(1)), planned("align", 2, engine.Upto(4))))
	clear(db.runs) // the driver is another one from here: it must find the keys again

	done := ended("align", 2, engine.Upto(3), engine.TaskSucceeded)
	done.Outputs = []engine.Values{nil, {"shards": json.RawMessage(`["a","b"]`)}, nil}
	must(t, db.Append(t.Context(), "run1", 5, done, ended("split", 1, engine.Upto(1), engine.TaskSucceeded),
		ended("align", 2, engine.RangesOf(3), engine.TaskFailed)))

	keys := []engine.CacheKey{
		cacheKey("align", 1), cacheKey("align", 0), {}, cacheKey("align", 3), cacheKey("unknown", 0), cacheKey("split", 0), cacheKey("align", 1),
	}
	ab := engine.Hit{Run: "run1", Step: "align", Task: "a b", Dir: "/work/run1/align/a%20b", Outputs: engine.Values{"shards": json.RawMessage(`["a","b"]`)}}
	want := []engine.Hit{
		ab, {Run: "run1", Step: "align", Task: "chr1", Dir: "/work/run1/align/chr1"}, {}, {}, {},
		{Run: "run1", Step: "split", Dir: "/work/run1/split/_"}, ab,
	}
	if diff := cmp.Diff(want, value(db.Lookup(t.Context(), keys))(t)); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
	if got := value(db.Lookup(t.Context(), nil))(t); len(got) != 0 {
		t.Errorf("no keys: %v", got)
	}
}

// TestCacheNewest: the newest result counts, even if an older run is folded again.
func TestCacheNewest(t *testing.T) {
	db := newDB(t)
	for i, run := range []engine.RunID{"run1", "run2"} {
		mustCreate(t, db, run, "align*")
		done := ended("align", 1, engine.Upto(2), engine.TaskSucceeded)
		done.At = epoch.Add(time.Duration(i) * time.Hour)
		must(t, db.Append(t.Context(), run, 1, expanded("align", 2, "same"), planned("align", 1, engine.Upto(2)), done))
	}
	must(t, db.Rebuild(t.Context(), "run1"))
	keys := []engine.CacheKey{cacheKey("same", 0), cacheKey("same", 1)}
	for _, h := range value(db.Lookup(t.Context(), keys))(t) {
		if h.Run != "run2" {
			t.Errorf("hit %+v, want one of run2", h)
		}
	}
	must(t, db.DeleteRun(t.Context(), "run2"))
	for _, h := range value(db.Lookup(t.Context(), keys))(t) {
		if h.Dir != "" {
			t.Errorf("hit %+v of a deleted run", h)
		}
	}
}

// TestCacheOfDamagedRun: results that could not be deleted with their run are nobody's.
func TestCacheOfDamagedRun(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 1, "s"), planned("align", 1, engine.Upto(1)),
		ended("align", 1, engine.Upto(1), engine.TaskSucceeded)))
	must(t, db.write(t.Context(), func(tx *tx) error {
		_, err := tx.exec("UPDATE events SET crc = crc + 1 WHERE seq = 2")
		return err
	}))
	must(t, db.DeleteRun(t.Context(), "run1"))
	mustCreate(t, db, "run2", "align*")
	if h := value(db.Lookup(t.Context(), []engine.CacheKey{cacheKey("s", 0)}))(t)[0]; h.Dir != "" {
		t.Errorf("hit %+v", h)
	}
}

func TestLookupMany(t *testing.T) {
	db := newDB(t)
	const size = 25_000 // several queries
	mustCreate(t, db, "run1", "align*")
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", size, "s"), planned("align", 1, engine.Upto(size)),
		ended("align", 1, engine.Upto(size), engine.TaskSucceeded)))
	keys := make([]engine.CacheKey, size)
	for i := range keys {
		keys[i] = cacheKey("s", size-1-i)
	}
	for i, h := range value(db.Lookup(t.Context(), keys))(t) {
		if want := engine.KeyDir(true, h.Task); h.Dir != "/work/run1/align/"+want || h.Task != strconv.Itoa(size-1-i) {
			t.Fatalf("hit %d: %+v", i, h)
		}
	}
}

func TestCachedTasks(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	mustCreate(t, db, "run2", "align*")
	e := expanded("align", 3, "s")
	e.Expanded.Cached = engine.RangesOf(0, 2)
	e.Expanded.Hits = []engine.Hit{{Run: "run1", Step: "align", Task: "0", Dir: "/work/run1/align/0"}, {Run: "run1", Step: "align", Task: "9", Dir: "/work/run1/align/9"}}
	must(t, db.Append(t.Context(), "run2", 1, e))
	var dirs []string
	for _, task := range value(db.Tasks(t.Context(), "run2", TaskFilter{}))(t) {
		dirs = append(dirs, task.Status.String()+" "+task.Dir)
	}
	want := []string{"CACHED /work/run1/align/0", "PENDING /work/run2/align/1", "CACHED /work/run1/align/9"}
	if diff := cmp.Diff(want, dirs); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	if got := value(db.UsedBy(t.Context(), "run1"))(t); len(got) != 1 || got[0] != "run2" {
		t.Errorf("run1 is used by %v, want run2", got)
	}
	must(t, db.DeleteRun(t.Context(), "run2"))
	if got := value(db.UsedBy(t.Context(), "run1"))(t); got != nil {
		t.Errorf("run1 is used by %v", got)
	}
}

// TestDeleteRunInUse: what a run uses stays, and what is gone cannot be used any more,
// whichever of the two came first.
func TestDeleteRunInUse(t *testing.T) {
	db := newDB(t)
	for _, run := range []engine.RunID{"run1", "run2", "run3"} {
		mustCreate(t, db, run, "align*")
	}
	e := expanded("align", 1, "s")
	e.Expanded.Cached = engine.RangesOf(0)
	e.Expanded.Hits = []engine.Hit{{Run: "run1", Step: "align", Task: "0", Dir: "/work/run1/align/0"}}
	must(t, db.Append(t.Context(), "run2", 1, e))

	var used *UsedError
	if err := db.DeleteRun(t.Context(), "run1", "run3"); !errors.As(err, &used) || used.By != "run2" {
		t.Fatalf("a run that run2 uses was removed: %v", err)
	}
	must(t, db.DeleteRun(t.Context(), "run1", "run2", "run3"))
	var removed *RemovedError
	if err := db.Append(t.Context(), "run3", 1, e); !errors.As(err, &removed) || removed.Run != "run1" {
		t.Fatalf("a result of a run that is gone was taken over: %v", err)
	}
	e.Expanded.Cached, e.Expanded.Hits = nil, nil
	must(t, db.Append(t.Context(), "run3", 1, e)) // nothing was stored before
}

func TestMemo(t *testing.T) {
	c := newClock()
	path := t.TempDir() + "/flow.db"
	db := mustOpen(t, path, Options{Now: c.now})
	a, b := [32]byte{1}, [32]byte{2}
	const inode = ^uint64(0)
	db.Put("/a", 10, 20, inode, a)
	check := func(db *DB, size, mtime int64, inode uint64, want bool) {
		t.Helper()
		sum, ok := db.Get("/a", size, mtime, inode)
		if ok != want || ok && sum != a {
			t.Errorf("get %d %d %d: %v %v, want %v", size, mtime, inode, sum, ok, want)
		}
	}
	other := mustOpen(t, path, Options{})
	check(other, 10, 20, inode, false) // kept in memory
	for range 2 {
		check(db, 10, 20, inode, true)
		check(db, 11, 20, inode, false)
		check(db, 10, 21, inode, false)
		check(db, 10, 20, 1, false)
		must(t, db.Flush(t.Context()))
	}
	check(other, 10, 20, inode, true)
	c.advance(time.Hour)
	db.Put("/b", 1, 1, 1, b)
	must(t, db.Close()) // stores it
	db = mustOpen(t, path, Options{Now: c.now})
	if n := value(db.PruneMemo(t.Context(), c.now()))(t); n != 1 {
		t.Errorf("%d pruned, want 1", n)
	}
	check(db, 10, 20, inode, false)
	if sum, ok := db.Get("/b", 1, 1, 1); !ok || sum != b {
		t.Errorf("/b: %v %v", sum, ok)
	}
}

// TestMemoKeepsWhatItCannotStore: what could not be stored is stored by the next Flush.
func TestMemoKeepsWhatItCannotStore(t *testing.T) {
	path := t.TempDir() + "/flow.db"
	db, other := mustOpen(t, path, Options{BusyTimeout: time.Millisecond}), mustOpen(t, path, Options{})
	db.Put("/a", 1, 1, 1, [32]byte{1})
	must(t, other.write(t.Context(), func(*tx) error {
		if err := db.Flush(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("flush: %v", err)
		}
		return nil
	}))
	must(t, db.Flush(t.Context()))
	if _, ok := other.Get("/a", 1, 1, 1); !ok {
		t.Error("it is lost")
	}
}
