package batch

import "flow/engine"

// Asks returns what a job asks AWS Batch for in all, with the share of flow's agent where
// that is in it: so much has to be free on one instance, or be a pair of Fargate.
func Asks(spec *engine.JobSpec) engine.Resources {
	r := spec.Resources
	if agent, _ := usesAgent(spec); agent && spec.Task.JobDefinition == "" {
		first, task := agentShare(spec)
		r = task
		r.VCPUs += first.VCPUs
		r.MemoryMiB += first.MemoryMiB
		return r
	}
	if r.VCPUs == 0 {
		r.VCPUs = 1
	}
	if r.MemoryMiB == 0 {
		r.MemoryMiB = engine.DefaultMemoryMiB
	}
	return r
}

// NeedsAgent reports whether a job is run by flow's agent, whose image has to be there.
func NeedsAgent(spec *engine.JobSpec) bool {
	agent, _ := usesAgent(spec)
	return agent && spec.Task.JobDefinition == ""
}
