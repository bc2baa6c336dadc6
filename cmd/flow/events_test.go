package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/export"
	"flow/engine"
	"flow/state"
)

// TestFollowEvents reads the events of a run while another process writes them, a few at a time
// and by the thousand: each is there once, in order, until the run has ended.
func TestFollowEvents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flow.db")
	writer := openNoticed(t, path)
	if err := writer.CreateRun(t.Context(), state.NewRun{Info: engine.RunInfo{Run: "01r", Workflow: "w", WorkDir: "/work"}}); err != nil {
		t.Fatal(err)
	}
	reader, err := state.Open(path, state.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	const all = 4000
	go func() {
		resumed := engine.Event{At: time.Unix(1, 0), Kind: engine.RunResumed}
		for seq, n := int64(1), 1; seq < all; n = n*3%1000 + 1 {
			var some []engine.Event
			for ; len(some) < n && seq+int64(len(some)) < all-1; some = append(some, resumed) {
			}
			if len(some) == 0 {
				some = []engine.Event{{At: time.Unix(2, 0), Kind: engine.RunEnded, Status: engine.Succeeded}}
			}
			if err := writer.Append(t.Context(), "01r", seq, some...); err != nil {
				t.Error(err)
				return
			}
			seq += int64(len(some))
		}
	}()
	var out bytes.Buffer
	c := &eventsCommand{app: newApp(), follow: true, after: 1, out: bufio.NewWriter(&out)}
	if c.stream, err = export.NewEvents(c.out, "1", "01r"); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; {
		if ended, err = c.print(t.Context(), reader, "01r"); err != nil {
			t.Fatal(err)
		}
	}
	lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	var got, want []int64
	for i, line := range lines[1:] {
		var e struct {
			Seq  int64
			Type string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got, want = append(got, e.Seq), append(want, int64(i+2))
		if (e.Type == string(engine.RunEnded)) != (e.Seq == all) {
			t.Errorf("event %d is %s", e.Seq, e.Type)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != all-1 {
		t.Errorf("%d events (-want +got):\n%s", len(got), diff)
	}

	// Of a run that goes on again it is not over.
	if err := writer.Append(t.Context(), "01r", all, engine.Event{At: time.Unix(3, 0), Kind: engine.RunReopened}); err != nil {
		t.Fatal(err)
	}
	if ended, err := c.print(t.Context(), reader, "01r"); err != nil || ended || c.after != all+1 {
		t.Errorf("ended %v behind event %d: %v", ended, c.after, err)
	}
}
