package export

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

var update = flag.Bool("update", false, "write the files that results are compared with anew")

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
func ms(seconds ...int) []int64 {
	out := make([]int64, len(seconds))
	for i, s := range seconds {
		out[i] = at(s).UnixMilli()
	}
	return out
}

// sample is what happened in a run of two steps on AWS Batch: of the three tasks of align one
// succeeded, one failed twice, and one was cached; merge runs.
func sample() []engine.Event {
	one, three := 1, 137
	spec := &engine.TaskSpec{
		Script: "align", Image: "registry.test:5000/lab/tools:1.2", Timeout: time.Hour,
		Resources: []engine.Resources{{VCPUs: 2, MemoryMiB: 4096}},
		Inputs:    []engine.Input{{Name: "reads", Paths: []string{"/data/a <b>.fq"}, IDs: []string{"sha256:" + strings.Repeat("ab", 32)}}},
		Outputs:   []engine.Output{{Name: "bam", Kind: engine.OutputFile, Path: "x.bam"}},
	}
	hit := engine.Hit{Run: "01old", Step: "align", Task: "c", Dir: "/work/01old/align/c"}
	return []engine.Event{
		{Kind: engine.RunStarted, At: at(0), Info: &engine.RunInfo{
			Run: "01run", Workflow: "genome", Version: "1.0", WorkDir: "/work", Executor: engine.ExecutorBatch, Variables: map[string]string{"reads": `"a.fq"`, "n": "3"},
		}},
		{Kind: engine.StepExpanded, At: at(0), Step: "align", Expanded: &engine.Expanded{
			Size: 3, Keys: []string{"a\tb", "<script>", "c"}, Groups: []*engine.TaskSpec{spec}, Cached: engine.RangesOf(2), Hits: []engine.Hit{hit}, CacheKeys: make([]byte, 96),
		}},
		{Kind: engine.JobPlanned, At: at(1), Step: "align", Job: 1, Tasks: engine.Upto(2), Plan: &engine.JobPlan{Name: "j1", Queue: "spot", Attempt: 1}},
		{Kind: engine.JobAccepted, At: at(2), Job: 1, JobID: "job-1"},
		{Kind: engine.TasksEnded, At: at(30), Step: "align", Job: 1, Tasks: engine.RangesOf(0), Outcome: engine.TaskSucceeded, Attempts: []int{1}, Started: ms(10), Stopped: ms(20), Memory: []int64{1 << 30}, CPU: []int64{15000}},
		{Kind: engine.TasksEnded, At: at(30), Step: "align", Job: 1, Tasks: engine.RangesOf(1), Outcome: engine.TaskRetrying, ExitCode: &one, Reason: "broke", Rule: "any", Attempts: []int{1}, Started: ms(10), Stopped: ms(12)},
		{Kind: engine.JobEnded, At: at(31), Job: 1},
		{Kind: engine.JobPlanned, At: at(32), Step: "align", Job: 2, Tasks: engine.RangesOf(1), Plan: &engine.JobPlan{Name: "j2", Queue: "spot", Attempt: 2}},
		{Kind: engine.JobAccepted, At: at(33), Job: 2, JobID: "job-2"},
		{Kind: engine.TasksEnded, At: at(50), Step: "align", Job: 2, Tasks: engine.RangesOf(1), Outcome: engine.TaskFailed, ExitCode: &three, Reason: "OutOfMemoryError", Attempts: []int{2}, Started: ms(40), Stopped: ms(45), Memory: []int64{4 << 30}, CPU: []int64{0}},
		{Kind: engine.JobEnded, At: at(51), Job: 2},
		{Kind: engine.StepEnded, At: at(51), Step: "align", Status: engine.Failed, Reason: "1 task failed", Cause: `align["<script>"]`},
		{Kind: engine.StepExpanded, At: at(52), Step: "merge", Expanded: &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{{
			Command: []string{"merge"}, Inputs: []engine.Input{{Name: "bams", List: true, Paths: []string{"/work/01run/align/a%09b/result/x.bam", "/work/01old/align/c/result/x.bam"}, IDs: []string{"task:1", "task:2"}}},
		}}}},
		{Kind: engine.JobPlanned, At: at(52), Step: "merge", Job: 3, Tasks: engine.Upto(1), Plan: &engine.JobPlan{Name: "j3", Attempt: 1}},
		{Kind: engine.JobAccepted, At: at(53), Job: 3, JobID: "job-3"},
		{Kind: engine.TasksRunning, At: at(54), Step: "merge", Job: 3, Tasks: engine.Upto(1)},
	}
}

// whole is the sample until its end.
func whole() []engine.Event {
	return append(sample(),
		engine.Event{Kind: engine.TasksEnded, At: at(60), Step: "merge", Job: 3, Tasks: engine.Upto(1), Outcome: engine.TaskSucceeded, Attempts: []int{1}, Started: ms(54), Stopped: ms(58)},
		engine.Event{Kind: engine.JobEnded, At: at(60), Job: 3},
		engine.Event{Kind: engine.StepEnded, At: at(60), Step: "merge", Status: engine.Succeeded},
		engine.Event{Kind: engine.RunEnded, At: at(61), Status: engine.Failed, Reason: "step align failed", Cause: "align", Results: []engine.Result{
			{Name: "bam", Value: json.RawMessage(`"/work/01run/merge/_/result/all.bam"`), Files: []string{"/work/01run/merge/_/result/all.bam"}, Publish: "/results/all.bam"},
			{Name: "count", Value: json.RawMessage("3")},
			{Name: "token", Sensitive: true},
		}},
	)
}

