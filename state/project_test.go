package state

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// dump returns all that the tables say about a run, line by line.
func dump(t testing.TB, db *DB, run engine.RunID) (lines []string) {
	t.Helper()
	must(t, db.read(t.Context(), func(q reader) error {
		for _, query := range []string{
			"SELECT * FROM runs WHERE id = ?",
			"SELECT run, seq, kind FROM events WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY seq",
			"SELECT * FROM steps WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY step",
			"SELECT * FROM tasks WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY step, idx",
			"SELECT * FROM jobs WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY n",
			"SELECT * FROM uses WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY source",
			"SELECT hex(key), step, idx, task, outputs, at FROM cache WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY key",
			"SELECT hex(family), seq, step, tasks FROM cache_ranges WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY family, seq",
		} {
			rows, err := q.QueryContext(t.Context(), query, string(run))
			if err != nil {
				return err
			}
			table := strings.Fields(query[strings.Index(query, "FROM"):])[1]
			columns := value(rows.Columns())(t)
			got, err := scanAll(rows, func(s scanner, line *string) error { return dumpRow(s, table, columns, line) })
			if err != nil {
				return err
			}
			lines = append(lines, got...)
		}
		return nil
	}))
	return lines
}

func dumpRow(s scanner, table string, columns []string, line *string) error {
	values := make([]sql.NullString, len(columns))
	dest := make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	err := s.Scan(dest...)
	*line = table
	for i, v := range values {
		if v.Valid {
			*line += " " + columns[i] + "=" + v.String
		}
	}
	return err
}

