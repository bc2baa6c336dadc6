package state

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"flow/engine"
)

// epoch is when everything begins in tests.
var epoch = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// clock is a time that only a test moves.
type clock struct{ t time.Time }

func newClock() *clock { return &clock{t: epoch} }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func mustOpen(t testing.TB, path string, o Options) *DB {
	t.Helper()
	db, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newDB(t testing.TB) *DB {
	t.Helper()
	return mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{Now: newClock().now})
}

func info(run engine.RunID) engine.RunInfo {
	return engine.RunInfo{Run: run, Workflow: "genome", Version: "0.1", WorkDir: "/work", Executor: "local"}
}

// mustCreate makes a run with steps; a name ending in * is one with fan-out.
func mustCreate(t testing.TB, db *DB, run engine.RunID, steps ...string) {
	t.Helper()
	r := NewRun{Info: info(run), Dir: "/project"}
	for _, name := range steps {
		fan := name[len(name)-1] == '*'
		if fan {
			name = name[:len(name)-1]
		}
		r.Steps = append(r.Steps, StepInfo{engine.StepName(name), fan})
	}
	must(t, db.CreateRun(t.Context(), r))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func collect(t testing.TB, l engine.Log, run engine.RunID, after int64) []engine.Event {
	t.Helper()
	var out []engine.Event
	for e, err := range l.Events(context.Background(), run, after) {
		must(t, err)
		out = append(out, e)
	}
	return out
}

// expanded is a StepExpanded of n tasks, with keys for the cache that begin with salt.
func expanded(step engine.StepName, n int, salt string) engine.Event {
	x := &engine.Expanded{Size: n, Groups: []*engine.TaskSpec{{Command: []string{"true"}}}}
	if salt != "" {
		x.CacheKeys = make([]byte, 0, 32*n)
		for i := range n {
			k := cacheKey(salt, i)
			x.CacheKeys = append(x.CacheKeys, k[:]...)
		}
	}
	return engine.Event{At: epoch, Kind: engine.StepExpanded, Step: step, Expanded: x}
}

func cacheKey(salt string, i int) (k engine.CacheKey) {
	copy(k[:], fmt.Sprintf("%08x%s", uint32(i)*2654435761, salt))
	return k
}

func planned(step engine.StepName, job int, tasks engine.Ranges) engine.Event {
	return engine.Event{At: epoch, Kind: engine.JobPlanned, Step: step, Job: job, Tasks: tasks,
		Plan: &engine.JobPlan{Name: fmt.Sprintf("flow-%s-%d", step, job), Attempt: 1}}
}

// ended is a TasksEnded with times of its own for each task.
func ended(step engine.StepName, job int, tasks engine.Ranges, outcome engine.Outcome) engine.Event {
	e := engine.Event{At: epoch.Add(time.Minute), Kind: engine.TasksEnded, Step: step, Job: job, Tasks: tasks, Outcome: outcome, Attempts: []int{1}}
	for i := range tasks.All() {
		ms := epoch.UnixMilli() + int64(i)
		e.Started = append(e.Started, ms+1000)
		e.Stopped = append(e.Stopped, ms+2000+int64(i%7))
	}
	return e
}
