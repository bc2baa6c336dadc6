package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// A Schedule is a `schedule` block that a service has seen.
type Schedule struct {
	ID        int64 // how slots name it
	Workflow  string
	Path      string // absolute, of the workflow's files
	Spec      engine.Schedule
	Since     time.Time // slots count from there, exclusive
	Upto      time.Time // up to there, inclusive, they are decided
	Paused    time.Time // when somebody paused it; zero: it is not
	PausedFor string    // why
	Seen      time.Time // when who serves it has read its files last; zero: nobody has
	Gone      bool      // it is not in them any more
	Problem   string    // why the files that are there now cannot be used; "": they can
}

// Full returns the schedule's name with that of its workflow: nightly/daily.
func (s Schedule) Full() string { return s.Workflow + "/" + s.Spec.Name }

// Off reports whether slots pass without anything becoming of them.
func (s Schedule) Off() bool { return s.Gone || s.Spec.Disabled || !s.Paused.IsZero() }

// A ConflictError says that the files at another path have a schedule of that name.
type ConflictError struct {
	Schedule string // its full name
	Path     string // of those files
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the schedule %s is there already, of the files in %s: give one of the two workflows another name, or serve only one of them",
		e.Schedule, e.Path)
}

// Unwrap returns engine.ErrConflict.
func (e *ConflictError) Unwrap() error { return engine.ErrConflict }

// PutSchedules records the schedules that the files of a workflow at path have, and whom to
// tell of slots that are missed; term says who reads them, nil: anybody may. A new schedule
// begins now, one that is not among them any more is gone: what waits for a run of it is
// skipped. One that was gone or disabled goes on from now. *ConflictError, and nothing is
// recorded, if one of them is that of files elsewhere.
func (db *DB) PutSchedules(ctx context.Context, term *Term, path, workflow string, specs []*engine.Schedule, notices []*engine.Notice) error {
	return db.putSchedules(ctx, term, path, workflow, specs, notices, true)
}

// NoteSchedules is PutSchedules for somebody who does not serve them, so that they can be named:
// no slot of a new one counts until a service has read it.
func (db *DB) NoteSchedules(ctx context.Context, path, workflow string, specs []*engine.Schedule, notices []*engine.Notice) error {
	return db.putSchedules(ctx, nil, path, workflow, specs, notices, false)
}

func (db *DB) putSchedules(ctx context.Context, term *Term, path, workflow string, specs []*engine.Schedule, notices []*engine.Notice, served bool) error {
	rules, err := json.Marshal(notices)
	if err != nil {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		if err := term.confirm(t); err != nil {
			return err
		}
		for _, spec := range specs {
			if err := putSchedule(t, path, workflow, spec, string(rules), served); err != nil {
				return err
			}
		}
		if err := dropSchedules(t, path, workflow, specs); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO watched (path, workflow, since) VALUES (?, ?, ?)
			ON CONFLICT (path) DO UPDATE SET workflow = excluded.workflow, since = iif(problem = '', since, excluded.since), problem = ''`,
			path, workflow, t.now)
		return err
	})
}

func putSchedule(t *tx, path, workflow string, spec *engine.Schedule, rules string, served bool) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	var id, seen int64
	var where, had string
	var gone bool
	now := int64(0) // when who serves it has read it
	if served {
		now = t.now
	}
	err = t.get("SELECT id, path, spec, gone, seen FROM schedules WHERE workflow = ? AND name = ?", []any{workflow, spec.Name}, &id, &where, &had, &gone, &seen)
	if isNoRows(err) {
		_, err = t.exec("INSERT INTO schedules (workflow, name, path, spec, rules, since, upto, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
			workflow, spec.Name, path, string(text), rules, t.now, now)
		return err
	}
	if err != nil {
		return err
	}
	if where != path && !gone {
		return &ConflictError{Schedule: workflow + "/" + spec.Name, Path: where}
	}
	var before engine.Schedule
	if err := json.Unmarshal([]byte(had), &before); err != nil {
		return fmt.Errorf("the schedule %s/%s: %w", workflow, spec.Name, err)
	}
	from := int64(0)
	if gone || before.Disabled || seen == 0 {
		from = t.now // nobody knows when it came back, or served it
	}
	_, err = t.exec("UPDATE schedules SET path = ?, spec = ?, rules = ?, seen = max(seen, ?), gone = 0, upto = max(upto, ?) WHERE id = ?",
		path, string(text), rules, now, from, id)
	return err
}

// dropSchedules marks schedules of path as gone that are not among specs.
func dropSchedules(t *tx, path, workflow string, specs []*engine.Schedule) error {
	rows, err := t.query("SELECT id, workflow, name FROM schedules WHERE path = ? AND gone = 0", path)
	if err != nil {
		return err
	}
	type known struct {
		id             int64
		workflow, name string
	}
	all, err := scanAll(rows, func(s scanner, k *known) error { return s.Scan(&k.id, &k.workflow, &k.name) })
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.workflow == workflow && slices.ContainsFunc(specs, func(s *engine.Schedule) bool { return s.Name == k.name }) {
			continue
		}
		if _, err := t.exec("UPDATE schedules SET gone = 1 WHERE id = ?", k.id); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE slots SET status = 'SKIPPED', reason = 'the schedule is not in its file any more', decided = ?
			WHERE schedule = ? AND status = 'WAITING' AND kind <> 'backfill'`, t.now, k.id); err != nil {
			return err
		}
	}
	return nil
}

