package runstat

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

const gib = int64(1 << 30)

// TestAdvice has two tasks that ran 100 s each, and says what they used.
func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		name   string
		asked  engine.Resources
		memory []int64
		cpu    []int64 // seconds
		want   []Advice
	}{
		{"nothing is known", engine.Resources{VCPUs: 8, MemoryMiB: 16384}, nil, nil, nil},
		{"far too much memory", engine.Resources{VCPUs: 1, MemoryMiB: 16384}, []int64{gib, 31 * gib / 10}, nil,
			[]Advice{{LessMemory, "asked 16.0 GiB, peak 3.1 GiB: 4 GiB would do"}}},
		{"little memory", engine.Resources{VCPUs: 1, MemoryMiB: 2048}, []int64{gib / 4, gib / 2}, nil,
			[]Advice{{LessMemory, "asked 2.0 GiB, peak 512.0 MiB: 640 MiB would do"}}},
		{"a bound below the peak", engine.Resources{VCPUs: 1, MemoryMiB: 16384}, []int64{gib, -gib / 8}, nil,
			[]Advice{{LessMemory, "asked 16.0 GiB, peak 1.0 GiB: 1.5 GiB would do"}}},
		{"a bound above the peak", engine.Resources{VCPUs: 1, MemoryMiB: 16384}, []int64{gib / 16, -gib / 8}, nil, nil},
		{"bounds alone", engine.Resources{VCPUs: 1, MemoryMiB: 16384}, []int64{-gib / 8, -gib / 8}, nil, nil},
		{"a bound is not nearly all", engine.Resources{VCPUs: 1, MemoryMiB: 64}, []int64{-gib / 16, -gib / 16}, nil, nil},
		{"a third is worth no words", engine.Resources{VCPUs: 1, MemoryMiB: 5 * 1024}, []int64{gib, 3 * gib}, nil, nil},
		{"nearly all", engine.Resources{VCPUs: 1, MemoryMiB: 4096}, []int64{gib, 4*gib - gib/8}, nil,
			[]Advice{{MoreMemory, "asked 4.0 GiB, peak 3.9 GiB: a task that needs more is killed where that is the limit; 5 GiB would do"}}},
		{"too many processors", engine.Resources{VCPUs: 8, MemoryMiB: 1024}, nil, []int64{110, 90},
			[]Advice{{FewerVCPUs, "asked 8 vCPUs, used 1.0 on average: 2 would do"}}},
		{"busy", engine.Resources{VCPUs: 8, MemoryMiB: 1024}, nil, []int64{500, 600}, nil},
		{"one processor is the least", engine.Resources{VCPUs: 1, MemoryMiB: 1024}, nil, []int64{1, 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := ended(1, engine.Upto(2), engine.TaskSucceeded, []int64{ms(0), ms(1)}, []int64{ms(100), ms(101)})
			e.Memory = c.memory
			for _, s := range c.cpu {
				e.CPU = append(e.CPU, s*1000)
			}
			run, _ := fold(t, 2, c.asked, planned(1, 2, 0), e)
			s := Of(run, "align")
			if diff := cmp.Diff(c.want, s.Advice); diff != "" {
				t.Error(diff)
			}
			if s.Duration.N != 2 || s.Duration.Median != 100_000 || s.Asked != c.asked || s.AskedMost != c.asked {
				t.Errorf("step: %+v", s)
			}
		})
	}
}

// TestShortWorkSaysNothing checks that nothing is concluded from a moment of work.
func TestShortWorkSaysNothing(t *testing.T) {
	e := ended(1, engine.Upto(2), engine.TaskSucceeded, []int64{ms(0), ms(0)}, []int64{ms(1), ms(1)})
	e.CPU = []int64{10, 10}
	run, _ := fold(t, 2, engine.Resources{VCPUs: 8, MemoryMiB: 1024}, planned(1, 2, 0), e)
	if got := Of(run, "align"); got.Advice != nil || got.CPU.N != 2 {
		t.Errorf("%+v", got)
	}
}

// TestCachedTasksDoNotCount checks that a step says nothing of what ran in another run.
func TestCachedTasksDoNotCount(t *testing.T) {
	run, _ := fold(t, 1, engine.Resources{})
	for _, s := range Steps(run) {
		if s.Duration.N != 0 || s.Advice != nil || s.Asked != (engine.Resources{}) {
			t.Errorf("%+v", s)
		}
	}
}

// TestAdviceIsEnough checks that what is advised holds what was used, and saves something.
func TestAdviceIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peak := rapid.Int64Range(1, 512*gib).Draw(t, "peak")
		if got := roundMemory(peak); got < peak || got-peak >= gib || got%(128<<20) != 0 {
			t.Fatalf("%d is rounded to %d", peak, got)
		}
	})
}

// TestBoundIsNoPeak checks that what a task did not exceed is not taken for its peak.
func TestBoundIsNoPeak(t *testing.T) {
	e := ended(1, engine.Upto(3), engine.TaskSucceeded, []int64{ms(0), ms(0), ms(0)}, []int64{ms(1), ms(1), ms(1)})
	e.Memory = []int64{-gib / 8, gib / 16, -gib / 4}
	run, _ := fold(t, 3, engine.Resources{VCPUs: 1, MemoryMiB: 1024}, planned(1, 3, 0), e)
	got := Of(run, "align")
	if got.Memory.N != 1 || got.Memory.Max != gib/16 || got.Bounded != 2 || got.AtMost != gib/4 {
		t.Errorf("memory %+v, and of %d at most %d", got.Memory, got.Bounded, got.AtMost)
	}
}
