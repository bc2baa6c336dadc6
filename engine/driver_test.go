package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// A script is an executor and everything else around a driver, which does what a test says.
type script struct {
	now    time.Time
	log    []engine.Event
	calls  []string
	steps  map[engine.StepName][]*engine.TaskSpec
	jobs   []*engine.Job // by number, from 1: j1, j2, ...
	specs  []*engine.JobSpec
	status map[engine.JobID]*engine.Job // children that are not as their job's summary has them by default
	answer func(spec *engine.JobSpec) error
	hidden bool // nothing is found
	wishes []engine.Request
	files  map[string]*engine.Manifest
	tries  map[engine.JobID][]engine.JobAttempt // of children, as Describe has them; else one
}

func newScript(steps ...*engine.Step) (*script, *engine.Driver) {
	s := &script{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), steps: map[engine.StepName][]*engine.TaskSpec{}, status: map[engine.JobID]*engine.Job{}, files: map[string]*engine.Manifest{}}
	s.log = []engine.Event{{Seq: 1, At: s.now, Kind: engine.RunStarted, Info: &engine.RunInfo{Run: simRun, WorkDir: "/w", Executor: engine.ExecutorBatch}}}
	d := &engine.Driver{
		Workflow: &engine.Workflow{Name: "w", Steps: steps}, Template: s, Executor: s, Log: s, Files: s, Clock: s, Quiet: 30 * time.Second,
		Requests: func(context.Context) ([]engine.Request, error) { w := s.wishes; s.wishes = nil; return w, nil },
	}
	return s, d
}

func (s *script) tasks(name engine.StepName, n int, spec *engine.TaskSpec) {
	s.steps[name] = slices.Repeat([]*engine.TaskSpec{spec}, n)
}

func (s *script) Expand(name engine.StepName, _ engine.Scope) (*engine.Expansion, error) {
	return &engine.Expansion{Specs: s.steps[name]}, nil
}
func (s *script) Results(engine.Scope) ([]engine.Result, error)           { return nil, nil }
func (s *script) Identify(_ context.Context, path string) (string, error) { return path, nil }
func (s *script) Publish(context.Context, string, string) error           { return nil }
func (s *script) Failure(context.Context, string, int) string             { return "" }
func (s *script) Now() time.Time                                          { return s.now }
func (s *script) Logs(context.Context, engine.JobID, engine.LogOptions) iter.Seq2[engine.LogLine, error] {
	return nil
}

func (s *script) Manifest(_ context.Context, dir string) (*engine.Manifest, error) {
	if m := s.files[dir]; m != nil {
		return m, nil
	}
	return nil, engine.ErrNotFound
}

func (s *script) Wait(_ context.Context, d time.Duration, _ <-chan struct{}) bool {
	s.now = s.now.Add(max(d, time.Millisecond))
	return false
}

func (s *script) Append(_ context.Context, _ engine.RunID, _ int64, events ...engine.Event) error {
	s.log = append(s.log, events...)
	return nil
}

