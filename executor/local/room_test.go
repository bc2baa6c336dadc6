package local

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
	"flow/executor/local/model"
)

// A house is a room with executors of which a test decides when what happens: no goroutine
// works for them.
type house struct {
	room  *Room
	fails func(format string, args ...any)
	wakes []func()
	flats []*flat
	pools map[string]int // slots
	taken map[string]int
}

// A flat is one of the executors, and the Runner of its tries.
type flat struct {
	h       *house
	x       *Executor
	journal string
	live    []*flying
	ran     []string // "<job>#<attempt>"
	jobs    []engine.JobID
	deaths  int
}

type flying struct {
	try   *Try
	ended func(Exit)
}

func newHouse(vcpus float64, pools map[string]int, fails func(string, ...any)) *house {
	h := &house{room: NewRoom(model.Capacity{VCPUs: vcpus, MemoryMiB: 1000}), fails: fails, pools: pools, taken: map[string]int{}}
	h.room.spawn = func(f func()) { h.wakes = append(h.wakes, f) }
	return h
}

// add opens an executor with a journal; "": without.
func (h *house) add(journal string) *flat {
	f := &flat{h: h, journal: journal}
	h.flats = append(h.flats, f)
	f.open()
	return f
}

func (f *flat) open() {
	x, err := Open(Options{
		Runner: f, Journal: f.journal, Room: f.h.room,
		Pools: func(wake func()) Pools { return &flatPools{h: f.h, wake: wake, has: map[string]int{}} },
	})
	if err != nil {
		f.h.fails("%v", err)
	}
	f.x = x
}

// die is the death of the executor's process.
func (f *flat) die() {
	b := f.x.b
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	if b.journal != nil { // a process that another test starts may have the file for a moment
		_ = syscall.Flock(int(b.journal.f.Fd()), syscall.LOCK_UN)
	}
	_ = b.journal.close()
	b.gate.leave()
	f.live = nil
}

func (f *flat) Go(t *Try, _ func(), ended func(Exit)) {
	f.live = append(f.live, &flying{t, ended})
	f.ran = append(f.ran, fmt.Sprintf("%s#%d", t.Job, t.BatchAttempt))
}
func (f *flat) Run(*Try, func()) Exit            { panic("it is an Async") }
func (f *flat) Stop(engine.JobID, time.Duration) {}
func (f *flat) Close()                           {}

// flatPools are the pools of a house, for one of its executors.
type flatPools struct {
	h    *house
	wake func()
	has  map[string]int
}

func (p *flatPools) Take(needs []model.Need) bool {
	for _, n := range needs {
		if p.h.taken[n.Consumable]+int(n.Quantity) > p.h.pools[n.Consumable] {
			return false
		}
	}
	for _, n := range needs {
		p.has[n.Consumable] += int(n.Quantity)
		p.h.taken[n.Consumable] += int(n.Quantity)
	}
	return true
}

func (p *flatPools) Untake(needs []model.Need) {
	for _, n := range needs {
		p.has[n.Consumable] -= int(n.Quantity)
		p.h.taken[n.Consumable] -= int(n.Quantity)
	}
}

func (p *flatPools) Give(needs []model.Need) {
	p.Untake(needs)
	p.tell()
}

func (p *flatPools) tell() {
	for _, f := range p.h.flats {
		if f.x != nil {
			p.h.wakes = append(p.h.wakes, f.x.b.wakeUp)
		}
	}
}

func (p *flatPools) Wanted(iter.Seq[[]model.Need]) {}

func (p *flatPools) Close() {
	for name, n := range p.has {
		p.h.taken[name] -= n
	}
	clear(p.has)
	p.tell()
}

func (f *flat) submit(name string, size int, vcpus float64, pools ...engine.Consumable) engine.JobID {
	s := spec(name, size)
	s.Resources = engine.Resources{VCPUs: vcpus, MemoryMiB: 4}
	s.Task.Consumables = pools
	s.Attempts, s.Evaluate = 10, []engine.EvaluateOn{{StatusReason: "Host EC2*", Retry: true}, {Reason: "*"}}
	id, err := f.x.Submit(context.Background(), s)
	if err != nil {
		f.h.fails("%v", err)
	}
	f.jobs = append(f.jobs, id)
	return id
}

// end ends a try.
func (f *flat) end(i int) {
	l := f.live[i]
	f.live = slices.Delete(f.live, i, i+1)
	l.ended(exited(0))
}

// rouse lets every executor that was woken work.
func (h *house) rouse() {
	for n := 0; len(h.wakes) > 0; n++ {
		if n > 10_000 {
			h.fails("they wake one another for ever")
		}
		wake := h.wakes[0]
		h.wakes = h.wakes[1:]
		wake()
	}
}

