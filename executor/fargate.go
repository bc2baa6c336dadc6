package executor

import (
	"fmt"
	"strings"
)

// A FargateSize is a number of vCPUs that AWS Fargate has, in thousandths, and the memory
// that goes with it, in MiB: From, and from there in steps up to To (Batch API reference,
// ResourceRequirement).
type FargateSize struct{ MilliCPUs, From, To, Step int }

// FargateSizes are all sizes, the smallest first; of one number of vCPUs by memory.
var FargateSizes = []FargateSize{
	{250, 512, 512, 1024}, {250, 1024, 2048, 1024},
	{500, 1024, 4096, 1024},
	{1000, 2048, 8192, 1024},
	{2000, 4096, 16384, 1024},
	{4000, 8192, 30720, 1024},
	{8000, 16384, 61440, 4096},
	{16000, 32768, 122880, 8192},
}

// vCPUs returns the number of vCPUs of the size.
func (s FargateSize) vCPUs() float64 { return float64(s.MilliCPUs) / 1000 }

// FitsFargate reports whether Fargate has that pair of vCPUs and MiB of memory.
func FitsFargate(vcpus float64, mib int) bool {
	for _, s := range FargateSizes {
		if vcpus == s.vCPUs() && mib >= s.From && mib <= s.To && (mib-s.From)%s.Step == 0 {
			return true
		}
	}
	return false
}

// NearestFargate returns the smallest pair of Fargate with at least that many vCPUs and
// MiB of memory. It is not ok if Fargate has nothing so large; then it is the largest.
func NearestFargate(vcpus float64, mib int) (v float64, m int, ok bool) {
	for _, s := range FargateSizes {
		if v, m = s.vCPUs(), s.From; vcpus > v || mib > s.To {
			m = s.To
			continue
		}
		if mib > m {
			m += (mib - s.From + s.Step - 1) / s.Step * s.Step
		}
		return v, m, true
	}
	return v, m, false
}

// FargateMemory says for people which memory goes with a number of vCPUs on Fargate; ""
// if there is no such number.
func FargateMemory(vcpus float64) string {
	var parts []string
	for _, s := range FargateSizes {
		switch {
		case vcpus != s.vCPUs():
		case s.From == s.To:
			parts = append(parts, fmt.Sprintf("%d MiB", s.From))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d MiB in steps of %d", s.From, s.To, s.Step))
		}
	}
	return strings.Join(parts, ", or ")
}
