package page

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	g "maragu.dev/gomponents"
	"pgregory.net/rapid"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// evil is text that would do something if it were not escaped.
const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`

func html(t *testing.T, n g.Node) string {
	t.Helper()
	var b strings.Builder
	if err := n.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func viewHTML(t *testing.T, v *web.View) string {
	t.Helper()
	var b strings.Builder
	for _, r := range v.Regions {
		if r.Body != nil {
			b.WriteString(html(t, r.Body))
		}
	}
	return b.String()
}

func evilRuns(now time.Time) []RunRow {
	return []RunRow{
		{ID: evil, Workflow: evil, Status: engine.Failed, Why: evil, Created: now, Ended: now, Tasks: view.Counts{3: 2, 2: 1}, Cost: evil},
		{ID: "2", Workflow: "w", Status: engine.Running, Created: now, Driver: evil},
		{ID: "3", Workflow: "w", Status: engine.Running, Paused: true, Created: now, Undriven: true, Local: true},
	}
}

func evilSchedule(now time.Time) ScheduleRow {
	slot := Slot{Time: now, Kind: evil, Status: SlotStarted, Reason: evil, Run: evil, Started: now, RunStatus: engine.Failed}
	return ScheduleRow{
		Workflow: evil, Name: evil, Cron: []string{evil}, Zone: time.UTC, State: ScheduleState{Paused: now, PausedFor: evil, Problem: evil}, Next: now,
		Last: []Slot{slot}, Acts: []Act{{Text: evil, URL: "/" + url.PathEscape(evil)}},
	}
}

// TestEscaped puts markup into every text of every page, and looks for it in what comes out:
// nothing of it may be an element, and nothing of ours has what the policy of pages forbids.
func TestEscaped(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	slot := &SlotOf{Schedule: evil, Time: now, Zone: time.UTC, Kind: evil}
	row := evilSchedule(now)
	trouble := []FileTrouble{{Path: evil, Text: evil, Keep: []string{evil}}}
	input := Input{Name: evil, Label: evil, Type: evil, Hint: []string{evil}, Value: evil, Bad: evil, Need: true}
	inputs := []Input{input}
	for _, kind := range []string{"text", "number", "bool", "expr", "secret"} {
		in := input
		in.Kind = kind
		inputs = append(inputs, in)
	}
	chosen := input
	chosen.Choices = []string{evil, "b"}
	inputs = append(inputs, chosen)
	views := map[string]*web.View{
		"runs": RunsView(&Runs{
			Query: url.Values{"q": {evil}, "workflow": {evil}, "status": {evil}, "since": {evil}, "page": {"2"}}, Now: now, Rows: evilRuns(now), Page: 2, Size: 1, Found: 3, All: 3, Paused: 1,
			Workflows: []WorkflowStrip{{evil, []engine.Status{engine.Failed, engine.Succeeded}}},
		}),
		"next":      RunsView(&Runs{All: 1, Page: 1, Size: 1, Found: 1, Now: now, Schedules: 1, Next: []NextSlot{{evil, evil, time.UTC, now}}, Rows: []RunRow{{Workflow: evil, Slot: slot, Late: now}}}),
		"schedules": SchedulesView(&Schedules{Now: now, Service: Service{Who: evil}, Troubles: trouble, Rows: []ScheduleRow{row}}),
		"schedule": ScheduleView(&Schedule{
			ScheduleRow: row, Now: now, Troubles: trouble, Query: url.Values{"status": {evil}, "before": {evil}}, Older: evil, Slots: row.Last, Coming: []time.Time{now}, Facts: []Fact{TextFact(evil, evil)},
			Backfills: []Backfill{{State: evil, From: now, To: now, Acts: row.Acts}},
		}),
		"no runs":   RunsView(&Runs{}),
		"no result": RunsView(&Runs{All: 1, Query: url.Values{"q": {evil}}}),
		"workflow": WorkflowView(&Workflow{
			Name: evil, Description: evil, Now: now, All: 3, Rows: evilRuns(now), Acts: []Act{{Text: evil, URL: "/" + url.PathEscape(evil)}},
			Schedules: []ScheduleRow{row}, Troubles: trouble,
			Runs:  []GridRun{{ID: evil, Status: engine.Failed, Created: now}},
			Steps: []GridStep{{evil, []GridCell{{There: true, Status: engine.Failed, Tasks: view.Counts{3: 5, 2: 1}}}}},
		}),
		"launch":  LaunchView(&Launch{Workflow: evil, Description: evil, From: evil, Where: evil, Token: evil, Inputs: inputs, Bad: evil, Like: evil, Newest: evil}),
		"blocked": LaunchView(&Launch{Workflow: evil, Blocked: evil}),
		"confirm": ConfirmView(&Confirm{Title: evil, Text: []string{evil}, Facts: []Fact{TextFact(evil, evil), CodeFact(evil, evil)}, Action: evil, Token: evil, Button: evil, Back: evil, Danger: true, Inputs: inputs, Bad: evil}),
		"refused": ConfirmView(&Confirm{Title: evil, Blocked: evil, Back: evil}),
	}
	parts := html(t, g.Group{
		Copy(evil), Command(evil), Tabs(evil, Tab{Text: evil, URL: evil, Current: true, Count: 2}), Empty(evil, g.Text(evil)), Notice("bad", g.Text(evil)),
		BadgeAs(engine.Failed, evil), Section("id", evil, g.Text(evil)), Choose(evil, evil, evil, nil),
	})
	check := func(name, text string) {
		for _, bad := range []string{"<script", "<img", " style=", "javascript:"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s:\n%s", name, bad, text)
			}
		}
		// An attribute that runs something would follow a quote that ends another one.
		if m := regexp.MustCompile(`<[^>]*"\s+on\w+=[^>]*>`).FindString(text); m != "" {
			t.Errorf("%s has %s", name, m)
		}
	}
	for name, v := range views {
		check(name, viewHTML(t, v))
	}
	check("parts", parts)
}

