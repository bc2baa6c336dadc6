package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

// How often runs are looked at that pages show.
const (
	looksAtOnce = 4                // of different runs
	lookWish    = 20 * time.Second // how long a page that is open wants looks; it is made anew more often
	lookNear    = 500 * time.Millisecond
	maxLookNear = 5 * time.Second
	lookFar     = 3 * time.Second // after news; half as long again with each look that has none
	maxLookFar  = 15 * time.Second
	lookFailed  = 30 * time.Second // at most, after looks that failed
	recordFar   = 30 * time.Second // then what jobs did is recorded, though nothing seems new
	recordNear  = 4 * time.Second
	looksTick   = 250 * time.Millisecond
	driverLook  = time.Second // how often to look whether somebody drives a run
	keptLooks   = time.Minute // how long clients and credentials are kept after the last wish
)

// looks looks at the jobs of runs on AWS Batch while somebody looks at pages of them, as flow
// status does: what the jobs of a run that nobody drives have done is recorded, and nothing
// is submitted. Pages never wait for it. It notices as well who drives a run no more, which
// nobody records.
type looks struct {
	src   *source
	state *state.DB // where looks are recorded; nil: it is opened for each
	news  atomic.Int64
	// recorded is told that something may have been recorded.
	recorded func()

	ctx   context.Context
	stop  context.CancelFunc
	slots chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex
	runs map[engine.RunID]*looked
	busy bool // watch is running
}

// A looked is a run that somebody has looked at.
type looked struct {
	row     state.Run // as it was when a page was made first: what does not change of it is used
	until   time.Time // when nobody wants to see it any more
	due     time.Time // no look before
	pause   time.Duration
	looking bool
	driven  bool      // somebody drives it, as far as was seen at asked
	asked   time.Time // zero: not yet

	at   time.Time // of the last look; zero: there was none
	why  string    // why the last look was none; "": it was one
	seen []engine.Job
	kept time.Time // when what jobs did was recorded last; zero: it is to be, by the next look

	out *lookout // of the look at hand; nil: to be made
}

// A lookState says how new what a page shows of a run on AWS Batch is.
type lookState struct {
	At      time.Time // of the last look; zero: there was none yet
	Why     string    // why there is no newer one; "": nothing is in the way
	Looking bool
}

func newLooks(src *source, db *state.DB) *looks {
	l := &looks{src: src, state: db, slots: make(chan struct{}, looksAtOnce), runs: map[engine.RunID]*looked{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	src.seen = l.seen
	return l
}

// close ends all looks.
func (l *looks) close() {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.done.Wait()
}

// version changes with what pages show beyond what is recorded.
func (l *looks) version() int64 { return l.news.Load() }

// seen returns what is known of the jobs of a run.
func (l *looks) seen(id engine.RunID) []engine.Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.runs[id]; r != nil {
		return r.seen
	}
	return nil
}

// want has a run that has not ended looked at that a page shows: once, soon, or again and
// again while the page is open. It says how new what is known of it is.
func (l *looks) want(row *state.Run, open bool) lookState {
	if !row.Ended.IsZero() {
		return lookState{}
	}
	now := l.src.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return lookState{}
	}
	r := l.runs[row.ID]
	if r == nil {
		r = &looked{row: *row}
		l.runs[row.ID] = r
	}
	if open {
		r.until = now.Add(lookWish)
	} else if r.until.Before(now) {
		r.until = now
	}
	l.begin(r, now)
	if !l.busy {
		l.busy = true
		l.done.Go(l.watch)
	}
	return lookState{At: r.at, Why: r.why, Looking: r.looking && r.at.IsZero()}
}

// begin begins a look that is due. The caller has the lock.
func (l *looks) begin(r *looked, now time.Time) {
	if r.looking || r.row.Executor != batchExecutor || now.Before(r.due) {
		return
	}
	r.looking = true
	l.done.Go(func() { l.look(r) })
}

// watch begins looks that are due, and sees who is driven no more, as long as there are runs
// to look at.
func (l *looks) watch() {
	tick := time.NewTicker(looksTick)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, r := range l.runs {
				r.forget() // who still looks does so itself
			}
			return
		case <-tick.C:
		}
		ask, more := l.round(l.src.now())
		if !more {
			return
		}
		for _, r := range ask {
			l.askDriver(r)
		}
	}
}

// round begins what is due, and returns the runs of which it is to be asked who drives them.
// Without any run left it is over.
func (l *looks) round(now time.Time) (ask []*looked, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Collect(maps.Keys(l.runs)) {
		r := l.runs[id]
		switch {
		case now.Before(r.until):
			l.begin(r, now)
			if now.Sub(r.asked) >= driverLook {
				ask = append(ask, r)
			}
		case !r.looking && now.Sub(r.until) > keptLooks:
			r.forget()
			delete(l.runs, id)
		}
	}
	if len(l.runs) == 0 {
		l.busy = false
	}
	return ask, len(l.runs) > 0
}

