package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flow/cmd/flow/internal/browsertest"
	"flow/cmd/flow/internal/report"
	"flow/engine"
	"flow/state"
)

// harm is text that would do something if a report took it for more than text.
const harm = `<script>window.harmed=1</script><img src=x onerror=window.harmed=1>"'&`

const reported = `
workflow "genome" { description = "Align and call" }
variable "reads" { default = "a.fq" }
step "align" {
  description = "of a shard"
  for_each    = ["a"]
  script      = "true"
}
step "merge" {
  depends_on = [step.align]
  script     = "true"
}
`

// reportedRun is a run of a step with tasks, in a state file, that ended: every 100th task
// failed, the others took 20 to 29 s and at most 3 GiB of the 16 they asked for.
func reportedRun(t testing.TB, tasks int) *past {
	t.Helper()
	a, now := newApp(), time.Now()
	a.now = func() time.Time { return now }
	dir := t.TempDir()
	a.state = filepath.Join(dir, "flow.db")
	db, err := state.Open(a.state, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := a.newRunID()
	if err := db.CreateRun(t.Context(), state.NewRun{
		Info:    engine.RunInfo{Run: id, Workflow: "genome", Version: "1.0", WorkDir: dir, Executor: localExecutor, Variables: map[string]string{"reads": fmt.Sprintf("%q", harm)}},
		Dir:     dir,
		Sources: []state.Source{{Name: "genome.hcl", Bytes: []byte(reported + "# " + harm + "\n")}},
		Steps:   []state.StepInfo{{Name: "align", FanOut: true}, {Name: "merge"}},
		Created: began(a),
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Append(t.Context(), id, 1, reportedEvents(tasks, began(a))...); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := a.openRun(t.Context(), lastRun)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.close() })
	return p
}

// began is when the run of a test began.
func began(a *app) time.Time { return a.now().Add(-time.Hour) }

func reportedEvents(tasks int, start time.Time) []engine.Event {
	spec := &engine.TaskSpec{
		Script: "true", Resources: []engine.Resources{{VCPUs: 8, MemoryMiB: 16 << 10}},
		Inputs: []engine.Input{{Name: "reads", Paths: []string{"/data/" + harm}, IDs: []string{"sha256:00ff"}}},
	}
	code := 3
	keys := make([]string, tasks)
	good := engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 1, Outcome: engine.TaskSucceeded, Attempts: []int{1}}
	bad := engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 1, Outcome: engine.TaskFailed, ExitCode: &code, Reason: harm, Attempts: []int{1}}
	for i := range tasks {
		keys[i] = fmt.Sprintf("sample-%05d", i)
		e := &good
		if i%100 == 50 {
			keys[i], e = fmt.Sprintf("%s%d", harm, i), &bad
		}
		begun := start.UnixMilli() + int64(i%977)*100
		e.Tasks = e.Tasks.Add(i)
		e.Started, e.Stopped = append(e.Started, begun), append(e.Stopped, begun+20_000+int64(i%10)*1000)
		e.Memory, e.CPU = append(e.Memory, int64(1+i%3)<<30), append(e.CPU, 19_000)
	}
	events := []engine.Event{
		{Kind: engine.StepExpanded, Step: "align", Expanded: &engine.Expanded{Size: tasks, Keys: keys, Groups: []*engine.TaskSpec{spec}}},
		{Kind: engine.JobPlanned, Step: "align", Job: 1, Tasks: engine.Upto(tasks), Plan: &engine.JobPlan{Name: "j", Attempt: 1}},
		{Kind: engine.JobAccepted, Job: 1, JobID: "id"}, good, bad,
		{Kind: engine.JobEnded, Job: 1},
		{Kind: engine.StepEnded, Step: "align", Status: engine.Failed, Reason: harm},
		{Kind: engine.StepEnded, Step: "merge", Status: engine.Skipped, Reason: "needs align", Cause: "align"},
		{Kind: engine.RunEnded, Status: engine.Failed, Reason: "step align failed", Cause: "align"},
	}
	for i := range events {
		events[i].Seq, events[i].At = int64(i+2), start.Add(time.Duration(min(i, 5)*30)*time.Second)
	}
	return events
}

// written returns the report of a run, as flow report writes it.
func written(t testing.TB, p *past) string {
	t.Helper()
	var b strings.Builder
	r, err := newApp().reportOf(t.Context(), p, "")
	if err == nil {
		err = report.Write(&b, r, "1.0", time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestReportIsSmall checks that the report of 10,000 tasks is below 2 MB and made within 2 s.
func TestReportIsSmall(t *testing.T) {
	p := reportedRun(t, 10_000)
	start := time.Now()
	text := written(t, p)
	took := time.Since(start)
	t.Logf("%d bytes in %v", len(text), took)
	if len(text) > 2_000_000 {
		t.Errorf("the report has %d bytes", len(text))
	}
	if took > 2*time.Second && !raceEnabled {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{"asked 16.0 GiB, peak 3.0 GiB: 4 GiB would do", "asked 8 vCPUs, used 0.8 on average: 1 would do", "9,900", "100 tasks, 1 cause", "sha256 "} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

// asks finds what in a document would be asked for from elsewhere.
var asks = regexp.MustCompile(`(?i)<(link|iframe|object|embed|base|form)\b|<(script|img|source)[^>]* src=|url\(["']?(https?:|//)|@import|fetch\(|\bimport\s*\(|\bfrom "`)

// TestReportAsksForNothing checks that all that a report needs is in it, and that text is text.
func TestReportAsksForNothing(t *testing.T) {
	text := written(t, reportedRun(t, 120))
	if found := asks.FindString(text); found != "" {
		t.Errorf("it has %q", found)
	}
	if strings.Contains(text, "<script>window") || strings.Contains(text, "<img src=x") || strings.Contains(text, "style=\"") {
		t.Error("text is more than text")
	}
	if strings.Contains(text, `href="/`) {
		t.Error("it links to a page that is not there")
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if ids[m[1]] {
			t.Errorf("the id %s is there twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !ids[m[1]] {
			t.Errorf("a link leads to #%s, which is not there", m[1])
		}
	}
}

// TestReportInBrowser opens a report from the disk: nothing is amiss, the map is drawn and says
// what it shows, in light and dark, and what should be text is.
func TestReportInBrowser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte(written(t, reportedRun(t, 10_000))), 0o600); err != nil {
		t.Fatal(err)
	}
	tab := browsertest.Open(t)
	tab.Go("file://" + path)
	tab.Wait(`document.querySelector("flow-heat canvas")?.width > 100`)
	if got := browsertest.Eval[bool](tab, `window.harmed === undefined`); !got {
		t.Error("text of the run ran as a script")
	}
	tab.Wait(`/10,000/.test(document.querySelector(".heat-summary").textContent)`)
	if got := tab.Text("h1"); !strings.Contains(got, "genome") || !strings.Contains(got, "Failed") {
		t.Errorf("the head says %q", got)
	}
	if got := tab.Text(".cause-list"); !strings.Contains(got, "<script>window.harmed=1</script>") {
		t.Errorf("the cause is %q", got)
	}
	tab.Inspect("report")
}
