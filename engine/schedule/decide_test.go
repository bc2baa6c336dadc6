package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
	"flow/engine/schedule"
)

// day is the one on which the tests happen; clock is a time of it, "02:30" or "02:30:20".
const day = "2027-06-01T"

func clock(t interface{ Fatal(...any) }, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	if len(text) == len("15:04") {
		text += ":00"
	}
	at, err := time.Parse(time.RFC3339, day+text+"Z")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// show writes a verdict as lines of text.
func show(v schedule.Verdict) (out []string) {
	const hour = "15:04"
	for _, s := range v.Slots {
		line := fmt.Sprintf("%s %s", s.Slot.Format(hour), s.Status)
		if s.Late {
			line += " late"
		}
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		out = append(out, line)
	}
	for _, s := range v.Start {
		out = append(out, "start "+s.Format(hour))
	}
	for _, r := range v.Cancel {
		out = append(out, "cancel "+string(r))
	}
	if !v.Wake.IsZero() {
		out = append(out, "wake "+v.Wake.Format("15:04:05"))
	}
	return out
}

type schedules = engine.Schedule

func TestDecide(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time { return clock(t, text) }
	waits := func(slots ...string) (out []schedule.WaitingSlot) {
		for _, s := range slots {
			out = append(out, schedule.WaitingSlot{Slot: at(s), Due: at(s)})
		}
		return out
	}
	late := func(slots ...string) []schedule.WaitingSlot {
		out := waits(slots...)
		for i := range out {
			out[i].Late = true
		}
		return out
	}
	running := []schedule.ActiveRun{{Run: "r1"}}
	for _, tt := range []struct {
		name     string
		schedule schedules
		record   schedule.Record // Since is 00:00, and the hours are the slots
		now      string
		want     []string
	}{
		{"nothing is due", schedules{}, schedule.Record{}, "00:59:59", []string{"wake 01:00:00"}},
		{"it is due", schedules{}, schedule.Record{}, "01:00:20", []string{"01:00 WAITING", "start 01:00", "wake 02:00:00"}},
		{"it was decided", schedules{}, schedule.Record{Upto: at("01:00")}, "01:00:20", []string{"wake 02:00:00"}},
		{"it waits for its start", schedules{}, schedule.Record{Upto: at("01:00"), Waiting: waits("01:00")}, "01:00:21", []string{"start 01:00", "wake 02:00:00"}},
		{"a minute is on time", schedules{CatchUp: "none"}, schedule.Record{}, "01:01", []string{"01:00 WAITING", "start 01:00", "wake 02:00:00"}},
		{"more is late", schedules{CatchUp: "none"}, schedule.Record{}, "01:01:01", []string{"01:00 MISSED late: nobody was there to start it", "wake 02:00:00"}},

		{"latest", schedules{}, schedule.Record{}, "03:20", []string{
			"01:00 MISSED late: nobody was there to start it", "02:00 MISSED late: nobody was there to start it", "03:00 WAITING late", "start 03:00", "wake 04:00:00"}},
		{"latest, and one on time", schedules{}, schedule.Record{Upto: at("01:00")}, "03:00:30", []string{
			"02:00 MISSED late: nobody was there to start it", "03:00 WAITING", "start 03:00", "wake 04:00:00"}},
		{"latest, beside a run", schedules{}, schedule.Record{Upto: at("01:00"), Active: running}, "02:20", []string{
			"02:00 SKIPPED late: run r1 was not over", "wake 03:00:00"}},
		{"none", schedules{CatchUp: "none"}, schedule.Record{Upto: at("01:00")}, "03:00:30", []string{
			"02:00 MISSED late: nobody was there to start it", "03:00 WAITING", "start 03:00", "wake 04:00:00"}},
		{"all, one after the other", schedules{CatchUp: "all"}, schedule.Record{}, "02:20", []string{
			"01:00 WAITING late", "02:00 WAITING late: the run of the slot of 2027-06-01 01:00 +00:00 has not begun", "start 01:00", "wake 03:00:00"}},
		{"all, beside a run", schedules{CatchUp: "all", Overlap: "replace"}, schedule.Record{Active: running}, "01:20", []string{
			"01:00 WAITING late: run r1 is not over", "wake 02:00:00"}},
		{"all at once", schedules{CatchUp: "all", Overlap: "allow"}, schedule.Record{Active: running}, "02:20", []string{
			"01:00 WAITING late", "02:00 WAITING late", "start 01:00", "start 02:00", "wake 03:00:00"}},
		{"all wait, and one is on time", schedules{CatchUp: "all"}, schedule.Record{}, "02:00:01", []string{
			"01:00 WAITING late", "02:00 SKIPPED: the run of the slot of 2027-06-01 01:00 +00:00 had not begun", "start 01:00", "wake 03:00:00"}},

		{"skip", schedules{}, schedule.Record{Active: running}, "01:00", []string{"01:00 SKIPPED: run r1 was not over", "wake 02:00:00"}},
		{"queue", schedules{Overlap: "queue"}, schedule.Record{Active: running}, "01:00", []string{"01:00 WAITING: run r1 is not over", "wake 02:00:00"}},
		{"queue, in order", schedules{Overlap: "queue"}, schedule.Record{Upto: at("03:00"), Waiting: waits("02:00", "01:00", "03:00")}, "03:10", []string{"start 01:00", "wake 04:00:00"}},
		{"replace", schedules{Overlap: "replace"}, schedule.Record{Active: running}, "01:00", []string{"01:00 WAITING: run r1 is not over", "cancel r1", "wake 02:00:00"}},
		{"replace, asked for", schedules{Overlap: "replace"}, schedule.Record{Upto: at("01:00"), Waiting: waits("01:00"), Active: []schedule.ActiveRun{{Run: "r1", Cancelling: true}}}, "01:05", []string{"wake 02:00:00"}},
		{"replace what waits", schedules{Overlap: "replace"}, schedule.Record{Upto: at("01:00"), Waiting: waits("01:00"), Active: []schedule.ActiveRun{{Run: "r1", Cancelling: true}}}, "02:00", []string{
			"01:00 SKIPPED: replaced by the slot of 2027-06-01 02:00 +00:00", "02:00 WAITING: run r1 is not over", "wake 03:00:00"}},
		{"replace, late ones first", schedules{Overlap: "replace", CatchUp: "all"}, schedule.Record{Upto: at("02:00"), Waiting: late("01:00", "02:00"), Active: running}, "02:30", []string{"wake 03:00:00"}},
		{"allow", schedules{Overlap: "allow"}, schedule.Record{Active: running}, "01:00", []string{"01:00 WAITING", "start 01:00", "wake 02:00:00"}},

		{"start_within", schedules{Overlap: "queue", StartWithin: 30 * time.Minute}, schedule.Record{Active: running}, "01:00", []string{"01:00 WAITING: run r1 is not over", "wake 01:30:00"}},
		{"start_within is over", schedules{Overlap: "queue", StartWithin: 30 * time.Minute}, schedule.Record{Upto: at("01:00"), Waiting: waits("01:00"), Active: running}, "01:30", []string{
			"01:00 MISSED: it had not started by 2027-06-01 01:30 +00:00: run r1 was not over", "wake 02:00:00"}},
		{"start_within of late ones", schedules{CatchUp: "all", StartWithin: 90 * time.Minute}, schedule.Record{}, "02:45", []string{
			"01:00 MISSED late: nobody was there to start it by 2027-06-01 02:30 +00:00", "02:00 WAITING late", "start 02:00", "wake 03:00:00"}},
		{"a run that cannot be", schedules{}, schedule.Record{Upto: at("01:00"), Waiting: []schedule.WaitingSlot{{Slot: at("01:00"), Due: at("01:00"), Tried: at("01:00"), Problem: "no value for var.day"}}}, "01:59:59", []string{
			"start 01:00", "wake 02:00:00"}},
		{"a run that cannot be, for an hour", schedules{}, schedule.Record{Upto: at("01:00"), Waiting: []schedule.WaitingSlot{{Slot: at("01:00"), Due: at("01:00"), Tried: at("01:00"), Problem: "no value for var.day"}}}, "02:00", []string{
			"01:00 MISSED: it had not started by 2027-06-01 02:00 +00:00: no value for var.day", "02:00 WAITING", "start 02:00", "wake 03:00:00"}},

		{"off", schedules{}, schedule.Record{Off: true}, "02:00", nil},
		{"off, and one waits", schedules{Overlap: "queue"}, schedule.Record{Off: true, Waiting: waits("01:00")}, "02:00", nil},
		{"off, and one was asked for", schedules{}, schedule.Record{Off: true, Waiting: append(waits("01:00"), schedule.WaitingSlot{Slot: at("00:10"), Due: at("01:40"), Manual: true})}, "02:00", []string{"start 00:10"}},
		{"asked for, after what waits", schedules{}, schedule.Record{Upto: at("02:00"), Waiting: append(waits("01:00"), schedule.WaitingSlot{Slot: at("00:10"), Due: at("01:40"), Manual: true})}, "02:00", []string{"start 01:00", "wake 03:00:00"}},
		{"asked for within the second of a slot", schedules{Overlap: "replace"}, schedule.Record{Upto: at("01:00"), Waiting: []schedule.WaitingSlot{{Slot: at("02:00").Add(200 * time.Millisecond), Due: at("02:00"), Manual: true}}}, "02:00", []string{
			"02:00 WAITING", "02:00 SKIPPED: replaced by the slot of 2027-06-01 02:00 +00:00", "start 02:00", "wake 03:00:00"}},
		{"a clock that was put back", schedules{}, schedule.Record{Upto: at("03:00")}, "01:30", []string{"wake 04:00:00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.schedule
			s.Cron = []string{"0 * * * *"}
			if s.Overlap == "" {
				s.Overlap = engine.OverlapSkip
			}
			if s.CatchUp == "" {
				s.CatchUp = engine.CatchUpLatest
			}
			tt.record.Since = at("00:00")
			v := schedule.Decide(parse(t, &s), "w/s", tt.record, at(tt.now))
			if d := cmp.Diff(tt.want, show(v)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestDecideWithJitter has slots wait for when they are due, and lateness count from there.
func TestDecideWithJitter(t *testing.T) {
	t.Parallel()
	times := parse(t, &engine.Schedule{Cron: []string{"0 * * * *"}, CatchUp: engine.CatchUpNone, Jitter: 30 * time.Minute})
	slot := clock(t, "01:00")
	due := slot.Add(times.Jitter("w/s", slot))
	if due.Equal(slot) {
		t.Fatal("the jitter of the slot is 0")
	}
	r := schedule.Record{Since: clock(t, "00:00")}
	v := schedule.Decide(times, "w/s", r, due.Add(-time.Second))
	if len(v.Slots) != 0 || !v.Wake.Equal(due) || !v.Upto.Equal(r.Since) {
		t.Errorf("before it is due: %+v", v)
	}
	v = schedule.Decide(times, "w/s", r, due.Add(schedule.OnTime))
	if len(v.Start) != 1 || !v.Slots[0].Due.Equal(due) || v.Upto.Before(slot) {
		t.Errorf("when it is due: %+v", v)
	}
}

// TestDecideAtOnce does not decide years of minutes in one go, and comes to the same.
func TestDecideAtOnce(t *testing.T) {
	t.Parallel()
	from := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	now := from.Add((2*schedule.AtOnce + 5) * time.Minute)
	for _, catchUp := range []engine.CatchUp{engine.CatchUpNone, engine.CatchUpLatest, engine.CatchUpAll} {
		times := parse(t, &engine.Schedule{Cron: []string{"* * * * *"}, Overlap: engine.OverlapSkip, CatchUp: catchUp})
		r := schedule.Record{Since: from}
		kept := map[time.Time]schedule.Decision{}
		for round := range 4 {
			v := schedule.Decide(times, "w/s", r, now)
			if len(v.Slots) > schedule.AtOnce+1 || (round < 2) != v.Wake.Equal(now) {
				t.Fatalf("%s, round %d: %d slots, wake %s", catchUp, round, len(v.Slots), v.Wake)
			}
			r = apply(r, v, kept)
		}
		count := map[schedule.Status]int{}
		for _, d := range kept {
			count[d.Status]++
		}
		all := 2*schedule.AtOnce + 5
		want := map[engine.CatchUp]map[schedule.Status]int{
			engine.CatchUpNone:   {schedule.Missed: all - 2, schedule.Waiting: 1, schedule.Skipped: 1},
			engine.CatchUpLatest: {schedule.Missed: all - 2, schedule.Waiting: 1, schedule.Skipped: 1},
			engine.CatchUpAll:    {schedule.Waiting: all - 2, schedule.Skipped: 2},
		}[catchUp]
		if d := cmp.Diff(want, count); d != "" {
			t.Errorf("%s: %s", catchUp, d)
		}
	}
}

// apply keeps a verdict in a record, as a state file does, but starts and cancels nothing.
func apply(r schedule.Record, v schedule.Verdict, kept map[time.Time]schedule.Decision) schedule.Record {
	r.Upto = v.Upto
	r.Waiting = slices.Clone(r.Waiting)
	for _, d := range v.Slots {
		kept[d.Slot] = d
		r.Waiting = slices.DeleteFunc(r.Waiting, func(w schedule.WaitingSlot) bool { return w.Slot.Equal(d.Slot) })
		if d.Status == schedule.Waiting {
			r.Waiting = append(r.Waiting, schedule.WaitingSlot{Slot: d.Slot, Due: d.Due, Late: d.Late})
		}
	}
	return r
}

// TestDecideAnything keeps, over random days of a service that comes and goes: a verdict that is
// kept is no news; each slot that was due is decided, once it is MISSED or SKIPPED for ever; no
// more than one run begins beside none, but where that is allowed.
func TestDecideAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &engine.Schedule{
			Cron:        []string{rapid.SampledFrom([]string{"*/5 * * * *", "0 * * * *", "7,8,9 */2 * * *", "30 1-4 * * *"}).Draw(t, "cron")},
			TimeZone:    rapid.SampledFrom([]string{"", "America/New_York", "Asia/Kolkata"}).Draw(t, "zone"),
			Overlap:     rapid.SampledFrom([]engine.Overlap{"skip", "queue", "replace", "allow"}).Draw(t, "overlap"),
			CatchUp:     rapid.SampledFrom([]engine.CatchUp{"none", "latest", "all"}).Draw(t, "catch_up"),
			StartWithin: time.Duration(rapid.SampledFrom([]int{0, 0, 20, 90}).Draw(t, "within")) * time.Minute,
			Jitter:      time.Duration(rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "jitter")) * time.Minute,
		}
		times := parse(t, s)
		now := time.Date(2027, 11, 6, 22, 0, 0, 0, time.UTC) // a clock is put back on the next day
		since := now
		r := schedule.Record{Since: now}
		kept := map[time.Time]schedule.Decision{}
		var runs int
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 20, 60, 61, 300, 3000, 20000}).Draw(t, "passes")) * time.Second)
			if len(r.Active) > 0 && rapid.Bool().Draw(t, "ends") {
				r.Active = slices.Clone(r.Active[1:])
			}
			before := len(kept)
			v := schedule.Decide(times, "w/s", r, now)
			for _, d := range v.Slots {
				if old, ok := kept[d.Slot]; ok && old.Status != schedule.Waiting {
					t.Fatalf("%s was %s, and is %s", d.Slot, old.Status, d.Status)
				}
			}
			r = apply(r, v, kept)
			again := schedule.Decide(times, "w/s", r, now)
			if len(again.Slots) != 0 || !again.Upto.Equal(v.Upto) || !again.Wake.Equal(v.Wake) || !slices.Equal(again.Start, v.Start) || !slices.Equal(again.Cancel, v.Cancel) {
				t.Fatalf("asked again:\n%s\nafter\n%s", strings.Join(show(again), "\n"), strings.Join(show(v), "\n"))
			}
			for slot := range times.Upto(since, now) {
				due := slot.Add(times.Jitter("w/s", slot))
				if _, ok := kept[slot]; !ok && !due.After(now) && s.Jitter == 0 {
					t.Fatalf("%s is not decided at %s", slot, now)
				}
			}
			if s.Overlap != engine.OverlapAllow && len(v.Start) > 0 && (len(v.Start) > 1 || len(r.Active) > 0) {
				t.Fatalf("%v start beside %v", v.Start, r.Active)
			}
			if !v.Wake.IsZero() && !v.Wake.After(now) {
				t.Fatalf("wakes at %s at %s, with %d new slots", v.Wake, now, len(kept)-before)
			}
			if len(v.Cancel) > 0 && (s.Overlap != engine.OverlapReplace || len(r.Waiting) == 0) {
				t.Fatalf("%v are cancelled for nothing", v.Cancel)
			}
			for _, slot := range v.Start {
				if !rapid.Bool().Draw(t, "starts") {
					continue
				}
				runs++
				r.Active = append(slices.Clone(r.Active), schedule.ActiveRun{Run: engine.RunID(fmt.Sprint("r", runs))})
				r.Waiting = slices.DeleteFunc(slices.Clone(r.Waiting), func(w schedule.WaitingSlot) bool { return w.Slot.Equal(slot) })
				kept[slot] = schedule.Decision{Slot: slot, Status: schedule.Started}
			}
		}
	})
}

// TestDecideOnce says one thing of a slot that is replaced by another of the same verdict.
func TestDecideOnce(t *testing.T) {
	t.Parallel()
	times := parse(t, &engine.Schedule{Cron: []string{"* * * * *"}, Overlap: engine.OverlapReplace, CatchUp: engine.CatchUpLatest})
	v := schedule.Decide(times, "w/s", schedule.Record{Since: clock(t, "00:59")}, clock(t, "01:01"))
	want := []string{"01:00 SKIPPED: replaced by the slot of 2027-06-01 01:01 +00:00", "01:01 WAITING", "start 01:01", "wake 01:02:00"}
	if d := cmp.Diff(want, show(v)); d != "" {
		t.Error(d)
	}
}
