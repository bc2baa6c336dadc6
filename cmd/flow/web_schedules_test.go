package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/state"
)

// putSchedules records schedules of a workflow in the state of a bench, and returns that state.
func putSchedules(t testing.TB, b *killBench, workflow string, specs ...*engine.Schedule) *state.DB {
	t.Helper()
	a := newApp()
	a.state = filepath.Join(b.dir, stateDir, "flow.db")
	db, err := a.openState(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.PutSchedules(t.Context(), nil, b.dir, workflow, specs, nil); err != nil {
		t.Fatal(err)
	}
	return db
}

// daily is a schedule as a file has it.
func daily(name string) *engine.Schedule {
	return &engine.Schedule{Name: name, Cron: []string{"0 2 * * *"}, TimeZone: "Europe/Berlin", Overlap: engine.OverlapSkip, CatchUp: engine.CatchUpLatest}
}

// beService has this process be the service.
func beService(t testing.TB, db *state.DB) *state.Term {
	t.Helper()
	term, err := db.TakeTerm(t.Context(), state.ServiceTerm, state.Self("test"))
	if err != nil {
		t.Fatal(err)
	}
	return term
}

// send posts a form as one who has the token, and the one of forms, and returns the answer.
func send(t *testing.T, s *served, path, token string, fields ...string) (*http.Response, string) {
	t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", formKind)
	r.Header.Set("Authorization", "Bearer "+siteToken)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// scheduled is a site over a state with the schedule nightly/daily.
func scheduledSite(t *testing.T) (*served, *state.DB, state.Schedule) {
	t.Helper()
	b := newBench(t)
	db := putSchedules(t, b, "nightly", daily("daily"), &engine.Schedule{Name: "weekly", Cron: []string{"0 4 * * 0"}, Disabled: true})
	sch, err := db.Schedule(t.Context(), "nightly/daily")
	if err != nil {
		t.Fatal(err)
	}
	return serveSite(t, b), db, sch
}

// has checks that a page has texts.
func has(t *testing.T, s *served, path string, texts ...string) {
	t.Helper()
	res, body := fetch(t, s, path)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", path, res.Status, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("%s has no %q:\n%s", path, text, body)
		}
	}
}

// hasNot checks that a page has no text.
func hasNot(t *testing.T, s *served, path, text string) {
	t.Helper()
	if _, body := fetch(t, s, path); strings.Contains(body, text) {
		t.Errorf("%s has %q:\n%s", path, text, body)
	}
}

