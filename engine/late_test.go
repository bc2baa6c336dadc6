package engine_test

import (
	"context"
	"testing"
	"time"

	"flow/engine"
)

func TestLateAt(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	six := &engine.TimeOfDay{Hour: 6, TimeZone: "Europe/Berlin"}
	created := at("2026-01-10T03:00:00Z")
	slot := func(when string) *engine.Slot {
		return &engine.Slot{Schedule: "s", Time: at(when), TimeZone: "America/New_York"}
	}
	manual, backfill := slot("2026-01-08T02:00:00Z"), slot("2026-01-08T02:00:00Z")
	manual.Manual, backfill.Backfill = true, true
	for name, c := range map[string]struct {
		expect *engine.Expect
		slot   *engine.Slot
		want   string
		why    string
	}{
		"nothing":                      {nil, nil, "", ""},
		"nothing of it":                {&engine.Expect{}, nil, "", ""},
		"by six":                       {&engine.Expect{FinishBy: six}, nil, "2026-01-10T05:00:00Z", "should be over by 06:00 (Europe/Berlin)"},
		"by six, that was":             {&engine.Expect{FinishBy: &engine.TimeOfDay{Hour: 3, TimeZone: "UTC"}}, nil, "2026-01-11T03:00:00Z", "should be over by 03:00 (UTC)"},
		"in the zone of the schedule":  {&engine.Expect{FinishBy: &engine.TimeOfDay{Hour: 6, Minute: 30}}, slot("2026-01-10T02:00:00Z"), "2026-01-10T11:30:00Z", "should be over by 06:30 (America/New_York)"},
		"in no zone":                   {&engine.Expect{FinishBy: &engine.TimeOfDay{Hour: 6}}, nil, "2026-01-10T06:00:00Z", "should be over by 06:00 (UTC)"},
		"of a slot that came late":     {&engine.Expect{FinishBy: six}, slot("2026-01-08T02:00:00Z"), "2026-01-08T05:00:00Z", "should be over by 06:00 (Europe/Berlin)"},
		"of one triggered afterwards":  {&engine.Expect{FinishBy: six}, manual, "", ""},
		"of one made up for":           {&engine.Expect{FinishBy: six}, backfill, "", ""},
		"of one made up for, in hours": {&engine.Expect{FinishBy: six, MaxDuration: 3 * time.Hour}, backfill, "2026-01-10T06:00:00Z", "should take no longer than 3h"},
		"what is earlier, hours":       {&engine.Expect{FinishBy: six, MaxDuration: 90 * time.Minute}, nil, "2026-01-10T04:30:00Z", "should take no longer than 1h30m"},
		"what is earlier, the clock":   {&engine.Expect{FinishBy: six, MaxDuration: 3 * time.Hour}, nil, "2026-01-10T05:00:00Z", "should be over by 06:00 (Europe/Berlin)"},
	} {
		t.Run(name, func(t *testing.T) {
			want := time.Time{}
			if c.want != "" {
				want = at(c.want)
			}
			got, why := engine.LateAt(c.expect, created, c.slot)
			same(t, "late at", want, got)
			same(t, "why", c.why, why)
		})
	}
}

// A run is told to be late once, at that time, whoever drives it; one that was over in time
// and goes on later is not.
func TestLateIsToldOnce(t *testing.T) {
	p, d := newPorch(file("/x", time.Hour, 2*time.Hour))
	begun := p.log[0].At
	p.log[0].Info.LateAt, p.log[0].Info.LateFor = begun.Add(30*time.Minute), "should be over"
	run := p.load(t, d)
	if _, _, late := run.Late(begun.Add(29 * time.Minute)); late {
		t.Error("it is late too early")
	}
	p.until(t, d, 40*time.Minute)
	run = p.load(t, d)
	p.until(t, d, time.Hour)
	same(t, "told", []string{"0s StepWaits a", "30m0s RunLate : should be over"}, p.told())
	since, why, late := run.Late(p.now)
	if !late || why != "should be over" || !since.Equal(begun.Add(30*time.Minute)) {
		t.Errorf("%s %s %v", since, why, late)
	}
	on, err := p.log[len(p.log)-1].Occasions(nil)
	if p.log[len(p.log)-1].Kind == engine.RunLate && (err != nil || len(on) != 1 || on[0] != engine.OnLate) {
		t.Errorf("%v %v", on, err)
	}

	p, d = newPorch(file("/x", time.Minute, 10*time.Minute))
	p.log[0].Info.LateAt, p.log[0].Info.LateFor = begun.Add(30*time.Minute), "should be over"
	run = p.load(t, d)
	p.until(t, d, time.Hour)
	events, err := run.Redo(engine.Redo{Failed: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Record(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	p.until(t, d, 3*time.Hour)
	if _, _, late := run.Late(p.now); late {
		t.Error("it is late, though it was over in time")
	}
	for _, e := range p.log {
		if e.Kind == engine.RunLate {
			t.Errorf("it is told to be late at %s", e.At)
		}
	}
}
