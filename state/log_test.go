package state

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"

	"flow/engine"
)

func TestAppendAndEvents(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	mustCreate(t, db, "run2", "align*")
	big := expanded("align", 3000, "salt")
	for i := range 3000 {
		big.Expanded.Keys = append(big.Expanded.Keys, fmt.Sprintf("sample %d <\u00e9>", i))
	}
	events := []engine.Event{big, planned("align", 1, engine.Upto(3000))}
	must(t, db.Append(t.Context(), "run1", 1, events...))
	must(t, db.Append(t.Context(), "run1", 3)) // nothing

	i := info("run1")
	want := append([]engine.Event{{At: epoch, Kind: engine.RunStarted, Info: &i}}, events...)
	for k := range want {
		want[k].Seq = int64(k) + 1
	}
	if diff := cmp.Diff(want, collect(t, db, "run1", 0)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := collect(t, db, "run1", 2); len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("events after 2: %v", got)
	}
	if got := collect(t, db, "run3", 0); got != nil {
		t.Errorf("events of a run that is not there: %v", got)
	}
	if got := value(db.Event(t.Context(), "run1", 3))(t); got.Kind != engine.JobPlanned {
		t.Errorf("event 3: %v", got)
	}
	if _, err := db.Event(t.Context(), "run1", 4); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("event 4: %v", err)
	}
	var kind string
	must(t, db.write(t.Context(), func(tx *tx) error {
		return tx.get("SELECT group_concat(typeof(data)) FROM events WHERE run = 1", nil, &kind)
	}))
	if kind != "text,blob,text" {
		t.Errorf("payloads are %s", kind)
	}
}

func TestAppendStartsRun(t *testing.T) {
	db := newDB(t)
	i := info("run1")
	start := engine.Event{At: epoch, Kind: engine.RunStarted, Info: &i}
	must(t, db.Append(t.Context(), "run1", 0, start, expanded("align", 2, ""), expanded("merge", 1, "")))
	steps := value(db.Steps(t.Context(), "run1"))(t)
	if len(steps) != 2 || !steps[0].FanOut || steps[1].FanOut {
		t.Errorf("steps %+v", steps)
	}
	other := info("run2")
	for name, e := range map[string]engine.Event{
		"no info":        {Kind: engine.RunStarted},
		"of another run": {Kind: engine.RunStarted, Info: &other},
	} {
		if err := db.Append(t.Context(), "run3", 0, e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := db.Append(t.Context(), "run3", 0, engine.Event{Kind: engine.RunResumed}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("append to a run that is not there: %v", err)
	}
	if got := value(db.Runs(t.Context(), RunFilter{}))(t); len(got) != 1 {
		t.Errorf("%d runs, want 1: a refused append left one behind", len(got))
	}
}

func TestAppendConflict(t *testing.T) {
	db := newDB(t)
	other := mustOpen(t, db.Path(), Options{})
	mustCreate(t, db, "run1", "align*")
	resumed := engine.Event{At: epoch, Kind: engine.RunResumed}
	for _, after := range []int64{0, 2, 100, -1} {
		if err := db.Append(t.Context(), "run1", after, resumed); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("after %d: %v, want ErrConflict", after, err)
		}
	}
	must(t, db.Append(t.Context(), "run1", 1, resumed))
	must(t, other.Append(t.Context(), "run1", 2, resumed, expanded("align", 3, "")))
	for _, after := range []int64{2, 3} { // what db remembers of the run is out of date
		if err := db.Append(t.Context(), "run1", after, resumed); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("after %d: %v, want ErrConflict", after, err)
		}
	}
	must(t, db.Append(t.Context(), "run1", 4, planned("align", 1, engine.Upto(3))))
	if got := len(collect(t, db, "run1", 0)); got != 5 {
		t.Errorf("%d events, want 5", got)
	}
	if err := db.CreateRun(t.Context(), NewRun{Info: info("run1")}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("create again: %v, want ErrConflict", err)
	}
}

// TestAppendRace has several processes' worth of writers append to one run; each number
// is won once.
func TestAppendRace(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align")
	const writers, rounds = 4, 25
	var wg sync.WaitGroup
	won := make([][]int64, writers)
	for w := range writers {
		mine := mustOpen(t, db.Path(), Options{})
		wg.Go(func() {
			for seq := int64(1); seq <= rounds; {
				err := mine.Append(t.Context(), "run1", seq, engine.Event{At: epoch, Kind: engine.RunResumed, Reason: fmt.Sprint(w)})
				if err == nil {
					won[w] = append(won[w], seq+1)
				} else if !errors.Is(err, engine.ErrConflict) {
					t.Error(err)
					return
				}
				seq++
			}
		})
	}
	wg.Wait()
	owner := map[int64]string{}
	for w, seqs := range won {
		for _, seq := range seqs {
			if owner[seq] != "" {
				t.Errorf("event %d was won twice", seq)
			}
			owner[seq] = fmt.Sprint(w)
		}
	}
	for _, e := range collect(t, db, "run1", 1) {
		if owner[e.Seq] != e.Reason {
			t.Errorf("event %d is of writer %s, but was acknowledged to %q", e.Seq, e.Reason, owner[e.Seq])
		}
	}
	if len(owner) != rounds {
		t.Errorf("%d events, want %d", len(owner), rounds)
	}
}

