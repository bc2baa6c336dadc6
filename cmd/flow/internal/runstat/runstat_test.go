package runstat

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns a number of seconds after the start, as a time and in milliseconds.
func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}
func ms(seconds float64) int64 { return at(seconds).UnixMilli() }

// fold returns a run of a step "align" with tasks that ask for res, after more events.
func fold(t testing.TB, tasks int, res engine.Resources, more ...engine.Event) (*engine.Run, *Log) {
	t.Helper()
	run, err := engine.NewRun(&engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "align", FanOut: true}, {Name: "merge"}}})
	if err != nil {
		t.Fatal(err)
	}
	spec := &engine.TaskSpec{Command: []string{"true"}, Resources: []engine.Resources{res}}
	events := append([]engine.Event{
		{Kind: engine.RunStarted, At: start, Info: &engine.RunInfo{Run: "01run", Workflow: "w", Executor: engine.ExecutorBatch}},
		{Kind: engine.StepExpanded, At: start, Step: "align", Expanded: &engine.Expanded{Size: tasks, Groups: []*engine.TaskSpec{spec}}},
	}, more...)
	log := &Log{}
	for i := range events {
		events[i].Seq = int64(i + 1)
		if err := run.Apply(events[i]); err != nil {
			t.Fatal(err)
		}
		log.Add(&events[i])
	}
	return run, log
}

func planned(job, tasks int, seconds float64) engine.Event {
	return engine.Event{Kind: engine.JobPlanned, At: at(seconds), Step: "align", Job: job, Tasks: engine.Upto(tasks), Plan: &engine.JobPlan{Name: "j", Attempt: job}}
}

func ended(job int, tasks engine.Ranges, outcome engine.Outcome, from, to []int64) engine.Event {
	return engine.Event{Kind: engine.TasksEnded, At: at(100), Step: "align", Job: job, Tasks: tasks, Outcome: outcome, Started: from, Stopped: to, Attempts: []int{job}}
}

func TestFive(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []int64
		want Five
	}{
		{"none", nil, Five{}},
		{"one", []int64{7}, Five{1, 7, 7, 7, 7, 7, 7}},
		{"two", []int64{10, 20}, Five{2, 10, 12, 15, 17, 20, 30}},
		{"unsorted", []int64{5, 1, 4, 2, 3}, Five{5, 1, 2, 3, 4, 5, 15}},
		{"between", []int64{0, 10, 20, 30}, Five{4, 0, 7, 15, 22, 30, 60}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, FiveOf(c.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFiveSplits checks that a quarter of the values is on either side of each quartile.
func TestFiveSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Int64Range(0, 1e12), 1, 60).Draw(t, "values")
		f := FiveOf(slices.Clone(in))
		if !slices.IsSorted([]int64{f.Min, f.Low, f.Median, f.High, f.Max}) {
			t.Fatalf("out of order: %+v", f)
		}
		for quarters, q := range map[int]int64{1: f.Low, 2: f.Median, 3: f.High} {
			below := 0
			for _, v := range in {
				if v < q {
					below++
				}
			}
			if below > (len(in)-1)*quarters/4+1 {
				t.Fatalf("%d of %d are below quartile %d", below, len(in), quarters)
			}
		}
	})
}

func TestLanes(t *testing.T) {
	run, log := fold(t, 3, engine.Resources{VCPUs: 1, MemoryMiB: 1024},
		planned(1, 3, 1),
		engine.Event{Kind: engine.JobAccepted, At: at(2), Job: 1, JobID: "a"},
		engine.Event{Kind: engine.JobStarts, At: at(4), Job: 1, Started: []int64{ms(3)}},
		engine.Event{Kind: engine.TasksRunning, At: at(9), Step: "align", Job: 1, Tasks: engine.Upto(1)},
		ended(1, engine.Upto(2), engine.TaskSucceeded, []int64{ms(5), ms(6)}, []int64{ms(10), ms(20)}),
		ended(1, engine.RangesOf(2), engine.TaskRetrying, []int64{ms(7)}, []int64{ms(8)}),
		engine.Event{Kind: engine.JobEnded, At: at(30), Job: 1},
		engine.Event{Kind: engine.JobPlanned, At: at(31), Step: "align", Job: 2, Tasks: engine.RangesOf(2), Plan: &engine.JobPlan{Name: "j2", Attempt: 2}},
	)
	want := []Lane{
		{Step: "align", Status: engine.Running, Size: 3, Counts: [7]int{engine.Pending: 1, engine.Succeeded: 2}, Bars: []Bar{
			{Job: 1, Attempt: 1, Tasks: 3, Queued: at(1), Starting: at(3), Running: at(5), Ended: at(20), Retried: 1},
			{Job: 2, Attempt: 2, Tasks: 1, Queued: at(31)},
		}},
		{Step: "merge", Size: -1},
	}
	if diff := cmp.Diff(want, log.Lanes(run)); diff != "" {
		t.Error(diff)
	}
	if got := log.Submitted(1); !got.Equal(at(2)) {
		t.Errorf("job 1 was submitted at %v", got)
	}
	if got := log.Submitted(3); !got.IsZero() {
		t.Errorf("job 3, which there is not, was submitted at %v", got)
	}
	if b := want[0].Bars[1]; !b.Until(at(50)).Equal(at(50)) {
		t.Errorf("a bar that goes on ends at %v", b.Until(at(50)))
	}
	if len(log.Lanes(run)[0].Bars) != 2 || log.Seq() != run.Seq() {
		t.Error("asking twice changed something")
	}
}

