package service

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"flow/engine"
	"flow/state"
)

// A simSpec is a schedule of a world. Its times are kept as sets of minutes, hours and days of
// the week, of which both the cron expression and the oracle's slots are made.
type simSpec struct {
	name                  string
	file                  int
	minutes, hours, days  []int // days: none is all
	zone                  string
	overlap               engine.Overlap
	catchUp               engine.CatchUp
	startWithin, jitter   time.Duration
	disabled, gone        bool
	outageFrom, outageTil time.Time // no run of it can be created
}

func (s *simSpec) full() string { return s.path()[1:] + "/" + s.name }
func (s *simSpec) path() string { return fmt.Sprintf("/w%d", s.file) }

// newSpec makes up schedule i of the world.
func (w *world) newSpec(i int) *simSpec {
	s := &simSpec{name: fmt.Sprintf("s%02d", i), file: i / 5}
	w.times(s)
	w.policies(s)
	s.disabled = w.rng.IntN(10) == 0
	if w.rng.IntN(2) == 0 {
		s.outageFrom = simStart.Add(time.Duration(w.rng.Int64N(int64(w.end.Sub(simStart)))))
		s.outageTil = s.outageFrom.Add(time.Duration(w.rng.IntN(240)) * time.Minute)
	}
	return s
}

// times makes up when it is. Clocks are put forward and back between 1 and 4 in the morning:
// package engine/schedule proves what is done then.
func (w *world) times(s *simSpec) {
	s.zone = []string{"UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "Pacific/Auckland"}[w.rng.IntN(5)]
	minute := w.rng.IntN(60)
	s.minutes, s.hours, s.days = []int{minute}, nil, nil
	hour := func() int { return 4 + w.rng.IntN(20) }
	switch w.rng.IntN(6) {
	case 0, 1: // daily
		s.hours = []int{hour()}
	case 2: // several times a day
		s.hours = []int{hour(), hour(), hour()}
	case 3: // on some days of the week
		s.hours, s.days = []int{hour()}, []int{w.rng.IntN(7), w.rng.IntN(7)}
	case 4: // often, for a while
		s.minutes, s.hours = []int{minute % 20, minute%20 + 20, minute%20 + 40}, []int{hour(), hour()}
	case 5: // every third hour or so
		for h := 4; h < 24; h += 2 + w.rng.IntN(3) {
			s.hours = append(s.hours, h)
		}
	}
	for _, set := range []*[]int{&s.hours, &s.days} {
		slices.Sort(*set)
		*set = slices.Compact(*set)
	}
}

// policies makes up what becomes of its slots.
func (w *world) policies(s *simSpec) {
	s.overlap = []engine.Overlap{engine.OverlapSkip, engine.OverlapQueue, engine.OverlapReplace, engine.OverlapAllow}[w.rng.IntN(4)]
	s.catchUp = []engine.CatchUp{engine.CatchUpNone, engine.CatchUpLatest, engine.CatchUpAll}[w.rng.IntN(3)]
	s.startWithin = []time.Duration{0, 0, 5 * time.Minute, time.Hour, 30 * time.Hour}[w.rng.IntN(5)]
	s.jitter = []time.Duration{0, 0, 10 * time.Minute}[w.rng.IntN(3)]
}

// schedule is the block.
func (s *simSpec) schedule() *engine.Schedule {
	return &engine.Schedule{
		Name: s.name, TimeZone: s.zone, Overlap: s.overlap, CatchUp: s.catchUp, StartWithin: s.startWithin, Jitter: s.jitter, Disabled: s.disabled,
		Cron: []string{fmt.Sprintf("%s %s * * %s", commas(s.minutes), commas(s.hours), commas(s.days))},
	}
}

func commas(ns []int) string {
	if len(ns) == 0 {
		return "*"
	}
	texts := make([]string, len(ns))
	for i, n := range ns {
		texts[i] = fmt.Sprint(n)
	}
	return strings.Join(texts, ",")
}

// slotsOf are the times of a schedule up to the end of the world and a week more, found minute by
// minute.
func (w *world) slotsOf(s *simSpec) (out []time.Time) {
	key := fmt.Sprint(s.zone, s.minutes, s.hours, s.days)
	if known, ok := w.slots[key]; ok {
		return known
	}
	zone, err := time.LoadLocation(s.zone)
	w.must(err)
	for at := simStart; at.Before(w.end.AddDate(0, 0, 8)); at = at.Add(time.Minute) {
		wall := at.In(zone)
		if slices.Contains(s.minutes, wall.Minute()) && slices.Contains(s.hours, wall.Hour()) && (len(s.days) == 0 || slices.Contains(s.days, int(wall.Weekday()))) {
			out = append(out, at)
		}
	}
	w.slots[key] = out
	return out
}

// outage reports whether no run of it can be created then.
func (s *simSpec) outage(at time.Time) bool {
	return !at.Before(s.outageFrom) && at.Before(s.outageTil)
}

// lasts is how long the run of a slot takes.
func lasts(full string, slot time.Time) time.Duration {
	h := fnv.New64a()
	fmt.Fprint(h, full, slot.Unix())
	n := h.Sum64()
	most := []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour, 30 * time.Hour}[n%5]
	return time.Second + time.Duration(n/5%uint64(most/time.Second))*time.Second
}

