package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"flow/dsl"
	"flow/engine"
	"flow/executor/agent"
	"flow/state"
)

// A blank is an executor whose jobs end as soon as somebody looks at them, half of an
// array at the first look. It keeps next to nothing, so that what a process uses with it
// is flow's own.
type blank struct {
	jobs  map[engine.JobID]*blankJob
	at    time.Time
	die   int // ends the driver after so many arrays, and then no more of them; -1: never
	stop  func()
	looks int       // calls of Describe
	first time.Time // when the first of them was
}

type blankJob struct {
	id    engine.JobID
	size  int
	looks int
}

func (x *blank) Submit(_ context.Context, s *engine.JobSpec) (engine.JobID, error) {
	id := engine.JobID("job-" + strconv.Itoa(len(x.jobs)+1))
	x.jobs[id] = &blankJob{id: id, size: s.Size()}
	return id, nil
}

func (x *blank) Find(context.Context, string, string) ([]engine.Job, error) { return nil, nil }

func (x *blank) Describe(_ context.Context, ids []engine.JobID) ([]engine.Job, error) {
	if x.looks++; x.first.IsZero() {
		x.first = time.Now()
	}
	out := make([]engine.Job, 0, len(ids))
	for _, id := range ids {
		b := x.jobs[id]
		if b == nil {
			continue
		}
		if b.looks == 0 || x.die != 0 {
			b.looks++
		}
		j := engine.Job{ID: id, Size: b.size, Status: engine.JobRunning}
		j.Summary[engine.JobSucceeded], j.Summary[engine.JobRunnable] = b.ended(), b.size-b.ended()
		if b.looks > 1 {
			j.Status = engine.JobSucceeded
			if x.die > 0 {
				if x.die--; x.die == 0 {
					x.stop()
				}
			}
		}
		out = append(out, j)
	}
	return out, nil
}

// ended returns how many children have.
func (b *blankJob) ended() int {
	if b.looks > 1 {
		return b.size
	}
	return b.size / 2
}

func (x *blank) Children(_ context.Context, id engine.JobID, s engine.JobStatus) iter.Seq2[engine.Job, error] {
	return func(yield func(engine.Job, error) bool) {
		b := x.jobs[id]
		if s != engine.JobSucceeded {
			return
		}
		for i := range b.ended() {
			noise := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, uint32(i))) // times that nothing can compress
			started := x.at.Add(time.Duration(binary.LittleEndian.Uint16(noise[:])) * time.Millisecond)
			j := engine.Job{ID: id.Child(i), Status: s, Started: started, Stopped: started.Add(time.Duration(noise[2]) * 10 * time.Millisecond)}
			if !yield(j, nil) {
				return
			}
		}
	}
}

func (x *blank) Terminate(context.Context, engine.JobID, string) error { return nil }

func (x *blank) Logs(context.Context, engine.JobID, engine.LogOptions) iter.Seq2[engine.LogLine, error] {
	return func(func(engine.LogLine, error) bool) {}
}

// A million is a workflow of many tasks that do nothing, in one state file.
type million struct {
	dir   string
	text  string
	clock clock
}

// clock is one whose time passes only when somebody waits.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Wait(ctx context.Context, d time.Duration, _ <-chan struct{}) bool {
	c.now = c.now.Add(d)
	return false
}

func newMillion(tb testing.TB, text string) *million {
	return &million{dir: tb.TempDir(), text: text, clock: clock{time.Now().UTC().Truncate(time.Second)}}
}

// session opens the state file and binds the workflow, as flow run and flow resume do.
func (m *million) session(tb testing.TB, id engine.RunID, x engine.Executor, create bool) (*state.DB, *engine.Driver) {
	tb.Helper()
	program, diags := dsl.Load(m.dir, []dsl.Source{{Name: "w.hcl", Bytes: []byte(m.text)}})
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	template, diags := program.Bind(dsl.VarInput{}, dsl.RunContext{ID: id, Time: m.clock.now})
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	db, err := state.Open(filepath.Join(m.dir, "flow.db"), state.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if create {
		run := state.NewRun{Info: engine.RunInfo{Run: id, Workflow: "w", WorkDir: "/work", Executor: "batch"}, Dir: m.dir}
		for _, s := range template.Workflow().Steps {
			run.Steps = append(run.Steps, state.StepInfo{Name: s.Name, FanOut: s.FanOut})
		}
		if err := db.CreateRun(tb.Context(), run); err != nil {
			tb.Fatal(err)
		}
	}
	return db, &engine.Driver{Workflow: template.Workflow(), Template: template, Executor: x, Log: db, Cache: db, Files: &agent.Files{}, Clock: &m.clock, Poll: time.Second}
}

// drive runs a run until it has ended, or until x stops it, and closes the state file.
func (m *million) drive(tb testing.TB, id engine.RunID, x *blank, create bool) *engine.Run {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	x.stop = cancel
	db, driver := m.session(tb, id, x, create)
	run, err := driver.Drive(ctx, id)
	if err != nil && ctx.Err() == nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return run
}

// status folds a run's events, as flow status does, and returns how long that took.
func (m *million) status(tb testing.TB, id engine.RunID) (*engine.Run, time.Duration) {
	tb.Helper()
	start := time.Now()
	db, driver := m.session(tb, id, nil, false)
	run, err := driver.Load(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	took := time.Since(start)
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return run, took
}

// bytes returns the size of the state file, with what is beside it.
func (m *million) bytes(tb testing.TB) (n int64) {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, "flow.db*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			tb.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func (m *million) blank() *blank {
	return &blank{jobs: map[engine.JobID]*blankJob{}, at: m.clock.now, die: -1}
}

// peak returns a function that returns the largest resident set of this process since,
// in megabytes (proc_pid_clear_refs, VmHWM).
func peak(tb testing.TB) func() float64 {
	tb.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		tb.Logf("the peak includes what was before: %v", err)
	}
	return func() float64 {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return 0
		}
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]), " kB"), 64)
		if err != nil {
			tb.Fatal(err)
		}
		return kb / 1024
	}
}

