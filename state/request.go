package state

import (
	"context"
	"fmt"
	"time"

	"flow/engine"
)

// RequestCancel is the kind of a wish to cancel a run.
const RequestCancel = "cancel"

// A Request is the wish of another process to the driver of a run. It is pending until
// the run's log answers it: with CancelRequested, or with its end.
type Request struct {
	Seq    int64 // in the run, from 1
	Kind   string
	Reason string
	At     time.Time
}

// AddRequest leaves a wish for the driver of a run, and returns it with its number.
// engine.ErrNotFound if there is no such run.
func (db *DB) AddRequest(ctx context.Context, run engine.RunID, kind, reason string) (Request, error) {
	r := Request{Kind: kind, Reason: reason}
	err := db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		if err != nil {
			return err
		}
		r.At = time.UnixMilli(t.now).UTC()
		return t.get(`INSERT INTO requests (run, seq, kind, reason, at)
			SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4 FROM requests WHERE run = ?1 RETURNING seq`,
			[]any{num, kind, reason, t.now}, &r.Seq)
	})
	if err == nil {
		db.wishes.Add(1)
	}
	return r, err
}

// Requests returns the pending wishes to the driver of a run with numbers above after,
// oldest first. They stay pending until the run's log answers them, so a wish outlives
// a driver that dies before it could.
func (db *DB) Requests(ctx context.Context, run engine.RunID, after int64) ([]Request, error) {
	var out []Request
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT seq, kind, reason, at FROM requests
			WHERE run = (SELECT num FROM runs WHERE id = ?) AND seq > ? AND taken IS NULL ORDER BY seq`, string(run), after)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(s scanner, r *Request) error {
			var at int64
			err := s.Scan(&r.Seq, &r.Kind, &r.Reason, &at)
			r.At = time.UnixMilli(at).UTC()
			return err
		})
		return err
	})
	return out, err
}

// Wished returns the runs whose drivers have pending wishes.
func (db *DB) Wished(ctx context.Context) (runs []engine.RunID, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT DISTINCT r.id FROM requests w JOIN runs r ON r.num = w.run WHERE w.taken IS NULL AND r.ended IS NULL")
		if err != nil {
			return err
		}
		runs, err = scanAll(rows, func(s scanner, run *engine.RunID) error { return s.Scan((*string)(run)) })
		return err
	})
	return runs, err
}

// DropRequests forgets the pending wishes to the driver of a run, as a user does who
// resumes it.
func (db *DB) DropRequests(ctx context.Context, run engine.RunID) error {
	return db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		if err != nil {
			return err
		}
		_, err = t.exec("UPDATE requests SET taken = ? WHERE run = ? AND taken IS NULL", t.now, num)
		return err
	})
}

// Changed reports whether another process has written, or db itself has left a wish, since the
// call that returned last; 0 at first. It reads no table, so a driver can ask several times a second.
func (db *DB) Changed(ctx context.Context, last int64) (now int64, changed bool, err error) {
	if db.readOnly {
		err = db.read(ctx, func(q reader) error {
			return q.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM requests").Scan(&now)
		})
		return now, now != last, err
	}
	if err := db.take(ctx); err != nil {
		return last, false, err
	}
	defer db.give()
	w, err := db.writer(ctx)
	if err != nil {
		return last, false, db.explain(err)
	}
	var version int64 // changes with what other connections commit
	t := &tx{ctx: ctx, w: w}
	if err := t.get("PRAGMA data_version", nil, &version); err != nil {
		return last, false, db.explain(err)
	}
	now = db.opened<<32 + version + db.wishes.Load() // all of them only grow
	return now, now != last, nil
}

// runNum returns how tables name a run; engine.ErrNotFound if there is none.
func runNum(get getter, run engine.RunID) (num int64, err error) {
	err = get("SELECT num FROM runs WHERE id = ?", []any{string(run)}, &num)
	if isNoRows(err) {
		err = fmt.Errorf("run %s: %w", run, engine.ErrNotFound)
	}
	return num, err
}
