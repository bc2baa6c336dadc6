package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"flow/engine"
)

// Counts are numbers of tasks, by engine.Status.
type Counts [7]int

// Total returns how many tasks there are.
func (c Counts) Total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// A Run is what the tables say about a run.
type Run struct {
	ID       engine.RunID
	Workflow string
	Version  string // of flow
	Executor string
	WorkDir  string
	Dir      string          // of the workflow's files
	Params   json.RawMessage // see NewRun
	Seq      int64           // of the last event
	Status   engine.Status   // PENDING until a driver has done something
	Reason   string
	Cause    string
	Created  time.Time
	Started  time.Time // zero: nobody has driven it yet
	Ended    time.Time // zero: it has not ended
	Tasks    Counts    // of the steps whose tasks are known

	Schedule   string    // the full name of what started it: nightly/daily; "": no schedule did
	Slot       time.Time // for which slot
	Cancelling bool      // it is to be cancelled, and not over
	LateAt     time.Time // by when it should be over; zero: nothing says so
	Late       time.Time // since when it is late, once that was told; zero: it was not
	Entrusted  bool      // the service is to drive it
}

var runColumns = strings.Join(runColumnNames, ", ") + ", num IN (SELECT run FROM entrusted)"

var runColumnNames = []string{"id", "workflow", "version", "executor", "work_dir", "dir", "params", "seq", "status", "reason", "cause",
	"created", "started", "ended", "pending", "running", "succeeded", "failed", "skipped", "cancelled", "cached",
	"schedule", "slot", "cancelling", "late_at", "late"}

func scanRun(s scanner, r *Run) error { return scanRunAnd(s, r) }

// scanRunAnd reads a row of runColumns, and what follows them.
func scanRunAnd(s scanner, r *Run, more ...any) error {
	var status string
	var params sql.NullString
	var created, started, ended, slot, lateAt, late sql.NullInt64
	c := &r.Tasks
	if err := s.Scan(append([]any{&r.ID, &r.Workflow, &r.Version, &r.Executor, &r.WorkDir, &r.Dir, &params, &r.Seq, &status, &r.Reason, &r.Cause,
		&created, &started, &ended, &c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6], &r.Schedule, &slot, &r.Cancelling, &lateAt, &late, &r.Entrusted}, more...)...); err != nil {
		return err
	}
	if r.Schedule != "" {
		r.Schedule = r.Workflow + "/" + r.Schedule
	}
	r.Slot, r.LateAt, r.Late = timeOf(slot), timeOf(lateAt), timeOf(late)
	if params.Valid {
		r.Params = json.RawMessage(params.String)
	}
	r.Created, r.Started, r.Ended = timeOf(created), timeOf(started), timeOf(ended)
	return r.Status.UnmarshalText([]byte(status))
}

// RunFilter says which runs are wanted. The zero value wants all.
type RunFilter struct {
	Workflow string
	Schedule string          // full name: those that it started; "": all
	Status   []engine.Status // any of them; nil: all
	Since    time.Time       // created then or later
	Limit    int             // at most so many; 0: all
}

// Runs returns runs, the newest first.
func (db *DB) Runs(ctx context.Context, f RunFilter) ([]Run, error) {
	w := where{}
	if f.Workflow != "" {
		w.add("workflow = ?", f.Workflow)
	}
	if f.Schedule != "" {
		workflow, name, _ := strings.Cut(f.Schedule, "/")
		w.add("workflow = ? AND schedule = ? AND schedule <> ''", workflow, name)
	}
	if len(f.Status) > 0 {
		w.in("status", statusNames(f.Status))
	}
	if !f.Since.IsZero() {
		w.add("created >= ?", f.Since.UnixMilli())
	}
	return db.runsWhere(ctx, w, "num DESC", f.Limit, 0)
}

// Run returns the run of that id. engine.ErrNotFound (wrapped) if there is none.
func (db *DB) Run(ctx context.Context, id engine.RunID) (Run, error) {
	w := where{}
	w.add("id = ?", string(id))
	runs, err := db.runsWhere(ctx, w, "num", 1, 0)
	if err != nil || len(runs) == 1 {
		return append(runs, Run{})[0], err
	}
	return Run{}, fmt.Errorf("run %s: %w", id, engine.ErrNotFound)
}

// PreviousRun returns the newest run of a workflow that was created before run before,
// or before which there is no other, with "". engine.ErrNotFound if there is none.
func (db *DB) PreviousRun(ctx context.Context, workflow string, before engine.RunID) (Run, error) {
	w := where{}
	w.add("workflow = ?", workflow)
	if before != "" {
		w.add("num < (SELECT num FROM runs WHERE id = ?)", string(before))
	}
	runs, err := db.runsWhere(ctx, w, "num DESC", 1, 0)
	if err != nil || len(runs) == 1 {
		return append(runs, Run{})[0], err
	}
	return Run{}, fmt.Errorf("no earlier run of workflow %s: %w", workflow, engine.ErrNotFound)
}

