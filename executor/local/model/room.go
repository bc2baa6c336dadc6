package model

import (
	"iter"
	"slices"
	"time"

	"flow/engine"
)

// A Room is what a Model shares with others: it is asked for what a try is to use, once all
// else allows it to start, and told when the try has ended. Its answers are inputs of the
// Model as everything else is: who gives a Model its inputs again, gives it what has started
// by Begin.
//
// It must not use the Model. Whoever calls Tick calls it again when the answer may be another.
type Room interface {
	Take(u Use) Answer
	Give(u Use)
}

// A Use is what a try has from before it starts to its end.
type Use struct {
	engine.Resources
	Pools []Need // not to be changed
}

// An Answer says whether a try may start.
type Answer uint8

const (
	Granted Answer = iota
	NoRoom         // not now; what is behind it in its queue waits, too
	NoPool         // not now, for want of its pools; what needs others goes before it
)

// A pooled is the line of the jobs in a queue that need the same of the same pools, so that
// they hold up nobody but one another.
type pooled struct {
	line
	needs []Need
	shut  bool // it was refused in this dispatch
}

// pool returns the line of what needs so much of pools, made if need be.
func (q *queue) pool(needs []Need) *line {
	for _, p := range q.pooled {
		if slices.Equal(p.needs, needs) {
			return &p.line
		}
	}
	p := &pooled{line: newLine(older), needs: needs}
	q.pooled = append(q.pooled, p)
	return &p.line
}

// foremost returns the line that is next in a queue that has pooled ones: retries first, then
// by submission; and the pooled one that it is, if any.
func (q *queue) foremost() (*line, *pooled) {
	best, of := &q.line, (*pooled)(nil)
	for _, p := range q.pooled {
		if !p.shut && p.before(best) {
			best, of = &p.line, p
		}
	}
	return best, of
}

// before reports whether the head of a line comes before that of another.
func (l *line) before(o *line) bool {
	a, some := l.head()
	b, other := o.head()
	if !some || !other {
		return some
	}
	if x, y := len(l.front) > 0, len(o.front) > 0; x != y {
		return x
	}
	return bySeq(a.job, b.job) < 0
}

// reopen lets every pooled line be tried again.
func (q *queue) reopen() {
	for _, p := range q.pooled {
		p.shut = false
	}
}

// ask asks the room for what a child is to use.
func (m *Model) ask(j *job) Answer {
	if m.cfg.Room == nil {
		return Granted
	}
	return m.cfg.Room.Take(m.use(j))
}

func (m *Model) use(j *job) Use { return Use{m.granted(j.req), j.req.Pools} }

// Pooled yields what RUNNABLE tasks need of pools, each combination once.
func (m *Model) Pooled() iter.Seq[[]Need] {
	return func(yield func([]Need) bool) {
		for _, q := range m.queues {
			for _, p := range q.pooled {
				if p.ready > 0 && !yield(p.needs) {
					return
				}
			}
		}
	}
}

// Begin starts a RUNNABLE child whatever else waits: what Tick did when it was asked for the
// first time. index is -1 for a plain job. It is false, and nothing changes, if the child is
// not RUNNABLE.
func (m *Model) Begin(now time.Time, id engine.JobID, index int) bool {
	m.begin(now)
	j := m.jobs[id]
	if j == nil || j.is(submitted) || index >= j.req.size() || (index < 0) != (j.array == nil) {
		return false
	}
	i := max(index, 0)
	if j.kid(i).status != engine.JobRunnable {
		return false
	}
	m.place(ref{j, i}, j.queue.on[0])
	return true
}
