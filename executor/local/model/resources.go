package model

import (
	"time"
)

// A Health is where a compute environment or a job queue is in its life.
type Health string

const (
	Creating Health = "CREATING"
	Updating Health = "UPDATING"
	Deleting Health = "DELETING"
	Valid    Health = "VALID"
	Invalid  Health = "INVALID"
)

// An Environment is what the scheduler knows of a compute environment. All its jobs
// together use at most MaxVCPUs.
type Environment struct {
	Name      string   `json:"name"`
	Disabled  bool     `json:"disabled,omitempty"`  // state DISABLED: no new jobs are placed on it
	Fargate   bool     `json:"fargate,omitempty"`   // FARGATE or FARGATE_SPOT: runs jobs with that capability only
	MaxVCPUs  float64  `json:"max_vcpus,omitempty"` // 0: nothing runs on it
	Unmanaged bool     `json:"unmanaged,omitempty"` // its instances are not Batch's: what a fair-share policy reserves is reckoned of Planned
	Planned   float64  `json:"planned,omitempty"`   // unmanagedvCpus; 0: nothing is reserved
	Largest   Capacity `json:"largest,omitzero"`    // what one instance has at most; a zero field: no limit, a negative one: none
	Detail    any      `json:"-"`                   // whatever the caller wants kept with it
}

// A Queue is what the scheduler knows of a job queue.
type Queue struct {
	Name         string       `json:"name"`
	Disabled     bool         `json:"disabled,omitempty"` // state DISABLED: takes no new jobs; those in it go on
	Priority     int          `json:"priority,omitempty"` // the higher one goes first
	Environments []string     `json:"environments,omitempty"`
	Policy       string       `json:"policy,omitempty"` // name of a scheduling policy; "": FIFO
	Limits       []StateLimit `json:"limits,omitempty"`
	Detail       any          `json:"-"`
}

// A StateLimit is an entry of jobStateTimeLimitActions: a job that has been RUNNABLE at
// the head of its queue for a reason for so long is cancelled.
type StateLimit struct {
	Reason string        `json:"reason"` // a code, such as CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY
	After  time.Duration `json:"after"`
}

// A Policy is a fair-share scheduling policy (FairsharePolicy).
type Policy struct {
	Name        string        `json:"name"`
	Decay       time.Duration `json:"decay,omitempty"`       // 0: ten minutes
	Reservation int           `json:"reservation,omitempty"` // per cent of the vCPUs that are kept for shares that are not active yet
	Weights     []Weight      `json:"weights,omitempty"`
	Detail      any           `json:"-"`
}

// A Weight is the weight factor of a share identifier, or with a trailing * of all that
// begin so. The lower it is, the more it gets. What has none has 1.
type Weight struct {
	Share  string  `json:"share"`
	Factor float64 `json:"factor"`
}

// A Consumable is a consumable resource.
type Consumable struct {
	Name        string `json:"name"`
	Total       int64  `json:"total"`
	Replenishes bool   `json:"replenishes,omitempty"` // REPLENISHABLE: what a job took is there again when it has ended
	Detail      any    `json:"-"`
}

// A Need is what a job takes of a consumable resource.
type Need struct {
	Consumable string `json:"consumable"` // its name
	Quantity   int64  `json:"quantity"`
}

// Life is what is known of an environment or a queue beside what it was made with.
type Life struct {
	Health  Health
	Reason  string // statusReason
	Created time.Time
}
