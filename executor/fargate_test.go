package executor_test

import (
	"testing"

	"flow/executor"
)

// TestFargateSizes compares the table with what the reference lists of each number of
// vCPUs (ResourceRequirement).
func TestFargateSizes(t *testing.T) {
	steps := func(from, to, step int) (all []int) {
		for m := from; m <= to; m += step {
			all = append(all, m)
		}
		return all
	}
	for vcpus, want := range map[float64][]int{
		0.25: {512, 1024, 2048},
		0.5:  {1024, 2048, 3072, 4096},
		1:    steps(2048, 8192, 1024),
		2:    steps(4096, 16384, 1024),
		4:    steps(8192, 30720, 1024),
		8:    steps(16384, 61440, 4096),
		16:   steps(32768, 122880, 8192),
		3:    nil,
		0.75: nil,
		32:   nil,
	} {
		legal := map[int]bool{}
		for _, m := range want {
			legal[m] = true
		}
		for m := 0; m <= 130000; m += 256 {
			if got := executor.FitsFargate(vcpus, m); got != legal[m] {
				t.Errorf("FitsFargate(%v, %d) = %v, want %v", vcpus, m, got, legal[m])
			}
		}
	}
}

func TestNearestFargate(t *testing.T) {
	for _, c := range []struct {
		vcpus float64
		mib   int
		v     float64
		m     int
		ok    bool
	}{
		{0.25, 512, 0.25, 512, true},
		{0.1, 600, 0.25, 1024, true},
		{0.25, 4000, 0.5, 4096, true},
		{1, 512, 1, 2048, true},
		{3, 4000, 4, 8192, true},
		{4, 8000, 4, 8192, true},
		{1, 100000, 16, 106496, true},
		{32, 1024, 16, 122880, false},
		{1, 200000, 16, 122880, false},
	} {
		v, m, ok := executor.NearestFargate(c.vcpus, c.mib)
		if v != c.v || m != c.m || ok != c.ok {
			t.Errorf("NearestFargate(%v, %d) = %v, %d, %v, want %v, %d, %v", c.vcpus, c.mib, v, m, ok, c.v, c.m, c.ok)
		}
		if ok && !executor.FitsFargate(v, m) {
			t.Errorf("NearestFargate(%v, %d) = %v, %d, which Fargate does not have", c.vcpus, c.mib, v, m)
		}
	}
}
