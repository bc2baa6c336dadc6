package local

import (
	"iter"

	"flow/executor/local/model"
)

// Pools has what tasks of several executors, also of other processes, can only have so much
// of at a time: the `pools` of a step. It is called with the lock of the executor held, so it
// must return soon and not use the executor.
type Pools interface {
	// Take takes what a try needs, all of it or nothing, and reports whether it did. If not,
	// the executor asks again when something has ended, and when it is woken.
	Take(needs []model.Need) bool
	// Untake undoes a Take, as there is no room on the machine yet: what was taken should be
	// kept for the next Take.
	Untake(needs []model.Need)
	// Give gives back what a try had.
	Give(needs []model.Need)
	// Wanted says what tasks wait that need pools. What Take has refused before, and is not
	// among that, is wanted no more.
	Wanted(needs iter.Seq[[]model.Need])
	// Close gives back all that tries have. It is called when none of them is left.
	Close()
}

// A gate is the model.Room of a Batch: what it shares with others, of its own process and of
// others. While the journal is read it does as was done then.
type gate struct {
	tenant *tenant // nil: it has the machine to itself
	pools  Pools   // nil: pools are not counted

	replays bool // the journal is read
	closed  bool // what follows says itself what started
	refused bool // by the room, since the last Tick began
}

// shares reports whether others decide as well when a try starts, so that the journal has to
// say it.
func (g *gate) shares() bool { return g.tenant != nil || g.pools != nil }

// Take takes what a try is to use.
func (g *gate) Take(u model.Use) model.Answer {
	switch {
	case g.replays && g.closed:
		return model.NoRoom
	case g.replays:
		return model.Granted
	}
	// The room is asked last, since who has been given some of it, and gives it back, has
	// had its turn: two of those would give each other theirs for ever.
	pooled := g.pools != nil && len(u.Pools) > 0
	if pooled && !g.pools.Take(u.Pools) {
		return model.NoPool
	}
	if g.tenant != nil && !g.tenant.take(loadOf(u.Resources)) {
		g.refused = true
		if pooled {
			g.pools.Untake(u.Pools)
		}
		return model.NoRoom
	}
	return model.Granted
}

// Give gives back what a try used.
func (g *gate) Give(u model.Use) {
	if g.replays {
		return // nobody was asked for it
	}
	if g.tenant != nil {
		g.tenant.give(loadOf(u.Resources))
	}
	if g.pools != nil && len(u.Pools) > 0 {
		g.pools.Give(u.Pools)
	}
}

// asked says that the scheduler has nothing more to start for now.
func (g *gate) asked(m *model.Model) {
	if g.tenant != nil && !g.refused {
		g.tenant.settled()
	}
	if g.pools != nil {
		g.pools.Wanted(m.Pooled())
	}
}

// leave gives back all that there is of tries that are over for this process only.
func (g *gate) leave() {
	if g.tenant != nil {
		g.tenant.leave()
	}
	if g.pools != nil {
		g.pools.Close()
	}
}
