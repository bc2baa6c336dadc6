package engine

import "math"

// Used is what the program of a try has used. Zeros: not known.
type Used struct {
	PeakMemory int64 // bytes: of its largest process, or of all together in a container
	// AtMost says that PeakMemory is no peak, but what it did not exceed: Linux counts what
	// flow itself has to a process that flow has started, so that less than that is not told.
	AtMost    bool
	CPUMillis int64 // of all its processes, in user and in system mode
}

// UsedOf returns what Memory and CPU of an event say of a task.
func UsedOf(memory, cpu int64) Used {
	return Used{PeakMemory: max(memory, -memory), AtMost: memory < 0, CPUMillis: cpu}
}

// Memory returns the peak as events have it: bytes, negative where it is no peak, but what
// the program did not exceed.
func (u Used) Memory() int64 {
	if u.AtMost {
		return -u.PeakMemory
	}
	return u.PeakMemory
}

// usedPage is the unit in which peaks are kept in memory: all that kernels tell are
// multiples of it.
const usedPage = 4 << 10

// Pack returns what is used in few bytes: pages of 4 KiB, negative as Memory, and
// milliseconds, up to 8 TiB and 49 days.
func (u Used) Pack() (memory int32, cpu uint32) {
	pages := int32(min(max((u.PeakMemory+usedPage-1)/usedPage, 0), math.MaxInt32))
	if u.AtMost {
		pages = -pages
	}
	return pages, uint32(min(max(u.CPUMillis, 0), math.MaxUint32))
}

// Unpack returns what Pack has packed.
func Unpack(memory int32, cpu uint32) Used { return UsedOf(int64(memory)*usedPage, int64(cpu)) }

// Used returns what a TasksEnded says of its task at place k.
func (e *Event) Used(k int) Used { return UsedOf(e.Memory.at(k), e.CPU.at(k)) }

// at returns amount k; 0 if there are none.
func (a Amounts) at(k int) int64 {
	if a == nil {
		return 0
	}
	return a[k]
}

// uses notes what the last try of task i has used.
func (s *stepState) uses(i int, u Used) {
	if s.memory == nil {
		if u == (Used{}) {
			return
		}
		s.memory, s.cpu = make([]int32, len(s.task)), make([]uint32, len(s.task))
	}
	s.memory[i], s.cpu[i] = u.Pack()
}

// used returns what the last try of task i has used that ended.
func (s *stepState) used(i int) (u Used) {
	if s.memory != nil {
		u = Unpack(s.memory[i], s.cpu[i])
	}
	return u
}

// Used returns what the manifest says of its attempt.
func (m *Manifest) Used() Used {
	return Used{PeakMemory: m.PeakMemory, AtMost: m.PeakAtMost, CPUMillis: int64(math.Round(m.CPUSeconds * 1000))}
}

// or returns what is known of a try: by its executor, or by the manifest that it left.
func (u Used) or(m *Manifest) Used {
	if u == (Used{}) && m != nil {
		return m.Used()
	}
	return u
}

// use adds what a try has used to an event about its task.
func (e *Event) use(u Used) {
	e.Memory, e.CPU = append(e.Memory, u.Memory()), append(e.CPU, u.CPUMillis)
}

// startingSince returns since when the job of a JobStarts was seen STARTING, in milliseconds.
func (e *Event) startingSince() int64 {
	if len(e.Started) > 0 {
		return e.Started[0]
	}
	return e.At.UnixMilli()
}
