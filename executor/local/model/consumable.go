package model

import (
	"iter"
	"maps"
	"slices"
	"time"
)

const (
	maxConsumables = 50_000 // Batch User Guide, service_limits
	maxNeeds       = 5      // of a job (Batch User Guide, resource-aware-scheduling-how-to-for-jobs)
)

// A consumable is a consumable resource. What a job needs is taken when it is STARTING
// and is its own until it has SUCCEEDED or FAILED, over all its attempts. A job at the
// head of its queue waits in RUNNABLE for it (Batch User Guide,
// resource-aware-scheduling-how-to-for-jobs).
type consumable struct {
	Consumable
	created int64
	inUse   int64
	gone    bool // deleted while jobs had it in use
}

// free is what of a consumable resource can be taken. What takes one that does not
// replenish lowers its total (resource-aware-scheduling-how-to-check-resources).
func (c *consumable) free() int64 {
	if c.Replenishes {
		return max(c.Total-c.inUse, 0)
	}
	return c.Total
}

// consumable returns a consumable resource that has not been deleted, or nil.
func (m *Model) consumable(name string) *consumable {
	if c := m.consumables[name]; c != nil && !c.gone {
		return c
	}
	return nil
}

// CreateConsumable creates a consumable resource. One of a name that had been deleted
// "is considered to be the same resource": what jobs took of that is still in use
// (resource-aware-scheduling-how-to-delete).
func (m *Model) CreateConsumable(now time.Time, c Consumable) error {
	m.begin(now)
	switch {
	case !goodName(c.Name):
		return refuse("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", c.Name)
	case m.consumable(c.Name) != nil:
		return refuse(objectExists)
	case len(m.consumables) >= maxConsumables:
		return refuse("Cannot have more than %d consumable resources", maxConsumables)
	case c.Total < 0:
		return refuse("totalQuantity must not be negative, got %d", c.Total)
	}
	made := &consumable{Consumable: c, created: m.now}
	if old := m.consumables[c.Name]; old != nil {
		made.inUse = old.inUse
	}
	m.consumables[c.Name] = made
	return nil
}

// SetConsumable gives a consumable resource a new Total and Detail. Jobs keep what they
// have of it, even if that is more (resource-aware-scheduling-how-to-update-quantity).
func (m *Model) SetConsumable(now time.Time, c Consumable) error {
	m.begin(now)
	old := m.consumable(c.Name)
	switch {
	case old == nil:
		return refuse("consumable-resource/%s does not exist", c.Name)
	case c.Total < 0:
		return refuse("quantity must not leave a negative total, got %d", c.Total)
	}
	old.Total, old.Detail = c.Total, c.Detail
	return nil
}

// DeleteConsumable deletes a consumable resource, at any time. Jobs that have it go on;
// jobs that need it wait until it is created again
// (resource-aware-scheduling-how-to-delete).
func (m *Model) DeleteConsumable(now time.Time, name string) error {
	m.begin(now)
	c := m.consumable(name)
	if c == nil {
		return refuse("consumable-resource/%s does not exist", name)
	}
	if c.inUse == 0 {
		delete(m.consumables, name)
	}
	c.gone, c.Detail = true, nil
	return nil
}

// A ConsumableView is a consumable resource, what of it is in use, and what can be taken.
type ConsumableView struct {
	Consumable
	InUse     int64
	Available int64
	Created   time.Time
}

// Consumable returns a consumable resource by its name.
func (m *Model) Consumable(name string) (ConsumableView, bool) {
	c := m.consumable(name)
	if c == nil {
		return ConsumableView{}, false
	}
	return ConsumableView{c.Consumable, c.inUse, c.free(), timeOf(c.created)}, true
}

// Consumables yields the consumable resources, by name.
func (m *Model) Consumables() iter.Seq[ConsumableView] {
	return func(yield func(ConsumableView) bool) {
		for _, name := range slices.Sorted(maps.Keys(m.consumables)) {
			if v, ok := m.Consumable(name); ok && !yield(v) {
				return
			}
		}
	}
}

// checkNeeds reports what is wrong with the consumable resources that a job needs.
func (m *Model) checkNeeds(needs []Need) error {
	if len(needs) > maxNeeds {
		return refuse("Cannot have more than %d consumableResource in consumableResourceProperties", maxNeeds)
	}
	for i, n := range needs {
		switch {
		case n.Quantity < 0:
			return refuse("Quantity of consumable resource %s must not be negative, got %d", n.Consumable, n.Quantity)
		case m.consumable(n.Consumable) == nil:
			return refuse("Consumable resource %s does not exist", n.Consumable)
		case slices.ContainsFunc(needs[:i], func(o Need) bool { return o.Consumable == n.Consumable }):
			return refuse("Cannot have duplicate consumableResource in consumableResourceProperties")
		}
	}
	return nil
}

// available reports whether all that a job needs can be taken.
func (m *Model) available(needs []Need) bool {
	for _, n := range needs {
		if c := m.consumable(n.Consumable); c == nil || c.free() < n.Quantity {
			return false
		}
	}
	return true
}

// take takes what a child needs, unless it has it from an earlier try.
func (m *Model) take(j *job, c *child) {
	if len(j.req.Consumables) == 0 || c.is(holds) {
		return
	}
	c.flags |= holds
	for _, n := range j.req.Consumables {
		r := m.consumables[n.Consumable]
		r.inUse += n.Quantity
		if !r.Replenishes {
			r.Total -= n.Quantity
		}
	}
}

// giveBack is the end of a child that has taken what it needs.
func (m *Model) giveBack(j *job, c *child) {
	if !c.is(holds) {
		return
	}
	c.flags &^= holds
	for _, n := range j.req.Consumables {
		r := m.consumables[n.Consumable]
		if r == nil {
			continue // deleted, and nothing was taken of it
		}
		if r.inUse -= n.Quantity; r.gone && r.inUse == 0 {
			delete(m.consumables, n.Consumable)
		}
	}
}
