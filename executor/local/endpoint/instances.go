package endpoint

import (
	"strconv"
	"strings"

	"flow/executor/local/model"
)

// Instance types of EC2, as far as it matters how large a job an environment can hold.
// Figures are those of the EC2 User Guide's list of instance types; the table has the
// families that environments are made of, and what is not in it has no limit.

// A family is instance types of one kind.
type family struct {
	vcpus  int     // of the largest
	memory float64 // GiB for each vCPU
	gpus   string  // sizes and their GPUs: "xlarge=1 12xlarge=4"; "": none
}

const (
	gpusOf5 = "xlarge=1 2xlarge=1 4xlarge=1 8xlarge=1 16xlarge=1 12xlarge=4 24xlarge=4 48xlarge=8"
	gpusG4  = "xlarge=1 2xlarge=1 4xlarge=1 8xlarge=1 16xlarge=1 12xlarge=4 metal=8"
	gpusG5g = "xlarge=1 2xlarge=1 4xlarge=1 8xlarge=1 16xlarge=2 metal=2"
)

var families = map[string]family{
	"p2": {64, 11.4375, "xlarge=1 8xlarge=8 16xlarge=16"}, "p3": {64, 7.625, "2xlarge=1 8xlarge=4 16xlarge=8"}, "p3dn": {96, 8, "24xlarge=8"},
	"p4d": {96, 12, "24xlarge=8"}, "p4de": {96, 12, "24xlarge=8"},
	"p5": {192, 2048. / 192, "4xlarge=1 48xlarge=8"}, "p5e": {192, 2048. / 192, "48xlarge=8"}, "p5en": {192, 2048. / 192, "48xlarge=8"},
	"g3": {64, 7.625, "4xlarge=1 8xlarge=2 16xlarge=4"}, "g3s": {4, 7.625, "xlarge=1"},
	"g4dn": {96, 4, gpusG4}, "g4ad": {64, 4, "xlarge=1 2xlarge=1 4xlarge=1 8xlarge=2 16xlarge=4"},
	"g5": {192, 4, gpusOf5}, "g5g": {64, 2, gpusG5g}, "g6": {192, 4, gpusOf5}, "g6e": {192, 8, gpusOf5}, "gr6": {32, 8, "4xlarge=1 8xlarge=1"},
}

func init() {
	for _, row := range []struct {
		names string
		family
	}{
		// General purpose: 4 GiB.
		{"m4 a1", family{64, 4, ""}}, {"m5 m5d m5a m5ad m5n m5dn", family{96, 4, ""}}, {"m5zn", family{48, 4, ""}},
		{"m6i m6id m6in m6idn", family{128, 4, ""}}, {"m6a m7i m7a m8g m8gd", family{192, 4, ""}}, {"m7i-flex", family{64, 4, ""}},
		{"m6g m6gd m7g m7gd", family{64, 4, ""}}, {"t2 t3 t3a t4g", family{8, 4, ""}},
		// Compute optimized: 2 GiB.
		{"c4", family{36, 60. / 36, ""}}, {"c5 c5d c5a c5ad", family{96, 2, ""}}, {"c5n", family{72, 192. / 72, ""}},
		{"c6i c6id c6in", family{128, 2, ""}}, {"c6a c7i c7a c8g c8gd", family{192, 2, ""}}, {"c6g c6gd c6gn c7g c7gd c7gn", family{64, 2, ""}},
		// Memory optimized: 8 GiB and more.
		{"r4", family{64, 7.625, ""}}, {"r5 r5d r5a r5ad r5b r5n r5dn", family{96, 8, ""}}, {"r6i r6id r6in r6idn r7iz", family{128, 8, ""}},
		{"r6a r7i r7a r8g r8gd", family{192, 8, ""}}, {"r6g r6gd r7g r7gd", family{64, 8, ""}}, {"z1d", family{48, 8, ""}},
		{"x1", family{128, 15.25, ""}}, {"x1e", family{128, 30.5, ""}}, {"x2gd", family{64, 16, ""}}, {"x2idn", family{128, 16, ""}},
		{"x2iedn", family{128, 32, ""}}, {"x2iezn", family{48, 32, ""}},
		// Storage optimized.
		{"i3", family{64, 7.625, ""}}, {"i3en", family{96, 8, ""}}, {"i4i", family{128, 8, ""}}, {"im4gn", family{64, 4, ""}}, {"is4gen", family{32, 6, ""}},
		{"i4g", family{64, 8, ""}}, {"d2", family{36, 244. / 36, ""}}, {"d3", family{32, 8, ""}}, {"d3en", family{48, 4, ""}}, {"h1", family{64, 4, ""}},
	} {
		for name := range strings.FieldsSeq(row.names) {
			families[name] = row.family
		}
	}
	a1 := families["a1"]
	a1.vcpus, a1.memory = 16, 2
	families["a1"] = a1
}

