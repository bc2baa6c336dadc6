package state

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

//go:embed migration/*.sql
var migrationFiles embed.FS

// applicationID marks a SQLite file as a state file of flow: "flow" in ASCII.
const applicationID = 0x666c6f77

// migrations are the statements that lead from version i to i+1, the files in
// migration/ in the order of their names. A file that was released never changes.
var migrations = func() (all []string) {
	files, err := fs.Glob(migrationFiles, "migration/*.sql")
	if err != nil {
		panic("state: " + err.Error())
	}
	for _, name := range files {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			panic("state: " + err.Error())
		}
		all = append(all, string(text))
	}
	return all
}()

// version returns the schema's version; 0: the file is of another program.
func version(ctx context.Context, q reader) (have int, err error) {
	var app int64
	err = q.QueryRowContext(ctx, "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version").Scan(&app, &have)
	if err == nil && app != applicationID {
		have = 0
	}
	return have, err
}

// fits returns why a file of that version cannot be used.
func (db *DB) fits(have int, readOnly bool) error {
	switch want := len(migrations); {
	case have == 0:
		return &Error{Path: db.path, What: ErrCorrupt, Advice: "it is a database of another program; choose another file with --state"}
	case have < 0:
		return &Error{Path: db.path, What: ErrCorrupt, Advice: fmt.Sprintf("its version is %d, which no flow has ever written; nothing was written to it", have)}
	case have > want:
		return &Error{Path: db.path, What: ErrVersion, Advice: fmt.Sprintf(
			"a newer flow wrote it (its version is %d, this flow knows up to %d): use that flow, or another file with --state", have, want)}
	case have < want && readOnly:
		return &Error{Path: db.path, What: ErrVersion, Advice: fmt.Sprintf(
			"an older flow wrote it (version %d, now %d), and it cannot be brought up to date while it is opened for reading only", have, want)}
	}
	return nil
}

// upgrade brings an older file up to date.
func (db *DB) upgrade(ctx context.Context, conn *sql.Conn) error {
	have, err := version(ctx, conn)
	if err != nil || have == len(migrations) {
		return db.explain(err)
	}
	backup, err := emptyFile(fmt.Sprintf("%s.v%d-%s", db.path, have, db.now().UTC().Format("20060102T150405")))
	if err == nil {
		_, err = conn.ExecContext(ctx, "VACUUM INTO ?", backup)
	}
	if err != nil {
		return fmt.Errorf("copy of the state file before it is brought up to date: %w", db.explain(err))
	}
	return db.explain(migrate(ctx, conn, have))
}

// emptyFile makes a file that only the user may read, called name or, if there is one,
// name-2, name-3 and so on. SQLite fills it without changing that.
func emptyFile(name string) (string, error) {
	for n, path := 1, name; ; path = name + "-" + strconv.Itoa(n) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if n++; errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return path, f.Close()
	}
}

// migrate leads a file from version have to the newest, each step in a transaction.
func migrate(ctx context.Context, conn *sql.Conn, have int) error {
	for v := have; v < len(migrations); v++ {
		if err := migrateStep(ctx, conn, v); err != nil {
			return fmt.Errorf("migration %d: %w", v+1, err)
		}
	}
	return nil
}

func migrateStep(ctx context.Context, conn *sql.Conn, from int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	var have int
	if err := tx.QueryRowContext(ctx, "SELECT user_version FROM pragma_user_version").Scan(&have); err != nil {
		return err
	}
	if have > from {
		return nil // another process was faster
	}
	if _, err := tx.ExecContext(ctx, migrations[from]); err != nil {
		return err
	}
	for _, pragma := range []string{
		"PRAGMA user_version = " + strconv.Itoa(from+1),
		"PRAGMA application_id = " + strconv.Itoa(applicationID),
	} {
		if _, err := tx.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Check looks for damage: in the file's structure, and in every stored event. It reads
// everything, so it takes seconds for a file of a gigabyte. Errors: ErrCorrupt.
func (db *DB) Check(ctx context.Context) error {
	return db.read(ctx, func(q reader) error {
		var result string
		if err := q.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return &Error{Path: db.path, What: ErrCorrupt, Advice: result}
		}
		rows, err := q.QueryContext(ctx, "SELECT seq, at, kind, data, crc FROM events")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if _, err := scanEvent(rows); err != nil {
				return &Error{Path: db.path, What: ErrCorrupt, Err: err}
			}
		}
		return rows.Err()
	})
}

// Vacuum gives the space of what was deleted back to the file system.
func (db *DB) Vacuum(ctx context.Context) error {
	if db.readOnly {
		return &Error{Path: db.path, What: ErrReadOnly, Advice: "it was opened for reading only"}
	}
	if err := db.take(ctx); err != nil {
		return err
	}
	defer db.give()
	w, err := db.writer(ctx)
	if err != nil {
		return db.explain(err)
	}
	_, err = w.conn.ExecContext(ctx, "PRAGMA incremental_vacuum")
	if err == nil && db.network == "" {
		_, err = w.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return db.explain(err)
}

// timeOf returns a time as it was stored; NULL or 0 is the zero time.
func timeOf(ms sql.NullInt64) time.Time {
	if !ms.Valid || ms.Int64 == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}

// isNoRows reports whether a query had no row.
func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
