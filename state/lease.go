package state

import (
	"context"
	"fmt"
	"iter"
	"time"

	"flow/engine"
)

// A lease that its owner does not confirm is stale after MissedBeats times LeaseBeat.
const (
	LeaseBeat   = 10 * time.Second // how often a driver should call Renew
	MissedBeats = 3
)

// An Owner is a process that drives a run.
type Owner struct {
	Host    string
	Boot    string // of the host, and of the process's namespace: pids mean nothing outside; "": not known
	PID     int
	Start   int64  // when the process was started, in units of the host's own; 0: not known
	Version string // of flow
}

// A Lease lets one driver own a run. It is safe for concurrent use.
type Lease struct {
	db    *DB
	run   engine.RunID
	num   int64
	epoch int64
	owner Owner
}

// A HeldError says that another driver owns the run.
type HeldError struct {
	Run   engine.RunID
	Owner Owner
	Since time.Time
	Beat  time.Time // when it was last heard of
	Here  bool      // it is on this host, and runs
	// Service says that it is the service, which drives the run among others.
	Service bool
	now     time.Time
}

func (e *HeldError) Error() string {
	msg := fmt.Sprintf("run %s is being driven by %s since %s", e.Run, e.Driver(), e.Since.Local().Format("2006-01-02 15:04:05"))
	if e.Service {
		return msg + "; cancel it, or wait until it is done"
	}
	if e.Here {
		return msg + "; wait until it is done, or stop it first"
	}
	return msg + fmt.Sprintf(", last heard of %s ago; if it is gone for good, wait %s, or take the run over by force",
		e.now.Sub(e.Beat).Round(time.Second), max(e.Beat.Add(MissedBeats*LeaseBeat).Sub(e.now), 0).Round(time.Second))
}

// Driver names the process for people.
func (e *HeldError) Driver() string {
	text := fmt.Sprintf("process %d on %s", e.Owner.PID, e.Owner.Host)
	if e.Service {
		return "the service, " + text
	}
	return text
}

// Acquire makes owner the driver of a run. A lease whose owner was on the same host
// and is gone is taken over at once, one of another host after it has missed its
// beats; *HeldError otherwise. engine.ErrNotFound if there is no such run.
func (db *DB) Acquire(ctx context.Context, run engine.RunID, owner Owner) (*Lease, error) {
	return db.acquire(ctx, run, owner, false)
}

// TakeOver is Acquire that asks nobody. What the last owner still appends is refused
// from then on (engine.ErrConflict), but jobs that it submits meanwhile may be lost.
func (db *DB) TakeOver(ctx context.Context, run engine.RunID, owner Owner) (*Lease, error) {
	return db.acquire(ctx, run, owner, true)
}

