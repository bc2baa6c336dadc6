package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

const monthly = `
workflow "monthly" {}
variable "day" { type = string }
schedule "daily" {
  cron      = "30 2 * * *"
  time_zone = "America/New_York"
  vars      = { day = formatdate("YYYY-MM-DD", schedule.local_time) }
}
step "report" {
  env    = { day = var.day }
  script = "echo $day > $report"
  output "report" {
    file    = "report"
    publish = "results/${var.day}"
  }
}
`

// TestBackfillKilled kills a backfill of 31 days again and again, and goes on with it by the same
// command: each day gets one run, and never more than three go on at a time.
func TestBackfillKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t, "monthly.hcl", monthly)
	args := []string{"schedule", "backfill", "daily", "--from", "2026-03-01", "--to", "2026-04-01", "--max-parallel", "3"}
	for _, runs := range []int{1, 5, 9, 14, 21} {
		cmd := b.begin(args...)
		slots := b.slotsOnce(func(slots []state.Slot) bool { return started(slots) >= runs })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if n := started(slots); n >= 31 {
			t.Fatalf("%d runs had begun when it was killed: nothing was left to go on with", n)
		}
	}
	b.exits(0, args...)
	b.exits(0, args...) // nothing is left to do

	slots := b.slotsOnce(func([]state.Slot) bool { return true })
	if len(slots) != 31 {
		t.Fatalf("%d slots, want 31", len(slots))
	}
	db := b.openDB()
	defer db.Close()
	runs, err := db.Runs(t.Context(), state.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 31 {
		t.Errorf("%d runs, want 31", len(runs))
	}
	of := map[engine.RunID]bool{}
	for i := range slots {
		s := &slots[i]
		of[s.Run] = true
		if s.RunStatus != engine.Succeeded {
			t.Errorf("slot %s: its run %s is %s", s.Time, s.Run, s.RunStatus)
		}
		day := s.Time.Add(-5 * time.Hour).Format(time.DateOnly) // in New York
		if _, err := os.Stat(filepath.Join(b.dir, "results", day)); err != nil {
			t.Errorf("slot %s has left no result: %v", s.Time, err)
		}
	}
	for i := range runs {
		if !of[runs[i].ID] {
			t.Errorf("run %s is of no slot", runs[i].ID)
		}
		if n := atOnce(runs, runs[i].Created); n > 3 {
			t.Errorf("%d runs at once at %s", n, runs[i].Created)
		}
	}
	inOrder(t, slots)
}

// inOrder checks that runs have begun in the order of their slots. slots are the newest first.
func inOrder(t *testing.T, slots []state.Slot) {
	t.Helper()
	for i := range slots[1:] {
		if slots[i].Started.Before(slots[i+1].Started) {
			t.Errorf("the run of %s began before that of %s", slots[i].Time, slots[i+1].Time)
		}
	}
}

// atOnce counts the runs that were not over at a time.
func atOnce(runs []state.Run, at time.Time) (n int) {
	for i := range runs {
		if !runs[i].Created.After(at) && (runs[i].Ended.IsZero() || runs[i].Ended.After(at)) {
			n++
		}
	}
	return n
}

func started(slots []state.Slot) (n int) {
	for i := range slots {
		if slots[i].Run != "" {
			n++
		}
	}
	return n
}

// openDB opens the state of the bench to read it.
func (b *killBench) openDB() *state.DB {
	b.t.Helper()
	db, err := state.Open(filepath.Join(b.dir, stateDir, "flow.db"), state.Options{ReadOnly: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return db
}

// slotsOnce returns all slots, the newest first, as soon as they are as they should be.
func (b *killBench) slotsOnce(enough func([]state.Slot) bool) []state.Slot {
	b.t.Helper()
	path := filepath.Join(b.dir, stateDir, "flow.db")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var db *state.DB
	for {
		if db == nil {
			var err error
			if db, err = state.Open(path, state.Options{ReadOnly: true}); err == nil {
				defer db.Close()
			} else if !errors.Is(err, engine.ErrNotFound) {
				b.t.Fatal(err)
			}
		}
		if db != nil {
			slots, err := db.Slots(b.t.Context(), state.SlotFilter{})
			if err != nil {
				b.t.Fatal(err)
			}
			if enough(slots) {
				return slots
			}
		}
		select {
		case <-b.t.Context().Done():
			b.t.Fatal("the slots are not as they should be")
		case <-tick.C:
		}
	}
}
