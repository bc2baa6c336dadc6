package main

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"flow/engine"
	"flow/executor/local"
	"flow/executor/local/model"
	"flow/state"
)

const (
	poolLook  = 100 * time.Millisecond // how often it is looked whether something has changed in the state
	poolAsk   = 2 * time.Second        // how often slots are asked for though nothing has; see DB.TakePools
	poolSpare = 2 * time.Second        // after which slots are given back that no task has taken
	poolClose = 5 * time.Second        // how long the last slots may take to be given back
)

// pools returns what counts the pools of the session's run, for local.Options. nil: the
// workflow has none.
func (s *session) pools() func(wake func()) local.Pools {
	if len(s.workflow.Pools) == 0 {
		return nil
	}
	slots := map[string]int{}
	for _, p := range s.workflow.Pools {
		slots[p.Name] = p.Slots
	}
	return func(wake func()) local.Pools { return newRunPools(s.db, s.id, slots, wake) }
}

// A poolStore is what runPools need of *state.DB.
type poolStore interface {
	TakePools(ctx context.Context, run engine.RunID, owner state.Owner, needs ...state.PoolNeed) (bool, error)
	GivePool(ctx context.Context, run engine.RunID, pool string, n int) error
	LeavePools(ctx context.Context, run engine.RunID, pools ...string) error
	Version(ctx context.Context) (int64, error)
}

// runPools has slots of pools for the tasks of a run, of those that all runs of a state file
// share. A task gets them from here, at once or not at all; a goroutine asks the state for
// what is missing, and wakes the executor when it has got it.
type runPools struct {
	db    poolStore
	run   engine.RunID
	owner state.Owner
	slots map[string]int // of each pool
	wake  func()

	stop context.CancelFunc
	kick chan struct{} // there is something to do
	done sync.WaitGroup

	mu     sync.Mutex
	wishes []*poolWish
	give   map[string]int // to be given back
	held   map[string]int // what tasks have
}

// A poolWish is what some tasks need of pools, all of them the same.
type poolWish struct {
	needs  []model.Need
	spare  int       // how many tasks could have it at once
	since  time.Time // when the first of these came
	wanted bool      // a task waits for it
	waits  bool      // the state knows that
	kept   bool      // what is spare is for a task that waits for room on the machine
	untook bool      // likewise, since Wanted was called last
}

func newRunPools(db poolStore, run engine.RunID, slots map[string]int, wake func()) *runPools {
	ctx, stop := context.WithCancel(context.Background())
	p := &runPools{
		db: db, run: run, owner: state.Self(version()), slots: slots, wake: wake, stop: stop, kick: make(chan struct{}, 1),
		give: map[string]int{}, held: map[string]int{},
	}
	p.done.Go(func() { p.work(ctx) })
	return p
}

// Take takes what a task needs.
func (p *runPools) Take(needs []model.Need) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.wish(needs)
	if w.spare == 0 {
		w.wanted = true
		p.ring()
		return false
	}
	w.spare--
	for _, n := range needs {
		p.held[n.Consumable] += int(n.Quantity)
	}
	return true
}

// Untake undoes a Take.
func (p *runPools) Untake(needs []model.Need) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.wish(needs)
	w.spare++
	w.untook = true
	for _, n := range needs {
		p.held[n.Consumable] -= int(n.Quantity)
	}
}

func (p *runPools) wish(needs []model.Need) *poolWish {
	for _, w := range p.wishes {
		if slices.Equal(w.needs, needs) {
			return w
		}
	}
	w := &poolWish{needs: needs}
	p.wishes = append(p.wishes, w)
	return w
}

// Give gives back what a task had.
func (p *runPools) Give(needs []model.Need) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range needs {
		p.held[n.Consumable] -= int(n.Quantity)
	}
	p.giveBack(needs)
}

func (p *runPools) giveBack(needs []model.Need) {
	for _, n := range needs {
		p.give[n.Consumable] += int(n.Quantity)
	}
	p.ring()
}

