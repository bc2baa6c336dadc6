// Package state keeps runs and their events in SQLite, and answers questions
// about past runs.
//
// One file holds everything: .flow/flow.db unless said otherwise. The table events
// is the truth; runs, steps, jobs, tasks, uses and cache are projections, folded from
// the events in the transaction that appends them, so that a question is a plain
// query. [DB.Rebuild] folds them anew.
//
// A [DB] implements [engine.Log] and [engine.Cache]. A driver takes a [Lease] of its
// run and appends through that, so that of two drivers only one can write.
//
// The files of the database (flow.db, -wal, -shm) must only ever be opened by SQLite:
// closing any other descriptor of them would drop SQLite's locks, and commits would
// get lost without an error.
package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"flow/engine"
)

var (
	_ engine.Log         = (*DB)(nil)
	_ engine.FamilyCache = (*DB)(nil)
	_ engine.Log         = (*Lease)(nil)
)

// Options say how [Open] opens a database. The zero value is good.
type Options struct {
	// ReadOnly opens an existing file and never changes it.
	ReadOnly bool
	// Now tells the time; nil: time.Now.
	Now func() time.Time
	// BusyTimeout is how long to wait for another process that writes; 0: 10 s.
	BusyTimeout time.Duration
	// TaskRows is how many rows the table tasks has at most of a run, beside those of steps
	// with at most a thousandth of that; 0: 100,000. Of other tasks only the events tell.
	TaskRows int
	// FileSystem returns the kind of file system dir is on, as statfs(2) has it in
	// f_type, or 0 if that is not known; nil: ask the kernel.
	FileSystem func(dir string) (int64, error)
	// ProcessAlive reports whether process pid of this host runs and was started at
	// start; nil: ask the kernel.
	ProcessAlive func(pid int, start int64) bool
}

// A DB is an open state file. It is safe for concurrent use. Readers never wait for
// writers, except on a network file system, where there is one connection for all.
type DB struct {
	path     string
	readOnly bool
	network  string // name of the network file system; "": local
	now      func() time.Time
	alive    func(pid int, start int64) bool
	taskRows int // see Options

	readers *sql.DB // nil: reads go through the writer
	writers *sql.DB // at most one connection; nil: read-only

	queue  queue         // of calls that write
	turn   chan struct{} // holds a token; who took it may use what follows
	w      *writer       // nil: to be opened
	opened int64         // how often w was
	wishes atomic.Int64  // how many this process has left
	runs   map[engine.RunID]*projection
	closed bool

	watch   watch        // see Version
	commits atomic.Int64 // of this process

	memoMu sync.Mutex
	memo   map[string]memoRow // put, not yet stored
}

// Open opens the state file at path, and makes it first if it is not there, with its
// directory. It brings an older file up to date, after a copy of it was put beside it.
//
// Errors: [ErrVersion] (a newer flow wrote the file), [ErrCorrupt] (it is damaged, or
// no state file of flow), [ErrBusy], [ErrReadOnly]; [engine.ErrNotFound] with ReadOnly
// if there is no file. In none of these cases anything was written.
func Open(path string, o Options) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 10 * time.Second
	}
	if o.TaskRows == 0 {
		o.TaskRows = rowsOfRun
	}
	if o.FileSystem == nil {
		o.FileSystem = fileSystem
	}
	if o.ProcessAlive == nil {
		o.ProcessAlive = processAlive
	}
	db := &DB{
		path:     abs,
		readOnly: o.ReadOnly,
		now:      o.Now,
		alive:    o.ProcessAlive,
		taskRows: o.TaskRows,
		turn:     make(chan struct{}, 1),
		watch:    watch{turn: make(chan struct{}, 1)},
		runs:     map[engine.RunID]*projection{},
		memo:     map[string]memoRow{},
	}
	db.turn <- struct{}{}
	if err := db.open(o); err != nil {
		return nil, errors.Join(err, db.closePools())
	}
	return db, nil
}

// Path returns the absolute path of the file.
func (db *DB) Path() string { return db.path }

// Network returns the name of the network file system that the file is on, or "".
// There, the file belongs to one process at a time.
func (db *DB) Network() string { return db.network }

// Close stores what Put left to be stored, and closes the file. Calls that still run
// are waited for.
func (db *DB) Close() error {
	err := db.Flush(context.Background())
	<-db.turn
	defer func() { db.turn <- struct{}{} }()
	if db.closed {
		return nil
	}
	db.closed = true
	db.discard()
	return errors.Join(err, db.watch.close(), db.closePools())
}

func (db *DB) closePools() error {
	var errs []error
	for _, pool := range []*sql.DB{db.readers, db.writers} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// A reader runs queries that change nothing.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// read calls fn, which must be done with its rows when it returns, and must not call
// read or write.
func (db *DB) read(ctx context.Context, fn func(reader) error) error {
	if db.readers != nil {
		return db.explain(fn(db.readers))
	}
	if err := db.take(ctx); err != nil {
		return err
	}
	defer db.give()
	w, err := db.writer(ctx)
	if err != nil {
		return db.explain(err)
	}
	return db.explain(fn(w.conn))
}

// A writer is the connection that writes, with the statements prepared on it.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// prepare makes w.stmts[query], which lives as long as the connection.
func (w *writer) prepare(ctx context.Context, query string) error {
	if w.stmts[query] != nil {
		return nil
	}
	s, err := w.conn.PrepareContext(ctx, query) //nolint:sqlclosecheck // discard closes it
	if err == nil {
		w.stmts[query] = s
	}
	return err
}

func (db *DB) take(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-db.turn:
	}
	if db.closed {
		db.give()
		return db.errClosed()
	}
	return nil
}

func (db *DB) errClosed() error { return fmt.Errorf("state %s is closed", db.path) }

func (db *DB) give() { db.turn <- struct{}{} }

// writer returns the connection that writes. The caller has the turn.
func (db *DB) writer(ctx context.Context) (*writer, error) {
	if db.w != nil {
		return db.w, nil
	}
	conn, err := db.writers.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := db.setUp(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	db.w = &writer{conn: conn, stmts: map[string]*sql.Stmt{}}
	db.opened++
	return db.w, nil
}

// discard closes the connection that writes, whatever state it is in; the next call
// opens another one and reads again what it needs. The caller has the turn.
func (db *DB) discard() {
	clear(db.runs)
	if db.w == nil {
		return
	}
	w := db.w
	db.w = nil
	if w.conn.Raw(func(any) error { return nil }) == nil { // else it is closed, and its statements with it
		for _, s := range w.stmts {
			_ = s.Close()
		}
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close()
}

// A tx is a transaction that may write.
type tx struct {
	ctx context.Context // is never done once the transaction has begun
	w   *writer
	now int64 // one time for all, ms

	taskRows int // see Options
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	if err := t.w.prepare(t.ctx, query); err != nil {
		return 0, err
	}
	res, err := t.w.stmts[query].ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	if err := t.w.prepare(t.ctx, query); err != nil {
		return nil, err
	}
	return t.w.stmts[query].QueryContext(t.ctx, args...)
}

// get is a getter.
func (t *tx) get(query string, args []any, dest ...any) error {
	if err := t.w.prepare(t.ctx, query); err != nil {
		return err
	}
	return t.w.stmts[query].QueryRowContext(t.ctx, args...).Scan(dest...)
}

// A getter scans the one row that a query is expected to have; sql.ErrNoRows without it.
type getter func(query string, args []any, dest ...any) error

func getterOf(ctx context.Context, q reader) getter {
	return func(query string, args []any, dest ...any) error {
		return q.QueryRowContext(ctx, query, args...).Scan(dest...)
	}
}
