package instances

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/executortest/fetched"
)

// What AWS's price list and EC2's list of types say, one of each kind of line.
func TestFind(t *testing.T) {
	for _, want := range []Type{
		{"m6i.large", 2, 8192, 0, X86, 96_000},
		{"c6i.32xlarge", 128, 262144, 0, X86, 5_440_000},
		{"r6i.metal", 128, 1048576, 0, X86, 8_064_000},
		{"c7i.metal-24xl", 96, 196608, 0, X86, 4_712_400},
		{"c6g.medium", 1, 2048, 0, ARM, 34_000},
		{"c7g.medium", 1, 2048, 0, ARM, 36_300},
		{"m5.24xlarge", 96, 393216, 0, X86, 4_608_000},
		{"c5.9xlarge", 36, 73728, 0, X86, 1_530_000},
		{"c4.8xlarge", 36, 61440, 0, X86, 1_591_000},
		{"c5n.18xlarge", 72, 196608, 0, X86, 3_888_000},
		{"t3.micro", 2, 1024, 0, X86, 10_400},
		{"t4g.2xlarge", 8, 32768, 0, ARM, 268_800},
		{"g4dn.xlarge", 4, 16384, 1, X86, 526_000},
		{"g5.48xlarge", 192, 786432, 8, X86, 16_288_000},
		{"p3.2xlarge", 8, 62464, 1, X86, 3_060_000},
		{"p4d.24xlarge", 96, 1179648, 8, X86, 21_957_642},
		{"p5e.48xlarge", 192, 2097152, 8, X86, 0},
		{"x1e.32xlarge", 128, 3997696, 0, X86, 26_688_000},
	} {
		got, ok := Find(want.Name)
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s: %v (-want +got)\n%s", want.Name, ok, d)
		}
	}
	for _, name := range []string{"", "m6i", "m6i.", "m6i.medium", "m6i.large.", "optimal", "q1.large"} {
		if got, ok := Find(name); ok {
			t.Errorf("%q is %+v", name, got)
		}
	}
}

func TestExpand(t *testing.T) {
	for _, test := range []struct {
		names, unknown []string
		count          int
		first, last    string
	}{
		{nil, nil, 0, "", ""},
		{[]string{"m5.large"}, nil, 1, "m5.large", "m5.large"},
		{[]string{"m6g"}, nil, 9, "m6g.medium", "m6g.metal"},
		{[]string{"c5", "c5.large", "m5.large"}, nil, 10, "c5.large", "m5.large"},
		{[]string{"optimal"}, nil, 41, "m6i.large", "c7i.metal-48xl"},
		{[]string{"default_arm64", "c7g"}, nil, 36, "m6g.medium", "c7g.metal"},
		{[]string{"m6i.bigger", "q9"}, []string{"m6i.bigger", "q9"}, 0, "", ""},
	} {
		types, unknown := Expand(test.names)
		var first, last string
		if len(types) > 0 {
			first, last = types[0].Name, types[len(types)-1].Name
		}
		if len(types) != test.count || first != test.first || last != test.last || !slices.Equal(unknown, test.unknown) {
			t.Errorf("%v: %d types from %q to %q, unknown %v", test.names, len(types), first, last, unknown)
		}
	}
}

// An m4.large has 7985 MiB for ECS, and Batch keeps 32 (Batch User Guide, memory-management).
func TestUsable(t *testing.T) {
	m4, _ := Find("m4.large")
	if got := m4.Usable(); got != 7955 {
		t.Errorf("m4.large has %d MiB for jobs", got)
	}
}

func TestIsARM(t *testing.T) {
	for name, want := range map[string]bool{
		"m6g": true, "c7gn.large": true, "im4gn.xlarge": true, "a1": true, "t4g.nano": true, "g5g": true, "is4gen": true, "x2gd": true, "hpc7g": true, "g5g.metal": true, "x9gd.large": true, "default_arm64": true,
		"g4dn": false, "gr6": false, "m5": false, "c6a.large": false, "optimal": false, "q5": false, "g5": false, "p4d": false, "u-6tb1.metal": false,
		"m7i-flex.large": false, "trn1.32xlarge": false,
	} {
		if IsARM(name) != want {
			t.Errorf("IsARM(%q) = %v", name, !want)
		}
	}
}

