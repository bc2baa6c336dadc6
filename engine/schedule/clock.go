package schedule

import (
	"time"
	_ "time/tzdata" // for machines without a database of time zones, such as images made from scratch
)

// moved is by how much a clock is put forward or back when that is no correction of it, such as
// summer time: jobs of fixed times are then neither made up for nor held back (the main loop of
// ISC cron: three hours).
const moved = 3 * time.Hour

// A span is a time in which a clock on the wall runs evenly.
type span struct {
	start, end time.Time     // end is not part of it; zero: it has none
	offset     time.Duration // of the clock to UTC
}

// spanAt returns the span of an instant. Spans may end where nothing changes.
func spanAt(zone *time.Location, at time.Time) span {
	at = at.In(zone)
	_, seconds := at.Zone()
	start, end := at.ZoneBounds()
	if !end.IsZero() && !end.After(at) {
		// On the last day of a leap year of which the database has no table but a rule alone, Go
		// says that the span ended a day ago.
		end = at.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
	return span{start: start, end: end, offset: time.Duration(seconds) * time.Second}
}

// before returns the span before s, which has one.
func (s span) before(zone *time.Location) span {
	b := spanAt(zone, s.start.Add(-1))
	b.end = s.start
	return b
}

// after returns the span after s, which has one.
func (s span) after(zone *time.Location) span {
	a := spanAt(zone, s.end)
	a.start = s.end
	return a
}

// wall returns what the clock shows at an instant, as a time in UTC.
func (s span) wall(at time.Time) time.Time { return at.UTC().Add(s.offset) }

// next returns the first instant after that one at which c begins; zero: there is none.
//
// It goes from one even span of the clock to the next, and keeps reached, the minute of the
// calendar up to which fixed times have begun. Where the clock is put forward, those that it
// leaves out begin at once, as one; where it is put back, those that it shows again do not begin
// again. That is what cron does (cron(8), and the main loop of ISC cron).
func (c *cron) next(zone *time.Location, after time.Time) time.Time {
	if c.never {
		return time.Time{}
	}
	s := spanAt(zone, after)
	reached := s.wall(s.start)
	if !s.start.IsZero() {
		// A span is days long (the shortest of the database: four), so that nothing of the
		// calendar is behind at its end.
		b := s.before(zone)
		reached = b.wall(b.end)
	}
	for {
		slot, upto, found := c.within(s, reached, after)
		if found {
			return slot.In(zone)
		}
		if s.end.IsZero() || slot.IsZero() {
			return time.Time{}
		}
		reached = upto
		s = s.after(zone)
	}
}

// within looks for the first instant after that one in a span, and says how far the calendar was
// reached at its end. If there is none, slot is when there would be one without an end of the
// span; zero: there never is.
func (c *cron) within(s span, reached, after time.Time) (slot, upto time.Time, found bool) {
	from := s.wall(s.start)
	gap := from.Sub(reached)
	switch {
	case s.start.IsZero(), c.wild, gap < -moved, gap >= moved:
		reached = from
	case gap > 0:
		if after.Before(s.start) && c.from(reached).Before(from) {
			return s.start, time.Time{}, true
		}
	case gap < 0:
		from = reached
	}
	wall := c.from(from)
	if !after.Before(s.start) && !wall.After(s.wall(after)) {
		wall = c.walls.Next(s.wall(after))
	}
	if wall.IsZero() {
		return time.Time{}, time.Time{}, false
	}
	slot = wall.Add(-s.offset)
	if s.end.IsZero() || slot.Before(s.end) {
		return slot, time.Time{}, true
	}
	if upto = s.wall(s.end); upto.Before(reached) {
		upto = reached
	}
	return slot, upto, false
}

// from returns the first matching minute of the calendar that is not before wall.
func (c *cron) from(wall time.Time) time.Time { return c.walls.Next(wall.Add(-1)) }
