package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/engine/schedule"
	"flow/state"
)

// An oracle says what is to become of each slot. It knows when the service looked, and which
// schedules it had changed something of when it died; nothing of what it decided.
type oracle struct {
	w      *world
	of     map[string]*judged
	read   map[string]int // revisions of files that the service has, by path
	first  bool           // the service has not read files yet
	next   time.Time      // when there is something to do at the latest, as long as nothing happens
	budget map[effect]int // what it did, and was not expected yet
	died   bool           // at the end of that
}

// A judged is a schedule, as it is to be.
type judged struct {
	*simSpec
	full    string
	known   bool // it is in the state
	paused  bool
	upto    time.Time
	all     []time.Time // slots
	times   *schedule.Times
	waiting []*judgedSlot
	active  []*judgedRun
	slots   map[int64]*judgedSlot // all that are recorded, by Unix time
	fill    *judgedFill           // nil: there was none
}

type judgedSlot struct {
	at, due time.Time
	kind    state.SlotKind
	late    bool
	status  state.SlotStatus
	started time.Time
	tried   time.Time // zero: it was not, in this life
	again   time.Time
}

type judgedRun struct {
	end       time.Time
	cancelled bool
}

type judgedFill struct {
	waiting []*judgedSlot
	active  []*judgedRun
	most    int
}

func newOracle(w *world) *oracle {
	o := &oracle{w: w, of: map[string]*judged{}}
	for _, full := range w.names {
		o.of[full] = &judged{simSpec: w.specs[full], full: full, slots: map[int64]*judgedSlot{}}
	}
	return o
}

// begins is a new service, which remembers nothing.
func (o *oracle) begins() {
	o.read, o.first, o.next = map[string]int{}, true, time.Time{}
	for _, j := range o.of {
		for _, s := range j.slots {
			s.tried, s.again = time.Time{}, time.Time{}
		}
	}
}

// did takes an effect that the service is to have; false: it died before it.
func (o *oracle) did(kind, of string) bool {
	e := effect{kind, of}
	if o.died && o.budget[e] == 0 {
		return false
	}
	o.budget[e]--
	return true
}

// tick is a look of the service, which has read files or not, and may have died of it.
func (o *oracle) tick(now time.Time, readFiles bool, died string) {
	if !o.next.IsZero() && now.After(o.next) {
		o.w.problem("the service slept until now, and there was something to do at %s", o.next)
	}
	o.budget, o.died = maps.Clone(o.w.effects), died != ""
	for _, j := range o.of {
		j.active = slices.DeleteFunc(j.active, func(r *judgedRun) bool { return !r.end.After(now) })
		if j.fill != nil {
			j.fill.active = slices.DeleteFunc(j.fill.active, func(r *judgedRun) bool { return !r.end.After(now) })
		}
	}
	if readFiles {
		o.readFiles(now)
	}
	for _, full := range o.w.names {
		if j := o.of[full]; j.known {
			o.look(j, now)
		}
	}
	for _, full := range o.w.names {
		if j := o.of[full]; j.fill != nil {
			o.fillUp(j, now)
		}
	}
	for e, n := range o.budget {
		if n != 0 && e.kind != "explain" && e.kind != "keep" {
			o.w.problem("the service did this %d times more than it should have: %s %s", n, e.kind, e.of)
		}
	}
	o.next = time.Time{}
	for _, j := range o.of {
		o.next = earlier(o.next, o.nextOf(j, now))
	}
}

// readFiles is what files say from now on.
func (o *oracle) readFiles(now time.Time) {
	for _, path := range slices.Sorted(maps.Keys(o.w.revision)) {
		if o.read[path] == o.w.revision[path] {
			continue
		}
		for _, full := range o.w.names {
			if j := o.of[full]; j.path() == path && j.known && !o.first {
				o.look(j, now)
				if j.upto.Before(now) && o.did("decide", full) {
					j.upto = j.decidedUpto(now)
				}
			}
		}
		if !o.did("put", path) {
			return
		}
		for _, full := range o.w.names {
			if j := o.of[full]; j.path() == path {
				o.take(j, now)
			}
		}
		o.read[path] = o.w.revision[path]
	}
	o.first = false
}

// take is what a file says of a schedule.
func (o *oracle) take(j *judged, now time.Time) {
	spec := o.w.specs[j.full]
	switch {
	case spec.gone && j.known:
		for _, s := range j.waiting {
			s.status = state.SlotSkipped
		}
		j.waiting = nil
		gone := *j.simSpec
		gone.gone = true
		j.simSpec = &gone
		return
	case spec.gone:
		return
	case !j.known, j.gone, j.disabled:
		j.upto = latest(j.upto, now)
	}
	j.known, j.simSpec, j.all = true, spec, o.w.slotsOf(spec)
	var err error
	j.times, err = schedule.Parse(spec.schedule())
	o.w.must(err)
}

func (j *judged) off() bool { return j.paused || j.disabled || j.gone }

