package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flow/engine"
)

// nearby is a script that tells of changes, though it never does.
type nearby struct{ *script }

func (nearby) Changed() <-chan struct{} { return nil }
func (nearby) Idle() bool               { return true }

// starts returns the jobs that the log tells of as STARTING, with the seconds since that
// was seen, and when it was recorded.
func (s *script) starts() string {
	var out []string
	for _, e := range s.log {
		if e.Kind == engine.JobStarts {
			since := time.UnixMilli(e.Started[0]).Sub(s.log[0].At)
			out = append(out, fmt.Sprintf("%d since %s at %s", e.Job, since, e.At.Sub(s.log[0].At)))
		}
	}
	return strings.Join(out, ", ")
}

// A job is told to be STARTING once: far away at once, and near by when it takes a while.
// Of an array it is the first child that counts.
func TestStarting(t *testing.T) {
	for _, tt := range []struct {
		name string
		near bool
		look string // what the executor shows second after second: S, R, B (one RUNNING, one STARTING) or - (PENDING)
		size int
		want string
	}{
		{"far", false, "--SSRS", 0, "1 since 3s at 3s"},
		{"far, not seen", false, "--RR", 0, ""},
		{"far array", false, "-SBB", 2, "1 since 2s at 2s"},
		{"far array, first child not seen", false, "-BB", 2, ""},
		{"near", true, "-SSSR", 0, "1 since 2s at 3s"},
		{"near, for a moment", true, "-SRR", 0, ""},
		{"near array", true, "-SSB", 2, "1 since 2s at 3s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, d := newScript(&engine.Step{Name: "a", FanOut: tt.size > 0})
			s.tasks("a", max(tt.size, 1), &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
			d.Poll, d.PollMax = time.Second, time.Second
			if tt.near {
				d.Executor = nearby{s}
			}
			run := s.load(t, d)
			s.tick(t, d, 0)
			j := s.jobs[0]
			for _, is := range tt.look {
				j.Summary = [engine.NumJobStatuses]int{}
				status := map[rune]engine.JobStatus{'-': engine.JobPending, 'S': engine.JobStarting, 'R': engine.JobRunning, 'B': engine.JobRunning}[is]
				switch {
				case tt.size == 0:
					j.Status = status
				case is == 'B':
					j.Summary[engine.JobRunning], j.Summary[engine.JobStarting] = 1, tt.size-1
				default:
					j.Summary[status] = tt.size
				}
				s.tick(t, d, time.Second)
			}
			same(t, "starts", tt.want, s.starts())
			v := run.Jobs()[0]
			if (tt.want != "") == v.Starting.IsZero() || v.Planned.IsZero() || v.Accepted.IsZero() || !v.Ended.IsZero() {
				t.Errorf("job: planned %s, accepted %s, starting %s, ended %s", v.Planned, v.Accepted, v.Starting, v.Ended)
			}
		})
	}
}

// What tries have used is in their events, in the order of their tasks, whether they failed
// alike or succeeded; and not where nobody knows.
func TestUsed(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true}, &engine.Step{Name: "b"})
	s.tasks("a", 4, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.ends(1, engine.RangesOf(0, 2), engine.JobFailed, "", 137)
	s.ends(1, engine.RangesOf(1, 3), engine.JobSucceeded, "", 0)
	for k := range 4 {
		s.status[engine.JobID("j1").Child(k)].Used = engine.Used{PeakMemory: int64(k+1) << 30, CPUMillis: int64(k)}
	}
	s.ends(2, nil, engine.JobSucceeded, "", 0)
	s.tick(t, d, 10*time.Second)
	for k := range 4 {
		v := run.Task("a", k)
		if v.PeakMemory != int64(k+1)<<30 || v.CPUMillis != int64(k) {
			t.Errorf("task %d has used %d bytes and %d ms", k, v.PeakMemory, v.CPUMillis)
		}
	}
	for _, e := range s.log {
		if e.Kind == engine.TasksEnded && e.Step == "b" && (e.Memory != nil || e.CPU != nil) {
			t.Errorf("what is not known is recorded: %v, %v", e.Memory, e.CPU)
		}
	}
}

