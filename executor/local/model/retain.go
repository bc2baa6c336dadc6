package model

import "strings"

// forget drops the jobs that ended longer ago than Config.Retention; asked for, they
// are unknown from then on, as with Batch (job_states: "at least 7 days").
func (m *Model) forget() {
	keep := m.cfg.Retention.Milliseconds()
	if keep <= 0 {
		return
	}
	for len(m.past) > 0 && m.past[0].stoppedAt()+keep <= m.now {
		j := m.past[0]
		m.past[0] = nil
		m.past = m.past[1:]
		delete(m.jobs, j.id)
		m.dropName(j)
		m.dropListed(j)
	}
}

func (j *job) stoppedAt() int64 {
	if j.array != nil {
		return j.array.stopped
	}
	return j.one.stopped
}

func (m *Model) dropName(j *job) {
	key := strings.ToLower(j.req.Name)
	l := m.names[key]
	if j.older != nil {
		j.older.newer = j.newer
	} else {
		l.oldest = j.newer
	}
	if j.newer != nil {
		j.newer.older = j.older
	} else {
		l.newest = j.older
	}
	if l.newest == nil {
		delete(m.names, key)
	} else {
		m.names[key] = l
	}
}

// dropListed leaves a hole in the list, and closes the holes once they are most of it.
func (m *Model) dropListed(j *job) {
	m.list[j.place] = nil
	m.holes++
	if m.holes > 64 && m.holes > len(m.list)/2 {
		kept := make([]*job, 0, len(m.list)-m.holes)
		for _, j := range m.list {
			if j != nil {
				j.place = len(kept)
				kept = append(kept, j)
			}
		}
		m.list, m.holes = kept, 0
	}
}