// TestProjection tells a story and looks at the tables after each part of it.
func TestProjection(t *testing.T) {
	db := newDB(t)
	must(t, db.CreateRun(t.Context(), NewRun{Info: info("run1"), Dir: "/project", Steps: []StepInfo{{"align", true}, {"merge", false}}}))
	seq := int64(1)
	at := epoch
	one := 1
	story := []struct {
		events []engine.Event
		run    string // status and counts
		align  string
		tasks  string // of align: status, attempts, job, exit code, reason
		jobs   string
	}{
		{nil, "PENDING", "PENDING", "", ""},
		{
			[]engine.Event{expanded("align", 4, "")},
			"RUNNING pending=4", "PENDING pending=4", "0 PENDING, 1 PENDING, 2 PENDING, 3 PENDING", "",
		},
		{
			[]engine.Event{planned("align", 1, engine.Upto(3)), planned("align", 2, engine.RangesOf(3))},
			"RUNNING pending=4", "PENDING pending=4", "0 PENDING j1, 1 PENDING j1, 2 PENDING j1, 3 PENDING j2",
			"1 PLANNED, 2 PLANNED",
		},
		{
			[]engine.Event{
				{Kind: engine.JobInDoubt, Job: 1}, {Kind: engine.JobAccepted, Job: 1, JobID: "id1"}, {Kind: engine.JobStarts, Job: 1},
				{Kind: engine.JobRefused, Job: 2, Reason: "no such queue"},
				{Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.Upto(3)},
			},
			"RUNNING running=3 failed=1", "RUNNING running=3 failed=1",
			"0 RUNNING j1, 1 RUNNING j1, 2 RUNNING j1, 3 FAILED j2 no such queue", "1 SUBMITTED id1, 2 REFUSED no such queue",
		},
		{
			[]engine.Event{
				{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(0), Outcome: engine.TaskSucceeded, Attempts: []int{2}},
				{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(1), Outcome: engine.TaskRetrying, Attempts: []int{1}, ExitCode: &one, Reason: "oom"},
				{Kind: engine.JobLost, Job: 1, Reason: "gone"},
			},
			"RUNNING pending=2 succeeded=1 failed=1", "RUNNING pending=2 succeeded=1 failed=1",
			"0 SUCCEEDED a2 j1, 1 PENDING a1 j1 x1 oom, 2 PENDING a1 j1, 3 FAILED j2 no such queue", "1 LOST id1 gone, 2 REFUSED no such queue",
		},
		{
			[]engine.Event{
				{Kind: engine.CancelRequested, Reason: "stop", Cause: "user"},
				{Kind: engine.TasksSkipped, Step: "align", Tasks: engine.RangesOf(1, 2), Status: engine.Cancelled, Reason: "stop", Cause: "user"},
				{Kind: engine.StepEnded, Step: "align", Status: engine.Failed, Reason: "1 of 4 tasks failed"},
				{Kind: engine.StepEnded, Step: "merge", Status: engine.Skipped, Cause: "align"},
				{Kind: engine.RunEnded, Status: engine.Failed, Reason: "step align failed"},
			},
			"FAILED succeeded=1 failed=1 cancelled=2 step align failed", "FAILED succeeded=1 failed=1 cancelled=2 1 of 4 tasks failed",
			"0 SUCCEEDED a2 j1, 1 CANCELLED a1 j1 stop, 2 CANCELLED a1 j1 stop, 3 FAILED j2 no such queue", "1 LOST id1 gone, 2 REFUSED no such queue",
		},
		{
			[]engine.Event{
				{Kind: engine.RunReopened},
				{Kind: engine.TasksReset, Step: "align", Tasks: engine.RangesOf(1, 2, 3)},
				{Kind: engine.JobPlanned, Step: "align", Job: 3, Tasks: engine.RangesOf(1, 2, 3), Plan: &engine.JobPlan{Name: "n3", Attempt: 2}},
				{Kind: engine.JobEnded, Job: 3, Reason: "never submitted"},
			},
			"RUNNING pending=3 succeeded=1", "RUNNING pending=3 succeeded=1",
			"0 SUCCEEDED a2 j1, 1 PENDING a1 j3, 2 PENDING a1 j3, 3 PENDING j3",
			"1 LOST id1 gone, 2 REFUSED no such queue, 3 CANCELLED never submitted",
		},
		{
			[]engine.Event{
				{Kind: engine.StepReset, Step: "align", Reason: "from"},
				expanded("align", 2, ""),
			},
			"RUNNING pending=2", "PENDING pending=2", "0 PENDING a2, 1 PENDING a2",
			"1 LOST id1 gone, 2 REFUSED no such queue, 3 CANCELLED never submitted",
		},
		{
			[]engine.Event{
				{Kind: engine.JobPlanned, Step: "align", Job: 4, Tasks: engine.Upto(2), Plan: &engine.JobPlan{Name: "n4", Attempt: 3, Attempts: 10, Losses: true}},
				{Kind: engine.JobAccepted, Job: 4, JobID: "id4"},
				{Kind: engine.TasksEnded, Step: "align", Job: 4, Tasks: engine.RangesOf(0), Outcome: engine.TaskLost, Attempts: []int{12}, Reason: "lost: nobody can tell"},
				{Kind: engine.JobLost, Job: 4, Reason: "gone", Attempts: []int{12}},
			},
			"RUNNING pending=1 failed=1", "RUNNING pending=1 failed=1", "0 FAILED a12 j4 lost: nobody can tell, 1 PENDING a12 j4",
			"1 LOST id1 gone, 2 REFUSED no such queue, 3 CANCELLED never submitted, 4 LOST id4 gone",
		},
	}
	for i, s := range story {
		for k := range s.events {
			at = at.Add(time.Second)
			s.events[k].At = at
		}
		must(t, db.Append(t.Context(), "run1", seq, s.events...))
		seq += int64(len(s.events))
		run := value(db.Run(t.Context(), "run1"))(t)
		got := story[i]
		got.run = line(run.Status.String(), counts(run.Tasks), run.Reason)
		align := value(db.Steps(t.Context(), "run1"))(t)[0]
		got.align = line(align.Status.String(), counts(align.Tasks), align.Reason)
		var tasks, jobs []string
		for _, task := range value(db.Tasks(t.Context(), "run1", TaskFilter{Step: "align"}))(t) {
			exit := ""
			if task.ExitCode != nil {
				exit = fmt.Sprintf("x%d", *task.ExitCode)
			}
			tasks = append(tasks, line(task.Key, task.Status.String(), number("a", task.Attempts), number("j", task.Job), exit, task.Reason))
		}
		for _, j := range value(db.Jobs(t.Context(), "run1"))(t) {
			jobs = append(jobs, line(fmt.Sprint(j.N), string(j.Status), string(j.ID), j.Reason))
		}
		got.tasks, got.jobs = strings.Join(tasks, ", "), strings.Join(jobs, ", ")
		if got.run != s.run || got.align != s.align || got.tasks != s.tasks || got.jobs != s.jobs {
			t.Errorf("after part %d:\n got %q %q %q %q\nwant %q %q %q %q", i, got.run, got.align, got.tasks, got.jobs, s.run, s.align, s.tasks, s.jobs)
		}
	}
	before := dump(t, db, "run1")
	must(t, db.Rebuild(t.Context(), "run1"))
	if diff := cmp.Diff(before, dump(t, db, "run1")); diff != "" {
		t.Errorf("rebuilt (-before +after):\n%s", diff)
	}
}

