package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

var (
	simSeeds = flag.Int("sim.seeds", 1, "how many months of 50 schedules to simulate")
	simDays  = flag.Int("sim.days", 30, "how many days")
	simSeed  = flag.Uint64("sim.seed", 0, "simulate this month alone, and tell what happens in it")
)

// TestSimulation lets services fire 50 schedules for 30 days, which are killed wherever they do
// something and stay away for a while, while files are edited, schedules paused, runs triggered
// and made up for. What becomes of each slot is compared with what the oracle says.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *simSeed != 0 {
		w := newWorld(t, *simSeed, 50, *simDays)
		w.verbose = true
		report(t, w.simulate())
		return
	}
	for seed := range uint64(*simSeeds) {
		w := newWorld(t, seed+1, 50, *simDays)
		problems := w.simulate()
		t.Logf("seed %d: %d slots, %d runs, %d lives, %d ticks", seed+1, w.count.slots, w.count.runs, w.count.lives, w.count.ticks)
		if len(problems) > 0 {
			t.Errorf("seed %d (go test ./cmd/flow/internal/service -run TestSimulation -sim.seed %[1]d):", seed+1)
			report(t, problems)
			return
		}
		if w.count.lives < 30 || w.count.runs < 1000 {
			t.Errorf("seed %d: not much happened: %+v", seed+1, w.count)
		}
	}
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for i, p := range problems {
		if i == 20 {
			t.Errorf("and %d more", len(problems)-i)
			return
		}
		t.Error(p)
	}
}

// TestSimulationFindsBugs plants bugs: the simulation finds each of them in a few short worlds.
func TestSimulationFindsBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{
		"slots are not claimed", "what is decided is forgotten", "runs are not seen", "it sleeps for too long", "pauses are not seen",
		"catch_up is always all", "a backfill has a run more at a time", "disabled schedules are enabled", "runs are not cancelled",
		"edits are not seen", "triggers are not seen",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				w := newWorld(t, seed+1, 24, 5)
				w.bug = bug
				if len(w.simulate()) > 0 {
					return
				}
			}
			t.Error("the bug was not found")
		})
	}
}

// A world is a state file, the files of workflows, runs, and a service that dies.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	verbose bool
	bug     string

	now, end time.Time
	db       *state.DB
	ctx      context.Context
	specs    map[string]*simSpec    // what the files say, by full name
	names    []string               // of schedules, in order
	revision map[string]int         // of the files, by path
	slots    map[string][]time.Time // of what says when they are
	script   []simEvent
	runs     map[engine.RunID]*simRun
	ids      map[string]int64 // of schedules, by full name
	oracle   *oracle
	problems []string

	service *Service // nil: none runs
	pid     int
	wake    time.Time // when it wants to be called; zero: when something happens
	crashAt int       // after so many effects; < 0: never
	effects map[effect]int
	looked  bool // it asked for files in this tick
	count   struct{ slots, runs, lives, ticks int }
}

// An effect is something that lasts: of which kind, and of which schedule, or file.
type effect struct{ kind, of string }

// A simEvent is something that happens to the service.
type simEvent struct {
	at   time.Time
	what func()
	text string
}

// A simRun is a run that goes on.
type simRun struct {
	schedule string
	end      time.Time
}

// simStart is when the world begins: a month with changes of clocks in it.
var simStart = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, seed uint64, schedules, days int) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 8)), now: simStart, end: simStart.AddDate(0, 0, days), ctx: t.Context(),
		specs: map[string]*simSpec{}, revision: map[string]int{}, runs: map[engine.RunID]*simRun{}, ids: map[string]int64{},
		slots: map[string][]time.Time{}, effects: map[effect]int{}, crashAt: -1,
	}
	db, err := state.Open(filepath.Join(t.TempDir(), "flow.db"), state.Options{
		Now:          func() time.Time { return w.now },
		ProcessAlive: func(pid int, _ int64) bool { return w.service != nil && pid == w.pid },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	for i := range schedules {
		s := w.newSpec(i)
		w.specs[s.full()] = s
		w.names = append(w.names, s.full())
		w.revision[s.path()] = 1
	}
	slices.Sort(w.names)
	w.oracle = newOracle(w)
	w.write(days)
	return w
}

// write makes up what happens.
func (w *world) write(days int) {
	sometime := func() time.Time { return simStart.Add(time.Duration(w.rng.IntN(days*24*3600)) * time.Second) }
	for range days * 3 {
		w.plan(sometime(), "an edit", w.edit)
		w.plan(sometime(), "a trigger", w.trigger)
	}
	for range days {
		w.plan(sometime(), "a pause", w.pause)
		w.plan(sometime(), "a backfill", w.backfill)
	}
	for range days * 3 / 2 {
		w.plan(sometime(), "a kill", func() { w.dies("between two looks") })
		w.plan(sometime(), "a kill soon", func() { w.crashAt = 1 + w.rng.IntN(12) })
	}
	w.plan(simStart, "the start", w.lives)
}

func (w *world) plan(at time.Time, text string, what func()) {
	e := simEvent{at, what, text}
	i, _ := slices.BinarySearchFunc(w.script, e, func(a, b simEvent) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return -1 // behind those of the same time
	})
	w.script = slices.Insert(w.script, i, e)
}

