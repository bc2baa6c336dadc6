package model

import (
	"iter"
	"math/bits"

	"flow/engine"
)

// A line gives its RUNNABLE children out in the order in which their jobs were
// submitted, children by index; retries go first (bestpractice6).
type line struct {
	front []ref      // retries, the last one first
	jobs  heap[*job] // that have RUNNABLE children
	ready int        // RUNNABLE children
}

func newLine(before func(a, b *job) bool) line { return line{jobs: heap[*job]{less: before}} }

// older is the order of a line that is FIFO.
func older(a, b *job) bool { return a.seq < b.seq }

// of returns the line of a job.
func (q *queue) of(j *job) *line {
	switch {
	case q.policy == nil && len(j.req.Pools) > 0:
		return q.pool(j.req.Pools)
	case q.policy == nil:
		return &q.line
	}
	return &q.byShare[j.req.ShareID].line
}

// enqueue makes a child RUNNABLE.
func (m *Model) enqueue(j *job, i int, c *child, front bool) {
	m.set(j, c, engine.JobRunnable)
	c.stopped = m.now
	l := j.queue.of(j)
	l.ready++
	if front {
		c.flags |= atFront
		l.front = append(l.front, ref{j, i})
		return
	}
	if a := j.array; a != nil {
		word := i / 64
		a.ready[word] |= 1 << (i % 64)
		a.readyFrom = min(a.readyFrom, word)
		a.readyCount++
	}
	if !j.is(queued) {
		j.flags |= queued
		l.jobs.push(j)
	}
}

// unready takes a child that is about to leave RUNNABLE out of its line. The line's own
// entries for it are dropped when they come up.
func (j *job) unready(i int, c *child) {
	j.queue.of(j).ready--
	if c.is(atFront) {
		c.flags &^= atFront
	} else if a := j.array; a != nil {
		a.ready[i/64] &^= 1 << (i % 64)
		a.readyCount--
	}
}

// head returns the child that is next.
func (l *line) head() (ref, bool) {
	for n := len(l.front); n > 0; n = len(l.front) {
		if r := l.front[n-1]; r.job.kid(r.index).is(atFront) {
			return r, true
		}
		l.pop()
	}
	for len(l.jobs.all) > 0 {
		j := l.jobs.all[0]
		if i := j.nextReady(0); i >= 0 {
			return ref{j, i}, true
		}
		l.jobs.pop()
		j.flags &^= queued
	}
	return ref{}, false
}

// popFront drops the first of the retries if it is that one. Another one is dropped when it
// comes up.
func (l *line) popFront(r ref) {
	if n := len(l.front); n > 0 && l.front[n-1] == r {
		l.pop()
	}
}

// pop drops the first of the retries.
func (l *line) pop() {
	n := len(l.front) - 1
	l.front[n] = ref{}
	l.front = l.front[:n]
}

// nextReady returns the first RUNNABLE child from index from on that is not at the
// front, or -1.
func (j *job) nextReady(from int) int {
	a := j.array
	if a == nil {
		if from == 0 && j.one.status == engine.JobRunnable && !j.one.is(atFront) {
			return 0
		}
		return -1
	}
	if a.readyCount == 0 {
		return -1
	}
	for a.ready[a.readyFrom] == 0 {
		a.readyFrom++
	}
	w := max(a.readyFrom, from/64)
	if w >= len(a.ready) {
		return -1
	}
	word := a.ready[w]
	if w == from/64 {
		word &= ^uint64(0) << (from % 64)
	}
	for word == 0 {
		if w++; w == len(a.ready) {
			return -1
		}
		word = a.ready[w]
	}
	return w*64 + bits.TrailingZeros64(word)
}

// all yields the children in the order in which they would be given out, and changes
// nothing.
func (l *line) all() iter.Seq[ref] {
	return func(yield func(ref) bool) {
		for i := len(l.front) - 1; i >= 0; i-- {
			if r := l.front[i]; r.job.kid(r.index).is(atFront) && !yield(r) {
				return
			}
		}
		for j := range l.jobs.sorted() {
			for i := j.nextReady(0); i >= 0; i = j.nextReady(i + 1) {
				if !yield(ref{j, i}) {
					return
				}
			}
		}
	}
}

// first returns the first n children.
func (l *line) first(n int) []ref {
	var out []ref
	for r := range l.all() {
		if out = append(out, r); len(out) == n {
			break
		}
	}
	return out
}
