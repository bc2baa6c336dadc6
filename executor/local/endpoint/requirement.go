package endpoint

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor"
)

// Requirements are what a container asks for, as far as it was given.
type requirements struct {
	engine.Resources
	has map[types.ResourceType]bool
}

// resourcesOf returns what a container that has been checked asks for, in
// resourceRequirements or the deprecated vcpus and memory.
func resourcesOf(list []types.ResourceRequirement, vcpus, memory *int32) engine.Resources {
	r, _ := readRequirements(list) // was checked
	if vcpus != nil && !r.has[types.ResourceTypeVcpu] {
		r.VCPUs = float64(*vcpus)
	}
	if memory != nil && !r.has[types.ResourceTypeMemory] {
		r.MemoryMiB = int(*memory)
	}
	return r.Resources
}

// readRequirements reads resourceRequirements, whose values are strings, and checks what
// holds on every platform.
func readRequirements(list []types.ResourceRequirement) (requirements, error) {
	r := requirements{has: map[types.ResourceType]bool{}}
	for i := range list {
		kind, text := list[i].Type, value(list[i].Value)
		if kind == "" {
			return r, refuse("resourceRequirements need a type, one of [GPU, MEMORY, VCPU]")
		}
		if r.has[kind] {
			return r, refuse("Cannot provide duplicates in resourceRequirements.")
		}
		r.has[kind] = true
		v, ok := decimal(text)
		if !ok || kind != types.ResourceTypeVcpu && v != float64(int(v)) {
			return r, refuse("Value %s for type %s in resourceRequirement is not valid. Please provide a numeric value.", text, kind)
		}
		switch kind {
		case types.ResourceTypeVcpu:
			r.VCPUs = v
		case types.ResourceTypeMemory:
			r.MemoryMiB = int(v)
		case types.ResourceTypeGpu:
			r.GPUs = int(v)
		}
	}
	return r, r.checkLeast()
}

func (r *requirements) checkLeast() error {
	switch {
	case r.has[types.ResourceTypeMemory] && r.MemoryMiB < executor.MinMemoryMiB:
		return refuse("Memory must be at least %d Mib, got %d Mib.", executor.MinMemoryMiB, r.MemoryMiB)
	case r.has[types.ResourceTypeGpu] && r.GPUs < 1:
		return refuse("GPU must be at least 1, got %d.", r.GPUs)
	}
	return nil
}

// decimal reads digits with at most one point. Numbers of more than nine digits are
// none: nothing has so much of anything.
func decimal(s string) (float64, bool) {
	digits := strings.Replace(s, ".", "", 1)
	if digits == "" || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// addDeprecated adds vcpus and memory, which resourceRequirements replace, to r.
func (r *requirements) addDeprecated(vcpus, memory *int32, fargate bool) error {
	if fargate && (vcpus != nil || memory != nil) {
		return refuse("vcpus and memory are not applicable for Fargate. Please use resourceRequirements.")
	}
	if vcpus != nil {
		if r.has[types.ResourceTypeVcpu] && r.VCPUs != float64(*vcpus) {
			return errDeprecated
		}
		r.has[types.ResourceTypeVcpu], r.VCPUs = true, float64(*vcpus)
	}
	if memory != nil {
		if r.has[types.ResourceTypeMemory] && r.MemoryMiB != int(*memory) {
			return errDeprecated
		}
		r.has[types.ResourceTypeMemory], r.MemoryMiB = true, int(*memory)
	}
	return r.checkLeast()
}

// errDeprecated is what Batch says to vcpus or memory beside other resourceRequirements
// (Batch User Guide, troubleshooting, override-resource-requirements).
var errDeprecated = refuse("This value was submitted in a deprecated key and may conflict with the value provided by the job definition's resource requirements.")

// check checks what one container asks for.
func (r *requirements) check(t *taskSpec) error {
	switch {
	case t.fargate && r.has[types.ResourceTypeGpu]:
		return refuse("GPU is not applicable for Fargate.")
	case !r.has[types.ResourceTypeVcpu] && !t.node:
		return refuse("vCPU is required.")
	case !r.has[types.ResourceTypeMemory] && !t.node:
		return refuse("Memory is required.")
	case t.fargate || !r.has[types.ResourceTypeVcpu]:
		return nil
	case r.VCPUs < 1:
		return refuse("vCPU must be at least 1, got %v.", r.VCPUs)
	case r.VCPUs != float64(int(r.VCPUs)):
		return refuse("vCPU must be a whole number for EC2, got %v.", r.VCPUs)
	}
	return nil
}

// checkFargateSize checks what all containers of a task on Fargate ask for together.
func checkFargateSize(vcpus float64, memory int) error {
	if executor.FitsFargate(vcpus, memory) {
		return nil
	}
	return refuse("No Fargate configuration exists for given values: %v vCPU, %d MiB memory.", vcpus, memory)
}
