package state

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"flow/engine"
)

// ServiceTerm is the term of the service: who has it fires schedules, and drives what is
// entrusted to it.
const ServiceTerm = "service"

// BackfillTerm is the term of a backfill that a process does in the foreground.
func BackfillTerm(id int64) string { return "backfill " + strconv.FormatInt(id, 10) }

// A Term lets one process of all that use the file do something. It is what a [Lease] is for
// a run, with the same rules, and safe for concurrent use.
type Term struct {
	db    *DB
	name  string
	epoch int64
	owner Owner
}

// A TermHeldError says that another process has the term.
type TermHeldError struct {
	Term  string
	Owner Owner
	Since time.Time
	Beat  time.Time // when it was last heard of
	Here  bool      // it is on this host, and runs
	now   time.Time
}

func (e *TermHeldError) Error() string {
	msg := fmt.Sprintf("process %d on %s is the %s since %s", e.Owner.PID, e.Owner.Host, e.Term, e.Since.Local().Format("2006-01-02 15:04:05"))
	if e.Here {
		return msg
	}
	return msg + fmt.Sprintf(", last heard of %s ago", e.now.Sub(e.Beat).Round(time.Second))
}

// TakeTerm gives a process the term of that name. One whose owner was on the same host and
// is gone is taken over at once, one of another host after it has missed its beats;
// *TermHeldError otherwise. Call Renew every [LeaseBeat].
func (db *DB) TakeTerm(ctx context.Context, name string, owner Owner) (*Term, error) {
	if held, err := db.termHolder(ctx, name, owner); err != nil {
		return nil, err
	} else if held != nil {
		return nil, held // who waits looks often: that must not write
	}
	term := &Term{db: db, name: name, owner: owner}
	err := db.write(ctx, func(t *tx) error {
		held, err := db.termHeld(t.get, name, owner)
		if err != nil {
			return err
		}
		if held != nil {
			return held
		}
		return t.get(`INSERT INTO terms (name, epoch, held, host, boot, pid, start, version, acquired, beat)
			VALUES (?1, 1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
			ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1, held = 1, host = excluded.host, boot = excluded.boot,
				pid = excluded.pid, start = excluded.start, version = excluded.version, acquired = excluded.acquired, beat = excluded.beat
			RETURNING epoch`,
			[]any{name, owner.Host, owner.Boot, int64(owner.PID), owner.Start, owner.Version, t.now}, &term.epoch)
	})
	if err != nil {
		return nil, err
	}
	return term, nil
}

// TermHolder returns who has a term; nil: nobody who is alive.
func (db *DB) TermHolder(ctx context.Context, name string) (*TermHeldError, error) {
	return db.termHolder(ctx, name, Self(""))
}

func (db *DB) termHolder(ctx context.Context, name string, me Owner) (held *TermHeldError, err error) {
	err = db.read(ctx, func(q reader) error {
		held, err = db.termHeld(getterOf(ctx, q), name, me)
		return err
	})
	return held, err
}

// termHeld returns who has a term, as far as a process can tell that is where me is.
func (db *DB) termHeld(get getter, name string, me Owner) (*TermHeldError, error) {
	e := &TermHeldError{Term: name, now: db.now().UTC()}
	o := &e.Owner
	var since, beat int64
	err := get("SELECT host, boot, pid, start, version, acquired, beat FROM terms WHERE name = ? AND held = 1", []any{name},
		&o.Host, &o.Boot, &o.PID, &o.Start, &o.Version, &since, &beat)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e.Since, e.Beat = time.UnixMilli(since).UTC(), time.UnixMilli(beat).UTC()
	var lives bool
	if e.Here, lives = db.lives(*o, me, e.Beat); !lives {
		return nil, nil
	}
	return e, nil
}

// lives reports whether an owner that was last heard of at beat is on the host where me is,
// and whether it lives, as far as me can tell.
func (db *DB) lives(o, me Owner, beat time.Time) (here, lives bool) {
	if o.Host == me.Host && o.Boot == me.Boot {
		return true, db.alive(o.PID, o.Start)
	}
	return false, db.now().Sub(beat) <= MissedBeats*LeaseBeat
}

// Name returns which term it is.
func (m *Term) Name() string { return m.name }

// confirm updates the beat; engine.ErrConflict if the term is lost. Nil is the term of nobody,
// which is never lost.
func (m *Term) confirm(t *tx) error {
	if m == nil {
		return nil
	}
	n, err := t.exec("UPDATE terms SET beat = ? WHERE name = ? AND epoch = ? AND held = 1", t.now, m.name, m.epoch)
	if err != nil || n == 1 {
		return err
	}
	var o Owner
	var epoch int64
	if err := t.get("SELECT host, pid, epoch FROM terms WHERE name = ?", []any{m.name}, &o.Host, &o.PID, &epoch); err != nil {
		return err
	}
	if epoch == m.epoch {
		return fmt.Errorf("%w: this process is not the %s any more: it gave the term back", engine.ErrConflict, m.name)
	}
	return fmt.Errorf("%w: process %d on %s is the %s now", engine.ErrConflict, o.PID, o.Host, m.name)
}

// Renew confirms the term. engine.ErrConflict if another process has it.
func (m *Term) Renew(ctx context.Context) error { return m.db.write(ctx, m.confirm) }

// Release gives the term back. It is no error if it is lost already.
func (m *Term) Release(ctx context.Context) error {
	return m.db.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE terms SET held = 0 WHERE name = ? AND epoch = ?", m.name, m.epoch)
		return err
	})
}
