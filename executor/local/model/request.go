package model

import (
	"fmt"
	"time"

	"flow/engine"
	"flow/executor"
)

// A Request is a job to submit, in Batch's terms (SubmitJob, with the job definition
// merged in). The model keeps it and never changes it; nor may its caller.
type Request struct {
	Name       string              `json:"name"` // need not be unique
	Queue      string              `json:"queue"`
	Definition string              `json:"definition,omitempty"` // name of the job definition: the head of the names of log streams
	ArraySize  int                 `json:"array_size,omitempty"` // 0: a plain job; else 2 to 10,000
	DependsOn  []engine.Dependency `json:"depends_on,omitempty"`
	Attempts   int                 `json:"attempts,omitempty"` // tries in all, 1 to 10; 0: one
	Evaluate   []engine.EvaluateOn `json:"evaluate_on_exit,omitempty"`
	Timeout    time.Duration       `json:"timeout,omitempty"` // of one attempt, from RUNNING; 0: none
	engine.Resources
	Tags map[string]string `json:"tags,omitempty"`

	LogPrefix   string `json:"log_prefix,omitempty"` // the head of the names of log streams; "": Definition
	ShareID     string `json:"share_id,omitempty"`   // shareIdentifier, for queues with a Policy
	Priority    int    `json:"priority,omitempty"`   // schedulingPriority within its share
	Consumables []Need `json:"consumables,omitempty"`
	Pools       []Need `json:"pools,omitempty"`   // what each try takes of pools, by name; see Room
	Fargate     bool   `json:"fargate,omitempty"` // wants a Fargate environment, else one of EC2

	// Undispatchable, if not empty, is why the job FAILs with this statusReason when it is
	// about to be started, without an attempt: its overrides are too long, for example.
	Undispatchable string `json:"undispatchable,omitempty"`

	// Payload is what the job runs. The model hands it back in effects, and looks at it
	// no further.
	Payload any `json:"-"`
}

// size returns the number of children; 1 for a plain job.
func (r *Request) size() int { return max(r.ArraySize, 1) }

func (r *Request) sequential() bool {
	for i := range r.DependsOn {
		if r.DependsOn[i].Type == engine.DependSequential {
			return true
		}
	}
	return false
}

func refuse(format string, args ...any) error {
	return executor.Refusal(fmt.Sprintf(format, args...))
}

// check reports what is wrong with a request as far as it can be told without the
// jobs it depends on.
func (r *Request) check(strict bool) error {
	if err := executor.CheckName(r.Name); err != nil {
		return err
	}
	if err := executor.CheckArraySize(r.ArraySize); err != nil {
		return err
	}
	if err := executor.CheckRetry(r.Attempts, r.Evaluate); err != nil {
		return err
	}
	switch {
	case len(r.DependsOn) > executor.MaxDependencies:
		return refuse("Job cannot have more than %d dependencies", executor.MaxDependencies)
	case r.Timeout < 0 || strict && r.Timeout > 0 && r.Timeout < executor.MinTimeout:
		return refuse("Timeout attemptDurationSeconds must be at least %.0f, got %v", executor.MinTimeout.Seconds(), r.Timeout.Seconds())
	case !(r.VCPUs > 0) || r.VCPUs > maxVCPUs: // NaN is refused as well
		return refuse("vCPU must be more than 0 and at most %d, got %v.", maxVCPUs, r.VCPUs)
	case r.MemoryMiB < executor.MinMemoryMiB:
		return refuse("Memory must be at least %d Mib, got %d Mib.", executor.MinMemoryMiB, r.MemoryMiB)
	case r.GPUs < 0:
		return refuse("Value %d for type GPU in resourceRequirement is not valid. Please provide a numeric value.", r.GPUs)
	}
	return executor.CheckTags(r.Tags)
}

// maxVCPUs keeps arithmetic in thousandths of a vCPU far from overflow.
const maxVCPUs = 1 << 20

// checkDependency reports what is wrong with one entry of dependsOn; on is the job it
// names, nil if there is none of that id.
func (r *Request) checkDependency(d engine.Dependency, on *job) error {
	switch d.Type {
	case engine.DependAll:
	case engine.DependNToN, engine.DependSequential:
		if r.ArraySize == 0 {
			return refuse("Dependency type %s is for array jobs only", d.Type)
		}
	default:
		return refuse("Dependency type %q is not one of N_TO_N, SEQUENTIAL", string(d.Type))
	}
	if d.Type == engine.DependSequential {
		if d.Job != "" {
			return refuse("Dependency type SEQUENTIAL takes no jobId, got %s", d.Job)
		}
		return nil
	}
	if d.Job == "" {
		return refuse("Dependency of type %q needs a jobId", string(d.Type))
	}
	if _, index := d.Job.Split(); index >= 0 {
		return refuse("Job %s is a child of an array job: depend on the array, whole or N_TO_N", d.Job)
	}
	if on == nil {
		return refuse("Job %s does not exist", d.Job)
	}
	if d.Type == engine.DependNToN && on.req.ArraySize != r.ArraySize {
		return refuse("Dependency type N_TO_N needs arrays of equal size: %s has %d, this job has %d", d.Job, on.req.ArraySize, r.ArraySize)
	}
	return nil
}