// Wanted says what tasks wait for.
func (p *runPools) Wanted(all iter.Seq[[]model.Need]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wishes {
		w.kept, w.untook = w.untook, false
		if !w.wanted && w.spare == 0 {
			continue
		}
		still := false
		for needs := range all {
			still = still || slices.Equal(w.needs, needs)
		}
		if !still {
			p.drop(w)
		}
	}
}

// drop says that a wish is none any more.
func (p *runPools) drop(w *poolWish) {
	w.wanted = false
	for ; w.spare > 0; w.spare-- {
		p.giveBack(w.needs)
	}
	p.ring()
}

func (p *runPools) ring() {
	select {
	case p.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// Close gives back what the tasks have: all of them are over.
func (p *runPools) Close() {
	p.stop()
	p.done.Wait()
	p.mu.Lock()
	for pool, n := range p.held {
		p.give[pool] += n
	}
	clear(p.held)
	for _, w := range p.wishes {
		p.drop(w)
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), poolClose)
	defer cancel()
	p.settle(ctx) // what fails goes with the run's lease
}

// work asks the state for slots, and gives them back, until ctx is done.
func (p *runPools) work(ctx context.Context) {
	ticker := time.NewTicker(poolLook)
	defer ticker.Stop()
	var version int64
	var asked time.Time
	for {
		kicked := false
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
			kicked = true
		case now := <-ticker.C:
			p.expire(now)
		}
		if !p.busy() {
			continue
		}
		now, err := p.db.Version(ctx)
		if !kicked && err == nil && now == version && time.Since(asked) < poolAsk {
			continue
		}
		version, asked = now, time.Now()
		p.settle(ctx)
		if p.ask(ctx) {
			p.wake()
		}
	}
}

// busy reports whether there is anything to do.
func (p *runPools) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.give) > 0 || slices.ContainsFunc(p.wishes, func(w *poolWish) bool { return w.wanted || w.waits })
}

// expire gives back slots that no task asks for any more, since the run does something else
// with its part of the machine.
func (p *runPools) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wishes {
		if w.spare > 0 && !w.kept && now.Sub(w.since) > poolSpare {
			p.drop(w)
		}
	}
}

// settle tells the state what is not needed any more. What it could not be told, it is told
// the next time.
func (p *runPools) settle(ctx context.Context) {
	p.mu.Lock()
	give := p.give
	p.give = map[string]int{}
	var left []*poolWish
	for _, w := range p.wishes {
		if w.waits && !w.wanted {
			left = append(left, w)
		}
	}
	p.mu.Unlock()
	for _, pool := range slices.Sorted(maps.Keys(give)) {
		if p.db.GivePool(ctx, p.run, pool, give[pool]) == nil {
			delete(give, pool)
		}
	}
	gone := len(left) > 0 && p.db.LeavePools(ctx, p.run, poolsOf(left)...) == nil
	p.mu.Lock()
	defer p.mu.Unlock()
	for pool, n := range give {
		p.give[pool] += n
	}
	for _, w := range left {
		w.waits = w.waits && !gone
	}
}

func poolsOf(wishes []*poolWish) (names []string) {
	for _, w := range wishes {
		for _, n := range w.needs {
			names = append(names, n.Consumable)
		}
	}
	return names
}

// ask asks the state for what tasks wait for, and reports whether it has got something.
func (p *runPools) ask(ctx context.Context) (got bool) {
	p.mu.Lock()
	var wanted []*poolWish
	for _, w := range p.wishes {
		if w.wanted && w.spare == 0 {
			wanted = append(wanted, w)
		}
	}
	p.mu.Unlock()
	for _, w := range wanted {
		var needs []state.PoolNeed
		for _, n := range w.needs {
			needs = append(needs, state.PoolNeed{Pool: n.Consumable, Slots: p.slots[n.Consumable], N: int(n.Quantity)})
		}
		ok, err := p.db.TakePools(ctx, p.run, p.owner, needs...)
		if err != nil {
			continue // it is asked again soon; a run without its lease ends by itself
		}
		p.mu.Lock()
		if w.waits = !ok; ok {
			got = true
			w.spare++
			w.since = time.Now()
		}
		p.mu.Unlock()
	}
	return got
}