func (s *script) Events(_ context.Context, _ engine.RunID, after int64) iter.Seq2[engine.Event, error] {
	return func(yield func(engine.Event, error) bool) {
		for _, e := range s.log[after:] {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *script) called(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

// did returns the calls since it was last asked.
func (s *script) did() (calls []string) {
	calls, s.calls = s.calls, nil
	return calls
}

func (s *script) Submit(_ context.Context, spec *engine.JobSpec) (engine.JobID, error) {
	deps := ""
	for _, d := range spec.DependsOn {
		deps += fmt.Sprintf(" after %s%s", d.Job, d.Type)
	}
	s.called("submit %s[%s] %d of %d%s", spec.Step, spec.Tasks, spec.ArraySize, spec.Attempt, deps)
	var err error
	if s.answer != nil {
		err = s.answer(spec)
	}
	if err != nil && !strings.Contains(err.Error(), "accepted") {
		return "", err
	}
	job := &engine.Job{ID: engine.JobID(fmt.Sprintf("j%d", len(s.jobs)+1)), Name: spec.Name, Size: spec.ArraySize, Status: engine.JobPending}
	job.Summary[engine.JobPending] = spec.ArraySize
	s.jobs, s.specs = append(s.jobs, job), append(s.specs, spec)
	return job.ID, err
}

func (s *script) Find(_ context.Context, _, name string) (out []engine.Job, err error) {
	s.called("find %s", strings.TrimPrefix(name, engine.RunPrefix(simRun)))
	prefix, _ := strings.CutSuffix(name, "*")
	for _, j := range s.jobs {
		if strings.HasPrefix(j.Name, prefix) && !s.hidden {
			out = append(out, *j)
		}
	}
	return out, nil
}

func (s *script) Describe(_ context.Context, ids []engine.JobID) (out []engine.Job, err error) {
	s.called("describe %d", len(ids))
	for _, id := range ids {
		parent, k := id.Split()
		for _, j := range s.jobs {
			switch {
			case j.ID != parent:
			case k < 0:
				out = append(out, *j)
			default:
				c := s.child(j, k)
				c.Attempts = []engine.JobAttempt{{ExitCode: c.ExitCode, StatusReason: c.StatusReason, Started: s.now, Stopped: s.now, Used: c.Used}}
				if tries := s.tries[id]; tries != nil {
					c.Attempts = tries
				}
				out = append(out, c)
			}
		}
	}
	return out, nil
}

func (s *script) child(j *engine.Job, k int) engine.Job {
	c := engine.Job{ID: j.ID.Child(k), Status: j.Status, StatusReason: j.StatusReason, Started: s.now, Stopped: s.now}
	if own := s.status[c.ID]; own != nil {
		c.Status, c.StatusReason, c.ExitCode, c.Terminated = own.Status, own.StatusReason, own.ExitCode, own.Terminated
		c.Used = own.Used
	}
	return c
}

func (s *script) Children(_ context.Context, id engine.JobID, st engine.JobStatus) iter.Seq2[engine.Job, error] {
	s.called("list %s of %s", st, id)
	return func(yield func(engine.Job, error) bool) {
		for _, j := range s.jobs {
			for k := range j.Size {
				if c := s.child(j, k); j.ID == id && c.Status == st && !yield(c, nil) {
					return
				}
			}
		}
	}
}

func (s *script) Terminate(_ context.Context, id engine.JobID, reason string) error {
	s.called("terminate %s: %s", id, reason)
	return nil
}

// ends lets children of job n end, and the job itself when none is left.
func (s *script) ends(n int, children engine.Ranges, st engine.JobStatus, reason string, exit int) {
	j := s.jobs[n-1]
	if j.Size == 0 {
		j.Status, j.StatusReason, j.ExitCode = st, reason, &exit
		return
	}
	for k := range children.All() {
		s.status[j.ID.Child(k)] = &engine.Job{Status: st, StatusReason: reason, ExitCode: &exit}
		j.Summary[st]++
		j.Summary[engine.JobPending]--
	}
	if j.Summary[engine.JobPending] == 0 {
		j.Status = engine.JobSucceeded
		if j.Summary[engine.JobFailed] > 0 {
			j.Status = engine.JobFailed
		}
	}
}

// tick lets time pass and the driver work.
func (s *script) tick(t *testing.T, d *engine.Driver, passed time.Duration) {
	t.Helper()
	s.now = s.now.Add(passed)
	for range 5 {
		if wake, err := d.Tick(context.Background()); err != nil {
			t.Fatal(err)
		} else if wake.IsZero() || wake.After(s.now) {
			return
		}
	}
}

func (s *script) load(t *testing.T, d *engine.Driver) *engine.Run {
	t.Helper()
	run, err := d.Load(context.Background(), simRun)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func submits(calls []string) (out []string) {
	for _, c := range calls {
		if strings.HasPrefix(c, "submit") {
			out = append(out, c)
		}
	}
	return out
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// some returns every k-th of n children, 37 of them.
func some() (r engine.Ranges) {
	for i := range 37 {
		r = r.Add(i*270 + 5)
	}
	return r
}

func minus(n int, not engine.Ranges) (r engine.Ranges) {
	for i := range n {
		if !not.Contains(i) {
			r = r.Add(i)
		}
	}
	return r
}

// Of 10,000 tasks 37 fail: they are sent again as one array, though they fail one after the
// other, and so are those that waited for them element by element; what waited for all
// waits for both arrays of its own.
func TestRetryIsCompact(t *testing.T) {
	a := &engine.Step{Name: "a", FanOut: true}
	b := &engine.Step{Name: "b", FanOut: true, Deps: []engine.Dep{{Step: "a", Kind: engine.Element, Need: engine.NeedTasks}}}
	c := &engine.Step{Name: "c", Deps: []engine.Dep{{Step: "b", Kind: engine.Whole}}}
	s, d := newScript(a, b, c)
	s.tasks("a", 10_000, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 10_000, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("c", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.load(t, d)
	s.tick(t, d, 0)
	same(t, "at first", []string{"submit a[0-9999] 10000 of 1", "submit b[0-9999] 10000 of 1 after j1N_TO_N", "submit c[0] 0 of 1 after j2"}, submits(s.did()))
	bad := some()
	for i := range bad.All() { // one after the other
		s.ends(1, engine.RangesOf(i), engine.JobFailed, engine.ReasonHostLost+" (instance i-1) terminated.", 1)
		s.ends(2, engine.RangesOf(i), engine.JobFailed, engine.ReasonDependency, 0)
		s.tick(t, d, 500*time.Millisecond)
	}
	same(t, "while they fail", []string(nil), submits(s.did()))
	s.ends(1, minus(10_000, bad), engine.JobSucceeded, "", 0)
	s.ends(2, minus(10_000, bad), engine.JobSucceeded, "", 0)
	s.ends(3, nil, engine.JobFailed, engine.ReasonDependency, 0)
	s.tick(t, d, 40*time.Second)
	s.tick(t, d, 3*time.Second) // what waits is looked at once what it waits for has changed
	s.tick(t, d, 3*time.Second)
	again := fmt.Sprintf("[%s] 37 of ", bad)
	calls := s.did()
	same(t, "again", []string{"submit a" + again + "2", "submit b" + again + "1 after j4N_TO_N", "submit c[0] 0 of 1 after j5"}, submits(calls))
	if n := slices.IndexFunc(calls, func(c string) bool { return c == "list SUCCEEDED of j1" }); n < 0 {
		t.Errorf("what has succeeded is not listed: %q", calls)
	}
	for _, call := range calls {
		if strings.HasPrefix(call, "describe") && call != "describe 37" && len(call) > len("describe 12") {
			t.Errorf("what has succeeded is described one by one: %s", call)
		}
	}
}

// Failed tasks of an ended run are sent again as one array, and one of them as a plain job.
func TestRedoIsCompact(t *testing.T) {
	for want, bad := range map[string]engine.Ranges{"37 of 2": some(), "0 of 2": engine.RangesOf(7)} {
		s, d := newScript(&engine.Step{Name: "a", FanOut: true})
		s.tasks("a", 10_000, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
		run := s.load(t, d)
		s.tick(t, d, 0)
		s.ends(1, bad, engine.JobFailed, engine.ReasonExited, 1)
		s.ends(1, minus(10_000, bad), engine.JobSucceeded, "", 0)
		s.tick(t, d, time.Minute)
		if run.Status() != engine.Failed {
			t.Fatal(run, s.did())
		}
		s.did()
		events, err := run.Redo(engine.Redo{Failed: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Record(context.Background(), events...); err != nil {
			t.Fatal(err)
		}
		s.tick(t, d, 0)
		same(t, "again", []string{fmt.Sprintf("submit a[%s] %s", bad, want)}, submits(s.did()))
	}
}

// What a rule sends again otherwise goes as one array for each rule, after its delay.
func TestRetryByRuleIsCompact(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true, EngineRetries: true})
	s.tasks("a", 10_000, &engine.TaskSpec{Command: []string{"x"}, NoCache: true, Retry: engine.Retry{Attempts: 2, Rules: []engine.RetryRule{
		{Class: "oom", ExitCode: "137", MemoryMiB: []int{1, 4096}, Delay: time.Minute}, {Class: "spot", StatusReason: "Host EC2*", Queue: "on-demand"},
	}}})
	s.load(t, d)
	s.tick(t, d, 0)
	s.did()
	bad, lost := some(), engine.RangesOf(1, 2, 900)
	for i := range bad.All() {
		s.ends(1, engine.RangesOf(i), engine.JobFailed, engine.ReasonExited, 137)
		s.tick(t, d, 500*time.Millisecond)
	}
	s.ends(1, lost, engine.JobFailed, engine.ReasonHostLost+" (instance i-1) terminated.", 0)
	for range 60 {
		s.tick(t, d, 2*time.Second)
	}
	same(t, "again", []string{fmt.Sprintf("submit a[%s] 3 of 2", lost), fmt.Sprintf("submit a[%s] 37 of 2", bad)}, submits(s.did()))
	if q, m := s.specs[1].Queue, s.specs[2].MemoryMiB; q != "on-demand" || m != 4096 {
		t.Errorf("queue %q, %d MiB", q, m)
	}
}

// What is refused for now is asked again later, at growing distances, and everything else
// goes on; trouble is told once, and its end.
func TestLater(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"}, &engine.Step{Name: "b"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, Queue: "full", NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, Queue: "free", NoCache: true})
	full := fmt.Errorf("throttled: %w", engine.ErrLater)
	s.answer = func(spec *engine.JobSpec) error {
		if spec.Queue == "full" {
			return full
		}
		return nil
	}
	var told []string
	d.OnTrouble = func(op string, err error) { told = append(told, fmt.Sprint(op, ": ", err)) }
	s.load(t, d)
	s.tick(t, d, 0)
	same(t, "at first", []string{"submit a[0] 0 of 1", "submit b[0] 0 of 1"}, submits(s.did()))
	for _, c := range []struct {
		after time.Duration
		asked bool
	}{{time.Second, false}, {time.Second, true}, {2 * time.Second, false}, {2 * time.Second, true}, {7 * time.Second, false}, {time.Second, true}} {
		s.tick(t, d, c.after)
		if got := len(submits(s.did())) > 0; got != c.asked {
			t.Errorf("%s: asked %v", s.now, got)
		}
	}
	if d.Handed() {
		t.Error("it is handed over though a job is not accepted")
	}
	s.answer = nil
	s.tick(t, d, time.Minute)
	same(t, "trouble", []string{"submit: throttled: not now", "submit: <nil>"}, told)
	if !d.Handed() {
		t.Error("it is not handed over")
	}
	for _, e := range s.log {
		if e.Kind == engine.JobInDoubt || e.Kind == engine.JobRefused {
			t.Errorf("%+v", e)
		}
	}
}

// bulkScript takes jobs side by side.
type bulkScript struct{ *script }

func (b bulkScript) SubmitAll(ctx context.Context, specs []*engine.JobSpec) []engine.Submission {
	b.called("wave of %d", len(specs))
	out := make([]engine.Submission, len(specs))
	for i, spec := range specs {
		out[i].ID, out[i].Err = b.Submit(ctx, spec)
	}
	return out
}

// Jobs go in waves of those that do not wait for each other; one transaction has the
// answers of each; and when somebody cancels the run, the next wave does not go.
func TestWaves(t *testing.T) {
	var steps []*engine.Step
	s, d := newScript()
	for i := range 70 {
		name := engine.StepName(fmt.Sprintf("a%02d", i))
		steps = append(steps, &engine.Step{Name: name})
		s.tasks(name, 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	}
	steps = append(steps, &engine.Step{Name: "z", Deps: []engine.Dep{{Step: "a00", Kind: engine.Whole}}})
	s.tasks("z", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	d.Workflow.Steps, d.Executor = steps, bulkScript{s}
	s.load(t, d)
	s.tick(t, d, 0)
	waves := func() (out []string) {
		for _, c := range s.did() {
			if strings.HasPrefix(c, "wave") {
				out = append(out, c)
			}
		}
		return out
	}
	same(t, "waves", []string{"wave of 64", "wave of 7"}, waves())

	s2, d2 := newScript(steps...)
	s2.steps, d2.Executor = s.steps, bulkScript{s2}
	s2.answer = func(*engine.JobSpec) error {
		s2.now = s2.now.Add(10 * time.Millisecond)
		s2.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
		return nil
	}
	s = s2
	s.load(t, d2)
	s.tick(t, d2, 0)
	same(t, "waves after a cancel", []string{"wave of 64"}, waves())
}

// A job whose answer is lost is looked for with growing distances, at the very end of the
// quiet period, and then submitted again, after that is durable; the next driver waits for
// another quiet period. What appears later is ended.
func TestDoubt(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.answer = func(*engine.JobSpec) error { return errors.New("accepted, but the answer is lost") }
	s.hidden = true
	run := s.load(t, d)
	start := s.now
	var finds []string
	for s.now.Before(start.Add(40 * time.Second)) {
		wake, err := d.Tick(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(s.did(), func(c string) bool { return strings.HasPrefix(c, "find a") }) {
			finds = append(finds, s.now.Sub(start).String())
		}
		s.now = wake
	}
	same(t, "looked for", []string{"1s", "3s", "7s", "15s", "25s", "30s", "31s", "33s", "37s"}, finds)
	last := s.log[len(s.log)-2:]
	if last[0].Kind != engine.JobInDoubt || last[1].Kind != engine.JobInDoubt || last[0].At.Sub(start) != 30*time.Second {
		t.Errorf("%+v", last)
	}
	s.hidden = false
	s.tick(t, d, 5*time.Second)
	if j := run.Jobs()[0]; j.ID != "j1" {
		t.Errorf("adopted: %+v", j)
	}
	if calls := s.did(); !slices.Contains(calls, "terminate j2: flow: submitted twice, the job is j1") {
		t.Errorf("%q", calls)
	}
	s.jobs[1].Status = engine.JobFailed
	s.ends(1, nil, engine.JobSucceeded, "", 0)
	s.tick(t, d, time.Minute)
	if calls := s.did(); !run.Ended() || !slices.Contains(calls, "find *") {
		t.Errorf("%s after %q", run, calls)
	}
}

// A run that is being cancelled asks each job to end once, and has ended when a listing
// shows that none is alive.
func TestCancelIsVerified(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true}, &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a", Kind: engine.Whole}}})
	s.tasks("a", 10_000, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	var alive []string
	d.OnAlive = func(n, _, total int) { alive = append(alive, fmt.Sprintf("%d of %d", n, total)) }
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.did()
	s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
	s.tick(t, d, time.Second)
	s.tick(t, d, 2*time.Second)
	s.ends(1, engine.Upto(10_000), engine.JobFailed, "flow: enough", 143)
	s.ends(2, nil, engine.JobFailed, engine.ReasonDependency, 0)
	s.jobs[0].Status = engine.JobPending // the summary is ahead
	s.tick(t, d, 5*time.Second)
	if run.Ended() {
		t.Error("the run has ended, and a listing shows a job of it alive")
	}
	s.jobs[0].Status = engine.JobFailed
	s.tick(t, d, 10*time.Second)
	if run.Status() != engine.Cancelled {
		t.Error(run)
	}
	same(t, "alive", []string{"10001 of 10001", "10001 of 10001", "1 of 10001", "0 of 10001"}, alive)
	var ended []string
	for _, c := range s.did() {
		if strings.HasPrefix(c, "terminate") || strings.HasPrefix(c, "describe") && len(c) > len("describe 99") {
			ended = append(ended, c)
		}
	}
	same(t, "terminated", []string{"terminate j1: flow: enough", "terminate j2: flow: enough"}, ended)
	same(t, "a", [7]int{engine.Cancelled: 10_000}, run.StepStatus("a").Counts)
	same(t, "b", engine.Cancelled, run.StepStatus("b").Status)
}

// A job that is unknown for longer than anybody waits is lost: its tasks have succeeded
// where their results are, and else failed or run again, with numbers not used before.
func TestLost(t *testing.T) {
	for _, onLost := range []engine.OnLost{"", engine.LostRetries} {
		s, d := newScript(&engine.Step{Name: "a", FanOut: true})
		d.Workflow.OnLost = onLost
		s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true, Outputs: []engine.Output{{Name: "v", Kind: engine.OutputFile, Path: "v"}}})
		run := s.load(t, d)
		s.tick(t, d, 0)
		s.tick(t, d, 2*time.Second)
		s.did()
		s.jobs[0].ID, s.jobs[0].Status = "gone", engine.JobSucceeded
		s.files["/w/"+string(simRun)+"/a/1"] = &engine.Manifest{Attempt: 2}
		s.tick(t, d, 10*time.Second)
		s.tick(t, d, 29*time.Second)
		if run.Ended() || len(submits(s.did())) > 0 {
			t.Error("given up too early")
		}
		s.tick(t, d, 10*time.Second)
		if onLost == engine.LostRetries {
			same(t, "again", []string{"submit a[0,2] 2 of 11"}, submits(s.did()))
			same(t, "counts", [7]int{engine.Pending: 2, engine.Succeeded: 1}, run.StepStatus("a").Counts)
			continue
		}
		same(t, "counts", [7]int{engine.Failed: 2, engine.Succeeded: 1}, run.StepStatus("a").Counts)
		if got := run.Task("a", 2); !strings.HasPrefix(got.Reason, "lost: ") || run.Status() != engine.Failed {
			t.Errorf("%+v, %s", got, run)
		}
	}
}

// While nothing changes, what is far away is looked at less and less often: with one call
// for what may have begun, and none for what waits for it.
func TestPolling(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true}, &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a", Kind: engine.Whole}}})
	s.tasks("a", 10_000, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.load(t, d)
	ctx, stop := context.WithCancel(context.Background())
	d.Requests = func(context.Context) ([]engine.Request, error) {
		if s.now.After(s.log[0].At.Add(10 * time.Minute)) {
			stop()
		}
		return nil, nil
	}
	if _, err := d.Drive(ctx, simRun); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, c := range s.did() {
		n[c]++
	}
	if n["describe 1"]+n["describe 2"] > 20 || n["describe 1"] < 5 || len(n) != 4 {
		t.Errorf("in ten minutes without news: %v", n)
	}
}

// Somebody who only looks records what happened, and what follows, and starts nothing.
func TestLook(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"}, &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a", Kind: engine.Whole, Need: engine.NeedValues}}})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run, err := d.HandOver(context.Background(), simRun)
	if err != nil {
		t.Fatal(err)
	}
	if holds := run.Holds(s.now); len(holds) != 1 || holds[0].Step != "b" {
		t.Errorf("%+v", holds)
	}
	s.did()
	s.ends(1, nil, engine.JobSucceeded, "", 0)
	look := func() *engine.Run {
		run = s.load(t, d)
		if err := d.Look(context.Background()); err != nil {
			t.Fatal(err)
		}
		return run
	}
	same(t, "a", engine.Succeeded, look().StepStatus("a").Status)
	same(t, "calls", []string{"describe 1"}, s.did())
	if _, err = d.HandOver(context.Background(), simRun); err != nil {
		t.Fatal(err)
	}
	s.ends(2, nil, engine.JobSucceeded, "", 0)
	same(t, "the end", engine.Succeeded, look().Status())
}
