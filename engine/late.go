package engine

import (
	"fmt"
	"time"
)

// LateAt returns when a run that is created at a time is late unless it is over by then, and
// what says so, for people; the zero time: never. slot is what a schedule started it for; nil:
// none did. finish_by is the first such time after the slot, or after the run was created;
// it says nothing of a run that is made up for long after, nor of one that somebody triggered
// for a time that has passed.
func LateAt(e *Expect, created time.Time, slot *Slot) (at time.Time, why string) {
	if e == nil {
		return time.Time{}, ""
	}
	if e.FinishBy != nil {
		at, why = e.FinishBy.after(created, slot)
	}
	if e.MaxDuration > 0 {
		if end := created.Add(e.MaxDuration); at.IsZero() || end.Before(at) {
			at, why = end, fmt.Sprintf("should take no longer than %s", shortDuration(e.MaxDuration))
		}
	}
	if at.IsZero() {
		return at, ""
	}
	return at.UTC().Truncate(time.Millisecond), why
}

// after returns the first such time after a slot, or after a run was created, and what says so.
func (t *TimeOfDay) after(created time.Time, slot *Slot) (at time.Time, why string) {
	zone, from := t.TimeZone, created
	if slot != nil {
		if zone == "" {
			zone = slot.TimeZone
		}
		if slot.Backfill {
			return time.Time{}, ""
		}
		from = slot.Time
	}
	if zone == "" {
		zone = "UTC"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil { // dsl knows all zones that it lets through
		loc, zone = time.UTC, "UTC"
	}
	day := from.In(loc)
	for n := 0; ; n++ {
		at = time.Date(day.Year(), day.Month(), day.Day()+n, t.Hour, t.Minute, 0, 0, loc)
		if at.After(from) {
			break
		}
	}
	if slot != nil && slot.Manual && !at.After(created) {
		return time.Time{}, ""
	}
	return at, fmt.Sprintf("should be over by %02d:%02d (%s)", t.Hour, t.Minute, zone)
}

// shortDuration is d without parts that are zero: "3h" for "3h0m0s".
func shortDuration(d time.Duration) string {
	text := d.String()
	if len(text) > 2 && text[len(text)-2:] == "0s" && d >= time.Minute && d%time.Minute == 0 {
		text = text[:len(text)-2]
	}
	if len(text) > 2 && text[len(text)-2:] == "0m" && d >= time.Hour && d%time.Hour == 0 {
		text = text[:len(text)-2]
	}
	return text
}

// lates decides whether the run is late: it is told once. A run that was over in time, and
// goes on after that, is not told to be.
func (d *decision) lates() {
	switch at := d.info.LateAt; {
	case at.IsZero(), !d.late.IsZero(), d.excused, d.cancel != nil:
	case d.now.Before(at):
		d.wake(at)
	default:
		d.event(Event{Kind: RunLate, Reason: d.info.LateFor})
	}
}

// Late returns since when the run is late at now, and what says so; it is not if it is over in
// time, or nothing says by when it should be.
func (r *Run) Late(now time.Time) (since time.Time, why string, late bool) {
	at := r.info.LateAt
	switch {
	case at.IsZero(), r.excused && r.late.IsZero():
		return time.Time{}, "", false
	case r.Ended():
		late = r.ended.After(at)
	default:
		late = !now.Before(at)
	}
	if !late {
		return time.Time{}, "", false
	}
	return at, r.info.LateFor, true
}
