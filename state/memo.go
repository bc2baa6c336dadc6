package state

import (
	"context"
	"crypto/sha256"
	"time"
)

// memoRow is what is remembered of a file.
type memoRow struct {
	size, mtime int64
	inode       uint64
	sum         [sha256.Size]byte
}

// Get returns the sha256 of a file's content, if it was put with the same path, size in
// bytes, time of modification in nanoseconds since 1970, and inode.
func (db *DB) Get(path string, size, mtime int64, inode uint64) (sum [sha256.Size]byte, ok bool) {
	db.memoMu.Lock()
	row, ok := db.memo[path]
	db.memoMu.Unlock()
	if ok {
		return row.sum, row.size == size && row.mtime == mtime && row.inode == inode
	}
	var found []byte
	err := db.read(context.Background(), func(q reader) error {
		return q.QueryRowContext(context.Background(), "SELECT sum FROM memo WHERE path = ? AND size = ? AND mtime = ? AND inode = ?",
			path, size, mtime, int64(inode)).Scan(&found)
	})
	if err != nil || len(found) != len(sum) {
		return sum, false // then the file is read once more
	}
	return [sha256.Size]byte(found), true
}

// Put remembers the sha256 of a file's content. It is kept in memory until Flush, so
// that hashing files never waits for the disk.
func (db *DB) Put(path string, size, mtime int64, inode uint64, sum [sha256.Size]byte) {
	if db.readOnly {
		return
	}
	db.memoMu.Lock()
	defer db.memoMu.Unlock()
	db.memo[path] = memoRow{size, mtime, inode, sum}
}

// Flush stores what was put, in one transaction. Close does so too.
func (db *DB) Flush(ctx context.Context) error {
	db.memoMu.Lock()
	rows := db.memo
	db.memo = map[string]memoRow{}
	db.memoMu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	err := db.write(ctx, func(t *tx) error {
		for path, r := range rows {
			if _, err := t.exec(`INSERT INTO memo (path, size, mtime, inode, sum, at) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime = excluded.mtime, inode = excluded.inode,
					sum = excluded.sum, at = excluded.at`,
				path, r.size, r.mtime, int64(r.inode), r.sum[:], t.now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // keep it for the next time, unless there is something newer
		db.memoMu.Lock()
		defer db.memoMu.Unlock()
		for path, r := range rows {
			if _, newer := db.memo[path]; !newer {
				db.memo[path] = r
			}
		}
	}
	return err
}

// PruneMemo forgets the files whose sha256 was put before a time, and returns how many.
func (db *DB) PruneMemo(ctx context.Context, before time.Time) (n int64, err error) {
	err = db.write(ctx, func(t *tx) error {
		n, err = t.exec("DELETE FROM memo WHERE at < ?", before.UnixMilli())
		return err
	})
	return n, err
}
