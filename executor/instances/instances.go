package instances

import (
	"slices"
	"strings"

	"flow/engine"
)

// The architectures, as AWS Batch names them (RuntimePlatform.cpuArchitecture).
const (
	X86 = "X86_64"
	ARM = "ARM64"
)

// A Type is an instance type of EC2.
type Type struct {
	Name      string // c6i.4xlarge
	VCPUs     int
	MemoryMiB int
	GPUs      int
	Arch      string // X86, ARM
	// Hour is the price on demand of an hour with Linux in us-east-1, on Date; 0: not known.
	Hour engine.Money
}

// Family returns what stands before the dot.
func (t Type) Family() string {
	name, _, _ := strings.Cut(t.Name, ".")
	return name
}

// Usable returns the MiB that jobs can have: a few per cent are the kernel's and the
// agent's, and Batch reserves 32 MiB. An m4.large of 8 GiB has 7985 - 32 (Batch User
// Guide, memory-management).
func (t Type) Usable() int { return t.MemoryMiB*975/1000 - 32 }

// Find returns the instance type of a name.
func Find(name string) (Type, bool) {
	family, _, _ := strings.Cut(name, ".")
	list := table()[family]
	if i := slices.IndexFunc(list, func(t Type) bool { return t.Name == name }); i >= 0 {
		return list[i], true
	}
	return Type{}, false
}

var (
	defaultX86 = []string{"m6i", "c6i", "r6i", "c7i"}
	defaultARM = []string{"m6g", "c6g", "r6g", "c7g"}
)

// Bundle returns the families that Batch chooses from when it is told a name that is no
// type and no family of EC2 (ComputeResource.instanceTypes), and nil for any other name.
// Batch may take others in a region that has not got these.
func Bundle(name string) []string {
	switch name {
	case "optimal", "default_x86_64", "default-x86_64":
		return defaultX86
	case "default_arm64", "default-arm64":
		return defaultARM
	}
	return nil
}

// Expand returns the instance types that a compute environment with that list may have, in
// order and once each, and what of the list is in no table here.
func Expand(names []string) (types []Type, unknown []string) {
	seen := map[string]bool{}
	add := func(list ...Type) {
		for _, t := range list {
			if !seen[t.Name] {
				seen[t.Name] = true
				types = append(types, t)
			}
		}
	}
	for _, name := range names {
		families := Bundle(name)
		if families == nil {
			families = []string{name}
		}
		for _, f := range families {
			if one, ok := Find(f); ok {
				add(one)
			} else if list := table()[f]; list != nil {
				add(list...)
			} else {
				unknown = append(unknown, f)
			}
		}
	}
	return types, unknown
}

// IsARM reports whether a type, a family or a bundle is of Graviton. It knows those that
// are in no table by their names: a g behind the generation, as in m6g, c7gn and im4gn.
func IsARM(name string) bool {
	if of := Bundle(name); of != nil {
		name = of[0]
	}
	family, _, _ := strings.Cut(name, ".")
	if list := table()[family]; list != nil {
		return list[0].Arch == ARM
	}
	digit := strings.IndexAny(family, "0123456789")
	return digit >= 0 && strings.Contains(family[digit:], "g")
}
