package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"flow/engine"
)

// SlotKind says where a slot is from.
type SlotKind string

const (
	SlotCron     SlotKind = "cron"
	SlotManual   SlotKind = "manual"   // somebody triggered it
	SlotBackfill SlotKind = "backfill" // of a backfill
)

// SlotStatus says what became of a slot.
type SlotStatus string

const (
	SlotWaiting SlotStatus = "WAITING" // it is to get a run, maybe not yet
	SlotStarted SlotStatus = "STARTED" // it has one
	SlotSkipped SlotStatus = "SKIPPED" // it gets none, as the schedule's overlap or a user said
	SlotMissed  SlotStatus = "MISSED"  // nobody was there in time, or it could not start in time
)

// A Slot is a time at which a run of a schedule is due, or was.
type Slot struct {
	Schedule int64 // its id
	Time     time.Time
	Due      time.Time // Time and jitter
	Kind     SlotKind
	Backfill int64 // its id; 0: of none
	Status   SlotStatus
	Run      engine.RunID // "": it has none
	Reason   string       // of its status, for people
	Late     bool         // nobody was there when it was due
	Params   json.RawMessage
	Decided  time.Time
	Started  time.Time // zero: it has no run

	// RunStatus, RunEnded: of the run, from Slots alone; Removed: it is not there any more.
	RunStatus engine.Status
	RunEnded  time.Time // zero: it is not over
	Removed   bool
}

// An ActiveRun is a run of a slot that is not over.
type ActiveRun struct {
	Run        engine.RunID
	Slot       time.Time
	Cancelling bool // somebody asked for it
}

// A SlotClaim is which slot a run is created for. Term says who may; nil: anybody.
type SlotClaim struct {
	Schedule int64
	Time     time.Time
	Term     *Term
	// Add has the slot become due in the transaction that creates the run, as AddSlot does,
	// which has the same error: so that nobody else can start it before, and it is not there
	// if the run cannot be created.
	Add bool
}

// take makes the slot one that has the run. engine.ErrConflict if it does not wait for one.
func (c *SlotClaim) take(t *tx, run engine.RunID) error {
	if err := c.Term.confirm(t); err != nil {
		return err
	}
	if c.Add {
		if err := addSlot(t, &Slot{Schedule: c.Schedule, Time: c.Time, Due: time.UnixMilli(t.now)}); err != nil {
			return err
		}
	}
	n, err := t.exec("UPDATE slots SET status = 'STARTED', run = ?, started = ?, reason = '' WHERE schedule = ? AND at = ? AND status = 'WAITING'",
		string(run), t.now, c.Schedule, c.Time.UnixMilli())
	if err != nil || n == 1 {
		return err
	}
	at := c.Time.UTC().Format(time.RFC3339)
	var status, has, reason string
	err = t.get("SELECT status, coalesce(run, ''), reason FROM slots WHERE schedule = ? AND at = ?", []any{c.Schedule, c.Time.UnixMilli()}, &status, &has, &reason)
	switch {
	case isNoRows(err):
		return fmt.Errorf("%w: no run is due at %s", engine.ErrConflict, at)
	case err != nil:
		return err
	case has != "":
		return fmt.Errorf("%w: run %s was started for %s already", engine.ErrConflict, has, at)
	}
	return fmt.Errorf("%w: what was due at %s is %s: %s", engine.ErrConflict, at, status, reason)
}

const slotColumns = "s.schedule, s.at, s.due, s.kind, coalesce(s.backfill, 0), s.status, coalesce(s.run, ''), s.reason, s.late, s.params, s.decided, s.started"

// scanSlotAnd reads a row of slotColumns, and what follows them.
func scanSlotAnd(s scanner, v *Slot, more ...any) error {
	var at, due, decided int64
	var started sql.NullInt64
	var params sql.NullString
	if err := s.Scan(append([]any{&v.Schedule, &at, &due, &v.Kind, &v.Backfill, &v.Status, &v.Run, &v.Reason, &v.Late, &params, &decided, &started}, more...)...); err != nil {
		return err
	}
	v.Time, v.Due, v.Decided, v.Started = time.UnixMilli(at).UTC(), time.UnixMilli(due).UTC(), time.UnixMilli(decided).UTC(), timeOf(started)
	if params.Valid {
		v.Params = json.RawMessage(params.String)
	}
	return nil
}

// Record returns what a decision about a schedule needs to know: its slots that wait for a
// run and its runs that are not over, both in order, those of backfills apart.
func (db *DB) Record(ctx context.Context, id int64) (waiting []Slot, active []ActiveRun, err error) {
	return db.record(ctx, "s.schedule = ? AND s.kind <> 'backfill'", id)
}

