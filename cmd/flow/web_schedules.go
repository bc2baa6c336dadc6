package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

// The patterns of URLs of schedules.
const (
	schedulesPath = page.SchedulesURL
	schedulePath  = schedulesPath + "/{workflow}/{schedule}"
)

const (
	slotsOfStrip = 12 // newest slots beside a schedule
	slotsOfPage  = 50 // rows of its history
	comingSlots  = 10 // that its page shows
	soonest      = 6  // next slots of all schedules on the page of runs
)

// schedulesPage is the page of all schedules.
func (s *site) schedulesPage(ctx context.Context, r web.Request) (*web.View, error) {
	all, err := s.src.db().Schedules(ctx)
	if err != nil {
		return nil, err
	}
	m := &page.Schedules{Now: s.now(), Service: s.service(ctx)}
	if m.Troubles, err = s.fileTroubles(ctx, all, ""); err != nil {
		return nil, err
	}
	if m.Rows, err = s.scheduleRows(ctx, all, m.Now); err != nil {
		return nil, err
	}
	return page.SchedulesView(m), nil
}

// service returns who starts runs by schedules.
func (s *site) service(ctx context.Context) page.Service {
	held, err := s.src.db().TermHolder(ctx, state.ServiceTerm)
	if err != nil || held == nil {
		return page.Service{}
	}
	return page.Service{Who: processOf(&held.Owner), Here: isUs(&held.Owner)}
}

// processOf says which process an owner is.
func processOf(o *state.Owner) string {
	return fmt.Sprintf("process %d on %s", o.PID, view.Clean(o.Host))
}

// isUs reports whether an owner is this process.
func isUs(o *state.Owner) bool {
	host, err := os.Hostname()
	return err == nil && o.Host == host && o.PID == os.Getpid()
}

// fileTroubles are the files that cannot be taken as they are, of all workflows or of one; all
// are all schedules.
func (s *site) fileTroubles(ctx context.Context, all []state.Schedule, workflow string) (list []page.FileTrouble, err error) {
	problems, err := s.src.db().Problems(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		if workflow != "" && p.Workflow != workflow {
			continue
		}
		f := page.FileTrouble{Path: view.Clean(p.Path), Text: view.CleanLines(p.Text), Since: p.Since}
		for i := range all {
			if all[i].Path == p.Path && !all[i].Gone {
				f.Keep = append(f.Keep, all[i].Full())
			}
		}
		list = append(list, f)
	}
	return list, nil
}

// scheduleRows are schedules as rows of a list, by name; those that are gone come last.
func (s *site) scheduleRows(ctx context.Context, all []state.Schedule, now time.Time) ([]page.ScheduleRow, error) {
	rows := make([]page.ScheduleRow, 0, len(all))
	for i := range all {
		row, err := s.scheduleRow(ctx, &all[i], now)
		if err != nil {
			return nil, err
		}
		if row.Last, err = s.slots(ctx, state.SlotFilter{Schedule: all[i].ID, Limit: slotsOfStrip}); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b page.ScheduleRow) int {
		if a.State.Gone != b.State.Gone {
			return map[bool]int{true: 1, false: -1}[a.State.Gone]
		}
		return cmp.Compare(a.Full(), b.Full())
	})
	return rows, nil
}

// scheduleRow is what is shown of a schedule wherever it is, but for its slots.
func (s *site) scheduleRow(ctx context.Context, sch *state.Schedule, now time.Time) (page.ScheduleRow, error) {
	row := page.ScheduleRow{Workflow: sch.Workflow, Name: sch.Spec.Name, Cron: sch.Spec.Cron, Zone: zoneOf(&sch.Spec), Acts: scheduleActs(sch)}
	row.State = page.ScheduleState{Paused: sch.Paused, PausedFor: view.Clean(sch.PausedFor), Disabled: sch.Spec.Disabled, Gone: sch.Gone}
	if !sch.Off() {
		row.Next = nextOf(&sch.Spec, now)
	}
	waiting, active, err := s.src.db().Record(ctx, sch.ID)
	if err != nil {
		return row, err
	}
	row.Waiting, row.Active = len(waiting), len(active)
	if len(waiting) > 0 && len(active) == 0 {
		row.State.Problem = view.CleanLines(waiting[0].Reason) // its run could not be created
	}
	return row, nil
}

// slots are slots of a schedule as they are shown, the newest first.
func (s *site) slots(ctx context.Context, f state.SlotFilter) ([]page.Slot, error) {
	found, err := s.src.db().Slots(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]page.Slot, len(found))
	for i := range found {
		x := &found[i]
		list[i] = page.Slot{
			Time: x.Time, Kind: slotKind(x.Kind), Status: string(x.Status), Reason: view.CleanLines(x.Reason), Late: x.Late, Started: x.Started,
			Run: string(x.Run), Removed: x.Removed, RunStatus: x.RunStatus, Ended: x.RunEnded,
		}
	}
	return list, nil
}

// findSchedule returns the schedule that a request names.
func (s *site) findSchedule(ctx context.Context, r web.Request) (state.Schedule, error) {
	return s.src.db().Schedule(ctx, r.Path["workflow"]+"/"+r.Path["schedule"])
}

