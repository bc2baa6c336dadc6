package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/notice"
	"flow/engine"
	"flow/state"
)

// TestMissedIsTold has a schedule's slot missed, and a server told of it.
func TestMissedIsTold(t *testing.T) {
	t.Parallel()
	var got []notice.Message
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m notice.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		got = append(got, m)
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "flow.db")
	db := openNoticed(t, path)
	rule := &engine.Notice{Name: "oncall", On: []engine.Occasion{engine.OnMissed}, Ways: []engine.NoticeWay{{Kind: engine.WayWebhook, URL: engine.Told{Text: server.URL}}}}
	spec := &engine.Schedule{Name: "daily", Cron: []string{"0 2 * * *"}, TimeZone: "Europe/Berlin"}
	if err := db.PutSchedules(t.Context(), nil, "/lab/nightly", "nightly", []*engine.Schedule{spec}, []*engine.Notice{rule}); err != nil {
		t.Fatal(err)
	}
	s, err := db.Schedule(t.Context(), "daily")
	if err != nil {
		t.Fatal(err)
	}
	slot := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	missed := state.Slot{Time: slot, Status: state.SlotMissed, Reason: "nobody was there to start it"}
	if err := db.DecideSlots(t.Context(), nil, s.ID, slot, []state.Slot{missed}); err != nil {
		t.Fatal(err)
	}
	if err := newApp().newCourier(db, func(text string) { t.Error(text) }).deliver(t.Context(), t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	want := notice.Message{
		ID: "nightly+daily-20261123T0100-1", Type: "schedule.missed", At: m.At, Notice: "oncall", Workflow: "nightly", Schedule: "nightly/daily", Slot: m.Slot,
		Status: "MISSED", Reason: missed.Reason, Command: "flow schedule history nightly/daily", Host: m.Host, State: path,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if at := m.Slot.Format(time.RFC3339); at != "2026-11-23T02:00:00+01:00" {
		t.Errorf("slot %s", at)
	}
	all, err := db.Notices(t.Context(), state.NoticeFilter{Status: []state.NoticeStatus{state.NoticeSent}})
	if err != nil || len(all) != 1 {
		t.Errorf("sent %v, %v", all, err)
	}
}
