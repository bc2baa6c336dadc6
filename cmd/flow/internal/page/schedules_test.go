package page

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"flow/cmd/flow/internal/browsertest"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	at, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// slotsOf are slots in all states, a day apart, the newest first.
func slotsOf(newest time.Time) []Slot {
	list := []Slot{
		{Status: SlotWaiting, Reason: "run …Q7X2MA is not over"},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2ma", RunStatus: engine.Running, Late: true},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2mb", RunStatus: engine.Succeeded},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2mc", RunStatus: engine.Failed},
		{Status: SlotSkipped, Reason: "run …Q7X2MC was not over"},
		{Status: SlotMissed, Reason: "nobody was there to start it"},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2md", RunStatus: engine.Succeeded, Kind: "triggered"},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2me", RunStatus: engine.Succeeded, Removed: true},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2mf", RunStatus: engine.Cancelled},
		{Status: SlotStarted, Run: "01kb3m1m6v0c3q7x2mg", RunStatus: engine.Succeeded, Kind: "backfill"},
	}
	for i := range list {
		s := &list[i]
		s.Time = newest.AddDate(0, 0, -i)
		if s.Run != "" {
			s.Started = s.Time.Add(time.Second)
		}
		if s.RunStatus.Ended() && s.Run != "" {
			s.Ended = s.Started.Add(time.Duration(40+i) * time.Minute)
		}
	}
	return list
}

// brokenFile is a file with a mistake, as flow validate writes it.
var brokenFile = FileTrouble{
	Path: "/srv/pipelines/video",
	Text: "Error: Unknown time zone\n\n  on video.hcl line 4, in schedule \"hourly\":\n   4:   time_zone = \"Europe/Berln\"\n\nThere is no time zone \"Europe/Berln\". Did you mean \"Europe/Berlin\"?",
	Keep: []string{"video/hourly"},
}

// noValue is what keeps a run from being created, as the service records it.
const noValue = "Error: Missing value for variable\n  on genome.hcl line 1, in variable \"reads\":\n    1: variable \"reads\" {\n       ^^^^^^^^^^^^^^^^\n\nVariable \"reads\" has no default, so it needs a value.\n\n1 error in 1 file"

// manySchedules are schedules in all states.
func manySchedules(t *testing.T, now time.Time) []ScheduleRow {
	berlin := zone(t, "Europe/Berlin")
	acts := func(off bool) []Act {
		word := "Pause"
		if off {
			word = "Resume"
		}
		return []Act{{Text: word, URL: "/x"}, {Text: "Trigger", URL: "/y"}}
	}
	newest := time.Date(now.Year(), now.Month(), now.Day(), 2, 0, 0, 0, berlin)
	return []ScheduleRow{
		{Workflow: "nightly", Name: "daily", Cron: []string{"0 2 * * *"}, Zone: berlin, Next: newest.AddDate(0, 0, 1), Active: 1, Waiting: 1, Last: slotsOf(newest), Acts: acts(false)},
		{Workflow: "nightly", Name: "weekly", Cron: []string{"30 4 * * sun"}, Zone: zone(t, "America/New_York"), Next: now.Add(50 * time.Hour), Acts: acts(false)},
		{Workflow: "video", Name: "hourly", Cron: []string{"5 * * * 1-5", "5 8-20/2 * * 6,7"}, Zone: time.UTC, State: ScheduleState{Paused: now, PausedFor: "the disk is full, until Monday"}, Last: slotsOf(newest)[2:6], Acts: acts(true)},
		{Workflow: "video", Name: "clean", Cron: []string{"@monthly"}, Zone: time.UTC, State: ScheduleState{Disabled: true}, Acts: acts(false)},
		{Workflow: "genome", Name: "all", Cron: []string{"*/10 * * * *"}, Zone: time.UTC, State: ScheduleState{Problem: noValue}, Waiting: 2, Next: now.Add(90 * time.Second), Last: slotsOf(newest)[:1], Acts: acts(false)},
		{Workflow: "genome", Name: "old", Cron: []string{"0 0 1 1 *"}, Zone: time.UTC, State: ScheduleState{Gone: true}},
	}
}

// oneSchedule is the page of the first of them.
func oneSchedule(t *testing.T, now time.Time) *Schedule {
	row := manySchedules(t, now)[0]
	row.Acts = append(row.Acts, Act{Text: "Backfill", URL: "/z"})
	m := &Schedule{ScheduleRow: row, Now: now, Service: Service{Who: "process 12 on lab"}, Slots: row.Last, Older: "x"}
	m.Facts = []Fact{TextFact("While a run is not over", "its next slot waits"), TextFact("What was missed", "the last one is made up for")}
	for i := range 10 {
		m.Coming = append(m.Coming, row.Next.AddDate(0, 0, i))
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, row.Zone)
	m.Backfills = []Backfill{
		{ID: 2, From: from, To: from.AddDate(0, 1, 0), Parallel: 3, Created: now, State: BackfillOpen, Counts: view.Counts{engine.Pending: 20, engine.Running: 3, engine.Succeeded: 7, engine.Failed: 1}, Acts: []Act{{Text: "Cancel", URL: "/c", Danger: true}}},
		{ID: 1, From: from.AddDate(0, -1, 0), To: from, Parallel: 1, Created: now.Add(-time.Hour), State: BackfillDone, Counts: view.Counts{engine.Succeeded: 31}, Missed: 1},
	}
	return m
}

