package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/batch/capacity"
)

// environments tells of each environment whether it takes jobs, and has room for them.
func (p *patient) environments(context.Context) []Line {
	w, err := p.world()
	if err != nil {
		return p.failed("environments", err)
	}
	var lines []Line
	for i := range w.environments {
		e := &w.environments[i]
		where := ""
		if b := p.environmentBlock(aws.ToString(e.ComputeEnvironmentName)); b != nil {
			where = b.Pos.String()
		}
		for _, l := range p.environment(e) {
			if l.Status == Fault && !w.alone(e) {
				l.Status = Warning // the jobs are placed in another one
			}
			lines = append(lines, l.at(where))
		}
	}
	return lines
}

// takes reports whether an environment takes jobs.
func takes(e *types.ComputeEnvironmentDetail) bool {
	r := e.ComputeResources
	return e.State == types.CEStateEnabled && e.Status != types.CEStatusInvalid && e.Status != types.CEStatusDeleting && e.Status != types.CEStatusDeleted &&
		(r == nil || r.MaxvCpus == nil || *r.MaxvCpus > 0)
}

// alone reports whether some queue that is looked at has an environment, and no other one
// that takes jobs.
func (w *world) alone(e *types.ComputeEnvironmentDetail) bool {
	for i := range w.queues {
		of := w.of(&w.queues[i])
		if slices.Contains(of, e) && !slices.ContainsFunc(of, takes) {
			return true
		}
	}
	return false
}

func (p *patient) environment(e *types.ComputeEnvironmentDetail) []Line {
	name := aws.ToString(e.ComputeEnvironmentName)
	var lines []Line
	if e.State == types.CEStateDisabled {
		lines = append(lines, fault(name, p.mend(name, `state = "ENABLED"`, "--state ENABLED"), "the environment is DISABLED: nothing is placed in it"))
	}
	switch e.Status {
	case types.CEStatusValid:
	case types.CEStatusCreating, types.CEStatusUpdating:
		lines = append(lines, warning(name, "wait until it is VALID", "the environment is %s", e.Status))
	case types.CEStatusInvalid:
		reason := orElse(aws.ToString(e.StatusReason), "AWS Batch says no reason")
		cause, fix := capacity.Invalid(reason)
		if cause != "" {
			cause += ": "
		}
		lines = append(lines, fault(name, fix, "the environment is INVALID: %s%s", cause, reason))
	default:
		lines = append(lines, fault(name, "use another environment", "the environment is %s", e.Status))
	}
	lines = append(lines, p.room(name, e)...)
	if len(lines) == 0 {
		lines = append(lines, healthy(name, e))
	}
	return lines
}

// room tells whether an environment can have instances, and has as many as it may.
func (p *patient) room(name string, e *types.ComputeEnvironmentDetail) []Line {
	r := e.ComputeResources
	if r == nil {
		return nil
	}
	most, now := int(aws.ToInt32(r.MaxvCpus)), int(aws.ToInt32(r.DesiredvCpus))
	more := p.mend(name, fmt.Sprintf("a larger max_vcpus than %d", most), fmt.Sprintf("--compute-resources maxvCpus=%d", 2*max(most, 8)))
	switch {
	case most == 0:
		return []Line{fault(name, more, "max_vcpus is 0: the environment never has an instance")}
	case now >= most && most > int(aws.ToInt32(r.MinvCpus)):
		return []Line{warning(name, more+"; or wait, or end jobs that are not needed",
			"max_vcpus is reached: AWS Batch wants %d vCPUs of at most %d, and further jobs wait in RUNNABLE until others end", now, most)}
	}
	return nil
}

// healthy says what an environment is.
func healthy(name string, e *types.ComputeEnvironmentDetail) Line {
	r := e.ComputeResources
	if r == nil {
		return ok(name, "ENABLED and VALID, unmanaged")
	}
	l := ok(name, "ENABLED and VALID, %s, at most %d vCPUs", r.Type, aws.ToInt32(r.MaxvCpus))
	if isFargate(r.Type) || !bestFit(r) {
		return l
	}
	better := "BEST_FIT_PROGRESSIVE"
	if r.Type == types.CRTypeSpot {
		better = "SPOT_PRICE_CAPACITY_OPTIMIZED"
	}
	// ComputeResource.allocationStrategy
	l.Text += ", BEST_FIT (" + better + " waits less, and can be changed in place)"
	return l
}

// bestFit reports whether instances are allocated by BEST_FIT, which is the default.
func bestFit(r *types.ComputeResource) bool {
	return r.AllocationStrategy == "" || r.AllocationStrategy == types.CRAllocationStrategyBestFit
}

func isFargate(t types.CRType) bool {
	return t == types.CRTypeFargate || t == types.CRTypeFargateSpot
}