// record reads slots and runs from one moment: what started in between would be in both, or
// in neither.
func (db *DB) record(ctx context.Context, which string, id int64) (waiting []Slot, active []ActiveRun, err error) {
	err = db.read(ctx, func(q reader) error {
		// Runs that are not over and slots that wait are few, slots are many, and SQLite does not
		// know: it is told where to look.
		rows, err := q.QueryContext(ctx, "SELECT "+slotColumns+`, 0 FROM slots s INDEXED BY slots_waiting WHERE s.status = 'WAITING' AND `+which+`
			UNION ALL SELECT `+slotColumns+`, 1 + (r.cancelling OR EXISTS (SELECT 1 FROM requests q WHERE q.run = r.num AND q.kind = '`+RequestCancel+`' AND q.taken IS NULL))
			FROM runs r INDEXED BY runs_open CROSS JOIN slots s INDEXED BY slots_by_run ON s.run = r.id WHERE r.ended IS NULL AND `+which+`
			ORDER BY 2`, id, id)
		if err != nil {
			return err
		}
		type both struct {
			Slot
			is int
		}
		all, err := scanAll(rows, func(s scanner, v *both) error { return scanSlotAnd(s, &v.Slot, &v.is) })
		for _, v := range all {
			if v.is == 0 {
				waiting = append(waiting, v.Slot)
			} else {
				active = append(active, ActiveRun{Run: v.Run, Slot: v.Time, Cancelling: v.is == 2})
			}
		}
		return err
	})
	return waiting, active, err
}

