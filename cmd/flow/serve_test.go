package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

// A serveBench has services in processes of their own, on one state file.
type serveBench struct {
	killBench
	db       *state.DB
	services map[int]*serviceProcess // by pid
}

// A serviceProcess is a service in a process.
type serviceProcess struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

func newServeBench(t *testing.T, workflow string) *serveBench {
	b := &serveBench{killBench: killBench{t: t, dir: t.TempDir()}, services: map[int]*serviceProcess{}}
	write(t, filepath.Join(b.dir, "w.hcl"), workflow)
	db, err := state.Open(filepath.Join(b.dir, ".flow", "flow.db"), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.db = db
	t.Cleanup(func() {
		for _, s := range b.services {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
		_ = db.Close()
		if t.Failed() {
			for pid, s := range b.services {
				t.Logf("service %d:\n%s", pid, s.log.String()[max(0, s.log.Len()-2000):])
			}
		}
	})
	return b
}

// serve starts a service.
func (b *serveBench) serve(args ...string) *serviceProcess {
	b.t.Helper()
	s := &serviceProcess{cmd: b.command(append([]string{"serve", "--port", "0"}, args...)...)}
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.services[s.cmd.Process.Pid] = s
	return s
}

// until waits until something is so.
func (b *serveBench) until(what string, is func() bool) {
	b.t.Helper()
	late := time.Now().Add(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(late) {
			b.t.Fatalf("it never was so that %s", what)
		}
		<-tick.C
	}
}

// leader returns the process that drives; 0: none does.
func (b *serveBench) leader() int {
	b.t.Helper()
	held, err := b.db.TermHolder(b.t.Context(), state.ServiceTerm)
	if err != nil {
		b.t.Fatal(err)
	}
	if held == nil {
		return 0
	}
	return held.Owner.PID
}

// slots returns the slots of the schedule up to a time.
func (b *serveBench) slots(upto time.Time, status ...state.SlotStatus) []state.Slot {
	b.t.Helper()
	slots, err := b.db.Slots(b.t.Context(), state.SlotFilter{Status: status, Before: upto.Add(time.Second)})
	if err != nil {
		b.t.Fatal(err)
	}
	return slots
}

const minutely = `
workflow "w" {}
schedule "minutely" {
  cron     = "* * * * *"
  overlap  = "allow"
  catch_up = "all"
}
step "s" { command = ["true"] }
`

// TestServicesShareSlots has eight services find 200 slots that passed while none was there. The
// one that drives is killed again and again: each slot gets one run.
func TestServicesShareSlots(t *testing.T) {
	t.Parallel()
	const services, slots = 8, 200
	b := newServeBench(t, minutely)
	upto := time.Now().UTC().Truncate(time.Minute)
	since := upto.Add(-slots * time.Minute)
	old, err := state.Open(b.db.Path(), state.Options{Now: func() time.Time { return since }})
	if err != nil {
		t.Fatal(err)
	}
	spec := &engine.Schedule{Name: "minutely", Cron: []string{"* * * * *"}, TimeZone: "UTC", Overlap: engine.OverlapAllow, CatchUp: engine.CatchUpAll}
	err = errors.Join(old.PutSchedules(t.Context(), nil, b.dir, "w", []*engine.Schedule{spec}, nil), old.Close())
	if err != nil {
		t.Fatal(err)
	}
	for range services {
		b.serve()
	}
	for i, n := range []int{20, 80, 140} {
		b.until("runs begin", func() bool { return len(b.slots(upto, state.SlotStarted)) >= n && b.leader() != 0 })
		was := b.leader()
		if i == 1 {
			b.serve() // one more comes
		}
		if err := b.services[was].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		b.until("another service drives", func() bool { now := b.leader(); return now != 0 && now != was })
		t.Logf("service %d killed at %d runs, another took over after %v", was, n, time.Since(killed).Round(time.Millisecond))
	}
	b.until("all runs are over", func() bool {
		over := 0
		for _, s := range b.slots(upto) {
			if !s.RunEnded.IsZero() {
				over++
			}
		}
		return over == slots
	})
	runs := map[engine.RunID]bool{}
	for _, s := range b.slots(upto) {
		if runs[s.Run] = true; s.Status != state.SlotStarted || s.RunStatus != engine.Succeeded {
			t.Errorf("the slot of %s is %s, its run is %s", s.Time, s.Status, s.RunStatus)
		}
	}
	all, err := b.db.Runs(t.Context(), state.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	mine := 0
	for _, r := range all {
		if r.Created.After(upto) && !runs[r.ID] {
			mine++ // of a slot that came meanwhile
		}
	}
	if later := len(b.slots(time.Now().AddDate(1, 0, 0), state.SlotStarted)) - slots; len(runs) != slots || mine != later {
		t.Errorf("%d slots have %d runs, and %d later ones %d", slots, len(runs), later, mine)
	}
}

// TestServeGoesOnWithLastGoodVersion breaks a file under a service, and starts another one then.
func TestServeGoesOnWithLastGoodVersion(t *testing.T) {
	t.Parallel()
	b := newServeBench(t, strings.Replace(minutely, "* * * * *", "0 0 29 2 *", 1))
	socket := filepath.Join(b.dir, "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	b.env = []string{"NOTIFY_SOCKET=" + socket}
	first := b.serve("--json", ".")
	systemdSays(t, told, "READY=1", "WATCHDOG=1")
	var sched state.Schedule
	b.until("the schedule is known", func() bool {
		sched, err = b.db.Schedule(t.Context(), "minutely")
		return err == nil
	})
	write(t, filepath.Join(b.dir, "w.hcl"), strings.Replace(minutely, "command", "comand", 1))
	b.until("its problem is known", func() bool { return b.problem() != "" })
	b.runs(sched, "with the file broken")
	if err := first.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	systemdSays(t, told, "STOPPING=1")
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("it was to end: %v", err)
	}
	delete(b.services, first.cmd.Process.Pid)
	if log := first.log.String(); !strings.Contains(log, `Did you mean \"command\"`) && !strings.Contains(log, `Did you mean \\\"command\\\"`) {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	b.serve()
	b.runs(sched, "after another service began")
	write(t, filepath.Join(b.dir, "w.hcl"), minutely+"# mended\n")
	b.until("it is mended", func() bool { return b.problem() == "" })
}

// problem returns what is wrong with the workflow.
func (b *serveBench) problem() string {
	b.t.Helper()
	all, err := b.db.Problems(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(all) == 0 {
		return ""
	}
	return all[0].Text
}

// runs triggers a schedule, and waits until the run has succeeded.
func (b *serveBench) runs(sched state.Schedule, when string) {
	b.t.Helper()
	at := time.Now().UTC().Truncate(time.Millisecond)
	if err := b.db.AddSlot(b.t.Context(), state.Slot{Schedule: sched.ID, Time: at}); err != nil {
		b.t.Fatal(err)
	}
	b.until("a run succeeds "+when, func() bool {
		for _, s := range b.slots(at) {
			if s.Time.Equal(at) {
				return s.RunStatus == engine.Succeeded && !s.RunEnded.IsZero()
			}
		}
		return false
	})
}

// TestManagerThatDoesNotListen holds nothing up.
func TestManagerThatDoesNotListen(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	queue := 10 // as Linux has it
	if text, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen"); err == nil {
		if queue, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			t.Fatal(err)
		}
	}
	for range min(queue, 1000) + 3 {
		manager{socket}.tell("WATCHDOG=1")
	}
}

// systemdSays waits for what a service tells the service manager.
func systemdSays(t *testing.T, told *net.UnixConn, want ...string) {
	t.Helper()
	if err := told.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	for len(want) > 0 {
		n, err := told.Read(buf)
		if err != nil {
			t.Fatalf("the service manager was not told %q: %v", want[0], err)
		}
		for line := range strings.SplitSeq(string(buf[:n]), "\n") {
			if line == want[0] {
				want = want[1:]
				break
			}
		}
	}
}
