package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"flow/state"
)

// shownSchedules is how many schedules have series of their own.
const shownSchedules = 50

// scheduleMetrics writes numbers about schedules, and who starts their runs. Schedules beyond
// the first ones by name are counted together.
func (s *site) scheduleMetrics(ctx context.Context, m *metricsWriter) error {
	db := s.src.db()
	held, err := db.TermHolder(ctx, state.ServiceTerm)
	if err != nil {
		return err
	}
	m.family("flow_service_up", "Whether a service is there, of which one at a time starts runs by schedules.")
	m.sample("flow_service_up", number(held != nil))
	m.family("flow_service_leader", "Whether it is this process.")
	m.sample("flow_service_leader", number(held != nil && isUs(&held.Owner)))
	all, err := db.Schedules(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(sch state.Schedule) bool { return sch.Gone })
	slices.SortFunc(all, func(a, b state.Schedule) int { return strings.Compare(a.Full(), b.Full()) })
	own := all[:min(len(all), shownSchedules)]
	m.family("flow_schedule_paused", "Whether a schedule starts no runs: it is paused or disabled.")
	for i := range own {
		m.sample("flow_schedule_paused", number(own[i].Off()), "schedule", own[i].Full())
	}
	m.family("flow_schedule_broken", "Whether the files of a schedule have mistakes, and their last good version holds.")
	for i := range own {
		m.sample("flow_schedule_broken", number(own[i].Problem != ""), "schedule", own[i].Full())
	}
	m.family("flow_schedule_next_timestamp_seconds", "When the next slot of a schedule is that starts runs.")
	for i := range own {
		if own[i].Off() {
			continue
		}
		if at := nextOf(&own[i].Spec, s.now()); !at.IsZero() {
			m.sample("flow_schedule_next_timestamp_seconds", float64(at.Unix()), "schedule", own[i].Full())
		}
	}
	return s.slotMetrics(ctx, m, all)
}

// number is 1 for what is so.
func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// slotMetrics writes how many slots of schedules, which are in the order of their names, have
// come to what, and since when the first of those that wait does.
func (s *site) slotMetrics(ctx context.Context, m *metricsWriter, all []state.Schedule) error {
	counts, err := s.src.db().CountSlots(ctx)
	if err != nil {
		return err
	}
	names := map[int64]string{}
	for i := range all {
		names[all[i].ID] = "(others)"
		if i < shownSchedules {
			names[all[i].ID] = all[i].Full()
		}
	}
	sums := map[[2]string]int{}
	due := map[string]time.Time{}
	for _, c := range counts {
		name := names[c.Schedule]
		if name == "" {
			continue
		}
		sums[[2]string{name, string(c.Status)}] += c.Slots
		if !c.Due.IsZero() && (due[name].IsZero() || c.Due.Before(due[name])) {
			due[name] = c.Due
		}
	}
	m.family("flow_schedule_slots", "Slots of schedules, by what became of them.")
	for i := range all[:min(len(all), shownSchedules+1)] {
		for _, st := range slotStatuses {
			name := names[all[i].ID]
			m.sample("flow_schedule_slots", float64(sums[[2]string{name, string(st)}]), "schedule", name, "status", string(st))
		}
	}
	m.family("flow_schedule_waits_since_timestamp_seconds", "When the first slot was due of those that wait for their run.")
	for i := range all[:min(len(all), shownSchedules+1)] {
		if at := due[names[all[i].ID]]; !at.IsZero() {
			m.sample("flow_schedule_waits_since_timestamp_seconds", float64(at.Unix()), "schedule", names[all[i].ID])
		}
	}
	return nil
}
