package capacity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"flow/executor/instances"
)

// judgeInstances compares the need with every instance type of the environment.
func (e Environment) judgeInstances(n Need) Verdict {
	all, unknown := instances.Expand(e.InstanceTypes)
	v := Verdict{Unknown: unknown}
	for _, t := range all {
		if n.fits(t) {
			v.Types++
		}
	}
	if v.Types > 0 || len(unknown) > 0 || len(all) == 0 {
		return v
	}
	v.Code = CodeJobRequirement
	v.Why, v.Fix = e.lacking(n, all)
	return v
}

// fits reports whether a job of that need can be on an instance of a type.
func (n Need) fits(t instances.Type) bool {
	return n.VCPUs <= float64(t.VCPUs) && n.MemoryMiB <= t.Usable() && n.GPUs <= t.GPUs && n.arch(t)
}

func (n Need) arch(t instances.Type) bool { return n.Arch == "" || n.Arch == t.Arch }

// Fitting returns the instance types of the environment that can hold a job of that need,
// in the order of the environment.
func (e Environment) Fitting(n Need) []instances.Type {
	all, _ := instances.Expand(e.InstanceTypes)
	return slices.DeleteFunc(all, func(t instances.Type) bool { return !n.fits(t) })
}

// lacking says what all instance types have too little of, and what would help.
func (e Environment) lacking(n Need, all []instances.Type) (why, fix string) {
	of := all
	for _, step := range []struct {
		ok  func(t instances.Type) bool
		why func() string
		fix string
	}{
		{n.arch, func() string {
			return fmt.Sprintf("the job is for %s, and the instances of %s (%s) are of %s", n.Arch, e.Name, e.types(), all[0].Arch)
		}, "write architecture = \"" + all[0].Arch + "\" in the step's container block and use such an image"},
		{func(t instances.Type) bool { return n.GPUs <= t.GPUs }, func() string {
			most := slices.MaxFunc(of, func(a, b instances.Type) int { return cmp.Compare(a.GPUs, b.GPUs) })
			if most.GPUs == 0 {
				return fmt.Sprintf("the job needs %s, and no instance type of %s (%s) has one", gpus(n.GPUs), e.Name, e.types())
			}
			return fmt.Sprintf("the job needs %s, and the most that an instance of %s has is %d, on %s", gpus(n.GPUs), e.Name, most.GPUs, most.Name)
		}, "ask for fewer GPUs"},
		{func(t instances.Type) bool { return n.VCPUs <= float64(t.VCPUs) }, func() string {
			most := slices.MaxFunc(of, func(a, b instances.Type) int { return cmp.Compare(a.VCPUs, b.VCPUs) })
			return fmt.Sprintf("the job needs %v vCPUs, and the largest instance type of %s, %s, has %d", n.VCPUs, e.Name, most.Name, most.VCPUs)
		}, "ask for fewer vCPUs"},
		{func(t instances.Type) bool { return n.MemoryMiB <= t.Usable() }, nil, ""},
	} {
		fit := slices.DeleteFunc(slices.Clone(of), func(t instances.Type) bool { return !step.ok(t) })
		if len(fit) > 0 {
			of = fit
			continue
		}
		more := n
		more.Arch = all[0].Arch // an environment has instances of one architecture only
		switch {
		case step.why == nil:
			return e.memory(more, of)
		case n.Arch != "" && n.Arch != more.Arch:
			return step.why(), step.fix + ", or use a queue with environments of such instance types"
		}
		return step.why(), e.larger(more, step.fix)
	}
	return "", "" // some type has all of it, and there would have been no question
}

// memory says that all instance types have too little memory. What is asked for may be
// what the type has by its name, and more than jobs can have of it (Batch User Guide,
// memory-management).
func (e Environment) memory(n Need, of []instances.Type) (why, fix string) {
	most := slices.MaxFunc(of, func(a, b instances.Type) int { return cmp.Compare(a.MemoryMiB, b.MemoryMiB) })
	which := "the largest instance type of " + e.Name + " that has the rest, " + most.Name + ","
	if len(of) == 1 {
		which = most.Name + " in " + e.Name
	}
	why = fmt.Sprintf("the job needs %d MiB, and %s has %d MiB for jobs: of its %d MiB the system and the agent of ECS keep some", n.MemoryMiB, which, most.Usable(), most.MemoryMiB)
	return why, e.larger(n, fmt.Sprintf("ask for %d MiB less", n.MemoryMiB-most.Usable()))
}

// larger says which instance type would do, of the families that the environment has if one
// of them has it.
func (e Environment) larger(n Need, less string) string {
	var families []string
	for _, t := range e.InstanceTypes {
		family, _, _ := strings.Cut(t, ".")
		if !slices.Contains(families, family) {
			families = append(families, family)
		}
	}
	for _, from := range [][]string{families, {"m6i", "c6i", "r6i", "m6g", "c6g", "r6g"}, {"g5", "g4dn", "g5g", "p4d", "p5", "r7i", "x2idn", "x2iedn"}} {
		if t, ok := smallest(n, from); ok {
			return less + ", or add " + t.Name + " to instance_types of " + e.Name
		}
	}
	return less + ": flow knows of no instance type that has so much"
}

// smallest returns the smallest type of the families that can hold a job of that need.
func smallest(n Need, families []string) (instances.Type, bool) {
	all, _ := instances.Expand(families)
	all = slices.DeleteFunc(all, func(t instances.Type) bool { return !n.fits(t) || strings.Contains(t.Name, "metal") })
	if len(all) == 0 {
		return instances.Type{}, false
	}
	return slices.MinFunc(all, func(a, b instances.Type) int {
		return cmp.Or(cmp.Compare(a.VCPUs, b.VCPUs), cmp.Compare(a.MemoryMiB, b.MemoryMiB))
	}), true
}

// types names the instance types, the first few of them.
func (e Environment) types() string {
	const most = 4
	if n := len(e.InstanceTypes) - most; n > 0 {
		return strings.Join(e.InstanceTypes[:most], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(e.InstanceTypes, ", ")
}
