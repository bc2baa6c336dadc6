package state

import (
	"context"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// An Entrusted run is one that the service is to drive, and nobody does.
type Entrusted struct {
	Row     Run
	Since   time.Time // when it was entrusted
	Trouble string    // why it could not be driven when it was last tried; ""
	Wished  bool      // somebody wants it to be cancelled, and no driver has taken that up
}

// Entrust has the service drive a run, until it ends. engine.ErrNotFound if there is no such run.
func (db *DB) Entrust(ctx context.Context, run engine.RunID) error {
	return db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		if err != nil {
			return err
		}
		return entrust(t, num)
	})
}

func entrust(t *tx, num int64) error {
	_, err := t.exec("INSERT INTO entrusted (run, at) VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET trouble = ''", num, t.now)
	return err
}

// EntrustTrouble records why an entrusted run could not be driven; "": it can. It writes only
// if that changes.
func (db *DB) EntrustTrouble(ctx context.Context, run engine.RunID, trouble string) error {
	var had string
	err := db.read(ctx, func(q reader) error {
		return getterOf(ctx, q)("SELECT trouble FROM entrusted WHERE run = (SELECT num FROM runs WHERE id = ?)", []any{string(run)}, &had)
	})
	if isNoRows(err) || err == nil && had == trouble {
		return nil
	}
	if err != nil {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE entrusted SET trouble = ? WHERE run = (SELECT num FROM runs WHERE id = ?)", trouble, string(run))
		return err
	})
}

// Entrusted returns the runs that the service is to drive and nobody who is alive drives, in
// the order in which they were entrusted. Those of which somebody wishes that they be cancelled
// are among them: to cancel a run is to drive it.
func (db *DB) Entrusted(ctx context.Context) (out []Entrusted, err error) {
	me := Self("")
	type row struct {
		Entrusted
		owner Owner
		held  bool
		beat  int64
	}
	var all []row
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT r."+strings.Join(runColumnNames, ", r.")+`, 1, e.at, e.trouble,
				EXISTS (SELECT 1 FROM requests q WHERE q.run = e.run AND q.taken IS NULL), coalesce(l.held, 0), coalesce(l.host, ''), coalesce(l.boot, ''),
				coalesce(l.pid, 0), coalesce(l.start, 0), coalesce(l.beat, 0)
			FROM entrusted e JOIN runs r ON r.num = e.run LEFT JOIN leases l ON l.run = e.run WHERE r.ended IS NULL ORDER BY e.at, e.run`)
		if err != nil {
			return err
		}
		all, err = scanAll(rows, func(s scanner, v *row) error {
			var at int64
			err := scanRunAnd(s, &v.Row, &at, &v.Trouble, &v.Wished, &v.held, &v.owner.Host, &v.owner.Boot, &v.owner.PID, &v.owner.Start, &v.beat)
			v.Since = time.UnixMilli(at).UTC()
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(v row) bool {
		_, lives := db.lives(v.owner, me, time.UnixMilli(v.beat))
		return v.held && lives
	})
	for i := range all {
		out = append(out, all[i].Entrusted)
	}
	return out, nil
}
