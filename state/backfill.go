package state

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"flow/engine"
)

// A Backfill makes up for slots of a schedule between two times.
type Backfill struct {
	ID          int64
	Schedule    int64     // its id
	From, To    time.Time // inclusive, exclusive
	MaxParallel int       // runs at a time; 0 as 1
	Made        time.Time
	Cancelled   time.Time // when somebody cancelled it; zero: nobody did
	Slots       BackfillCounts
}

// BackfillCounts are numbers of a backfill's slots, by what became of them.
type BackfillCounts struct {
	Waiting                      int
	Active                       int // their runs are not over
	Succeeded, Failed, Cancelled int // by how their runs ended
	Removed                      int // their runs are not there any more
	Skipped, Missed              int
}

// Total returns how many slots there are.
func (c BackfillCounts) Total() int {
	return c.Waiting + c.Active + c.Succeeded + c.Failed + c.Cancelled + c.Removed + c.Skipped + c.Missed
}

// Open reports whether there is something to be done yet, or being done.
func (b Backfill) Open() bool { return b.Slots.Waiting+b.Slots.Active > 0 }

// AddBackfill has runs become due for times of a schedule: for those that have no run, and
// wait for none. added says how many these are. The backfill of the same schedule, From and To
// goes on if there is one, also if it was cancelled. engine.ErrNotFound if there is no such
// schedule.
func (db *DB) AddBackfill(ctx context.Context, b Backfill, times []time.Time) (out Backfill, added int, err error) {
	b.MaxParallel = max(b.MaxParallel, 1)
	err = db.write(ctx, func(t *tx) error {
		if err := hasSchedule(t, b.Schedule); err != nil {
			return err
		}
		if err := t.get(`INSERT INTO backfills (schedule, first, past, max_parallel, made) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (schedule, first, past) DO UPDATE SET max_parallel = excluded.max_parallel, cancelled = NULL RETURNING id`,
			[]any{b.Schedule, b.From.UnixMilli(), b.To.UnixMilli(), int64(b.MaxParallel), t.now}, &b.ID); err != nil {
			return err
		}
		for _, at := range times {
			n, err := t.exec(`INSERT INTO slots (schedule, at, due, kind, backfill, status, decided) VALUES (?1, ?2, ?2, 'backfill', ?3, 'WAITING', ?4)
				ON CONFLICT (schedule, at) DO UPDATE SET kind = 'backfill', backfill = excluded.backfill, status = 'WAITING', reason = '', decided = excluded.decided
					WHERE status IN ('SKIPPED', 'MISSED')`, b.Schedule, at.UnixMilli(), b.ID, t.now)
			if err != nil {
				return err
			}
			added += int(n)
		}
		return nil
	})
	if err != nil {
		return Backfill{}, 0, err
	}
	out, err = db.Backfill(ctx, b.ID)
	return out, added, err
}

// Backfill returns the backfill of that id. engine.ErrNotFound if there is none.
func (db *DB) Backfill(ctx context.Context, id int64) (Backfill, error) {
	found, err := db.backfillsWhere(ctx, " WHERE b.id = ?", id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("backfill %d: %w", id, engine.ErrNotFound)
	}
	return append(found, Backfill{})[0], err
}

// Backfills returns all backfills, or those alone of which something is to be done yet or is
// being done; the newest first.
func (db *DB) Backfills(ctx context.Context, open bool) ([]Backfill, error) {
	if !open {
		return db.backfillsWhere(ctx, "")
	}
	return db.backfillsWhere(ctx, ` WHERE b.id IN (SELECT s.backfill FROM slots s INDEXED BY slots_waiting WHERE s.status = 'WAITING' AND s.backfill IS NOT NULL
		UNION SELECT s.backfill FROM runs r INDEXED BY runs_open CROSS JOIN slots s INDEXED BY slots_by_run ON s.run = r.id WHERE r.ended IS NULL AND s.backfill IS NOT NULL)`)
}

func (db *DB) backfillsWhere(ctx context.Context, condition string, args ...any) (out []Backfill, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT b.id, b.schedule, b.first, b.past, b.max_parallel, b.made, b.cancelled,
				count(iif(s.status = 'WAITING', 1, NULL)), count(iif(r.id IS NOT NULL AND r.ended IS NULL, 1, NULL)),
				count(iif(r.status = 'SUCCEEDED', 1, NULL)), count(iif(r.status = 'FAILED', 1, NULL)),
				count(iif(r.ended IS NOT NULL AND r.status NOT IN ('SUCCEEDED', 'FAILED'), 1, NULL)),
				count(iif(s.run IS NOT NULL AND r.id IS NULL, 1, NULL)),
				count(iif(s.status = 'SKIPPED', 1, NULL)), count(iif(s.status = 'MISSED', 1, NULL))
			FROM backfills b LEFT JOIN slots s ON s.backfill = b.id LEFT JOIN runs r ON r.id = s.run`+condition+`
			GROUP BY b.id ORDER BY b.id DESC`, args...)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, scanBackfill)
		return err
	})
	return out, err
}

func scanBackfill(s scanner, b *Backfill) error {
	var first, past, made int64
	var cancelled sql.NullInt64
	c := &b.Slots
	err := s.Scan(&b.ID, &b.Schedule, &first, &past, &b.MaxParallel, &made, &cancelled,
		&c.Waiting, &c.Active, &c.Succeeded, &c.Failed, &c.Cancelled, &c.Removed, &c.Skipped, &c.Missed)
	b.From, b.To, b.Made, b.Cancelled = time.UnixMilli(first).UTC(), time.UnixMilli(past).UTC(), time.UnixMilli(made).UTC(), timeOf(cancelled)
	return err
}

// CancelBackfill has nothing more started for a backfill: what waits for a run is skipped.
// Runs that are not over go on. engine.ErrNotFound if there is none.
func (db *DB) CancelBackfill(ctx context.Context, id int64) error {
	return db.write(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE backfills SET cancelled = coalesce(cancelled, ?) WHERE id = ?", t.now, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("backfill %d: %w", id, engine.ErrNotFound)
		}
		if err != nil {
			return err
		}
		_, err = t.exec("UPDATE slots SET status = 'SKIPPED', reason = 'the backfill was cancelled', decided = ? WHERE backfill = ? AND status = 'WAITING'", t.now, id)
		return err
	})
}

// BackfillRecord is [DB.Record] of a backfill.
func (db *DB) BackfillRecord(ctx context.Context, id int64) (waiting []Slot, active []ActiveRun, err error) {
	return db.record(ctx, "s.backfill = ?", id)
}
