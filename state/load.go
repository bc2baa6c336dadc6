package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"flow/engine"
)

// findRun reads the row of a run; sql.ErrNoRows if there is none.
func findRun(t *tx, id engine.RunID) (*projection, error) {
	p := &projection{id: id, maxRows: t.taskRows, names: map[engine.StepName]*stepState{}}
	r := &p.run
	c := &r.counts
	var status string
	err := t.get(`SELECT num, seq, workflow, version, executor, work_dir, status, reason, cause,
			created, coalesce(started, 0), coalesce(ended, 0), schedule, coalesce(slot, 0), cancelling, coalesce(late_at, 0), coalesce(late, 0),
			pending, running, succeeded, failed, skipped, cancelled, cached
		FROM runs WHERE id = ?`, []any{string(id)},
		&p.num, &p.seq, &r.info.Workflow, &r.info.Version, &r.info.Executor, &r.info.WorkDir, &status, &r.reason, &r.cause,
		&r.created, &r.started, &r.ended, &r.schedule, &r.slot, &r.cancelling, &r.lateAt, &r.late, &c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6])
	if err != nil {
		return nil, err
	}
	r.info.Run = id
	return p, r.status.UnmarshalText([]byte(status))
}

// loadProjection reads a run's projection from the tables; sql.ErrNoRows if there is
// no such run.
func loadProjection(t *tx, id engine.RunID) (*projection, error) {
	p, err := findRun(t, id)
	if err != nil {
		return nil, err
	}
	if err := p.loadSteps(t); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(p.steps, func(s *stepState) bool { return s.packed }) {
		return replay(t, p)
	}
	if err := p.loadTasks(t); err != nil {
		return nil, err
	}
	if err := p.loadJobs(t); err != nil {
		return nil, err
	}
	return p, p.check()
}

// errDisagree says that the projections are not what events can have made of them.
var errDisagree = errors.New("the tables do not agree with each other")

// check looks whether the numbers of tasks are those of the tasks.
func (p *projection) check() error {
	var total Counts
	for _, s := range p.steps {
		var c Counts
		for i := range s.tasks {
			c[s.tasks[i].status]++
			total[s.tasks[i].status]++
		}
		if c != s.counts {
			return fmt.Errorf("step %s of run %s: %w", s.name, p.id, errDisagree)
		}
	}
	if total != p.run.counts {
		return fmt.Errorf("run %s: %w", p.id, errDisagree)
	}
	return nil
}

func (p *projection) loadSteps(t *tx) error {
	rows, err := t.query(`SELECT step, name, fan_out, coalesce(size, -1), coalesce(expanded, 0), packed, base, status, reason, cause,
			coalesce(started, 0), coalesce(ended, 0), pending, running, succeeded, failed, skipped, cancelled, cached
		FROM steps WHERE run = ? ORDER BY step`, p.num)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		s := &stepState{}
		c := &s.counts
		var status string
		if err := rows.Scan(&s.n, &s.name, &s.fanOut, &s.size, &s.expanded, &s.packed, &s.base, &status, &s.reason, &s.cause,
			&s.started, &s.ended, &c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6]); err != nil {
			return err
		}
		if err := s.status.UnmarshalText([]byte(status)); err != nil {
			return err
		}
		if s.n != len(p.steps)+1 {
			return fmt.Errorf("step %d of run %s: %w", s.n, p.id, errDisagree)
		}
		s.keysRead = s.size < 0
		p.steps = append(p.steps, s)
		p.names[s.name] = s
	}
	return rows.Err()
}

func (p *projection) loadTasks(t *tx) error {
	rows, err := t.query(`SELECT step, idx, status, attempts, coalesce(job, 0), exit_code IS NOT NULL, coalesce(exit_code, 0),
			reason, cause, coalesce(started, 0), coalesce(stopped, 0), coalesce(peak_memory, 0), coalesce(cpu, 0)
		FROM tasks WHERE run = ?`, p.num)
	if err != nil {
		return err
	}
	defer rows.Close()
	missing := 0
	for _, s := range p.steps {
		s.tasks = make([]taskState, max(s.size, 0))
		missing += len(s.tasks)
	}
	p.rows = missing
	for ; rows.Next(); missing-- {
		var step, idx int
		var r taskRow
		if err := rows.Scan(&step, &idx, &r.status, &r.attempts, &r.job, &r.exited, &r.exit, &r.reason, &r.cause, &r.started, &r.stopped,
			&r.memory, &r.cpu); err != nil {
			return err
		}
		if step > len(p.steps) || idx >= len(p.steps[step-1].tasks) {
			return fmt.Errorf("task %d of step %d of run %s: %w", idx, step, p.id, errDisagree)
		}
		p.steps[step-1].tasks[idx] = taskState{taskRow: r, was: r.status}
	}
	if err := rows.Err(); err != nil || missing == 0 {
		return err
	}
	return fmt.Errorf("%d tasks of run %s: %w", missing, p.id, errDisagree)
}

func (p *projection) loadJobs(t *tx) error {
	rows, err := t.query(`SELECT n, step, name, job_id, status, reason, grp, attempt, tasks, planned, coalesce(submitted, 0),
			coalesce(starting, 0), coalesce(ended, 0)
		FROM jobs WHERE run = ? ORDER BY n`, p.num)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		j := &jobState{}
		var step int
		var tasks string
		if err := rows.Scan(&j.n, &step, &j.name, &j.id, &j.status, &j.reason, &j.group, &j.attempt, &tasks, &j.planned, &j.submitted, &j.starting, &j.ended); err != nil {
			return err
		}
		if j.n != len(p.jobs)+1 || step < 1 || step > len(p.steps) {
			return fmt.Errorf("job %d of run %s: %w", j.n, p.id, errDisagree)
		}
		if j.tasks, err = parseRanges(tasks); err != nil {
			return err
		}
		j.step = p.steps[step-1]
		p.jobs = append(p.jobs, j)
	}
	return rows.Err()
}

func parseRanges(s string) (r engine.Ranges, err error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return r, r.UnmarshalJSON(text)
}

// resetProjection deletes what follows from a run's events, and returns the projection
// before the first of them, whose seq is still that of the last; sql.ErrNoRows if there
// is no such run. Its results in the cache stay: folding makes the same ones.
func resetProjection(t *tx, id engine.RunID) (*projection, error) {
	p, err := findRun(t, id)
	if err != nil {
		return nil, err
	}
	if err := p.loadSteps(t); err != nil {
		return nil, err
	}
	for _, query := range []string{
		"DELETE FROM tasks WHERE run = ?",
		"DELETE FROM jobs WHERE run = ?",
		"DELETE FROM uses WHERE run = ?",
	} {
		if _, err := t.exec(query, p.num); err != nil {
			return nil, err
		}
	}
	r := p.emptied()
	r.seq = p.seq
	return r, nil
}
