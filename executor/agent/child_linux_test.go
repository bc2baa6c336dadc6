package agent

import (
	"os"
	"testing"
)

// What a container has had at most is told without what the kernel keeps of files.
func TestPeakOfContainer(t *testing.T) {
	const stat = "anon 5\nfile 3000\nfile_mapped 7\ntotal_cache 2000\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"none", nil, 0},
		{"version 2", map[string]string{"memory.peak": "10000\n", "memory.stat": stat}, 7000},
		{"version 1", map[string]string{"memory/memory.max_usage_in_bytes": "10000\n", "memory/memory.stat": stat}, 8000},
		{"no more than files", map[string]string{"memory.peak": "10\n", "memory.stat": stat}, 0},
		{"no number", map[string]string{"memory.peak": "max\n", "memory.stat": stat}, 0},
	} {
		root := t.TempDir()
		if err := os.Mkdir(root+"/memory", 0o777); err != nil {
			t.Fatal(err)
		}
		for name, content := range tt.files {
			write(t, root+"/"+name, content)
		}
		if got := peakBelow(root); got != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.name, got, tt.want)
		}
	}
}

// TestPeakOf: what may be that of this process is an upper bound, and nothing else is.
func TestPeakOf(t *testing.T) {
	for _, tt := range []struct {
		peak, own, want int64
		atMost          bool
	}{
		{0, 100, 0, false}, {1, 100, 1, true}, {33, 100, 64, true}, {64, 100, 64, true}, {65, 100, 128, true}, {112, 100, 128, true},
		{113, 100, 113, false}, {7, 0, 7, false},
	} {
		seenPeak.Store(0)
		asked := 0
		own := func() int64 { asked++; return tt.own }
		if got, atMost := peakOf(tt.peak, own); got != tt.want || atMost != tt.atMost {
			t.Errorf("%d of a child of a process with %d: %d, %t, want %d", tt.peak, tt.own, got, atMost, tt.want)
		}
		if peakOf(tt.peak, own); tt.atMost && asked != 1 {
			t.Errorf("%d of a child of a process with %d: that was asked %d times", tt.peak, tt.own, asked)
		}
	}
	if own := ownPeak(); own < 1<<20 || own > 1<<40 {
		t.Errorf("this process has had %d bytes", own)
	}
	u := Usage{PeakMemory: 64, PeakAtMost: true}
	if u.inContainer(0); u.PeakMemory != 64 || !u.PeakAtMost {
		t.Errorf("what is not known of a container leaves %+v", u)
	}
	if u.inContainer(40); u.PeakMemory != 40 || u.PeakAtMost {
		t.Errorf("a bound of 64 in a container that had 40 is %+v", u)
	}
	if u.inContainer(30); u.PeakMemory != 40 {
		t.Errorf("a process that had 40, in a container that had 30, is %+v", u)
	}
}