// DecideSlots records what becomes of slots of a schedule, and up to when all are decided,
// at once; term says who may, nil: anybody. It makes new slots, and changes those of the same
// kind that wait for a run; one that has a run, or was skipped or missed, stays as it is. Who wants to be
// told of missed ones is. engine.ErrNotFound if there is no such schedule, engine.ErrConflict
// if the term is lost.
func (db *DB) DecideSlots(ctx context.Context, term *Term, id int64, upto time.Time, slots []Slot) error {
	return db.write(ctx, func(t *tx) error {
		if err := term.confirm(t); err != nil {
			return err
		}
		n, err := t.exec("UPDATE schedules SET upto = max(upto, ?) WHERE id = ?", upto.UnixMilli(), id)
		if err == nil && n == 0 {
			err = noSchedule(id)
		}
		if err != nil {
			return err
		}
		for i := range slots {
			if err := decideSlot(t, id, &slots[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func decideSlot(t *tx, id int64, s *Slot) error {
	if s.Status == SlotStarted {
		return fmt.Errorf("the slot of %s cannot be started without a run", s.Time.UTC().Format(time.RFC3339))
	}
	kind, due := s.Kind, s.Due
	if kind == "" {
		kind = SlotCron
	}
	if due.IsZero() {
		due = s.Time
	}
	n, err := t.exec(`INSERT INTO slots (schedule, at, due, kind, backfill, status, reason, late, params, decided) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (schedule, at) DO UPDATE SET status = excluded.status, reason = excluded.reason, late = late OR excluded.late, decided = excluded.decided
			WHERE status = 'WAITING' AND kind = excluded.kind`,
		id, s.Time.UnixMilli(), due.UnixMilli(), string(kind), orNull(s.Backfill), string(s.Status), s.Reason, s.Late, textOrNull(s.Params), t.now)
	if err != nil || n == 0 || s.Status != SlotMissed {
		return err
	}
	return noticeMissed(t, id, s.Time, s.Reason)
}

func textOrNull(text json.RawMessage) any {
	if text == nil {
		return nil
	}
	return string(text)
}

// SlotReason says why a slot still waits. It writes only if that changes; one that waits no
// more keeps its own reason.
func (db *DB) SlotReason(ctx context.Context, term *Term, id int64, slot time.Time, reason string) error {
	var had string
	err := db.read(ctx, func(q reader) error {
		return getterOf(ctx, q)("SELECT reason FROM slots WHERE schedule = ? AND at = ? AND status = 'WAITING'", []any{id, slot.UnixMilli()}, &had)
	})
	if isNoRows(err) || err == nil && had == reason {
		return nil
	}
	if err != nil {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		if err := term.confirm(t); err != nil {
			return err
		}
		_, err := t.exec("UPDATE slots SET reason = ? WHERE schedule = ? AND at = ? AND status = 'WAITING'", reason, id, slot.UnixMilli())
		return err
	})
}

// AddSlot has a run become due that somebody asked for: the slot waits for one, is of kind
// manual, and has the given Time, Due (zero: Time), Reason and Params. Of one that was skipped
// or missed the same holds. engine.ErrConflict if that time has a run already,
// engine.ErrNotFound if there is no such schedule.
func (db *DB) AddSlot(ctx context.Context, s Slot) error {
	if s.Due.IsZero() {
		s.Due = s.Time
	}
	return db.write(ctx, func(t *tx) error { return addSlot(t, &s) })
}

func addSlot(t *tx, s *Slot) error {
	if err := hasSchedule(t, s.Schedule); err != nil {
		return err
	}
	n, err := t.exec(`INSERT INTO slots (schedule, at, due, kind, status, reason, params, decided) VALUES (?, ?, ?, 'manual', 'WAITING', ?, ?, ?)
		ON CONFLICT (schedule, at) DO UPDATE SET due = excluded.due, kind = 'manual', backfill = NULL, status = 'WAITING', reason = excluded.reason,
			late = 0, params = excluded.params, decided = excluded.decided WHERE status <> 'STARTED'`,
		s.Schedule, s.Time.UnixMilli(), s.Due.UnixMilli(), s.Reason, textOrNull(s.Params), t.now)
	if err != nil || n == 1 {
		return err
	}
	return (&SlotClaim{Schedule: s.Schedule, Time: s.Time}).take(t, "") // says which run
}

func hasSchedule(t *tx, id int64) error {
	var one int
	err := t.get("SELECT 1 FROM schedules WHERE id = ?", []any{id}, &one)
	if isNoRows(err) {
		return noSchedule(id)
	}
	return err
}

// SlotFilter says which slots are wanted. The zero value wants all.
type SlotFilter struct {
	Schedule int64        // 0: of any
	Backfill int64        // 0: of any, and of none
	Status   []SlotStatus // any of them; nil: all
	Run      engine.RunID // "": of any, and of none
	After    time.Time    // with a time after that; zero: any
	Before   time.Time    // with a time before that; zero: any
	Limit    int          // at most so many; 0: all
}

// SlotAt returns the slot of a schedule at a time. engine.ErrNotFound (wrapped) if there is none.
func (db *DB) SlotAt(ctx context.Context, schedule int64, at time.Time) (Slot, error) {
	found, err := db.Slots(ctx, SlotFilter{Schedule: schedule, Before: at.Add(time.Millisecond), Limit: 1})
	if err == nil && (len(found) == 0 || !found[0].Time.Equal(at)) {
		err = fmt.Errorf("the slot %s: %w", at.UTC().Format(time.RFC3339Nano), engine.ErrNotFound)
	}
	if err != nil {
		return Slot{}, err
	}
	return found[0], nil
}

// Slots returns slots, the latest time first.
func (db *DB) Slots(ctx context.Context, f SlotFilter) (out []Slot, err error) {
	w, from := where{}, "slots s"
	switch { // SQLite does not know which slots are few: it is told where to look
	case len(f.Status) == 1 && f.Status[0] == SlotWaiting:
		w.add("s.status = 'WAITING'")
		from += " INDEXED BY slots_waiting"
	case len(f.Status) == 1 && f.Schedule != 0:
		from += " INDEXED BY slots_by_status"
	}
	if f.Schedule != 0 {
		w.add("s.schedule = ?", f.Schedule)
	}
	if f.Backfill != 0 {
		w.add("s.backfill = ?", f.Backfill)
	}
	if len(f.Status) > 0 {
		names := make([]any, len(f.Status))
		for i, s := range f.Status {
			names[i] = string(s)
		}
		w.in("s.status", names)
	}
	if f.Run != "" {
		w.add("s.run = ?", string(f.Run))
	}
	if !f.After.IsZero() {
		w.add("s.at > ?", f.After.UnixMilli())
	}
	if !f.Before.IsZero() {
		w.add("s.at < ?", f.Before.UnixMilli())
	}
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT "+slotColumns+", r.status, r.ended FROM "+from+" LEFT JOIN runs r ON r.id = s.run"+
			w.String()+" ORDER BY s.at DESC, s.schedule"+limits(f.Limit, 0), w.args...)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, scanSlotOfRun)
		return err
	})
	return out, err
}

func scanSlotOfRun(s scanner, v *Slot) error {
	var status sql.NullString
	var ended sql.NullInt64
	if err := scanSlotAnd(s, v, &status, &ended); err != nil {
		return err
	}
	v.RunEnded = timeOf(ended)
	if !status.Valid {
		v.Removed = v.Run != ""
		return nil
	}
	return v.RunStatus.UnmarshalText([]byte(status.String))
}
