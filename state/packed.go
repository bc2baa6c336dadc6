package state

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"flow/engine"
)

// Rows of tasks are for looking at, and cost a hundred bytes each in memory and in the
// file. A run has them as long as it has no more than Options.TaskRows in all, and beyond
// for steps of at most a thousandth of that. Any other step is packed: the tables have its
// counts, and of its tasks only the events tell.
const rowsOfRun = 100_000

// A packedTask is what folding further needs of a task of a packed step.
type packedTask struct {
	job      int32
	attempts uint16 // as in engine.Run
	status   engine.Status
}

// packs decides whether a step that is expanded to so many tasks is packed.
func (p *projection) packs(s *stepState, size int) bool {
	if was, ok := p.stored[s.n]; ok && was.expanded == p.seq {
		return was.packed
	}
	return p.maxRows >= 0 && size > p.maxRows/1000 && p.rows+size > p.maxRows
}

// makeTasks makes the tasks of a step that is expanded now.
func (p *projection) makeTasks(s *stepState, size int) {
	s.size, s.packed = size, p.packs(s, size)
	if s.packed {
		s.small = make([]packedTask, size)
		for i := range s.small {
			s.small[i].attempts = uint16(s.base)
		}
		return
	}
	p.rows += size
	s.tasks, s.fresh = make([]taskState, size), true
	for i := range s.tasks {
		s.tasks[i].attempts = s.base
	}
}

// row returns what is known of a task; of a packed step only what it needs itself.
func (s *stepState) row(i int) taskRow {
	if s.packed {
		t := &s.small[i]
		return taskRow{status: t.status, attempts: int32(t.attempts), job: t.job}
	}
	return s.tasks[i].taskRow
}

// put sets what is known of a task, and reports whether that is something new.
func (s *stepState) put(i int, row taskRow) bool {
	if s.packed {
		was := s.small[i]
		s.small[i] = packedTask{status: row.status, attempts: uint16(row.attempts), job: row.job}
		return s.small[i] != was
	}
	task := &s.tasks[i]
	if row == task.taskRow {
		return false
	}
	task.taskRow = row
	if !task.dirty {
		task.dirty = true
		s.dirtyTasks = append(s.dirtyTasks, i)
	}
	return true
}

// storedStep is what the table says about the expansion of a step.
type storedStep struct {
	expanded int64
	packed   bool
}

// replay reads a run's projection from its events, since of packed steps nothing else has
// the tasks. p is what the tables say about the run and its steps.
func replay(t *tx, p *projection) (*projection, error) {
	r := p.emptied()
	r.stored = make(map[int]storedStep, len(p.steps))
	for _, s := range p.steps {
		r.stored[s.n] = storedStep{s.expanded, s.packed}
	}
	for r.seq < p.seq {
		e, err := r.event(t, r.seq+1)
		if err != nil {
			return nil, err
		}
		if err := r.apply(t, e.Seq, &e); err != nil {
			return nil, fmt.Errorf("event %d (%s) of run %s: %w", e.Seq, e.Kind, p.id, err)
		}
	}
	r.settle()
	return r, r.agrees(t, p)
}

// settle forgets what was to be written: it is there.
func (p *projection) settle() {
	for _, s := range p.steps {
		s.dirty, s.wipe, s.fresh, s.dirtyTasks = false, false, false, nil
		for i := range s.tasks {
			s.tasks[i].was, s.tasks[i].dirty = s.tasks[i].status, false
		}
	}
	for _, j := range p.jobs {
		j.dirty = false
	}
	p.stored, p.dirtyJobs, p.uses, p.results, p.families, p.answered = nil, nil, nil, nil, nil, false
}

