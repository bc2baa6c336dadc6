package engine

import "time"

// Infra is what a workflow says of AWS Batch itself: what is to be there before a job can
// run. Everything stands in source order. Names are those of AWS, which are unique in an
// account and region; what has Existing set is not flow's, and only its name is known.
//
// What a field means and may be is said in the Batch API Reference, at the member of that
// name; a zero value was not given, and AWS's default holds.
type Infra struct {
	Environments []*ComputeEnvironment
	Queues       []*JobQueue
	Definitions  []*JobDefinition
	Policies     []*SchedulingPolicy
	Consumables  []*ConsumableResource
}

// Empty reports whether there is nothing that flow is to manage.
func (f *Infra) Empty() bool {
	if f == nil {
		return true
	}
	for _, e := range f.Environments {
		if !e.Existing {
			return false
		}
	}
	for _, q := range f.Queues {
		if !q.Existing {
			return false
		}
	}
	for _, d := range f.Definitions {
		if !d.Existing {
			return false
		}
	}
	for _, p := range f.Policies {
		if !p.Existing {
			return false
		}
	}
	for _, c := range f.Consumables {
		if !c.Existing {
			return false
		}
	}
	return true
}

// A Block is what all blocks about AWS Batch have.
type Block struct {
	Label    string // in the workflow
	Name     string // in AWS
	Existing bool   // it is there, and flow leaves it as it is
	Pos      Pos
	Tags     map[string]string
}

// The types of compute resources.
const (
	TypeEC2         = "EC2"
	TypeSpot        = "SPOT"
	TypeFargate     = "FARGATE"
	TypeFargateSpot = "FARGATE_SPOT"
)

// A ComputeEnvironment is a managed compute environment (CreateComputeEnvironment,
// ComputeResource).
type ComputeEnvironment struct {
	Block
	Type     string // TypeEC2, TypeSpot, TypeFargate, TypeFargateSpot
	Disabled bool   // state = "DISABLED"

	AllocationStrategy         string
	MinVCPUs, MaxVCPUs         int
	DesiredVCPUs               *int // nil: AWS Batch decides
	InstanceTypes              []string
	BidPercentage              int // of the on-demand price, 1 to 100; 0: not given
	Subnets, SecurityGroups    []string
	InstanceRole, ServiceRole  string // name or ARN; the first of an instance profile
	SpotFleetRole              string
	LaunchTemplate             *LaunchTemplate
	EC2Configuration           []EC2Configuration
	EC2KeyPair, PlacementGroup string
	InstanceTags               map[string]string // of the instances
	ScaleDownDelayMinutes      int               // scaling_policy.min_scale_down_delay_minutes
	TerminateJobsOnUpdate      bool
	JobExecutionTimeoutMinutes int
	EKSCluster, EKSNamespace   string // ARN of the cluster; both are set, or none
	CreateRoles                bool   // make the instance and Spot roles that are not given
}

// Fargate reports whether it is of AWS Fargate.
func (e *ComputeEnvironment) Fargate() bool {
	return e.Type == TypeFargate || e.Type == TypeFargateSpot
}

// Spot reports whether AWS may take its capacity back.
func (e *ComputeEnvironment) Spot() bool { return e.Type == TypeSpot || e.Type == TypeFargateSpot }

// A LaunchTemplate is a launch template of EC2, by id or by name.
type LaunchTemplate struct{ ID, Name, Version string }

// An EC2Configuration says which image instances start from.
type EC2Configuration struct{ ImageType, ImageID, KubernetesVersion string }

// A JobQueue is a job queue (CreateJobQueue).
type JobQueue struct {
	Block
	Priority     int
	Disabled     bool     // state = "DISABLED"
	Environments []string // names in AWS, or ARNs, in order; 1 to 3
	Policy       string   // name of a scheduling policy, or ARN; "": jobs in order
	Limits       []StateLimit
}

// A StateLimit is an entry of jobStateTimeLimitActions.
type StateLimit struct {
	Reason, State, Action string // AWS's: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "RUNNABLE", "CANCEL"
	After                 time.Duration
}

// A JobDefinition is a job definition that steps may use by name. What it says of its jobs
// is in Spec, as a step says it: Image, Command, Parameters, Env, Secrets, Resources, Retry
// without rules of the engine, Timeout, Tags (those of Block), Priority, Container.
type JobDefinition struct {
	Block
	Spec          *TaskSpec
	PropagateTags bool
	CreateRoles   bool // make the execution and job roles that are not given
}

// A SchedulingPolicy is a fair-share policy (CreateSchedulingPolicy, FairsharePolicy).
type SchedulingPolicy struct {
	Block
	ShareDecay         time.Duration
	ComputeReservation int // percent
	Shares             []Share
}

// A Share is an entry of shareDistribution.
type Share struct {
	Identifier string  // may end in *
	Weight     float64 // 0: AWS's default, 1
}

// A ConsumableResource is something that jobs use up or give back (CreateConsumableResource).
type ConsumableResource struct {
	Block
	Total          int64
	NonReplenished bool // resource_type = "NON_REPLENISHABLE"
	Pool           bool // what a `pool` block is on AWS Batch
}

// Money is an amount of US dollars, in millionths.
type Money int64

// USD is one US dollar.
const USD Money = 1_000_000

// A Budget is what a run may cost.
type Budget struct {
	Max Money
	// Cancel says that the run is cancelled when it is over its budget. Else it pauses:
	// nothing more is submitted, what runs goes on, and a resume goes on.
	Cancel bool
}