// dueOf is when a slot is due: any time within the jitter would do.
func (j *judged) dueOf(at time.Time) time.Time { return at.Add(j.times.Jitter(j.full, at)) }

// undecided are the slots that have come and are not decided, those that are not due yet as well.
func (j *judged) undecided(now time.Time) []time.Time {
	from, found := slices.BinarySearchFunc(j.all, j.upto, time.Time.Compare)
	if found {
		from++
	}
	to := from
	for to < len(j.all) && !j.all[to].After(now) {
		to++
	}
	return j.all[from:to]
}

// decidedUpto is up to when all is decided, once it was looked at.
func (j *judged) decidedUpto(now time.Time) time.Time {
	if j.off() {
		return latest(j.upto, now)
	}
	last := j.upto
	for _, at := range j.undecided(now) {
		if j.dueOf(at).After(now) {
			return last
		}
		last = at
	}
	return latest(j.upto, now)
}

// look is a look at a schedule: as long as there is something to do, it is done.
func (o *oracle) look(j *judged, now time.Time) {
	for range 1000 {
		if upto, news := o.judge(j, now); news != nil {
			if !o.did("decide", j.full) {
				return
			}
			news()
			j.upto = upto
			continue
		}
		if !o.cancels(j, now) || !o.starts(j, now) {
			return
		}
	}
}

// judge says what becomes of slots that wait, or have come: news does it, nil: nothing.
func (o *oracle) judge(j *judged, now time.Time) (upto time.Time, news func()) {
	fate := map[*judgedSlot]state.SlotStatus{}
	var line []*judgedSlot // who waits, in order
	for _, s := range j.waiting {
		if j.tooLate(s, now) {
			fate[s] = state.SlotMissed
		} else {
			line = append(line, s)
		}
	}
	upto = j.decidedUpto(now)
	var come []*judgedSlot
	for _, at := range j.undecided(now) {
		if due := j.dueOf(at); !j.off() && !due.After(now) {
			if j.slots[at.Unix()] != nil {
				continue // a backfill has it
			}
			come = append(come, &judgedSlot{at: at, due: due, kind: state.SlotCron, late: now.Sub(due) > time.Minute})
		} else if !j.off() {
			break
		}
	}
	for i, s := range come {
		fate[s] = state.SlotWaiting
		busy := len(j.active)+len(line) > 0
		switch {
		case j.startWithin > 0 && !now.Before(s.due.Add(j.startWithin)):
			fate[s] = state.SlotMissed
		case s.late && j.catchUp == engine.CatchUpNone, s.late && j.catchUp == engine.CatchUpLatest && i < len(come)-1:
			fate[s] = state.SlotMissed
		case s.late && j.catchUp == engine.CatchUpAll, !busy:
		case j.overlap == engine.OverlapSkip:
			fate[s] = state.SlotSkipped
		case j.overlap == engine.OverlapReplace:
			for _, before := range line {
				fate[before] = state.SlotSkipped
			}
			line = nil
		}
		if fate[s] == state.SlotWaiting {
			line = append(line, s)
		}
	}
	if len(fate) == 0 {
		return upto, nil
	}
	return upto, func() {
		for s, status := range fate {
			s.status = status
			j.slots[s.at.Unix()] = s
		}
		j.waiting = line
		slices.SortStableFunc(j.waiting, func(a, b *judgedSlot) int { return a.at.Compare(b.at) })
	}
}

// tooLate reports whether a slot that waits is not to start any more.
func (j *judged) tooLate(s *judgedSlot, now time.Time) bool {
	until := s.until(j)
	return !until.IsZero() && !now.Before(until)
}

func (s *judgedSlot) until(j *judged) time.Time {
	if j.startWithin > 0 {
		return s.due.Add(j.startWithin)
	}
	if !s.tried.IsZero() {
		return s.tried.Add(time.Hour)
	}
	return time.Time{}
}

// able are the slots that may start while the schedule is as it is.
func (j *judged) able() []*judgedSlot {
	if !j.off() {
		return j.waiting
	}
	return slices.DeleteFunc(slices.Clone(j.waiting), func(s *judgedSlot) bool { return s.kind != state.SlotManual })
}

// cancels makes room; false: the service died over it.
func (o *oracle) cancels(j *judged, now time.Time) bool {
	able := j.able()
	if len(able) == 0 || j.overlap != engine.OverlapReplace || able[0].late && j.catchUp == engine.CatchUpAll {
		return true
	}
	for _, r := range j.active {
		if r.cancelled {
			continue
		}
		if !o.did("cancel", j.full) {
			return false
		}
		r.cancelled, r.end = true, earlier(r.end, now.Add(cancelTakes))
	}
	return true
}