// TestAppendIsAllOrNone appends events of which the last one cannot follow the others.
func TestAppendIsAllOrNone(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	before := dump(t, db, "run1")
	code := 3
	bad := map[string]engine.Event{
		"unknown task":     {Kind: engine.TasksRunning, Step: "align", Tasks: engine.RangesOf(3)},
		"unknown job":      {Kind: engine.JobAccepted, Job: 7},
		"job out of order": planned("align", 3, engine.Upto(1)),
		"expanded twice":   expanded("align", 1, ""),
		"outcome":          {Kind: engine.TasksEnded, Step: "align", Tasks: engine.Upto(1), Outcome: "odd", ExitCode: &code},
		"lists":            {Kind: engine.TasksEnded, Step: "align", Tasks: engine.Upto(3), Outcome: engine.TaskFailed, Attempts: []int{1, 2}},
		"step end":         {Kind: engine.StepEnded, Step: "align", Status: engine.Running},
		"run end":          {Kind: engine.RunEnded, Status: engine.Pending},
		"ended twice":      ended("align", 1, engine.RangesOf(2), engine.TaskFailed),
		"planned twice":    planned("align", 2, engine.RangesOf(2)),
		"cached":           {Kind: engine.StepExpanded, Step: "x", Expanded: &engine.Expanded{Size: 1, Cached: engine.RangesOf(1), Hits: make([]engine.Hit, 1)}},
		"cache keys":       {Kind: engine.StepExpanded, Step: "x", Expanded: &engine.Expanded{Size: 1, CacheKeys: make([]byte, 31)}},
		"started twice":    {Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "run1"}},
	}
	for name, e := range bad {
		err := db.Append(t.Context(), "run1", 1, expanded("align", 3, ""), planned("align", 1, engine.Upto(3)),
			ended("align", 1, engine.RangesOf(2), engine.TaskSucceeded), e)
		if err == nil || !strings.Contains(err.Error(), "event 5 ("+string(e.Kind)+") of run run1") {
			t.Errorf("%s: error %v", name, err)
		}
		if diff := cmp.Diff(before, dump(t, db, "run1")); diff != "" {
			t.Fatalf("%s: something was stored (-before +after):\n%s", name, diff)
		}
	}
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 3, "")))
}

// TestCommitFails: after a commit that failed nobody knows, and the next call reads again.
func TestCommitFails(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 2, "")))
	must(t, db.w.conn.Raw(func(c any) error {
		c.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 { return 1 }) // COMMIT fails
		return nil
	}))
	err := db.Append(t.Context(), "run1", 2, planned("align", 1, engine.Upto(2)))
	if !errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, engine.ErrConflict) {
		t.Fatalf("append: %v, want ErrOutcomeUnknown", err)
	}
	if got := collect(t, db, "run1", 2); got != nil {
		t.Fatalf("events after 2: %v", got)
	}
	must(t, db.Append(t.Context(), "run1", 2, planned("align", 1, engine.Upto(2))))
	if got := value(db.Jobs(t.Context(), "run1"))(t); len(got) != 1 {
		t.Errorf("jobs %v", got)
	}
	must(t, db.Check(t.Context()))
}

// TestConnectionLost: a connection that went bad is replaced by the next call.
func TestConnectionLost(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	last, _, err := db.Changed(t.Context(), 0)
	must(t, err)
	if err := db.w.conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		t.Fatal(err)
	}
	if err := db.Append(t.Context(), "run1", 1, expanded("align", 2, "")); err == nil {
		t.Fatal("no error")
	}
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 2, "")))
	if _, changed, err := db.Changed(t.Context(), last); err != nil || !changed {
		t.Errorf("changed %v, %v: what happened while there was no connection is not known", changed, err)
	}
}

// TestFull: with no space left nothing is stored, and what was stays.
func TestFull(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "align*")
	must(t, db.write(t.Context(), func(tx *tx) error {
		var pages int64
		if err := tx.get("PRAGMA page_count", nil, &pages); err != nil {
			return err
		}
		return tx.get(fmt.Sprintf("PRAGMA max_page_count = %d", pages+10), nil, &pages)
	}))
	before := dump(t, db, "run1")
	if err := db.Append(t.Context(), "run1", 1, expanded("align", 10_000, "salt")); !errors.Is(err, ErrFull) {
		t.Fatalf("append: %v, want ErrFull", err)
	}
	if diff := cmp.Diff(before, dump(t, db, "run1")); diff != "" {
		t.Errorf("something was stored (-before +after):\n%s", diff)
	}
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 3, "")))
	must(t, db.Check(t.Context()))
}

// TestDamagedEvent: an event that is not what was stored is never handed out.
func TestDamagedEvent(t *testing.T) {
	for name, change := range map[string]string{
		"payload": `UPDATE events SET data = replace(data, 'flow-align-1', 'flow-align-2') WHERE seq = 3`,
		"blob":    `UPDATE events SET data = substr(data, 1, 2000) WHERE seq = 2`,
		"time":    `UPDATE events SET at = at + 1 WHERE seq = 3`,
		"kind":    `UPDATE events SET kind = 'JobLost' WHERE seq = 3`,
		"missing": `DELETE FROM events WHERE seq = 2`,
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t)
			mustCreate(t, db, "run1", "align*")
			must(t, db.Append(t.Context(), "run1", 1, expanded("align", 1000, "salt"), planned("align", 1, engine.Upto(1000))))
			must(t, db.write(t.Context(), func(tx *tx) error {
				n, err := tx.exec(change)
				if err == nil && n != 1 {
					err = fmt.Errorf("%d rows changed", n)
				}
				return err
			}))
			var err error
			n := 0
			for _, e := range db.Events(t.Context(), "run1", 0) {
				if err = e; err == nil {
					n++
				}
			}
			if !errors.Is(err, ErrCorrupt) || n > 2 {
				t.Errorf("%d events, then %v", n, err)
			}
			if err := db.Rebuild(t.Context(), "run1"); err == nil {
				t.Error("rebuilt from it")
			}
			if name != "missing" {
				if err := db.Check(t.Context()); !errors.Is(err, ErrCorrupt) {
					t.Errorf("check: %v", err)
				}
			}
		})
	}
}