func line(words ...string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

func number(prefix string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s%d", prefix, n)
}

func counts(c Counts) string {
	s := ""
	for status, n := range c {
		if n > 0 {
			s += fmt.Sprintf(" %s=%d", strings.ToLower(engine.Status(status).String()), n)
		}
	}
	return s
}

// TestProjectionChangedByHand: a table that says something else than the events is
// noticed before it is written, and is then made from the events again.
func TestProjectionChangedByHand(t *testing.T) {
	for name, change := range map[string]string{
		"one task":  "UPDATE tasks SET status = 3 WHERE idx = 1",
		"all tasks": "UPDATE tasks SET status = 3",
		"no tasks":  "DELETE FROM tasks",
		"more":      "UPDATE tasks SET idx = idx + 10",
		"no jobs":   "UPDATE jobs SET n = n + 1",
		"counts":    "UPDATE runs SET succeeded = 9",
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t)
			mustCreate(t, db, "run1", "align*")
			must(t, db.Append(t.Context(), "run1", 1, expanded("align", 3, ""), planned("align", 1, engine.Upto(3))))
			must(t, db.write(t.Context(), func(tx *tx) error {
				_, err := tx.exec(change)
				return err
			}))
			running := engine.Event{At: epoch, Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.Upto(3)}
			err := db.Append(t.Context(), "run1", 3, running)
			if inTasks := strings.Contains(change, "tasks"); inTasks != (err != nil) || inTasks && !strings.Contains(err.Error(), "as its events say") {
				t.Errorf("append: %v", err)
			}
			clear(db.runs)
			if err != nil {
				must(t, db.Append(t.Context(), "run1", 3, running))
			}
			must(t, db.Append(t.Context(), "run1", 4, ended("align", 1, engine.Upto(3), engine.TaskSucceeded)))
			got := dump(t, db, "run1")
			must(t, db.Rebuild(t.Context(), "run1"))
			if diff := cmp.Diff(dump(t, db, "run1"), got); diff != "" {
				t.Errorf("tables (-rebuilt +appended):\n%s", diff)
			}
		})
	}
}

// TestProjectionProperties: whatever happens in a run, the tables say what the
// engine's own fold of the events says, and folding them anew changes nothing.
func TestProjectionProperties(t *testing.T) {
	for _, rows := range []int{0, 4} { // all tasks have rows, or few of them
		t.Run(fmt.Sprint(rows, " rows"), func(t *testing.T) { testProjection(t, rows) })
	}
}

func testProjection(t *testing.T, rows int) {
	db := mustOpen(t, filepath.Join(t.TempDir(), "flow.db"), Options{Now: newClock().now, TaskRows: rows})
	mustCreate(t, db, "old1") // whose results are used
	mustCreate(t, db, "old2")
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		id := engine.RunID(fmt.Sprintf("run%d", n))
		w := newWorld(rt, id)
		must(t, db.CreateRun(t.Context(), NewRun{Info: w.info, Steps: w.infos}))
		seq := int64(1)
		for range rapid.IntRange(0, 12).Draw(rt, "commits") {
			var batch []engine.Event
			for range rapid.IntRange(1, 6).Draw(rt, "events") {
				batch = append(batch, w.step())
			}
			if rapid.Bool().Draw(rt, "forget") { // as after a restart
				clear(db.runs)
			}
			if err := db.Append(t.Context(), id, seq, batch...); err != nil {
				rt.Fatal(err)
			}
			seq += int64(len(batch))
		}
		w.compare(t, rt, db)
		before := dump(t, db, id)
		must(t, db.Rebuild(t.Context(), id))
		if diff := cmp.Diff(before, dump(t, db, id)); diff != "" {
			rt.Fatalf("rebuilt (-before +after):\n%s", diff)
		}
		clear(db.runs)
	})
	must(t, db.Check(t.Context()))
}

// A world makes up events that can follow each other.
type world struct {
	rt    *rapid.T
	run   *engine.Run
	info  engine.RunInfo
	infos []StepInfo
	steps []engine.StepName
	at    time.Time
	jobs  []*worldJob
}

type worldJob struct {
	n     int
	step  engine.StepName
	tasks engine.Ranges
	known bool // it was accepted
	over  bool
}

