package local

import (
	"testing"

	"flow/engine"
	"flow/executor/local/model"
)

// TestRoomOfProcesses: executors that share a room, and its threads, run real programs.
func TestRoomOfProcesses(t *testing.T) {
	t.Parallel()
	room := NewRoom(model.Capacity{VCPUs: 2, MemoryMiB: 1000})
	dir := t.TempDir()
	var all []*Executor
	var ids []engine.JobID
	for range 5 {
		x := openTest(t, Options{Room: room, VCPUs: 100})
		s := spec("a", 4)
		s.WorkDir = dir
		all, ids = append(all, x), append(ids, submit(t, x, s))
	}
	for i, x := range all {
		until(t, x, ids[i], engine.JobSucceeded)
	}
	room.crew.mu.Lock()
	defer room.crew.mu.Unlock()
	if n := room.crew.n; n == 0 || n > 4 { // one that has ended its try may not be idle yet
		t.Errorf("%d threads for a machine of 2 vCPUs", n)
	}
}
