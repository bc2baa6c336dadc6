package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

// However many ask for pages of a run, its jobs are looked at once at a time, and not too
// often; nothing is submitted; and the pages do not wait.
func TestLooksAreFew(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "--runner", "instant", "--latency", "run=1h")
	c.write("w.hcl", fmt.Sprintf(chainWorkflow, 50))
	id := strings.TrimSpace(string(c.run("w.hcl", "-detach")))
	s := c.site(t)
	before := c.calls()
	until(t, func() bool { return strings.Contains(c.page(t, s, id), "50</span> running") })
	const while = time.Second
	begun := time.Now()
	var many sync.WaitGroup
	for range 8 {
		many.Go(func() {
			for time.Since(begun) < while {
				asked := time.Now()
				c.page(t, s, id)
				if took := time.Since(asked); took > while/2 {
					t.Errorf("a page took %v", took)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	many.Wait()
	after := c.calls()
	// A look is one call, or two if what it sees is recorded.
	if n, most := after["DescribeJobs"]-before["DescribeJobs"], 2*int(time.Since(begun)/lookNear)+8; n > most {
		t.Errorf("%d calls of DescribeJobs, want %d at most", n, most)
	}
	if n := after["SubmitJob"] - before["SubmitJob"]; n != 0 {
		t.Errorf("%d jobs were submitted", n)
	}
	if got := c.status("-no-look"); got.Driver != nil {
		t.Errorf("driven by %v", got.Driver)
	}
}

// site serves pages of the runs of the directory.
func (c *cloud) site(t *testing.T) *site {
	t.Helper()
	a := newApp()
	a.state, a.quiet = filepath.Join(c.dir, stateDir, "flow.db"), true
	src, err := a.openSource()
	if err != nil {
		t.Fatal(err)
	}
	db, err := a.openState(false)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{app: a, src: src, looks: newLooks(src, db)}
	t.Cleanup(func() {
		s.looks.close()
		db.Close()
		src.close()
	})
	return s
}

// page is the text of the page of a run, for one who has it open.
func (c *cloud) page(t *testing.T, s *site, id string) string {
	v, err := s.runPage(t.Context(), web.Request{Path: map[string]string{"run": id}, Open: true})
	if err != nil {
		t.Error(err)
		return ""
	}
	var b strings.Builder
	for _, r := range v.Regions {
		if r.Body != nil {
			if err := r.Body.Render(&b); err != nil {
				t.Error(err)
			}
		}
	}
	return b.String()
}

// That a driver on another host is not heard of any more changes what pages show, though
// nothing is recorded; and so does that one is there. One who only looks drives nothing.
func TestDriverGone(t *testing.T) {
	t.Parallel()
	s, db := testSite(t)
	var mu sync.Mutex
	var passed time.Duration
	s.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(passed)
	}
	s.src.state.Close()
	src, err := s.openSource() // which knows the time
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.close() })
	s.src, s.looks = src, newLooks(src, nil)
	t.Cleanup(s.looks.close)
	if err := db.CreateRun(t.Context(), state.NewRun{Info: engine.RunInfo{Run: "run1", Workflow: "w", Executor: localExecutor}}); err != nil {
		t.Fatal(err)
	}
	other := state.Owner{Host: "elsewhere", Boot: "b", PID: 1}
	lease, err := db.Acquire(t.Context(), "run1", other)
	if err != nil {
		t.Fatal(err)
	}
	row, err := src.db().Run(t.Context(), "run1")
	if err != nil {
		t.Fatal(err)
	}
	driven := func(want bool) {
		t.Helper()
		until(t, func() bool {
			s.looks.want(&row, true)
			s.looks.mu.Lock()
			defer s.looks.mu.Unlock()
			r := s.looks.runs["run1"]
			return !r.asked.IsZero() && r.driven == want
		})
	}
	driven(true)
	recorded, err := src.db().Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := s.looks.version()
	mu.Lock()
	passed = state.MissedBeats*state.LeaseBeat + 5*time.Second
	mu.Unlock()
	driven(false)
	if now, err := src.db().Version(t.Context()); err != nil || now != recorded {
		t.Errorf("version of the state %d, want %d (%v)", now, recorded, err)
	}
	if s.looks.version() == before {
		t.Error("pages are not told that the driver is gone")
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Acquire(t.Context(), "run1", state.Looker("1")); err != nil {
		t.Fatal(err)
	}
	if held := src.holder(t.Context(), "run1"); held != nil {
		t.Errorf("held by %+v", held.Owner)
	}
}

// Who only looks at a run has no wish to cancel it: that is for the command that cancels,
// which waits until the look is over.
func TestCancelDuringLook(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "--runner", "instant", "--latency", "run=1h")
	c.write("w.hcl", fmt.Sprintf(chainWorkflow, 2))
	id := engine.RunID(strings.TrimSpace(string(c.run("w.hcl", "-detach"))))
	db, err := state.Open(filepath.Join(c.dir, stateDir, "flow.db"), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lease, err := db.Acquire(t.Context(), id, state.Looker("1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.status("-no-look"); got.Driver != nil {
		t.Errorf("driven by %v", got.Driver)
	}
	cancel := c.command("cancel", string(id), "-no-wait")
	done := make(chan string, 1)
	go func() {
		out, _ := cancel.CombinedOutput()
		done <- string(out)
	}()
	until(t, func() bool {
		wishes, err := db.Requests(t.Context(), id, 0)
		return err != nil || len(wishes) > 0
	})
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := <-done; strings.Contains(out, "asked process") {
		t.Errorf("cancel says %q", out)
	}
	if got := c.status("-no-look"); got.Status != engine.Cancelled {
		t.Errorf("run is %v", got.Status)
	}
}
