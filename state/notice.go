package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// A Notice is a message that is to go out, or did: one way of a `notify` block, for one
// event. It is there from the moment that the event is.
type Notice struct {
	ID       string       // the same for every try
	Run      engine.RunID // "": it tells of a slot
	Seq      int64        // of the event
	Schedule string       // full name, of the slot; "": it tells of a run
	Slot     time.Time    // its time
	Reason   string       // why it was missed
	Name     string
	Occasion engine.Occasion
	Way      engine.NoticeWay
	Status   NoticeStatus
	Tries    int // begun so far
	Made     time.Time
	Due      time.Time // not to be tried before
	Held     time.Time // until when somebody tries it, who may be gone; zero: nobody does
	Ended    time.Time // zero: it is pending
	Error    string    // of the last try; "": none failed
	// Message is what is told, as JSON; nil: nobody has put it together yet.
	Message json.RawMessage
}

// NoticeStatus says what became of a notice.
type NoticeStatus string

const (
	NoticePending NoticeStatus = "PENDING"
	NoticeSent    NoticeStatus = "SENT"     // it was taken
	NoticeGivenUp NoticeStatus = "GIVEN_UP" // it was tried for days, or is not wanted any more
	NoticeDropped NoticeStatus = "DROPPED"  // a user did not want it any more
)

// SetNotices says whom a run tells of what happens to it from here on.
// engine.ErrNotFound if there is no such run.
func (db *DB) SetNotices(ctx context.Context, run engine.RunID, notices []*engine.Notice) error {
	rules, err := json.Marshal(notices)
	if err != nil {
		return err
	}
	same := false
	err = db.read(ctx, func(q reader) error {
		get := getterOf(ctx, q)
		num, err := runNum(get, run)
		if err != nil {
			return err
		}
		var have string
		err = get("SELECT rules FROM notice_rules WHERE run = ?", []any{num}, &have)
		if isNoRows(err) {
			same = len(notices) == 0
			return nil
		}
		same = have == string(rules)
		return err
	})
	if err != nil || same {
		return err
	}
	return db.write(ctx, func(t *tx) error {
		num, err := runNum(t.get, run)
		if err != nil {
			return err
		}
		return setNotices(t, num, string(rules))
	})
}

func setNotices(t *tx, num int64, rules string) error {
	_, err := t.exec("INSERT INTO notice_rules (run, rules) VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET rules = excluded.rules", num, rules)
	return err
}

// notice leaves the notices of an event, in its transaction.
func (p *projection) notice(t *tx, seq int64, e *engine.Event) error {
	switch e.Kind {
	case engine.RunEnded, engine.RunPaused, engine.RunLate:
	default:
		return nil
	}
	var text string
	err := t.get("SELECT rules FROM notice_rules WHERE run = ?", []any{p.num}, &text)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var rules []*engine.Notice
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return fmt.Errorf("the notices of run %s: %w", p.id, err)
	}
	recovers := slices.ContainsFunc(rules, func(r *engine.Notice) bool { return slices.Contains(r.On, engine.OnRecovered) })
	occasions, err := e.Occasions(func() (bool, error) {
		if !recovers {
			return false, nil
		}
		return p.failedBefore(t, seq)
	})
	if err != nil {
		return err
	}
	return leaveNotices(rules, occasions, func(n int, name string, on engine.Occasion, way string) error {
		_, err := t.exec(`INSERT OR IGNORE INTO notices (id, run, seq, n, name, occasion, way, status, made, due)
			VALUES (?, ?, ?, ?, ?, ?, ?, 'PENDING', ?, ?)`,
			fmt.Sprintf("%s-%d-%d", p.id, seq, n), p.num, seq, int64(n), name, string(on), way, t.now, t.now)
		return err
	})
}

// leaveNotices calls leave for each way, counted from 1, of each rule that wants to be told of
// one of the occasions.
func leaveNotices(rules []*engine.Notice, occasions []engine.Occasion, leave func(n int, name string, on engine.Occasion, way string) error) error {
	n := 0
	for _, r := range rules {
		on := r.Wants(occasions)
		for _, way := range r.Ways {
			n++
			if on == "" {
				continue
			}
			how, err := json.Marshal(way)
			if err != nil {
				return err
			}
			if err := leave(n, r.Name, on, string(how)); err != nil {
				return err
			}
		}
	}
	return nil
}

// noticeMissed leaves the notices of a slot that was missed, in the transaction that says so.
func noticeMissed(t *tx, schedule int64, slot time.Time, reason string) error {
	var text, full string
	// Names may have - in them, and no +.
	if err := t.get("SELECT rules, workflow || '+' || name FROM schedules WHERE id = ?", []any{schedule}, &text, &full); err != nil {
		return err
	}
	var rules []*engine.Notice
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return fmt.Errorf("the notices of schedule %d: %w", schedule, err)
	}
	at := slot.UnixMilli()
	when := slot.UTC().Format("20060102T1504")
	if rest := at % 60_000; rest != 0 { // somebody asked for it, maybe twice in a minute
		when += fmt.Sprintf("%05d", rest)
	}
	return leaveNotices(rules, []engine.Occasion{engine.OnMissed}, func(n int, name string, on engine.Occasion, way string) error {
		_, err := t.exec(`INSERT OR IGNORE INTO notices (id, schedule, slot, reason, n, name, occasion, way, status, made, due)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'PENDING', ?, ?)`,
			fmt.Sprintf("%s-%s-%d", full, when, n), schedule, at, reason, int64(n), name, string(on), way, t.now, t.now)
		return err
	})
}