func (w *world) tell(format string, args ...any) {
	if w.verbose {
		w.t.Logf("%s "+format, append([]any{w.now.Format("01-02 15:04:05")}, args...)...)
	}
}

func (w *world) problem(format string, args ...any) {
	w.problems = append(w.problems, w.now.Format("01-02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// must stops the world with what cannot go wrong in it.
func (w *world) must(err error) {
	if err != nil {
		w.t.Fatalf("%s: %v", w.now, err)
	}
}

// simulate lets the time pass, and returns what went wrong.
func (w *world) simulate() []string {
	for len(w.problems) < 50 && (w.bug == "" || len(w.problems) == 0) {
		next := w.end
		for _, e := range w.script[:min(1, len(w.script))] {
			next = earlier(next, e.at)
		}
		for _, r := range w.runs {
			next = earlier(next, r.end)
		}
		if w.service != nil {
			next = earlier(next, w.wake)
		}
		if !next.Before(w.end) {
			break
		}
		if next.After(w.now) {
			w.now = next.UTC()
		}
		w.happen()
		if w.service != nil {
			w.tick()
		}
	}
	w.compare()
	return w.problems
}

// happen lets happen what is due now.
func (w *world) happen() {
	over := slices.DeleteFunc(slices.Sorted(maps.Keys(w.runs)), func(id engine.RunID) bool { return w.runs[id].end.After(w.now) })
	for _, id := range over {
		delete(w.runs, id)
		w.must(w.db.Append(w.ctx, id, 1, engine.Event{Seq: 2, At: w.now, Kind: engine.RunEnded, Status: engine.Succeeded}))
	}
	for len(w.script) > 0 && !w.script[0].at.After(w.now) {
		e := w.script[0]
		w.script = w.script[1:]
		w.tell("%s", e.text)
		e.what()
	}
}

// lives starts a service.
func (w *world) lives() {
	if w.service != nil {
		return
	}
	w.pid++
	w.count.lives++
	w.service = &Service{
		State: simState{w.db, w}, Files: simFiles{w}, Start: w.start, Cancel: w.cancel, Clock: simClock{w},
		Owner: state.Owner{Host: "here", Boot: "boot", PID: w.pid, Start: int64(w.pid)},
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	w.wake = w.now
	w.oracle.begins()
}

// dies ends the service, for a while.
func (w *world) dies(where string) {
	if w.service == nil {
		return
	}
	w.tell("the service dies %s", where)
	w.service, w.crashAt = nil, -1
	away := []time.Duration{0, 5 * time.Second, time.Minute, 10 * time.Minute, 3 * time.Hour, 20 * time.Hour, 60 * time.Hour}
	most := away[w.rng.IntN(len(away))]
	w.plan(w.now.Add(time.Duration(w.rng.Int64N(int64(most/time.Second)+1))*time.Second), "a start", w.lives)
}

// errCrash ends a life.
type errCrash struct{ where string }

// tick lets the service look, and tells the oracle what of it has lasted.
func (w *world) tick() {
	clear(w.effects)
	w.looked = false
	w.count.ticks++
	wake, died, err := w.look()
	if err != nil {
		w.problem("the service failed: %v", err)
	}
	w.oracle.tick(w.now, w.looked, died)
	if died != "" {
		w.dies(died)
		return
	}
	if w.wake = wake; w.bug == "it sleeps for too long" && w.rng.IntN(20) == 0 {
		w.wake = wake.Add(2 * time.Minute)
	}
	if !wake.IsZero() && !wake.After(w.now) {
		w.problem("the service wants to be called at %s, again and again", wake)
		w.wake = w.now.Add(time.Second)
	}
}

func (w *world) look() (wake time.Time, died string, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(errCrash)
			if !ok {
				panic(r)
			}
			died = c.where
		}
	}()
	wake, err = w.service.Tick(w.ctx)
	return wake, "", err
}

// lasting does something that lasts; the service may die before it, or after.
func (w *world) lasting(e effect, do func() error) error {
	w.boundary(e, "before")
	err := do()
	if err == nil {
		w.effects[e]++
		w.tell("%s %s", e.kind, e.of)
	}
	w.boundary(e, "after")
	return err
}

func (w *world) boundary(e effect, when string) {
	if w.crashAt < 0 {
		return
	}
	if w.crashAt--; w.crashAt < 0 {
		panic(errCrash{fmt.Sprintf("%s it did: %s %s", when, e.kind, e.of)})
	}
}

// start creates a run.
func (w *world) start(ctx context.Context, s Start) (engine.RunID, error) {
	full := s.Schedule.Full()
	if w.specs[full].outage(w.now) {
		return "", errors.New("the moon is in the way")
	}
	kind := "start"
	if s.Slot.Backfill {
		kind = "make up for"
	}
	id := engine.RunID(fmt.Sprintf("01k%023d", w.count.runs))
	err := w.lasting(effect{kind, full}, func() error {
		run := state.NewRun{Info: engine.RunInfo{Run: id, Workflow: s.Schedule.Workflow, WorkDir: "/w", Executor: engine.ExecutorLocal, Slot: &s.Slot}, Slot: s.Claim, Entrust: true}
		if w.bug == "slots are not claimed" {
			run.Slot = nil
		}
		if err := w.db.CreateRun(ctx, run); err != nil {
			return err
		}
		w.count.runs++
		w.runs[id] = &simRun{full, w.now.Add(lasts(full, s.Slot.Time))}
		return nil
	})
	return id, err
}

// cancel asks a run to end, which takes a moment.
func (w *world) cancel(ctx context.Context, run engine.RunID, reason string) error {
	r := w.runs[run]
	if r == nil {
		return fmt.Errorf("run %s is over", run)
	}
	if w.bug == "runs are not cancelled" {
		return nil
	}
	return w.lasting(effect{"cancel", r.schedule}, func() error {
		_, err := w.db.AddRequest(ctx, run, state.RequestCancel, reason)
		r.end = earlier(r.end, w.now.Add(cancelTakes))
		return err
	})
}

// cancelTakes is how long a run goes on that was cancelled.
const cancelTakes = 20 * time.Second

// A simClock is the clock of a world. Nobody waits in it.
type simClock struct{ w *world }

func (c simClock) Now() time.Time { return c.w.now }

func (c simClock) Wait(context.Context, time.Duration, <-chan struct{}) bool { panic("nobody waits") }

// simState is the state, where a service may die.
type simState struct {
	*state.DB
	w *world
}

func (s simState) Schedules(ctx context.Context) ([]state.Schedule, error) {
	rows, err := s.DB.Schedules(ctx)
	for i := range rows {
		s.w.ids[rows[i].Full()] = rows[i].ID
		if s.w.bug == "pauses are not seen" {
			rows[i].Paused = time.Time{}
		}
	}
	return rows, err
}

func (s simState) Record(ctx context.Context, id int64) ([]state.Slot, []state.ActiveRun, error) {
	waiting, active, err := s.DB.Record(ctx, id)
	switch s.w.bug {
	case "runs are not seen":
		active = nil
	case "triggers are not seen":
		waiting = slices.DeleteFunc(waiting, func(s state.Slot) bool { return s.Kind == state.SlotManual })
	}
	return waiting, active, err
}

func (s simState) Backfills(ctx context.Context, open bool) ([]state.Backfill, error) {
	all, err := s.DB.Backfills(ctx, open)
	for i := range all {
		if s.w.bug == "a backfill has a run more at a time" {
			all[i].MaxParallel++
		}
	}
	return all, err
}

func (s simState) DecideSlots(ctx context.Context, term *state.Term, id int64, upto time.Time, slots []state.Slot) error {
	row, err := s.ScheduleByID(ctx, id)
	if err != nil {
		return err
	}
	return s.w.lasting(effect{"decide", row.Full()}, func() error {
		if s.w.bug == "what is decided is forgotten" && s.w.rng.IntN(50) == 0 {
			slots = nil
		}
		return s.DB.DecideSlots(ctx, term, id, upto, slots)
	})
}

func (s simState) SlotReason(ctx context.Context, term *state.Term, id int64, slot time.Time, reason string) error {
	return s.w.lasting(effect{"explain", ""}, func() error { return s.DB.SlotReason(ctx, term, id, slot, reason) })
}

func (s simState) PutSchedules(ctx context.Context, term *state.Term, path, workflow string, specs []*engine.Schedule, notices []*engine.Notice) error {
	return s.w.lasting(effect{"put", path}, func() error {
		for _, spec := range specs {
			spec.Disabled = spec.Disabled && s.w.bug != "disabled schedules are enabled"
			if s.w.bug == "catch_up is always all" {
				spec.CatchUp = engine.CatchUpAll
			}
		}
		return s.DB.PutSchedules(ctx, term, path, workflow, specs, notices)
	})
}

func (s simState) KeepSources(ctx context.Context, term *state.Term, path string, files []state.Source) error {
	return s.w.lasting(effect{"keep", path}, func() error { return s.DB.KeepSources(ctx, term, path, files) })
}

// simFiles are the files of workflows.
type simFiles struct{ w *world }

func (f simFiles) Look(context.Context, time.Time) ([]Workflow, error) {
	f.w.looked = true
	var out []Workflow
	for _, path := range slices.Sorted(maps.Keys(f.w.revision)) {
		wf := Workflow{Path: path, Name: path[1:], Revision: fmt.Sprint(f.w.revision[path])}
		if f.w.bug == "edits are not seen" {
			wf.Revision = "1"
		}
		for _, name := range f.w.names {
			if s := f.w.specs[name]; s.path() == path && !s.gone {
				wf.Schedules = append(wf.Schedules, s.schedule())
			}
		}
		out = append(out, wf)
	}
	return out, nil
}