// bundles are what Batch chooses from (ComputeResource.instanceTypes).
var bundles = map[string][]string{
	"optimal": defaultX86, "default_x86_64": defaultX86, "default-x86_64": defaultX86,
	"default_arm64": defaultArm, "default-arm64": defaultArm,
}

var (
	defaultX86 = []string{"m6i", "c6i", "r6i", "c7i"}
	defaultArm = []string{"m6g", "c6g", "r6g", "c7g"}
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
		if bundles[t] == nil {
			name, size, whole := strings.Cut(t, ".")
			if !familyName().MatchString(name) || whole && !sizeName().MatchString(size) {
				return refuse("Instance type can only be one of [optimal, default_x86_64, default_arm64] or a type or family of EC2, got %s", t)
			}
		}
		if isArm(t) {
			arm++
		}
	}
	if arm != 0 && arm != len(list) {
		return refuse("arm-based instance type cannot be used with other instance types.")
	}
	return nil
}

// isArm reports whether an instance type, family or bundle is of Graviton: a g behind
// the generation, as in m6g, c7gn and im4gn, or a1.
func isArm(t string) bool {
	if of := bundles[t]; of != nil {
		t = of[0]
	}
	name, _, _ := strings.Cut(t, ".")
	digit := strings.IndexAny(name, "0123456789")
	return name == "a1" || digit >= 0 && strings.Contains(name[digit:], "g")
}

// largest returns the most that one instance of the types has for a job. The largest
// of each kind may be of different types: a job that needs all of them is then taken for
// one that fits. A zero field is no limit, but no GPU at all is noGPU.
func largest(list []string) model.Capacity {
	var sum model.Capacity
	for _, t := range list {
		names := bundles[t]
		if names == nil {
			names = []string{t}
		}
		for _, name := range names {
			one, known := instance(name)
			if !known {
				return model.Capacity{}
			}
			sum.VCPUs, sum.MemoryMiB, sum.GPUs = max(sum.VCPUs, one.VCPUs), max(sum.MemoryMiB, one.MemoryMiB), max(sum.GPUs, one.GPUs)
		}
	}
	if sum.GPUs == 0 && len(list) > 0 {
		sum.GPUs = noGPU
	}
	return sum
}

// instance returns what an instance type, or the largest of a family, has for jobs.
func instance(t string) (model.Capacity, bool) {
	name, size, one := strings.Cut(t, ".")
	f, ok := families[name]
	if !ok {
		return model.Capacity{}, false
	}
	if !one {
		gpus := 0
		for s := range strings.FieldsSeq(f.gpus) {
			_, n := gpusIn(s)
			gpus = max(gpus, n)
		}
		return model.Capacity{VCPUs: float64(f.vcpus), MemoryMiB: registered(float64(f.vcpus) * f.memory), GPUs: gpus}, true
	}
	vcpus, gib := f.size(name, size)
	c := model.Capacity{VCPUs: vcpus, MemoryMiB: registered(gib)}
	for s := range strings.FieldsSeq(f.gpus) {
		if of, n := gpusIn(s); of == size {
			c.GPUs = n
		}
	}
	return c, true
}

func gpusIn(entry string) (size string, n int) {
	size, text, _ := strings.Cut(entry, "=")
	n, _ = strconv.Atoi(text) // of the table above
	return size, n
}

// size returns the vCPUs and the GiB of a size of a family.
func (f *family) size(name, size string) (vcpus, gib float64) {
	vcpus = 2
	switch size {
	case "nano", "micro", "small", "medium":
		if isArm(name) && name != "t4g" {
			return 1, f.memory // m6g.medium
		}
		gib = map[string]float64{"nano": 0.5, "micro": 1, "small": 2, "medium": 4}[size]
		if name == "t2" && size != "medium" {
			vcpus = 1
		}
		return vcpus, gib
	case "large":
	case "xlarge":
		vcpus = 4
	case "metal":
		vcpus = float64(f.vcpus)
	default: // 4xlarge, metal-48xl
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(size, "metal-"), "xlarge"), "xl"))
		vcpus = float64(4 * n)
	}
	if n := strings.TrimSuffix(size, "xlarge"); n == "8" && f.vcpus == 36 {
		vcpus = 36 // c4.8xlarge, d2.8xlarge
	}
	return vcpus, vcpus * f.memory
}

// registered returns the MiB of an instance of that many GiB that jobs can have: a few
// per cent are the kernel's and the agent's, and Batch reserves 32 MiB. An m4.large of 8
// GiB has 7985 - 32 (Batch User Guide, memory-management).
func registered(gib float64) int { return int(gib*1024*0.975) - 32 }