// failedBefore reports whether what ended last before event seq had failed: this run, before
// it was reopened, or another one of its workflow. What was cancelled does not count.
func (p *projection) failedBefore(t *tx, seq int64) (bool, error) {
	rows, err := t.query("SELECT seq FROM events WHERE run = ? AND seq < ? AND kind = ? ORDER BY seq DESC", p.num, seq, string(engine.RunEnded))
	if err != nil {
		return false, err
	}
	ends, err := scanAll(rows, func(s scanner, at *int64) error { return s.Scan(at) })
	if err != nil {
		return false, err
	}
	for _, at := range ends {
		e, err := p.event(t, at)
		if err != nil {
			return false, err
		}
		if e.Status != engine.Cancelled {
			return e.Status == engine.Failed, nil
		}
	}
	var failed bool
	err = t.get(`SELECT status = 'FAILED' FROM runs WHERE workflow = ? AND num <> ? AND status IN ('SUCCEEDED', 'FAILED')
		ORDER BY ended DESC, num DESC LIMIT 1`, []any{p.run.info.Workflow, p.num}, &failed)
	if isNoRows(err) {
		return false, nil
	}
	return failed, err
}

// noticeColumns are what scanNotice reads.
const noticeColumns = `n.id, coalesce(r.id, ''), coalesce(n.seq, 0), coalesce(c.workflow || '/' || c.name, ''), n.slot, n.reason, n.name, n.occasion, n.way, n.status, n.tries, n.made, n.due, n.held, coalesce(n.ended, 0), n.error, coalesce(n.message, '')`

const noticeTables = " FROM notices n LEFT JOIN runs r ON r.num = n.run LEFT JOIN schedules c ON c.id = n.schedule"

func scanNotice(s scanner, n *Notice) error {
	var way, message string
	var made, due, held, ended int64
	var slot sql.NullInt64
	if err := s.Scan(&n.ID, &n.Run, &n.Seq, &n.Schedule, &slot, &n.Reason, &n.Name, &n.Occasion, &way, &n.Status, &n.Tries, &made, &due, &held, &ended, &n.Error, &message); err != nil {
		return err
	}
	n.Slot = timeOf(slot)
	n.Made, n.Due = time.UnixMilli(made).UTC(), time.UnixMilli(due).UTC()
	if held != 0 {
		n.Held = time.UnixMilli(held).UTC()
	}
	if ended != 0 {
		n.Ended = time.UnixMilli(ended).UTC()
	}
	if message != "" {
		n.Message = json.RawMessage(message)
	}
	if err := json.Unmarshal([]byte(way), &n.Way); err != nil {
		return fmt.Errorf("notice %s: %w", n.ID, err)
	}
	return nil
}

// NoticeFilter says which notices are wanted; the zero value wants all.
type NoticeFilter struct {
	Run    engine.RunID
	ID     string
	Status []NoticeStatus
	Limit  int // 0: no limit
}

// Notices returns notices, the newest first.
func (db *DB) Notices(ctx context.Context, f NoticeFilter) (out []Notice, err error) {
	where, args := "1", []any{}
	if f.Run != "" {
		where, args = where+" AND r.id = ?", append(args, string(f.Run))
	}
	if f.ID != "" {
		where, args = where+" AND n.id = ?", append(args, f.ID)
	}
	if len(f.Status) > 0 {
		where += " AND n.status IN (?" + strings.Repeat(", ?", len(f.Status)-1) + ")"
		for _, s := range f.Status {
			args = append(args, string(s))
		}
	}
	limit := -1
	if f.Limit > 0 {
		limit = f.Limit
	}
	err = db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT "+noticeColumns+noticeTables+" WHERE "+where+
			" ORDER BY n.made DESC, n.run DESC, n.seq DESC, n.slot DESC, n.n LIMIT ?", append(args, limit)...)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, scanNotice)
		return err
	})
	return out, err
}

// A time further ahead than whoever sends notices sets one was set by a clock that was wrong,
// and is over.
const (
	maxNoticeWait = 48 * time.Hour   // between tries: a day
	maxNoticeHold = 10 * time.Minute // of a try: a minute
)

// noticeDue and noticeHeld are until when a notice is not to be tried, at the time ?2.
var (
	noticeDue  = fmt.Sprintf("iif(due > ?2 + %d, 0, due)", maxNoticeWait.Milliseconds())
	noticeHeld = fmt.Sprintf("iif(held > ?2 + %d, 0, held)", maxNoticeHold.Milliseconds())
)

