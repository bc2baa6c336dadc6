package diagnose

import (
	"time"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// Facts are what is known of a job that waits, and of what it waits for. What was not
// looked at is zero, and nothing is concluded from it.
type Facts struct {
	Job Job
	// Depends are the jobs that it depends on and those that these depend on, as far as they
	// have not succeeded.
	Depends      []Job
	Queue        *Queue        // nil: not looked at
	Environments []Environment // of the queue, in its order
	Front        []Front       // the jobs at the front of the queue, the head first
	Head         *Job          // the job at the head, if it is not this one
	InUse        *float64      // vCPUs that the jobs of the queue have now; nil: not known
	Running      *Running      // what runs in the queue; nil: not known
	Shares       []Share       // of a queue with a scheduling policy: those that use most
	Policy       *Policy
	Consumables  []Consumable // that the job asks for
	Region       string
	Near         bool // AWS Batch is flow emulate, on this machine
}

// A Job is a job of AWS Batch that has not ended.
type Job struct {
	ID, Name  string
	Status    engine.JobStatus
	Reason    string    // statusReason
	Since     time.Time // it was submitted, what it depends on succeeded, or its last attempt ended
	Size      int       // of an array parent; else 0
	Summary   [engine.NumJobStatuses]int
	DependsOn []string
	Need      capacity.Need
	Image     string
	LogDriver string // "": awslogs
	Share     string
	Asks      []Quantity // consumable resources
}

// A Quantity is how much of a consumable resource a job asks for.
type Quantity struct {
	Name  string
	Count int64
}

// A Queue is a job queue.
type Queue struct {
	Name, State, Status, Reason string
	Policy                      string // ARN of its scheduling policy; "": jobs in order
}

// An Environment is a compute environment.
type Environment struct {
	capacity.Environment
	State, Status, Reason string
	MinVCPUs, Desired     int
	Bid                   int // bidPercentage; 0: none
	Instances             []Instance
	Listed                bool // Instances are all that are in its cluster of ECS
	Prices                []capacity.Price
	cluster               string // its ARN
}

// An Instance is a container instance in the cluster of an environment.
type Instance struct {
	ID        string // of EC2
	Status    string // ACTIVE, DRAINING, ...
	Connected bool   // the agent of ECS
	VCPUs     float64
	MemoryMiB int
	GPUs      int
	Awslogs   bool // it knows the log driver
}

// A Front is a job at the front of a queue.
type Front struct {
	ID    string
	Since time.Time // at that place, at the earliest
}

// Running is what runs in a queue, children of arrays each for itself.
type Running struct {
	Jobs  int
	More  bool     // at least as many
	Names []string // the first of them
}

// A Share is how many vCPUs a share of a queue has.
type Share struct {
	ID    string
	VCPUs float64
}

// A Policy is a fair-share policy.
type Policy struct {
	Name    string
	Reserve int                // computeReservation, in per cent
	Weights map[string]float64 // by share identifier; the lower, the more
}

// A Consumable is a consumable resource, and how much of it the job wants.
type Consumable struct {
	Name                    string
	Wants, Available, Total int64
	Replenishable           bool
}

// The causes why a job waits.
const (
	Dependencies    Cause = "dependencies"
	ArrayGoesOn     Cause = "array"
	Scheduler       Cause = "scheduler" // AWS Batch has not looked at it yet
	QueueDisabled   Cause = "queue-disabled"
	QueueInvalid    Cause = "queue-invalid"
	NoEnvironment   Cause = "queue-without-environment"
	EnvDisabled     Cause = "environment-disabled"
	EnvInvalid      Cause = "environment-invalid"
	TooLarge        Cause = "job-too-large" // for every instance type, or for Fargate
	MaxVCPUs        Cause = "max-vcpus"     // for every environment
	Misplaced       Cause = "platform"      // of every environment
	NoCapacity      Cause = "no-capacity"   // AWS has no such instances now
	BadInstances    Cause = "instance-configuration"
	ServiceRole     Cause = "service-role"
	Undetermined    Cause = "undetermined"
	Busy            Cause = "busy" // all vCPUs are in use
	BehindOthers    Cause = "behind-others"
	FairShare       Cause = "fair-share"
	ConsumableGone  Cause = "consumable-resource"
	SpotPrice       Cause = "spot-price"
	InstancesAbsent Cause = "instances-do-not-join"
	AgentsGone      Cause = "agents-not-connected"
	NoLogDriver     Cause = "log-driver"
	NotPlaced       Cause = "not-placed" // though there is room
	NoScaling       Cause = "no-scaling"
	Scaling         Cause = "scaling" // instances are being started
	SlowStart       Cause = "slow-start"
	Starts          Cause = "starts"
)

// A Finding is a reason why a job waits.
type Finding struct {
	Cause    Cause    `json:"cause"`
	Sure     bool     `json:"sure"`
	Text     string   `json:"text"` // plain words, one line
	Evidence []string `json:"evidence,omitempty"`
	Fix      []string `json:"fix,omitempty"`
}

// Says returns what a person is told: of what is not sure, that it may be passing.
func (f *Finding) Says() string {
	if f.Sure {
		return f.Text
	}
	return "may be passing: " + f.Text
}
