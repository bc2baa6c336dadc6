package local

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"strconv"

	"flow/executor/local/model"
)

// capacity is the size of the instance that jobs are packed on.
func (o *Options) capacity() model.Capacity {
	if o.Room != nil && o.VCPUs <= 0 {
		o.VCPUs = o.Room.size.VCPUs
	}
	if o.Room != nil && o.MemoryMiB <= 0 {
		o.MemoryMiB = o.Room.size.MemoryMiB
	}
	if o.Room != nil && o.GPUs <= 0 {
		o.GPUs = o.Room.size.GPUs
	}
	return Machine(model.Capacity{VCPUs: o.VCPUs, MemoryMiB: o.MemoryMiB, GPUs: o.GPUs})
}

// Machine returns c with what this machine has where c says nothing. No GPUs are looked
// for.
func Machine(c model.Capacity) model.Capacity {
	if c.VCPUs <= 0 {
		c.VCPUs = float64(runtime.NumCPU())
	}
	if c.MemoryMiB <= 0 {
		c.MemoryMiB = machineMemoryMiB()
	}
	return c
}

// unknownMemoryMiB is taken where the system does not say how much memory there is.
const unknownMemoryMiB = 8192

// machineMemoryMiB returns the memory of the machine, or of the control group that
// this process lives in if that is less.
func machineMemoryMiB() int {
	least := math.MaxInt
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, rest, ok := bytes.Cut(b, []byte("MemTotal:")); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				if kib, err := strconv.Atoi(string(f[0])); err == nil {
					least = kib / 1024
				}
			}
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.Atoi(string(bytes.TrimSpace(b))); err == nil { // else "max"
			least = min(least, n>>20)
		}
	}
	if least == math.MaxInt || least <= 0 {
		return unknownMemoryMiB
	}
	return least
}
