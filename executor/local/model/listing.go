package model

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// Listings yield plain jobs and array parents, no children, and leave Attempts and
// TaskID out. They go on from a View's Seq, so that pages are stable: a job keeps its
// Seq, and new jobs get higher ones. A model must not be changed while it is listed.

// Jobs yields the jobs of a queue in status s, newest first; with a before, those whose
// Seq is less.
func (m *Model) Jobs(queue string, s engine.JobStatus, before int64) iter.Seq[View] {
	return func(yield func(View) bool) {
		q := m.byQueue[queue]
		if q == nil {
			return
		}
		at, seq := q.newest(before)
		for ; at >= 0; at-- {
			if !q.chunks[at].back(s, seq, func(j *job) bool { return yield(m.view(j, false)) }) {
				return
			}
		}
	}
}

// JobsNamed yields the jobs of a queue that have a name, in whatever case, newest first;
// with a before, those whose Seq is less.
func (m *Model) JobsNamed(queue, name string, before int64) iter.Seq[View] {
	return func(yield func(View) bool) {
		q := m.byQueue[queue]
		if q == nil {
			return
		}
		for j := q.named(name, before); j != nil; j = j.older {
			if !j.is(vanished) && !yield(m.view(j, false)) {
				return
			}
		}
	}
}

// JobsWhere yields the jobs of a queue, in every status, for which match is true, newest
// first; with a before, those whose Seq is less.
func (m *Model) JobsWhere(queue string, before int64, match func(created time.Time, r *Request) bool) iter.Seq[View] {
	return func(yield func(View) bool) {
		q := m.byQueue[queue]
		if q == nil {
			return
		}
		at, seq := q.newest(before)
		for ; at >= 0; at-- {
			for _, j := range slices.Backward(q.chunks[at].jobs[:q.chunks[at].used]) {
				if j == nil || j.seq >= seq || j.is(vanished) || !match(timeOf(j.created), j.req) {
					continue
				}
				if !yield(m.view(j, false)) {
					return
				}
			}
		}
	}
}

// Named yields the jobs of a name, in whatever case and queue, oldest first, with their
// attempts; no children.
func (m *Model) Named(name string) iter.Seq[View] {
	return func(yield func(View) bool) {
		var next []*job // of each queue
		for _, q := range m.queues {
			if j := q.names[strings.ToLower(name)].oldest; j != nil {
				next = append(next, j)
			}
		}
		for len(next) > 0 {
			k := 0
			for i := range next {
				if next[i].seq < next[k].seq {
					k = i
				}
			}
			j := next[k]
			if !j.is(vanished) && !yield(m.view(j, true)) {
				return
			}
			if next[k] = j.newer; j.newer == nil {
				next = slices.Delete(next, k, k+1)
			}
		}
	}
}

// A Waiter is a plain job or a child that is RUNNABLE.
type Waiter struct {
	ID    engine.JobID
	Since time.Time // when it became RUNNABLE
	Share string    // its share identifier
}

// Waiting returns the first n of a queue that are RUNNABLE, in the order in which they
// would be started (Batch API, GetJobQueueSnapshot).
func (m *Model) Waiting(queue string, n int) []Waiter {
	q := m.byQueue[queue]
	if q == nil || n <= 0 {
		return nil
	}
	var first []ref
	if q.policy == nil {
		first = q.line.first(n)
	} else {
		first = q.fairly(m.now, n)
	}
	out := make([]Waiter, 0, len(first))
	for _, r := range first {
		out = append(out, r.waiter())
	}
	return out
}

func (r ref) waiter() Waiter {
	w := Waiter{ID: r.job.id, Since: timeOf(r.job.kid(r.index).stopped), Share: r.job.req.ShareID}
	if r.job.array != nil {
		w.ID = w.ID.Child(r.index)
	}
	return w
}

// A ShareUse is what a share identifier has in use.
type ShareUse struct {
	Share string
	VCPUs float64
}

// Use returns the vCPUs that the jobs of a queue have in use, in all and by active share
// identifier, the one with the most first.
func (m *Model) Use(queue string) (vcpus float64, shares []ShareUse) {
	q := m.byQueue[queue]
	if q == nil {
		return 0, nil
	}
	for _, s := range q.shares {
		if s.active() {
			shares = append(shares, ShareUse{Share: s.name, VCPUs: float64(s.used) / 1000})
		}
	}
	slices.SortFunc(shares, func(a, b ShareUse) int {
		return cmp.Or(cmp.Compare(b.VCPUs, a.VCPUs), strings.Compare(a.Share, b.Share))
	})
	return float64(q.used) / 1000, shares
}
