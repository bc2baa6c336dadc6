package main

import (
	"fmt"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/engine/schedule"
	"flow/state"
)

// What commands and pages alike say of the slots of schedules, and read of them.

// zoneOf is the time zone of a schedule; UTC if there is none of that name on this machine.
func zoneOf(spec *engine.Schedule) *time.Location {
	zone, err := schedule.Zone(spec.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// nextOf returns the first slot of a schedule after that time; zero: there is none.
func nextOf(spec *engine.Schedule, after time.Time) time.Time {
	times, err := schedule.Parse(spec)
	if err != nil {
		return time.Time{}
	}
	return times.Next(after)
}

// comingOf are the next slots of a schedule after that time.
func comingOf(spec *engine.Schedule, after time.Time, n int) (list []time.Time) {
	times, err := schedule.Parse(spec)
	if err != nil {
		return nil
	}
	for at := times.Next(after); len(list) < n && !at.IsZero(); at = times.Next(at) {
		list = append(list, at)
	}
	return list
}

// slotTime reads a time that a person wrote: a date is its midnight in a zone, and a time
// without an offset one of clocks there.
func slotTime(text string, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time. %s", text, timeHint(zone))
}

// timeHint says how times are written in forms.
func timeHint(zone *time.Location) string {
	return "Write 2026-01-31 for its midnight in " + zone.String() + ", 2026-01-31 08:30, or 2026-01-31T08:30:00Z."
}

// pastTime is slotTime, of a time that is not to come: a run for a slot to come would leave none for
// that slot itself.
func pastTime(text string, zone *time.Location, now time.Time) (time.Time, error) {
	at, err := slotTime(text, zone)
	if err == nil && at.After(now) {
		err = fmt.Errorf("%s is yet to come: the schedule begins its runs itself", slotText(at.In(zone)))
	}
	return at, err
}

// Of a backfill.
const (
	mostBackfilled = 10_000 // slots
	mostParallel   = 100    // runs at once
)

// slotsBetween are the slots of a schedule from one time until before another. bad says why they
// cannot be had.
func slotsBetween(spec *engine.Schedule, from, to, now time.Time) (list []time.Time, bad string) {
	times, err := schedule.Parse(spec)
	if err != nil {
		return nil, err.Error()
	}
	if !from.Before(to) {
		return nil, "The end is not after the beginning."
	}
	if to.After(now) {
		to = now
	}
	for at := range times.Upto(from.Add(-time.Nanosecond), to.Add(-time.Nanosecond)) {
		if len(list) == mostBackfilled {
			return nil, fmt.Sprintf("There are more than %s slots until then: take less at a time.", view.Count(mostBackfilled))
		}
		list = append(list, at)
	}
	if len(list) == 0 {
		return nil, "The schedule has no slot between these times that is past."
	}
	return list, ""
}

// slotText is a time as it is printed for people: in its zone, with the offset.
func slotText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("Mon 2006-01-02 15:04 -07:00")
}

// slotStatuses are all that may have become of a slot.
var slotStatuses = []state.SlotStatus{state.SlotWaiting, state.SlotStarted, state.SlotSkipped, state.SlotMissed}

// slotStatusOf reads the status of a slot, in letters of any case.
func slotStatusOf(text string) (state.SlotStatus, bool) {
	for _, s := range slotStatuses {
		if strings.EqualFold(text, string(s)) {
			return s, true
		}
	}
	return "", false
}

// slotKind is how people are told what a slot comes from; "": the clock.
func slotKind(k state.SlotKind) string {
	switch k {
	case state.SlotManual:
		return "triggered"
	case state.SlotBackfill:
		return "backfill"
	}
	return ""
}