// TestSchedulePages looks at what pages, the API and metrics say of a schedule whose slots have
// come to all that they can.
func TestSchedulePages(t *testing.T) {
	t.Parallel()
	s, db, sch := scheduledSite(t)
	ctx := t.Context()
	at := time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC) // 02:00 there; the next day it is an hour later
	slot := func(days int, st state.SlotStatus, reason string) state.Slot {
		return state.Slot{Time: at.AddDate(0, 0, days), Status: st, Reason: reason}
	}
	if err := db.DecideSlots(ctx, nil, sch.ID, at, []state.Slot{
		slot(0, state.SlotMissed, "nobody was there to start it"), slot(-1, state.SlotSkipped, "a run was not over"), slot(-2, state.SlotWaiting, ""),
		slot(-3, state.SlotWaiting, `variable "reads" has no value`),
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.CreateRun(ctx, state.NewRun{
		Info: engine.RunInfo{Run: "01kb3m1m6v0c3q7x2mxxxxxxxx", Workflow: "nightly", Executor: engine.ExecutorLocal, Slot: &engine.Slot{Schedule: "daily", Time: at.AddDate(0, 0, -2), TimeZone: "Europe/Berlin"}},
		Slot: &state.SlotClaim{Schedule: sch.ID, Time: at.AddDate(0, 0, -2)},
	}); err != nil {
		t.Fatal(err)
	}
	has(t, s, "/schedules", "No service is there", "nightly/daily", "1 run active", `title="2026-10-24 02:00 CEST, Missed, nobody was there to start it"`, `href="/runs/01kb3m1m6v0c3q7x2mxxxxxxxx"`)
	has(t, s, "/schedules/nightly/daily", "the next slot is skipped", "the last one gets a run", "a run was not over", "2026-10-23 02:00 CEST", "has no value", "Next slots", `href="/schedules/nightly/daily/backfill"`)
	has(t, s, "/schedules/nightly/daily?status=missed", "2026-10-24 02:00 CEST")
	if _, body := fetch(t, s, "/schedules/nightly/daily?status=missed"); strings.Contains(body, "Sat 2026-10-23") {
		t.Error("slots that were not missed are listed")
	}
	has(t, s, "/", "Next by schedule", "All 2 schedules<", `href="/schedules/nightly/daily">daily</a> 2026-10-22 02:00 CEST`)
	hasNot(t, s, "/", `href="/schedules/nightly/weekly"`) // it is disabled
	has(t, s, "/workflows/nightly", "Schedules", "1 run active")
	has(t, s, "/metrics", "flow_service_up 0\n", "flow_service_leader 0\n", `flow_schedule_slots{schedule="nightly/daily",status="MISSED"} 1`, `flow_schedule_slots{schedule="nightly/daily",status="WAITING"} 1`,
		"flow_schedule_next_timestamp_seconds{schedule=\"nightly/daily\"} ", `flow_schedule_waits_since_timestamp_seconds{schedule="nightly/daily"} `+"1792540800\n", `flow_schedule_paused{schedule="nightly/daily"} 0`)

	elsewhere := state.Self("test")
	elsewhere.Host = "elsewhere"
	term, err := db.TakeTerm(ctx, state.ServiceTerm, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	has(t, s, "/schedules", "on elsewhere.</p>")
	has(t, s, "/metrics", "flow_service_up 1\n", "flow_service_leader 0\n")
	if err := term.Release(ctx); err != nil {
		t.Fatal(err)
	}

	beService(t, db)
	if err := db.SetProblem(ctx, nil, "/srv/other", "nothing of this is HCL"); err != nil {
		t.Fatal(err)
	}
	has(t, s, "/schedules", "nothing of this is HCL")
	hasNot(t, s, "/workflows/nightly", "nothing of this is HCL")
	hasNot(t, s, "/schedules/nightly/daily", "nothing of this is HCL")
	if err := db.SetProblem(ctx, nil, sch.Path, "on nightly.hcl line 7:\n   7:   cron = \"61 * * * *\""); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/schedules", "/schedules/nightly/daily", "/workflows/nightly"} {
		has(t, s, path, "cannot be used since", "on nightly.hcl line 7:\n   7:   cron = &#34;61 * * * *&#34;", "The last good version holds until they are mended: nightly/daily")
	}
	has(t, s, "/schedules", "which serves this page")
	has(t, s, "/metrics", "flow_service_up 1\n", "flow_service_leader 1\n", `flow_schedule_broken{schedule="nightly/daily"} 1`)
	for path, want := range map[string]int{
		"/schedules/nightly/other": 404, "/schedules/other/daily": 404, "/schedules/nightly": 404, "/schedules/nightly/daily?status=x": 400, "/schedules/nightly/daily?before=x": 400,
		"/api/v1/schedules/nightly/other/slots": 404, "/api/v1/schedules/nightly/daily/slots?limit=-1": 400, "/schedules/nightly/daily/backfills/1/cancel": 404,
	} {
		if res, body := fetch(t, s, path); res.StatusCode != want {
			t.Errorf("%s: %s, want %d\n%s", path, res.Status, want, body)
		}
	}
	scheduleAPI(t, s)

	if err := db.PauseSchedule(ctx, sch.ID, "moved\u2028here"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/schedules", "/schedules/nightly/daily"} {
		has(t, s, path, `moved\u2028here`) // a line of its own
	}
}

// TestSlotPages goes through more slots than a page has.
func TestSlotPages(t *testing.T) {
	t.Parallel()
	s, db, sch := scheduledSite(t)
	at := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	slots := []state.Slot{{Time: at, Status: state.SlotWaiting, Reason: "variable x has no value"}}
	for i := range slotsOfPage {
		slots = append(slots, state.Slot{Time: at.AddDate(0, 0, i+1), Status: state.SlotMissed})
	}
	if err := db.DecideSlots(t.Context(), nil, sch.ID, at, slots); err != nil {
		t.Fatal(err)
	}
	const path = "/schedules/nightly/daily"
	has(t, s, path, "Hindered", ">Fri 2026-01-02 02:00 CET<", "?before=2026-01-02T01%3A00%3A00Z", ">Older<")
	hasNot(t, s, path, ">Thu 2026-01-01 02:00 CET<")
	has(t, s, path+"?before=2026-01-02T01:00:00Z", ">Thu 2026-01-01 02:00 CET<", ">Newest<")
	_, body := fetch(t, s, path+"?before=2026-01-02T01:00:00Z")
	if strings.Contains(body, "2026-01-02 02:00") || strings.Contains(body, ">Older<") {
		t.Errorf("the last page has more than the last slot:\n%s", body)
	}
	has(t, s, path+"?status=started", "No slot matches")
}

// TestEntrustedRun says who is to drive a run that nobody drives yet, and why not.
func TestEntrustedRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one.hcl", `step "one" { command = ["true"] }`)
	b.exits(exitOK, "run", "-q", "one.hcl")
	s := serveSite(t, b)
	db := putSchedules(t, b, "one", daily("daily"))
	row, err := db.FindRun(t.Context(), b.newest())
	if err != nil {
		t.Fatal(err)
	}
	sources, err := db.Sources(t.Context(), row.ID)
	if err != nil {
		t.Fatal(err)
	}
	const id = "01kb3m1m6v0c3q7x2mxxxxxxxx"
	info := engine.RunInfo{Run: id, Workflow: row.Workflow, Executor: engine.ExecutorLocal, LateAt: s.now(), LateFor: "should be over by 06:00 (UTC)", Slot: &engine.Slot{Schedule: "daily", Time: row.Created, TimeZone: "UTC", Backfill: true}}
	if err := db.CreateRun(t.Context(), state.NewRun{Info: info, Sources: sources, Dir: row.Dir, Params: row.Params, Entrust: true}); err != nil {
		t.Fatal(err)
	}
	has(t, s, "/runs/"+id, "Interrupted", "goes on by itself once a service is there", ">daily</a> ", ", backfill")
	has(t, s, "/", "Interrupted")
	beService(t, db)
	has(t, s, "/runs/"+id, "takes it up as soon as it can")
	has(t, s, "/", "waits for the service")
	if err := db.EntrustTrouble(t.Context(), id, "variable x has no value"); err != nil {
		t.Fatal(err)
	}
	has(t, s, "/runs/"+id, "could not drive this run, and tries again: variable x has no value")

	lease, err := db.Acquire(t.Context(), id, state.Self("test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Append(t.Context(), id, 1, engine.Event{Kind: engine.RunLate, At: s.now(), Reason: info.LateFor}); err != nil {
		t.Fatal(err)
	}
	has(t, s, "/runs/"+id, "Driver</dt><dd>the service, process", ">Late</span>", "it should be over by 06:00 (UTC)")
	has(t, s, "/", ">Late</span>", "the service, process")
}

// scheduleAPI looks at what programs are told of that schedule.
func scheduleAPI(t *testing.T, s *served) {
	t.Helper()
	ask := func(path string, v any) {
		t.Helper()
		res, body := fetch(t, s, "/api/v1/schedules"+path)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s\n%s", path, res.Status, body)
		}
		if err := json.Unmarshal([]byte(body), v); err != nil {
			t.Fatal(err)
		}
	}
	var list []scheduleJSON
	ask("", &list)
	if len(list) != 2 || list[1].Enabled || !list[1].Next.IsZero() || list[0].Schedule != "nightly/daily" || !list[0].Enabled || list[0].Waiting != 1 || len(list[0].Active) != 1 || list[0].Problem == "" || list[0].Next.Hour() != 2 {
		t.Errorf("got %+v", list)
	}
	ask("?workflow=other", &list)
	if len(list) != 0 {
		t.Errorf("got %+v", list)
	}
	var slots []slotJSON
	ask("/nightly/daily/slots?limit=3", &slots)
	var got []string
	for _, x := range slots {
		got = append(got, x.Time.Format(time.RFC3339)+" "+string(x.Status))
	}
	want := []string{"2026-10-24T02:00:00+02:00 MISSED", "2026-10-23T02:00:00+02:00 SKIPPED", "2026-10-22T02:00:00+02:00 STARTED"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if x := slots[2]; x.Run == "" || x.RunStatus == nil || *x.RunStatus != engine.Pending {
		t.Errorf("the slot with a run is %+v", x)
	}
	ask("/nightly/daily/slots?status=waiting,missed&before=2026-10-24T00:00:00Z", &slots)
	if len(slots) != 1 || slots[0].Status != state.SlotWaiting {
		t.Errorf("got %+v", slots)
	}
}

// TestScheduleActs does with a schedule what its pages offer.
func TestScheduleActs(t *testing.T) {
	t.Parallel()
	s, db, sch := scheduledSite(t)
	const at = "/schedules/nightly/daily"
	_, form := fetch(t, s, at+"/pause")
	token := hiddenPart.FindStringSubmatch(form)[2]
	does := func(path, says string, fields ...string) {
		t.Helper()
		res, body := send(t, s, at+path, token, fields...)
		switch {
		case says == "" && (res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != at):
			t.Errorf("%s: %s to %s\n%s", path, res.Status, res.Header.Get("Location"), body)
		case says != "" && (res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, says)):
			t.Errorf("%s: %s, and not %q:\n%s", path, res.Status, says, body)
		}
	}
	now := func() state.Schedule {
		t.Helper()
		got, err := db.ScheduleByID(t.Context(), sch.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	slots := func() (list []string) {
		t.Helper()
		all, err := db.Slots(t.Context(), state.SlotFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range all {
			list = append(list, x.Time.Format("01-02 15:04 ")+string(x.Kind)+" "+string(x.Status))
		}
		return list
	}

	does("/resume", "The schedule is not paused")
	does("/pause", "", "reason", " the disk is full ")
	if got := now(); got.Paused.IsZero() || got.PausedFor != "the disk is full" {
		t.Errorf("paused %v for %q", got.Paused, got.PausedFor)
	}
	has(t, s, "/schedules", "the disk is full", `href="/schedules/nightly/daily/resume"`)
	has(t, s, "/", "No schedule starts a run by itself")
	has(t, s, "/metrics", `flow_schedule_paused{schedule="nightly/daily"} 1`)
	does("/pause", "paused already")
	does("/resume", "")
	if got := now(); !got.Paused.IsZero() {
		t.Error("it is paused")
	}

	does("/trigger", "flow schedule trigger nightly/daily")
	does("/backfill", "flow schedule backfill nightly/daily")
	if got := slots(); got != nil {
		t.Errorf("without a service there are slots: %q", got)
	}
	beService(t, db)
	does("/trigger", "is no time", "at", "tomorrow")
	does("/trigger", "", "at", "2026-01-31 08:30")
	does("/trigger", "", "at", "2026-02-28T08:30:00Z")
	for _, wrong := range [][]string{
		{"is no time", "from", "", "to", ""}, {"not after", "from", "2026-01-02", "to", "2026-01-02"}, {"no slot between", "from", "2026-01-02", "to", "2026-01-02 01:00"},
		{"from 1 to", "from", "2026-01-01", "to", "2026-01-04", "max-parallel", "0"}, {"more than 10,000", "from", "1900-01-01", "to", "2026-01-04"},
	} {
		does("/backfill", wrong[0], append([]string{"max-parallel", "2"}, wrong[1:]...)...)
	}
	does("/backfill", "", "from", "2026-01-01", "to", "2026-01-03 02:00", "max-parallel", "2")
	does("/backfill", "has a run already", "from", "2026-01-01", "to", "2026-01-03 02:00", "max-parallel", "2")
	want := []string{
		"02-28 08:30 manual WAITING", "01-31 07:30 manual WAITING",
		"01-02 01:00 backfill WAITING", "01-01 01:00 backfill WAITING", // before its end, in the zone of the schedule
	}
	if diff := cmp.Diff(want, slots()); diff != "" {
		t.Error(diff)
	}
	has(t, s, at, "Backfills", "0 / 2", at+"/backfills/1/cancel")
	if res, _ := fetch(t, s, "/schedules/nightly/weekly/backfills/1/cancel"); res.StatusCode != http.StatusNotFound {
		t.Errorf("the backfill is taken for one of another schedule: %s", res.Status)
	}
	does("/backfills/1/cancel", "")
	does("/backfills/1/cancel", "is over")
	if got := slots(); got[3] != "01-01 01:00 backfill SKIPPED" {
		t.Errorf("after the cancel: %q", got)
	}
	has(t, s, "/api/v1"+at+"/backfills", `"skipped": 2`, `"max_parallel": 2`, `"from": "2026-01-01T00:00:00+01:00"`)

	if err := db.PutSchedules(t.Context(), nil, sch.Path, "nightly", nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/pause", "/resume", "/trigger", "/backfill"} {
		does(path, "do not have this schedule any more")
	}
}

// TestServiceComesAndGoes: pages that are open learn that a service is there, and that it is
// gone, though what goes records nothing.
func TestServiceComesAndGoes(t *testing.T) {
	t.Parallel()
	_, db, _ := scheduledSite(t)
	var w termWatch
	at := time.Unix(1e9, 0)
	look := func() int64 {
		at = at.Add(driverLook)
		return w.version(t.Context(), db, at)
	}
	none := look()
	if got := look(); got != none {
		t.Error("it has changed")
	}
	term := beService(t, db)
	if got := w.version(t.Context(), db, at); got != none {
		t.Error("it is looked at more often than said")
	}
	there := look()
	if there == none {
		t.Error("nobody noticed that a service is there")
	}
	if err := term.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if look() == there {
		t.Error("nobody noticed that it is gone")
	}
}
