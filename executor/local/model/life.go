package model

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A life is where an environment or a queue is in its life.
type life struct {
	health  Health
	until   int64 // when it settles; 0: it has
	created int64
	trouble string // why it is INVALID
}

func (l *life) view(healthy string) Life {
	v := Life{Health: l.health, Created: timeOf(l.created)}
	switch l.health {
	case Valid:
		v.Reason = healthy
	case Invalid:
		v.Reason = l.trouble
	}
	return v
}

// settled reports whether it can be changed.
func (l *life) settled() bool { return l.until == 0 && l.health != Deleting }

// works reports whether it takes part in scheduling: an update does not hold jobs up.
func (l *life) works() bool { return l.health == Valid || l.health == Updating }

// change begins a change of health that takes Config.Settle.
func (m *Model) change(l *life, h Health) {
	l.health = h
	l.until = m.now + m.cfg.Settle.Milliseconds()
	if m.nextChange == 0 || l.until < m.nextChange {
		m.nextChange = l.until
	}
	if m.nextChange <= m.now {
		m.mature()
	}
}

// mature settles what has been changing for long enough.
func (m *Model) mature() {
	m.nextChange = 0
	for _, q := range slices.Clone(m.queues) {
		if m.ripe(&q.life) {
			m.removeQueue(q)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.environments)) {
		if e := m.environments[name]; m.ripe(&e.life) {
			m.removeEnvironment(e)
		}
	}
}

// ripe settles one; it is true if it may go.
func (m *Model) ripe(l *life) bool {
	if l.until > m.now {
		if m.nextChange == 0 || l.until < m.nextChange {
			m.nextChange = l.until
		}
		return false
	}
	if l.until != 0 && l.health != Deleting {
		if l.health = Valid; l.trouble != "" {
			l.health = Invalid
		}
	}
	l.until = 0
	return l.health == Deleting
}

// goodName reports whether a name is one of an environment, a queue, a policy or a
// consumable resource.
func goodName(s string) bool {
	ok := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	}
	return len(s) >= 1 && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool { return !ok(c) })
}

const (
	beingDeleted = "Cannot delete, resource is being modified"
	beingUpdated = "Cannot update, resource is being modified"
	objectExists = "Object already exists"
)

// Settles returns when an environment or a queue is next done with being created, changed
// or deleted. Zero: none is.
func (m *Model) Settles() time.Time { return timeOf(m.nextChange) }
