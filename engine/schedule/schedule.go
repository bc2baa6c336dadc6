// Package schedule knows at which times runs of a schedule are due, and decides what becomes of
// each of those times. It is pure: it reads no clock, and whoever calls it keeps what it says.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"flow/engine"
)

// Times are the slots of a schedule: the instants at which runs of it are due. They never
// change, and may be asked by several goroutines.
type Times struct {
	schedule *engine.Schedule
	zone     *time.Location
	crons    []*cron
}

// Parse reads the times of a schedule. An error is for people, and names the part that is wrong;
// see [CronError] and [ZoneError] for which.
func Parse(s *engine.Schedule) (*Times, error) {
	t := &Times{schedule: s}
	var err error
	if t.zone, err = Zone(s.TimeZone); err != nil {
		return nil, err
	}
	if len(s.Cron) == 0 {
		return nil, &CronError{Problem: "there is no time in it"}
	}
	for i, text := range s.Cron {
		c, err := parseCron(text)
		if err != nil {
			return nil, &CronError{Index: i, Cron: text, Problem: err.Error()}
		}
		t.crons = append(t.crons, c)
	}
	return t, nil
}

// A CronError says what is wrong with a cron expression.
type CronError struct {
	Index   int // which of the schedule, from 0
	Cron    string
	Problem string
}

func (e *CronError) Error() string {
	if e.Cron == "" {
		return "cron: " + e.Problem
	}
	return fmt.Sprintf("cron %q: %s", e.Cron, e.Problem)
}

// A ZoneError says that there is no time zone of that name.
type ZoneError struct{ Name string }

func (e *ZoneError) Error() string {
	return fmt.Sprintf("there is no time zone %q; write a name of the IANA database, such as \"Europe/Berlin\", or \"UTC\"", e.Name)
}

// Zone returns the time zone of that name of the IANA database; "": UTC.
func Zone(name string) (*time.Location, error) {
	if name == "Local" { // of whichever machine this is
		return nil, &ZoneError{name}
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, &ZoneError{name}
	}
	return loc, nil
}

// Schedule returns what the times are of.
func (t *Times) Schedule() *engine.Schedule { return t.schedule }

// Zone returns the time zone in which the cron expressions count.
func (t *Times) Zone() *time.Location { return t.zone }

// Next returns the first slot after that instant, in the time zone of the schedule. The zero
// time: there is none.
func (t *Times) Next(after time.Time) time.Time {
	next := make([]time.Time, len(t.crons))
	for i, c := range t.crons {
		next[i] = c.next(t.zone, after)
	}
	return first(next)
}

// first returns the first of some instants; the zero time: there is none.
func first(all []time.Time) time.Time {
	var out time.Time
	for _, at := range all {
		if !at.IsZero() && (out.IsZero() || at.Before(out)) {
			out = at
		}
	}
	return out
}

// Upto returns the slots after one instant and up to another, that one included, in order.
func (t *Times) Upto(after, upto time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		next := make([]time.Time, len(t.crons)) // of each; the zero time: none
		for i, c := range t.crons {
			next[i] = c.next(t.zone, after)
		}
		for {
			slot := first(next)
			if slot.IsZero() || slot.After(upto) || !yield(slot) {
				return
			}
			for i, c := range t.crons {
				if next[i].Equal(slot) {
					next[i] = c.next(t.zone, slot)
				}
			}
		}
	}
}

// Jitter returns how much later than the slot its run is due: whole seconds less than the jitter
// of the schedule, always as many for a slot of the schedule of that full name, and other ones
// for others.
func (t *Times) Jitter(full string, slot time.Time) time.Duration {
	seconds := uint64(t.schedule.Jitter / time.Second)
	if seconds == 0 {
		return 0
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", full, slot.Unix()))
	return time.Duration(binary.BigEndian.Uint64(sum[:])%seconds) * time.Second
}