const scheduleColumns = `c.id, c.workflow, c.path, c.spec, c.since, c.upto, c.paused, c.paused_for, c.seen, c.gone, coalesce(w.problem, '')
	FROM schedules c LEFT JOIN watched w ON w.path = c.path`

func scanSchedule(s scanner, c *Schedule) error {
	var spec string
	var since, upto, seen int64
	var paused sql.NullInt64
	if err := s.Scan(&c.ID, &c.Workflow, &c.Path, &spec, &since, &upto, &paused, &c.PausedFor, &seen, &c.Gone, &c.Problem); err != nil {
		return err
	}
	c.Since, c.Upto, c.Paused = time.UnixMilli(since).UTC(), time.UnixMilli(upto).UTC(), timeOf(paused)
	if seen > 0 {
		c.Seen = time.UnixMilli(seen).UTC()
	}
	if err := json.Unmarshal([]byte(spec), &c.Spec); err != nil {
		return fmt.Errorf("a schedule of workflow %s: %w", c.Workflow, err)
	}
	return nil
}

// Schedules returns all schedules that were ever seen, by full name.
func (db *DB) Schedules(ctx context.Context) ([]Schedule, error) {
	return db.schedulesWhere(ctx, "")
}

func (db *DB) schedulesWhere(ctx context.Context, condition string, args ...any) (out []Schedule, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT "+scheduleColumns+condition+" ORDER BY c.workflow, c.name", args...)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, scanSchedule)
		return err
	})
	return out, err
}

// A ScheduleRefError says that a reference to a schedule names none, or several.
type ScheduleRefError struct {
	Ref       string
	Names     []string // full names: those it fits, or else all there are
	Ambiguous bool
}

func (e *ScheduleRefError) Error() string {
	switch {
	case e.Ambiguous:
		return fmt.Sprintf("several workflows have a schedule %q: %s", e.Ref, strings.Join(e.Names, ", "))
	case len(e.Names) == 0:
		return fmt.Sprintf("no schedule %q: there are no schedules yet", e.Ref)
	}
	return fmt.Sprintf("no schedule %q; there are: %s", e.Ref, strings.Join(e.Names, ", "))
}

// Unwrap returns engine.ErrNotFound unless the reference is ambiguous.
func (e *ScheduleRefError) Unwrap() error {
	if e.Ambiguous {
		return nil
	}
	return engine.ErrNotFound
}

// Schedule returns the schedule of that full name, or of that name alone if one schedule has
// it; those that are gone count if no other does. *ScheduleRefError if none has it, or several.
func (db *DB) Schedule(ctx context.Context, name string) (Schedule, error) {
	all, err := db.Schedules(ctx)
	if err != nil {
		return Schedule{}, err
	}
	e := &ScheduleRefError{Ref: name}
	for _, gone := range []bool{false, true} {
		var fits []Schedule
		for i := range all {
			switch s := &all[i]; {
			case s.Full() == name:
				return *s, nil
			case s.Gone == gone && s.Spec.Name == name:
				fits = append(fits, *s)
			}
		}
		if len(fits) == 1 {
			return fits[0], nil
		}
		if len(fits) > 1 {
			e.Names, e.Ambiguous = fullNames(fits), true
			return Schedule{}, e
		}
	}
	e.Names = fullNames(slices.DeleteFunc(all, func(s Schedule) bool { return s.Gone }))
	return Schedule{}, e
}

