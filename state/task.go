package state

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"flow/engine"
)

// A Task is what the tables say about a task of a run.
type Task struct {
	Step     engine.StepName
	Index    int
	FanOut   bool
	Key      string // "" for the one task of a step without fan-out
	Status   engine.Status
	Attempts int  // ended tries
	Job      int  // the last job it was given to; 0: none
	ExitCode *int // of the last try; nil: it reported none
	Reason   string
	Cause    string
	Started  time.Time // of the last try
	Stopped  time.Time

	PeakMemory int64 // bytes, of the last try that ended; 0: not known
	PeakAtMost bool  // PeakMemory is no peak, but what it did not exceed, see engine.Used
	CPUMillis  int64 // likewise, milliseconds of CPU

	Dir string // its task directory, or that of the result it was CACHED from
}

// Name returns how people name the task: align["chr1"].
func (t *Task) Name() string { return engine.TaskName(t.Step, t.FanOut, t.Key) }

// used sets the peak from how it is stored, which is as events have it.
func (t *Task) used(memory int64) {
	u := engine.UsedOf(memory, 0)
	t.PeakMemory, t.PeakAtMost = u.PeakMemory, u.AtMost
}

// TaskFilter says which tasks are wanted. The zero value wants all.
type TaskFilter struct {
	Step   engine.StepName
	Status []engine.Status // any of them; nil: all
	Key    *string         // of the task; nil: any
	Limit  int             // at most so many; 0: all
	Offset int             // pass over so many first
}

// Tasks returns tasks of a run, by step in source order and by index. If steps of the run
// have too many tasks for rows, all its events are read.
func (db *DB) Tasks(ctx context.Context, run engine.RunID, f TaskFilter) ([]Task, error) {
	packed, err := db.hasPacked(ctx, run)
	if err != nil {
		return nil, err
	}
	if packed {
		return db.foldedTasks(ctx, run, f)
	}
	var w where
	w.add("t.run = (SELECT num FROM runs WHERE id = ?)", string(run))
	if f.Step != "" {
		w.add("t.step = (SELECT step FROM steps WHERE run = t.run AND name = ?)", string(f.Step))
	}
	if len(f.Status) > 0 {
		codes := make([]any, len(f.Status))
		for i, s := range f.Status {
			codes[i] = int64(s)
		}
		w.in("t.status", codes)
	}
	if f.Key != nil {
		w.keyIs(*f.Key)
	}
	var out []Task
	var expansions map[engine.StepName]int64
	err = db.read(ctx, func(q reader) error {
		r, err := readTasks(ctx, q, w, f)
		out, expansions = r.tasks, r.cached
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, db.cachedDirs(ctx, run, out, expansions)
}

// keyIs adds the condition that a task has that key.
func (w *where) keyIs(key string) {
	idx, err := strconv.Atoi(key)
	switch {
	case key == "":
		w.add("(t.key = '' OR NOT s.fan_out)")
	case err == nil && idx >= 0 && strconv.Itoa(idx) == key:
		w.add("s.fan_out AND (t.key = ? OR (t.key IS NULL AND t.idx = ?))", key, int64(idx))
	default:
		w.add("t.key = ?", key)
	}
}

type taskRows struct {
	tasks  []Task
	cached map[engine.StepName]int64 // seq of the expansion of steps with a task that is CACHED
}

func readTasks(ctx context.Context, q reader, w where, f TaskFilter) (r taskRows, err error) {
	rows, err := q.QueryContext(ctx, `SELECT r.id, r.work_dir, s.name, s.fan_out, coalesce(s.expanded, 0), t.idx, t.key, t.status, t.attempts,
			coalesce(t.job, 0), t.exit_code, t.reason, t.cause, t.started, t.stopped,
			coalesce(t.peak_memory, 0), coalesce(t.cpu, 0)
		FROM tasks t JOIN runs r ON r.num = t.run JOIN steps s ON s.run = t.run AND s.step = t.step`+
		w.String()+" ORDER BY t.run, t.step, t.idx"+limits(f.Limit, f.Offset), w.args...)
	if err != nil {
		return r, err
	}
	r.cached = map[engine.StepName]int64{}
	r.tasks, err = scanAll(rows, func(sc scanner, t *Task) error {
		var run engine.RunID
		var workDir string
		var expanded int64
		var key sql.NullString
		var exit, started, stopped sql.NullInt64
		var memory int64
		if err := sc.Scan(&run, &workDir, &t.Step, &t.FanOut, &expanded, &t.Index, &key, &t.Status, &t.Attempts,
			&t.Job, &exit, &t.Reason, &t.Cause, &started, &stopped, &memory, &t.CPUMillis); err != nil {
			return err
		}
		switch {
		case key.Valid:
			t.Key = key.String
		case t.FanOut:
			t.Key = strconv.Itoa(t.Index)
		}
		if exit.Valid {
			code := int(exit.Int64)
			t.ExitCode = &code
		}
		t.Started, t.Stopped = timeOf(started), timeOf(stopped)
		t.used(memory)
		t.Dir = engine.TaskDir(workDir, run, t.Step, engine.KeyDir(t.FanOut, t.Key))
		if t.Status == engine.Cached {
			r.cached[t.Step] = expanded
		}
		return nil
	})
	return r, err
}

// cachedDirs sets the directories of the tasks that are CACHED: the expansions of their
// steps have them.
func (db *DB) cachedDirs(ctx context.Context, run engine.RunID, tasks []Task, expansions map[engine.StepName]int64) error {
	for step, seq := range expansions {
		e, err := db.Event(ctx, run, seq)
		if err != nil {
			return err
		}
		if e.Expanded == nil {
			return fmt.Errorf("event %d of run %s does not expand step %s", seq, run, step)
		}
		dirs := make(map[int]string, len(e.Expanded.Hits))
		k := 0
		for i := range e.Expanded.Cached.All() {
			if k < len(e.Expanded.Hits) {
				dirs[i] = e.Expanded.Hits[k].Dir
			}
			k++
		}
		for i := range tasks {
			t := &tasks[i]
			if t.Step != step || t.Status != engine.Cached {
				continue
			}
			if dir := dirs[t.Index]; dir != "" {
				t.Dir = dir
			}
			for k := range e.Expanded.HitRanges {
				if h := &e.Expanded.HitRanges[k]; h.Tasks.Contains(t.Index) {
					t.Dir = h.Hit(t.Index).Dir
				}
			}
		}
	}
	return nil
}

// Event returns one event of a run. engine.ErrNotFound (wrapped) if there is none.
func (db *DB) Event(ctx context.Context, run engine.RunID, seq int64) (e engine.Event, err error) {
	err = db.read(ctx, func(q reader) error {
		e, err = scanEvent(q.QueryRowContext(ctx, `SELECT seq, at, kind, data, crc FROM events
			WHERE run = (SELECT num FROM runs WHERE id = ?) AND seq = ?`, string(run), seq))
		if isNoRows(err) {
			return fmt.Errorf("event %d of run %s: %w", seq, run, engine.ErrNotFound)
		}
		return err
	})
	return e, err
}
