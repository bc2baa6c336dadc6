// Package capacity tells whether a job can ever be placed in a compute environment: the
// arithmetic of vCPUs, memory, GPUs, architecture and platform that AWS Batch does, done
// before a job is submitted, or while one waits. It makes no call.
package capacity

import (
	"fmt"
	"strings"

	"flow/engine"
	"flow/executor"
	"flow/executor/batch"
)

// A Need is what one job has to find on one instance, or as a task of Fargate.
type Need struct {
	VCPUs     float64
	MemoryMiB int
	GPUs      int
	Arch      string // X86_64, ARM64; "": any
	Platform  string // EC2, FARGATE; "": any, as of a job definition that is not flow's
}

// The platforms of a need.
const (
	EC2     = "EC2"
	Fargate = "FARGATE"
)

// NeedOf returns what a job needs, the share of flow's agent included. Of an array it is
// what a child needs.
func NeedOf(spec *engine.JobSpec) Need {
	r := batch.Asks(spec)
	n := Need{VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB, GPUs: r.GPUs, Platform: EC2}
	box := spec.Task.Container
	switch {
	case spec.Task.JobDefinition != "":
		n.Platform = ""
	case box != nil && strings.EqualFold(box.Platform, Fargate):
		n.Platform = Fargate
	}
	if box != nil {
		n.Arch = strings.ToUpper(box.Architecture)
	}
	return n
}

// String says what a need is: "4 vCPUs, 8192 MiB and 1 GPU on ARM64".
func (n Need) String() string {
	text := VCPUs(n.VCPUs)
	if n.GPUs > 0 {
		text += fmt.Sprintf(", %d MiB and %s", n.MemoryMiB, gpus(n.GPUs))
	} else {
		text += fmt.Sprintf(" and %d MiB", n.MemoryMiB)
	}
	if n.Arch != "" {
		text += " on " + n.Arch
	}
	return text
}

// VCPUs says how many: "1 vCPU", "0.5 vCPUs".
func VCPUs(n float64) string {
	if n == 1 {
		return "1 vCPU"
	}
	return fmt.Sprintf("%v vCPUs", n)
}

// An Environment is a compute environment, as far as it matters what can be placed in it.
type Environment struct {
	Name          string
	Type          string // EC2, SPOT, FARGATE, FARGATE_SPOT
	MaxVCPUs      int
	InstanceTypes []string // types, families, optimal and its like
	EKS           bool     // on a cluster of EKS
	Unmanaged     bool     // its instances are its owner's, and nothing is known of them
}

func (e Environment) fargate() bool {
	return e.Type == engine.TypeFargate || e.Type == engine.TypeFargateSpot
}

// What AWS Batch itself says of a job that cannot be placed (Batch User Guide,
// job_stuck_in_runnable).
const (
	CodeMaxResource    = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
	CodeJobRequirement = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
)

// A Verdict says whether a job of some need can be placed in an environment some day.
type Verdict struct {
	// Why it never can, as a sentence without its dot; "": it can, as far as is known.
	Why string
	// Fix is what would help, likewise.
	Fix string
	// Code is what AWS Batch says as the status reason of such a job; "": it has no code
	// for it, or refuses the job at once.
	Code string
	// Unknown are instance types of the environment that flow has no figures of: if
	// nothing else can hold the job, there is no verdict, and Why is empty.
	Unknown []string
	// Types is the number of instance types that can hold the job.
	Types int
}

// Sure reports whether the job is known to fit, or known not to.
func (v *Verdict) Sure() bool { return v.Why != "" || v.Types > 0 || len(v.Unknown) == 0 }

// Why says why a job of that need can never be placed in the environment; "": it can, as
// far as is known.
func (e Environment) Why(n Need) string { return e.Judge(n).Why }

// Judge tells whether a job of that need can be placed in the environment.
func (e Environment) Judge(n Need) Verdict {
	switch {
	case e.Unmanaged:
		return Verdict{Unknown: []string{"those of an unmanaged environment"}}
	case e.EKS && n.Platform == "":
		return Verdict{Unknown: []string{"those of EKS, for a job definition that is not flow's"}}
	case e.EKS:
		return Verdict{
			Why: fmt.Sprintf("the environment %s is on EKS, and the job is a container job of ECS", e.Name),
			Fix: "use a queue whose environments are of type EC2, SPOT, FARGATE or FARGATE_SPOT without eks_configuration",
		}
	case n.Platform == Fargate && !e.fargate():
		return Verdict{
			Why: fmt.Sprintf("the job is for Fargate, and the environment %s is of type %s", e.Name, e.Type),
			Fix: `write platform = "EC2" in the step's container block, or use a queue with environments of type FARGATE or FARGATE_SPOT`,
		}
	case n.Platform == EC2 && e.fargate():
		return Verdict{
			Why: fmt.Sprintf("the job is for EC2, and the environment %s is of type %s", e.Name, e.Type),
			Fix: `write platform = "FARGATE" in the step's container block, or use a queue with environments of type EC2 or SPOT`,
		}
	case n.VCPUs > float64(e.MaxVCPUs):
		return Verdict{
			Why:  fmt.Sprintf("the job needs %v vCPUs, and the environment %s has at most %d (max_vcpus)", n.VCPUs, e.Name, e.MaxVCPUs),
			Fix:  fmt.Sprintf("raise max_vcpus of %s to %d or more, or ask for fewer vCPUs", e.Name, atLeast(n.VCPUs)),
			Code: CodeMaxResource,
		}
	case e.fargate():
		return e.judgeFargate(n)
	}
	return e.judgeInstances(n)
}

func (e Environment) judgeFargate(n Need) Verdict {
	if n.GPUs > 0 {
		return Verdict{
			Why: fmt.Sprintf("the job needs %s, and Fargate, which the environment %s is of, has none", gpus(n.GPUs), e.Name),
			Fix: "use a queue with environments of type EC2 or SPOT with instance types that have GPUs, such as g5",
		}
	}
	if executor.FitsFargate(n.VCPUs, n.MemoryMiB) {
		return Verdict{}
	}
	v, m, ok := executor.NearestFargate(n.VCPUs, n.MemoryMiB)
	fix := fmt.Sprintf("the nearest pair with enough of both is vcpus = %v with memory = \"%d MiB\"", v, m)
	if !ok {
		fix = fmt.Sprintf("the largest pair is %v vCPUs with %d MiB; for more use a queue of EC2", v, m)
	}
	if with := executor.FargateMemory(n.VCPUs); with != "" {
		fix += fmt.Sprintf("; with %v vCPU there are %s", n.VCPUs, with)
	}
	return Verdict{
		Why: fmt.Sprintf("Fargate, which the environment %s is of, has no tasks of %s", e.Name, n),
		Fix: fix, Code: CodeJobRequirement,
	}
}

// atLeast rounds up.
func atLeast(v float64) int {
	n := int(v)
	if float64(n) < v {
		n++
	}
	return n
}

func gpus(n int) string {
	if n == 1 {
		return "1 GPU"
	}
	return fmt.Sprintf("%d GPUs", n)
}