// any returns some schedule of the world.
func (w *world) any() string { return w.names[w.rng.IntN(len(w.names))] }

// edit changes a file.
func (w *world) edit() {
	old := w.specs[w.any()]
	s := *old
	switch w.rng.IntN(5) {
	case 0:
		w.times(&s)
	case 1, 2:
		w.policies(&s)
	case 3:
		s.disabled = !s.disabled
	case 4:
		s.gone = !s.gone
	}
	w.specs[s.full()] = &s
	w.revision[s.path()]++
	w.tell("%s: %+v", s.full(), s)
	w.plan(w.now.Add(filesEvery), "files may be read", func() {})
}

// pause pauses a schedule, or has it go on.
func (w *world) pause() {
	full := w.any()
	id, ok := w.ids[full]
	if !ok {
		return
	}
	row, err := w.db.ScheduleByID(w.ctx, id)
	w.must(err)
	if row.Paused.IsZero() {
		w.must(w.db.PauseSchedule(w.ctx, id, "a test"))
		w.plan(w.now.Add(time.Duration(w.rng.IntN(4*24*3600))*time.Second), "it goes on", func() { w.resume(full) })
	} else {
		w.resume(full)
		return
	}
	w.tell("%s paused", full)
	w.oracle.pauses(full, w.now)
}

func (w *world) resume(full string) {
	w.must(w.db.ResumeSchedule(w.ctx, w.ids[full]))
	w.tell("%s goes on", full)
	w.oracle.resumes(full, w.now)
}

// trigger asks for a run.
func (w *world) trigger() {
	full := w.any()
	id, ok := w.ids[full]
	if !ok || w.now.Second() == 0 || w.specs[full].gone {
		return
	}
	w.must(w.db.AddSlot(w.ctx, state.Slot{Schedule: id, Time: w.now}))
	w.tell("%s triggered", full)
	w.oracle.triggers(full, w.now)
}

// backfill makes up for what had no run.
func (w *world) backfill() {
	full := w.any()
	id, ok := w.ids[full]
	if !ok || w.oracle.of[full].fill != nil {
		return
	}
	from := w.now.AddDate(0, 0, -1-w.rng.IntN(9))
	var times []time.Time
	for _, at := range w.slotsOf(w.specs[full]) {
		if !at.Before(from) && at.Before(w.now.Add(-time.Hour)) {
			times = append(times, at)
		}
	}
	b := state.Backfill{Schedule: id, From: from, To: w.now, MaxParallel: 1 + w.rng.IntN(3)}
	_, _, err := w.db.AddBackfill(w.ctx, b, times)
	w.must(err)
	w.tell("%s: backfill of %d slots", full, len(times))
	w.oracle.backfills(full, times, b.MaxParallel)
}
