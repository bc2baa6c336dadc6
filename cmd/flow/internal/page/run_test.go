package page

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

const hostile = `<script>alert("x")</script>'&`

var nine = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// hostileRun is a run all of whose texts try to be markup.
func hostileRun() *Run {
	return &Run{
		ID: hostile, Workflow: hostile, Description: hostile, Status: engine.Failed, Rests: hostile, Created: nine, Now: nine.Add(time.Minute),
		Facts: []Fact{TextFact(hostile, hostile)}, Notes: []Note{{Kind: "warn", Text: hostile, More: []string{hostile}}}, Acts: []Act{{Text: hostile, URL: RunURL(hostile)}}, Next: hostile,
	}
}

// views returns all that is shown of a run whose texts are all hostile.
func views(run *Run) map[string][]web.Region {
	group := runstat.FailureGroup{Tasks: 1, Example: hostile, Indices: engine.RangesOf(3)}
	group.Text, group.Help = hostile, []string{hostile}
	graph := &draw.Graph{Title: hostile, Nodes: []draw.Node{{ID: hostile, Label: hostile, Detail: hostile, Tip: hostile, URL: StepURL(hostile, hostile)}}}
	lane := runstat.Lane{Step: hostile, Size: 7, Bars: []runstat.Bar{{Job: 1, Tasks: 7, Queued: nine, Running: nine.Add(time.Second)}}}
	o := &Overview{
		Failures: []RunFailure{{Step: hostile, FailureGroup: group}, {Step: hostile}},
		Timeline: &Timeline{Began: nine, Until: run.Now, From: nine, To: run.Now, Live: true, Rows: []TimelineRow{{Lane: lane, Note: hostile}}, Running: []float64{1}},
		Graph:    graph,
	}
	e := &Events{List: []EventRow{{Seq: 1, At: nine, Kind: hostile, Step: hostile, Text: hostile}}, Page: 1, Total: 900, Kind: hostile, Step: hostile, Kinds: []string{hostile}, Steps: []string{hostile}, Query: url.Values{"step": {hostile}}}
	d := &Data{Outputs: []RunOutput{{Name: hostile, Description: hostile, Value: hostile, Paths: []string{hostile}, Published: []string{hostile}}}, Variables: []RunVariable{{Name: hostile, Type: hostile, Description: hostile, Value: hostile}}}
	s := &Source{Dir: hostile, Files: []SourceFile{{Name: hostile, Sum: hostile, Text: hostile + "\n# " + hostile, Steps: []SourceStep{{hostile, 1, 2, engine.Failed}}}}}
	c := &Changes{Before: hostile, Variables: []VariableChange{{hostile, hostile, hostile}}, Files: []FileChange{{hostile, "--- a\n+++ b\n@@ -1 +1 @@\n+" + hostile}}, Steps: []StepChange{{hostile, 1, 2, hostile}}}
	return map[string][]web.Region{
		"overview": o.Regions(run), "events": e.Regions(run), "data": d.Regions(), "source": s.Regions(run), "changes": c.Regions(run),
	}
}