// check checks that no more is in use than there is, and that the room knows what is.
func (h *house) check() {
	var used load
	pools := map[string]int{}
	for _, f := range h.flats {
		for _, l := range f.live {
			used = used.plus(loadOf(l.try.Resources))
			for _, c := range l.try.Spec.Task.Consumables {
				pools[c.Resource] += int(c.Quantity)
			}
		}
	}
	if used != h.room.used {
		h.fails("the room has %+v in use, the executors %+v", h.room.used, used)
	}
	if !h.room.fits(load{}) {
		h.fails("%+v is in use, of %+v", used, h.room.size)
	}
	for name, n := range pools {
		if n > h.pools[name] {
			h.fails("%d of %d slots of %s are in use", n, h.pools[name], name)
		}
	}
}

// TestRooms: whatever executors that share a machine and pools do, and whenever they die, no
// more is in use than there is, nobody waits for what is there, all jobs end, and no task
// that has succeeded runs again.
func TestRooms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		h := newHouse(2, map[string]int{"db": 2, "api": 1}, t.Fatalf)
		for i := range rapid.IntRange(1, 4).Draw(t, "executors") {
			h.add(filepath.Join(dir, fmt.Sprint(n, "-", i)))
		}
		draw := func() *flat { return rapid.SampledFrom(h.flats).Draw(t, "executor") }
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { h.check() },
			"submit": func(t *rapid.T) {
				var pools []engine.Consumable
				for _, name := range rapid.SampledFrom([][]string{nil, nil, {"db"}, {"api"}, {"api", "db"}}).Draw(t, "pools") {
					pools = append(pools, engine.Consumable{Resource: name, Quantity: int64(rapid.IntRange(1, h.pools[name]).Draw(t, name)), Pool: true})
				}
				f := draw()
				f.submit(fmt.Sprint("job", len(f.jobs)), rapid.SampledFrom([]int{0, 2, 5}).Draw(t, "size"), rapid.SampledFrom([]float64{0.25, 1, 2, 3}).Draw(t, "vcpus"), pools...)
			},
			"end": func(t *rapid.T) {
				if f := draw(); len(f.live) > 0 {
					f.end(rapid.IntRange(0, len(f.live)-1).Draw(t, "try"))
				}
			},
			"wake": func(*rapid.T) {
				h.rouse()
				if f := h.room.first(); f != nil && h.room.fits(f.want) {
					t.Fatalf("there is room for what waits")
				}
			},
			"terminate": func(t *rapid.T) {
				if f := draw(); len(f.jobs) > 0 {
					id := rapid.SampledFrom(f.jobs).Draw(t, "job")
					if j := one(t, f, id); j.Status == engine.JobRunnable {
						if err := f.x.Terminate(context.Background(), id, "test"); err != nil {
							t.Fatal(err)
						}
					}
				}
			},
			"die": func(t *rapid.T) {
				f := draw()
				if f.deaths++; f.deaths > 8 { // a job has ten tries
					return
				}
				before := f.views(t)
				f.die()
				h.rouse()
				f.open()
				if diff := cmp.Diff(before, f.views(t)); diff != "" {
					t.Fatalf("after the death of its process other tasks have ended: %s", diff)
				}
			},
		})
		h.drain(t.Fatalf)
		for _, f := range h.flats {
			for _, id := range f.jobs {
				if j := one(t, f, id); !j.Status.Ended() {
					t.Fatalf("%s waits though nothing runs: %+v", id, j)
				}
			}
			seen := map[string]bool{}
			for _, r := range f.ran {
				if seen[r] {
					t.Fatalf("%s ran twice", r)
				}
				seen[r] = true
			}
			if err := f.x.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			os.Remove(f.journal)
		}
		if h.room.used != (load{}) || len(h.room.queue) > 0 {
			t.Fatalf("%+v is in use when all have left, %d wait", h.room.used, len(h.room.queue))
		}
	})
}

// drain ends all there is.
func (h *house) drain(fails func(string, ...any)) {
	for range 100_000 {
		h.rouse()
		h.check()
		i := slices.IndexFunc(h.flats, func(f *flat) bool { return len(f.live) > 0 })
		if i < 0 {
			return
		}
		h.flats[i].end(0)
	}
	fails("it never ends")
}

func one(t interface{ Fatal(...any) }, f *flat, id engine.JobID) engine.Job {
	jobs, err := f.x.Describe(context.Background(), []engine.JobID{id})
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	return jobs[0]
}