func newWorld(rt *rapid.T, id engine.RunID) *world {
	w := &world{rt: rt, info: info(id), at: epoch}
	wf := &engine.Workflow{Name: "genome"}
	for i, fan := range []bool{true, false, true} {
		name := engine.StepName(fmt.Sprintf("s%d", i))
		w.steps = append(w.steps, name)
		w.infos = append(w.infos, StepInfo{name, fan})
		wf.Steps = append(wf.Steps, &engine.Step{Name: name, FanOut: fan})
	}
	run, err := engine.NewRun(wf)
	if err == nil {
		err = run.Apply(engine.Event{At: w.at, Kind: engine.RunStarted, Info: &w.info})
	}
	if err != nil {
		rt.Fatal(err)
	}
	w.run = run
	return w
}

// step returns an event, and makes it happen.
func (w *world) step() engine.Event {
	w.at = w.at.Add(time.Duration(rapid.IntRange(0, 5000).Draw(w.rt, "ms")) * time.Millisecond)
	makers := []func() *engine.Event{w.expand, w.plan, w.jobNews, w.running, w.end, w.skip, w.endStep, w.reset, w.runNews}
	e := rapid.SampledFrom(makers).Draw(w.rt, "what")()
	if e == nil {
		e = &engine.Event{Kind: engine.RunResumed, Reason: "nothing else to do"}
	}
	e.At = w.at
	if err := w.run.Apply(*e); err != nil {
		w.rt.Fatalf("%+v: %v", e, err)
	}
	return *e
}

func (w *world) pick() engine.StepName { return rapid.SampledFrom(w.steps).Draw(w.rt, "step") }

// some returns some of the tasks of a step that can be taken.
func (w *world) some(step engine.StepName, can func(i int, task engine.TaskStatus) bool) (r engine.Ranges) {
	for i := range max(w.run.StepStatus(step).Size, 0) {
		if can(i, w.run.Task(step, i)) && rapid.Bool().Draw(w.rt, "task") {
			r = r.Add(i)
		}
	}
	return r
}

// known reports whether task i is in a job that was accepted.
func (w *world) known(step engine.StepName, i int) bool {
	j := w.live(step, i)
	return j != nil && j.known
}

func (w *world) live(step engine.StepName, i int) *worldJob {
	for _, j := range w.jobs {
		if !j.over && j.step == step && j.tasks.Contains(i) {
			return j
		}
	}
	return nil
}

func (w *world) expand() *engine.Event {
	step := w.pick()
	if v := w.run.StepStatus(step); v.Size >= 0 || v.Status.Ended() {
		return nil
	}
	x := &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{{Command: []string{"true"}}}}
	if w.run.StepStatus(step).Step.FanOut {
		x.Size = rapid.IntRange(0, 5).Draw(w.rt, "size")
		if rapid.Bool().Draw(w.rt, "keys") {
			x.Keys = make([]string, x.Size)
			for i := range x.Keys {
				x.Keys[i] = fmt.Sprintf("k%d", i)
			}
		}
	}
	switch rapid.IntRange(0, 2).Draw(w.rt, "cache") {
	case 1:
		x.KeyBases = rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(w.rt, "key base")
	case 2:
		x.CacheKeys = rapid.SliceOfN(rapid.Byte(), 32*x.Size, 32*x.Size).Draw(w.rt, "cache keys")
	}
	for i := range x.Size {
		if rapid.IntRange(0, 3).Draw(w.rt, "cached") == 0 {
			from := rapid.SampledFrom([]engine.RunID{"old1", "old2", w.info.Run}).Draw(w.rt, "from")
			if x.Keys == nil && x.Size > 1 && i > 0 && len(x.HitRanges) == 0 {
				x.HitRanges = []engine.HitRange{{Run: from, Step: step, WorkDir: "/old", Tasks: engine.RangesOf(i)}}
				continue
			}
			x.Cached = x.Cached.Add(i)
			x.Hits = append(x.Hits, engine.Hit{Run: from, Step: step, Dir: "/old/" + string(from)})
		}
	}
	return &engine.Event{Kind: engine.StepExpanded, Step: step, Expanded: x}
}

func (w *world) plan() *engine.Event {
	step := w.pick()
	tasks := w.some(step, func(i int, t engine.TaskStatus) bool { return t.Status == engine.Pending && w.live(step, i) == nil })
	if tasks == nil {
		return nil
	}
	j := &worldJob{n: len(w.jobs) + 1, step: step, tasks: tasks}
	w.jobs = append(w.jobs, j)
	return &engine.Event{Kind: engine.JobPlanned, Step: step, Job: j.n, Tasks: tasks, Plan: &engine.JobPlan{Name: fmt.Sprint("job", j.n), Attempt: 1}}
}

