package page

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/runstat"
	"flow/engine"
	"flow/executor/batch/diagnose"
)

// stepRun is a run with a step of six tasks: 0 and 4 succeeded, 1 and 3 failed with code 3,
// 2 runs, 5 has not begun.
func stepRun(t testing.TB, keys ...string) *engine.Run {
	t.Helper()
	r, err := engine.NewRun(&engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "align", FanOut: true}}})
	if err != nil {
		t.Fatal(err)
	}
	at := heatBase
	ms := func(s int) int64 { return at.UnixMilli() + int64(s)*1000 }
	code := 3
	for i, e := range []engine.Event{
		{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01k2", Workflow: "w", Executor: engine.ExecutorLocal, WorkDir: "/w"}},
		{Kind: engine.StepExpanded, Step: "align", Expanded: &engine.Expanded{Size: 6, Keys: keys, Groups: []*engine.TaskSpec{{Command: []string{"x"}}}}},
		{Kind: engine.JobPlanned, Step: "align", Job: 1, Tasks: engine.Upto(6), Plan: &engine.JobPlan{Name: "j", Attempt: 1}},
		{Kind: engine.JobAccepted, Step: "align", Job: 1, JobID: "id"},
		{Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.Upto(5)},
		{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(0, 4), Outcome: engine.TaskSucceeded, Attempts: []int{1, 2}, Started: engine.Times{ms(10), ms(10)}, Stopped: engine.Times{ms(30), ms(15)}, Memory: engine.Amounts{5 << 20, -1 << 20}},
		{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(1, 3), Outcome: engine.TaskFailed, ExitCode: &code, Attempts: []int{1}, Started: engine.Times{ms(10), ms(10)}, Stopped: engine.Times{ms(11), ms(12)}},
	} {
		e.Seq, e.At = int64(i+1), at
		if e.Kind == engine.TasksRunning {
			e.At = at.Add(10 * time.Second)
		}
		if err := r.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestPick(t *testing.T) {
	r := stepRun(t, "chr1", "chr2", "chr3", "chrX", "chrY", "MT")
	groups := runstat.Failures(r, "align")
	if len(groups) != 1 {
		t.Fatalf("%d groups", len(groups))
	}
	cause := CauseID(&groups[0])
	for query, want := range map[string][]int{
		"":                        {0, 1, 2, 3, 4, 5},
		"sort=-index":             {5, 4, 3, 2, 1, 0},
		"status=failed":           {1, 3},
		"status=FAILED&q=x":       {3},
		"q=CHR":                   {0, 1, 2, 3, 4},
		"q=nothing":               {},
		"tasks=0-2,5":             {0, 1, 2, 5},
		"tasks=1-2&status=failed": {1},
		"cause=" + cause:          {1, 3},
		"cause=other":             {},
		"sort=-duration":          {2, 0, 4, 3, 1, 5},
		"sort=duration":           {5, 1, 3, 4, 0, 2},
		"sort=-memory":            {0, 4, 1, 2, 3, 5},
		"sort=-attempts":          {4, 0, 1, 3, 2, 5},
		"sort=-exit":              {1, 3, 0, 4, 2, 5},
		"sort=status":             {1, 3, 2, 5, 0, 4},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseTaskQuery(values)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if diff := cmp.Diff(want, q.Pick(r, "align", groups, heatBase.Add(60*time.Second))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestParseTaskQueryErrors(t *testing.T) {
	for _, query := range []string{"status=odd", "tasks=x", "tasks=5-1", "tasks=9,1", `tasks="`, "sort=size", "page=0", "page=x", "page=-1"} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseTaskQuery(values); err == nil {
			t.Errorf("%s is taken", query)
		}
	}
}

// TestPickIndex: a key that is the index is found as a number.
func TestPickIndex(t *testing.T) {
	r := stepRun(t)
	q := TaskQuery{Any: true, Text: "3", Sort: "index", Page: 1}
	if got := q.Pick(r, "align", nil, heatBase); !slices.Equal(got, []int{3}) {
		t.Errorf("%v", got)
	}
}

func TestHeatOf(t *testing.T) {
	got := HeatOf(stepRun(t), "align", "/x/", time.Time{})
	want := &Heat{
		Step: "align", URL: "/x/", Base: heatBase,
		State:    []engine.Status{engine.Succeeded, engine.Failed, engine.Running, engine.Failed, engine.Succeeded, engine.Pending},
		Time:     []uint32{20000, 1000, 10000, 2000, 5000, 0},
		Attempts: []uint8{1, 1, 0, 1, 2, 0},
		Memory:   []uint32{5120, 0, 0, 0, 0, 0}, // of task 4 a bound is known alone,
		Exit:     []int16{0, 3, ExitNone, 3, 0, ExitNone},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// render writes all regions of a view.
func renderStep(t *testing.T, m *StepDetail) string {
	t.Helper()
	var b strings.Builder
	for _, r := range StepView(m).Regions {
		if r.Body != nil {
			if err := r.Body.Render(&b); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.String()
}

// TestStepEscapes: whatever a workflow is called and tasks say, the page shows it as text.
func TestStepEscapes(t *testing.T) {
	r := stepRun(t, evil, "b", "c", "d", "e", "f")
	groups := []runstat.FailureGroup{{Verdict: diagnose.Verdict{Text: evil, Why: evil, Help: []string{evil}, Write: evil}, Tasks: 2, Example: evil, Indices: engine.RangesOf(1, 3)}}
	m := &StepDetail{
		Run: evil, Workflow: evil, Status: r.StepStatus("align"), Waits: evil, Why: evil, Groups: groups, Last: []string{evil},
		Spec: &engine.TaskSpec{Image: evil, Queue: evil, Retry: engine.Retry{Attempts: 2, Rules: []engine.RetryRule{{Class: evil}}}}, Next: []string{evil},
		Query: TaskQuery{Any: true, Sort: "index", Page: 1, Cause: CauseID(&groups[0]), Tasks: engine.Upto(2)}, Values: url.Values{"q": {evil}, "cause": {evil}}, Found: 1, Now: heatBase,
		Rows: []TaskRow{{TaskStatus: r.Task("align", 0), Note: evil}},
	}
	html := renderStep(t, m)
	if strings.Contains(html, "<script") || strings.Contains(html, `"><`+"script") {
		t.Error("markup of a workflow is markup of the page")
	}
	if n := strings.Count(html, "&lt;script&gt;"); n < 10 {
		t.Errorf("the text is shown %d times", n)
	}
}

// TestTaskEscapes is TestStepEscapes for a task.
func TestTaskEscapes(t *testing.T) {
	r := stepRun(t, evil, "b", "c", "d", "e", "f")
	m := &TaskDetail{
		Run: evil, Workflow: evil, FanOut: true, Task: r.Task("align", 0), Size: 6, Why: evil, Waits: evil,
		Verdict: &diagnose.Verdict{Text: evil, Why: evil, Help: []string{evil}, Write: evil},
		Root:    &TaskLink{Name: evil, URL: "/x", Text: evil}, From: &TaskLink{Name: evil, Text: evil},
		Tries: []TaskTry{{N: 1, Outcome: evil, Text: evil, Place: []TaskLink{{Name: evil, Text: evil, URL: "https://x/" + evil}}}}, Notes: []string{evil},
		Log:   &Log{URL: "/" + evil, Attempt: 1, Newest: 2, Piece: LogPiece{First: 1, Lines: [][]LogSpan{{{"a-f1", evil}, {"", evil}}}}},
		Spec:  &engine.TaskSpec{Script: evil, Shell: []string{evil}, Env: map[string]string{evil: evil}, Secrets: map[string]string{evil: evil}},
		Cache: &TaskCache{Why: evil, Since: &TaskLink{Name: evil}, Changes: []TaskChange{{Text: evil, Diff: "@@\n+" + evil}}},
		Files: &TaskFiles{Inputs: []TaskInput{{Name: evil, Paths: []string{evil}, IDs: []string{evil}}}, Outputs: []TaskOutput{{Path: evil, SHA256: evil}},
			Values: []TaskValue{{evil, []byte(`"` + evil + `"`)}}, Note: evil, Dir: evil},
		Repeat: evil, RepeatNote: evil, Now: heatBase,
	}
	var b strings.Builder
	for _, region := range TaskView(m).Regions {
		if region.Body != nil {
			if err := region.Body.Render(&b); err != nil {
				t.Fatal(err)
			}
		}
	}
	html := b.String()
	if strings.Contains(html, "<script") {
		t.Error("markup of a task is markup of the page")
	}
	if n := strings.Count(html, "&lt;script&gt;"); n < 30 {
		t.Errorf("the text is shown %d times", n)
	}
}

// TestBoundsAreShownAsSuch checks that what a task did not exceed is shown as that.
func TestBoundsAreShownAsSuch(t *testing.T) {
	run := stepRun(t)
	m := &StepDetail{Run: "01k2", Workflow: "w", Status: run.StepStatus("align"), Used: runstat.Of(run, "align"), Query: TaskQuery{Any: true, Page: 1}}
	for i := range 6 {
		m.Rows = append(m.Rows, TaskRow{TaskStatus: run.Task("align", i)})
	}
	page := renderStep(t, m)
	for _, want := range []string{">5.0 MiB</td>", ">≤ 1.0 MiB</td>", "Of 1 task the peak is not known, but that it was no higher than 1.0 MiB"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing in %s", want, page)
		}
	}
	task := &TaskDetail{Run: "01k2", Workflow: "w", Task: run.Task("align", 4), Tries: []TaskTry{{N: 1, Memory: 1 << 20, AtMost: true}}}
	if got := htmlOf(t, TaskView(task).Regions); strings.Count(got, "≤ 1.0 MiB") != 2 {
		t.Errorf("the task has it not twice: %s", got)
	}
}