// noticeOf is true for the notices of the run ?1, and for all if that is "".
const noticeOf = "(?1 = '' OR run = (SELECT num FROM runs WHERE id = ?1))"

// NextNotice returns when the next pending notice can be tried, of one run or, with "", of
// all; zero: none is pending.
func (db *DB) NextNotice(ctx context.Context, of engine.RunID) (due time.Time, err error) {
	err = db.read(ctx, func(q reader) error {
		var ms int64
		err := getterOf(ctx, q)("SELECT max("+noticeDue+", "+noticeHeld+") AS at FROM notices WHERE status = 'PENDING' AND "+noticeOf+" ORDER BY at LIMIT 1",
			[]any{string(of), db.now().UnixMilli()}, &ms)
		if isNoRows(err) {
			return nil
		}
		due = time.UnixMilli(ms).UTC()
		return err
	})
	return due, err
}

// ClaimNotice takes the notice that is due first, of one run or, with "", of all, so that
// nobody else tries it before hold is over: should this process die, somebody does then. nil:
// none is due.
func (db *DB) ClaimNotice(ctx context.Context, of engine.RunID, hold func(*engine.NoticeWay) time.Duration) (*Notice, error) {
	var n *Notice
	err := db.write(ctx, func(t *tx) error {
		rows, err := t.query("SELECT "+noticeColumns+noticeTables+" WHERE n.status = 'PENDING' AND "+noticeDue+" <= ?2 AND "+
			noticeHeld+" <= ?2 AND "+noticeOf+" ORDER BY n.due, n.made, n.n LIMIT 1", string(of), t.now)
		if err != nil {
			return err
		}
		all, err := scanAll(rows, scanNotice)
		if err != nil || len(all) == 0 {
			return err
		}
		n = &all[0]
		n.Tries++
		n.Held = time.UnixMilli(t.now + hold(&n.Way).Milliseconds()).UTC()
		_, err = t.exec("UPDATE notices SET tries = ?, held = ? WHERE id = ?", int64(n.Tries), n.Held.UnixMilli(), n.ID)
		return err
	})
	return n, err
}

// KeepMessage keeps what a claimed notice tells, for every try, and has it held anew: to put
// that together may have taken a while. It is not ours if somebody else has claimed it since, or
// it is not wanted any more.
func (db *DB) KeepMessage(ctx context.Context, n *Notice, hold time.Duration) (ours bool, err error) {
	err = db.write(ctx, func(t *tx) error {
		until := t.now + hold.Milliseconds()
		changed, err := t.exec("UPDATE notices SET message = ?, held = ? WHERE id = ? AND tries = ? AND status = 'PENDING'", string(n.Message), until, n.ID, int64(n.Tries))
		if ours = changed > 0; ours {
			n.Held = time.UnixMilli(until).UTC()
		}
		return err
	})
	return ours, err
}

// NoticeTaken records that a notice was taken by whom it is for.
func (db *DB) NoticeTaken(ctx context.Context, n *Notice) error {
	return db.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE notices SET status = 'SENT', ended = ?, held = 0, error = '' WHERE id = ? AND status <> 'SENT'", t.now, n.ID)
		return err
	})
}

// NoticeFailed records why a claimed notice could not be sent, and when it is tried again;
// the zero time: it is given up. If somebody else has claimed it since, that is theirs to say.
func (db *DB) NoticeFailed(ctx context.Context, n *Notice, why string, again time.Time) error {
	return db.write(ctx, func(t *tx) error {
		status, ended, due := NoticePending, any(nil), again.UnixMilli()
		if again.IsZero() {
			status, ended, due = NoticeGivenUp, t.now, t.now
		}
		_, err := t.exec("UPDATE notices SET status = ?, ended = ?, due = ?, held = 0, error = ? WHERE id = ? AND tries = ? AND status = 'PENDING'",
			string(status), ended, due, why, n.ID, int64(n.Tries))
		return err
	})
}

// RetryNotice makes a notice that was not sent due now, also one that was given up or dropped.
// One that somebody tries is left to them. It reports whether there was one.
func (db *DB) RetryNotice(ctx context.Context, id string) (bool, error) {
	return db.changeNotice(ctx, `UPDATE notices SET status = 'PENDING', ended = NULL, due = ?1, tries = CASE WHEN held > ?1 THEN tries ELSE 0 END
		WHERE id = ?2 AND status <> 'SENT'`, id)
}

// DropNotice has a notice not sent any more. It reports whether it was pending.
func (db *DB) DropNotice(ctx context.Context, id string) (bool, error) {
	return db.changeNotice(ctx, "UPDATE notices SET status = 'DROPPED', ended = ? WHERE id = ? AND status = 'PENDING'", id)
}

func (db *DB) changeNotice(ctx context.Context, query, id string) (changed bool, err error) {
	err = db.write(ctx, func(t *tx) error {
		n, err := t.exec(query, t.now, id)
		changed = n > 0
		return err
	})
	return changed, err
}
