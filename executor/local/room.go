package local

import (
	"math"
	"slices"
	"sync"

	"flow/engine"
	"flow/executor/local/model"
)

// A Room is the machine as the executors of one process share it: their tries together use no
// more of it than there is. Of the executors that wait for a place, the one whose tries use
// least is next, and of those that use the same, the one that has waited longest; for a task
// that is too large for what is free, the others wait until there is enough. So none of
// them starves, whatever the others have to do.
//
// They also share the threads that wait for their processes.
type Room struct {
	crew  threads
	size  model.Capacity
	spawn func(func()) // go

	mu    sync.Mutex
	used  load
	in    int       // tenants
	queue []*tenant // that wait, in the order in which they began to
}

// NewRoom returns the room of a machine of that size; a zero field is what this machine has
// (no GPUs are looked for).
func NewRoom(size model.Capacity) *Room {
	return &Room{size: Machine(size), spawn: func(f func()) { go f() }}
}

// Size returns how large the machine is.
func (r *Room) Size() model.Capacity { return r.size }

// cut returns what of a capacity there can be in the room.
func (r *Room) cut(c model.Capacity) model.Capacity {
	return model.Capacity{VCPUs: min(c.VCPUs, r.size.VCPUs), MemoryMiB: min(c.MemoryMiB, r.size.MemoryMiB), GPUs: min(c.GPUs, r.size.GPUs)}
}

// A load is what tries use, vCPUs in thousandths.
type load struct{ cpu, memory, gpu int64 }

func loadOf(r engine.Resources) load {
	return load{int64(math.Ceil(r.VCPUs*1000 - 1e-6)), int64(r.MemoryMiB), int64(r.GPUs)}
}

func (l load) plus(o load) load  { return load{l.cpu + o.cpu, l.memory + o.memory, l.gpu + o.gpu} }
func (l load) minus(o load) load { return load{l.cpu - o.cpu, l.memory - o.memory, l.gpu - o.gpu} }

// fits reports whether there is room for that much more.
func (r *Room) fits(l load) bool {
	all, size := r.used.plus(l), loadOf(engine.Resources{VCPUs: r.size.VCPUs, MemoryMiB: r.size.MemoryMiB, GPUs: r.size.GPUs})
	return all.cpu <= size.cpu && all.memory <= size.memory && all.gpu <= size.gpu
}

// A tenant is an executor in a room.
type tenant struct {
	room *Room
	wake func() // lets the executor's scheduler work; without the lock of the room

	// With the lock of the room.
	used    load
	want    load // of the task that waits
	waiting bool
	nudged  bool // wake is on its way
	gone    bool
}

// enter makes an executor a tenant.
func (r *Room) enter(wake func()) *tenant {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in++
	r.crew.keep(true)
	return &tenant{room: r, wake: wake}
}

// take takes room for a try. If there is none for it now, wake is called when there is.
func (m *tenant) take(l load) bool {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case m.gone:
		return false
	case !r.fits(l) || r.others(m):
		m.wait(l)
		r.next(m)
		return false
	}
	if m.waiting {
		r.drop(m)
	}
	r.used, m.used = r.used.plus(l), m.used.plus(l)
	r.next(m)
	return true
}

// wait makes a tenant wait in the queue.
func (m *tenant) wait(l load) {
	m.want = l
	if !m.waiting {
		m.waiting = true
		m.room.queue = append(m.room.queue, m)
	}
}

// give gives the room of a try back. The scheduler of m itself works after that anyway.
func (m *tenant) give(l load) {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.gone {
		return
	}
	r.used, m.used = r.used.minus(l), m.used.minus(l)
	r.next(m)
}

// settled says that nothing of a tenant waits any more.
func (m *tenant) settled() {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.waiting {
		r.drop(m)
	}
	r.next(nil)
}

// leave gives back all that a tenant has.
func (m *tenant) leave() {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.gone {
		return
	}
	r.used, m.used = r.used.minus(m.used), load{}
	m.gone = true
	if r.in--; r.in == 0 {
		r.crew.keep(false)
	}
	r.drop(m)
	r.next(nil)
}

func (r *Room) drop(m *tenant) {
	m.waiting = false
	r.queue = slices.DeleteFunc(r.queue, func(o *tenant) bool { return o == m })
}

// first returns the tenant that is next; nil: none waits.
func (r *Room) first() *tenant {
	var best *tenant
	for _, m := range r.queue {
		if best == nil || r.share(m.used) < r.share(best.used) {
			best = m
		}
	}
	return best
}

// share is how much of the machine is in use, by what there is least of.
func (r *Room) share(l load) float64 {
	s := float64(l.cpu) / (r.size.VCPUs * 1000)
	s = max(s, float64(l.memory)/float64(r.size.MemoryMiB))
	if r.size.GPUs > 0 {
		s = max(s, float64(l.gpu)/float64(r.size.GPUs))
	}
	return s
}

// others reports whether another tenant is to go before m.
func (r *Room) others(m *tenant) bool {
	f := r.first()
	switch {
	case f == nil || f == m:
		return false
	case m.waiting: // and is not the first
		return true
	}
	return r.share(f.used) <= r.share(m.used)
}

// next wakes the tenant that is next, if there is room for it and it is not awake anyway.
func (r *Room) next(awake *tenant) {
	m := r.first()
	if m == nil || m == awake || m.nudged || !r.fits(m.want) {
		return
	}
	m.nudged = true
	r.spawn(func() { // its scheduler may be waiting for the lock of this room
		r.mu.Lock()
		m.nudged = false
		r.mu.Unlock()
		m.wake()
	})
}
