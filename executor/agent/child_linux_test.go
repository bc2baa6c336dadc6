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
