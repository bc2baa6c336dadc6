package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

// TestFleetTriesWhatIsMissing: a run is left for good only if it is not there, or somebody else drives it, and not since
// something that it needs was not found.
func TestFleetTriesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	row := b.row(b.create(`step "s" { command = ["true"] }`))
	f := b.a.newFleet(b.db, b.o)
	after := func(id engine.RunID, why error) bool {
		t.Helper()
		f.take(state.Run{ID: id})
		f.after(t.Context(), f.next(), false, why)
		m := f.members[id]
		delete(f.members, id)
		return m != nil && m.due.After(time.Now())
	}
	for _, why := range []error{engine.ErrNotFound, engine.ErrConflict, errors.New("no luck")} {
		if !after(row.ID, fmt.Errorf("an object: %w", why)) {
			t.Errorf("%v: it is not tried again later", why)
		}
		if errors.Is(why, engine.ErrNotFound) && after("01k00000000000000000000000", why) {
			t.Errorf("%v: it is tried again though the run was removed", why)
		}
	}
	if _, err := b.db.Acquire(t.Context(), row.ID, state.Self("a person")); err != nil {
		t.Fatal(err)
	}
	for _, why := range []error{engine.ErrConflict, &state.HeldError{}} {
		if after(row.ID, why) {
			t.Errorf("%v: it is tried again though somebody drives it", why)
		}
	}
	if f.driven != 0 {
		t.Errorf("%d are driven", f.driven)
	}
}

// TestFleetCancels: a run that cannot go on can be cancelled, at once.
func TestFleetCancels(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	b.first = lastSetback
	auto := filepath.Join(b.dir, "flow.vars.hcl")
	write(t, auto, `key = "open"`)
	id := b.create(`
variable "key" {
  type      = string
  sensitive = true
}
step "s" {
  secrets = { KEY = var.key }
  command = ["true"]
}
`)
	if err := os.Remove(auto); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.until("the trouble is kept", func() bool { return b.trouble() != "" })
	if _, err := b.db.AddRequest(t.Context(), id, state.RequestCancel, "no more"); err != nil {
		t.Fatal(err)
	}
	b.until("it has ended", func() bool { return !b.row(id).Ended.IsZero() })
	if row := b.row(id); row.Status != engine.Cancelled || row.Reason != "no more" {
		t.Errorf("the run is %s: %s", row.Status, row.Reason)
	}
}