func htmlOf(t *testing.T, regions []web.Region) string {
	t.Helper()
	var b strings.Builder
	for _, r := range regions {
		if r.Body == nil {
			continue
		}
		if err := r.Body.Render(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestRunPagesShowMarkupAsText(t *testing.T) {
	run := hostileRun()
	for name, regions := range views(run) {
		html := htmlOf(t, run.Regions(regions...))
		if strings.Contains(html, "<script") || strings.Contains(html, `alert("x")`) {
			t.Errorf("%s: a name is markup: %s", name, html)
		}
		if n := strings.Count(html, "&lt;script"); n < 8 {
			t.Errorf("%s: only %d names are shown", name, n)
		}
		for _, not := range []string{` style="`, " onclick", "javascript:"} {
			if strings.Contains(html, not) {
				t.Errorf("%s has %q, which the policy of pages refuses", name, not)
			}
		}
	}
}

// The regions of a view are the same each time, as those who follow it need.
func TestRunViewsHaveFixedRegions(t *testing.T) {
	run := hostileRun()
	empty := map[string][]web.Region{"overview": (&Overview{Timeline: &Timeline{}}).Regions(run), "events": (&Events{Page: 1}).Regions(run), "data": (&Data{}).Regions(), "source": (&Source{}).Regions(run), "changes": (&Changes{}).Regions(run)}
	ids := func(regions []web.Region) (out []string) {
		for _, r := range regions {
			out = append(out, r.ID)
		}
		return out
	}
	for name, regions := range views(run) {
		if d := cmp.Diff(ids(regions), ids(empty[name])); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		htmlOf(t, empty[name])
	}
}

func TestBars(t *testing.T) {
	at := func(s int) time.Time { return nine.Add(time.Duration(s) * time.Second) }
	jobs := []runstat.Bar{
		{Job: 1, Attempt: 1, Tasks: 100, Queued: at(0), Starting: at(2), Running: at(3), Ended: at(20), Retried: 2},
		{Job: 2, Attempt: 2, Tasks: 2, Queued: at(10), Running: at(12), Ended: at(30), Failed: 2},
		{Job: 3, Attempt: 1, Tasks: 1, Queued: at(25)},
	}
	want := []draw.Bar{
		{From: at(0), To: at(2), Kind: "queued", Lane: 0},
		{From: at(2), To: at(3), Kind: "starting", Lane: 0},
		{From: at(10), To: at(12), Kind: "queued", Lane: 1},
		{From: at(25), To: at(40), Kind: "queued", Lane: 0},
		{From: at(3), To: at(20), Kind: "ran retried", Lane: 0},
		{From: at(12), To: at(30), Kind: "ran failed", Lane: 1},
	}
	tips := []string{
		"100 tasks: queued 2.0s, starting 1.0s, ran 17s, 2 tried again",
		"2 tasks, attempt 2: queued 2.0s, ran 18s, 2 failed",
		"1 task: queued 15s",
	}
	for i, k := range []int{0, 0, 1, 2, 0, 1} {
		want[i].Tip = tips[k]
	}
	if d := cmp.Diff(want, bars(jobs, at(40))); d != "" {
		t.Error(d)
	}
}

// A step of very many jobs is drawn with few bars that cover what the jobs did.
func TestManyJobsAreFewBars(t *testing.T) {
	tl := &Timeline{From: nine, To: nine.Add(1000 * time.Second), Until: nine.Add(1000 * time.Second)}
	row := &TimelineRow{}
	for i := range 10_000 {
		begin := nine.Add(time.Duration(i) * 90 * time.Millisecond)
		row.Bars = append(row.Bars, runstat.Bar{Job: i + 1, Tasks: 1, Queued: begin, Running: begin.Add(10 * time.Millisecond), Ended: begin.Add(50 * time.Millisecond)})
	}
	list := tl.shown(row)
	if len(list) > 100 {
		t.Errorf("%d bars", len(list))
	}
	first, last := list[len(list)-1].From, list[0].To
	for _, b := range list {
		if b.Kind == "ran" && b.From.Before(first) {
			first = b.From
		}
		if b.Kind == "ran" && b.To.After(last) {
			last = b.To
		}
	}
	if want := row.Bars[0].Running; !first.Equal(want) {
		t.Errorf("the first bar begins at %v, want %v", first, want)
	}
	if want := row.Bars[9999].Ended; !last.Equal(want) {
		t.Errorf("the last bar ends at %v, want %v", last, want)
	}
	row.Bars = row.Bars[:mostJobs]
	if n := len(tl.shown(row)); n != 2*mostJobs {
		t.Errorf("%d bars of %d jobs", n, mostJobs)
	}
}

func TestZoomStaysInTheRun(t *testing.T) {
	run := &Run{ID: "r"}
	tl := &Timeline{Began: nine, Until: nine.Add(100 * time.Second), From: nine.Add(80 * time.Second), To: nine.Add(100 * time.Second)}
	html := htmlOf(t, []web.Region{{Body: tl.zoom(run)}})
	for _, want := range []string{
		`href="/runs/r?from=85000&amp;to=95000">Zoom in`, `href="/runs/r?from=60000&amp;to=100000">Zoom out`,
		`href="/runs/r?from=70000&amp;to=90000">Earlier`, `href="/runs/r?from=80000&amp;to=100000">Later`, `href="/runs/r">Whole run`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("%s is missing in %s", want, html)
		}
	}
}

func TestDiffNode(t *testing.T) {
	html := htmlOf(t, []web.Region{{Body: DiffNode("x.hcl", "diff before now\n--- before\n+++ now\n@@ -1,2 +1,2 @@\n a\n--- b\n+c\n")}})
	for _, want := range []string{`<span class="hunk">@@`, `<span class="removed">--- b`, `<span class="added">+c`, "<span> a"} {
		if !strings.Contains(html, want) {
			t.Errorf("%s is missing in %s", want, html)
		}
	}
	if strings.Contains(html, "+++ now") {
		t.Error("the names are shown, which the heading has")
	}
}

func TestAxisText(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		step time.Duration
		at   []time.Duration
		want []string
	}{
		{10 * time.Millisecond, []time.Duration{0, 10 * time.Millisecond, 150 * time.Millisecond}, []string{"0", "0.01s", "0.15s"}},
		{100 * time.Millisecond, []time.Duration{100 * time.Millisecond, 12*second + 300*time.Millisecond, 65*second + 200*time.Millisecond}, []string{"0.1s", "12.3s", "1m05.2s"}},
		{20 * time.Millisecond, []time.Duration{3600*second + 20*time.Millisecond}, []string{"1h00m00.02s"}},
		{5 * second, []time.Duration{5 * second, 60 * second, 65 * second}, []string{"5s", "1m00s", "1m05s"}},
		{30 * time.Minute, []time.Duration{30 * time.Minute, 90 * time.Minute}, []string{"30m00s", "1h30m"}},
	} {
		text := axisText([]draw.Tick{{After: 0}, {After: c.step}})
		var got []string
		for _, d := range c.at {
			got = append(got, text(d))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestFailureLeadsToItsTasks checks that a cause leads to the tasks that failed for it, and
// says what the first of them wrote.
func TestFailureLeadsToItsTasks(t *testing.T) {
	groups := runstat.Failures(stepRun(t), "align")
	html := html(t, failures("01k2", []RunFailure{{Step: "align", Last: "no <block>", FailureGroup: groups[0]}}))
	for _, want := range []string{`href="/runs/01k2/steps/align?cause=` + CauseID(&groups[0]) + `#tasks"`, "no &lt;block&gt;"} {
		if !strings.Contains(html, want) {
			t.Errorf("%s is missing in %s", want, html)
		}
	}
}

// TestSkippedIsKnown checks that of a step that ended before its tasks were known the state
// is said.
func TestSkippedIsKnown(t *testing.T) {
	row := TimelineRow{Lane: runstat.Lane{Status: engine.Skipped, Size: -1}}
	if got := html(t, row.tasks()); !strings.Contains(got, "skipped") {
		t.Error(got)
	}
}
