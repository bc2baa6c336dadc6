package schedule

import (
	"time"

	"flow/engine"
)

// Limits of what is decided.
const (
	// OnTime is how much later than it was due a slot is decided by a service that is there.
	// One that is decided later than that was due while nobody was there.
	OnTime = time.Minute
	// TryFor is how long it is tried to create the run of a slot whose schedule does not say
	// start_within.
	TryFor = time.Hour
	// AtOnce is how many slots are decided at a time.
	AtOnce = 10_000
)

// A Status says what became of a slot.
type Status string

// A slot that nothing is known of has none of them yet.
const (
	Waiting Status = "WAITING" // it is to get a run, maybe later
	Started Status = "STARTED" // it has a run
	Skipped Status = "SKIPPED" // it gets none, because of another run of the schedule
	Missed  Status = "MISSED"  // nobody was there to start its run, or it could not be started in time
)

// A Record is what is known of a schedule. Slots and runs of backfills are none of it.
type Record struct {
	Since   time.Time // slots after this count
	Upto    time.Time // those up to this one are decided
	Off     bool      // paused, or disabled: its slots pass, and what waits goes on waiting
	Waiting []WaitingSlot
	Active  []ActiveRun // those that are not over
	// Taken are slots after Upto that are decided already: a backfill has them, or somebody asked
	// for them. They pass.
	Taken []time.Time
}

// A WaitingSlot is one that is to get a run.
type WaitingSlot struct {
	Slot   time.Time
	Due    time.Time // with its jitter; of a manual one, when it was asked for
	Late   bool      // as decided
	Manual bool      // somebody asked for it: it starts while the schedule is off as well
	// Tried is when its run could not be created for the first time, and Problem why not. Zero
	// and "": that was not so.
	Tried   time.Time
	Problem string
}

// An ActiveRun is a run of a slot that is not over.
type ActiveRun struct {
	Run        engine.RunID
	Cancelling bool // somebody asked for its end
}

// A Verdict is what shall become of the slots of a schedule. What it says of slots must be kept
// before runs are started and cancelled.
type Verdict struct {
	// Slots are those of which there is news, in the order of their times: WAITING, SKIPPED and
	// MISSED ones that nothing was known of, and WAITING ones that became SKIPPED or MISSED.
	Slots []Decision
	// Upto: all slots up to this instant are decided. It moves on with the time. Without news of
	// slots it need not be kept each time: it matters only once the times of the schedule change,
	// and once the schedule is on again.
	Upto time.Time
	// Start are the WAITING slots whose runs are to be started now, in order.
	Start []time.Time
	// Cancel are the runs that make room for another.
	Cancel []engine.RunID
	// Wake is when there will be something to decide, if nothing happens before; now, if there
	// is more already; zero: never.
	Wake time.Time
}

// A Decision is what became of a slot.
type Decision struct {
	Slot   time.Time
	Due    time.Time // with its jitter
	Status Status
	Reason string // for people; "" of a slot that is started at once
	Late   bool   // it was due while nobody was there
}
