package main

import (
	"maps"
	"time"

	"flow/engine"
	"flow/state"
)

// A scheduleJSON is a schedule. Times are in its time zone.
type scheduleJSON struct {
	Schedule    string         `json:"schedule"` // with its workflow: nightly/daily
	Workflow    string         `json:"workflow"`
	Name        string         `json:"name"`
	Cron        []string       `json:"cron"`
	TimeZone    string         `json:"time_zone"`
	Overlap     engine.Overlap `json:"overlap"`
	CatchUp     engine.CatchUp `json:"catch_up"`
	StartWithin string         `json:"start_within,omitempty"`
	Jitter      string         `json:"jitter,omitempty"`
	Enabled     bool           `json:"enabled"`
	Paused      time.Time      `json:"paused,omitzero"`
	PausedFor   string         `json:"paused_for,omitempty"`
	Gone        bool           `json:"gone,omitempty"`
	Path        string         `json:"path"`
	Problem     string         `json:"problem,omitempty"` // what is wrong with its files as they are now
	Since       time.Time      `json:"since"`
	Next        time.Time      `json:"next,omitzero"`
	Waiting     int            `json:"waiting"` // slots without a run yet
	Active      []string       `json:"active"`  // runs that are not over
}

// scheduleData is a schedule as of now.
func scheduleData(sch *state.Schedule, waiting []state.Slot, active []state.ActiveRun, now time.Time) scheduleJSON {
	zone := zoneOf(&sch.Spec)
	d := scheduleJSON{
		Schedule: sch.Full(), Workflow: sch.Workflow, Name: sch.Spec.Name, Cron: sch.Spec.Cron, TimeZone: sch.Spec.TimeZone, Overlap: sch.Spec.Overlap, CatchUp: sch.Spec.CatchUp,
		StartWithin: durationText(sch.Spec.StartWithin), Jitter: durationText(sch.Spec.Jitter), Enabled: !sch.Spec.Disabled,
		Paused: inZone(sch.Paused, zone), PausedFor: sch.PausedFor, Gone: sch.Gone, Path: sch.Path, Problem: sch.Problem,
		Since: inZone(sch.Since, zone), Waiting: len(waiting), Active: []string{},
	}
	if !sch.Off() {
		d.Next = nextOf(&sch.Spec, now)
	}
	for i := range active {
		d.Active = append(d.Active, string(active[i].Run))
	}
	return d
}

// durationText is a duration as it is written in a workflow; "": none.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// inZone is a time as clocks in a zone show it, if it is one.
func inZone(t time.Time, zone *time.Location) time.Time {
	if t.IsZero() {
		return t
	}
	return t.In(zone)
}

// A slotJSON is a slot, and what became of it.
type slotJSON struct {
	Schedule  string           `json:"schedule"`
	Time      time.Time        `json:"time"`
	Due       time.Time        `json:"due"`
	Kind      state.SlotKind   `json:"kind"`
	Status    state.SlotStatus `json:"status"`
	Reason    string           `json:"reason,omitempty"`
	Late      bool             `json:"late,omitempty"` // nobody was there when it was due
	Backfill  int64            `json:"backfill,omitempty"`
	Run       string           `json:"run,omitempty"`
	RunStatus *engine.Status   `json:"run_status,omitempty"` // missing of a run that was removed
	Started   time.Time        `json:"started,omitzero"`
	Ended     time.Time        `json:"ended,omitzero"` // its run
}

func slotData(full string, x *state.Slot, zone *time.Location) slotJSON {
	d := slotJSON{
		Schedule: full, Time: x.Time.In(zone), Due: x.Due.In(zone), Kind: x.Kind, Status: x.Status, Reason: x.Reason, Late: x.Late, Backfill: x.Backfill,
		Run: string(x.Run), Started: inZone(x.Started, zone), Ended: inZone(x.RunEnded, zone),
	}
	if x.Run != "" && !x.Removed {
		d.RunStatus = &x.RunStatus
	}
	return d
}

// A backfillJSON is a backfill, with how many of its slots have come how far.
type backfillJSON struct {
	Backfill    int64          `json:"backfill"`
	Schedule    string         `json:"schedule"`
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"` // exclusive
	MaxParallel int            `json:"max_parallel"`
	Made        time.Time      `json:"made"`
	Cancelled   time.Time      `json:"cancelled,omitzero"`
	Open        bool           `json:"open"`  // something is to be done yet, or being done
	Slots       map[string]int `json:"slots"` // by what became of them, or of their runs
}

func backfillData(full string, b *state.Backfill, zone *time.Location) backfillJSON {
	return backfillJSON{
		Backfill: b.ID, Schedule: full, From: b.From.In(zone), To: b.To.In(zone), MaxParallel: b.MaxParallel, Made: b.Made.In(zone), Cancelled: inZone(b.Cancelled, zone),
		Open: b.Open(), Slots: backfillCounts(b.Slots),
	}
}

// backfillCounts are the numbers that are not 0.
func backfillCounts(c state.BackfillCounts) map[string]int {
	all := map[string]int{
		"waiting": c.Waiting, "active": c.Active, "succeeded": c.Succeeded, "failed": c.Failed, "cancelled": c.Cancelled,
		"removed": c.Removed, "skipped": c.Skipped, "missed": c.Missed,
	}
	maps.DeleteFunc(all, func(_ string, n int) bool { return n == 0 })
	return all
}
