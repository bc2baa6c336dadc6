package endpoint

import (
	"strings"

	"flow/executor/instances"
	"flow/executor/local/model"
)

var (
	familyName = pattern(`^(u-)?[a-z]+[0-9]+[a-z0-9]*(-[a-z0-9]+)*$`)
	sizeName   = pattern(`^(nano|micro|small|medium|large|xlarge|[1-9][0-9]{0,2}xlarge|metal(-[1-9][0-9]{0,2}xl)?)$`)
)

// checkInstanceTypes refuses what are no types of instances, and those of different
// architectures (texts seen of the service).
func checkInstanceTypes(list []string) error {
	arm := 0
	for _, t := range list {
		if instances.Bundle(t) == nil {
			name, size, whole := strings.Cut(t, ".")
			if !familyName().MatchString(name) || whole && !sizeName().MatchString(size) {
				return refuse("Instance type can only be one of [optimal, default_x86_64, default_arm64] or a type or family of EC2, got %s", t)
			}
		}
		if instances.IsARM(t) {
			arm++
		}
	}
	if arm != 0 && arm != len(list) {
		return refuse("arm-based instance type cannot be used with other instance types.")
	}
	return nil
}

// largest returns the most that one instance of the types has for a job. The largest
// of each kind may be of different types: a job that needs all of them is then taken for
// one that fits. A zero field is no limit, as it is with types that no table has, but no
// GPU at all is noGPU.
func largest(list []string) model.Capacity {
	var sum model.Capacity
	types, unknown := instances.Expand(list)
	if len(types) == 0 || len(unknown) > 0 {
		return sum
	}
	for _, t := range types {
		sum.VCPUs, sum.MemoryMiB, sum.GPUs = max(sum.VCPUs, float64(t.VCPUs)), max(sum.MemoryMiB, t.Usable()), max(sum.GPUs, t.GPUs)
	}
	if sum.GPUs == 0 {
		sum.GPUs = noGPU
	}
	return sum
}
