package schedule

import (
	"fmt"
	"slices"
	"time"

	"flow/engine"
)

// Decide says what becomes of the slots of a schedule, which has that full name, as of now. It
// decides from the record alone: asked again once its verdict is kept, it has no news.
// docs/schedules.md has the rules, for people.
func Decide(t *Times, full string, r Record, now time.Time) Verdict {
	d := &decider{t: t, s: t.Schedule(), now: now, off: r.Off, active: r.Active, taken: r.Taken, told: map[int64]int{}}
	d.waiting = slices.Clone(r.Waiting)
	slices.SortStableFunc(d.waiting, func(a, b WaitingSlot) int { return a.place().Compare(b.place()) })
	d.giveUp()
	after := later(r.Since, r.Upto)
	if d.off {
		d.v.Upto = later(after, now)
	} else {
		d.decide(full, after)
	}
	d.start()
	for _, w := range d.waiting {
		if until, limited := d.until(w); limited {
			d.wake(until)
		}
	}
	slices.SortStableFunc(d.v.Slots, func(a, b Decision) int { return a.Slot.Compare(b.Slot) })
	return d.v
}

// A decider makes a verdict.
type decider struct {
	t       *Times
	s       *engine.Schedule
	now     time.Time
	off     bool
	waiting []WaitingSlot // those of the record and of the verdict, in the order in which they start
	active  []ActiveRun
	taken   []time.Time
	v       Verdict
	told    map[int64]int // where the decision of a slot stands, by its Unix milliseconds
}

// place is where a slot stands among those that wait.
func (w WaitingSlot) place() time.Time {
	if w.Manual {
		return w.Due
	}
	return w.Slot
}

// giveUp drops what waited for too long.
func (d *decider) giveUp() {
	var kept []WaitingSlot
	for _, w := range d.waiting {
		if until, over := d.over(w); over {
			d.tell(w, Missed, fmt.Sprintf("it had not started by %s: %s", d.clock(until), d.keptBy(w, kept)))
			continue
		}
		kept = append(kept, w)
	}
	d.waiting = kept
}

// until returns when a slot that waits is MISSED; false: it may wait for ever.
func (d *decider) until(w WaitingSlot) (time.Time, bool) {
	switch {
	case d.s.StartWithin > 0:
		return w.Due.Add(d.s.StartWithin), true
	case !w.Tried.IsZero():
		return w.Tried.Add(TryFor), true
	}
	return time.Time{}, false
}

// over reports whether it is too late for a slot that waits, and since when.
func (d *decider) over(w WaitingSlot) (time.Time, bool) {
	until, limited := d.until(w)
	return until, limited && !d.now.Before(until)
}

// keptBy says what kept a slot from starting, behind others that wait.
func (d *decider) keptBy(w WaitingSlot, before []WaitingSlot) string {
	switch {
	case w.Problem != "":
		return w.Problem
	case d.off && !w.Manual:
		return "the schedule was off"
	case d.s.Overlap == engine.OverlapAllow:
		return "nobody was there to start it"
	case len(d.active) > 0:
		return d.notOver("was")
	case len(before) > 0:
		return d.notBegun(before[0], "had")
	}
	return "nobody was there to start it"
}

// decide says what becomes of the slots after that instant.
func (d *decider) decide(full string, after time.Time) {
	due, more := d.due(full, after)
	for i, w := range due {
		last := i == len(due)-1 && !more
		until, over := d.over(w)
		switch {
		case over:
			d.tell(w, Missed, "nobody was there to start it by "+d.clock(until))
		case w.Late && (d.s.CatchUp == engine.CatchUpNone || d.s.CatchUp != engine.CatchUpAll && !last):
			d.tell(w, Missed, "nobody was there to start it")
		case w.Late && d.s.CatchUp == engine.CatchUpAll:
			d.wait(w)
		default:
			d.overlap(w)
		}
	}
}

