package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// TestDamage changes or cuts off a state file anywhere: then its events are refused, or
// are the first of those that were stored; never others.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flow.db")
	db := mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align*")
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 300, "s"), planned("align", 1, engine.Upto(300))))
	for i := range 20 {
		must(t, db.Append(t.Context(), "run1", int64(3+i), ended("align", 1, engine.RangesOf(i), engine.TaskSucceeded)))
	}
	want := collect(t, db, "run1", 0)
	must(t, db.Close())
	whole := value(os.ReadFile(path))(t)

	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		data := append([]byte(nil), whole...)
		if rapid.Bool().Draw(rt, "cut") {
			data = data[:rapid.IntRange(0, len(data)-1).Draw(rt, "size")]
		} else {
			for range rapid.IntRange(1, 20).Draw(rt, "changes") {
				data[rapid.IntRange(0, len(data)-1).Draw(rt, "at")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
			}
		}
		must(t, os.WriteFile(path, data, 0o600))
		defer func() {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
					rt.Fatal(err)
				}
			}
		}()
		db, err := Open(path, Options{})
		if err != nil {
			return
		}
		var got []engine.Event
		for e, err := range db.Events(t.Context(), "run1", 0) {
			if err != nil {
				break
			}
			got = append(got, e)
		}
		if len(got) > len(want) || len(got) > 0 && cmp.Diff(want[:len(got)], got) != "" {
			rt.Errorf("%d events that were never stored", len(got))
		}
		_ = db.Close() // may well fail
	})
}