func (db *DB) runsWhere(ctx context.Context, w where, order string, limit, skip int) ([]Run, error) {
	var out []Run
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, "SELECT "+runColumns+" FROM runs"+w.String()+" ORDER BY "+order+limits(limit, skip), w.args...)
		if err != nil {
			return err
		}
		out, err = scanAll(rows, scanRun)
		return err
	})
	return out, err
}

// A Step is what the tables say about a step of a run.
type Step struct {
	Name    engine.StepName
	FanOut  bool
	Size    int // -1: its tasks are not known yet
	Status  engine.Status
	Reason  string
	Cause   string
	Started time.Time // when its first task ran; zero: none did
	Ended   time.Time
	Tasks   Counts
}

// Steps returns the steps of a run, in source order.
func (db *DB) Steps(ctx context.Context, run engine.RunID) ([]Step, error) {
	var out []Step
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT name, fan_out, coalesce(size, -1), status, reason, cause, started, ended,
				pending, running, succeeded, failed, skipped, cancelled, cached
			FROM steps WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY step`, string(run))
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(sc scanner, s *Step) error {
			var status string
			var started, ended sql.NullInt64
			c := &s.Tasks
			if err := sc.Scan(&s.Name, &s.FanOut, &s.Size, &status, &s.Reason, &s.Cause, &started, &ended,
				&c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6]); err != nil {
				return err
			}
			s.Started, s.Ended = timeOf(started), timeOf(ended)
			return s.Status.UnmarshalText([]byte(status))
		})
		return err
	})
	return out, err
}

// JobStatus is the state of a job in the ledger.
type JobStatus string

const (
	JobPlanned   JobStatus = "PLANNED"   // to be submitted
	JobInDoubt   JobStatus = "IN_DOUBT"  // nobody knows whether it was accepted
	JobSubmitted JobStatus = "SUBMITTED" // accepted
	JobRefused   JobStatus = "REFUSED"   // surely not accepted
	JobLost      JobStatus = "LOST"      // unknown to its executor
	JobSucceeded JobStatus = "SUCCEEDED"
	JobFailed    JobStatus = "FAILED"
	JobCancelled JobStatus = "CANCELLED" // ended before it was submitted, or by somebody's wish
)

// Ended reports whether the job needs no more looking after.
func (s JobStatus) Ended() bool {
	switch s {
	case JobPlanned, JobInDoubt, JobSubmitted:
		return false
	}
	return true
}

// A Job is what the tables say about a job of a run.
type Job struct {
	N         int // in its run, from 1
	Step      engine.StepName
	Name      string
	ID        engine.JobID // "": not accepted
	Status    JobStatus
	Reason    string
	Group     int           // of its step's tasks
	Attempt   int           // of its tasks' first try in it
	Size      int           // tasks
	Tasks     engine.Ranges // indices of its tasks, in the order of its children
	Planned   time.Time
	Submitted time.Time
	Starting  time.Time // when it, or the first of its children, was seen STARTING; zero: it was not
	Ended     time.Time
}

// Jobs returns the jobs of a run, in the order in which they were planned.
func (db *DB) Jobs(ctx context.Context, run engine.RunID) ([]Job, error) {
	var out []Job
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT j.n, s.name, j.name, j.job_id, j.status, j.reason, j.grp, j.attempt, j.size, j.tasks,
				j.planned, j.submitted, j.starting, j.ended
			FROM jobs j JOIN steps s ON s.run = j.run AND s.step = j.step
			WHERE j.run = (SELECT num FROM runs WHERE id = ?) ORDER BY j.n`, string(run))
		if err != nil {
			return err
		}
		out, err = scanAll(rows, func(s scanner, j *Job) error {
			var tasks string
			var planned, submitted, starting, ended sql.NullInt64
			err := s.Scan(&j.N, &j.Step, &j.Name, &j.ID, &j.Status, &j.Reason, &j.Group, &j.Attempt, &j.Size, &tasks, &planned, &submitted, &starting, &ended)
			if err != nil {
				return err
			}
			j.Planned, j.Submitted, j.Starting, j.Ended = timeOf(planned), timeOf(submitted), timeOf(starting), timeOf(ended)
			j.Tasks, err = parseRanges(tasks)
			return err
		})
		return err
	})
	return out, err
}

// where gathers the conditions of a query.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

func (w *where) in(column string, values []any) {
	w.add(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

func limits(limit, skip int) string {
	switch {
	case limit > 0:
		return fmt.Sprintf(" LIMIT %d OFFSET %d", limit, skip)
	case skip > 0:
		return fmt.Sprintf(" LIMIT -1 OFFSET %d", skip)
	}
	return ""
}

func statusNames(ss []engine.Status) []any {
	out := make([]any, len(ss))
	for i, s := range ss {
		out[i] = s.String()
	}
	return out
}
