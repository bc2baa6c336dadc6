package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// A watch is a connection of its own that tells of changes.
type watch struct {
	turn   chan struct{} // who has put something in may use the rest
	conn   *sql.Conn     // nil: to be opened
	opened int64         // how often it was
}

// close closes the connection.
func (w *watch) close() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	if w.conn == nil {
		return nil
	}
	conn := w.conn
	w.conn = nil
	return conn.Close()
}

// Version returns a number that is another one once somebody has written to the file, this
// process included. It reads no table, so it can be asked several times a second.
func (db *DB) Version(ctx context.Context) (int64, error) {
	if db.readers == nil {
		return db.writerVersion(ctx)
	}
	w := &db.watch
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case w.turn <- struct{}{}:
	}
	defer func() { <-w.turn }()
	if w.conn == nil {
		// Numbers of different connections do not compare.
		conn, err := db.readers.Conn(ctx)
		if err != nil {
			return 0, db.explain(err)
		}
		w.conn = conn
		w.opened++
	}
	var version int64 // changes with what other connections commit
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		if ctx.Err() == nil {
			_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
			_ = w.conn.Close()
			w.conn = nil
		}
		return 0, db.explain(err)
	}
	return w.opened<<32 | version, nil
}

// writerVersion is Version where there is one connection for all: it does not see its own
// writes as changes, so they are counted.
func (db *DB) writerVersion(ctx context.Context) (int64, error) {
	others, _, err := db.Changed(ctx, 0)
	return others<<16 + db.commits.Load(), err
}
