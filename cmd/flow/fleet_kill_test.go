package main

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flow/engine"
)

// serve starts a service, which ends with the test.
func (b *killBench) serve() *exec.Cmd {
	b.t.Helper()
	cmd := b.command("serve", "--port", "0", "-q")
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// TestServiceKilledAnywhere kills the service while it drives three runs, at random moments and
// without warning, and starts another one each time. Each run must end SUCCEEDED with the same
// result, and what flow had said to be finished must not have run again.
func TestServiceKilledAnywhere(t *testing.T) {
	t.Parallel()
	const tasks, runs = 24, 3
	kills := often(*killTimes, 3, 2)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newFleetBench(t)
	k := &killBench{t: t, dir: b.dir}
	b.flags.noCache = true
	b.flags.vars = varFlags{{Set: "ran=" + filepath.Join(b.dir, "ran")}}
	var ids []engine.RunID
	for range runs {
		ids = append(ids, b.create(killWorkflow))
	}
	done, began := make([]map[string]int, runs), make([]map[string]int, runs)
	look := func() {
		t.Helper()
		for i, id := range ids {
			_, now := k.finishedOf(string(id))
			begins := k.begins(string(id))
			k.same(done[i], now, began[i], begins)
			done[i], began[i] = now, begins
		}
	}
	for range kills {
		service := k.serve()
		time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second)))) // any moment will do
		if err := service.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = service.Wait() // it says that it was killed
		look()
	}
	k.serve()
	b.until("the runs have ended", func() bool {
		return !slices.ContainsFunc(ids, func(id engine.RunID) bool { return b.row(id).Ended.IsZero() })
	})
	look()
	for i, id := range ids {
		if row := b.row(id); row.Status != engine.Succeeded || len(done[i]) != tasks {
			t.Errorf("run %s is %s (%s) with %d tasks that are finished, want %d", id, row.Status, row.Reason, len(done[i]), tasks)
		}
		if got, want := k.resultOf(string(id)), k.resultOf(string(ids[0])); got != want {
			t.Errorf("the result of run %s differs:\n%s\nwant:\n%s", id, got, want)
		}
	}
}