// viewPages serves views as pages of their own, with the policy that pages have.
func viewPages(t *testing.T, views map[string]*web.View) string {
	t.Helper()
	mux := http.NewServeMux()
	assets, err := fs.Sub(Assets, "assets")
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/assets/", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	for name, v := range views {
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:")
			fmt.Fprintf(w, `<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width"><title>%s</title><link rel=icon href="data:,"><link rel=stylesheet href=/assets/flow.css><script type=module src=/assets/ui.js></script></head><body><main>`, name)
			for _, r := range v.Regions {
				fmt.Fprintf(w, `<div class=region id=%s>`, r.ID)
				if r.Body != nil {
					if err := r.Body.Render(w); err != nil {
						t.Error(err)
					}
				}
				fmt.Fprint(w, `</div>`)
			}
			fmt.Fprint(w, `</main></body></html>`)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// TestSchedulesLook looks at the pages of schedules in all their states, light and dark, wide
// and narrow.
func TestSchedulesLook(t *testing.T) {
	t.Parallel()
	now := time.Now()
	rows := manySchedules(t, now)
	runs := &Runs{Now: now, Rows: []RunRow{{
		ID: "01kb3m1m6v0c3q7x2ma", Workflow: "nightly", Status: engine.Running, Created: now.Add(-time.Hour), Driver: "process 12 on lab", Late: now.Add(-time.Minute),
		Slot: &SlotOf{Schedule: "daily", Time: rows[0].Last[1].Time, Zone: rows[0].Zone, Kind: "backfill"},
	}}, Page: 1, Size: 50, Found: 1, All: 1, Active: 1, Schedules: len(rows)}
	for _, r := range rows[:2] {
		runs.Next = append(runs.Next, NextSlot{r.Workflow, r.Name, r.Zone, r.Next})
	}
	base := viewPages(t, map[string]*web.View{
		"schedules": SchedulesView(&Schedules{Now: now, Troubles: []FileTrouble{brokenFile}, Rows: rows}),
		"schedule":  ScheduleView(oneSchedule(t, now)),
		"runs":      RunsView(runs),
	})
	tab := browsertest.Open(t)
	for _, name := range []string{"schedules", "schedule", "runs"} {
		tab.Go(base + name)
		tab.Inspect(name + "-invented")
	}
}

// TestSlotWords says each state of a slot in a word.
func TestSlotWords(t *testing.T) {
	newest := time.Date(2026, 3, 28, 2, 0, 0, 0, time.UTC)
	var got []string
	for _, s := range slotsOf(newest) {
		text, _ := s.word()
		got = append(got, text)
	}
	want := "Waiting Running Succeeded Failed Skipped Missed Succeeded Run removed Cancelled Succeeded"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}

// TestHindered says why a run cannot be created in a line where there is little room, and in
// full once on the page of the schedule.
func TestHindered(t *testing.T) {
	rows := manySchedules(t, time.Now())
	const brief = "Missing value for variable (genome.hcl line 1, in variable &#34;reads&#34;): Variable &#34;reads&#34; has no default, so it needs a value."
	m := &Schedule{ScheduleRow: rows[4]}
	m.Slots = []Slot{{Status: SlotWaiting, Reason: noValue}}
	for name, got := range map[string]string{
		"the list": html(t, scheduleTable(rows, time.Now())), "the history": html(t, m.history()), "the strip": html(t, slotStrip("w", "s", time.UTC, m.Slots)),
	} {
		if !strings.Contains(got, brief) || strings.Contains(got, "^^^") {
			t.Errorf("%s does not say it in a line:\n%s", name, got)
		}
	}
	if got := html(t, m.state()); strings.Contains(got, "reads") {
		t.Errorf("it is said twice:\n%s", got)
	}
	if got := html(t, m.hindered()); !strings.Contains(got, "on genome.hcl line 1") {
		t.Errorf("it is not said in full:\n%s", got)
	}
}

// TestGate says how a step waits for files, or did.
func TestGate(t *testing.T) {
	now := time.Date(2026, 3, 28, 2, 0, 0, 0, time.UTC)
	gate := Gate{Since: now.Add(-time.Hour), What: "/in/a", Ends: []GateEnd{{At: now.Add(time.Hour)}, {At: now.Add(2 * time.Hour), Skip: true}}}
	opened := gate
	opened.Opened, opened.Seen = now, "/in/a"
	for _, c := range []struct {
		m    StepDetail
		want string
	}{
		{StepDetail{Gate: &gate, Waits: "waits for /in/a"}, "Waiting for /in/a, 1h00m so far. It fails if that is not there by 2026-03-28 03:00:00. It is skipped if that is not there by 2026-03-28 04:00:00."},
		{StepDetail{Gate: &opened}, "It waited 1h00m until it was there: /in/a."},
		{StepDetail{Gate: &opened, Pools: "pool db (1 of 1 in use by this run)"}, "Tasks wait for pool db (1 of 1 in use by this run)."},
		{StepDetail{Waits: "its run is paused"}, "Waiting: its run is paused"},
	} {
		c.m.Now = now
		if got := tag.ReplaceAllString(html(t, c.m.waits()), ""); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

var tag = regexp.MustCompile("<[^>]*>")

// TestZoneTime writes the two hours that a clock shows twice so that they differ.
func TestZoneTime(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	first := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{first: "Sun 2026-10-25 02:30 CEST", first.Add(time.Hour): "Sun 2026-10-25 02:30 CET"} {
		if got := html(t, ZoneTime(at, berlin)); !strings.Contains(got, ">"+want+"<") {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