func TestBar(t *testing.T) {
	rects := regexp.MustCompile(`class="fill (\w+)" x="([\d.]+)" width="([\d.]+)"`)
	for name, tt := range map[string]struct {
		counts view.Counts
		want   [][]string
	}{
		"none":        {view.Counts{}, nil},
		"all":         {view.Counts{engine.Succeeded: 7}, [][]string{{"SUCCEEDED", "0", "100"}}},
		"few of many": {view.Counts{engine.Succeeded: 9999, engine.Failed: 1}, [][]string{{"SUCCEEDED", "0", "99.99"}, {"FAILED", "99", "1"}}},
		"thirds": {view.Counts{engine.Succeeded: 1, engine.Running: 1, engine.Pending: 1}, [][]string{
			{"SUCCEEDED", "0", "33.33"}, {"RUNNING", "33.33", "33.33"}, {"PENDING", "66.67", "33.33"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [][]string
			for _, m := range rects.FindAllStringSubmatch(html(t, Bar(tt.counts)), -1) {
				got = append(got, m[1:])
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPaging(t *testing.T) {
	if n := Paging("/", nil, 1, 50, 50); n != nil {
		t.Error("a single page is paged")
	}
	text := html(t, Paging("/", url.Values{"q": {"a b"}, "page": {"2"}}, 2, 50, 120))
	for _, want := range []string{`href="/?q=a+b"`, `href="/?page=3&amp;q=a+b"`, "51 to 100 of 120"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in %s", want, text)
		}
	}
	text = html(t, Paging("/", nil, 3, 50, 120))
	if !strings.Contains(text, "101 to 120 of 120") || strings.Contains(text, "page=4") {
		t.Errorf("the last page: %s", text)
	}
}

func TestWithQuery(t *testing.T) {
	q := url.Values{"a": {"1", "2"}}
	if got := WithQuery("/p", q, "a", ""); got != "/p" {
		t.Errorf("got %s", got)
	}
	if got := WithQuery("/p", q, "b", "x&y"); got != "/p?a=1&a=2&b=x%26y" {
		t.Errorf("got %s", got)
	}
	if d := cmp.Diff(url.Values{"a": {"1", "2"}}, q); d != "" {
		t.Error("the query has changed", d)
	}
}

func TestGridRuns(t *testing.T) {
	for steps, want := range map[int]int{0: 50, 6: 50, 50: 50, 100: 25, 200: 12, 5000: 10} {
		if got := GridRuns(steps); got != want {
			t.Errorf("with %d steps: %d runs, want %d", steps, got, want)
		}
	}
}

func TestTrend(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	runs := func(seconds ...int) (list []GridRun) {
		for _, s := range seconds {
			list = append(list, GridRun{Status: engine.Succeeded, Created: at, Ended: at.Add(time.Duration(s) * time.Second)})
		}
		return append(list, GridRun{Status: engine.Failed, Created: at, Ended: at.Add(time.Hour)}, GridRun{Status: engine.Running, Created: at})
	}
	for want, list := range map[string][]GridRun{
		"":                    runs(1, 1, 1, 1, 1),
		"about the same":      runs(10, 10, 10, 10, 10, 10),
		"50 % slower of late": runs(10, 10, 10, 15, 15, 15),
		"50 % faster of late": runs(10, 10, 99, 5, 5, 1),
	} {
		if got := trend(list); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestBrief holds a number in a cell of the grid to the room that there is.
func TestBrief(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if n := rapid.IntRange(1, 10_000_000).Draw(t, "n"); len(brief(n)) > 3 {
			t.Errorf("%d is %s", n, brief(n))
		}
	})
}

// TestTextOfLinesStays checks that a text of several lines gets an input that keeps them.
func TestTextOfLinesStays(t *testing.T) {
	got := html(t, field(Input{Name: "v", Label: "v", Kind: "text", Value: "\ntwo\nlines"}))
	if !strings.Contains(got, ">\n\ntwo\nlines</textarea>") {
		t.Error(got)
	}
	if got := html(t, field(Input{Name: "v", Label: "v", Kind: "text", Value: "one"})); strings.Contains(got, "textarea") {
		t.Error(got)
	}
}

// TestSecretsAreNotFilledIn says that no form has the value of a secret, whoever asks for it.
func TestSecretsAreNotFilledIn(t *testing.T) {
	var b strings.Builder
	for _, need := range []bool{true, false} {
		if err := field(Input{Name: "var.token", Label: "token", Kind: "secret", Value: "s3cret", Need: need, Bad: "no"}).Render(&b); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.String(); strings.Contains(got, "s3cret") || strings.Count(got, `type="password"`) != 2 {
		t.Error(got)
	}
}
