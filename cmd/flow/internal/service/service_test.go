package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

// A termBench has services of several hosts on one state file, whose clock a test moves.
type termBench struct {
	t    *testing.T
	path string
	now  time.Time
	db   *state.DB
	runs int
}

func newTermBench(t *testing.T) *termBench {
	b := &termBench{t: t, path: filepath.Join(t.TempDir(), "flow.db"), now: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	db, err := state.Open(b.path, state.Options{Now: b.Now, BusyTimeout: time.Millisecond, ProcessAlive: func(int, int64) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.db = db
	return b
}

func (b *termBench) Now() time.Time { return b.now }

func (b *termBench) Wait(ctx context.Context, d time.Duration, _ <-chan struct{}) bool {
	b.now = b.now.Add(d)
	return false
}

// schedule adds the schedule of a workflow.
func (b *termBench) schedule(name string, overlap engine.Overlap) state.Schedule {
	b.t.Helper()
	spec := &engine.Schedule{Name: name, Cron: []string{"0 * * * *"}, TimeZone: "UTC", Overlap: overlap}
	if err := b.db.PutSchedules(b.t.Context(), nil, "/w/"+name, name, []*engine.Schedule{spec}, nil); err != nil {
		b.t.Fatal(err)
	}
	s, err := b.db.Schedule(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// service returns the service of a host. Others know of it by its beats alone.
func (b *termBench) service(host string) *Service {
	return &Service{
		State: b.db, Owner: state.Owner{Host: host, Boot: host, PID: 1, Start: 1}, Start: b.create, Clock: b,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func (b *termBench) create(ctx context.Context, s Start) (engine.RunID, error) {
	b.runs++
	id := engine.RunID(fmt.Sprintf("01k%023d", b.runs))
	info := engine.RunInfo{Run: id, Workflow: s.Schedule.Workflow, WorkDir: "/w", Executor: engine.ExecutorLocal, Slot: &s.Slot}
	return id, b.db.CreateRun(ctx, state.NewRun{Info: info, Slot: s.Claim, Entrust: true})
}

// tick lets a service look, some time later.
func (b *termBench) tick(s *Service, later time.Duration) {
	b.t.Helper()
	b.now = b.now.Add(later)
	if _, err := s.Tick(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// slots says what became of slots, the earliest first.
func (b *termBench) slots(f state.SlotFilter) string {
	b.t.Helper()
	all, err := b.db.Slots(b.t.Context(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for i := range all {
		s := &all[len(all)-1-i]
		out = append(out, strings.TrimSpace(fmt.Sprint(s.Status, " ", s.Reason)))
	}
	return strings.Join(out, ", ")
}

// trigger asks for a run of a schedule.
func (b *termBench) trigger(s state.Schedule, at time.Time) {
	b.t.Helper()
	if err := b.db.AddSlot(b.t.Context(), state.Slot{Schedule: s.ID, Time: at}); err != nil {
		b.t.Fatal(err)
	}
}

// TestServiceWakesUp: a service that stood still, in the middle of what it did, while another one took
// over, does nothing any more.
func TestServiceWakesUp(t *testing.T) {
	b := newTermBench(t)
	s := b.schedule("w", engine.OverlapAllow)
	first, second := b.service("one"), b.service("two")
	first.Start = func(ctx context.Context, start Start) (engine.RunID, error) {
		b.tick(second, (state.MissedBeats+1)*state.LeaseBeat) // meanwhile
		return b.create(ctx, start)
	}
	b.trigger(s, b.now)
	b.trigger(s, b.now.Add(time.Millisecond))
	b.tick(first, 0)
	if first.Leads() || !second.Leads() {
		t.Errorf("the first one leads: %v, the second one: %v", first.Leads(), second.Leads())
	}
	first.Start = func(context.Context, Start) (engine.RunID, error) {
		t.Error("it begins a run")
		return "", errors.New("no")
	}
	b.trigger(s, b.now)
	b.tick(first, time.Second)
	if got := b.slots(state.SlotFilter{}); got != "STARTED, STARTED, WAITING" {
		t.Errorf("slots: %s", got)
	}
	all, err := b.db.Runs(t.Context(), state.RunFilter{})
	if err != nil || len(all) != 2 {
		t.Errorf("%d runs, %v", len(all), err)
	}
}

// TestTroublesApart: what keeps the run of a slot from being created keeps no other slot from starting, though
// both are of one second; and is forgotten with the slot.
func TestTroublesApart(t *testing.T) {
	b := newTermBench(t)
	s, svc := b.schedule("w", engine.OverlapAllow), b.service("one")
	beats := 0
	svc.Beat = func() { beats++ }
	bad := b.now
	svc.Start = func(ctx context.Context, start Start) (engine.RunID, error) {
		if start.Slot.Time.Equal(bad) {
			return "", errors.New("the moon is in the way")
		}
		return b.create(ctx, start)
	}
	b.trigger(s, bad)
	b.trigger(s, bad.Add(time.Millisecond))
	b.tick(svc, 0)
	if got := b.slots(state.SlotFilter{}); got != "WAITING the moon is in the way, STARTED" {
		t.Errorf("slots: %s", got)
	}
	if beats != 2 {
		t.Errorf("%d beats for two runs: many would keep the service from saying that it lives", beats)
	}
	b.tick(svc, time.Second) // and there are no others left
	svc.Start = func(context.Context, Start) (engine.RunID, error) { return "", errors.New("still in the way") }
	backfill := state.Backfill{Schedule: s.ID, From: b.now.Add(-time.Hour), To: b.now}
	for _, later := range []time.Duration{time.Second, 3 * retryFor} {
		fill, added, err := b.db.AddBackfill(t.Context(), backfill, []time.Time{bad.Add(-time.Minute)})
		if err != nil || added != 1 {
			t.Fatal(added, err)
		}
		b.tick(svc, later)
		if got := b.slots(state.SlotFilter{Backfill: fill.ID}); got != "WAITING still in the way" {
			t.Errorf("after %s: %s", later, got)
		}
		if err := b.db.CancelBackfill(t.Context(), fill.ID); err != nil {
			t.Fatal(err)
		}
		b.tick(svc, 2*time.Second)
	}
	if n := len(svc.troubles); n > 1 {
		t.Errorf("%d troubles are remembered", n)
	}
}

// TestBackfillTermComesBack: the term of a backfill that could not be given back, since the state was locked, is
// not lost to this process, nor to others.
func TestBackfillTermComesBack(t *testing.T) {
	b := newTermBench(t)
	s, svc := b.schedule("w", engine.OverlapAllow), b.service("one")
	from := b.now
	fill := func(times ...time.Time) state.Backfill {
		f, _, err := b.db.AddBackfill(t.Context(), state.Backfill{Schedule: s.ID, From: from, To: from.Add(24 * time.Hour), MaxParallel: 2}, times)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := fill(from)
	b.tick(svc, time.Second)
	all, err := b.db.Runs(t.Context(), state.RunFilter{})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d runs, %v", len(all), err)
	}
	if err := b.db.Append(t.Context(), all[0].ID, 1, engine.Event{Seq: 2, At: b.now, Kind: engine.RunEnded, Status: engine.Succeeded}); err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("sqlite", b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	lock, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	exec := func(query string) {
		t.Helper()
		if _, err := lock.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE")
	b.tick(svc, 2*time.Second) // the backfill is over
	exec("ROLLBACK")
	if again := fill(from.Add(time.Hour)); again.ID != f.ID {
		t.Fatalf("it is another backfill")
	}
	b.tick(svc, 2*time.Second)
	if got := b.slots(state.SlotFilter{Backfill: f.ID}); got != "STARTED, STARTED" {
		t.Errorf("slots: %s", got)
	}
	if held, err := b.db.TermHolder(t.Context(), state.BackfillTerm(f.ID)); err != nil || held == nil || held.Owner.Host != "one" {
		t.Errorf("the term is held by %v, %v", held, err)
	}
}

// TestStateIsAway: a service goes on when the state can be read again, and ends when it is told to, also while
// the state is locked.
func TestStateIsAway(t *testing.T) {
	b := newTermBench(t)
	s, svc := b.schedule("w", engine.OverlapSkip), b.service("one")
	fails := errors.New("disk on fire")
	svc.State = &failingState{b.db, func() error { return fails }}
	ctx, stop := context.WithCancel(t.Context())
	led, beats := 0, 0
	svc.Lead = func(ctx context.Context) { led++; <-ctx.Done() }
	svc.Beat = func() {
		switch beats++; {
		case beats == 3:
			fails = nil
			b.trigger(s, b.now)
		case b.slots(state.SlotFilter{}) == "STARTED":
			stop()
		case beats > 100:
			t.Errorf("no run begins: %s", b.slots(state.SlotFilter{}))
			stop()
		}
	}
	if err := svc.Run(ctx); err != nil {
		t.Error(err)
	}
	if held, err := b.db.TermHolder(t.Context(), state.ServiceTerm); err != nil || held != nil {
		t.Errorf("the term is held by %v, %v", held, err)
	}
	if led != 1 || svc.Leads() {
		t.Errorf("it led %d times, and leads: %v", led, svc.Leads())
	}
}

type failingState struct {
	State
	fails func() error
}

func (s *failingState) Version(ctx context.Context) (int64, error) {
	if err := s.fails(); err != nil {
		return 0, err
	}
	return s.State.Version(ctx)
}
