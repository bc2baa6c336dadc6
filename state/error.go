package state

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrCorrupt says that the file is damaged, or no state file of flow.
	ErrCorrupt = errors.New("the state file is damaged")
	// ErrVersion says that the file and this flow do not fit.
	ErrVersion = errors.New("the state file is of another version")
	// ErrBusy says that another process kept the file locked all the time we waited.
	ErrBusy = errors.New("the state file is locked by another process")
	// ErrFull says that there is no space left. Nothing was stored.
	ErrFull = errors.New("no space left for the state file")
	// ErrReadOnly says that the file or its directory cannot be written.
	ErrReadOnly = errors.New("the state file cannot be written")
	// ErrCantOpen says that the file cannot be opened.
	ErrCantOpen = errors.New("the state file cannot be opened")
	// ErrIO says that the disk failed. Nothing was stored.
	ErrIO = errors.New("the disk failed to read or write the state file")
	// ErrOutcomeUnknown says that a commit failed in such a way that what was to be
	// stored may be there, or not. The next call reads it again; so must the caller.
	ErrOutcomeUnknown = errors.New("nobody knows whether the change was stored")
)

// An Error is a failure of the state file. errors.Is finds both What and Err in it.
type Error struct {
	Path   string
	What   error  // one of the Err variables of this package
	Advice string // what more to say, and what to do
	Err    error  // of SQLite; may be nil
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Path, e.What)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

// Unwrap returns What and Err.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.What}
	}
	return []error{e.What, e.Err}
}

const (
	codeIOErr      = sqlite3.SQLITE_IOERR
	codePrimaryKey = sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	codeCantOpen   = sqlite3.SQLITE_CANTOPEN
)

// code returns the extended result code of SQLite in err, or 0.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// primary returns the primary result code of SQLite in err, or 0.
func primary(err error) int { return code(err) & 0xff }

// explain turns an error of SQLite into an Error; others pass.
func (db *DB) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	var what error
	switch primary(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		what = ErrCorrupt
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		what = ErrBusy
	case sqlite3.SQLITE_FULL:
		what = ErrFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		what = ErrReadOnly
	case sqlite3.SQLITE_CANTOPEN:
		what = ErrCantOpen
	case sqlite3.SQLITE_IOERR:
		if what = ErrIO; db.noRoom(err) {
			what = ErrFull
		}
	case sqlite3.SQLITE_INTERRUPT:
		return errors.Join(context.Canceled, err)
	default:
		return err
	}
	e := &Error{Path: db.path, What: what, Advice: db.advice(err), Err: err}
	if errors.Is(what, ErrBusy) && db.network != "" {
		e.Advice = fmt.Sprintf("it is on a network file system (%s), where one process at a time can use it: "+
			"wait for the other one, or give each its own file on a local disk with --state", db.network)
	}
	return e
}

const adviceFull = "free some space and resume: what was acknowledged is safe"

// leastRoom is how many bytes SQLite may want at once: the -shm file grows by 32 KiB.
const leastRoom = 64 << 10

// noRoom reports whether err is a failure of the disk for want of space. SQLite says so by
// itself only where it writes: when it cannot make the -shm file it does not.
func (db *DB) noRoom(err error) bool {
	return primary(err) == sqlite3.SQLITE_IOERR && room(filepath.Dir(db.path)) < leastRoom
}

// advice says what to do about an error of SQLite.
func (db *DB) advice(err error) string {
	if db.noRoom(err) {
		return adviceFull
	}
	switch primary(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "nothing was written to it. Move it aside together with its -wal and -shm files " +
			"(`sqlite3 FILE .recover` may save what is in it), and start with a new one"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another process has been writing for long; is an sqlite3 shell open on it?"
	case sqlite3.SQLITE_FULL:
		return adviceFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return "check the permissions of the file and of its directory"
	case sqlite3.SQLITE_CANTOPEN:
		return "check that the directory is there and can be written"
	case sqlite3.SQLITE_IOERR:
		return "check the disk (dmesg), then resume: what was acknowledged is safe"
	}
	return ""
}