// millionForms are workflows of n tasks.
func millionForms(n int) map[string]string {
	const body = "  script = \"echo $FLOW_KEY\"\n}\n"
	forms := map[string]string{"one": fmt.Sprintf("step \"all\" {\n  for_each = range(%d)\n%s", n, body)}
	var b strings.Builder
	for i := range n / 10_000 {
		fmt.Fprintf(&b, "step \"s%d\" {\n  for_each = range(10000)\n%s", i, body)
	}
	forms["steps"] = b.String()
	third := n / 3
	forms["chain"] = fmt.Sprintf("step \"a\" {\n  for_each = range(%d)\n%sstep \"b\" {\n  for_each = step.a.each\n%sstep \"c\" {\n  for_each = step.b.each\n%s", third, body, body, body)
	return forms
}

// BenchmarkMillion runs 1,000,000 tasks on an executor that runs nothing, half of them,
// and then the rest by another driver: what they take of memory and of the state file, how
// long it takes to look at the run and to take it up, and to find that all of it is known.
func BenchmarkMillion(b *testing.B) {
	for _, form := range []string{"one", "steps", "chain"} {
		b.Run(form, func(b *testing.B) {
			for b.Loop() {
				m := newMillion(b, millionForms(1_000_000)[form])
				most := func(name string, got, limit float64) {
					b.ReportMetric(got, name)
					if got > limit {
						b.Errorf("%s is %.1f, more than %.0f", name, got, limit)
					}
				}
				top, start := peak(b), time.Now()
				x := m.blank()
				x.die = 50
				if half := m.drive(b, "run1", x, true); half.Ended() {
					b.Fatal("it was not stopped")
				}
				_, took := m.status(b, "run1")
				most("half-status-s", took.Seconds(), 2)
				x.first, x.die = time.Time{}, -1
				again := time.Now()
				run := m.drive(b, "run1", x, false)
				most("resume-s", x.first.Sub(again).Seconds(), 2) // until it looks at the jobs
				b.ReportMetric(time.Since(start).Seconds(), "run-s")
				most("peak-MB", top(), 200)
				most("state-MB", float64(m.bytes(b))/1e6, 100)
				if run.Status() != engine.Succeeded {
					b.Fatal(run.Status(), run.Reason())
				}
				top = peak(b)
				_, took = m.status(b, "run1")
				most("status-s", took.Seconds(), 2)
				most("status-MB", top(), 200)
				top, start = peak(b), time.Now()
				if run = m.drive(b, "run2", m.blank(), true); run.Steps()[0].Status != engine.Cached {
					b.Fatal(run.Steps()[0].Status)
				}
				b.ReportMetric(time.Since(start).Seconds(), "cached-s")
				most("cached-MB", top(), 200)
			}
		})
	}
}

// TestManyTasks does the same with fewer tasks, and looks at each of them.
func TestManyTasks(t *testing.T) {
	const tasks = 130_000
	m := newMillion(t, millionForms(tasks)["one"])
	x := m.blank()
	x.die = 6
	if half := m.drive(t, "run1", x, true); half.Ended() {
		t.Fatal("it was not stopped")
	}
	x.die = -1
	if run := m.drive(t, "run1", x, false); run.Status() != engine.Succeeded {
		t.Fatal(run.Status(), run.Reason())
	}
	if size := m.bytes(t); size > 13*tasks {
		t.Errorf("the state file has %d bytes, that is %d a task", size, size/tasks)
	}
	run, _ := m.status(t, "run1")
	if got := run.StepStatus("all").Counts[engine.Succeeded]; got != tasks {
		t.Errorf("%d tasks have succeeded, want %d", got, tasks)
	}
	x.looks = 0
	if run = m.drive(t, "run2", x, true); run.StepStatus("all").Counts[engine.Cached] != tasks || x.looks > 0 {
		t.Errorf("when all is known: %v, and the executor was asked %d times", run.StepStatus("all"), x.looks)
	}
	last := run.Task("all", tasks-1)
	if last.Dir != fmt.Sprintf("/work/run1/all/%d", tasks-1) {
		t.Errorf("the result of the last task is at %s", last.Dir)
	}
}