// Every line can be read; sizes grow, and so do their prices.
func TestTable(t *testing.T) {
	priced := 0
	for name, list := range table() {
		for i, one := range list {
			if one.VCPUs < 1 || one.MemoryMiB < 512 || one.Usable() < 400 || one.Hour < 0 || one.Hour > 200*engine.USD || one.Family() != name {
				t.Errorf("%+v", one)
			}
			if i > 0 && (one.VCPUs < list[i-1].VCPUs || one.MemoryMiB < list[i-1].MemoryMiB) {
				t.Errorf("%s is not in order after %s", one.Name, list[i-1].Name)
			}
			if one.Hour > 0 {
				priced++
			}
		}
	}
	if priced < 1000 {
		t.Errorf("%d types have a price", priced)
	}
	for _, family := range []string{"m6i", "c6i", "r6i", "c7i", "m6g", "c6g", "r6g", "c7g", "m5", "c5", "r5", "m7i", "r7i", "m7g", "r7g", "g4dn", "g5", "g6", "p3", "p4d", "t3"} {
		for _, one := range table()[family] {
			if one.Hour == 0 {
				t.Errorf("%s has no price", one.Name)
			}
		}
		if table()[family] == nil {
			t.Errorf("there is no family %s", family)
		}
	}
}

// What both know of a type is the same.
func TestAgreesWithDescribeInstanceTypes(t *testing.T) {
	known := describeInstanceTypes(t)
	both := 0
	for _, list := range table() {
		for _, mine := range list {
			theirs, ok := known[mine.Name]
			if !ok {
				continue
			}
			both++
			theirs.Hour = mine.Hour
			if d := cmp.Diff(theirs, mine); d != "" {
				t.Errorf("(-moto +flow)\n%s", d)
			}
		}
	}
	if both < 1000 {
		t.Errorf("compared only %d types", both)
	}
}

// describeInstanceTypes returns what EC2 answered to DescribeInstanceTypes, as moto has it.
func describeInstanceTypes(t *testing.T) map[string]Type {
	t.Helper()
	pattern := fetched.Path("engines", "lib", "python3*", "site-packages", "moto", "ec2", "resources", "instance_types.json.gz")
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		fetched.Need(t, fetched.Path("engines", "bin", "moto_server"))
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		VCPUInfo      struct{ DefaultVCpus int }
		MemoryInfo    struct{ SizeInMiB int }
		ProcessorInfo struct{ SupportedArchitectures []string }
		GPUInfo       struct{ Gpus []struct{ Count int } }
	}
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	known := map[string]Type{}
	for name, of := range all {
		one := Type{Name: name, VCPUs: of.VCPUInfo.DefaultVCpus, MemoryMiB: of.MemoryInfo.SizeInMiB, Arch: X86}
		if slices.Contains(of.ProcessorInfo.SupportedArchitectures, "arm64") {
			one.Arch = ARM
		}
		for _, g := range of.GPUInfo.Gpus {
			one.GPUs += g.Count
		}
		known[name] = one
	}
	return known
}

// A year of a million tasks, each of which has the dearest instance to itself, can be counted
// with.
func TestLargestCost(t *testing.T) {
	var dearest engine.Money
	for _, list := range table() {
		for _, one := range list {
			dearest = max(dearest, one.Hour)
		}
	}
	const hours = 1_000_000 * 366 * 24
	want := float64(dearest) * hours
	if want > math.MaxInt64/4 {
		t.Errorf("%v for an hour is too much", dearest)
	}
	if got := (&engine.Rate{Hour: dearest}).Cost(hours * 3_600_000); got != dearest*hours {
		t.Errorf("%d, want %v", got, want)
	}
}
