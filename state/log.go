package state

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"flow/engine"
)

// Append adds events to a run whose last event is number after, and brings the
// projections up to date, in one durable transaction. A run that is not there yet is
// made if the first event is RunStarted; [DB.CreateRun] also stores its sources.
//
// Errors: [engine.ErrConflict] if the run's last event is another one;
// [engine.ErrNotFound] if there is no such run; *[RemovedError] if a run is gone whose
// results are taken over; [ErrOutcomeUnknown] if the commit failed. After any other error
// nothing is stored.
//
// A driver should append through its [Lease] instead.
func (db *DB) Append(ctx context.Context, run engine.RunID, after int64, events ...engine.Event) error {
	return db.append(ctx, run, after, events, nil)
}

// append is Append with something that must hold in the same transaction.
func (db *DB) append(ctx context.Context, run engine.RunID, after int64, events []engine.Event, fence func(*tx) error) error {
	rows, err := encodeAll(after, events)
	if err != nil {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		if fence != nil {
			if err := fence(t); err != nil {
				return err
			}
		}
		if len(events) == 0 {
			return nil
		}
		p, err := db.projection(t, run, after, events)
		if err != nil {
			return err
		}
		return db.store(t, p, events, rows)
	})
}

func encodeAll(after int64, events []engine.Event) ([]row, error) {
	rows := make([]row, len(events))
	for i := range events {
		var err error
		if rows[i], err = encode(&events[i], after+int64(i)+1); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// store writes events and what follows from them. p has been folded up to the event
// before the first.
func (db *DB) store(t *tx, p *projection, events []engine.Event, rows []row) error {
	before := p.seq
	for i := range events {
		seq := p.seq + 1
		_, err := t.exec("INSERT INTO events (run, seq, at, kind, data, crc) VALUES (?, ?, ?, ?, ?, ?)",
			p.num, seq, rows[i].at, rows[i].kind, rows[i].data, rows[i].crc)
		if code(err) == codePrimaryKey {
			return fmt.Errorf("%w: event %d of run %s is there already", engine.ErrConflict, seq, p.id)
		}
		if err != nil {
			return err
		}
		if err := p.apply(t, seq, &events[i]); err != nil {
			return fmt.Errorf("event %d (%s) of run %s: %w", seq, events[i].Kind, p.id, err)
		}
		if err := p.notice(t, seq, &events[i]); err != nil {
			return err
		}
	}
	if err := p.checkUses(t); err != nil {
		return err
	}
	if err := p.flush(t, before); err != nil {
		return err
	}
	if p.run.status.Ended() {
		delete(db.runs, p.id) // seldom needed again
	}
	return nil
}

// A RemovedError says that results were to be used of a run that is not there any more.
// Nothing was stored: who looks results up anew does not find them.
type RemovedError struct {
	Run engine.RunID
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("run %s, whose results were to be used, was removed in this moment", e.Run)
}

// checkUses refuses results of runs that were removed since they were looked up: their
// files are going. Those on S3 are kept by a mark there. What was looked up is not stored, so the next look finds what is there.
func (p *projection) checkUses(t *tx) error {
	for _, from := range p.uses {
		if from.far {
			continue
		}
		var one int
		err := t.get("SELECT 1 FROM runs WHERE id = ?", []any{string(from.run)}, &one)
		if isNoRows(err) {
			return &RemovedError{Run: from.run}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// projection returns the projection of a run whose last event must be number after: as
// it was left by the last call, or read from the tables.
func (db *DB) projection(t *tx, run engine.RunID, after int64, events []engine.Event) (*projection, error) {
	if p := db.runs[run]; p != nil && p.seq == after {
		return p, nil // flush finds out whether the tables went on since
	}
	p, err := loadProjection(t, run)
	switch {
	case errors.Is(err, errDisagree): // somebody changed them by hand
		p, err = refold(t, run)
	case isNoRows(err) && after == 0 && events[0].Kind == engine.RunStarted:
		p, err = newRun(t, run, NewRun{})
	case isNoRows(err):
		err = fmt.Errorf("run %s: %w", run, engine.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if p.seq != after {
		return nil, fmt.Errorf("%w: the last event of run %s is %d, not %d", engine.ErrConflict, run, p.seq, after)
	}
	db.runs[run] = p
	return p, nil
}

// Events yields the events of a run in order, from the one behind after; none for a
// run that is not there. Events that are appended meanwhile may be among them. The
// caller may use the DB while it reads.
func (db *DB) Events(ctx context.Context, run engine.RunID, after int64) iter.Seq2[engine.Event, error] {
	return func(yield func(engine.Event, error) bool) {
		for {
			page, err := db.eventPage(ctx, run, after)
			for i := range page {
				after = page[i].Seq
				if !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(engine.Event{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// A page of events is that many, or the first few that have so many bytes together:
// no transaction stays open while the caller thinks, and memory stays small.
const (
	pageEvents = 500
	pageBytes  = 4 << 20
)

// eventPage returns the next events, and those before the one that cannot be read.
func (db *DB) eventPage(ctx context.Context, run engine.RunID, after int64) (page []engine.Event, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT seq, at, kind, data, crc FROM events
			WHERE run = (SELECT num FROM runs WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?`, string(run), after, pageEvents)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size := 0; size < pageBytes && rows.Next(); {
			var seq int64
			var r row
			if err := rows.Scan(&seq, &r.at, &r.kind, &r.data, &r.crc); err != nil {
				return err
			}
			if seq != after+1 {
				return &Error{Path: db.path, What: ErrCorrupt, Advice: fmt.Sprintf("event %d of run %s is missing", after+1, run)}
			}
			e, err := decode(seq, &r)
			if err != nil {
				return &Error{Path: db.path, What: ErrCorrupt, Err: fmt.Errorf("run %s: %w", run, err)}
			}
			after = seq
			page = append(page, e)
			switch data := r.data.(type) {
			case string:
				size += len(data)
			case []byte:
				size += 4 * len(data)
			}
		}
		return rows.Err()
	})
	return page, err
}

// Rebuild folds the projections of a run anew from its events.
func (db *DB) Rebuild(ctx context.Context, run engine.RunID) error {
	return db.write(ctx, func(t *tx) error {
		delete(db.runs, run)
		_, err := refold(t, run)
		if isNoRows(err) {
			return fmt.Errorf("run %s: %w", run, engine.ErrNotFound)
		}
		return err
	})
}

// refold writes the projection of a run anew, and returns it; sql.ErrNoRows if there is
// no such run.
func refold(t *tx, run engine.RunID) (*projection, error) {
	p, err := resetProjection(t, run)
	if err != nil {
		return nil, err
	}
	last := p.seq
	p.seq = 0
	for p.seq < last {
		e, err := p.event(t, p.seq+1)
		if err != nil {
			return nil, err
		}
		if err := p.apply(t, e.Seq, &e); err != nil {
			return nil, fmt.Errorf("event %d (%s) of run %s: %w", e.Seq, e.Kind, run, err)
		}
	}
	return p, p.flush(t, last)
}

// event reads one event of the run in the transaction.
func (p *projection) event(t *tx, seq int64) (e engine.Event, err error) {
	var r row
	err = t.get("SELECT at, kind, data, crc FROM events WHERE run = ? AND seq = ?", []any{p.num, seq}, &r.at, &r.kind, &r.data, &r.crc)
	if isNoRows(err) {
		return e, fmt.Errorf("event %d of run %s is missing", seq, p.id)
	}
	if err != nil {
		return e, err
	}
	return decode(seq, &r)
}