func gather(t testing.TB, events []engine.Event) *Run {
	t.Helper()
	wf := &engine.Workflow{
		Name: "genome", Description: "Align & call", Steps: []*engine.Step{{Name: "align", FanOut: true, Description: "of a shard"}, {Name: "merge"}},
		Outputs: []*engine.WorkflowOutput{{Name: "bam", Description: "All reads"}, {Name: "count"}, {Name: "token", Sensitive: true}},
	}
	run, err := engine.NewRun(wf)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		events[i].Seq = int64(i + 1)
		if err := run.Apply(events[i]); err != nil {
			t.Fatal(err)
		}
	}
	more := append(events[:len(events):len(events)], engine.Event{Seq: int64(len(events) + 1), Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.Upto(1), Outcome: engine.TaskFailed, Started: ms(70), Stopped: ms(71)}) // that the run does not know
	r, err := Gather(run, func(yield func(engine.Event, error) bool) {
		for _, e := range more {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Flow, r.Now, r.Containers = "1.1", at(100), true
	r.Sources = []Source{{"genome.hcl", []byte("workflow \"genome\" {}\n")}, {"parts/a b.hcl", []byte("# more\n")}}
	r.Variables = []Variable{{"reads", "string", "FASTQ"}, {"n", "number", ""}, {"secret", "string", ""}}
	left := map[string]*engine.Manifest{
		"/work/01run/align/a%09b": {Attempt: 1, Files: []engine.ManifestFile{{Path: "x.bam", Size: 7, SHA256: strings.Repeat("cd", 32)}}},
	}
	r.Manifest = func(dir string) *engine.Manifest { return left[dir] }
	return r
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", path, diff)
	}
}

func TestTrace(t *testing.T) {
	var b strings.Builder
	if err := Trace(&b, gather(t, sample())); err != nil {
		t.Fatal(err)
	}
	golden(t, "trace.tsv", b.String())
	for i, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if n := strings.Count(line, "\t") + 1; n != len(traceColumns) {
			t.Errorf("line %d has %d cells, not %d", i, n, len(traceColumns))
		}
	}
}

// TestPlainCells has texts that a spreadsheet would calculate, and those that it would not.
func TestPlainCells(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0", "-2+3": "'-2+3", "@SUM(A1)": "'@SUM(A1)", "\t=1": `\t=1`, "\r=1": `\r=1`,
		"-1": "-1", "+1.5e3": "+1.5e3", "a=b": "a=b", "'=1": "'=1", "": none, "a\tb\nc": `a\tb\nc`,
	} {
		if got := (row{"tag": in}).cells()[3]; got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestEvents(t *testing.T) {
	var b strings.Builder
	out, err := NewEvents(&b, "1.1", "01run")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range whole() {
		e.Seq = int64(i + 1)
		if err := out.Write(&e); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "events.jsonl", b.String())
}

// TestManyTimesAreAList checks that times are numbers also where the log packs them.
func TestManyTimesAreAList(t *testing.T) {
	var b strings.Builder
	out, err := NewEvents(&b, "1.1", "01run")
	if err != nil {
		t.Fatal(err)
	}
	e := engine.Event{Kind: engine.TasksEnded, Step: "a", Tasks: engine.Upto(100), Started: make([]int64, 100), Memory: make([]int64, 100)}
	e.Memory[3] = 5
	if err := out.Write(&e); err != nil {
		t.Fatal(err)
	}
	var line struct{ Started, Memory, CPU []int64 }
	_, text, _ := strings.Cut(b.String(), "\n")
	e.Memory = make([]int64, 100) // nothing is known
	if err := out.Write(&e); err != nil {
		t.Fatal(err)
	}
	if _, more, _ := strings.Cut(b.String(), text); strings.Contains(more, "memory") {
		t.Errorf("what is not known is told: %s", more)
	}
	if err := json.Unmarshal([]byte(text), &line); err != nil || len(line.Started) != 100 || len(line.Memory) != 100 || line.CPU != nil {
		t.Errorf("%v: %s", err, text)
	}
}

func TestSpans(t *testing.T) {
	var b strings.Builder
	if err := OTLP(&b, gather(t, whole()), "flow"); err != nil {
		t.Fatal(err)
	}
	golden(t, "otlp.jsonl", b.String())
}

// TestSpansFitTogether checks that each span but the run's has a parent that there is, which it
// lies within as far as the clocks agree, and that none is there twice.
func TestSpansFitTogether(t *testing.T) {
	spans := map[string]Span{}
	for s := range Spans(gather(t, whole())) {
		if _, twice := spans[s.SpanID]; twice {
			t.Errorf("%s is there twice", s.Name)
		}
		spans[s.SpanID] = s
	}
	for _, s := range spans {
		if s.Parent == "" {
			continue
		}
		p, there := spans[s.Parent]
		if !there || s.Start < p.Start || s.End > p.End || s.TraceID != p.TraceID {
			t.Errorf("%s in %s: %+v", s.Name, p.Name, s)
		}
	}
	if len(spans) != 1+2+3+4 {
		t.Errorf("there are %d spans", len(spans))
	}
	for range Spans(gather(t, whole())) { // may be left early
		break
	}
}

// TestRunningHasNoEnd checks that what goes on is not told as ended.
func TestRunningHasNoEnd(t *testing.T) {
	for s := range Spans(gather(t, sample())) {
		if strings.HasPrefix(s.Name, "run ") || strings.Contains(s.Name, "merge") {
			t.Errorf("%s has ended", s.Name)
		}
	}
}
