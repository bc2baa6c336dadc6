package state

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"flow/engine"
)

// A PoolUse is what runs have of a pool.
type PoolUse struct {
	Pool    string
	Slots   int // in all, as the workflow of the run says that last got some
	Used    int
	Runs    []PoolHold // in the order of the runs
	Waiting []PoolHold // what runs wait for, who is next at first
}

// A PoolHold is what a run has of a pool, or waits for.
type PoolHold struct {
	Run engine.RunID
	N   int
}

// A PoolNeed is what a task needs of a pool that has so many slots.
type PoolNeed struct {
	Pool     string
	Slots, N int
}

// poolHold is a row of pool_holds whose run is leased as it was when it was taken.
type poolHold struct {
	pool            string
	num             int64
	run             engine.RunID
	n, slots, wants int
	at, since, beat int64
	owner           Owner
}

const poolHolds = `SELECT h.pool, h.run, r.id, h.n, h.slots, h.wants, h.at, h.since, l.beat, l.host, l.boot, l.pid, l.start
	FROM pool_holds h JOIN runs r ON r.num = h.run JOIN leases l ON l.run = h.run AND l.epoch = h.epoch AND l.held = 1
	WHERE ?1 = '' OR h.pool = ?1 ORDER BY h.pool, r.num`

func scanPoolHold(s scanner, h *poolHold) error {
	return s.Scan(&h.pool, &h.num, &h.run, &h.n, &h.slots, &h.wants, &h.at, &h.since, &h.beat, &h.owner.Host, &h.owner.Boot, &h.owner.PID, &h.owner.Start)
}

// poolHolds returns what processes have of a pool that live, as far as me can tell; with ""
// of all. Of what is only waited for it leaves out that of processes that say nothing any
// more, though they live: others would wait for them.
func (db *DB) poolHolds(ask func(string, ...any) (*sql.Rows, error), pool string, me Owner) ([]poolHold, error) {
	rows, err := ask(poolHolds, pool)
	if err != nil {
		return nil, err
	}
	holds, err := scanAll(rows, scanPoolHold)
	holds = slices.DeleteFunc(holds, func(h poolHold) bool {
		_, lives := db.lives(h.owner, me, time.UnixMilli(h.beat))
		return !lives
	})
	for i := range holds {
		if db.now().Sub(time.UnixMilli(holds[i].beat)) > MissedBeats*LeaseBeat {
			holds[i].wants = 0
		}
	}
	return holds, err
}

// A poolAnswer is what is to be made of a wish for slots.
type poolAnswer struct {
	granted, waits bool // waits: that it waits is known already
}

// askPools answers a wish of run num.
func (db *DB) askPools(ask func(string, ...any) (*sql.Rows, error), num int64, needs []PoolNeed, me Owner) (poolAnswer, error) {
	out := poolAnswer{granted: true, waits: true}
	for _, need := range needs {
		holds, err := db.poolHolds(ask, need.Pool, me)
		if err != nil {
			return poolAnswer{}, err
		}
		used, own := 0, int64(math.MaxInt64)
		for _, h := range holds {
			used += h.n
			if h.num == num && h.wants > 0 {
				own = h.since
				out.waits = out.waits && h.wants == need.N
			}
		}
		before := func(h poolHold) bool {
			return h.num != num && h.wants > 0 && (h.since < own || h.since == own && h.num < num)
		}
		out.waits = out.waits && own < math.MaxInt64
		out.granted = out.granted && used+need.N <= need.Slots && !slices.ContainsFunc(holds, before)
	}
	return out, nil
}

// TakePools gives a run slots of pools, all that it needs or none: ok. None are given while
// a run that has waited longer for one of those pools waits still. What a process held that
// died counts no more, nor what was held with a lease that is lost. The owner has the run's
// lease; engine.ErrConflict if it has not.
//
// A run that was refused waits from then on, until it gets what it needs or calls LeavePools.
// Ask again when [DB.Version] says that something has changed, and every few seconds, since
// nobody writes of a death. Being refused again writes nothing.
func (db *DB) TakePools(ctx context.Context, run engine.RunID, owner Owner, needs ...PoolNeed) (ok bool, err error) {
	for _, need := range needs {
		if need.N < 1 || need.N > need.Slots {
			return false, fmt.Errorf("%d slots of pool %s cannot be had: it has %d", need.N, need.Pool, need.Slots)
		}
	}
	var now poolAnswer
	err = db.read(ctx, func(q reader) error {
		num, err := runNum(getterOf(ctx, q), run)
		if err != nil {
			return err
		}
		now, err = db.askPools(func(query string, args ...any) (*sql.Rows, error) { return q.QueryContext(ctx, query, args...) }, num, needs, owner)
		return err
	})
	if err != nil || !now.granted && now.waits {
		return false, err
	}
	err = db.write(ctx, func(t *tx) error {
		num, epoch, err := leasedBy(t, run, owner)
		if err != nil {
			return err
		}
		if now, err = db.askPools(t.query, num, needs, owner); err != nil {
			return err
		}
		for _, need := range needs {
			if err := putPool(t, num, epoch, need, now.granted); err != nil {
				return err
			}
		}
		return nil
	})
	return now.granted && err == nil, err
}

