package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"flow/engine"
)

// flush writes what has changed since the run's event number before. ErrConflict if
// the tables are at another event.
func (p *projection) flush(t *tx, before int64) error {
	if err := p.flushRun(t, before); err != nil {
		return err
	}
	for _, s := range p.steps {
		if !s.dirty {
			continue
		}
		if err := p.flushStep(t, s); err != nil {
			return err
		}
	}
	for _, j := range p.dirtyJobs {
		if err := p.flushJob(t, j); err != nil {
			return err
		}
	}
	p.dirtyJobs = p.dirtyJobs[:0]
	for _, from := range p.uses {
		if _, err := t.exec("INSERT OR IGNORE INTO uses (run, source) VALUES (?, ?)", p.num, string(from.run)); err != nil {
			return err
		}
	}
	p.uses = nil
	for _, f := range p.families {
		if _, err := t.exec("INSERT OR IGNORE INTO cache_ranges (family, run, seq, step, tasks) VALUES (?, ?, ?, ?, ?)",
			f.family[:], p.num, f.seq, int64(f.step), f.tasks.String()); err != nil {
			return err
		}
	}
	p.families = nil
	for i := range p.results {
		if err := p.flushResult(t, &p.results[i]); err != nil {
			return err
		}
	}
	clear(p.results)
	p.results = p.results[:0]
	if p.over {
		p.over = false
		if _, err := t.exec("DELETE FROM entrusted WHERE run = ?", p.num); err != nil {
			return err
		}
	}
	if p.answered {
		p.answered = false
		if _, err := t.exec("UPDATE requests SET taken = ? WHERE run = ? AND taken IS NULL", t.now, p.num); err != nil {
			return err
		}
	}
	return nil
}

func (p *projection) flushRun(t *tx, before int64) error {
	r, c := &p.run, &p.run.counts
	n, err := t.exec(`UPDATE runs SET seq = ?, workflow = ?, version = ?, executor = ?, work_dir = ?,
		status = ?, reason = ?, cause = ?, created = ?, started = ?, ended = ?, schedule = ?, slot = ?, cancelling = ?, late_at = ?, late = ?,
		pending = ?, running = ?, succeeded = ?, failed = ?, skipped = ?, cancelled = ?, cached = ?
		WHERE num = ? AND seq = ?`,
		p.seq, r.info.Workflow, r.info.Version, r.info.Executor, r.info.WorkDir,
		r.status.String(), r.reason, r.cause, r.created, orNull(r.started), orNull(r.ended), r.schedule, orNull(r.slot), r.cancelling, orNull(r.lateAt), orNull(r.late),
		int64(c[0]), int64(c[1]), int64(c[2]), int64(c[3]), int64(c[4]), int64(c[5]), int64(c[6]),
		p.num, before)
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: the last event of run %s is not %d any more", engine.ErrConflict, p.id, before)
	}
	return err
}

func (p *projection) flushStep(t *tx, s *stepState) error {
	s.dirty = false
	if s.wipe {
		s.wipe = false
		if _, err := t.exec("DELETE FROM tasks WHERE run = ? AND step = ?", p.num, int64(s.n)); err != nil {
			return err
		}
	}
	if s.fresh {
		if err := p.insertTasks(t, s); err != nil {
			return err
		}
		s.fresh = false
	}
	if err := p.updateTasks(t, s); err != nil {
		return err
	}
	var size any
	if s.size >= 0 {
		size = int64(s.size)
	}
	c := &s.counts
	_, err := t.exec(`INSERT INTO steps (run, step, name, fan_out, size, expanded, packed, base, status, reason, cause, started, ended,
			pending, running, succeeded, failed, skipped, cancelled, cached)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (run, step) DO UPDATE SET size = excluded.size, expanded = excluded.expanded, packed = excluded.packed, base = excluded.base,
			status = excluded.status, reason = excluded.reason, cause = excluded.cause, started = excluded.started, ended = excluded.ended,
			pending = excluded.pending, running = excluded.running, succeeded = excluded.succeeded, failed = excluded.failed,
			skipped = excluded.skipped, cancelled = excluded.cancelled, cached = excluded.cached`,
		p.num, int64(s.n), string(s.name), s.fanOut, size, orNull(s.expanded), s.packed, int64(s.base),
		s.shown().String(), s.reason, s.cause, orNull(s.started), orNull(s.ended),
		int64(c[0]), int64(c[1]), int64(c[2]), int64(c[3]), int64(c[4]), int64(c[5]), int64(c[6]))
	return err
}

// Tasks are inserted so many at a time.
const insertRows = 64

