package state

import (
	"context"
	"database/sql"
	"time"
)

// A SlotCount is how many slots of a schedule have come to the same.
type SlotCount struct {
	Schedule int64 // its id
	Status   SlotStatus
	Slots    int
	Due      time.Time // of slots that wait, when the first was due; zero: of others
}

// CountSlots counts the slots of each schedule by what became of them.
func (db *DB) CountSlots(ctx context.Context) (out []SlotCount, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT c.schedule, c.status, c.n,
				iif(c.status = 'WAITING', (SELECT min(s.due) FROM slots s INDEXED BY slots_waiting WHERE s.schedule = c.schedule AND s.status = 'WAITING'), NULL)
			FROM (SELECT schedule, status, count(*) AS n FROM slots GROUP BY schedule, status) c ORDER BY 1, 2`)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(s scanner, c *SlotCount) error {
			var due sql.NullInt64
			err := s.Scan(&c.Schedule, &c.Status, &c.Slots, &due)
			c.Due = timeOf(due)
			return err
		})
		return err
	})
	return out, err
}