// forget closes what a run keeps between looks. The caller has the lock.
func (r *looked) forget() {
	if r.out != nil && !r.looking {
		_ = r.out.close(context.Background())
		r.out = nil
	}
}

// askDriver sees whether somebody drives a run.
func (l *looks) askDriver(r *looked) {
	driven := l.src.holder(l.ctx, r.row.ID) != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.asked.IsZero() && r.driven != driven {
		l.news.Add(1)
		r.due = time.Time{} // what its jobs do is recorded by us from now on
		r.kept = time.Time{}
	}
	r.driven, r.asked = driven, l.src.now()
}

// look looks at a run, and takes in what came of it.
func (l *looks) look(r *looked) {
	l.slots <- struct{}{}
	ctx, cancel := context.WithTimeout(l.ctx, lookTimeout)
	jobs, recorded, err := l.lookNow(ctx, r)
	cancel()
	<-l.slots
	now := l.src.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.take(r, jobs, recorded, err, now)
	r.looking = false
	if l.ctx.Err() != nil {
		r.forget()
		return
	}
	r.pace(now, news)
	if news {
		l.news.Add(1)
	}
	if recorded && news && l.recorded != nil {
		l.recorded()
	}
}

// take takes in what a look saw, and reports whether pages have to show something else.
func (l *looks) take(r *looked, jobs []engine.Job, recorded bool, err error, now time.Time) (news bool) {
	missing := (*engine.MissingError)(nil)
	why := ""
	switch {
	case errors.Is(err, errRunEnded):
		r.until = now
		return false
	case errors.As(err, &missing):
		why = "AWS Batch: " + missing.Error()
	case errors.Is(err, context.DeadlineExceeded):
		why = fmt.Sprintf("AWS Batch did not answer within %s", lookTimeout)
	case err != nil:
		why = "AWS Batch cannot be looked at: " + view.Clean(firstLineOf(err))
	}
	news = why != r.why || r.at.IsZero() || err == nil && !sameJobs(jobs, r.seen)
	r.why = why
	if err != nil && missing == nil {
		return news
	}
	if recorded {
		r.kept = now
	}
	r.at, r.seen = now, jobs
	return news
}

// pace says when to look again.
func (r *looked) pace(now time.Time, news bool) {
	least, most := lookFar, maxLookFar
	if r.out != nil && r.out.near() {
		least, most = lookNear, maxLookNear
	}
	if r.why != "" {
		most = lookFailed
	}
	if r.pause = min(r.pause*3/2, most); news || r.pause < least {
		r.pause = least
	}
	r.due = now.Add(r.pause)
}

// errRunEnded says that nothing of a run is to be looked at any more.
var errRunEnded = errors.New("the run has ended")

// lookNow asks how far the jobs of a run are. If there is something new, or has not been for
// long, and nobody drives the run, what they have done is recorded. It is the only one that
// uses r.out.
func (l *looks) lookNow(ctx context.Context, r *looked) (jobs []engine.Job, recorded bool, err error) {
	l.mu.Lock()
	seen, since := r.seen, r.kept
	l.mu.Unlock()
	var ids []engine.JobID
	if err := l.src.run(ctx, string(r.row.ID), func(p *past) error {
		if p.run.Ended() {
			return errRunEnded
		}
		ids = p.run.Watched()
		return nil
	}); err != nil {
		return nil, false, err
	}
	db := l.state
	if db == nil {
		if db, err = l.src.a.openState(false); err != nil {
			return nil, false, err
		}
		defer func() {
			if r.out != nil { // it writes to db
				err = errors.Join(err, r.out.close(context.WithoutCancel(ctx)), db.Close())
				r.out = nil
			}
		}()
	}
	if r.out == nil {
		if r.out, err = l.src.a.newLookout(ctx, db, r.row); err != nil {
			return nil, false, err
		}
	}
	if jobs, err = r.out.see(ctx, ids); err != nil {
		return nil, false, err
	}
	kept := recordFar
	if r.out.near() {
		kept = recordNear
	}
	if sameJobs(jobs, seen) && l.src.now().Sub(since) < kept || l.src.holder(ctx, r.row.ID) != nil {
		return jobs, false, nil
	}
	_, err = r.out.look(ctx)
	return jobs, true, err
}

// sameJobs reports whether jobs are as they were.
func sameJobs(a, b []engine.Job) bool {
	return slices.EqualFunc(a, b, func(x, y engine.Job) bool {
		return x.ID == y.ID && x.Status == y.Status && x.StatusReason == y.StatusReason && x.Summary == y.Summary && len(x.Attempts) == len(y.Attempts)
	})
}
