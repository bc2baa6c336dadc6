package state

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// A part is a call that writes: its function runs in a transaction, perhaps with those of others.
type part struct {
	fn   func(*tx) error
	done chan struct{} // closed when err says how it went
	err  error
}

func (p *part) end(err error) {
	p.err = err
	close(p.done)
}

// A queue has the parts that wait for a transaction, in order.
type queue struct {
	mu    sync.Mutex
	parts []*part
}

func (q *queue) join(p *part) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parts = append(q.parts, p)
}

// leave takes a part out of the queue; false: it is not in it any more.
func (q *queue) leave(p *part) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.parts, p)
	if i >= 0 {
		q.parts = slices.Delete(q.parts, i, i+1)
	}
	return i >= 0
}

// first takes the first n parts out of the queue.
func (q *queue) first(n int) []*part {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.parts))
	parts := slices.Clone(q.parts[:n])
	q.parts = slices.Delete(q.parts, 0, n)
	return parts
}

// mostParts is how many parts one transaction has at most, beside the first.
const mostParts = 50

// write runs fn in a transaction. If fn fails, nothing of it is stored. If the commit
// fails, nobody knows: the error is ErrOutcomeUnknown. A context that ends stops the
// wait for the lock, not a transaction that has begun.
//
// What waits while another call writes shares the next transaction: a commit waits for the
// disk, and that is what takes the time when many runs are driven.
func (db *DB) write(ctx context.Context, fn func(*tx) error) error {
	if db.readOnly {
		return &Error{Path: db.path, What: ErrReadOnly, Advice: "it was opened for reading only"}
	}
	p := &part{fn: fn, done: make(chan struct{})}
	db.queue.join(p)
	select {
	case <-ctx.Done():
		if db.queue.leave(p) {
			return ctx.Err()
		}
		<-p.done
		return p.err
	case <-p.done:
		return p.err
	case <-db.turn:
	}
	defer db.give()
	if !db.queue.leave(p) { // who had the turn before has done it
		return p.err
	}
	if db.closed {
		return db.errClosed()
	}
	return db.lead(ctx, p)
}

// lead writes a part, and those that wait meanwhile, in one transaction. The caller has the turn.
func (db *DB) lead(ctx context.Context, p *part) error {
	w, err := db.writer(ctx)
	if err != nil {
		return db.explain(err)
	}
	if _, err := (&tx{ctx: ctx, w: w}).exec("BEGIN IMMEDIATE"); err != nil {
		db.discard() // it may have begun before the context ended
		return db.explain(err)
	}
	t := &tx{ctx: context.WithoutCancel(ctx), w: w, now: db.now().UnixMilli(), taskRows: db.taskRows}
	if err := p.fn(t); err != nil {
		db.undo(t, err)
		return db.explain(err)
	}
	others := db.queue.first(mostParts)
	failed := make([]error, len(others)) // each by itself
	for i, o := range others {
		if failed[i], err = db.alone(t, o.fn); err != nil {
			break
		}
	}
	if err == nil {
		if _, err = t.exec("COMMIT"); err == nil {
			db.commits.Add(1)
		} else {
			db.discard()
			err = &Error{Path: db.path, What: ErrOutcomeUnknown, Advice: db.advice(err), Err: err}
		}
	}
	for i, o := range others {
		o.end(cmp.Or(failed[i], err))
	}
	return err
}

// alone runs fn within a transaction so that nothing is left of it if it fails: that is failed.
// err says that nothing is left of the whole transaction.
func (db *DB) alone(t *tx, fn func(*tx) error) (failed, err error) {
	if _, err := t.exec("SAVEPOINT part"); err != nil {
		db.undo(t, err)
		return nil, db.explain(err)
	}
	if failed = fn(t); failed != nil {
		clear(db.runs)
		if _, err := t.exec("ROLLBACK TO part"); err != nil || primary(failed) == codeIOErr {
			db.undo(t, failed) // SQLite has undone all of it, perhaps
			return nil, db.explain(failed)
		}
	}
	if _, err := t.exec("RELEASE part"); err != nil {
		db.undo(t, err)
		return nil, db.explain(err)
	}
	return db.explain(failed), nil
}

// undo leaves nothing of a transaction that cannot go on because of err.
func (db *DB) undo(t *tx, err error) {
	clear(db.runs)
	if _, undo := t.exec("ROLLBACK"); undo != nil || primary(err) == codeIOErr {
		db.discard()
	}
}