func insertTasksSQL(rows int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO tasks (run, step, idx, key, status, attempts, job) VALUES ")
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		at := 3 + 5*i
		fmt.Fprintf(&b, "(?1,?2,?%d,?%d,?%d,?%d,?%d)", at, at+1, at+2, at+3, at+4)
	}
	return b.String()
}

var insertManySQL, insertOneSQL = insertTasksSQL(insertRows), insertTasksSQL(1)

// insertTasks writes the rows of a step's tasks, with what is likely to be set in them;
// updateTasks adds the rest.
func (p *projection) insertTasks(t *tx, s *stepState) error {
	args := make([]any, 0, 2+5*insertRows)
	for i := 0; i < len(s.tasks); {
		n, query := 1, insertOneSQL
		if len(s.tasks)-i >= insertRows {
			n, query = insertRows, insertManySQL
		}
		args = append(args[:0], p.num, int64(s.n))
		for end := i + n; i < end; i++ {
			task := &s.tasks[i]
			args = append(args, int64(i), s.key(i), int64(task.status), int64(task.attempts), orNull(int64(task.job)))
			task.was = task.status
			if (task.taskRow == taskRow{status: task.status, attempts: task.attempts, job: task.job}) {
				task.dirty = false
			}
		}
		if _, err := t.exec(query, args...); err != nil {
			return err
		}
	}
	return nil
}

const updateTaskSQL = `UPDATE tasks SET status = ?, attempts = ?, job = ?, exit_code = ?, reason = ?, cause = ?, started = ?, stopped = ?,
		peak_memory = ?, cpu = ?
	WHERE run = ? AND step = ? AND status = ? AND `

// updateTasks writes the rows that have changed: neighbours that are now alike at once.
func (p *projection) updateTasks(t *tx, s *stepState) error {
	slices.Sort(s.dirtyTasks)
	for k := 0; k < len(s.dirtyTasks); {
		i := s.dirtyTasks[k]
		k++
		task := s.tasks[i]
		if !task.dirty { // insertTasks wrote it
			continue
		}
		s.tasks[i].dirty, s.tasks[i].was = false, task.status
		last := i
		for ; k < len(s.dirtyTasks) && s.dirtyTasks[k] == last+1 && s.tasks[last+1] == task; k++ {
			last++
			s.tasks[last].dirty, s.tasks[last].was = false, task.status
		}
		var exit any
		if task.exited {
			exit = int64(task.exit)
		}
		args := []any{int64(task.status), int64(task.attempts), orNull(int64(task.job)), exit, task.reason, task.cause,
			orNull(task.started), orNull(task.stopped), orNull(task.memory), orNull(task.cpu), p.num, int64(s.n), int64(task.was), int64(i), int64(last)}
		query := updateTaskSQL + "idx BETWEEN ? AND ?"
		if last == i {
			query, args = updateTaskSQL+"idx = ?", args[:len(args)-1]
		}
		n, err := t.exec(query, args...)
		if err != nil {
			return err
		}
		if n != int64(last-i+1) {
			return fmt.Errorf("tasks %d to %d of step %s are not all %s in the table, as its events say", i, last, s.name, task.was)
		}
	}
	s.dirtyTasks = s.dirtyTasks[:0]
	return nil
}

func (p *projection) flushJob(t *tx, j *jobState) error {
	j.dirty = false
	_, err := t.exec(`INSERT INTO jobs (run, n, step, name, job_id, status, reason, grp, attempt, size, tasks, planned, submitted, starting, ended)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (run, n) DO UPDATE SET job_id = excluded.job_id, status = excluded.status, reason = excluded.reason,
			submitted = excluded.submitted, starting = excluded.starting, ended = excluded.ended`,
		p.num, int64(j.n), int64(j.step.n), j.name, string(j.id), string(j.status), j.reason, int64(j.group), int64(j.attempt),
		int64(j.tasks.Len()), j.tasks.String(), j.planned, orNull(j.submitted), orNull(j.starting), orNull(j.ended))
	return err
}

// flushResult makes a task's result known to the cache, unless a newer one is.
func (p *projection) flushResult(t *tx, r *result) error {
	var outputs any
	if r.outputs != nil {
		text, err := json.Marshal(r.outputs)
		if err != nil {
			return err
		}
		outputs = string(text)
	}
	_, err := t.exec(`INSERT INTO cache (key, run, step, idx, task, outputs, at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET run = excluded.run, step = excluded.step, idx = excluded.idx,
			task = excluded.task, outputs = excluded.outputs, at = excluded.at
		WHERE excluded.at >= cache.at`,
		r.key[:], p.num, int64(r.step), int64(r.idx), r.task, outputs, r.at)
	return err
}

// orNull is NULL for 0.
func orNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}
