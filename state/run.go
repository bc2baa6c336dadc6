package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"flow/engine"
)

// NewRun is what a run is created with.
type NewRun struct {
	Info    engine.RunInfo
	Dir     string   // absolute directory of the workflow's files
	Sources []Source // the workflow's files
	Steps   []StepInfo
	// Params is JSON that the caller wants back from Run.Params; nil: nothing.
	Params  json.RawMessage
	Notices []*engine.Notice // whom it tells of what happens to it
	Slot    *SlotClaim       // what it is started for; nil: for nothing
	Entrust bool             // the service is to drive it
	// Created is when a run was created of which nothing but its files was left; zero: now.
	Created time.Time
}

// A Source is a file of a workflow.
type Source struct {
	Name  string `json:"name"` // relative to the workflow's directory
	Bytes []byte `json:"bytes"`
}

// StepInfo is a step of a workflow, in source order.
type StepInfo struct {
	Name   engine.StepName `json:"name"`
	FanOut bool            `json:"fan_out,omitempty"`
}

// CreateRun makes a run: it stores the bytes of its workflow, so that resuming it never
// depends on an edited file, and appends RunStarted, with the time of its creation, as its
// first event. engine.ErrConflict (wrapped) if there is a run of that id, or r.Slot does not
// wait for one: of all who want to start a run for a slot, one does.
func (db *DB) CreateRun(ctx context.Context, r NewRun) error {
	if r.Info.Run == "" {
		return errors.New("a run without an id cannot be created")
	}
	at := r.Created
	if at.IsZero() {
		at = db.now()
	}
	events := []engine.Event{{At: at.UTC(), Kind: engine.RunStarted, Info: &r.Info}}
	rows, err := encodeAll(0, events)
	if err != nil {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		p, err := newRun(t, r.Info.Run, r)
		if err != nil {
			return err
		}
		if r.Slot != nil {
			if err := r.Slot.take(t, p.id); err != nil {
				return err
			}
		}
		if r.Entrust {
			if err := entrust(t, p.num); err != nil {
				return err
			}
		}
		for i, s := range r.Sources {
			sum := sha256.Sum256(s.Bytes)
			if _, err := t.exec("INSERT OR IGNORE INTO blobs (sum, data) VALUES (?, ?)", sum[:], deflate(s.Bytes)); err != nil {
				return err
			}
			if _, err := t.exec("INSERT INTO sources (run, ord, name, sum) VALUES (?, ?, ?, ?)", p.num, int64(i), s.Name, sum[:]); err != nil {
				return err
			}
		}
		if len(r.Notices) > 0 {
			rules, err := json.Marshal(r.Notices)
			if err != nil {
				return err
			}
			if err := setNotices(t, p.num, string(rules)); err != nil {
				return err
			}
		}
		db.runs[p.id] = p
		return db.store(t, p, events, rows)
	})
}

// newRun adds a run without events.
func newRun(t *tx, id engine.RunID, r NewRun) (*projection, error) {
	var params any
	if r.Params != nil {
		params = string(r.Params)
	}
	p := &projection{id: id, maxRows: t.taskRows, names: map[engine.StepName]*stepState{}}
	err := t.get(`INSERT INTO runs (id, workflow, version, executor, work_dir, dir, params, seq, status, created)
		VALUES (?, '', '', '', '', ?, ?, 0, 'PENDING', ?) ON CONFLICT (id) DO NOTHING RETURNING num`,
		[]any{string(id), r.Dir, params, t.now}, &p.num)
	if isNoRows(err) {
		return nil, fmt.Errorf("%w: there is a run %s already", engine.ErrConflict, id)
	}
	for _, s := range r.Steps {
		p.addStep(s.Name, s.FanOut)
	}
	return p, err
}

