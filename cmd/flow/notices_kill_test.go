package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/notice"
	"flow/engine"
	"flow/state"
)

// noticeWays is how many messages the end of a run leaves in TestNoticesKilled: more than are
// sent at a time.
const noticeWays = couriers + 2

// A hook is a server that messages are sent to. It kills whoever sends a certain one.
type hook struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	ids      []string    // in the order that they came
	replied  []string    // those that got an answer
	victim   *os.Process // nil: nobody is killed
	at       int         // at which message, from 1
	answered bool        // it gets its answer before
	arrived  string      // a file that is made when a message came; "": none
}

func newHook(t *testing.T) *hook {
	h := &hook{t: t}
	h.server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.server.Close)
	return h
}

func (h *hook) take(w http.ResponseWriter, r *http.Request) {
	var m notice.Message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.ID != r.Header.Get("Webhook-Id") || m.Status != "FAILED" || len(m.Failures) != 1 {
		h.t.Errorf("message %+v of %s: %v", m, r.Header.Get("Webhook-Id"), err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, m.ID)
	if h.arrived != "" {
		if err := os.WriteFile(h.arrived, nil, 0o600); err != nil {
			h.t.Error(err)
		}
	}
	dies := h.victim != nil && len(h.ids) >= h.at
	if !dies || h.answered {
		h.replied = append(h.replied, m.ID)
	}
	if !dies {
		return
	}
	if h.answered {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
	}
	if err := h.victim.Kill(); err != nil {
		h.t.Error(err)
	}
	_, _ = h.victim.Wait()
	h.victim = nil
}

// TestNoticesKilled kills the driver of a run while it sends what is to be told of the run's
// end. Nothing is lost, and nothing is sent again that is recorded as taken.
func TestNoticesKilled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		at       int
		answered bool
	}{{1, false}, {1, true}, {3, true}, {noticeWays, false}} {
		t.Run(fmt.Sprintf("%d %v", test.at, test.answered), func(t *testing.T) {
			t.Parallel()
			h := newHook(t)
			h.at, h.answered = test.at, test.answered
			b := &killBench{t: t, dir: t.TempDir(), env: []string{"FLOW_VAR_hook=" + h.server.URL}}
			h.fail(b)
			h.server.Close() // when it has looked at all that it was sent
			next := newHook(t)

			path := filepath.Join(b.dir, ".flow", "flow.db")
			later := func() time.Time { return time.Now().Add(time.Minute) } // who claimed one had it for less
			db, err := state.Open(path, state.Options{Now: later})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			taken, pending := h.split(db)
			if len(taken)+len(pending) != noticeWays {
				t.Fatalf("%d notices taken and %d pending, of %d", len(taken), len(pending), noticeWays)
			}
			for id := range taken {
				if !slices.Contains(h.replied, id) {
					t.Errorf("%s is recorded as taken, and had no answer", id)
				}
			}
			a := newApp()
			a.now = later
			c := a.newCourier(db, func(text string) { t.Error(text) })
			for id := range pending {
				c.id = engine.RunID(id[:strings.Index(id, "-")])
			}
			c.secret = func(string) (string, error) { return next.server.URL, nil }
			if err := c.deliver(t.Context(), t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			after := map[string]bool{}
			for _, id := range next.ids {
				if after[id] {
					t.Errorf("%s was sent twice without a reason", id)
				}
				after[id] = true
			}
			if diff := cmp.Diff(pending, after); diff != "" {
				t.Errorf("sent after the kill (-pending +sent):\n%s", diff)
			}
			if _, pending := h.split(db); len(pending) > 0 {
				t.Errorf("still pending: %v", pending)
			}
		})
	}
}

// fail runs a workflow that fails, whose driver is killed.
func (h *hook) fail(b *killBench) {
	h.t.Helper()
	source := "variable \"hook\" {\n  type = string\n  sensitive = true\n}\nstep \"a\" { script = \"exit 3\" }\nnotify \"n\" {\n  on = [\"failed\"]\n" +
		strings.Repeat("  webhook { url = var.hook }\n", noticeWays) + "}\n"
	if err := os.WriteFile(filepath.Join(b.dir, "main.hcl"), []byte(source), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := makeStateDir(filepath.Join(b.dir, ".flow")); err != nil {
		h.t.Fatal(err)
	}
	cmd := b.command("run", "-q", "main.hcl")
	h.mu.Lock()
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.victim = cmd.Process
	h.mu.Unlock()
	_ = cmd.Wait() // it was killed, here or in take
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.victim != nil {
		h.t.Fatal("nobody was killed")
	}
}

// split returns the ids of what is recorded as taken, and of what is pending.
func (h *hook) split(db *state.DB) (taken, pending map[string]bool) {
	h.t.Helper()
	all, err := db.Notices(h.t.Context(), state.NoticeFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	taken, pending = map[string]bool{}, map[string]bool{}
	for i := range all {
		if all[i].Status == state.NoticeSent {
			taken[all[i].ID] = true
		} else {
			pending[all[i].ID] = true
		}
	}
	return taken, pending
}

// TestNoticesOfAnother has a run send what a killed driver of another one has left.
func TestNoticesOfAnother(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	h.at = 1
	b := &killBench{t: t, dir: t.TempDir(), env: []string{"FLOW_VAR_hook=" + h.server.URL}}
	h.fail(b)
	db, err := state.Open(filepath.Join(b.dir, ".flow", "flow.db"), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, pending := h.split(db)
	h.server.Close()
	next := newHook(t)
	next.arrived = filepath.Join(b.dir, "arrived")
	b.env = []string{"FLOW_VAR_hook=" + next.server.URL}
	source := fmt.Sprintf("step \"wait\" {\n  timeout = \"1m\"\n  script = \"until [ -e %s ]; do sleep 0.02; done\"\n}\n", next.arrived)
	if err := os.WriteFile(filepath.Join(b.dir, "other.hcl"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	b.output("run", "-q", "other.hcl")
	next.server.Close()
	if len(next.ids) == 0 {
		t.Error("nothing was sent")
	}
	for _, id := range next.ids {
		if !pending[id] {
			t.Errorf("%s was sent, and was not pending", id)
		}
	}
}