// views are the tasks that have ended, and how.
func (f *flat) views(t interface{ Fatal(...any) }) map[engine.JobID]engine.JobStatus {
	out := map[engine.JobID]engine.JobStatus{}
	for _, id := range f.jobs {
		j := one(t, f, id)
		if j.Size == 0 {
			if j.Status.Ended() {
				out[id] = j.Status
			}
			continue
		}
		for _, s := range []engine.JobStatus{engine.JobSucceeded, engine.JobFailed} {
			for c, err := range f.x.Children(context.Background(), id, s) {
				if err != nil {
					t.Fatal(err)
				}
				out[c.ID] = s
			}
		}
	}
	return out
}

// TestRoomIsFair: an executor with much to do does not keep others waiting, nor do many small
// tasks one that needs the whole machine.
func TestRoomIsFair(t *testing.T) {
	t.Parallel()
	h := newHouse(2, nil, t.Fatalf)
	flood := h.add("")
	flood.submit("flood", 1000, 1)
	var small []*flat
	for range 9 {
		f := h.add("")
		f.submit("small", 10, 1)
		small = append(small, f)
	}
	whole := h.add("")
	id := whole.submit("whole", 0, 2)
	ends := 0
	end := func() { // the try that has run longest of any executor, as all take the same time
		var oldest *flat
		for _, f := range h.flats {
			if len(f.live) > 0 && (oldest == nil || len(f.ran) < len(oldest.ran)) {
				oldest = f
			}
		}
		oldest.end(0)
		h.rouse()
		h.check()
		ends++
	}
	for len(whole.ran) == 0 {
		if end(); ends > 30 {
			t.Fatalf("what needs the whole machine waits behind %d others", ends)
		}
	}
	for slices.ContainsFunc(small, func(f *flat) bool { return len(f.ran) < 10 }) {
		if end(); ends > 150 {
			t.Fatalf("after %d tasks, the small ones have done %d", ends, len(small[0].ran))
		}
	}
	if n := len(flood.ran); n < 9 || n > 60 {
		t.Errorf("the large one has done %d tasks meanwhile", n)
	}
	if j := one(t, whole, id); j.Status != engine.JobSucceeded {
		t.Errorf("what needs the whole machine is %s", j.Status)
	}
}

// TestPoolHoldsUpNobodyElse: a task that waits for a pool does not hold up those behind it
// that need none.
func TestPoolHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	h := newHouse(4, map[string]int{"db": 1}, t.Fatalf)
	f := h.add("")
	db := engine.Consumable{Resource: "db", Quantity: 1, Pool: true}
	first, waits, plain := f.submit("first", 0, 1, db), f.submit("waits", 2, 1, db), f.submit("plain", 0, 1)
	var got []engine.JobStatus
	for _, id := range []engine.JobID{first, waits.Child(0), plain} {
		got = append(got, one(t, f, id).Status)
	}
	if want := []engine.JobStatus{engine.JobStarting, engine.JobRunnable, engine.JobStarting}; !slices.Equal(got, want) {
		t.Errorf("they are %v, want %v", got, want)
	}
	h.drain(t.Fatalf)
	if diff := cmp.Diff([]string{string(first) + "#1", string(plain) + "#1", string(waits) + ":0#1", string(waits) + ":1#1"}, f.ran); diff != "" {
		t.Error(diff)
	}
}

// TestRoomTurns: of those that wait the one that uses least is woken, as soon as there is room,
// also when somebody leaves.
func TestRoomTurns(t *testing.T) {
	t.Parallel()
	r := NewRoom(model.Capacity{VCPUs: 4, MemoryMiB: 1000})
	var wakes []func()
	r.spawn = func(f func()) { wakes = append(wakes, f) }
	woken := ""
	rouse := func() string {
		woken = ""
		for _, wake := range wakes {
			wake()
		}
		wakes = nil
		return woken
	}
	enter := func(name string) *tenant { return r.enter(func() { woken += name }) }
	one := load{cpu: 1000}
	busy, some, idle, goes := enter("b"), enter("s"), enter("i"), enter("g")
	for _, m := range []*tenant{busy, busy, some, goes} {
		if !m.take(one) {
			t.Fatal("there is no room")
		}
	}
	for _, m := range []*tenant{busy, some, idle} { // in the order in which they begin to wait
		if m.take(one) {
			t.Fatal("there is room")
		}
	}
	goes.leave()
	if woken := rouse(); woken != "i" {
		t.Errorf("woken are %q, want the one that uses nothing", woken)
	}
	if !idle.take(one) {
		t.Error("it was woken, and there is no room")
	}
	idle.give(one)
	if woken := rouse(); woken != "s" {
		t.Errorf("woken are %q, want the one that uses less", woken)
	}
}
