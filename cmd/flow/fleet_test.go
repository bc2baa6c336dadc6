package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local"
	"flow/executor/local/model"
	"flow/state"
)

// A fleetBench is a state file with runs, and a fleet that drives them in this process.
type fleetBench struct {
	t     testing.TB
	dir   string
	a     *app
	db    *state.DB
	said  lockedWriter      // the log
	over  chan engine.RunID // runs that have ended
	o     fleetOptions
	first time.Duration // setback
	flags runFlags      // of runs that are created
	stop  context.CancelFunc
	done  chan struct{} // closed when the fleet has stopped
}

func newFleetBench(t testing.TB) *fleetBench {
	t.Helper()
	b := &fleetBench{t: t, dir: t.TempDir(), over: make(chan engine.RunID, 1000), first: 10 * time.Millisecond}
	b.a = newApp()
	b.a.stdout, b.a.stderr, b.a.state = &lockedWriter{}, &lockedWriter{}, filepath.Join(b.dir, stateDir, "flow.db")
	db, err := b.a.openState(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.db = db
	b.o = fleetOptions{
		Log: slog.New(slog.NewTextHandler(&b.said, nil)), Entrusted: true, Room: local.NewRoom(model.Capacity{}),
		Ended: func(run engine.RunID) { b.over <- run },
	}
	return b
}

// load reads a workflow.
func (b *fleetBench) load(text string) *loadedWorkflow {
	b.t.Helper()
	path := filepath.Join(b.dir, "w.hcl")
	write(b.t, path, text)
	program, sources, mistakes, err := b.a.read(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return &loadedWorkflow{path, program, sources, mistakes}
}

// create makes an entrusted run of a workflow.
func (b *fleetBench) create(text string) engine.RunID {
	b.t.Helper()
	id, err := b.a.createRun(b.t.Context(), b.db, b.load(text), &b.flags, runStart{Entrust: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// start starts a fleet.
func (b *fleetBench) start() *fleet {
	f := b.a.newFleet(b.db, b.o)
	f.setback = b.first
	ctx, stop := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	b.stop, b.done = stop, done
	go func() {
		defer close(done)
		f.run(ctx)
	}()
	b.t.Cleanup(b.halt)
	return f
}

// halt stops the fleet, and waits until it has.
func (b *fleetBench) halt() {
	b.stop()
	<-b.done
}

// ended waits until n runs have ended, and returns them in their order.
func (b *fleetBench) ended(n int) (ids []engine.RunID) {
	b.t.Helper()
	late := time.After(2 * time.Minute)
	for range n {
		select {
		case id := <-b.over:
			ids = append(ids, id)
		case <-late:
			b.t.Fatalf("%d of %d runs have ended:\n%s", len(ids), n, &b.said)
		}
	}
	return ids
}

// until waits until something is so.
func (b *fleetBench) until(what string, is func() bool) {
	b.t.Helper()
	for late := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			b.t.Fatalf("not within a minute: %s\n%s", what, &b.said)
		}
	}
}

// row returns what the state has of a run.
func (b *fleetBench) row(id engine.RunID) state.Run {
	b.t.Helper()
	row, err := b.db.Run(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return row
}

// trouble returns what keeps the only entrusted run from going on.
func (b *fleetBench) trouble() string {
	b.t.Helper()
	all, err := b.db.Entrusted(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(all) == 0 {
		return ""
	}
	return all[0].Trouble
}

// gated has a task that waits until the file go is there.
const gated = `
workflow "gated" {}
step "wait" {
  cache  = false
  env    = { DIR = %q }
  script = "echo $FLOW_RUN_ID >> $DIR/began; while [ ! -e $DIR/go ]; do sleep 0.02; done"
}
`

// TestFleetStops: what stops is said, leaves no lease and no process, and goes on with the next fleet.
func TestFleetStops(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	id := b.create(fmt.Sprintf(gated, b.dir))
	b.start()
	b.until("the task runs", func() bool { return b.row(id).Tasks[engine.Running] == 1 })
	b.halt()
	said := b.said.String()
	for _, want := range []string{"the run begins", "stopping; a second signal does not wait", "stopped: what ran on this machine goes on when the run is driven again", "1 run not over"} {
		if !strings.Contains(said, want) {
			t.Errorf("the log does not say %q:\n%s", want, said)
		}
	}
	if held, err := b.db.Holder(t.Context(), id); err != nil || held != nil {
		t.Errorf("the lease is held: %v, %v", held, err)
	}
	write(t, filepath.Join(b.dir, "go"), "")
	b.start()
	b.ended(1)
	if got := b.row(id).Status; got != engine.Succeeded {
		t.Errorf("the run is %s", got)
	}
}

// TestFleetTakesTurns: no more runs than allowed are driven at a time, the oldest first.
func TestFleetTakesTurns(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	b.o.Most = 2
	var ids []engine.RunID
	for range 5 {
		ids = append(ids, b.create(fmt.Sprintf(gated, b.dir)))
	}
	f := b.start()
	b.until("two runs run", func() bool { return b.row(ids[0]).Tasks[engine.Running]+b.row(ids[1]).Tasks[engine.Running] == 2 })
	b.until("the others were seen", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.members) == len(ids)
	})
	for _, id := range ids[2:] {
		if row := b.row(id); row.Seq != 1 {
			t.Errorf("run %s was begun though two are driven", id)
		}
	}
	write(t, filepath.Join(b.dir, "go"), "")
	b.ended(len(ids))
	text, err := os.ReadFile(filepath.Join(b.dir, "began"))
	if err != nil {
		t.Fatal(err)
	}
	began := strings.Fields(string(text))
	if len(began) != len(ids) {
		t.Fatalf("%d tasks have begun, want %d", len(began), len(ids))
	}
	slices.Sort(began[:2]) // at once
	if d := cmp.Diff([]string{string(ids[0]), string(ids[1])}, began[:2]); d != "" {
		t.Error(d)
	}
}

// TestFleetTriesAgain: what keeps a run from going on is kept with it, and gone once it goes.
func TestFleetTriesAgain(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	const text = `
workflow "w" {}
variable "key" {
  type      = string
  sensitive = true
}
step "s" {
  secrets = { KEY = var.key }
  script  = "test $KEY = open"
}
`
	auto := filepath.Join(b.dir, "flow.vars.hcl")
	write(t, auto, `key = "open"`)
	id := b.create(text)
	if err := os.Remove(auto); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.until("the trouble is kept", func() bool { return b.trouble() != "" })
	if got := b.trouble(); !strings.Contains(got, "key") {
		t.Errorf("the trouble is %q", got)
	}
	past, err := b.a.openRun(t.Context(), string(id))
	if err != nil {
		t.Fatal(err)
	}
	if got := entrustedText(t.Context(), past); !strings.Contains(got, "key") {
		t.Errorf("flow status says %q", got)
	}
	if err := past.close(); err != nil {
		t.Fatal(err)
	}
	write(t, auto, `key = "open"`)
	b.ended(1)
	if row := b.row(id); row.Status != engine.Succeeded {
		t.Errorf("the run is %s: %s", row.Status, row.Reason)
	}
	if text := b.said.String(); !strings.Contains(text, "cannot go on") {
		t.Errorf("the log does not say that it was tried again:\n%s", text)
	}
}

// TestFleetBacksOff: each time that a run cannot go on, it is left alone for twice as long.
func TestFleetBacksOff(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	row := b.row(b.create(`step "s" { command = ["true"] }`))
	f := b.a.newFleet(b.db, b.o)
	f.take(row)
	var waits []time.Duration
	for range 9 {
		m := f.next()
		if m == nil || f.next() != nil {
			t.Fatal("it is not its turn once")
		}
		f.later(t.Context(), m, errors.New("no luck"))
		if f.next() != nil {
			t.Error("it is its turn at once")
		}
		waits = append(waits, time.Until(m.due).Round(time.Second))
		m.due = time.Time{}
	}
	s := time.Second
	if d := cmp.Diff([]time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s, 300 * s}, waits); d != "" {
		t.Error(d)
	}
	if b.trouble() != "no luck" {
		t.Errorf("the trouble is %q", b.trouble())
	}
	// Somebody entrusts it anew: that is heard at once.
	m := f.next()
	f.later(t.Context(), m, errors.New("no luck"))
	if err := b.db.Entrust(t.Context(), row.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.takeEntrusted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.next() == nil {
		t.Error("it was entrusted anew, and it is not its turn")
	}
}

// TestFleetRests: a run that is paused is left alone until something happens to it.
func TestFleetRests(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	row := b.row(b.create(`step "s" { command = ["true"] }`))
	f := b.a.newFleet(b.db, b.o)
	turn := func() bool {
		if err := f.takeEntrusted(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := f.next()
		if m != nil {
			f.leave(t.Context(), m, true)
		}
		return m != nil
	}
	if !turn() {
		t.Error("it is not its turn at first")
	}
	if turn() {
		t.Error("it rests, and it is its turn again")
	}
	if err := b.db.Append(t.Context(), row.ID, row.Seq, engine.Event{At: time.Now(), Kind: engine.RunResumed}); err != nil {
		t.Fatal(err)
	}
	if !turn() {
		t.Error("it was resumed, and it is not its turn")
	}
	if _, err := b.db.AddRequest(t.Context(), row.ID, state.RequestCancel, "no more"); err != nil {
		t.Fatal(err)
	}
	if !turn() {
		t.Error("it is to be cancelled, and it is not its turn")
	}
	if turn() {
		t.Error("it is its turn again and again")
	}
}

// TestFleetLeavesOthersAlone: a run that a person drives is theirs until they stop.
func TestFleetLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	id := b.create(`step "s" { command = ["true"] }`)
	lease, err := b.db.Acquire(t.Context(), id, state.Self("a person"))
	if err != nil {
		t.Fatal(err)
	}
	f := b.start()
	f.take(b.row(id))
	b.until("it is not among them", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.members) == 0
	})
	if row := b.row(id); row.Seq != 1 {
		t.Errorf("something happened to the run: %+v", row)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.ended(1)
	if got := b.row(id).Status; got != engine.Succeeded {
		t.Errorf("the run is %s", got)
	}
}

// TestCreateRun makes runs of slots: one for each, and says what is wrong.
func TestCreateRun(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	const text = `
workflow "w" {
  expect { max_duration = "1h" }
}
variable "day" { type = string }
schedule "daily" {
  cron = "0 3 * * *"
  vars = { day = formatdate("YYYY-MM-DD", schedule.time) }
}
step "s" { command = ["echo", var.day] }
`
	wf := b.load(text)
	ctx := t.Context()
	if err := b.db.PutSchedules(ctx, nil, b.dir, "w", wf.program.Workflow.Schedules, nil); err != nil {
		t.Fatal(err)
	}
	sched, err := b.db.Schedule(ctx, "w/daily")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2027, 3, 14, 3, 0, 0, 0, time.UTC)
	if err := b.db.AddSlot(ctx, state.Slot{Schedule: sched.ID, Time: at}); err != nil {
		t.Fatal(err)
	}
	start := runStart{
		Slot:  &engine.Slot{Schedule: "daily", Time: at, TimeZone: "UTC", Manual: true},
		Claim: &state.SlotClaim{Schedule: sched.ID, Time: at}, Entrust: true,
	}
	id, err := b.a.createRun(ctx, b.db, wf, &runFlags{}, start)
	if err != nil {
		t.Fatal(err)
	}
	info, err := runInfoOf(ctx, b.db, id)
	if err != nil {
		t.Fatal(err)
	}
	if info.Variables["day"] != `"2027-03-14"` || info.Slot == nil || !info.Slot.Time.Equal(at) {
		t.Errorf("it was created with %v for %v", info.Variables, info.Slot)
	}
	if created := b.row(id).Created; !info.LateAt.Equal(created.Add(time.Hour)) || info.LateFor == "" {
		t.Errorf("it is late at %v (%q), created at %v", info.LateAt, info.LateFor, created)
	}
	// Once more: the slot has a run.
	before, err := os.ReadDir(filepath.Join(b.dir, stateDir, "work"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := b.a.createRun(ctx, b.db, wf, &runFlags{}, start); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a second run %s of the slot: %v", id, err)
	}
	after, err := os.ReadDir(filepath.Join(b.dir, stateDir, "work"))
	if err != nil || len(after) != len(before) {
		t.Errorf("there are the directories of %d runs, before %d: %v", len(after), len(before), err)
	}
	if runs, err := b.db.Runs(ctx, state.RunFilter{}); err != nil || len(runs) != 1 {
		t.Errorf("there are %d runs: %v", len(runs), err)
	}
	// Without a slot the variable has no value.
	_, err = b.a.createRun(ctx, b.db, wf, &runFlags{}, runStart{})
	if err == nil || !strings.Contains(err.Error(), "day") {
		t.Errorf("without a value: %v", err)
	}
	_, err = b.a.createRun(ctx, b.db, b.load(`step "s" { comand = ["true"] }`), &runFlags{}, runStart{})
	if err == nil || !strings.Contains(err.Error(), `w.hcl:1`) && !strings.Contains(err.Error(), "w.hcl line 1") || !strings.Contains(err.Error(), "comand") {
		t.Errorf("with a mistake: %v", err)
	}
}

// TestDetachLeavesToService: a run that is left alone is the service's, unless it could not have
// the values of sensitive variables.
func TestDetachLeavesToService(t *testing.T) {
	t.Parallel()
	b := newFleetBench(t)
	if _, err := b.db.TakeTerm(t.Context(), state.ServiceTerm, state.Self("test")); err != nil {
		t.Fatal(err)
	}
	k := &killBench{t: t, dir: b.dir}
	write(t, filepath.Join(b.dir, "w.hcl"), fmt.Sprintf(gated, b.dir))
	var left leftJSON
	k.decode(&left, "run", "--detach", "-json")
	if left.Driver == nil || !left.Driver.Service || left.Driver.PID != os.Getpid() {
		t.Errorf("the driver is %+v", left.Driver)
	}
	b.start()
	id := engine.RunID(left.Run)
	b.until("the task runs", func() bool { return b.row(id).Tasks[engine.Running] == 1 })
	var status runJSON
	k.decode(&status, "status", "-json")
	if status.Driver == nil || !status.Driver.Service {
		t.Errorf("status: the driver is %+v", status.Driver)
	}
	if text := string(k.output("status")); !strings.Contains(text, "the service, process") {
		t.Errorf("status does not say that the service drives the run:\n%s", text)
	}
	write(t, filepath.Join(b.dir, "go"), "")
	b.ended(1)
	write(t, filepath.Join(b.dir, "w.hcl"), "variable \"key\" {\n  type      = string\n  sensitive = true\n}\nstep \"s\" {\n  command = [\"true\"]\n}\n")
	out, err := k.command("run", "--detach", "-var", "key=x").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sensitive variable key") {
		t.Errorf("with a sensitive variable: %v\n%s", err, out)
	}
}