// What was packed is what it was, rounded up to pages, with a bound still a bound.
func TestUsedPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := engine.Used{PeakMemory: rapid.Int64Range(0, 1<<42).Draw(t, "peak"), CPUMillis: rapid.Int64Range(0, 1<<32-1).Draw(t, "cpu")}
		u.AtMost = u.PeakMemory > 0 && rapid.Bool().Draw(t, "at most")
		if again := engine.UsedOf(u.Memory(), u.CPUMillis); again != u {
			t.Fatalf("%+v is %+v in an event", u, again)
		}
		got := engine.Unpack(u.Pack())
		if more := got.PeakMemory - u.PeakMemory; more < 0 || more >= 4096 || got.AtMost != u.AtMost || got.CPUMillis != u.CPUMillis {
			t.Fatalf("%+v is %+v when it was packed", u, got)
		}
	})
	if got := engine.Unpack(engine.Used{PeakMemory: 1 << 60, CPUMillis: 1 << 40}.Pack()); got.PeakMemory < 1<<42 || got.CPUMillis != 1<<32-1 {
		t.Errorf("more than can be packed is %+v", got)
	}
}

// When a task began, and what it used, is of its last try: of one that goes on its beginning, and
// of one that is to run again nothing.
func TestTriesFolded(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(1_800_000_000+seconds, 0).UTC() }
	ms := func(seconds int64) engine.Times { return engine.Times{at(seconds).UnixMilli()} }
	one := engine.Upto(1)
	plan := func(job, attempt int) engine.Event {
		return engine.Event{Kind: engine.JobPlanned, Step: "a", Job: job, Tasks: one, Plan: &engine.JobPlan{Name: "j", Attempt: attempt}}
	}
	end := func(job, attempt int, o engine.Outcome) engine.Event {
		return engine.Event{Kind: engine.TasksEnded, Step: "a", Job: job, Tasks: one, Outcome: o, Attempts: []int{attempt}}
	}
	with := func(e engine.Event, from, to, memory int64) engine.Event {
		e.Started, e.Stopped = ms(from), ms(to)
		if memory != 0 {
			e.Memory, e.CPU = engine.Amounts{memory}, engine.Amounts{7}
		}
		return e
	}
	run, err := engine.NewRun(&engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	zero := time.Time{}
	for i, tt := range []struct {
		e              engine.Event
		began, stopped time.Time
		memory         int64
	}{
		{engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "r"}}, zero, zero, 0},
		{engine.Event{Kind: engine.StepExpanded, Step: "a", Expanded: &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{{Command: []string{"x"}}}}}, zero, zero, 0},
		{plan(1, 1), zero, zero, 0},
		{engine.Event{Kind: engine.JobAccepted, Job: 1, JobID: "j1"}, zero, zero, 0},
		{engine.Event{Kind: engine.TasksRunning, Step: "a", Job: 1, Tasks: one}, at(4), zero, 0},
		{with(end(1, 1, engine.TaskRetrying), 3, 5, 1<<20), at(3), at(5), 1 << 20},
		{plan(2, 2), at(3), at(5), 1 << 20},
		{engine.Event{Kind: engine.TasksRunning, Step: "a", Job: 2, Tasks: one}, at(7), zero, 1 << 20}, // that ended
		{with(end(2, 2, engine.TaskFailed), 7, 9, 0), at(7), at(9), 0},                                 // of this one it is not known
		{engine.Event{Kind: engine.TasksReset, Step: "a", Tasks: one}, zero, zero, 0},
		{plan(3, 3), zero, zero, 0},
		{end(3, 3, engine.TaskSucceeded), zero, zero, 0}, // as an executor that tells nothing
	} {
		tt.e.At = at(int64(i))
		if err := run.Apply(tt.e); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		v := run.Task("a", 0)
		if !v.Started.Equal(tt.began) || !v.Stopped.Equal(tt.stopped) || v.PeakMemory != tt.memory {
			t.Errorf("after event %d (%s): began %s, stopped %s, %d bytes", i, tt.e.Kind, v.Started, v.Stopped, v.PeakMemory)
		}
	}
}

// Of tasks that failed alike, and of one of which is known what it used, each has its own.
func TestUsedOfOne(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	s.tasks("a", 3, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.ends(1, engine.Upto(3), engine.JobFailed, "", 137)
	s.status[engine.JobID("j1").Child(1)].Used = engine.Used{PeakMemory: 1 << 30, CPUMillis: 5}
	s.tick(t, d, 10*time.Second)
	for k, want := range []int64{0, 1 << 30, 0} {
		if v := run.Task("a", k); v.Status != engine.Failed || v.PeakMemory != want {
			t.Errorf("task %d is %s, and used %d bytes", k, v.Status, v.PeakMemory)
		}
	}
}