// TestNeverRan checks that a job that never ran is over when that was recorded.
func TestNeverRan(t *testing.T) {
	run, log := fold(t, 1, engine.Resources{}, planned(1, 1, 1), engine.Event{Kind: engine.JobRefused, At: at(3), Job: 1, Reason: "no queue"})
	want := []Bar{{Job: 1, Attempt: 1, Tasks: 1, Queued: at(1), Ended: at(3), Failed: 1}}
	if diff := cmp.Diff(want, log.Lanes(run)[0].Bars); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrency(t *testing.T) {
	run, _ := fold(t, 3, engine.Resources{}, planned(1, 3, 0),
		ended(1, engine.Upto(2), engine.TaskSucceeded, []int64{ms(0), ms(5)}, []int64{ms(10), ms(20)}))
	if diff := cmp.Diff([]float64{1.5, 1, 0, 0}, Concurrency(run, at(0), at(40), 4)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0, 0}, Concurrency(run, at(5), at(5), 2)); diff != "" {
		t.Error(diff)
	}
}

// TestConcurrencyKeepsTime checks that no time is lost or made up, however it is cut.
func TestConcurrencyKeepsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "parts")
		parts := make([]float64, n)
		width := rapid.Float64Range(0.1, 1e6).Draw(t, "width")
		whole := width * float64(n)
		begin := rapid.Float64Range(-whole, whole).Draw(t, "begin")
		end := begin + rapid.Float64Range(0, 2*whole).Draw(t, "took")
		share(parts, width, begin, end)
		sum := 0.0
		for _, p := range parts {
			if p < 0 || p > 1+1e-9 {
				t.Fatalf("one task counts as %v", p)
			}
			sum += p * width
		}
		want := max(min(end, whole)-max(begin, 0), 0)
		if d := sum - want; d > whole*1e-9 || d < -whole*1e-9 {
			t.Fatalf("%v of %v", sum, want)
		}
	})
}

func TestTries(t *testing.T) {
	code := 3
	e := engine.Event{
		Kind: engine.TasksEnded, Step: "align", Job: 2, Tasks: engine.RangesOf(1, 4), Outcome: engine.TaskRetrying, ExitCode: &code, Reason: "r", Rule: "x",
		Attempts: []int{2}, Started: []int64{10, 20}, Stopped: []int64{15, 29}, Memory: []int64{1 << 20, 0}, CPU: []int64{7, 8},
	}
	want := []Try{
		{Step: "align", Index: 1, Job: 2, Attempt: 2, Outcome: engine.TaskRetrying, ExitCode: &code, Reason: "r", Rule: "x", Started: 10, Stopped: 15, Memory: 1 << 20, CPU: 7},
		{Step: "align", Index: 4, Job: 2, Attempt: 2, Outcome: engine.TaskRetrying, ExitCode: &code, Reason: "r", Rule: "x", Started: 20, Stopped: 29, CPU: 8},
	}
	if diff := cmp.Diff(want, slices.Collect(Tries(&e))); diff != "" {
		t.Error(diff)
	}
	for range Tries(&e) { // may be left early
		break
	}
	for _, outcome := range []engine.Outcome{engine.TaskUnstarted, engine.TaskRecovered} {
		e.Outcome = outcome
		if got := slices.Collect(Tries(&e)); got != nil {
			t.Errorf("%s is no try: %v", outcome, got)
		}
	}
}

func TestFailures(t *testing.T) {
	failed := func(code int, reason string, tasks ...int) engine.Event {
		return engine.Event{Kind: engine.TasksEnded, At: at(9), Step: "align", Job: 1, Tasks: engine.RangesOf(tasks...), Outcome: engine.TaskFailed, ExitCode: &code, Reason: reason, Attempts: []int{1}}
	}
	run, _ := fold(t, 6, engine.Resources{VCPUs: 1, MemoryMiB: 512}, planned(1, 6, 0),
		failed(1, "", 0), failed(137, "OutOfMemoryError: Container killed due to memory usage", 1, 2, 5))
	groups := Failures(run, "align")
	if len(groups) != 2 || groups[0].Tasks != 3 || groups[0].Indices.String() != "1-2,5" || groups[0].Example != `align["1"]` || groups[1].Tasks != 1 {
		t.Errorf("groups: %+v", groups)
	}
	if groups[0].Cause != "out-of-memory" || groups[1].Cause != "exit-code" {
		t.Errorf("causes: %s, %s", groups[0].Cause, groups[1].Cause)
	}
	if got := Failures(run, "merge"); got != nil {
		t.Errorf("a step that is not known yet failed: %v", got)
	}
}