// schedulePage is the page of a schedule.
func (s *site) schedulePage(ctx context.Context, r web.Request) (*web.View, error) {
	sch, err := s.findSchedule(ctx, r)
	if err != nil {
		return nil, err
	}
	m := &page.Schedule{Now: s.now(), Service: s.service(ctx), Query: r.Query, Facts: scheduleFacts(&sch)}
	if m.Troubles, err = s.fileTroubles(ctx, []state.Schedule{sch}, sch.Workflow); err != nil {
		return nil, err
	}
	if m.ScheduleRow, err = s.scheduleRow(ctx, &sch, m.Now); err != nil {
		return nil, err
	}
	if !sch.Gone {
		m.Acts = append(m.Acts, page.Act{Text: "Backfill", URL: page.ScheduleURL(sch.Workflow, sch.Spec.Name) + "/backfill"})
		m.Coming = comingOf(&sch.Spec, m.Now, comingSlots)
	}
	f, err := slotsWanted(r, sch.ID, slotsOfPage+1)
	if err != nil {
		return nil, err
	}
	if m.Slots, err = s.slots(ctx, f); err != nil {
		return nil, err
	}
	if len(m.Slots) > slotsOfPage {
		m.Slots = m.Slots[:slotsOfPage]
		m.Older = m.Slots[slotsOfPage-1].Time.UTC().Format(time.RFC3339)
	}
	if m.Backfills, err = s.backfillRows(ctx, &sch); err != nil {
		return nil, err
	}
	return page.ScheduleView(m), nil
}

// slotsWanted is the filter that a query asks for: status, and before.
func slotsWanted(r web.Request, id int64, limit int) (state.SlotFilter, error) {
	f := state.SlotFilter{Schedule: id, Limit: limit}
	if text := r.Query.Get("before"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return f, &web.BadRequestError{Why: fmt.Sprintf("before=%q is no time such as 2026-01-31T08:00:00Z", text)}
		}
		f.Before = at
	}
	for _, list := range r.Query["status"] {
		for word := range strings.SplitSeq(list, ",") {
			if word == "" {
				continue
			}
			st, ok := slotStatusOf(word)
			if !ok {
				return f, &web.BadRequestError{Why: fmt.Sprintf("status=%q is none of waiting, started, skipped, missed", word)}
			}
			f.Status = append(f.Status, st)
		}
	}
	return f, nil
}

// scheduleFacts say what a schedule does, beside its times.
func scheduleFacts(sch *state.Schedule) (facts []page.Fact) {
	add := func(name, text string) { facts = append(facts, page.TextFact(name, text)) }
	spec := &sch.Spec
	add("While a run is not over", map[engine.Overlap]string{
		engine.OverlapSkip: "the next slot is skipped", engine.OverlapQueue: "the next slot waits", engine.OverlapReplace: "the next one cancels it", engine.OverlapAllow: "the next one starts all the same",
	}[spec.Overlap])
	add("Slots while nobody was there", map[engine.CatchUp]string{
		engine.CatchUpNone: "are missed", engine.CatchUpLatest: "the last one gets a run", engine.CatchUpAll: "each gets a run",
	}[spec.CatchUp])
	if spec.StartWithin > 0 {
		add("Starts within", view.Duration(spec.StartWithin))
	}
	if spec.Jitter > 0 {
		add("Starts later by", "up to "+view.Duration(spec.Jitter))
	}
	facts = append(facts, page.CodeFact("Workflow files", view.Clean(sch.Path)), page.Fact{Name: "Known since", Value: page.Moment(sch.Since)})
	return facts
}

// backfillRows are the backfills of a schedule, the newest first.
func (s *site) backfillRows(ctx context.Context, sch *state.Schedule) (list []page.Backfill, err error) {
	all, err := s.src.db().Backfills(ctx, false)
	if err != nil {
		return nil, err
	}
	for i := range all {
		b := &all[i]
		if b.Schedule != sch.ID {
			continue
		}
		c := &b.Slots
		row := page.Backfill{ID: b.ID, From: b.From, To: b.To, Parallel: b.MaxParallel, Created: b.Made, State: backfillState(b), Missed: c.Missed + c.Skipped, Removed: c.Removed}
		row.Counts[engine.Pending], row.Counts[engine.Running] = c.Waiting, c.Active
		row.Counts[engine.Succeeded], row.Counts[engine.Failed], row.Counts[engine.Cancelled] = c.Succeeded, c.Failed, c.Cancelled
		if row.State == page.BackfillOpen {
			row.Acts = []page.Act{{Text: "Cancel", URL: backfillCancelURL(sch, b.ID), Danger: true}}
		}
		list = append(list, row)
	}
	return list, nil
}

func backfillState(b *state.Backfill) string {
	switch {
	case !b.Cancelled.IsZero():
		return page.BackfillCancelled
	case b.Open():
		return page.BackfillOpen
	}
	return page.BackfillDone
}

// soonestSlots are the soonest slots of schedules that start runs, and how many schedules there are
// that are not gone.
func soonestSlots(schedules []state.Schedule, now time.Time) (list []page.NextSlot, all int) {
	for i := range schedules {
		sch := &schedules[i]
		if !sch.Gone {
			all++
		}
		if sch.Off() {
			continue
		}
		if at := nextOf(&sch.Spec, now); !at.IsZero() {
			list = append(list, page.NextSlot{Workflow: sch.Workflow, Schedule: sch.Spec.Name, Zone: zoneOf(&sch.Spec), Time: at})
		}
	}
	slices.SortFunc(list, func(a, b page.NextSlot) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Schedule, b.Schedule))
	})
	return list[:min(len(list), soonest)], all
}

// zonesOf are the time zones of schedules by full name.
func zonesOf(schedules []state.Schedule) map[string]*time.Location {
	zones := map[string]*time.Location{}
	for i := range schedules {
		zones[schedules[i].Full()] = zoneOf(&schedules[i].Spec)
	}
	return zones
}
