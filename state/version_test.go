package state_test

import (
	"path/filepath"
	"testing"

	"flow/engine"
	"flow/state"
)

// TestVersion says that Version tells of what anybody writes, and of nothing else.
func TestVersion(t *testing.T) {
	t.Parallel()
	const nfs = 0x6969
	for name, o := range map[string]state.Options{
		"local":   {},
		"network": {FileSystem: func(string) (int64, error) { return nfs, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flow.db")
			db, err := state.Open(path, o)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			looks := []*state.DB{db}
			if name == "local" { // on a network file system the file belongs to one process
				reader, err := state.Open(path, state.Options{ReadOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				defer reader.Close()
				looks = append(looks, reader)
			}
			versions := func() (out []int64) {
				for _, db := range looks {
					v, err := db.Version(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, v)
				}
				return out
			}
			last := versions()
			for i, change := range []struct {
				name string
				do   func() error
				want bool
			}{
				{"nothing", func() error { return nil }, false},
				{"a run", func() error {
					return db.CreateRun(t.Context(), state.NewRun{Info: engine.RunInfo{Run: "01r", Workflow: "w", WorkDir: "/w"}})
				}, true},
				{"a look", func() error { _, err := db.Runs(t.Context(), state.RunFilter{}); return err }, false},
				{"a wish", func() error { _, err := db.AddRequest(t.Context(), "01r", state.RequestCancel, ""); return err }, true},
				{"an event", func() error {
					return db.Append(t.Context(), "01r", 1, engine.Event{Kind: engine.RunEnded, Status: engine.Failed})
				}, true},
			} {
				if err := change.do(); err != nil {
					t.Fatal(err)
				}
				now := versions()
				for k := range now {
					if changed := now[k] != last[k]; changed != change.want {
						t.Errorf("%d %s: reader %d: changed is %v, want %v", i, change.name, k, changed, change.want)
					}
				}
				last = now
			}
		})
	}
}