// putPool writes down what a run has got, or that it waits.
func putPool(t *tx, num, epoch int64, need PoolNeed, granted bool) error {
	const stale = "epoch <> excluded.epoch"
	if !granted {
		_, err := t.exec(`INSERT INTO pool_holds (run, pool, epoch, n, slots, at, wants, since) VALUES (?1, ?2, ?3, 0, ?5, 0, ?4, ?6)
			ON CONFLICT (run, pool) DO UPDATE SET n = iif(`+stale+`, 0, n), since = iif(`+stale+` OR wants = 0, excluded.since, since),
				wants = excluded.wants, epoch = excluded.epoch`,
			num, need.Pool, epoch, int64(need.N), int64(need.Slots), t.now)
		return err
	}
	_, err := t.exec(`INSERT INTO pool_holds (run, pool, epoch, n, slots, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (run, pool) DO UPDATE SET n = iif(`+stale+`, 0, n) + excluded.n, epoch = excluded.epoch, slots = excluded.slots,
			at = excluded.at, wants = 0, since = 0`,
		num, need.Pool, epoch, int64(need.N), int64(need.Slots), t.now)
	return err
}

// leasedBy returns a run's number and the epoch of its lease, which owner has.
func leasedBy(t *tx, run engine.RunID, owner Owner) (num, epoch int64, err error) {
	if num, err = runNum(t.get, run); err != nil {
		return 0, 0, err
	}
	err = t.get("SELECT epoch FROM leases WHERE run = ? AND held = 1 AND host = ? AND boot = ? AND pid = ? AND start = ?",
		[]any{num, owner.Host, owner.Boot, int64(owner.PID), owner.Start}, &epoch)
	if isNoRows(err) {
		err = fmt.Errorf("%w: process %d on %s does not drive run %s", engine.ErrConflict, owner.PID, owner.Host, run)
	}
	return num, epoch, err
}

// GivePool takes n slots of a pool back from a run; of what it does not have, nothing.
func (db *DB) GivePool(ctx context.Context, run engine.RunID, pool string, n int) error {
	return db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		if err != nil {
			return err
		}
		gone, err := t.exec("DELETE FROM pool_holds WHERE run = ? AND pool = ? AND n <= ? AND wants = 0", num, pool, int64(n))
		if err != nil || gone > 0 {
			return err
		}
		_, err = t.exec("UPDATE pool_holds SET n = max(n - ?, 0) WHERE run = ? AND pool = ?", int64(n), num, pool)
		return err
	})
}

// LeavePools says that a run waits for no slots of a pool any more.
func (db *DB) LeavePools(ctx context.Context, run engine.RunID, pools ...string) error {
	return db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		for _, pool := range pools {
			if err == nil {
				_, err = t.exec("DELETE FROM pool_holds WHERE run = ? AND pool = ? AND n = 0", num, pool)
			}
			if err == nil {
				_, err = t.exec("UPDATE pool_holds SET wants = 0, since = 0 WHERE run = ? AND pool = ?", num, pool)
			}
		}
		return err
	})
}

// PoolUse returns what is in use of which pool, and waited for, by name; nothing of those of
// which nothing is.
func (db *DB) PoolUse(ctx context.Context) (out []PoolUse, err error) {
	var holds []poolHold
	err = db.read(ctx, func(q reader) error {
		holds, err = db.poolHolds(func(query string, args ...any) (*sql.Rows, error) { return q.QueryContext(ctx, query, args...) }, "", Self(""))
		return err
	})
	last := int64(0)
	var waiting []poolHold
	for i, h := range holds {
		if len(out) == 0 || out[len(out)-1].Pool != h.pool {
			out, last = append(out, PoolUse{Pool: h.pool, Slots: h.slots}), 0
		}
		u := &out[len(out)-1]
		if h.at >= last {
			u.Slots, last = h.slots, h.at
		}
		if u.Used += h.n; h.n > 0 {
			u.Runs = append(u.Runs, PoolHold{h.run, h.n})
		}
		if h.wants > 0 {
			waiting = append(waiting, h)
		}
		if i+1 == len(holds) || holds[i+1].pool != h.pool {
			slices.SortStableFunc(waiting, func(a, b poolHold) int { return cmp.Compare(a.since, b.since) })
			for _, w := range waiting {
				u.Waiting = append(u.Waiting, PoolHold{w.run, w.wants})
			}
			waiting = waiting[:0]
		}
	}
	return out, err
}

// leavePools forgets what a run had of pools.
func leavePools(t *tx, num int64) error {
	_, err := t.exec("DELETE FROM pool_holds WHERE run = ?", num)
	return err
}

// TakePool is TakePools of one pool.
func (db *DB) TakePool(ctx context.Context, run engine.RunID, pool string, slots, n int, owner Owner) (bool, error) {
	return db.TakePools(ctx, run, owner, PoolNeed{pool, slots, n})
}