func (db *DB) acquire(ctx context.Context, run engine.RunID, owner Owner, force bool) (*Lease, error) {
	l := &Lease{db: db, run: run, owner: owner}
	err := db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		if err != nil {
			return err
		}
		held, err := db.holderFor(t.get, run, num, owner)
		if err != nil {
			return err
		}
		if held != nil && !force {
			return held
		}
		l.num = num
		if err := leavePools(t, num); err != nil {
			return err
		}
		return t.get(`INSERT INTO leases (run, epoch, held, host, boot, pid, start, version, acquired, beat)
			VALUES (?1, 1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
			ON CONFLICT (run) DO UPDATE SET epoch = epoch + 1, held = 1, host = excluded.host, boot = excluded.boot,
				pid = excluded.pid, start = excluded.start, version = excluded.version, acquired = excluded.acquired, beat = excluded.beat
			RETURNING epoch`,
			[]any{num, owner.Host, owner.Boot, int64(owner.PID), owner.Start, owner.Version, t.now}, &l.epoch)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// holderFor returns who owns run num, as far as a process can tell that is where me is;
// nil: nobody who is alive.
func (db *DB) holderFor(get getter, run engine.RunID, num int64, me Owner) (*HeldError, error) {
	e := &HeldError{Run: run, now: db.now().UTC()}
	o := &e.Owner
	var since, beat int64
	err := get(`SELECT host, boot, pid, start, version, acquired, beat, EXISTS (
			SELECT 1 FROM terms t WHERE t.name = ? AND t.held = 1 AND t.host = l.host AND t.boot = l.boot AND t.pid = l.pid AND t.start = l.start)
		FROM leases l WHERE run = ? AND held = 1`, []any{ServiceTerm, num},
		&o.Host, &o.Boot, &o.PID, &o.Start, &o.Version, &since, &beat, &e.Service)
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

// Holder returns who drives a run; nil: nobody who is alive. engine.ErrNotFound if
// there is no such run.
func (db *DB) Holder(ctx context.Context, run engine.RunID) (held *HeldError, err error) {
	err = db.read(ctx, func(q reader) error {
		get := getterOf(ctx, q)
		num, err := runNum(get, run)
		if err == nil {
			held, err = db.holderFor(get, run, num, Self(""))
		}
		return err
	})
	return held, err
}

// Holders returns who drives the runs that have not ended, of those that somebody drives who is
// alive: Holder for all of them, in one query.
func (db *DB) Holders(ctx context.Context) (map[engine.RunID]*HeldError, error) {
	var all []*HeldError
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT r.id, l.host, l.boot, l.pid, l.start, l.version, l.acquired, l.beat, EXISTS (
				SELECT 1 FROM terms t WHERE t.name = ? AND t.held = 1 AND t.host = l.host AND t.boot = l.boot AND t.pid = l.pid AND t.start = l.start)
			FROM leases l JOIN runs r ON r.num = l.run WHERE l.held = 1 AND r.ended IS NULL`, ServiceTerm)
		if err != nil {
			return err
		}
		all, err = scanAll(rows, func(s scanner, v **HeldError) error {
			e := &HeldError{now: db.now().UTC()}
			var since, beat int64
			err := s.Scan((*string)(&e.Run), &e.Owner.Host, &e.Owner.Boot, &e.Owner.PID, &e.Owner.Start, &e.Owner.Version, &since, &beat, &e.Service)
			e.Since, e.Beat = time.UnixMilli(since).UTC(), time.UnixMilli(beat).UTC()
			*v = e
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	me, here := Self(""), map[Owner]bool{} // most have the same owner: the service
	held := map[engine.RunID]*HeldError{}
	for _, e := range all {
		lives, known := here[e.Owner]
		if !known {
			if e.Here, lives = db.lives(e.Owner, me, e.Beat); e.Here {
				here[e.Owner] = lives
			}
		}
		if e.Here = e.Here || known; lives {
			held[e.Run] = e
		}
	}
	return held, nil
}

// Run returns the run that is leased.
func (l *Lease) Run() engine.RunID { return l.run }

// Epoch returns how many drivers the run has had, this one included.
func (l *Lease) Epoch() int64 { return l.epoch }

// confirm updates the beat; ErrConflict if the lease is lost.
func (l *Lease) confirm(t *tx) error {
	n, err := t.exec("UPDATE leases SET beat = ? WHERE run = ? AND epoch = ? AND held = 1", t.now, l.num, l.epoch)
	if err == nil && n != 1 {
		err = l.lost(t)
	}
	return err
}

func (l *Lease) lost(t *tx) error {
	var o Owner
	var epoch int64
	err := t.get("SELECT host, pid, epoch FROM leases WHERE run = ?", []any{l.num}, &o.Host, &o.PID, &epoch)
	switch {
	case isNoRows(err):
		return fmt.Errorf("%w: run %s was deleted", engine.ErrConflict, l.run)
	case err != nil:
		return err
	case epoch == l.epoch:
		return fmt.Errorf("%w: the lease of run %s was given back", engine.ErrConflict, l.run)
	}
	return fmt.Errorf("%w: process %d on %s has taken run %s over", engine.ErrConflict, o.PID, o.Host, l.run)
}

// Append is [DB.Append] for the owner of the lease: it fails with engine.ErrConflict
// once another driver has taken the run over. It confirms the lease, as Renew does.
func (l *Lease) Append(ctx context.Context, run engine.RunID, after int64, events ...engine.Event) error {
	if run != l.run {
		return fmt.Errorf("the lease is of run %s, not %s", l.run, run)
	}
	return l.db.append(ctx, run, after, events, l.confirm)
}

// Events is [DB.Events].
func (l *Lease) Events(ctx context.Context, run engine.RunID, after int64) iter.Seq2[engine.Event, error] {
	return l.db.Events(ctx, run, after)
}

// Renew confirms the lease. engine.ErrConflict if another driver has taken it over.
func (l *Lease) Renew(ctx context.Context) error { return l.db.write(ctx, l.confirm) }

// Release gives the lease back. It is no error if it is lost already.
func (l *Lease) Release(ctx context.Context) error {
	return l.db.write(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE leases SET held = 0 WHERE run = ? AND epoch = ?", l.num, l.epoch)
		if err != nil || n == 0 {
			return err
		}
		return leavePools(t, l.num)
	})
}
