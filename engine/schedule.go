package engine

import "time"

// A Schedule is a `schedule` block: when runs of the workflow begin by themselves. Package
// engine/schedule knows which times those are, and what becomes of each.
type Schedule struct {
	Name        string        `json:"name"`
	Cron        []string      `json:"cron"`                   // five fields each; a time that several name is one slot
	TimeZone    string        `json:"time_zone"`              // IANA name; "UTC" unless said
	Overlap     Overlap       `json:"overlap"`                // "skip" unless said
	CatchUp     CatchUp       `json:"catch_up"`               // "latest" unless said
	StartWithin time.Duration `json:"start_within,omitempty"` // after the slot, and its jitter; 0: at any time
	Jitter      time.Duration `json:"jitter,omitempty"`       // a slot is due at most so much later, always as much
	Disabled    bool          `json:"disabled,omitempty"`     // enabled = false
	Pos         Pos           `json:"pos,omitzero"`
}

// Overlap says what becomes of a slot while a run of its schedule is not over.
type Overlap string

const (
	OverlapSkip    Overlap = "skip"    // it gets no run; the default
	OverlapQueue   Overlap = "queue"   // it waits, in order
	OverlapReplace Overlap = "replace" // that run is cancelled first; of several that wait, only the last gets a run
	OverlapAllow   Overlap = "allow"   // it gets a run all the same
)

// CatchUp says what becomes of slots that passed while nobody was there to start their runs.
type CatchUp string

const (
	CatchUpNone   CatchUp = "none"   // they are missed
	CatchUpLatest CatchUp = "latest" // the last one gets a run, the others are missed; the default
	CatchUpAll    CatchUp = "all"    // each gets a run, one after the other
)

// A Slot is what a run was started for by a schedule.
type Slot struct {
	Schedule string    `json:"schedule"`           // its name in the workflow
	Time     time.Time `json:"time"`               // schedule.time, UTC
	TimeZone string    `json:"time_zone"`          // of the schedule
	Backfill bool      `json:"backfill,omitempty"` // it was made up for, long after
	Manual   bool      `json:"manual,omitempty"`   // somebody triggered it
}

// An Expect is the `expect` block of a workflow: by when a run should be over. A run that is not
// goes on; it is late, which can be told (see OnLate).
type Expect struct {
	FinishBy    *TimeOfDay    `json:"finish_by,omitempty"`    // nil: not said
	MaxDuration time.Duration `json:"max_duration,omitempty"` // since it was created; 0: not said
}

// A TimeOfDay is a wall clock time.
type TimeOfDay struct {
	Hour     int    `json:"hour"`
	Minute   int    `json:"minute"`
	TimeZone string `json:"time_zone,omitempty"` // "": that of the schedule, else UTC
}

// A Pool is a `pool` block: how many tasks can have something at a time, over all runs of a
// state file, or, as a consumable resource, of an AWS account and region.
type Pool struct {
	Name  string `json:"name"`
	Slots int    `json:"slots"`
	Pos   Pos    `json:"pos,omitzero"`
}