func (w *world) jobNews() *engine.Event {
	var open []*worldJob
	for _, j := range w.jobs {
		if !j.over {
			open = append(open, j)
		}
	}
	if open == nil {
		return nil
	}
	j := rapid.SampledFrom(open).Draw(w.rt, "job")
	e := &engine.Event{Job: j.n, Reason: rapid.SampledFrom([]string{"", "because"}).Draw(w.rt, "reason")}
	kinds := []engine.Kind{engine.JobAccepted, engine.JobInDoubt, engine.JobRefused, engine.JobStarts, engine.JobLost, engine.JobEnded}
	if j.known {
		kinds = kinds[3:]
	}
	e.Kind = rapid.SampledFrom(kinds).Draw(w.rt, "kind")
	switch e.Kind {
	case engine.JobAccepted:
		j.known = true
		e.JobID = engine.JobID(fmt.Sprint("id", j.n))
	case engine.JobEnded:
		e.Status = rapid.SampledFrom([]engine.Status{engine.Pending, engine.Succeeded, engine.Failed}).Draw(w.rt, "status")
	}
	j.over = e.Kind == engine.JobRefused || e.Kind == engine.JobLost || e.Kind == engine.JobEnded
	return e
}

func (w *world) running() *engine.Event {
	step := w.pick()
	tasks := w.some(step, func(i int, t engine.TaskStatus) bool { return !t.Status.Ended() && w.known(step, i) })
	if tasks == nil {
		return nil
	}
	return &engine.Event{Kind: engine.TasksRunning, Step: step, Tasks: tasks}
}

func (w *world) end() *engine.Event {
	step := w.pick()
	tasks := w.some(step, func(i int, t engine.TaskStatus) bool { return !t.Status.Ended() && w.known(step, i) })
	if tasks == nil {
		return nil
	}
	e := &engine.Event{Kind: engine.TasksEnded, Step: step, Tasks: tasks, Reason: "exit", Cause: "itself"}
	e.Outcome = rapid.SampledFrom([]engine.Outcome{engine.TaskSucceeded, engine.TaskFailed, engine.TaskRetrying, engine.TaskUnstarted, engine.TaskCancelled}).Draw(w.rt, "outcome")
	if rapid.Bool().Draw(w.rt, "exited") {
		code := rapid.IntRange(0, 2).Draw(w.rt, "exit code")
		e.ExitCode = &code
	}
	e.Attempts = []int{rapid.IntRange(1, 3).Draw(w.rt, "attempts")}
	if rapid.Bool().Draw(w.rt, "lists") {
		e.Attempts = nil
		for i := range tasks.All() {
			e.Attempts = append(e.Attempts, i+1)
			e.Started = append(e.Started, int64(i)*1000)
			e.Stopped = append(e.Stopped, int64(i)*1001)
			e.Memory, e.CPU = append(e.Memory, int64(i-1)<<20), append(e.CPU, int64(i)*7)
			e.Outputs = append(e.Outputs, engine.Values{"n": []byte(fmt.Sprint(i))})
		}
	}
	if e.Outcome == engine.TaskUnstarted || e.Outcome == engine.TaskRetrying {
		w.leave(step, tasks)
	}
	return e
}

// leave takes tasks out of their jobs.
func (w *world) leave(step engine.StepName, tasks engine.Ranges) {
	for _, j := range w.jobs {
		if j.over || j.step != step {
			continue
		}
		var rest engine.Ranges
		for i := range j.tasks.All() {
			if !tasks.Contains(i) {
				rest = rest.Add(i)
			}
		}
		j.tasks = rest
	}
}

func (w *world) skip() *engine.Event {
	step := w.pick()
	tasks := w.some(step, func(i int, t engine.TaskStatus) bool { return !t.Status.Ended() && w.live(step, i) == nil })
	if tasks == nil {
		return nil
	}
	status := rapid.SampledFrom([]engine.Status{engine.Skipped, engine.Cancelled}).Draw(w.rt, "status")
	return &engine.Event{Kind: engine.TasksSkipped, Step: step, Tasks: tasks, Status: status, Reason: "needs x", Cause: "x"}
}

func (w *world) endStep() *engine.Event {
	step := w.pick()
	v := w.run.StepStatus(step)
	if v.Status.Ended() || v.Counts[engine.Pending]+v.Counts[engine.Running] > 0 {
		return nil
	}
	status := rapid.SampledFrom([]engine.Status{engine.Succeeded, engine.Failed, engine.Skipped, engine.Cancelled, engine.Cached}).Draw(w.rt, "status")
	return &engine.Event{Kind: engine.StepEnded, Step: step, Status: status, Reason: "so it ended", Cause: "y"}
}

