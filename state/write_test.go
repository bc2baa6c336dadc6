package state

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"

	"flow/engine"
)

// TestWritesTogether: what waits while another call writes shares a transaction, and each call
// hears how its own part went.
func TestWritesTogether(t *testing.T) {
	path := t.TempDir() + "/flow.db"
	db := mustOpen(t, path, Options{Now: newClock().now})
	for _, run := range []engine.RunID{"a", "b", "c"} {
		mustCreate(t, db, run, "align")
	}
	resumed := engine.Event{At: epoch, Kind: engine.RunResumed}
	broken := errors.New("broken")
	gone, leave := context.WithCancel(t.Context())
	calls := []struct {
		call func() error
		want error
	}{
		{func() error { return db.Append(t.Context(), "a", 1, resumed) }, nil},
		{func() error { return db.Append(t.Context(), "b", 1, resumed) }, nil},
		{func() error { return db.Append(t.Context(), "b", 7, resumed) }, engine.ErrConflict},
		{func() error {
			return db.write(t.Context(), func(t *tx) error {
				if _, err := t.exec("DELETE FROM events"); err != nil {
					return err
				}
				return broken
			})
		}, broken},
		{func() error { return db.Append(gone, "c", 1, resumed) }, context.Canceled},
		{func() error { // what it has folded is forgotten with what it has written
			rows, err := encodeAll(2, []engine.Event{resumed})
			if err != nil {
				return err
			}
			return db.write(t.Context(), func(t *tx) error {
				p, err := db.projection(t, "a", 2, []engine.Event{resumed})
				if err == nil {
					err = db.store(t, p, []engine.Event{resumed}, rows)
				}
				return errors.Join(err, broken)
			})
		}, broken},
		{func() error { return db.Append(t.Context(), "a", 3, resumed) }, engine.ErrConflict},
		{func() error { return db.Append(t.Context(), "a", 2, resumed) }, nil},
	}
	got := make([]error, len(calls))
	together(t, db, func(do func(func())) {
		for i := range calls {
			do(func() { got[i] = calls[i].call() })
		}
		leave()
		for len(db.queue.waiting()) == len(calls) {
			runtime.Gosched()
		}
	})
	for i := range calls {
		if !errors.Is(got[i], calls[i].want) {
			t.Errorf("call %d: %v, want %v", i, got[i], calls[i].want)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path, Options{Now: newClock().now})
	for run, want := range map[engine.RunID]int{"a": 3, "b": 2, "c": 1} {
		if n := len(collect(t, db, run, 0)); n != want {
			t.Errorf("run %s has %d events, want %d", run, n, want)
		}
		if row := value(db.Run(t.Context(), run))(t); row.Seq != int64(want) {
			t.Errorf("run %s is at event %d, want %d", run, row.Seq, want)
		}
	}
}

// TestWritesUndone: if SQLite undoes a transaction, none of its parts is taken for stored, and
// the next ones are.
func TestWritesUndone(t *testing.T) {
	db := newDB(t)
	for _, run := range []engine.RunID{"a", "b", "c"} {
		mustCreate(t, db, run, "align")
	}
	resumed := engine.Event{At: epoch, Kind: engine.RunResumed}
	full := errors.New("full")
	got := make([]error, 3)
	together(t, db, func(do func(func())) {
		do(func() { got[0] = db.Append(t.Context(), "a", 1, resumed) })
		do(func() {
			got[1] = db.write(t.Context(), func(t *tx) error {
				if _, err := t.exec("ROLLBACK"); err != nil {
					return err
				}
				return full
			})
		})
		do(func() { got[2] = db.Append(t.Context(), "b", 1, resumed) })
	})
	for i, err := range got {
		if !errors.Is(err, full) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	for _, run := range []engine.RunID{"a", "b", "c"} {
		if n := len(collect(t, db, run, 0)); n != 1 {
			t.Errorf("run %s has %d events", run, n)
		}
		must(t, db.Append(t.Context(), run, 1, resumed))
	}
}

// together has calls wait for the turn to write, in order, and then gives it to them. It checks
// that they were one transaction at most.
func together(t *testing.T, db *DB, start func(do func(func()))) {
	t.Helper()
	before := db.commits.Load()
	token := <-db.turn
	var calls sync.WaitGroup
	n := 0
	start(func(call func()) {
		calls.Go(call)
		n++
		for len(db.queue.waiting()) < n {
			runtime.Gosched()
		}
	})
	db.turn <- token
	calls.Wait()
	if n := db.commits.Load() - before; n > 1 {
		t.Errorf("there were %d transactions", n)
	}
}

func (q *queue) waiting() []*part {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.parts)
}