// starts begins runs; false: there is nothing more to do.
func (o *oracle) starts(j *judged, now time.Time) bool {
	able := slices.Clone(j.able())
	if j.overlap != engine.OverlapAllow {
		if len(j.active) > 0 {
			return false
		}
		able = able[:min(1, len(able))]
	}
	began := false
	for _, s := range able {
		ok, alive := o.start(j, s, now, "start")
		if !alive {
			return false
		}
		if !ok {
			continue
		}
		began = true
		j.waiting = slices.DeleteFunc(j.waiting, func(other *judgedSlot) bool { return other == s })
		j.active = append(j.active, &judgedRun{end: now.Add(lasts(j.full, s.at))})
	}
	return began
}

func (o *oracle) start(j *judged, s *judgedSlot, now time.Time, kind string) (ok, alive bool) {
	if now.Before(s.again) {
		return false, true
	}
	if o.w.specs[j.full].outage(now) {
		if s.tried.IsZero() {
			s.tried = now
		}
		s.again = now.Add(time.Minute)
		return false, true
	}
	if !o.did(kind, j.full) {
		return false, false
	}
	s.status, s.started = state.SlotStarted, now
	return true, true
}

// fillUp begins runs of a backfill.
func (o *oracle) fillUp(j *judged, now time.Time) {
	f := j.fill
	for len(f.waiting) > 0 && len(f.active) < f.most {
		s := f.waiting[0]
		ok, alive := o.start(j, s, now, "make up for")
		switch {
		case !alive:
			return
		case ok:
			f.active = append(f.active, &judgedRun{end: now.Add(lasts(j.full, s.at))})
		case now.Sub(s.tried) < time.Hour:
			return
		case !o.did("decide", j.full):
			return
		default:
			s.status = state.SlotMissed
		}
		f.waiting = f.waiting[1:]
	}
}

// nextOf is when there is something to do of a schedule at the latest, if nothing happens.
func (o *oracle) nextOf(j *judged, now time.Time) (next time.Time) {
	sooner := func(at time.Time) {
		if at.After(now) {
			next = earlier(next, at)
		}
	}
	for _, s := range j.waiting {
		sooner(s.until(j))
		sooner(s.again)
	}
	if f := j.fill; f != nil && len(f.waiting) > 0 {
		sooner(f.waiting[0].again)
	}
	if !j.off() && j.known {
		if i, found := slices.BinarySearchFunc(j.all, j.upto, time.Time.Compare); found {
			sooner(j.dueOf(j.all[i+1]))
		} else {
			sooner(j.dueOf(j.all[i]))
		}
	}
	return next
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (o *oracle) pauses(full string, _ time.Time) { o.of[full].paused = true }

func (o *oracle) resumes(full string, now time.Time) {
	if j := o.of[full]; j.paused {
		j.paused, j.upto = false, latest(j.upto, now)
	}
}

func (o *oracle) triggers(full string, now time.Time) {
	j := o.of[full]
	s := &judgedSlot{at: now, due: now, kind: state.SlotManual, status: state.SlotWaiting}
	j.slots[now.Unix()] = s
	j.waiting = append(j.waiting, s)
}

func (o *oracle) backfills(full string, times []time.Time, most int) {
	j := o.of[full]
	j.fill = &judgedFill{most: most}
	for _, at := range times {
		s := j.slots[at.Unix()]
		if s != nil && (s.status == state.SlotStarted || s.status == state.SlotWaiting) {
			continue
		}
		s = &judgedSlot{at: at, due: at, kind: state.SlotBackfill, status: state.SlotWaiting}
		j.slots[at.Unix()] = s
		j.fill.waiting = append(j.fill.waiting, s)
	}
}

// compare finds what is not as the oracle says.
func (w *world) compare() {
	begun := map[engine.RunID]bool{}
	for _, full := range w.names {
		want := map[string]string{}
		for _, s := range w.oracle.of[full].slots {
			want[s.at.Format("01-02 15:04:05")] = outline(s.kind, s.status, s.started)
		}
		got := map[string]string{}
		if id, ok := w.ids[full]; ok {
			slots, err := w.db.Slots(w.ctx, state.SlotFilter{Schedule: id})
			w.must(err)
			for _, s := range slots {
				got[s.Time.Format("01-02 15:04:05")] = outline(s.Kind, s.Status, s.Started)
				if s.Run != "" {
					begun[s.Run] = true
				}
			}
			w.count.slots += len(slots)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			var lines []string
			for line := range strings.Lines(diff) {
				if strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+") {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			w.problem("%s (%+v): slots are not as they should be (-should +is):\n%s", full, *w.oracle.of[full].simSpec, strings.Join(lines, "\n"))
		}
	}
	rows, err := w.db.Runs(w.ctx, state.RunFilter{})
	w.must(err)
	for _, row := range rows {
		if !begun[row.ID] {
			w.problem("run %s has no slot", row.ID)
		}
	}
}

func outline(kind state.SlotKind, status state.SlotStatus, started time.Time) string {
	if status != state.SlotStarted {
		return fmt.Sprint(kind, " ", status)
	}
	return fmt.Sprint(kind, " ", status, " ", started.UTC().Format("01-02 15:04:05"))
}