// Sources returns the files of a run's workflow, as they were when it was created.
func (db *DB) Sources(ctx context.Context, run engine.RunID) ([]Source, error) {
	var out []Source
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT s.name, s.sum, b.data FROM sources s JOIN blobs b ON b.sum = s.sum
			WHERE s.run = (SELECT num FROM runs WHERE id = ?) ORDER BY s.ord`, string(run))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s Source
			var sum, data []byte
			if err := rows.Scan(&s.Name, &sum, &data); err != nil {
				return err
			}
			if s.Bytes, err = inflate(data); err == nil && sha256.Sum256(s.Bytes) != [32]byte(sum) {
				err = errors.New("its checksum differs")
			}
			if err != nil {
				return &Error{Path: db.path, What: ErrCorrupt, Err: fmt.Errorf("%s of run %s: %w", s.Name, run, err)}
			}
			out = append(out, s)
		}
		return rows.Err()
	})
	return out, err
}

// DeleteRun removes all that is known of a run, its results in the cache too. It
// touches no file of its tasks. *HeldError if a driver owns the run; *UsedError if a run
// uses its results that is not among going, those that are to be removed as well;
// engine.ErrNotFound if there is no such run.
func (db *DB) DeleteRun(ctx context.Context, run engine.RunID, going ...engine.RunID) error {
	return db.write(ctx, func(t *tx) error {
		delete(db.runs, run)
		p, err := findRun(t, run)
		if isNoRows(err) {
			return fmt.Errorf("run %s: %w", run, engine.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if held, err := db.holderFor(t.get, run, p.num, Self("")); err != nil {
			return err
		} else if held != nil {
			return held
		}
		users, err := usedBy(t.query, run)
		if err != nil {
			return err
		}
		for _, by := range users {
			if by != run && !slices.Contains(going, by) {
				return &UsedError{Run: run, By: by}
			}
		}
		return p.delete(t)
	})
}

// Delete is [DB.DeleteRun] for the owner of the lease, whoever uses the run's results: they
// are gone already. The lease goes with it.
func (l *Lease) Delete(ctx context.Context) error {
	return l.db.write(ctx, func(t *tx) error {
		if err := l.confirm(t); err != nil {
			return err
		}
		delete(l.db.runs, l.run)
		p, err := findRun(t, l.run)
		if err != nil {
			return err
		}
		return p.delete(t)
	})
}

// delete removes all that is known of the run.
func (p *projection) delete(t *tx) error {
	if err := p.deleteResults(t); err != nil {
		return err
	}
	for _, query := range []string{
		"DELETE FROM events WHERE run = ?",
		"DELETE FROM tasks WHERE run = ?",
		"DELETE FROM jobs WHERE run = ?",
		"DELETE FROM steps WHERE run = ?",
		"DELETE FROM uses WHERE run = ?",
		"DELETE FROM requests WHERE run = ?",
		"DELETE FROM notices WHERE run = ?",
		"DELETE FROM notice_rules WHERE run = ?",
		"DELETE FROM leases WHERE run = ?",
		"DELETE FROM entrusted WHERE run = ?",
		"DELETE FROM pool_holds WHERE run = ?",
		`DELETE FROM blobs WHERE sum IN (SELECT sum FROM sources WHERE run = ?1)
			AND NOT EXISTS (SELECT 1 FROM sources s WHERE s.sum = blobs.sum AND s.run <> ?1)`,
		"DELETE FROM sources WHERE run = ?",
		"DELETE FROM runs WHERE num = ?",
	} {
		if _, err := t.exec(query, p.num); err != nil {
			return err
		}
	}
	return nil
}

// A UsedError says that a run cannot be removed, since another one uses its results.
type UsedError struct {
	Run, By engine.RunID
}

func (e *UsedError) Error() string {
	return fmt.Sprintf("run %s cannot be removed: run %s uses its results", e.Run, e.By)
}

// deleteResults removes the run's results from the cache, by the keys in its events:
// an index of the cache by run would cost more than the cache.
func (p *projection) deleteResults(t *tx) error {
	if err := p.loadSteps(t); err != nil {
		return err
	}
	rows, err := t.query("SELECT seq FROM events WHERE run = ? AND kind = ?", p.num, string(engine.StepExpanded))
	if err != nil {
		return err
	}
	seqs, err := scanAll(rows, func(s scanner, seq *int64) error { return s.Scan(seq) })
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		e, err := p.event(t, seq)
		if err != nil || p.names[e.Step] == nil || e.Expanded == nil || !e.Expanded.Fits() {
			continue // a damaged event must not keep the run from being deleted; Lookup passes over what is left
		}
		if err := p.deleteResultsOf(t, p.names[e.Step], &e); err != nil {
			return err
		}
	}
	_, err = t.exec("DELETE FROM cache_ranges WHERE run = ?", p.num)
	return err
}

// deleteResultsOf removes the results of the tasks that an event told from the cache.
func (p *projection) deleteResultsOf(t *tx, s *stepState, e *engine.Event) error {
	keys := engine.NewTaskKeys(&engine.Step{Name: s.name, FanOut: s.fanOut}, e.Expanded)
	if keys == nil {
		return nil
	}
	if _, ok := keys.Family(); ok && s.packed && s.expanded == e.Seq {
		return nil // they are in cache_ranges
	}
	for i := range e.Expanded.Size {
		key := keys.Key(i)
		if _, err := t.exec("DELETE FROM cache WHERE key = ? AND run = ?", key[:], p.num); err != nil {
			return err
		}
	}
	return nil
}

// UsedBy returns the runs that use results of a run: they need its files.
func (db *DB) UsedBy(ctx context.Context, run engine.RunID) (out []engine.RunID, err error) {
	err = db.read(ctx, func(q reader) error {
		out, err = usedBy(func(query string, args ...any) (*sql.Rows, error) {
			return q.QueryContext(ctx, query, args...)
		}, run)
		return err
	})
	return out, err
}

// Uses returns the runs whose results a run uses.
func (db *DB) Uses(ctx context.Context, run engine.RunID) (out []engine.RunID, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT source FROM uses WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY source", string(run))
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(s scanner, id *engine.RunID) error { return s.Scan(id) })
		return err
	})
	return out, err
}

func usedBy(ask func(string, ...any) (*sql.Rows, error), run engine.RunID) ([]engine.RunID, error) {
	rows, err := ask("SELECT r.id FROM uses u JOIN runs r ON r.num = u.run WHERE u.source = ? ORDER BY r.num", string(run))
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(s scanner, id *engine.RunID) error { return s.Scan(id) })
}

// scanAll reads all rows, and closes them.
func scanAll[T any](rows *sql.Rows, scan func(scanner, *T) error) (out []T, err error) {
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
