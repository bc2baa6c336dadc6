package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// BackupTo writes a copy of the state file, as it is at one moment, to a new file that only
// the user may read; it is an error if there is one of that path. Others go on writing
// meanwhile. If it fails, no file is left.
func (db *DB) BackupTo(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // SQLite fills an empty file without changing its mode
	if err != nil {
		return fmt.Errorf("copy of the state file: %w", err)
	}
	defer f.Close()
	if err := db.vacuumInto(ctx, path); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("copy of the state file to %s: %w", path, db.explain(err))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("copy of the state file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// vacuumInto fills an empty file. Where it can it uses a connection of its own, so that
// nobody who writes waits for it.
func (db *DB) vacuumInto(ctx context.Context, path string) error {
	if db.readOnly {
		_, err := db.readers.ExecContext(ctx, "VACUUM INTO ?", path)
		return err
	}
	if db.network == "" {
		pool, err := sql.Open("sqlite", dsn(db.path, url.Values{"mode": {"ro"}}))
		if err != nil {
			return err
		}
		_, err = pool.ExecContext(ctx, "VACUUM INTO ?", path)
		return errors.Join(err, pool.Close())
	}
	if err := db.take(ctx); err != nil {
		return err
	}
	defer db.give()
	w, err := db.writer(ctx)
	if err != nil {
		return err
	}
	_, err = w.conn.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}