// due returns the slots after that instant that are due, AtOnce of them at most, and whether
// there are more. It says up to where that goes, and when the next one is due.
func (d *decider) due(full string, after time.Time) (due []WaitingSlot, more bool) {
	d.v.Upto = after
	var at time.Time // in order: a slot is not due before the one before it is
	for slot := range d.t.Upto(after, d.now) {
		at = later(at, slot.Add(d.t.Jitter(full, slot)))
		switch {
		case at.After(d.now):
			d.wake(at)
			return due, false
		case len(due) == AtOnce:
			d.wake(d.now)
			return due, true
		}
		d.v.Upto = slot
		if slices.ContainsFunc(d.taken, slot.Equal) {
			continue
		}
		due = append(due, WaitingSlot{Slot: slot, Due: at, Late: d.now.Sub(at) > OnTime})
	}
	d.v.Upto = later(after, d.now)
	if next := d.t.Next(d.v.Upto); !next.IsZero() {
		d.wake(later(at, next.Add(d.t.Jitter(full, next))))
	}
	return due, false
}

// overlap says what becomes of a slot beside what there is of the schedule.
func (d *decider) overlap(w WaitingSlot) {
	switch {
	case len(d.active) == 0 && len(d.waiting) == 0:
		d.wait(w)
	case d.s.Overlap == engine.OverlapQueue, d.s.Overlap == engine.OverlapAllow:
		d.wait(w)
	case d.s.Overlap == engine.OverlapReplace:
		for _, old := range d.waiting {
			d.tell(old, Skipped, "replaced by the slot of "+d.clock(w.Slot))
		}
		d.waiting = nil
		d.wait(w)
	case len(d.active) > 0:
		d.tell(w, Skipped, d.notOver("was"))
	default:
		d.tell(w, Skipped, d.notBegun(d.waiting[0], "had"))
	}
}

// wait has a slot wait for its run.
func (d *decider) wait(w WaitingSlot) {
	d.waiting = append(d.waiting, w)
	d.tell(w, Waiting, "")
}

// start says which of the slots that wait start, and what makes room for the first of them.
func (d *decider) start() {
	able := d.waiting
	if d.off {
		able = slices.DeleteFunc(slices.Clone(able), func(w WaitingSlot) bool { return !w.Manual })
	}
	switch {
	case len(able) == 0:
	case d.s.Overlap == engine.OverlapAllow:
		for _, w := range able {
			d.v.Start = append(d.v.Start, w.Slot)
		}
	case len(d.active) == 0:
		d.v.Start = []time.Time{able[0].Slot}
	case d.s.Overlap == engine.OverlapReplace && !(able[0].Late && d.s.CatchUp == engine.CatchUpAll):
		for _, a := range d.active {
			if !a.Cancelling {
				d.v.Cancel = append(d.v.Cancel, a.Run)
			}
		}
	}
	d.explain()
}

// explain says of the slots that are new and wait why they do.
func (d *decider) explain() {
	if d.s.Overlap == engine.OverlapAllow {
		return
	}
	for _, w := range d.waiting {
		i, isNew := d.told[w.Slot.UnixMilli()]
		switch {
		case !isNew:
		case len(d.active) > 0:
			d.v.Slots[i].Reason = d.notOver("is")
		case w.Slot != d.waiting[0].Slot:
			d.v.Slots[i].Reason = d.notBegun(d.waiting[0], "has")
		}
	}
}

// tell puts a decision into the verdict.
func (d *decider) tell(w WaitingSlot, status Status, reason string) {
	news := Decision{Slot: w.Slot, Due: w.Due, Status: status, Reason: reason, Late: w.Late}
	if i, ok := d.told[w.Slot.UnixMilli()]; ok {
		d.v.Slots[i] = news
		return
	}
	d.told[w.Slot.UnixMilli()] = len(d.v.Slots)
	d.v.Slots = append(d.v.Slots, news)
}

func (d *decider) notOver(was string) string {
	return fmt.Sprintf("run %s %s not over", d.active[0].Run, was)
}

func (d *decider) notBegun(w WaitingSlot, had string) string {
	return fmt.Sprintf("the run of the slot of %s %s not begun", d.clock(w.Slot), had)
}

// clock writes an instant as the clocks of the schedule show it.
func (d *decider) clock(at time.Time) string {
	return at.In(d.t.Zone()).Format("2006-01-02 15:04 -07:00")
}

// wake sees to it that somebody looks again then.
func (d *decider) wake(at time.Time) {
	if d.v.Wake.IsZero() || at.Before(d.v.Wake) {
		d.v.Wake = at
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