func (w *world) reset() *engine.Event {
	step := w.pick()
	for i := range max(w.run.StepStatus(step).Size, 0) {
		if w.live(step, i) != nil {
			return nil
		}
	}
	var tries []int
	if rapid.Bool().Draw(w.rt, "more tries") {
		tries = []int{rapid.IntRange(1, 12).Draw(w.rt, "tries")}
	}
	if rapid.Bool().Draw(w.rt, "whole step") {
		return &engine.Event{Kind: engine.StepReset, Step: step, Attempts: tries}
	}
	tasks := w.some(step, func(_ int, t engine.TaskStatus) bool { return t.Status.Ended() })
	if tasks == nil {
		return nil
	}
	for k := 1; len(tries) > 0 && k < tasks.Len() && tries[0]%2 == 0; k++ { // a list
		tries = append(tries, k)
	}
	return &engine.Event{Kind: engine.TasksReset, Step: step, Tasks: tasks, Attempts: tries}
}

func (w *world) runNews() *engine.Event {
	if w.run.Ended() {
		return &engine.Event{Kind: engine.RunReopened}
	}
	switch rapid.IntRange(0, 5).Draw(w.rt, "news") {
	case 2:
		if _, cancelling := w.run.Cancelling(); !cancelling {
			return &engine.Event{Kind: engine.RunPaused, Reason: "over", Spent: 2}
		}
	case 3:
		return &engine.Event{Kind: engine.RunResumed, Allowance: 3}
	case 0:
		return &engine.Event{Kind: engine.CancelRequested, Reason: "stop", Cause: "user"}
	case 1:
		status := rapid.SampledFrom([]engine.Status{engine.Succeeded, engine.Failed, engine.Cancelled}).Draw(w.rt, "status")
		return &engine.Event{Kind: engine.RunEnded, Status: status, Reason: "the end", Cause: "z"}
	}
	return nil
}

// compare compares the tables with the engine's fold.
func (w *world) compare(t testing.TB, rt *rapid.T, db *DB) {
	run := value(db.Run(t.Context(), w.info.Run))(t)
	status := w.run.Status()
	if status == engine.Running && run.Started.IsZero() {
		status = engine.Pending // the tables tell apart a run that nobody has driven yet
	}
	reason := w.run.Reason()
	if p, paused := w.run.Paused(); paused {
		reason = "paused: " + p.Reason
	}
	created, end := w.run.Times()
	if run.Status != status || run.Reason != reason || run.Cause != w.run.Cause() || !run.Created.Equal(created) || !run.Ended.Equal(end) {
		rt.Fatalf("run %+v, want %s %s %s %s %s", run, status, reason, w.run.Cause(), created, end)
	}
	var total Counts
	for i, s := range value(db.Steps(t.Context(), w.info.Run))(t) {
		v := w.run.Steps()[i]
		want := Step{Name: v.Step.Name, FanOut: v.Step.FanOut, Size: v.Size, Status: v.Status, Reason: v.Reason, Cause: v.Cause,
			Started: v.Started, Ended: v.Ended, Tasks: v.Counts}
		if diff := cmp.Diff(want, s); diff != "" {
			rt.Fatalf("step (-engine +table):\n%s", diff)
		}
		for k, n := range s.Tasks {
			total[k] += n
		}
	}
	if total != run.Tasks {
		rt.Fatalf("tasks of the run: %v, of its steps: %v", run.Tasks, total)
	}
	for _, task := range value(db.Tasks(t.Context(), w.info.Run, TaskFilter{}))(t) {
		v := w.run.Task(task.Step, task.Index)
		got := []any{task.Key, task.Name(), task.Status, task.Attempts, exitCode(task.ExitCode), task.Reason, task.Cause, task.Dir, task.Started, task.Stopped, task.PeakMemory, task.PeakAtMost, task.CPUMillis}
		want := []any{v.Key, v.Name, v.Status, v.Attempts, exitCode(v.ExitCode), v.Reason, v.Cause, v.Dir, v.Started, v.Stopped, v.PeakMemory, v.PeakAtMost, v.CPUMillis}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("task %d of %s (-engine +table):\n%s", task.Index, task.Step, diff)
		}
	}
}

func exitCode(code *int) int {
	if code == nil {
		return 0
	}
	return *code
}
