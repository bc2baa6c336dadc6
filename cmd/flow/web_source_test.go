package main

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

// TestSource says that a run is folded once, is up to date each time, and is forgotten when it
// is removed or when others were used since.
func TestSource(t *testing.T) {
	t.Parallel()
	s, db := testSite(t)
	create := func(id engine.RunID) {
		t.Helper()
		run := state.NewRun{
			Info: engine.RunInfo{Run: id, Workflow: "w", WorkDir: "/w"}, Steps: []state.StepInfo{{Name: "a"}}, Dir: "/",
			Sources: []state.Source{{Name: "w.hcl", Bytes: []byte("workflow \"w\" {}\nstep \"a\" {\n  command = [\"true\"]\n}\n")}},
		}
		if err := db.CreateRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	look := func(id engine.RunID) (p *past, seq int64) {
		t.Helper()
		if err := s.src.run(t.Context(), string(id), func(x *past) error {
			p, seq = x, x.run.Seq()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return p, seq
	}
	create("01a")
	first, seq := look("01a")
	if err := db.Append(t.Context(), "01a", seq, engine.Event{At: time.Unix(1, 0), Kind: engine.CancelRequested, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	if second, now := look("01a"); second != first || now != seq+1 {
		t.Errorf("event %d, want %d; folded anew: %v", now, seq+1, second != first)
	}

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { look("01a") }) // one after the other: the race detector would tell
	}
	all.Wait()

	if err := db.DeleteRun(t.Context(), "01a"); err != nil {
		t.Fatal(err)
	}
	if err := s.src.run(t.Context(), "01a", func(*past) error { return nil }); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a run that was removed: %v", err)
	}
	create("01a") // as flow recover does
	if again, now := look("01a"); again == first || now != 1 {
		t.Errorf("event %d of the run that was removed", now)
	}

	for i := range keptRuns + 5 {
		id := engine.RunID(fmt.Sprintf("01b%03d", i))
		create(id)
		look(id)
	}
	s.src.mu.Lock()
	defer s.src.mu.Unlock()
	if n := len(s.src.kept); n != keptRuns {
		t.Errorf("%d runs are kept, want %d", n, keptRuns)
	}
}
