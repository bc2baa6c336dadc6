package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	for amount, want := range map[Money]string{
		0: "$0.00", 1: "$0.000001", 42: "$0.000042", 100: "$0.0001", 4_200: "$0.0042", 4_250: "$0.0043", 9_999: "$0.0100", 10_000: "$0.01", 14_999: "$0.01", 15_000: "$0.02",
		1_230_000: "$1.23", 1_994_999: "$1.99", 1_999_999: "$2.00", 1_234_567_890_000: "$1234567.89", -1_500_000: "-$1.50",
	} {
		if got := amount.String(); got != want {
			t.Errorf("%d is %s, want %s", int64(amount), got, want)
		}
	}
}

// The price of a time is right to the millionth, and never wraps around.
func TestRateCost(t *testing.T) {
	for _, test := range []struct {
		hour Money
		took time.Duration
		want Money
	}{
		{USD, time.Hour, USD},
		{96_000, 30 * time.Minute, 48_000},
		{96_000, time.Second, 27},                               // 26.67
		{40_480, 61 * time.Second, 686},                         // 685.9
		{1, 30 * time.Minute, 1},                                // half a millionth, rounded up
		{1, 30*time.Minute - time.Millisecond, 0},               // less than half
		{100 * USD, 1_000_000 * time.Hour, 100_000_000_000_000}, // more than 64 bits on the way
		{200 * USD, 2_000_000 * time.Hour, 400_000_000_000_000},
		{USD, 0, 0}, {USD, -time.Hour, 0}, {0, time.Hour, 0},
	} {
		if got := (&Rate{Hour: test.hour}).Cost(test.took.Milliseconds()); got != test.want {
			t.Errorf("%v of %d for an hour: %d, want %d", test.took, test.hour, got, test.want)
		}
	}
	if got := (&Rate{Hour: 1<<63 - 1}).Cost(1<<63 - 1); got != 1<<63-1 {
		t.Errorf("too much is %d", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := &Rate{Hour: Money(rapid.Int64Range(0, int64(1000*USD)).Draw(t, "hour"))}
		a := rapid.Int64Range(0, 1<<45).Draw(t, "a")
		b := rapid.Int64Range(0, 1<<45).Draw(t, "b")
		if d := r.Cost(a+b) - r.Cost(a) - r.Cost(b); d < -1 || d > 1 {
			t.Errorf("parts of a time cost %d more or less than the whole", d)
		}
	})
}