// agrees looks whether the tables say what the events do: errDisagree if not.
func (p *projection) agrees(t *tx, tables *projection) error {
	same := p.run.status == tables.run.status && p.run.counts == tables.run.counts && len(p.steps) == len(tables.steps)
	for i := 0; same && i < len(p.steps); i++ {
		a, b := p.steps[i], tables.steps[i]
		same = a.size == b.size && a.counts == b.counts && a.packed == b.packed
	}
	if !same {
		return fmt.Errorf("run %s: %w", p.id, errDisagree)
	}
	rows, err := t.query("SELECT step, status, count(*) FROM tasks WHERE run = ? GROUP BY step, status", p.num)
	if err != nil {
		return err
	}
	defer rows.Close()
	counts := make([]Counts, len(p.steps))
	for rows.Next() {
		var step, status, n int
		if err := rows.Scan(&step, &status, &n); err != nil {
			return err
		}
		if step < 1 || step > len(counts) {
			return fmt.Errorf("step %d of run %s: %w", step, p.id, errDisagree)
		}
		counts[step-1][status] = n
	}
	for i, s := range p.steps {
		if want := s.counts; !s.packed && counts[i] != want || s.packed && counts[i] != (Counts{}) {
			return fmt.Errorf("tasks of step %s of run %s: %w", s.name, p.id, errDisagree)
		}
	}
	return rows.Err()
}

// emptied returns the projection of the run before its first event.
func (p *projection) emptied() *projection {
	r := &projection{num: p.num, id: p.id, maxRows: p.maxRows, names: make(map[engine.StepName]*stepState, len(p.steps))}
	for _, s := range p.steps {
		r.addStep(s.name, s.fanOut)
	}
	return r
}

// foldTasks folds the events of a run that has packed steps, to tell of its tasks.
func (db *DB) foldTasks(ctx context.Context, run engine.RunID) (*projection, error) {
	steps, err := db.Steps(ctx, run)
	if err != nil {
		return nil, err
	}
	p := &projection{id: run, maxRows: -1, names: make(map[engine.StepName]*stepState, len(steps))}
	for _, s := range steps {
		p.addStep(s.Name, s.FanOut)
	}
	for e, err := range db.Events(ctx, run, 0) {
		if err != nil {
			return nil, err
		}
		if err := p.apply(nil, e.Seq, &e); err != nil { // nil: all is in memory
			return nil, fmt.Errorf("event %d (%s) of run %s: %w", e.Seq, e.Kind, run, err)
		}
		p.results, p.families = nil, nil
	}
	return p, nil
}

// hasPacked reports whether the run has packed steps.
func (db *DB) hasPacked(ctx context.Context, run engine.RunID) (yes bool, err error) {
	err = db.read(ctx, func(q reader) error {
		return q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM steps
			WHERE packed AND run = (SELECT num FROM runs WHERE id = ?))`, string(run)).Scan(&yes)
	})
	return yes, err
}

// foldedTasks is Tasks for a run that has packed steps.
func (db *DB) foldedTasks(ctx context.Context, run engine.RunID, f TaskFilter) ([]Task, error) {
	p, err := db.foldTasks(ctx, run)
	if err != nil {
		return nil, err
	}
	var out []Task
	expansions := map[engine.StepName]int64{}
	skip := f.Offset
	for _, s := range p.steps {
		if f.Step != "" && f.Step != s.name {
			continue
		}
		for i := range s.tasks {
			t := s.task(i)
			if len(f.Status) > 0 && !slices.Contains(f.Status, t.Status) || f.Key != nil && *f.Key != t.Key {
				continue
			}
			if skip--; skip >= 0 {
				continue
			}
			t.Dir = engine.TaskDir(p.run.info.WorkDir, run, s.name, engine.KeyDir(s.fanOut, t.Key))
			if out = append(out, t); t.Status == engine.Cached {
				expansions[s.name] = s.expanded
			}
			if len(out) == f.Limit {
				return out, db.cachedDirs(ctx, run, out, expansions)
			}
		}
	}
	return out, db.cachedDirs(ctx, run, out, expansions)
}

// task is what is known of a task, but its directory.
func (s *stepState) task(i int) Task {
	r := &s.tasks[i]
	t := Task{
		Step: s.name, Index: i, FanOut: s.fanOut, Status: r.status, Attempts: int(r.attempts), Job: int(r.job),
		Reason: r.reason, Cause: r.cause, Started: millis(r.started), Stopped: millis(r.stopped),
		CPUMillis: r.cpu,
	}
	t.used(r.memory)
	switch {
	case !s.fanOut:
	case s.keys != nil:
		t.Key = s.keys[i]
	default:
		t.Key = strconv.Itoa(i)
	}
	if r.exited {
		code := int(r.exit)
		t.ExitCode = &code
	}
	return t
}

func millis(ms int64) time.Time { return timeOf(sql.NullInt64{Int64: ms, Valid: true}) }