func fullNames(ss []Schedule) []string {
	out := make([]string, len(ss))
	for i := range ss {
		out[i] = ss[i].Full()
	}
	return out
}

// ScheduleByID returns the schedule of that id. engine.ErrNotFound if there is none.
func (db *DB) ScheduleByID(ctx context.Context, id int64) (Schedule, error) {
	found, err := db.schedulesWhere(ctx, " WHERE c.id = ?", id)
	if err == nil && len(found) == 0 {
		err = noSchedule(id)
	}
	return append(found, Schedule{})[0], err
}

func noSchedule(id int64) error { return fmt.Errorf("schedule %d: %w", id, engine.ErrNotFound) }

// PauseSchedule has a schedule start nothing more by itself, for a reason that people are
// told. What waits for a run stays. One that is paused already stays so since then.
// engine.ErrNotFound if there is none.
func (db *DB) PauseSchedule(ctx context.Context, id int64, reason string) error {
	return db.changeSchedule(ctx, id, "UPDATE schedules SET paused = coalesce(paused, ?1), paused_for = ?3 WHERE id = ?2", reason)
}

// ResumeSchedule has a schedule that was paused go on from now: what passed meanwhile is not
// made up for. engine.ErrNotFound if there is none.
func (db *DB) ResumeSchedule(ctx context.Context, id int64) error {
	return db.changeSchedule(ctx, id, "UPDATE schedules SET upto = iif(paused IS NULL, upto, max(upto, ?1)), paused = NULL, paused_for = '' WHERE id = ?2")
}

// changeSchedule runs a statement with the time and the id as ?1 and ?2.
func (db *DB) changeSchedule(ctx context.Context, id int64, query string, more ...any) error {
	return db.write(ctx, func(t *tx) error {
		n, err := t.exec(query, append([]any{t.now, id}, more...)...)
		if err == nil && n == 0 {
			err = noSchedule(id)
		}
		return err
	})
}

// A Problem is that the files of a workflow cannot be used as they are; what was there before
// stays in force.
type Problem struct {
	Path     string
	Workflow string // as it was; "": it was never read
	Text     string // the diagnostics
	Since    time.Time
}

// SetProblem records why the files at path cannot be used; "": they can, or are not there any
// more. It writes only if that changes.
func (db *DB) SetProblem(ctx context.Context, term *Term, path, text string) error {
	had := ""
	err := db.read(ctx, func(q reader) error {
		return getterOf(ctx, q)("SELECT problem FROM watched WHERE path = ?", []any{path}, &had)
	})
	if err != nil && !isNoRows(err) {
		return err
	}
	if had == text {
		return nil
	}
	return db.write(ctx, func(t *tx) error {
		if err := term.confirm(t); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO watched (path, problem, since) VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET problem = excluded.problem, since = excluded.since",
			path, text, t.now)
		return err
	})
}

// Problems returns of which files there is a problem, by path.
func (db *DB) Problems(ctx context.Context) (out []Problem, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT path, workflow, problem, since FROM watched WHERE problem <> '' ORDER BY path")
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(s scanner, p *Problem) error {
			var since int64
			err := s.Scan(&p.Path, &p.Workflow, &p.Text, &since)
			p.Since = time.UnixMilli(since).UTC()
			return err
		})
		return err
	})
	return out, err
}

// KeepSources keeps the files of a workflow at path, which can be used: should they be broken
// later, also before the next service starts, these stay in force.
func (db *DB) KeepSources(ctx context.Context, term *Term, path string, files []Source) error {
	text, err := json.Marshal(files)
	if err != nil {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		if err := term.confirm(t); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO watched (path, since, sources) VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET sources = excluded.sources",
			path, t.now, deflate(text))
		return err
	})
}

// KeptSources returns what KeepSources kept last; nil: nothing.
func (db *DB) KeptSources(ctx context.Context, path string) (files []Source, err error) {
	err = db.read(ctx, func(q reader) error {
		var data []byte
		err := getterOf(ctx, q)("SELECT sources FROM watched WHERE path = ?", []any{path}, &data)
		if isNoRows(err) || data == nil {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := inflate(data)
		if err == nil {
			err = json.Unmarshal(text, &files)
		}
		if err != nil {
			return &Error{Path: db.path, What: ErrCorrupt, Err: errors.Join(fmt.Errorf("the kept files of %s", path), err)}
		}
		return nil
	})
	return files, err
}
