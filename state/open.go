package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"flow/engine"
)

// configure sets what can only be set for a whole process.
var configure = sync.OnceFunc(func() {
	sqlite.StrictPragmas(true)
	// Locks that survive when somebody opens and closes the file by mistake. Where
	// there are none, SQLite's ordinary ones do.
	_, _ = sqlite.OFDLocking(true)
})

func (db *DB) open(o Options) error {
	configure()
	dir := filepath.Dir(db.path)
	if err := db.prepare(dir, o); err != nil {
		return err
	}
	magic, err := o.FileSystem(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	db.network = networks[magic]

	mode := "rw"
	if db.readOnly {
		mode = "ro"
	}
	base := url.Values{"mode": {mode}, "_dqs": {"0"}, "_defensive": {"1"}, "_busy_timeout": {strconv.FormatInt(o.BusyTimeout.Milliseconds(), 10)}}
	if db.readOnly {
		return db.openReaders(base, true)
	}
	params := maps.Clone(base)
	params.Set("_txlock", "immediate")
	params.Set("_synchronous", "FULL")
	params.Add("_pragma", "wal_autocheckpoint(4000)") // pages, 16 MiB
	if db.network != "" {
		params.Add("_pragma", "locking_mode(EXCLUSIVE)")
	}
	if db.writers, err = sql.Open("sqlite", dsn(db.path, params)); err != nil {
		return err
	}
	db.writers.SetMaxOpenConns(1)
	if w, err := db.writer(context.Background()); err != nil {
		return db.explain(err)
	} else if err := db.upgrade(context.Background(), w.conn); err != nil {
		return err
	}
	if db.network != "" {
		return nil
	}
	params = maps.Clone(base)
	params.Set("_query_only", "1")
	return db.openReaders(params, false)
}

// setUp makes a connection one that writes. It must not change a file that is not ours.
func (db *DB) setUp(ctx context.Context, conn *sql.Conn) error {
	have, err := version(ctx, conn)
	if err != nil {
		return err
	}
	if err := db.fits(have, false); err != nil {
		return err
	}
	mode := "WAL"
	if db.network != "" {
		mode = "TRUNCATE" // WAL needs memory that all processes share: one host
	}
	var got string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = "+mode).Scan(&got); err != nil {
		return err
	}
	if !strings.EqualFold(got, mode) {
		return fmt.Errorf("%s: the journal mode stays %s, %s is needed", db.path, got, mode)
	}
	return nil
}

// prepare sees to it that there is a file that can be a state file.
func (db *DB) prepare(dir string, o Options) error {
	wal, walErr := os.Stat(db.path + "-wal") // before the file itself: it comes after it
	info, err := os.Stat(db.path)
	switch {
	case err == nil && info.IsDir():
		return &Error{Path: db.path, What: ErrCantOpen, Advice: "it is a directory"}
	case err == nil && info.Size() == 0:
		return &Error{Path: db.path, What: ErrCorrupt,
			Advice: "it is empty, which flow never leaves behind. If nothing in it is missed, remove it together with its -wal and -shm files"}
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return &Error{Path: db.path, What: ErrCantOpen, Err: err}
	case walErr == nil && wal.Size() > 0:
		return &Error{Path: db.path, What: ErrCorrupt,
			Advice: "the file is gone but its -wal file is still there, with changes in it. Put the file back, or remove the -wal file too"}
	case db.readOnly:
		return fmt.Errorf("no state file %s yet: %w", db.path, engine.ErrNotFound)
	}
	return db.create(dir, o)
}

// create makes a new file. It is made under another name and then linked: at its own
// name there is a whole state file or none, however many processes try, and wherever
// they are killed.
func (db *DB) create(dir string, o Options) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	temp := db.path + ".new-" + rand.Text()[:10]
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return &Error{Path: db.path, What: ErrReadOnly, Err: err, Advice: "choose another place with --state"}
	}
	defer os.Remove(temp)
	if err := f.Close(); err != nil {
		return err
	}
	magic, err := o.FileSystem(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if err := fill(temp, networks[magic] == ""); err != nil {
		return db.explain(err)
	}
	if err := os.Link(temp, db.path); err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without links: the last one of several wins, before any of
		// them has written anything.
		if _, there := os.Stat(db.path); there == nil {
			return nil
		}
		if err := os.Rename(temp, db.path); err != nil {
			return &Error{Path: db.path, What: ErrReadOnly, Err: err}
		}
	}
	return syncDir(dir)
}

// fill makes an empty file a state file. Nobody else knows of it yet.
func fill(path string, local bool) error {
	params := url.Values{"mode": {"rw"}, "_auto_vacuum": {"INCREMENTAL"}, "_journal_mode": {"MEMORY"}, "_synchronous": {"FULL"}, "_dqs": {"0"}}
	pool, err := sql.Open("sqlite", dsn(path, params))
	if err != nil {
		return err
	}
	ctx := context.Background()
	conn, err := pool.Conn(ctx)
	if err == nil {
		err = migrate(ctx, conn, 0)
		if err == nil && local {
			_, err = conn.ExecContext(ctx, "PRAGMA journal_mode = WAL")
		}
		err = errors.Join(err, conn.Close())
	}
	return errors.Join(err, pool.Close())
}

// makeDir makes the directory of a state file, for the user alone. One named .flow is
// kept out of version control.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if filepath.Base(dir) != ".flow" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // some file systems have no such thing
	return nil
}

func (db *DB) openReaders(params url.Values, check bool) error {
	pool, err := sql.Open("sqlite", dsn(db.path, params))
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(5) // one of them for Version
	pool.SetMaxIdleConns(2)
	db.readers = pool
	if !check {
		return nil
	}
	have, err := version(context.Background(), pool)
	if primary(err) == codeCantOpen {
		// A directory that cannot be written: then nobody writes, and the file can be
		// read as it is, unless there are changes beside it.
		if wal, walErr := os.Stat(db.path + "-wal"); walErr != nil || wal.Size() == 0 {
			params.Set("immutable", "1")
			_ = pool.Close()
			if pool, err = sql.Open("sqlite", dsn(db.path, params)); err != nil {
				return err
			}
			db.readers = pool
			have, err = version(context.Background(), pool)
		}
	}
	if err != nil {
		return db.explain(err)
	}
	return db.fits(have, true)
}

// dsn returns the URI of a file, whatever characters are in its path.
func dsn(path string, params url.Values) string {
	parts := strings.Split(filepath.ToSlash(path), "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "file:" + strings.Join(parts, "/") + "?" + params.Encode()
}