// What a run used and cost is told by its events: retries, what Batch tried before, and
// tries that were lost are apart, and a rate's least time counts for each try.
func TestUsage(t *testing.T) {
	r, err := NewRun(&Workflow{Name: "w", Steps: []*Step{{Name: "s", FanOut: true}, {Name: "free"}}})
	if err != nil {
		t.Fatal(err)
	}
	seq := int64(0)
	apply := func(events ...Event) {
		t.Helper()
		for _, e := range events {
			seq++
			e.Seq = seq
			if e.Step == "" && e.Kind != RunStarted {
				e.Step = "s"
			}
			b, err := json.Marshal(e) // as it is stored
			if err != nil {
				t.Fatal(err)
			}
			back := Event{Seq: seq, At: e.At, Kind: e.Kind}
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if err := r.Apply(back); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := func(seconds int64) int64 { return 1_000_000_000_000 + seconds*1000 }
	rate := &Rate{Hour: 3_600_000, Least: 60, Of: "Fargate"} // a second is a thousandth of a dollar
	one := []*TaskSpec{{Command: []string{"x"}}}
	apply(
		Event{Kind: RunStarted, Info: &RunInfo{Run: "01k2", Executor: ExecutorBatch}},
		Event{Kind: StepExpanded, Expanded: &Expanded{Size: 4, Groups: one}},
		Event{Kind: StepExpanded, Step: "free", Expanded: &Expanded{Size: 1, Groups: one}},
		Event{Kind: JobPlanned, Job: 1, Tasks: Upto(4), Plan: &JobPlan{Name: "one", Attempt: 1, Attempts: 3, Rate: rate}},
		Event{Kind: JobAccepted, Job: 1, JobID: "a"},
		Event{Kind: JobPlanned, Step: "free", Job: 2, Tasks: Upto(1), Plan: &JobPlan{Name: "two", Attempt: 1}},
		Event{Kind: JobAccepted, Job: 2, JobID: "b"},
		// Two tasks, of 100 and of 10 seconds; the first had a try before that was lost.
		Event{Kind: TasksEnded, Job: 1, Tasks: Upto(2), Outcome: TaskSucceeded, Attempts: []int{2, 1}, Started: Times{at(0), at(0)}, Stopped: Times{at(100), at(10)},
			Before: &Usage{Lost: 90_000}},
		Event{Kind: TasksEnded, Job: 1, Tasks: RangesOf(2), Outcome: TaskRetrying, Attempts: []int{1}, Started: Times{at(0)}, Stopped: Times{at(200)}, TryLost: true},
		Event{Kind: TasksEnded, Job: 1, Tasks: RangesOf(3), Outcome: TaskRetrying, Attempts: []int{1}, Started: Times{at(0)}, Stopped: Times{at(80)}},
		Event{Kind: JobEnded, Job: 1},
		Event{Kind: TasksEnded, Step: "free", Job: 2, Tasks: Upto(1), Outcome: TaskFailed, Attempts: []int{1}, Started: Times{at(0)}, Stopped: Times{at(7)}},
	)
	want := []StepUsage{
		{Step: "s", Tasks: 4, Usage: Usage{Work: 160_000, Retried: 80_000, Lost: 290_000}, Cost: 530_000, Retried: 80_000, Lost: 290_000, Rates: []Rate{*rate}},
		{Step: "free", Tasks: 1, Usage: Usage{Work: 7_000}, Unpriced: 7_000},
	}
	if d := cmp.Diff(want, r.Usage()); d != "" {
		t.Errorf("usage (-want +got):\n%s", d)
	}
	if got := r.Spent(); got != 530_000 {
		t.Errorf("spent %v", got)
	}
	// What runs counts from when it was seen to run; what ends meanwhile is not counted twice.
	apply(
		Event{Kind: JobPlanned, Job: 3, Tasks: RangesOf(2, 3), Plan: &JobPlan{Name: "three", Attempt: 2, Rate: rate}},
		Event{Kind: JobAccepted, Job: 3, JobID: "c"},
	)
	j := r.jobs[2]
	now := time.UnixMilli(at(1000))
	for _, look := range []struct {
		after   time.Duration
		running int
		want    Money
	}{{0, 2, 530_000}, {10 * time.Second, 2, 550_000}, {10 * time.Second, 1, 560_000}} {
		now = now.Add(look.after)
		j.burn(look.running, now)
		if got := r.Spent(); got != look.want {
			t.Errorf("with %d running: spent %v, want %v", look.running, got, look.want)
		}
	}
	apply(Event{Kind: TasksEnded, Job: 3, Tasks: RangesOf(2), Outcome: TaskSucceeded, Attempts: []int{2}, Started: Times{at(1000)}, Stopped: Times{at(1070)}})
	if got := r.Spent(); got != 600_000 {
		t.Errorf("spent %v", got)
	}
}

// The budget of a run: when it pauses, what may go on, and what a resume grants.
func TestAllow(t *testing.T) {
	for _, test := range []struct {
		name    string
		budget  *Budget
		settled Money
		paused  bool
		max     Money
		want    Money // 0: no event
		fails   bool
	}{
		{name: "no budget"},
		{name: "not over", budget: &Budget{Max: USD}, settled: USD},
		{name: "paused", budget: &Budget{Max: USD}, settled: 1_020_000, paused: true, want: 2_020_000},
		{name: "cancelled", budget: &Budget{Max: USD, Cancel: true}, settled: 1_020_000, want: 2_020_000},
		{name: "more", budget: &Budget{Max: USD}, settled: 1_020_000, paused: true, max: 5 * USD, want: 5 * USD},
		{name: "not enough", budget: &Budget{Max: USD}, settled: 1_020_000, paused: true, max: 1_020_000, fails: true},
		{name: "a limit of its own", max: USD, want: USD},
	} {
		r, err := NewRun(&Workflow{Name: "w", Budget: test.budget})
		if err != nil {
			t.Fatal(err)
		}
		r.settled = test.settled
		if test.paused {
			r.paused = &Pause{}
		}
		events, err := r.Allow(test.max)
		switch {
		case (err != nil) != test.fails:
			t.Errorf("%s: %v", test.name, err)
		case test.want == 0 && len(events) != 0, test.want != 0 && (len(events) != 1 || events[0].Allowance != test.want):
			t.Errorf("%s: %+v, want %v", test.name, events, test.want)
		}
	}
}

// A run that has cost all of its budget is not over it, and one that is by a millionth says so.
func TestOverBudget(t *testing.T) {
	r, err := NewRun(&Workflow{Name: "w", Budget: &Budget{Max: USD}})
	if err != nil {
		t.Fatal(err)
	}
	for settled, want := range map[Money]string{
		0: "", USD: "", USD + 1: "spent $1.000001 of the budget of $1.00", 20_060_000: "spent $20.06 of the budget of $1.00",
	} {
		r.settled = settled
		if got, _ := r.overBudget(); got != want {
			t.Errorf("%v: %q, want %q", settled, got, want)
		}
	}
}

// A run that was paused for a day has a day more until its timeout.
func TestPausedIsNotLate(t *testing.T) {
	r, err := NewRun(&Workflow{Name: "w", Timeout: time.Hour, Budget: &Budget{Max: USD}, Steps: []*Step{{Name: "s"}}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.UnixMilli(1_700_000_000_000)
	for i, e := range []Event{
		{At: start, Kind: RunStarted, Info: &RunInfo{Run: "01k2"}},
		{At: start.Add(10 * time.Minute), Kind: RunPaused, Reason: "over", Spent: 2 * USD},
		{At: start.Add(10 * time.Minute), Kind: RunResumed}, // another driver: that does not let it go on
	} {
		e.Seq = int64(i + 1)
		if err := r.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, paused := r.Paused(); !paused {
		t.Error("a driver that takes a run up ends its pause")
	}
	if err := r.Apply(Event{At: start.Add(24*time.Hour + 10*time.Minute), Kind: RunResumed, Allowance: 3 * USD}); err != nil {
		t.Fatal(err)
	}
	if _, paused := r.Paused(); paused || r.Allowance() != 3*USD {
		t.Errorf("paused %v, may cost %v", paused, r.Allowance())
	}
	if at := start.Add(24*time.Hour + 59*time.Minute); len(r.Ready(at).Events) != 0 {
		t.Errorf("it is late already: %v", r.Ready(at).Events)
	}
	if at := start.Add(25 * time.Hour); len(r.Ready(at).Events) != 1 {
		t.Error("it is never late")
	}
}
