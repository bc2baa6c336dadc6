package model

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"flow/engine"
)

// chunkSize is how many jobs a chunk holds.
const chunkSize = 1024

// A jobList is the jobs of a queue in order of submission, and by name. There may be a
// million of them, so they are in chunks, which go one by one when their jobs are
// forgotten, and each chunk knows by a bit which of its jobs are in which status:
// nobody has to look at a job that is not asked for, nor has anything to be moved when
// the status of a job changes.
type jobList struct {
	chunks []*chunk            // oldest first
	names  map[string]nameList // by lower-case name
}

type chunk struct {
	jobs  [chunkSize]*job // nil: forgotten, or not there yet
	first int64           // seq of the first that was in it
	used  int             // slots that have been used
	left  int             // jobs that are not forgotten
	count [engine.NumJobStatuses]int
	in    [engine.NumJobStatuses][chunkSize / 64]uint64
}

// nameList is the ends of the chain of jobs that share a name.
type nameList struct{ oldest, newest *job }

// add appends a job that is SUBMITTED.
func (l *jobList) add(j *job) {
	n := len(l.chunks)
	if n == 0 || l.chunks[n-1].used == chunkSize {
		l.chunks = append(l.chunks, &chunk{first: j.seq})
		n++
	}
	c := l.chunks[n-1]
	j.chunk, j.slot = c, uint16(c.used)
	c.jobs[c.used] = j
	c.used++
	c.left++
	c.mark(j.slot, engine.JobSubmitted, 1)
	l.addName(j)
}

// drop removes a forgotten job, and its chunk with the last.
func (l *jobList) drop(j *job) {
	c := j.chunk
	c.jobs[j.slot] = nil
	l.dropName(j)
	if c.left--; c.left == 0 && c.used == chunkSize {
		i := l.from(j.seq + 1)
		l.chunks = slices.Delete(l.chunks, i, i+1)
	}
}

// from returns the index of the newest chunk that may hold a job from before seq; -1 if
// there is none.
func (l *jobList) from(seq int64) int {
	return sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first >= seq }) - 1
}

// newest is where a listing begins that asks for what is before a seq; 0 is from the newest.
func (l *jobList) newest(before int64) (chunk int, seq int64) {
	if before <= 0 {
		return len(l.chunks) - 1, 1 << 62
	}
	return l.from(before), before
}

// list moves a job from one status to another in the lists of its queue.
func (j *job) list(from, to engine.JobStatus) {
	if from != to && !j.is(vanished) {
		j.chunk.mark(j.slot, from, 0)
		j.chunk.mark(j.slot, to, 1)
	}
}

// hide takes a job out of the lists by status.
func (j *job) hide() { j.chunk.mark(j.slot, j.status(), 0) }

func (c *chunk) mark(slot uint16, s engine.JobStatus, on uint64) {
	w := &c.in[s][slot/64]
	bit := slot % 64
	c.count[s] += int(on) - int(*w>>bit&1)
	*w = *w&^(1<<bit) | on<<bit
}

// back yields the jobs in status s that were submitted before seq, newest first.
func (c *chunk) back(s engine.JobStatus, seq int64, yield func(*job) bool) bool {
	if c.count[s] == 0 {
		return true
	}
	for w := len(c.in[s]) - 1; w >= 0; w-- {
		for left := c.in[s][w]; left != 0; {
			top := 63 - bits.LeadingZeros64(left)
			left &^= 1 << top
			if j := c.jobs[w*64+top]; j.seq < seq && !yield(j) {
				return false
			}
		}
	}
	return true
}

// each calls do with the jobs in status s, oldest first; do may change their status.
func (l *jobList) each(s engine.JobStatus, do func(*job)) {
	for _, c := range l.chunks {
		if c.count[s] == 0 {
			continue
		}
		for w, left := range c.in[s] {
			for ; left != 0; left &= left - 1 {
				do(c.jobs[w*64+bits.TrailingZeros64(left)])
			}
		}
	}
}

func (l *jobList) addName(j *job) {
	if l.names == nil {
		l.names = map[string]nameList{}
	}
	key := strings.ToLower(j.req.Name)
	n := l.names[key]
	if n.newest == nil {
		n.oldest = j
	} else {
		n.newest.newer, j.older = j, n.newest
	}
	n.newest = j
	l.names[key] = n
}

func (l *jobList) dropName(j *job) {
	key := strings.ToLower(j.req.Name)
	n := l.names[key]
	if j.older != nil {
		j.older.newer = j.newer
	} else {
		n.oldest = j.newer
	}
	if j.newer != nil {
		j.newer.older = j.older
	} else {
		n.newest = j.older
	}
	if n.newest == nil {
		delete(l.names, key)
	} else {
		l.names[key] = n
	}
}

// named returns the newest job of a name that was submitted before a seq, or nil. A
// listing goes on from the job it stopped at, so that is looked for first: from there
// the chain of the name leads on.
func (l *jobList) named(name string, before int64) *job {
	name = strings.ToLower(name)
	if before <= 0 {
		return l.names[name].newest
	}
	for at := l.from(before + 1); at >= 0; at-- {
		c := l.chunks[at]
		for i := c.used - 1; i >= 0; i-- {
			switch j := c.jobs[i]; {
			case j == nil || j.seq > before || strings.ToLower(j.req.Name) != name:
			case j.seq == before:
				return j.older
			default:
				return j
			}
		}
	}
	return nil
}

func bySeq(a, b *job) int { return cmp.Compare(a.seq, b.seq) }
