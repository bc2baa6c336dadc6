package state

import (
	"context"
	"database/sql"
	"time"

	"flow/engine"
)

// A RunCount is how many runs of a workflow have a status.
type RunCount struct {
	Workflow string
	Status   engine.Status
	Runs     int
	LastEnd  time.Time // when the newest of those that have ended did so; zero: none has
}

// CountRuns counts the runs by workflow and status, in the order of their names.
func (db *DB) CountRuns(ctx context.Context) (out []RunCount, err error) {
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT workflow, status, count(*), max(ended) FROM runs GROUP BY workflow, status ORDER BY workflow, status")
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(s scanner, c *RunCount) error {
			var status string
			var last sql.NullInt64
			if err := s.Scan(&c.Workflow, &status, &c.Runs, &last); err != nil {
				return err
			}
			c.LastEnd = timeOf(last)
			return c.Status.UnmarshalText([]byte(status))
		})
		return err
	})
	return out, err
}
